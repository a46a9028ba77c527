//! Real workflow graphs whose every task is a worker's, while workers are killed, frozen past their lease and
//! restarted, and the server is killed too: every run ends, every effect happens under its key before what
//! depends on it, and the rows are what the log says.
//!
//! `FLEETPROMPT_KILL_ROUNDS` and `FLEETPROMPT_SEED` say how often and which moments; `FLEETPROMPT_DAGS` is a
//! folder of graphs, `{"tasks": [{"id", "parents"}]}`. Without one they are made by the seed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::{BINARY, Server, create_tenant, free_port, http, verify};

const WORKERS: usize = 3;
const LEASE_S: u64 = 1;
/// Larger graphs take longer than a test may.
const TASKS_MAX: usize = 60;

/// For each task, which ones come before it.
type Graph = Vec<Vec<usize>>;

#[tokio::test(flavor = "multi_thread")]
async fn graphs_of_tasks_come_to_their_end_through_killed_and_frozen_workers() {
    let rounds: u32 = number("FLEETPROMPT_KILL_ROUNDS", 16);
    let mut seed: u64 = number("FLEETPROMPT_SEED", u64::from(std::process::id()));
    println!("to repeat: FLEETPROMPT_SEED={seed} FLEETPROMPT_KILL_ROUNDS={rounds}");
    let graphs = graphs(&mut seed);

    let folder = tempfile::tempdir().unwrap();
    let (data, ledger) = (folder.path().join("server"), folder.path().join("ledger"));
    let key = create_tenant(&data, "acme");
    let port = free_port();
    let lease = LEASE_S.to_string();
    let mut server = Server::start_with(&data, port, key.clone(), &["--lease-s", &lease]).await;
    register(&server, &graphs).await;
    let made = server.post("/v1/keys", &json!({"name": "fleet", "performs": {"names": ["scenario.*"]}})).await;
    let workers_key = made["secret"].as_str().unwrap().to_owned();
    let start = |name: usize| WorkerProcess::start(&server_url(port), &workers_key, name, &ledger);
    let mut workers: Vec<WorkerProcess> = (0..WORKERS).map(start).collect();

    let stop = Arc::new(AtomicBool::new(false));
    let told = tokio::spawn(emit_until_stopped(stop.clone(), server.url.clone(), key.clone(), graphs.len()));
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(50 + random(&mut seed) % 250)).await;
        let at = random(&mut seed) as usize % WORKERS;
        match random(&mut seed) % 4 {
            0 => {
                server.kill();
                server = Server::start_with(&data, port, key.clone(), &["--lease-s", &lease]).await;
            }
            1 => {
                // It wakes up when another has its attempts, and reports them.
                workers[at].signal("STOP");
                tokio::time::sleep(Duration::from_millis(LEASE_S * 1_000 + 300)).await;
                workers[at].signal("CONT");
            }
            _ => workers[at] = start(WORKERS + round as usize),
        }
    }
    stop.store(true, Ordering::SeqCst);
    let runs = told.await.unwrap();
    server.until_quiet().await;

    assert!(!runs.is_empty(), "no run was started");
    let happened = happened(&ledger);
    for (run, graph) in &runs {
        let stored = server.get(&format!("/v1/runs/{run}")).await["run"].clone();
        assert_eq!(stored["status"], "completed", "{stored:#}");
        each_task_happened_after_what_it_needs(run, &graphs[*graph], &happened);
    }
    let expected: usize = runs.iter().map(|(_, graph)| graphs[*graph].len()).sum();
    assert_eq!(happened.len(), expected, "nothing happened under a key that nobody asked for");
    let directives = server.all("/v1/directives?name=scenario.notify").await;
    assert!(directives.iter().all(|directive| directive["status"] == "succeeded"));
    assert_eq!(directives.len(), expected);
    drop(workers);
    server.stop();
    verify(&data);
    println!("{} runs, {expected} tasks through {rounds} rounds", runs.len());
}

// Graphs

fn graphs(seed: &mut u64) -> Vec<Graph> {
    let given = std::env::var("FLEETPROMPT_DAGS").ok().map(PathBuf::from);
    let folder = given.or_else(|| {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wfinstances");
        beside.is_dir().then_some(beside)
    });
    let read: Vec<Graph> = folder.iter().flat_map(|folder| read_graphs(folder)).collect();
    if read.is_empty() { (0..6).map(|_| made_graph(seed)).collect() } else { read }
}

