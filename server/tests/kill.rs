//! `kill -9` at random moments while signals stream in: whatever was answered is there once, every
//! run ends, every effect happened once under its key, and the rows are what the log says.
//!
//! `FLEETPROMPT_KILL_ROUNDS` and `FLEETPROMPT_SEED` say how often and which moments.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use support::{FORUM_SECRET, ForumProcess, Server, create_tenant, free_port, http, thread_created, verify};

const CLIENTS: u64 = 6;
const THREADS: u64 = 10;

/// What the clients were told.
#[derive(Default)]
struct Ledger {
    /// Dedupe key → the signal that the server said it recorded.
    acknowledged: Mutex<HashMap<String, String>>,
    next: AtomicU64,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let folder = tempfile::tempdir().unwrap();
    kill_again_and_again(&folder.path().join("server"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_over_postgres_where_the_next_server_waits_for_the_lease_to_end() {
    let postgres = fleetprompt_testing::Postgres::start();
    kill_again_and_again(Path::new(&postgres.database()), &["--node-lease-s", "1"]).await;
}

async fn kill_again_and_again(data: &Path, more: &[&str]) {
    let rounds: u32 = number("FLEETPROMPT_KILL_ROUNDS", 30);
    let mut seed: u64 = number("FLEETPROMPT_SEED", u64::from(std::process::id()));
    println!("to repeat: FLEETPROMPT_SEED={seed} FLEETPROMPT_KILL_ROUNDS={rounds}");

    let folder = tempfile::tempdir().unwrap();
    let forum = ForumProcess::start(folder.path().join("forum")).await;
    for thread in 0..THREADS {
        forum.open_thread(&thread.to_string()).await;
    }
    let key = create_tenant(data, "acme");
    let port = free_port();
    let mut server = Server::start_with(data, port, key.clone(), more).await;
    server.register_forum_triage(&forum.url, FORUM_SECRET).await;

    let ledger = Arc::new(Ledger::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(emit_until_told(ledger.clone(), server.url.clone(), key.clone()))).collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(20 + random(&mut seed) % 300)).await;
        server.kill();
        server = Server::start_with(data, port, key.clone(), more).await;
    }
    ledger.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    server.until_quiet().await;

    let acknowledged = ledger.acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > rounds as usize, "only {} signals got through", acknowledged.len());
    let signals = server.all("/v1/signals?name=forum.thread.created").await;
    let runs = server.all("/v1/runs").await;
    each_acknowledged_signal_is_there_once(&acknowledged, &signals);
    each_signal_has_one_completed_run(&signals, &runs);
    each_effect_happened_once(&forum.get("/deliveries").await, &runs);
    assert_eq!(posts_in_all_threads(&forum).await, runs.len());
    server.stop();
    verify(data);
    println!("{} signals through {rounds} kills", signals.len());
}

/// One client: a fact at a time, told again under the same key until it is acknowledged.
async fn emit_until_told(ledger: Arc<Ledger>, url: String, key: String) {
    let http = http();
    while !ledger.stop.load(Ordering::SeqCst) {
        let number = ledger.next.fetch_add(1, Ordering::SeqCst);
        let dedupe_key = format!("fact-{number}");
        let signal = thread_created(&(number % THREADS).to_string(), &dedupe_key);
        loop {
            let request = http.post(format!("{url}/v1/signals")).bearer_auth(&key).json(&signal);
            // Nobody waits for ever for one that is gone.
            let sent = request.timeout(Duration::from_secs(30)).send().await;
            if let Some(id) = told(sent).await {
                ledger.acknowledged.lock().unwrap().insert(dedupe_key, id);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
}

/// The id that a whole answer names; half an answer tells nothing.
async fn told(sent: reqwest::Result<reqwest::Response>) -> Option<String> {
    let answer = sent.ok()?;
    if !answer.status().is_success() {
        assert!(answer.status().is_server_error() || answer.status().as_u16() == 429, "{}", answer.status());
        return None;
    }
    let body: Value = answer.json().await.ok()?;
    Some(body["signal"]["id"].as_str()?.to_owned())
}

fn each_acknowledged_signal_is_there_once(acknowledged: &HashMap<String, String>, signals: &[Value]) {
    let mut stored = HashMap::new();
    for signal in signals {
        let key = signal["dedupe_key"].as_str().unwrap().to_owned();
        let twice = stored.insert(key, signal["id"].as_str().unwrap().to_owned());
        assert_eq!(twice, None, "{signal}");
    }
    for (key, id) in acknowledged {
        assert_eq!(stored.get(key), Some(id), "{key}");
    }
}

fn each_signal_has_one_completed_run(signals: &[Value], runs: &[Value]) {
    let of_signal: HashSet<&str> = runs.iter().map(|run| run["signal_id"].as_str().unwrap()).collect();
    assert_eq!((of_signal.len(), runs.len()), (signals.len(), signals.len()));
    for run in runs {
        assert_eq!(run["status"], "completed", "{run:#}");
    }
}

fn each_effect_happened_once(deliveries: &Value, runs: &[Value]) {
    let effects = deliveries["effects"].as_array().unwrap();
    let keys: HashSet<&str> = effects.iter().map(|effect| effect["idempotency_key"].as_str().unwrap()).collect();
    assert_eq!((keys.len(), effects.len()), (runs.len(), runs.len()));
    for run in runs {
        let key = format!("{}:post_summary", run["id"].as_str().unwrap());
        assert!(keys.contains(key.as_str()), "{key}");
    }
}

async fn posts_in_all_threads(forum: &ForumProcess) -> usize {
    let mut count = 0;
    for thread in 0..THREADS {
        let posts = forum.get(&format!("/threads/{thread}/posts")).await;
        count += posts["posts"].as_array().unwrap().len();
    }
    count
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A linear congruential step is random enough to choose moments.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}
