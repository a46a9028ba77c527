//! The scenario that every SDK is held against (`sdk/scenario.json`): a worker of each performs the same, over
//! the real binary, and the same comes of it.
//!
//! `FLEETPROMPT_SDKS` says which, separated by commas: `rust`, which is the default, `python` and `typescript`.
//! These two need what `scripts/check` sets up for them.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{BINARY, Server, create_tenant, file, free_port};

const LEASE_S: &str = "1";
/// As many as items of a case are made at the same time.
const SLOTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_every_sdk_does_what_the_scenario_says() {
    let sdks = std::env::var("FLEETPROMPT_SDKS").unwrap_or_else(|_| "rust".to_owned());
    let scenario: Value = serde_json::from_str(&file("sdk/scenario.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = create_tenant(&data, "acme");
    let server = Server::start_with(&data, free_port(), key, &["--lease-s", LEASE_S]).await;
    register(&server, &scenario).await;
    let made = server.post("/v1/keys", &json!({"name": "sdk", "performs": {"names": ["scenario.*"]}})).await;
    for sdk in sdks.split(',') {
        let worker = WorkerProcess::start(sdk, &server.url, made["secret"].as_str().unwrap());
        for (number, case) in scenario["cases"].as_array().unwrap().iter().enumerate() {
            let is = format!("{sdk}: {}", case["is"].as_str().unwrap());
            let (run, took) = play(&server, sdk, number, case).await;
            judge(&server, &is, case, &run, took).await;
        }
        let workers = server.get("/v1/workers").await;
        let own = workers["items"].as_array().unwrap().iter().find(|worker| worker["name"] == sdk);
        assert!(own.is_some_and(|worker| worker["slots"] == SLOTS), "{workers:#}");
        worker.stop();
    }
}

async fn register(server: &Server, scenario: &Value) {
    for name in scenario["functions"].as_array().unwrap() {
        server.post("/v1/functions", &json!({"function": {"name": name, "handler": {"type": "worker"}}})).await;
    }
    for name in scenario["directives"].as_array().unwrap() {
        let directive = json!({"directive_type": {"name": name, "handler": {"type": "worker"}}});
        server.post("/v1/directive-types", &directive).await;
    }
    for (number, case) in scenario["cases"].as_array().unwrap().iter().enumerate() {
        let kind = case["kind"].as_str().unwrap();
        let input = if kind == "directive" { "payload" } else { "input" };
        let mut step = json!({"id": "it", "type": kind, kind: case["name"], input: "${signal.payload.input}"});
        if case.get("items").is_some() {
            step[input] = json!("${item}");
            step["for_each"] = json!({"items": "${signal.payload.input}", "tolerate": 1});
        }
        for field in ["retry", "timeout"] {
            if let Some(value) = case.get(field) {
                step[field] = value.clone();
            }
        }
        let trigger = json!({"signal": format!("scenario.c{number}")});
        let workflow =
            json!({"name": format!("Case {number}"), "version": "1.0.0", "trigger": trigger, "steps": [step]});
        server.post("/v1/workflows?activate=true", &json!({"workflow": workflow})).await;
    }
}

/// A run of the case to its end, and how long it took.
async fn play(server: &Server, sdk: &str, number: usize, case: &Value) -> (Value, Duration) {
    let begun = Instant::now();
    let signal = json!({"name": format!("scenario.c{number}"), "dedupe_key": format!("{sdk}-{number}"),
        "payload": {"input": input_of(case)}});
    let told = server.post("/v1/signals", &signal).await;
    let path = format!("/v1/runs/{}", told["dispositions"][0]["run_id"].as_str().unwrap());
    let is_canceled = case["cancel"] == true;
    let mut canceled = false;
    loop {
        let run = server.get(&path).await["run"].clone();
        if is_canceled && !canceled && run["steps"][0]["with_worker"]["status"] == "taken" {
            server.post(&format!("{path}/cancel"), &json!({"reason": "to see it stop"})).await;
            canceled = true;
        }
        if run.get("ended_at").is_some() {
            return (run, begun.elapsed());
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{sdk}, case {number}: {run:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn input_of(case: &Value) -> Value {
    let Some(count) = case["items"].as_u64() else { return case["input"].clone() };
    let levels = |number| if case["bad"] == number { 100 } else { 0 };
    (0..count).map(|number| json!({"number": number, "of": count, "levels": levels(number)})).collect()
}

/// Every item was made once, and one of them failed.
async fn judge_items(server: &Server, is: &str, case: &Value, run: &Value) {
    let output = |number| match case["bad"] == number {
        true => Value::Null,
        false => json!({"number": number, "delivery": 1}),
    };
    let outputs: Vec<Value> = (0..case["items"].as_u64().unwrap()).map(output).collect();
    assert_eq!(run["steps"][0]["output"], json!(outputs), "{is}");
    let timeline = server.get(&format!("/v1/runs/{}/timeline?limit=1000", run["id"].as_str().unwrap())).await;
    let signals = timeline["signals"].as_array().unwrap().iter();
    let failed: Vec<&Value> = signals.filter(|signal| signal["name"] == "workflow.step.failed").collect();
    assert_eq!(failed.len(), 1, "{is}: {failed:?}");
    let payload = &failed[0]["payload"];
    assert_eq!((&payload["item"], &payload["error"]["code"]), (&case["bad"], &case["code"]), "{is}");
}

async fn judge(server: &Server, is: &str, case: &Value, run: &Value, took: Duration) {
    let step = &run["steps"][0];
    assert_eq!(run["status"], case["status"], "{is}: {run:#}");
    if case.get("items").is_some() {
        return judge_items(server, is, case, run).await;
    }
    if let Some(output) = case.get("output") {
        assert_eq!(&step["output"], output, "{is}");
    }
    if let Some(code) = case.get("code") {
        assert_eq!(&step["error"]["code"], code, "{is}: {step:#}");
    }
    if let Some(millis) = case["takes_ms"].as_u64() {
        assert!(took >= Duration::from_millis(millis), "{is}: it took {took:?}");
    }
    if let Some(attempts) = case.get("attempts").filter(|_| case["kind"] == "function") {
        assert_eq!(&step["attempt"], attempts, "{is}");
    }
    if let Some(logs) = case.get("logs") {
        let timeline = server.get(&format!("/v1/runs/{}/timeline", run["id"].as_str().unwrap())).await;
        let signals = timeline["signals"].as_array().unwrap();
        let last = signals.iter().rfind(|signal| signal["name"] == "workflow.step.completed").unwrap();
        assert_eq!(&last["payload"]["logs"], logs, "{is}");
    }
    if case["kind"] == "directive" {
        let id = step["directive_id"].as_str().unwrap();
        let directive = server.get(&format!("/v1/directives/{id}")).await;
        assert_eq!(directive["output"]["key"], directive["idempotency_key"], "{is}: {directive:#}");
        assert_eq!(directive["output"]["delivery"], 1, "{is}");
    }
}

struct WorkerProcess {
    child: Child,
}

impl WorkerProcess {
    fn start(sdk: &str, url: &str, key: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let in_root = |path: &str| -> PathBuf { root.join(path) };
        let mut command = match sdk {
            "rust" => Command::new(Path::new(BINARY).with_file_name("examples").join("scenario")),
            "python" => {
                let mut python = Command::new(in_root("target/sdk-python/bin/python"));
                python.arg(in_root("sdk/python/scenario.py"));
                python
            }
            "typescript" => {
                let mut node = Command::new("node");
                node.arg(in_root("sdk/typescript/scenario.mjs"));
                node
            }
            other => panic!("there is no SDK `{other}`: rust, python, typescript"),
        };
        command.env("WORKER_SLOTS", SLOTS.to_string());
        command.env("FLEETPROMPT_URL", url).env("FLEETPROMPT_KEY", key).env("WORKER_NAME", sdk).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"), "{sdk}");
        Self { child }
    }

    /// SIGTERM: it finishes what it has and ends well.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
