//! FleetPrompt as the benchmark sees it: how to start it, and every call of its API that is made.

use std::cell::RefCell;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::ends::Ends;
use crate::http::{Answer, Fault, call, post_bytes, write_post};
use crate::load::{Judge, Proof, Requests, Write};
use crate::process::{free_address, output_of};
use crate::workload::{BATCH, Workload, write_order};

/// The first one, which is always there.
pub const TENANT: &str = "bench";
const BENCH: &str = include_str!("../workflows/bench.json");
const REMOTE: &str = include_str!("../workflows/remote.json");
/// What the steps of `REMOTE` ask of the worker.
const REMOTE_FUNCTION: &str = "scenario.echo";
/// Of one worker: more than the clients that are measured, so that it is never the limit.
const WORKER_SLOTS: &str = "512";
const WAITING: &str = include_str!("../workflows/waiting.json");
const STORED: &str = include_str!("../workflows/stored.json");
/// No workflow is subscribed to it: W3 measures what it takes to keep a fact.
const UNHEARD: &str = "bench.order.seen";
/// How many runs are looked at afterwards, to prove that what was counted had completed.
const SAMPLE: usize = 64;

/// The flag that says where everything is kept, and its value.
pub type Keeps = [OsString; 2];

/// The command that serves a prepared place, and where.
pub fn serve(server: &Path, keeps: &Keeps) -> anyhow::Result<(Command, SocketAddr)> {
    let address = free_address()?;
    let mut command = Command::new(server);
    command.arg("serve").args(keeps).args(["--listen", &address.to_string()]);
    Ok((command, address))
}

/// Prepares the place with the first tenant, and gives its owner's key.
pub fn tenant_create(server: &Path, keeps: &Keeps) -> anyhow::Result<String> {
    let mut command = Command::new(server);
    command.args(["tenant", "create", TENANT]).args(keeps).args(["--output", "json"]);
    let created = output_of(&mut command)?;
    let created: Value = serde_json::from_str(&created).with_context(|| format!("read `{}`", created.trim()))?;
    Ok(created["key"]["secret"].as_str().context("`tenant create` printed no key.secret")?.to_owned())
}

/// The server beside this program: both come out of the same build.
pub fn default_binary() -> anyhow::Result<PathBuf> {
    let server = std::env::current_exe()?.with_file_name("fleetprompt");
    ensure!(
        server.exists(),
        "{} does not exist: build it with `cargo build --release -p fleetprompt`, or name one with --server",
        server.display()
    );
    Ok(server)
}

/// The API with one tenant's key.
pub struct Api {
    pub address: SocketAddr,
    pub key: String,
    /// Some runs that answers said were started, of all tenants together.
    sample: Rc<RefCell<Vec<Sampled>>>,
}

struct Sampled {
    key: String,
    run: String,
}

impl Api {
    pub fn new(address: SocketAddr, key: String) -> Self {
        Self { address, key, sample: Rc::default() }
    }

    /// The same API at another node, or with another tenant's key.
    pub fn with(&self, address: SocketAddr, key: String) -> Self {
        Self { address, key, sample: Rc::clone(&self.sample) }
    }

    /// Takes an owner's key, and gives the new tenant's.
    pub async fn tenant_create(&self, slug: &str) -> anyhow::Result<String> {
        let made = self.post("/v1/tenants", &json!({"slug": slug})).await?;
        Ok(made["key"]["secret"].as_str().context("`POST /v1/tenants` gave no key.secret")?.to_owned())
    }

    /// Whether so many nodes share the partitions evenly.
    pub async fn is_shared_by(&self, count: usize) -> anyhow::Result<bool> {
        let nodes = self.get("/v1/nodes").await?;
        let nodes = nodes["items"].as_array().map_or(&[][..], Vec::as_slice).iter();
        let shares: Vec<usize> = nodes.filter_map(|node| Some(node["partitions"].as_array()?.len())).collect();
        let (least, most) = (shares.iter().min().unwrap_or(&0), shares.iter().max().unwrap_or(&0));
        Ok(shares.len() == count && *least > 0 && most - least <= 1)
    }

