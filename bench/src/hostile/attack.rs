//! The attacks: for each, what the attacking tenant prepares, and what its clients send.

use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use crate::fleetprompt::{Api, write_take};
use crate::http::{write_get, write_post};

use super::attacker::{Client, WriteRequest};
use super::definitions::{
    ENDLESS_MODULE, costly_expression, emitting_twice, failing, for_each, function_steps, large_definition, workflow,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Attack {
    /// Three workflows that fail, two of them started by any failure
    Storm,
    /// Two workflows that emit the signal of the other, twice each
    PingPong,
    /// Runs with a `for_each` of 250 items over a costly expression
    ForEach,
    /// Runs of 300 function steps with a costly expression each
    FunctionSteps,
    /// Runs with a `for_each` of 250 items over a module that uses all its fuel
    ModuleFuel,
    /// Two clients that apply definitions of 10,000 steps
    Definitions,
    /// 1,000 functions that wait for a worker, 1,000 workers that wait for another, and two readers of `/metrics`
    Workers,
    /// Four readers of pages of 250 signals of 1 MiB
    Pages,
    /// 20 tails that begin behind 250 signals of 1 MiB and never read
    Tails,
    /// 24 clients that validate a definition of 10,000 steps
    Validations,
    /// 40 clients with batches of 9 MB
    Batches,
    /// 400 connections without a key, of which 200 sent half a request and 200 nothing
    HalfSent,
}

/// Size of the attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Full,
    /// A fiftieth, to see that the attacks work.
    Tiny,
}

impl Size {
    pub fn scale(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Tiny => (full / 50).max(1),
        }
    }
}

impl Attack {
    pub fn name(self) -> String {
        self.to_possible_value().expect("no attack is hidden").get_name().to_owned()
    }

    /// Prepares the attack with the key of the attacking tenant, and returns its clients.
    pub async fn prepare(self, api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
        match self {
            Self::Storm => storm(api).await,
            Self::PingPong => ping_pong(api).await,
            Self::ForEach => costly_for_each(api, size).await,
            Self::FunctionSteps => costly_steps(api, size).await,
            Self::ModuleFuel => module_fuel(api, size).await,
            Self::Definitions => Ok((0..2).map(|client| apply_definitions(api, client, size)).collect()),
            Self::Workers => workers(api, size).await,
            Self::Pages => pages(api, size).await,
            Self::Tails => tails(api, size).await,
            Self::Validations => Ok(validations(api, size)),
            Self::Batches => Ok(batches(api, size)),
            Self::HalfSent => Ok(half_sent(size)),
        }
    }
}

async fn storm(api: &Api) -> anyhow::Result<Vec<Client>> {
    for (slug, trigger) in [("bad", "t.bad"), ("again", "workflow.run.failed"), ("twice", "workflow.run.failed")] {
        api.workflow_activate(&failing(slug, trigger)).await?;
    }
    Ok(vec![emits(api, "t.bad", &json!({}))])
}

async fn ping_pong(api: &Api) -> anyhow::Result<Vec<Client>> {
    api.workflow_activate(&emitting_twice("ping", "t.ping", "t.pong")).await?;
    api.workflow_activate(&emitting_twice("pong", "t.pong", "t.ping")).await?;
    Ok(vec![emits(api, "t.ping", &json!({}))])
}

async fn costly_for_each(api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
    api.workflow_activate(&for_each("costly", "t.costly", "json.identity", &costly_expression())).await?;
    Ok(vec![emits(api, "t.costly", &items(size.scale(250)))])
}

async fn costly_steps(api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
    api.workflow_activate(&function_steps("costly", "t.costly", size.scale(300))).await?;
    Ok(vec![emits(api, "t.costly", &json!({}))])
}

async fn module_fuel(api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
    let digest = api.module_add(ENDLESS_MODULE).await?;
    let handler = json!({"type": "wasm", "module": digest});
    api.post("/v1/functions", &json!({"function": {"name": "bench.endless", "handler": handler}})).await?;
    api.workflow_activate(&for_each("endless", "t.endless", "bench.endless", "${item}")).await?;
    Ok(vec![emits(api, "t.endless", &items(size.scale(250)))])
}

fn apply_definitions(api: &Api, client: usize, size: Size) -> Client {
    let (before, after) = large_definition(size.scale(10_000));
    let key = api.key.clone();
    repeats(move |number, out| {
        let definition = format!("{before}{client}.{number}{after}");
        write_post(out, "/v1/workflows?activate=true", Some(&key), definition.as_bytes());
    })
}

