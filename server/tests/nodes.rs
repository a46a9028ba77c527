//! Several servers over one PostgreSQL database: they share the tenants, each answers for all of them, and what one of
//! them had the others take over when it ends, dies or freezes. What was answered stays, and what was taken for dead writes
//! nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetprompt_testing::Postgres;
use serde_json::{Value, json};
use support::{BINARY, create_tenant, free_port, http, place, verify};
use tokio::sync::watch;

const SOON: Duration = Duration::from_secs(20);

struct Node {
    child: Child,
    url: String,
}

impl Node {
    async fn start(data: &Path, name: &str) -> Self {
        let port = free_port();
        let log = std::env::var("FLEETPROMPT_TEST_LOG").map_or(Stdio::null(), |_| Stdio::inherit());
        let child = Command::new(BINARY)
            .args(["serve", "--node-lease-s", "1", "--node-name", name, "--log", "info"])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(place(data))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let node = Self { child, url: format!("http://127.0.0.1:{port}") };
        until("it is ready", async || node.is_ready().await).await;
        node
    }

    async fn is_ready(&self) -> bool {
        let asked = http().get(format!("{}/readyz", self.url)).timeout(Duration::from_millis(500)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    async fn ask(&self, method: reqwest::Method, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
        let request = http().request(method, format!("{}{path}", self.url)).bearer_auth(key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.timeout(SOON).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, key: &str) -> Value {
        let (status, answer) = self.ask(reqwest::Method::GET, path, key, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Told once: the status of the answer.
    async fn tell(&self, key: &str, dedupe_key: &str) -> u16 {
        let signal = json!({"name": "lead.created", "dedupe_key": dedupe_key, "payload": {}});
        self.ask(reqwest::Method::POST, "/v1/signals", key, Some(signal)).await.0
    }

    async fn told(&self, key: &str) -> Vec<String> {
        let page = self.get("/v1/signals?name=lead.created&limit=1000", key).await;
        let items = page["items"].as_array().unwrap().iter().rev();
        items.map(|signal| signal["dedupe_key"].as_str().unwrap().to_owned()).collect()
    }

    async fn drain(&self, owner: &str, node: &str, is_draining: bool) {
        let path = format!("/v1/nodes/{node}/{}", if is_draining { "drain" } else { "undrain" });
        let (status, answer) = self.ask(reqwest::Method::POST, &path, owner, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }

    /// How many of its answers were 5xx.
    async fn failures(&self) -> u64 {
        let metrics = http().get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let count =
            metrics.lines().find_map(|line| line.strip_prefix("fleetprompt_http_answers_total{status=\"5xx\"} "));
        count.unwrap().parse().unwrap()
    }

    /// Which node has how many partitions.
    async fn shares(&self, owner: &str) -> BTreeMap<String, u64> {
        let nodes = self.get("/v1/nodes", owner).await;
        let nodes = nodes["items"].as_array().unwrap().iter().filter(|node| node["status"] != "gone");
        nodes
            .map(|node| {
                let partitions = node["partitions"].as_array().unwrap().len() as u64;
                (node["name"].as_str().unwrap().to_owned(), partitions)
            })
            .collect()
    }

    /// Workers that wait for work of the key's tenant.
    async fn waiting_workers(&self, key: &str) -> usize {
        let workers = self.get("/v1/workers", key).await;
        workers["items"].as_array().unwrap().iter().filter(|worker| worker["is_waiting"] == true).count()
    }

    async fn until_shared(&self, owner: &str, wanted: &[(&str, u64)]) {
        let wanted: BTreeMap<String, u64> = wanted.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let begun = Instant::now();
        loop {
            let shares = self.shares(owner).await;
            if shares == wanted {
                return;
            }
            assert!(begun.elapsed() < SOON, "{shares:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// SIGTERM, and whether it ended well.
    async fn stop(mut self) -> bool {
        self.signal("-TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(begun.elapsed() < SOON, "{} does not end", self.url);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < SOON, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The first tenant's owner, and the keys of as many others.
async fn tenants(node: &Node, owner: &str, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for number in 0..count {
        let tenant = json!({"slug": format!("tenant-{number}")});
        let (status, made) = node.ask(reqwest::Method::POST, "/v1/tenants", owner, Some(tenant)).await;
        assert_eq!(status, 201, "{made}");
        keys.push(made["key"]["secret"].as_str().unwrap().to_owned());
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_the_tenants_and_each_answers_for_all_of_them() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let one = Node::start(data, "one").await;
    one.until_shared(&owner, &[("one", 16)]).await;
    let two = Node::start(data, "two").await;
    let three = Node::start(data, "three").await;
    until("they share", async || {
        let mut counts: Vec<u64> = one.shares(&owner).await.into_values().collect();
        counts.sort_unstable();
        counts == [5, 5, 6]
    })
    .await;

    // Made through one of them, wherever they belong, and known to all.
    let keys = tenants(&two, &owner, 12).await;
    let slugs: Vec<String> = (0..12).map(|number| format!("tenant-{number}")).collect();
    let listed = three.get("/v1/tenants", &owner).await;
    let listed: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| one["slug"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), 13);
    assert!(slugs.iter().all(|slug| listed.contains(&slug.as_str())));
    let again = three.ask(reqwest::Method::POST, "/v1/tenants", &owner, Some(json!({"slug": "tenant-3"}))).await;
    assert_eq!((again.0, &again.1["code"]), (409, &json!("tenant_exists")));

    for key in &keys {
        assert_eq!(one.tell(key, "a").await, 201);
        assert_eq!(two.tell(key, "a").await, 200, "it is known");
        assert_eq!(two.tell(key, "b").await, 201);
        assert_eq!(three.tell(key, "c").await, 201);
        for node in [&one, &two, &three] {
            assert_eq!(node.told(key).await, ["a", "b", "c"]);
        }
    }

    // An owner's key for another tenant, through a node that may have neither.
    for slug in &slugs {
        let wanted = json!({"tenant": slug, "name": "guest", "role": "viewer"});
        let (status, made) = three.ask(reqwest::Method::POST, "/v1/keys", &owner, Some(wanted)).await;
        assert_eq!(status, 201, "{made}");
        let secret = made["secret"].as_str().unwrap();
        assert_eq!(two.told(secret).await, ["a", "b", "c"]);
        let path = format!("/v1/keys/{}?tenant={slug}", made["id"].as_str().unwrap());
        assert_eq!(one.ask(reqwest::Method::DELETE, &path, &owner, None).await.0, 200);
        for node in [&one, &two, &three] {
            assert_eq!(node.ask(reqwest::Method::GET, "/v1/signals", secret, None).await.0, 401, "it was revoked");
        }
        let refused = two.ask(reqwest::Method::GET, &format!("/v1/keys?tenant={slug}"), &keys[0], None).await;
        assert!(slug == "tenant-0" || refused.0 == 403, "{refused:?}");
    }
    let nobody = two.ask(reqwest::Method::GET, "/v1/keys?tenant=nobody", &owner, None).await;
    assert_eq!(nobody.0, 404, "{nobody:?}");
    assert_eq!(one.ask(reqwest::Method::GET, "/v1/signals", "fp_unknown", None).await.0, 401);
    assert_eq!(one.ask(reqwest::Method::GET, "/nothing", &keys[0], None).await.0, 404);

    for node in [one, two, three] {
        assert!(node.stop().await);
    }
    verify(data);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_waiting_workers_pass_through_any_node() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let one = Node::start(data, "one").await;
    let two = Node::start(data, "two").await;
    one.until_shared(&owner, &[("one", 8), ("two", 8)]).await;
    let keys = tenants(&one, &owner, 6).await;
    for key in &keys {
        score_leads(&two, key).await;
        let take_at = |node: &Node, name| tokio::spawn(take(node.url.clone(), key.clone(), name, "20s"));
        let waiting = [take_at(&one, "at one"), take_at(&two, "at two")];
        let mut streams = Vec::new();
        for node in [&one, &two] {
            let request = http().get(format!("{}/v1/signals/tail?name=lead.created", node.url)).bearer_auth(key);
            streams.push(request.send().await.unwrap());
        }
        until("both wait", async || one.waiting_workers(key).await == 2).await;
        assert_eq!(one.tell(key, "a").await, 201);
        assert_eq!(two.tell(key, "b").await, 201);
        for waits in waiting {
            let taken = waits.await.unwrap();
            assert_eq!(taken["attempts"].as_array().unwrap().len(), 1, "{taken}");
        }
        for stream in &mut streams {
            let mut seen = String::new();
            until_seen(stream, &mut seen, "\"b\"").await;
            assert!(seen.contains("\"a\""), "{seen}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_all_tenants_perform_for_all_that_the_node_which_they_ask_decides_for() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let (node, other) = (Node::start(data, "one").await, Node::start(data, "two").await);
    node.until_shared(&owner, &[("one", 8), ("two", 8)]).await;
    let keys = tenants(&node, &owner, 5).await;
    for key in &keys {
        score_leads(&node, key).await;
    }
    let all = json!({"name": "of all", "performs": {"names": ["*"], "all_tenants": true}});
    let (status, made) = node.ask(reqwest::Method::POST, "/v1/keys", &owner, Some(all)).await;
    assert_eq!(status, 201, "{made}");
    let all = made["secret"].as_str().unwrap();
    for key in &keys {
        let mut here = tokio::spawn(take(node.url.clone(), all.to_owned(), "w", "20s"));
        let mut there = tokio::spawn(take(other.url.clone(), all.to_owned(), "w", "20s"));
        until("it waits at the node that decides for the tenant", async || node.waiting_workers(key).await > 0).await;
        assert_eq!(node.tell(key, "a").await, 201);
        let (taken, node, idle) = tokio::select! {
            taken = &mut here => (taken.unwrap(), &node, there),
            taken = &mut there => (taken.unwrap(), &other, here),
        };
        idle.abort();
        let id = taken["attempts"][0]["id"].clone();
        let kept = json!({"worker": {"name": "w"}, "attempts": [{"id": id}]});
        let (_, kept) = node.ask(reqwest::Method::POST, "/v1/attempts/heartbeat", all, Some(kept)).await;
        assert_eq!(kept["results"][0]["status"], "kept", "{kept}");
        let told = json!({"worker": {"name": "w"}, "outcomes": [{"id": id, "status": "succeeded", "output": 7}]});
        let (_, told) = node.ask(reqwest::Method::POST, "/v1/attempts/report", all, Some(told)).await;
        assert_eq!(told["results"][0]["status"], "recorded", "{told}");
        let runs = node.get("/v1/runs", key).await;
        assert_eq!(runs["items"][0]["status"], "completed");
    }
    // One that decides for nothing has nothing to do, until it decides for something.
    node.drain(&owner, "one", true).await;
    other.until_shared(&owner, &[("one", 0), ("two", 16)]).await;
    let begun = Instant::now();
    assert_eq!(take(node.url.clone(), all.to_owned(), "w", "300ms").await["attempts"], json!([]));
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    // It hears of what its node decides for, whether that comes before its request or after.
    let waiting = tokio::spawn(take(node.url.clone(), all.to_owned(), "w", "20s"));
    node.drain(&owner, "one", false).await;
    node.drain(&owner, "two", true).await;
    other.until_shared(&owner, &[("one", 16), ("two", 0)]).await;
    assert_eq!(other.tell(&keys[0], "b").await, 201);
    let taken = tokio::time::timeout(SOON, waiting).await.expect("it hears of it").unwrap();
    assert_eq!(taken["attempts"].as_array().unwrap().len(), 1, "{taken}");

    // What waits under the key ends at once, also at nodes that do not decide for the tenant of the key.
    let waiting = [&other, &node].map(|node| tokio::spawn(take(node.url.clone(), all.to_owned(), "w", "60s")));
    until("they wait", async || node.waiting_workers(&keys[0]).await > 0).await;
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    let revoked = node.ask(reqwest::Method::DELETE, &path, &owner, None);
    assert_eq!(revoked.await.0, 200);
    for waits in waiting {
        let ended = tokio::time::timeout(SOON, waits).await.expect("it ends").unwrap();
        assert_eq!(ended["status"], 401, "{ended}");
    }
    for node in [&node, &other] {
        let ask = json!({"worker": {"name": "w"}, "performs": ["lead.score"]});
        assert_eq!(node.ask(reqwest::Method::POST, "/v1/attempts/take", all, Some(ask)).await.0, 401);
    }
}

/// Leads are scored by workers.
async fn score_leads(node: &Node, key: &str) {
    let function = json!({"function": {"name": "lead.score", "handler": {"type": "worker"}}});
    let workflow = json!({"workflow": {
        "name": "Scored", "version": "1.0.0", "trigger": {"signal": "lead.created"},
        "steps": [{"id": "score", "type": "function", "function": "lead.score", "input": {}}],
    }});
    for (path, body) in [("/v1/functions", function), ("/v1/workflows?activate=true", workflow)] {
        let (status, answer) = node.ask(reqwest::Method::POST, path, key, Some(body)).await;
        assert!(status < 300, "{path}: {answer}");
    }
}

async fn take(url: String, key: String, name: &str, wait: &str) -> Value {
    let ask = json!({"worker": {"name": name}, "performs": ["lead.score"], "limit": 1, "wait": wait});
    let request = http().post(format!("{url}/v1/attempts/take")).bearer_auth(key).json(&ask);
    request.send().await.unwrap().json().await.unwrap()
}

async fn until_seen(stream: &mut reqwest::Response, seen: &mut String, what: &str) {
    while !seen.contains(what) {
        let chunk = tokio::time::timeout(SOON, stream.chunk()).await.expect("something comes").unwrap();
        seen.push_str(std::str::from_utf8(&chunk.expect("it goes on")).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_had_is_taken_over_when_it_freezes_or_is_killed() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let frozen = Node::start(data, "frozen").await;
    let keys = tenants(&frozen, &owner, 6).await;
    for key in &keys {
        assert_eq!(frozen.tell(key, "one").await, 201);
    }
    let other = Node::start(data, "other").await;
    other.until_shared(&owner, &[("frozen", 8), ("other", 8)]).await;
    frozen.signal("-STOP");
    let begun = Instant::now();
    for key in &keys {
        assert_eq!(other.tell(key, "two").await, 201);
        assert_eq!(other.told(key).await, ["one", "two"]);
    }
    assert!(begun.elapsed() < SOON / 2, "{:?}", begun.elapsed());
    frozen.signal("-CONT");
    // What it believes to have is not its own any more, and it takes its share again.
    for key in &keys {
        until("it is told", async || matches!(frozen.tell(key, "three").await, 200 | 201)).await;
        assert_eq!(frozen.told(key).await, ["one", "two", "three"]);
    }
    other.until_shared(&owner, &[("frozen", 8), ("other", 8)]).await;
    frozen.signal("-KILL");
    for key in &keys {
        assert_eq!(other.tell(key, "four").await, 201);
    }
    other.until_shared(&owner, &[("other", 16)]).await;
    assert!(other.stop().await);
    verify(data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_or_is_drained_hands_over_without_a_pause() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let owner = create_tenant(data, "acme");
    let (one, two) = (Node::start(data, "one").await, Node::start(data, "two").await);
    one.until_shared(&owner, &[("one", 8), ("two", 8)]).await;
    let keys = tenants(&one, &owner, 6).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (told, mut counts): (Vec<_>, Vec<_>) = keys.iter().map(|_| watch::channel(0)).unzip();
    let telling = keys.iter().zip(told);
    let telling: Vec<_> = telling
        .map(|(key, told)| tokio::spawn(tell_on_and_on(one.url.clone(), key.clone(), stop.clone(), told)))
        .collect();

    one.drain(&owner, "two", true).await;
    one.until_shared(&owner, &[("one", 16), ("two", 0)]).await;
    let back = two.ask(reqwest::Method::POST, "/v1/nodes/two/undrain", &owner, None).await;
    assert_eq!(back.0, 200, "{back:?}");
    one.until_shared(&owner, &[("one", 8), ("two", 8)]).await;
    assert!(two.stop().await);
    one.until_shared(&owner, &[("one", 16)]).await;
    let unknown = one.ask(reqwest::Method::POST, "/v1/nodes/nobody/drain", &owner, None).await;
    assert_eq!(unknown.0, 404, "{unknown:?}");
    let refused = one.ask(reqwest::Method::GET, "/v1/nodes", &keys[0], None).await;
    assert_eq!(refused.0, 403, "it is for owners");

    for count in &mut counts {
        let before = *count.borrow();
        let went_on = tokio::time::timeout(SOON, count.wait_for(|count| *count > before + 10)).await;
        went_on.expect("each goes on to be told").unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for (key, telling) in keys.iter().zip(telling) {
        let (count, slowest) = telling.await.unwrap();
        println!("{count} told, the slowest took {slowest:?}");
        assert!(count > 1, "{count}");
        assert!(slowest < SOON / 2, "{slowest:?}");
        assert_eq!(one.told(key).await.len(), count.min(1000));
    }
    assert!(one.stop().await);
    verify(data);
}

/// How many were told, and how long the slowest took. None may be refused.
async fn tell_on_and_on(
    url: String,
    key: String,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    told: watch::Sender<usize>,
) -> (usize, Duration) {
    let (http, mut count, mut slowest) = (http(), 0, Duration::ZERO);
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        let signal = json!({"name": "lead.created", "dedupe_key": format!("n{count}"), "payload": {}});
        let begun = Instant::now();
        let answer = http.post(format!("{url}/v1/signals")).bearer_auth(&key).json(&signal).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 201, "{}", answer.text().await.unwrap());
        slowest = slowest.max(begun.elapsed());
        count += 1;
        told.send_replace(count);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (count, slowest)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_accepted_and_afterwards_all_goes_on() {
    let mut postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let key = create_tenant(data, "acme");
    let (one, two) = (Node::start(data, "one").await, Node::start(data, "two").await);
    one.until_shared(&key, &[("one", 8), ("two", 8)]).await;
    assert_eq!(one.tell(&key, "one").await, 201);
    postgres.kill();
    for node in [&one, &two] {
        let before = node.failures().await;
        assert_eq!(node.tell(&key, "two").await, 503);
        assert_eq!(node.failures().await, before + 1, "each of them counts what it answered");
    }
    until("they say that they are not ready", async || !one.is_ready().await && !two.is_ready().await).await;
    postgres.start_again();
    for node in [&one, &two] {
        until("it is ready again", async || node.is_ready().await).await;
        until("it goes on", async || node.tell(&key, "two").await != 503).await;
        assert_eq!(node.told(&key).await, ["one", "two"]);
    }
}
