//! What a server says and does when its disk, its folder or its database fails under it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetprompt_testing::Postgres;
use reqwest::Method;
use serde_json::{Value, json};
use support::{BINARY, Reach, Server, create_tenant, free_port, verify};

/// System calls of a server that fail when a test says so.
struct Faults {
    library: PathBuf,
    order: PathBuf,
}

impl Faults {
    fn new(folder: &Path) -> Self {
        let (library, order) = (folder.join("fault.so"), folder.join("fault"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fault.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(compiler.status().unwrap().success());
        Self { library, order }
    }

    async fn server(&self, data: &Path, key: &str) -> Server {
        let mut serve = Command::new(BINARY);
        serve.env("LD_PRELOAD", &self.library).env("FAULT", &self.order).arg("serve");
        Server::launch(serve, &format!("127.0.0.1:{}", free_port()), data, key.to_owned()).await
    }

    fn set(&self, fault: &str) {
        // The server must not read half of it.
        let half = self.order.with_extension("half");
        std::fs::write(&half, fault).unwrap();
        std::fs::rename(half, &self.order).unwrap();
    }

    fn end(&self) {
        let _ = std::fs::remove_file(&self.order);
    }
}

/// The status, and the code of a problem.
async fn emit(reach: &Reach, dedupe_key: &str) -> (u16, String) {
    let signal = json!({"name": "lead.created", "dedupe_key": dedupe_key, "payload": {}});
    let (status, answer) = reach.send(reach.request(Method::POST, "/v1/signals").json(&signal)).await;
    (status, answer["code"].as_str().unwrap_or_default().to_owned())
}

fn problem(code: &str) -> (u16, String) {
    (503, code.to_owned())
}

/// In the order in which they were recorded.
async fn leads(reach: &Reach) -> Vec<Value> {
    let newest_first = reach.all("/v1/signals?name=lead.created").await;
    newest_first.into_iter().rev().map(|lead| lead["dedupe_key"].clone()).collect()
}

async fn is_ready(reach: &Reach) -> bool {
    reach.request(Method::GET, "/readyz").send().await.unwrap().status().is_success()
}

async fn until_ready(reach: &Reach) {
    let begun = Instant::now();
    while !is_ready(reach).await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it did not become ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_sync_failed_is_removed_or_its_outcome_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = create_tenant(&data, "acme");
    let faults = Faults::new(folder.path());
    let server = faults.server(&data, &key).await;
    assert_eq!(emit(&server, "before").await.0, 201);

    // One sync fails: what it left in the log is overwritten before anybody is answered.
    faults.set("sync once");
    assert_eq!(emit(&server, "refused").await, problem("unavailable"));
    server.kill();
    let server = faults.server(&data, &key).await;
    assert_eq!(leads(&server).await, ["before"], "nothing was accepted, as its caller was told");

    // Each sync fails: nobody knows.
    faults.set("sync");
    assert_eq!(emit(&server, "unknown").await, problem("outcome_unknown"));
    assert!(!is_ready(&server).await);
    server.kill();
    faults.end();
    let server = faults.server(&data, &key).await;
    assert!(matches!(emit(&server, "unknown").await.0, 200 | 201));
    assert_eq!(leads(&server).await, ["before", "unknown"], "with the same key it is there once");

    // The same process goes on once the disk does, and what was in doubt is not there.
    faults.set("sync");
    assert_eq!(emit(&server, "doubt").await, problem("outcome_unknown"));
    faults.end();
    assert_eq!(emit(&server, "after").await.0, 201);
    until_ready(&server).await;
    server.kill();
    let server = faults.server(&data, &key).await;
    assert_eq!(leads(&server).await, ["before", "unknown", "after"]);
    server.stop();
    verify(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_the_server_is_ready_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = create_tenant(&data, "acme");
    let faults = Faults::new(folder.path());
    let server = faults.server(&data, &key).await;
    faults.set("write");
    for number in 0..3 {
        assert_eq!(emit(&server, &number.to_string()).await, problem("unavailable"));
    }
    assert!(!is_ready(&server).await);
    faults.end();
    // No request comes: the server finds out by itself.
    until_ready(&server).await;
    assert_eq!(emit(&server, "after").await.0, 201);
    assert_eq!(leads(&server).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_read_is_not_called_damage() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = create_tenant(&data, "acme");
    let faults = Faults::new(folder.path());
    let server = faults.server(&data, &key).await;
    assert_eq!(emit(&server, "before").await.0, 201);
    faults.set("read");
    let (status, answer) = server.send(server.request(Method::GET, "/v1/signals")).await;
    assert_eq!((status, answer["code"].as_str()), (503, Some("unavailable")), "{answer}");
    faults.end();
    assert_eq!(leads(&server).await, ["before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_vanishes_ends_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let elsewhere = folder.path().join("elsewhere");
    let server = Server::fresh(&data).await;
    assert_eq!(emit(&server, "before").await.0, 201);

    assert_eq!(leads(&server).await, ["before"]);
    std::fs::rename(&data, &elsewhere).unwrap();
    assert!(!is_ready(&server).await, "it notices before it is asked for anything");
    assert_eq!(emit(&server, "moved").await, problem("unavailable"));
    std::fs::rename(&elsewhere, &data).unwrap();
    assert_eq!(emit(&server, "back").await.0, 201, "it is the same folder");
    until_ready(&server).await;

    std::fs::rename(&data, &elsewhere).unwrap();
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(elsewhere.join("fleetprompt.db"), data.join("fleetprompt.db")).unwrap();
    assert_eq!(emit(&server, "replaced").await, problem("unavailable"));
    std::fs::remove_dir_all(&data).unwrap();
    assert_eq!(emit(&server, "removed").await, problem("unavailable"));
    assert_eq!(leads(&server).await, ["before", "back"]);
    assert_eq!(server.end().code(), Some(1));
    verify(&elsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_commits_the_database_refuses_is_not_ready() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let server = Server::fresh(Path::new(&address)).await;
    assert_eq!(emit(&server, "before").await.0, 201);
    postgres.ask("REVOKE INSERT ON signals FROM fleetprompt");
    assert_eq!(emit(&server, "refused").await, problem("unavailable"));
    assert!(!is_ready(&server).await);

    let mut serve = Command::new(BINARY);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--database", &address]).stdout(Stdio::null());
    let other = serve.output().unwrap();
    assert!(!other.status.success(), "a node that may not write does not start");
    assert!(String::from_utf8_lossy(&other.stderr).contains("signals"), "{}", String::from_utf8_lossy(&other.stderr));

    postgres.ask("GRANT INSERT ON signals TO fleetprompt");
    until_ready(&server).await;
    assert_eq!(leads(&server).await, ["before"]);
    assert_eq!(emit(&server, "after").await.0, 201);
    server.stop();
    verify(Path::new(&address));
}
