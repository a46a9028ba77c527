//! What clients were told while servers failed under them, and whether it is so afterwards.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{ForumProcess, Reach, http, thread_created};

const THREADS: u64 = 10;

/// What the clients were told.
#[derive(Default)]
pub struct Ledger {
    /// Dedupe key → the signal that the server said it recorded.
    acknowledged: Mutex<HashMap<String, String>>,
    pub next: AtomicU64,
    pub stop: AtomicBool,
}

impl Ledger {
    /// Of one tenant, when all is quiet: its signals and its runs.
    pub async fn judge(&self, reach: &Reach) -> (Vec<Value>, Vec<Value>) {
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let signals = reach.all("/v1/signals?name=forum.thread.created").await;
        let runs = reach.all("/v1/runs").await;
        each_acknowledged_signal_is_there_once(&acknowledged, &signals);
        each_signal_has_one_completed_run(&signals, &runs);
        time_never_went_back(&reach.all("/v1/signals").await);
        (signals, runs)
    }
}

pub async fn open_threads(forum: &ForumProcess) {
    for thread in 0..THREADS {
        forum.open_thread(&thread.to_string()).await;
    }
}

/// One client: a fact at a time, told again under the same key until it is acknowledged.
/// Each time by the next of the servers.
pub async fn emit_until_told(ledger: Arc<Ledger>, urls: Vec<String>, key: String) {
    let http = http();
    let mut turns = urls.iter().cycle();
    while !ledger.stop.load(Ordering::SeqCst) {
        let number = ledger.next.fetch_add(1, Ordering::SeqCst);
        let dedupe_key = format!("fact-{number}");
        let signal = thread_created(&(number % THREADS).to_string(), &dedupe_key);
        loop {
            let url = turns.next().unwrap();
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

pub async fn each_effect_happened_once(forum: &ForumProcess, runs: &[Value]) {
    let deliveries = forum.get("/deliveries").await;
    let effects = deliveries["effects"].as_array().unwrap();
    let keys: HashSet<&str> = effects.iter().map(|effect| effect["idempotency_key"].as_str().unwrap()).collect();
    assert_eq!((keys.len(), effects.len()), (runs.len(), runs.len()));
    for run in runs {
        let key = format!("{}:post_summary", run["id"].as_str().unwrap());
        assert!(keys.contains(key.as_str()), "{key}");
    }
    assert_eq!(posts_in_all_threads(forum).await, runs.len());
}

/// In the order of the log, which lists are the reverse of.
fn time_never_went_back(signals: &[Value]) {
    let recorded = |signal: &Value| signal["recorded_at"].as_str().unwrap().to_owned();
    for pair in signals.windows(2) {
        let (later, earlier) = (&pair[0], &pair[1]);
        assert!(later["id"].as_str() > earlier["id"].as_str(), "{later} {earlier}");
        assert!(recorded(later) >= recorded(earlier), "{later} {earlier}");
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

pub fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A linear congruential step is random enough to choose moments.
pub fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}