    pub async fn prepare(&self, workload: Workload) -> anyhow::Result<()> {
        match workload {
            Workload::W1 | Workload::W2 => self.workflow_activate(&serde_json::from_str(BENCH)?).await,
            Workload::W3 | Workload::W3Batch => Ok(()),
            Workload::W4 => {
                let function = json!({"function": {"name": REMOTE_FUNCTION, "handler": {"type": "worker"}}});
                self.post("/v1/functions", &function).await?;
                self.workflow_activate(&serde_json::from_str(REMOTE)?).await
            }
        }
    }

    pub async fn worker_key(&self) -> anyhow::Result<String> {
        let key = json!({"name": "worker", "performs": {"names": [REMOTE_FUNCTION]}});
        let made = self.post("/v1/keys", &key).await?;
        Ok(made["secret"].as_str().context("`POST /v1/keys` gave no secret")?.to_owned())
    }

    /// The command of a worker, words separated by spaces, with a key of its own.
    pub async fn worker(&self, command: &str) -> anyhow::Result<Command> {
        let mut words = command.split_whitespace();
        let mut worker = Command::new(words.next().context("--worker is empty")?);
        worker
            .args(words)
            .env("FLEETPROMPT_URL", format!("http://{}", self.address))
            .env("FLEETPROMPT_KEY", self.worker_key().await?)
            .env("WORKER_SLOTS", WORKER_SLOTS);
        Ok(worker)
    }

    pub async fn has_worker(&self) -> anyhow::Result<bool> {
        let body = self.get("/v1/workers").await?;
        Ok(body["items"].as_array().is_some_and(|workers| !workers.is_empty()))
    }

    /// A workflow whose runs wait for a directive that nobody reports on.
    pub async fn prepare_waiting(&self) -> anyhow::Result<()> {
        let assign = json!({"directive_type": {"name": "bench.task.assign", "handler": {"type": "manual"}}});
        self.post("/v1/directive-types", &assign).await?;
        self.workflow_activate(&serde_json::from_str(WAITING)?).await
    }

    /// A workflow whose runs complete in the commit of their signal.
    pub async fn prepare_stored(&self) -> anyhow::Result<()> {
        self.workflow_activate(&serde_json::from_str(STORED)?).await
    }

    pub async fn workflow_activate(&self, definition: &Value) -> anyhow::Result<()> {
        self.post("/v1/workflows?activate=true", definition).await?;
        Ok(())
    }

    /// Adds a WebAssembly module, and returns its digest.
    pub async fn module_add(&self, module: &[u8]) -> anyhow::Result<String> {
        let (status, added) = post_bytes(self.address, "/v1/modules", &self.key, "application/wasm", module).await?;
        ensure!((200..300).contains(&status), "POST /v1/modules answered {status}: {added}");
        Ok(added["digest"].as_str().context("`POST /v1/modules` gave no digest")?.to_owned())
    }

    /// Starts a run that waits for each of these orders.
    pub async fn open_tasks(&self, orders: Range<u64>) -> anyhow::Result<()> {
        self.start_runs("bench.task.opened", orders, |number| json!({"order_id": format!("o-{number:010}")})).await
    }

    /// Starts a run that completes at once for each of these orders.
    pub async fn store_orders(&self, orders: Range<u64>) -> anyhow::Result<()> {
        let order = |number| {
            let mut order = Vec::new();
            write_order(&mut order, number);
            serde_json::from_slice(&order).expect("an order is JSON")
        };
        self.start_runs("bench.order.stored", orders, order).await
    }

    /// Emits one batch of signals that each start one run.
    pub async fn start_runs(
        &self,
        name: &str,
        orders: Range<u64>,
        payload: impl Fn(u64) -> Value,
    ) -> anyhow::Result<()> {
        let signals: Vec<Value> = orders.map(|number| json!({"name": name, "payload": payload(number)})).collect();
        let count = signals.len();
        let body = self.send_batch(&json!(signals)).await?;
        self.every_item_started(&body, count)
    }

