//! Connections that nobody has a key for: limited, timed out, logged, and no reason for a stop to wait.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start(data: &Path, more: &[&str]) -> Server {
    let key = support::create_tenant(data, "acme");
    let mut serve = Command::new(support::BINARY);
    serve.arg("serve").args(more).stderr(File::create(data.join("log")).unwrap());
    Server::launch(serve, &format!("127.0.0.1:{}", support::free_port()), data, key).await
}

async fn connect(server: &Server, begun: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(begun.as_bytes()).await.unwrap();
    stream
}

/// By a connection that is open already.
async fn metrics(held: &mut TcpStream) -> String {
    held.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"# EOF\n") {
        assert_ne!(held.read_buf(&mut text).await.unwrap(), 0, "{}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.trim().parse().unwrap()
}

/// Only a test that has failed takes so long.
const SOON: Duration = Duration::from_secs(20);
const REFUSED: &str = "fleetprompt_http_connections_refused_total{reason=\"address\"}";
const ACCEPT_FAILED: &str = "fleetprompt_http_connections_refused_total{reason=\"accept\"}";

#[tokio::test]
async fn half_sent_requests_do_not_delay_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]).await;
    let key = server.key.clone();
    let post = format!("POST /v1/signals HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 99\r\n");
    let mut held = Vec::new();
    for begun in ["", "POST /v1/sig", &post, &format!("{post}\r\n[")] {
        held.push(connect(&server, begun).await);
    }
    // A later connection is answered, so the earlier ones are being read.
    metrics(&mut connect(&server, "").await).await;
    let begun = Instant::now();
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_address_has_a_limit_and_gets_in_again_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--connections-per-address", "8"]).await;
    let mut held = Vec::new();
    // The client that asked whether the server is ready holds some of them.
    let refused = loop {
        let mut stream = connect(&server, "").await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        match stream.read_exact(&mut status).await {
            Ok(_) if status == *b"HTTP/1.1 200" => held.push(stream),
            refused => break refused.map(|_| status),
        }
        assert!(held.len() <= 8, "no limit");
    };
    assert!(refused.is_err() || refused.is_ok_and(|status| status == *b"HTTP/1.1 503"));
    held.truncate(held.len() - 2);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < SOON);
        let mut stream = connect(&server, "").await;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        if stream.read_to_string(&mut text).await.is_ok() && text.starts_with("HTTP/1.0 200") {
            assert!(metric(&text, REFUSED) >= 1);
            break;
        }
    }
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.matches("connections were refused").count(), 1, "{log}");
    server.stop();
}

#[tokio::test]
async fn at_the_limit_of_open_files_it_says_so_waits_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]).await;
    let mut held = connect(&server, "").await;
    assert_eq!(metric(&metrics(&mut held).await, ACCEPT_FAILED), 0);
    let pid = Pid::from_raw(server.pid() as i32);
    let set = |current| prlimit(pid, Resource::Nofile, Rlimit { current: Some(current), maximum: before_max(pid) });
    // No file can be opened: each number below is in use.
    let before = set(3).unwrap();
    let mut waiting = connect(&server, "GET /healthz HTTP/1.0\r\n\r\n").await;
    let begun = Instant::now();
    while metric(&metrics(&mut held).await, ACCEPT_FAILED) < 2 {
        assert!(begun.elapsed() < SOON);
    }
    for _ in 0..100 {
        metrics(&mut held).await;
    }
    let failed = metric(&metrics(&mut held).await, ACCEPT_FAILED);
    assert!(failed < 10, "it spins: {failed}");
    set(before.current.unwrap()).unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, waiting.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log.matches("connections were refused").count(), 1, "{log}");
    assert!(log.contains("open files"), "{log}");
    server.stop();
}

/// The hard limit stays as it is.
fn before_max(pid: Option<Pid>) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", pid.unwrap().as_raw_nonzero())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(4).unwrap().parse().ok()
}

#[tokio::test]
async fn http_2_is_served_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]).await;
    let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = http.get(format!("{}/healthz", server.url)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    drop(http);
    server.stop();
}