fn read_graphs(folder: &Path) -> Vec<Graph> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    let graphs = paths.iter().map(|path| {
        let read: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let tasks = read["tasks"].as_array().unwrap();
        let numbers: HashMap<&str, usize> =
            tasks.iter().enumerate().map(|(number, task)| (task["id"].as_str().unwrap(), number)).collect();
        let parents = |task: &Value| {
            task["parents"].as_array().unwrap().iter().map(|parent| numbers[parent.as_str().unwrap()]).collect()
        };
        tasks.iter().map(parents).collect()
    });
    graphs.filter(|graph: &Graph| graph.len() <= TASKS_MAX).collect()
}

fn made_graph(seed: &mut u64) -> Graph {
    let tasks = 5 + random(seed) as usize % 30;
    let mut graph = Graph::new();
    for task in 0..tasks {
        let mut parents: Vec<usize> =
            (0..random(seed) % 3).filter(|_| task > 0).map(|_| random(seed) as usize % task.max(1)).collect();
        parents.sort_unstable();
        parents.dedup();
        graph.push(parents);
    }
    graph
}

/// A workflow for each graph: every task is a directive that a worker carries out.
async fn register(server: &Server, graphs: &[Graph]) {
    let retry = json!({"max_attempts": 10, "initial": "50ms", "max": "1s"});
    let handler = json!({"type": "worker"});
    let directive = json!({"directive_type": {"name": "scenario.notify", "handler": handler, "retry": retry}});
    server.post("/v1/directive-types", &directive).await;
    for (number, graph) in graphs.iter().enumerate() {
        let id = |task: &usize| format!("t{task}");
        let steps: Vec<Value> = graph
            .iter()
            .enumerate()
            .map(|(task, parents)| {
                json!({"id": id(&task), "type": "directive", "directive": "scenario.notify",
                    "needs": parents.iter().map(id).collect::<Vec<_>>(), "payload": {"ms": 5}})
            })
            .collect();
        let trigger = json!({"signal": format!("graph.g{number}")});
        let workflow =
            json!({"name": format!("Graph {number}"), "version": "1.0.0", "trigger": trigger, "steps": steps});
        server.post("/v1/workflows?activate=true", &json!({"workflow": workflow})).await;
    }
}

/// A run of one graph after the other; gives each run with its graph.
async fn emit_until_stopped(stop: Arc<AtomicBool>, url: String, key: String, graphs: usize) -> Vec<(String, usize)> {
    let (http, mut runs) = (http(), Vec::new());
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let graph = number % graphs;
        let signal = json!({"name": format!("graph.g{graph}"), "dedupe_key": format!("run-{number}"), "payload": {}});
        let run = loop {
            let sent = http.post(format!("{url}/v1/signals")).bearer_auth(&key).json(&signal).send().await;
            if let Ok(answer) = sent
                && answer.status().is_success()
                && let Ok(body) = answer.json::<Value>().await
            {
                break body["dispositions"][0]["run_id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        runs.push((run, graph));
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    runs
}

// What happened

/// Each key, and when it was first written: what honours keys does the rest only once.
fn happened(ledger: &Path) -> HashMap<String, usize> {
    let mut happened = HashMap::new();
    for (at, key) in std::fs::read_to_string(ledger).unwrap().lines().enumerate() {
        happened.entry(key.to_owned()).or_insert(at);
    }
    happened
}

fn each_task_happened_after_what_it_needs(run: &str, graph: &Graph, happened: &HashMap<String, usize>) {
    let at = |task: usize| happened[&format!("{run}:t{task}")];
    for (task, parents) in graph.iter().enumerate() {
        for parent in parents {
            assert!(at(*parent) < at(task), "task {task} of {run} came before {parent}");
        }
    }
}

// Workers

struct WorkerProcess {
    child: Child,
}

impl WorkerProcess {
    fn start(url: &str, key: &str, name: usize, ledger: &Path) -> Self {
        let program = Path::new(BINARY).with_file_name("examples").join("scenario");
        let child = Command::new(&program)
            .env("FLEETPROMPT_URL", url)
            .env("FLEETPROMPT_KEY", key)
            .env("WORKER_NAME", format!("worker-{name}"))
            .env("SCENARIO_LEDGER", ledger)
            .stdout(Stdio::null())
            .spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{}: {error}", program.display())) }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
    }
}

/// `kill -9`.
impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// xorshift: the moments are as good as random, and come again with the seed.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}