    /// Emits many signals in one request, again while the server refuses because it has too much to do.
    pub async fn send_batch(&self, signals: &Value) -> anyhow::Result<Value> {
        for _ in 0..100 {
            let (status, body) = call(self.address, "POST", "/v1/signals", Some(&self.key), signals).await?;
            match status {
                200 => return Ok(body),
                429 | 503 => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => bail!("POST /v1/signals answered {status}: {body}"),
            }
        }
        bail!("POST /v1/signals refused a batch a hundred times: the server is overloaded")
    }

    fn every_item_started(&self, body: &Value, count: usize) -> anyhow::Result<()> {
        let results = body["results"].as_array().map_or(&[][..], Vec::as_slice);
        let runs: Vec<&str> = results.iter().filter_map(|item| item["dispositions"][0]["run_id"].as_str()).collect();
        ensure!(runs.len() == count, "{} of {count} signals of a batch started a run: {}", runs.len(), results[0]);
        remember(&self.sample, &self.key, runs[0]);
        Ok(())
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = call(self.address, "GET", path, Some(&self.key), &Value::Null).await?;
        ensure!(status == 200, "GET {path} answered {status}: {answer}");
        Ok(answer)
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = call(self.address, "POST", path, Some(&self.key), body).await?;
        ensure!((200..300).contains(&status), "POST {path} answered {status}: {answer}");
        Ok(answer)
    }

    pub fn requests(&self, workload: Workload, clients: usize) -> Requests {
        let key = self.key.clone();
        let write: Box<Write> = match workload {
            Workload::W1 | Workload::W2 | Workload::W4 => {
                Box::new(move |n, out| write_signal(out, &key, "bench.order.placed", n))
            }
            Workload::W3 => Box::new(move |n, out| write_signal(out, &key, UNHEARD, n)),
            Workload::W3Batch => Box::new(move |n, out| write_batch(out, &key, UNHEARD, n)),
        };
        let (sample, key) = (Rc::clone(&self.sample), self.key.clone());
        let judge: Box<Judge> = match workload {
            Workload::W1 | Workload::W2 => {
                Box::new(move |answer| judge_started(answer, &sample, &key).map(|_| Proof::Complete(1)))
            }
            Workload::W3 => Box::new(|answer| answer.expect(201).map(|()| Proof::Complete(1))),
            Workload::W3Batch => Box::new(judge_batch),
            Workload::W4 => Box::new(move |answer| judge_started(answer, &sample, &key).map(Proof::Begun)),
        };
        let ends = (workload == Workload::W4).then(|| Ends::of(self.address, self.key.clone(), clients));
        Requests { address: self.address, write, judge, ends }
    }

    /// How many of the sampled runs have another status than `wanted`.
    pub async fn runs_not(&self, wanted: &[&str]) -> anyhow::Result<u64> {
        let mut others = 0;
        for Sampled { key, run } in self.sample.take() {
            let body = self.with(self.address, key).get(&format!("/v1/runs/{run}")).await?;
            let run_status = body["run"]["status"].as_str().unwrap_or_default();
            others += u64::from(!wanted.contains(&run_status));
        }
        Ok(others)
    }
}

/// What a worker asks that waits for work.
pub fn write_take(out: &mut Vec<u8>, key: &str, number: usize) {
    let take = json!({"worker": {"name": format!("w{number}")}, "performs": [REMOTE_FUNCTION], "wait": "60s"});
    write_post(out, "/v1/attempts/take", Some(key), take.to_string().as_bytes());
}

fn write_signal(out: &mut Vec<u8>, key: &str, name: &str, number: u64) {
    let mut body = Vec::with_capacity(512);
    write_item(&mut body, name, number);
    write_post(out, "/v1/signals", Some(key), &body);
}

fn write_batch(out: &mut Vec<u8>, key: &str, name: &str, number: u64) {
    let mut body = Vec::with_capacity(512 * BATCH);
    for item in 0..BATCH as u64 {
        body.push(if item == 0 { b'[' } else { b',' });
        write_item(&mut body, name, number * BATCH as u64 + item);
    }
    body.push(b']');
    write_post(out, "/v1/signals", Some(key), &body);
}

