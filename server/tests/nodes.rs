//! Two servers over one PostgreSQL database: one works, the other waits, and takes over when the first ends, dies or
//! freezes. What was answered stays, and what was taken for dead writes nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetprompt_testing::Postgres;
use serde_json::{Value, json};
use support::{BINARY, create_tenant, free_port, http, place, verify};

struct Node {
    child: Child,
    url: String,
    key: String,
}

impl Node {
    fn start(data: &Path, key: &str) -> Self {
        let port = free_port();
        let child = Command::new(BINARY)
            .args(["serve", "--node-lease-s", "1", "--log", "warn", "--listen", &format!("127.0.0.1:{port}")])
            .args(place(data))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}"), key: key.to_owned() }
    }

    async fn is_ready(&self) -> bool {
        let asked = http().get(format!("{}/readyz", self.url)).timeout(Duration::from_millis(500)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    async fn until_ready(&self, within: Duration) {
        let begun = Instant::now();
        while !self.is_ready().await {
            assert!(begun.elapsed() < within, "{} is not ready", self.url);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Told once: the status of the answer.
    async fn tell(&self, dedupe_key: &str) -> u16 {
        let signal = json!({"name": "lead.created", "dedupe_key": dedupe_key, "payload": {}});
        let request = http().post(format!("{}/v1/signals", self.url)).bearer_auth(&self.key).json(&signal);
        request.send().await.unwrap().status().as_u16()
    }

    async fn told(&self) -> Vec<String> {
        let request = http().get(format!("{}/v1/signals?name=lead.created", self.url)).bearer_auth(&self.key);
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        let items = page["items"].as_array().unwrap().iter().rev();
        items.map(|signal| signal["dedupe_key"].as_str().unwrap().to_owned()).collect()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    async fn until_ended(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{} does not end", self.url);
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

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_accepted_and_afterwards_all_goes_on() {
    let mut postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let key = create_tenant(data, "acme");
    let node = Node::start(data, &key);
    node.until_ready(SOON).await;
    assert_eq!(node.tell("one").await, 201);
    postgres.kill();
    assert_eq!(node.tell("two").await, 503);
    let begun = Instant::now();
    while node.is_ready().await {
        assert!(begun.elapsed() < SOON, "it says that it is ready");
    }
    postgres.start_again();
    node.until_ready(SOON).await;
    while node.tell("two").await == 503 {
        assert!(begun.elapsed() < SOON, "it does not go on");
    }
    assert_eq!(node.told().await, ["one", "two"]);
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_next_node_takes_over_from_one_that_freezes_and_from_one_that_stops() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let key = create_tenant(data, "acme");
    let mut first = Node::start(data, &key);
    first.until_ready(SOON).await;
    let mut second = Node::start(data, &key);
    assert_eq!(first.tell("one").await, 201);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!second.is_ready().await, "it waits, for longer than a lease");

    first.signal("-STOP");
    second.until_ready(SOON).await;
    assert_eq!(second.told().await, ["one"]);
    assert_eq!(second.tell("two").await, 201);
    first.signal("-CONT");
    assert_eq!(first.tell("three").await, 503, "it writes nothing any more");
    assert!(!first.until_ended().await, "it says that it did not end well");
    assert_eq!(second.told().await, ["one", "two"]);

    let third = Node::start(data, &key);
    tokio::time::sleep(Duration::from_millis(500)).await;
    second.signal("-TERM");
    assert!(second.until_ended().await);
    third.until_ready(SOON).await;
    assert_eq!(third.tell("two").await, 200, "it is known");
    assert_eq!(third.told().await, ["one", "two"]);
    third.signal("-TERM");
    let mut third = third;
    assert!(third.until_ended().await);
    verify(data);
}
