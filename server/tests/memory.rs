//! Requests that would take too much memory are refused before they are read, and everyone else is served.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Reach, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const CLIENTS: usize = 40;

async fn start(data: &Path) -> (Server, Reach) {
    let (key, other) = (support::create_tenant(data, "acme"), support::create_tenant(data, "other"));
    let server = Server::start_with(data, support::free_port(), key, &["--request-memory-mib", "40"]).await;
    let other = server.with_key(&other);
    (server, other)
}

fn peak_mib(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() / 1024
}

async fn reserved(reach: &Reach) -> u64 {
    let (_, text) = reach.send(reach.request(reqwest::Method::GET, "/metrics")).await;
    let text = text.as_str().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("fleetprompt_request_memory_bytes ")).unwrap();
    line.parse().unwrap()
}

async fn until(reach: &Reach, holds: impl Fn(u64) -> bool) {
    let begun = Instant::now();
    while !holds(reserved(reach).await) {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

/// Nine signals of a megabyte.
fn batch(client: usize) -> String {
    let one = |number| {
        let payload = json!({"text": "x".repeat(1_000_000)});
        json!({"name": "a.b", "dedupe_key": format!("{client}-{number}"), "payload": payload})
    };
    Value::from((0..9).map(one).collect::<Vec<_>>()).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_clients_with_batches_of_nine_megabytes_are_served_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (server, other) = start(folder.path()).await;
    let sending = (0..CLIENTS).map(|client| {
        let reach = (*server).clone();
        tokio::spawn(async move {
            let request = reach.request(reqwest::Method::POST, "/v1/signals");
            let request = request.header("content-type", "application/json").body(batch(client));
            let answer = request.send().await.unwrap();
            let retry_after = answer.headers().contains_key("retry-after");
            let status = answer.status().as_u16();
            (status, retry_after, answer.json::<Value>().await.unwrap())
        })
    });
    let mut accepted = 0;
    for sent in sending.collect::<Vec<_>>() {
        match sent.await.unwrap() {
            (200, _, answer) => {
                let results = answer["results"].as_array().unwrap();
                assert!(results.len() == 9 && results.iter().all(|result| result["signal"].is_object()), "{answer}");
                accepted += 1;
            }
            (429 | 503, retry_after, _) => assert!(retry_after),
            other => panic!("{other:?}"),
        }
        // The other tenant is not refused meanwhile.
        other.post("/v1/signals", &json!({"name": "c.d"})).await;
    }
    assert!((1..CLIENTS).contains(&accepted), "{accepted}");
    assert!(peak_mib(&server) < 300, "{} MiB", peak_mib(&server));
    until(&server, |bytes| bytes < 1 << 20).await;
    server.post_text("/v1/signals", "application/json", batch(CLIENTS)).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_take_their_tenants_share_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (server, other) = start(folder.path()).await;
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST /v1/signals HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 2000000\r\n\r\n[",
            server.key
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    until(&other, |bytes| bytes > 20 << 20).await;
    assert!(reserved(&other).await <= 30 << 20);
    other.post("/v1/signals", &json!({"name": "c.d"})).await;
    // Without a key nothing is read at all.
    let stranger = other.with_key("fp_unknown");
    let sent = stranger.request(reqwest::Method::POST, "/v1/signals").header("expect", "100-continue").body("[]");
    assert_eq!(stranger.send(sent).await.0, 401);
    drop(held);
    until(&other, |bytes| bytes < 1 << 20).await;
    server.post("/v1/signals", &json!({"name": "a.b"})).await;
    server.stop();
}