fn write_item(body: &mut Vec<u8>, name: &str, number: u64) {
    body.extend_from_slice(format!(r#"{{"name":"{name}","payload":"#).as_bytes());
    write_order(body, number);
    body.push(b'}');
}

#[derive(Deserialize)]
struct Emitted {
    dispositions: Vec<Disposition>,
}

#[derive(Deserialize)]
struct Disposition {
    disposition: String,
    run_id: Option<String>,
}

/// The run of a 201 whose only disposition is `started`. Of a pure workflow it ended in the commit that
/// recorded the signal; the sample proves it afterwards.
fn judge_started(answer: &Answer<'_>, sample: &RefCell<Vec<Sampled>>, key: &str) -> Result<String, Fault> {
    answer.expect(201)?;
    let emitted: Emitted = serde_json::from_slice(answer.body).map_err(|_| Fault::Answer("not a signal's answer"))?;
    match <[Disposition; 1]>::try_from(emitted.dispositions) {
        Ok([Disposition { disposition, run_id: Some(run) }]) if disposition == "started" => {
            remember(sample, key, &run);
            Ok(run)
        }
        _ => Err(Fault::Answer("the signal did not start exactly one run")),
    }
}

/// Keeps the first half of the sample and then always the latest.
fn remember(sample: &RefCell<Vec<Sampled>>, key: &str, run: &str) {
    let mut sample = sample.borrow_mut();
    if sample.len() >= SAMPLE {
        sample.remove(SAMPLE / 2);
    }
    sample.push(Sampled { key: key.to_owned(), run: run.to_owned() });
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    signal: Option<IgnoredAny>,
}

fn judge_batch(answer: &Answer<'_>) -> Result<Proof, Fault> {
    answer.expect(200)?;
    let batch: Batch = serde_json::from_slice(answer.body).map_err(|_| Fault::Answer("not a batch's answer"))?;
    let accepted = batch.results.iter().filter(|item| item.signal.is_some()).count();
    if accepted < BATCH {
        return Err(Fault::Answer("not every signal of a batch was accepted"));
    }
    Ok(Proof::Complete(BATCH as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_only_when_the_answer_names_it_as_started() {
        let sample = RefCell::default();
        let judge = |status, body: &Value| {
            judge_started(&Answer { status, body: body.to_string().as_bytes() }, &sample, "fp_key")
        };
        let answer = |disposition| {
            json!({"signal": {"id": "sig_1"}, "deduplicated": false,
                "dispositions": [{"workflow": "bench", "disposition": disposition, "run_id": "run_1"}]})
        };
        assert_eq!(judge(201, &answer("started")).as_deref(), Ok("run_1"));
        assert!(judge(201, &answer("deduplicated")).is_err());
        assert_eq!(judge(429, &answer("started")), Err(Fault::Status(429)));
        assert!(judge(201, &json!({"dispositions": []})).is_err());
        assert_eq!(sample.borrow().len(), 1);
    }

    #[test]
    fn a_batch_counts_only_when_every_item_was_accepted() {
        let judge = |items: Vec<Value>| {
            judge_batch(&Answer { status: 200, body: json!({"results": items}).to_string().as_bytes() })
        };
        let accepted = json!({"signal": {"id": "sig_1"}, "deduplicated": false, "dispositions": []});
        assert_eq!(judge(vec![accepted.clone(); BATCH]), Ok(Proof::Complete(BATCH as u64)));
        let mut one_refused = vec![accepted; BATCH];
        one_refused[7] = json!({"problem": {"code": "name_invalid"}});
        assert!(judge(one_refused).is_err());
    }

    #[test]
    fn a_batch_is_written_as_an_array_of_different_signals() {
        let mut request = Vec::new();
        write_batch(&mut request, "fp_key", UNHEARD, 3);
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let items: Vec<Value> = serde_json::from_str(body).unwrap();
        assert_eq!(items.len(), BATCH);
        assert_eq!(items[1]["payload"]["order_id"], "o-0000000301");
    }

    #[test]
    fn the_definitions_are_json() {
        for definition in [BENCH, REMOTE, WAITING, STORED] {
            serde_json::from_str::<Value>(definition).expect("JSON");
        }
    }
}