async fn workers(api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
    let mut names = Vec::new();
    for number in 0..size.scale(1_000) {
        let name = format!("bench.f{number}");
        let function = json!({"function": {"name": name, "handler": {"type": "worker"}}});
        match api.post("/v1/functions", &function).await {
            Ok(_) => names.push(name),
            Err(refused) => {
                eprintln!("the server took {number} functions of one tenant and no more: {refused:#}");
                break;
            }
        }
    }
    // The second step needs the first one, so the others need none.
    let step = |(number, name)| {
        let needs = if number == 1 { json!(["s0"]) } else { json!([]) };
        json!({"id": format!("s{number}"), "type": "function", "function": name, "needs": needs, "input": {}})
    };
    api.workflow_activate(&workflow("many", "t.many", &names.iter().enumerate().map(step).collect())).await?;
    api.post("/v1/signals", &json!({"name": "t.many", "payload": {}})).await?;
    let key = api.worker_key().await?;
    let worker = |number| {
        let mut take = Vec::new();
        write_take(&mut take, &key, number);
        repeats(move |_, out| out.extend_from_slice(&take))
    };
    let mut clients: Vec<Client> = (0..size.scale(1_000)).map(worker).collect();
    clients.extend(vec![gets(api, "/metrics"); 2]);
    Ok(clients)
}

async fn pages(api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
    store_large_signals(api, size.scale(250)).await?;
    Ok(vec![gets(api, "/v1/signals?name=bench.large&limit=250"); 4])
}

/// Each tail begins behind the first large signal, so that there is much to send at once.
async fn tails(api: &Api, size: Size) -> anyhow::Result<Vec<Client>> {
    let first = store_large_signals(api, size.scale(250)).await?;
    let mut tail = Vec::new();
    write_get(&mut tail, &format!("/v1/signals/tail?after={first}"), &api.key);
    let mut clients = vec![Client::Hold(tail.into()); size.scale(20).max(2)];
    clients.push(emits(api, "bench.large", &large_payload()));
    Ok(clients)
}

/// Stores so many signals of 1 MB, and returns the id of the first.
async fn store_large_signals(api: &Api, count: usize) -> anyhow::Result<String> {
    let signal = json!({"name": "bench.large", "payload": large_payload()});
    let mut first = None;
    let mut left = count;
    while left > 0 {
        // As many as fit into one request.
        let batch = left.min(9);
        let results = api.send_batch(&json!(vec![&signal; batch])).await?;
        first = first.or_else(|| Some(results["results"][0]["signal"]["id"].as_str()?.to_owned()));
        left -= batch;
    }
    first.context("the answer to a batch has no id of a signal")
}

fn large_payload() -> Value {
    json!({"text": "x".repeat(1_000_000)})
}

fn validations(api: &Api, size: Size) -> Vec<Client> {
    let (before, after) = large_definition(size.scale(10_000));
    vec![posts(api, "/v1/workflows/validate", format!("{before}0.0{after}").as_bytes()); size.scale(24).max(2)]
}

fn batches(api: &Api, size: Size) -> Vec<Client> {
    let signal = json!({"name": "bench.batch", "payload": {"text": "x".repeat(10_000)}});
    let batch = json!(vec![signal; size.scale(900)]).to_string();
    vec![posts(api, "/v1/signals", batch.as_bytes()); size.scale(40).max(2)]
}

/// One half ends in the headers, the other before them. A body is never read from a request without a key.
fn half_sent(size: Size) -> Vec<Client> {
    let halves = ["POST /v1/signals HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le", ""].into_iter().cycle();
    halves.take(size.scale(400)).map(|half| Client::Hold(half.as_bytes().into())).collect()
}

fn items(count: usize) -> Value {
    json!({"items": (0..count).collect::<Vec<_>>()})
}

fn emits(api: &Api, name: &str, payload: &Value) -> Client {
    posts(api, "/v1/signals", json!({"name": name, "payload": payload}).to_string().as_bytes())
}

fn posts(api: &Api, path: &str, body: &[u8]) -> Client {
    let mut request = Vec::new();
    write_post(&mut request, path, Some(&api.key), body);
    repeats(move |_, out| out.extend_from_slice(&request))
}

fn gets(api: &Api, path: &str) -> Client {
    let mut request = Vec::new();
    write_get(&mut request, path, &api.key);
    repeats(move |_, out| out.extend_from_slice(&request))
}

fn repeats(write: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static) -> Client {
    let write: Arc<WriteRequest> = Arc::new(write);
    Client::Loop(write)
}
