//! The blueprint's checklist for adding a workflow (its section 7), line by line, on the blueprint's
//! own workflow and through the real binary.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::OnceLock;

use serde_json::{Value, json};
use support::{FORUM_SECRET, ForumProcess, Server, file, thread_created};

/// A server with the blueprint's workflow, a forum, and one thread that was triaged.
struct Triaged {
    server: Server,
    forum: ForumProcess,
    emitted: Value,
    run: Value,
    timeline: Value,
    folder: tempfile::TempDir,
}

async fn triaged() -> Triaged {
    let folder = tempfile::tempdir().unwrap();
    let forum = ForumProcess::start(folder.path().join("forum")).await;
    forum.open_thread("42").await;
    let server = Server::fresh(&folder.path().join("server")).await;
    server.register_forum_triage(&forum.url, FORUM_SECRET).await;
    let emitted = server.post("/v1/signals", &thread_created("42", "thread-42")).await;
    server.until_quiet().await;
    let id = emitted["dispositions"][0]["run_id"].as_str().unwrap().to_owned();
    let run = server.get(&format!("/v1/runs/{id}")).await["run"].clone();
    let timeline = server.get(&format!("/v1/runs/{id}/timeline")).await;
    Triaged { server, forum, emitted, run, timeline, folder }
}

fn names(timeline: &Value) -> Vec<String> {
    let signals = timeline["signals"].as_array().unwrap();
    signals.iter().map(|signal| signal["name"].as_str().unwrap().to_owned()).collect()
}

/// The JSON of the blueprint's section 4, as the example carries it.
fn blueprint() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(&file("examples/forum-triage/workflow.json")).unwrap())
}

#[tokio::test]
async fn trigger_is_a_signal() {
    let triaged = triaged().await;
    assert_eq!(blueprint()["workflow"]["trigger"], json!({"signal": "forum.thread.created"}));
    assert_eq!(triaged.timeline["trigger"]["name"], "forum.thread.created");
    assert_eq!(triaged.run["signal_id"], triaged.emitted["signal"]["id"]);
    assert_eq!(triaged.run["causation_id"], triaged.emitted["signal"]["id"]);
}

#[tokio::test]
async fn starts_via_directive_not_hidden() {
    let triaged = triaged().await;
    let directive = &triaged.timeline["directive"];
    assert_eq!(
        (directive["name"].as_str(), directive["status"].as_str()),
        (Some("workflow.run.start"), Some("succeeded"))
    );
    assert_eq!(directive["causation_id"], triaged.emitted["signal"]["id"]);
    assert_eq!(directive["output"]["run_id"], triaged.run["id"]);
    let requested = triaged.server.all("/v1/signals?name=directive.requested").await;
    assert!(requested.iter().any(|signal| signal["directive_id"] == directive["id"]));
}

#[tokio::test]
async fn run_is_durable_and_tenant_scoped() {
    let triaged = triaged().await;
    let (id, key) = (triaged.run["id"].as_str().unwrap().to_owned(), triaged.server.key.clone());
    let data = triaged.folder.path().join("server");
    triaged.server.kill();
    let stranger = support::create_tenant(&data, "other");
    let server = Server::start(&data, support::free_port(), key).await;
    assert_eq!(server.get(&format!("/v1/runs/{id}")).await["run"], triaged.run);
    let stranger = server.with_key(&stranger);
    let (status, _) = stranger.send(stranger.request(reqwest::Method::GET, &format!("/v1/runs/{id}"))).await;
    assert_eq!(status, 404);
    assert!(stranger.all("/v1/runs").await.is_empty());
}

#[tokio::test]
async fn steps_are_idempotent_and_retry_safe() {
    let triaged = triaged().await;
    let id = triaged.run["id"].as_str().unwrap();
    // The same fact again, and the same signal replayed: the same run, and no second post.
    let again = triaged.server.post("/v1/signals", &thread_created("42", "thread-42")).await;
    assert_eq!((&again["deduplicated"], &again["signal"]["id"]), (&json!(true), &triaged.emitted["signal"]["id"]));
    let signal = triaged.emitted["signal"]["id"].as_str().unwrap();
    let replayed = triaged.server.post(&format!("/v1/signals/{signal}/replay"), &json!({})).await;
    assert_eq!(replayed["dispositions"][0]["disposition"], "deduplicated");
    assert_eq!(replayed["dispositions"][0]["run_id"].as_str(), Some(id));
    triaged.server.until_quiet().await;
    assert_eq!(triaged.server.all("/v1/runs").await.len(), 1);
    let deliveries = triaged.forum.get("/deliveries").await;
    let effects = deliveries["effects"].as_array().unwrap();
    assert_eq!(effects.len(), 1);
    assert_eq!(effects[0]["idempotency_key"].as_str(), Some(format!("{id}:post_summary").as_str()));
}

#[tokio::test]
async fn emits_signals_for_lifecycle_and_steps() {
    let triaged = triaged().await;
    let names = names(&triaged.timeline);
    for expected in [
        "workflow.run.started",
        "workflow.step.started",
        "workflow.step.completed",
        "directive.requested",
        "directive.started",
        "directive.succeeded",
        "workflow.run.completed",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected} is missing in {names:?}");
    }
    assert_eq!(names.iter().filter(|name| *name == "workflow.step.completed").count(), 2);
    let correlation = &triaged.run["correlation_id"];
    for signal in triaged.timeline["signals"].as_array().unwrap() {
        assert_eq!(&signal["correlation_id"], correlation);
        assert!(signal["causation_id"].is_string(), "{signal}");
    }
}

#[tokio::test]
async fn has_an_operator_friendly_audit_trail() {
    let triaged = triaged().await;
    let id = triaged.run["id"].as_str().unwrap();
    let why = triaged.server.get(&format!("/v1/runs/{id}/why")).await;
    let chain = why["chain"].as_array().unwrap();
    assert_eq!(chain.first().unwrap()["id"].as_str(), Some(id));
    assert_eq!(chain.last().unwrap()["id"], triaged.emitted["signal"]["id"]);
    let output = std::process::Command::new(support::BINARY)
        .args(["run", "timeline", id, "--url", &triaged.server.url, "--key", &triaged.server.key])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for word in ["forum.thread.created", "workflow.run.start", "summarize", "post_summary", "forum.post.create"] {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
    // Step-level logs: what the attempt did stands in the signal that ended it.
    let signals = triaged.timeline["signals"].as_array().unwrap();
    let delivered = signals.iter().find(|signal| signal["name"] == "directive.succeeded").unwrap();
    assert!(delivered["payload"]["logs"][0].as_str().unwrap().starts_with("POST http"));
}
