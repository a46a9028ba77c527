//! From a data folder into a database and back: what was open goes on, what was known is known, and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use fleetprompt_testing::Postgres;
use serde_json::json;
use support::{BINARY, FORUM_SECRET, ForumProcess, Server, free_port, thread_created, verify};

fn migrate(from: &str, to: &str) -> Output {
    Command::new(BINARY).args(["migrate", "--from", from, "--to", to]).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_becomes_a_database_and_back_and_goes_on_as_if_nothing_had_happened() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start());
    let (data, database) = (folder.path().join("data"), postgres.database());
    let (source, back) = (format!("sqlite://{}", data.display()), folder.path().join("back"));
    let forum = ForumProcess::start(folder.path().join("forum")).await;
    forum.open_thread("42").await;

    let server = Server::fresh(&data).await;
    server.register_forum_triage(&forum.url, FORUM_SECRET).await;
    let told = server.post("/v1/signals", &thread_created("42", "first")).await;
    server.until_quiet().await;
    let waits = json!({"workflow": {
        "name": "Waits", "version": "1.0.0", "trigger": {"signal": "lead.created"},
        "steps": [{"id": "go", "type": "wait", "signal": "lead.ready"}],
    }});
    server.post("/v1/workflows?activate=true", &waits).await;
    let waiting = server.post("/v1/signals", &json!({"name": "lead.created", "payload": {}})).await;
    let waiting = waiting["dispositions"][0]["run_id"].as_str().unwrap().to_owned();
    for number in 0..30 {
        server.post("/v1/tenants", &json!({"slug": format!("tenant-{number}")})).await;
    }
    let before = server.all("/v1/signals").await;
    let (key, runs) = (server.key.clone(), server.all("/v1/runs").await);
    let refused = migrate(&source, &database);
    assert!(!refused.status.success() && said(&refused).contains("in use"), "{}", said(&refused));
    server.stop();

    let moved = migrate(&source, &database);
    assert!(moved.status.success() && said(&moved).contains("31 tenants"), "{}", said(&moved));
    let again = migrate(&source, &database);
    assert!(!again.status.success() && said(&again).contains("has tenants already"), "{}", said(&again));
    verify(Path::new(&database));

    let server = Server::start(Path::new(&database), free_port(), key.clone()).await;
    assert_eq!(server.all("/v1/signals").await, before);
    assert_eq!(server.all("/v1/runs").await, runs);
    let known = server.post("/v1/signals", &thread_created("42", "first")).await;
    assert_eq!((&known["deduplicated"], &known["signal"]["id"]), (&json!(true), &told["signal"]["id"]));
    server.post("/v1/signals", &json!({"name": "lead.ready", "payload": {}})).await;
    server.until_quiet().await;
    assert_eq!(server.get(&format!("/v1/runs/{waiting}")).await["run"]["status"], "completed");
    let after = server.all("/v1/signals").await;
    assert!(after.ends_with(&before) && after.len() > before.len());
    let refused = migrate(&database, &format!("sqlite://{}", back.display()));
    assert!(!refused.status.success() && said(&refused).contains("at work"), "{}", said(&refused));
    server.stop();

    let moved = migrate(&database, &format!("sqlite://{}", back.display()));
    assert!(moved.status.success(), "{}", said(&moved));
    verify(&back);
    let server = Server::start(&back, free_port(), key).await;
    assert_eq!(server.all("/v1/signals").await, after);
    server.stop();
}
