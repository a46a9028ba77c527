use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use fleetprompt_store::counting::CountingStore;
use fleetprompt_store::memory::MemoryStore;
use serde_json::json;

use crate::server::{Server, pure_workflow, text, thread};

#[tokio::test]
async fn a_workflow_goes_from_draft_to_archive() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let valid = forum.post("/v1/workflows/validate", pure_workflow("1.0.0")).await.ok();
    assert_eq!((&valid["valid"], &valid["slug"]), (&json!(true), &json!("shout")));
    assert_eq!(forum.get("/v1/workflows").await.ok()["items"], json!([]));

    let applied = forum.post("/v1/workflows", pure_workflow("1.0.0")).await.is(201);
    assert_eq!((text(&applied, "/status"), &applied["changed"]), ("draft", &json!(true)));
    assert_eq!(forum.post("/v1/workflows", pure_workflow("1.0.0")).await.ok()["changed"], false);
    let draft = forum.get("/v1/workflows/shout").await.ok();
    assert_eq!((text(&draft, "/name"), &draft["signals"]), ("Shout", &json!([])));

    let active = forum.post_nothing("/v1/workflows/shout/activate").await.ok();
    assert_eq!((text(&active, "/status"), text(&active, "/active_version")), ("active", "1.0.0"));
    assert_eq!(active["signals"], json!(["forum.thread.created"]));

    assert_eq!(text(&forum.post_nothing("/v1/workflows/shout/pause").await.ok(), "/status"), "paused");
    let refused = forum.post("/v1/signals", thread("1")).await.is(201);
    assert_eq!(text(&refused, "/dispositions/0/disposition"), "refused");
    let resumed = forum.post("/v1/workflows/shout/activate", json!({"version": "1.0.0"})).await.ok();
    assert_eq!(text(&resumed, "/status"), "active");
    assert_eq!(text(&forum.post_nothing("/v1/workflows/shout/archive").await.ok(), "/status"), "archived");
    assert_eq!(forum.post("/v1/signals", thread("2")).await.is(201)["dispositions"], json!([]));
}

#[tokio::test]
async fn versions_are_kept_and_an_active_one_never_changes() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let mut other = pure_workflow("1.0.0");
    other["workflow"]["name"] = json!("Whisper");
    let refused = forum.post("/v1/workflows?activate=true", other).await;
    refused.is_problem(409, "version_exists");
    forum.post("/v1/workflows", pure_workflow("1.1.0")).await.is(201);

    let versions = forum.get("/v1/workflows/shout/versions").await.ok();
    assert_eq!((text(&versions, "/items/0/version"), text(&versions, "/items/1/version")), ("1.1.0", "1.0.0"));
    assert_eq!((&versions["items"][0]["active"], &versions["items"][1]["active"]), (&json!(false), &json!(true)));
    assert!(versions["items"][0].get("document").is_none());
    let version = forum.get("/v1/workflows/shout/versions/1.0.0").await.ok();
    assert_eq!(version["document"], pure_workflow("1.0.0"));
    forum.get("/v1/workflows/shout/versions/9.0.0").await.is_problem(404, "not_found");
}

#[tokio::test]
async fn yaml_is_another_spelling_of_the_same() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let yaml = r"
workflow:
  name: Shout
  slug: shout
  version: 1.0.0
  trigger:
    signal: forum.thread.created
  steps:
    - id: loud
      type: function
      function: text.upper
      input:
        text: ${signal.payload.title}
  output:
    loud: ${steps.loud.output}
";
    let reply = forum.send(Method::POST, "/v1/workflows", "application/yaml", Body::from(yaml)).await.is(201);
    forum.post("/v1/workflows", pure_workflow("1.0.0")).await.ok();
    assert_eq!(text(&reply, "/slug"), "shout");
    let broken = forum.send(Method::POST, "/v1/workflows/validate", "text/yaml", Body::from("a: [")).await.ok();
    assert_eq!(broken["valid"], false);
    assert!(broken["diagnostics"][0]["line"].is_number());
}

#[tokio::test]
async fn every_problem_of_a_definition_is_told_at_once_and_nothing_is_kept() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let cycle = json!({"workflow": {"name": "C", "slug": "c", "version": "1.0.0", "steps": [
        {"id": "a", "type": "function", "function": "text.upper", "input": {"text": "x"}, "needs": ["b"]},
        {"id": "b", "type": "function", "function": "text.upper", "input": {"text": "x"}, "needs": ["a"]},
    ]}});
    let twice = json!({"workflow": {"name": "T", "slug": "t", "version": "1.0.0", "steps": [
        {"id": "a", "type": "function", "function": "text.upper", "input": {"text": "x"}},
        {"id": "a", "type": "function", "function": "text.uper", "input": {"text": "x"}},
    ]}});
    let exploding = json!({"workflow": {"name": "E", "slug": "e", "version": "1.0.0", "steps": [
        {"id": "a", "type": "function", "function": "text.upper",
            "input": {"text": format!("${{{}1{}}}", "(".repeat(5_000), ")".repeat(5_000))}},
    ]}});
    let unknown = json!({"workflow": {"name": "U", "slug": "u", "version": "one", "colour": "red", "steps": []}});
    for (document, least) in [(cycle, 1), (twice, 2), (exploding, 1), (unknown, 3)] {
        let problem = forum.post("/v1/workflows?activate=true", document.clone()).await;
        let problem = problem.is_problem(422, "workflow_invalid");
        let diagnostics = problem["diagnostics"].as_array().expect("diagnostics");
        assert!(diagnostics.len() >= least, "{problem}");
        let validated = forum.post("/v1/workflows/validate", document).await.ok();
        assert_eq!(validated["valid"], false);
    }
    assert_eq!(forum.get("/v1/workflows").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn agents_and_functions_can_be_read() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let agent = json!({"agent": {
        "name": "Summary", "slug": "summary", "model": {"provider": "scripted"}, "instructions": "Summarize.",
        "script": [{"output": {"summary": "short"}}]
    }});
    let applied = forum.post("/v1/agents", agent.clone()).await.is(201);
    assert_eq!(applied["changed"], true);
    assert_eq!(forum.post("/v1/agents", agent.clone()).await.ok()["changed"], false);
    let got = forum.get("/v1/agents/summary").await.ok();
    assert_eq!(got["document"], agent);
    assert!(text(&got, "/model").starts_with("scripted"));
    assert_eq!(forum.get("/v1/agents").await.ok()["items"].as_array().map(Vec::len), Some(1));
    forum.post("/v1/agents", json!({"agent": {"slug": "x"}})).await.is_problem(422, "agent_invalid");

    let functions = forum.get("/v1/functions").await.ok();
    let functions = functions["items"].as_array().expect("items");
    assert!(functions.len() > 40);
    assert!(functions.iter().all(|function| !function["example_output"].is_null() || function["name"] == "json.get"));
}

#[tokio::test]
async fn a_page_of_drafts_reads_the_newest_version_of_each_and_a_bounded_amount_of_documents() {
    let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
    let server = Server::start_over(store.clone());
    let forum = server.tenant("forum", Role::Member).await;
    let draft = |slug: &str, version: usize, bytes: usize| {
        let step =
            json!({"id": "a", "type": "function", "function": "json.identity", "input": {"t": "x".repeat(bytes)}});
        json!({"workflow": {"name": format!("The {slug}"), "slug": slug, "version": format!("{version}.0.0"), "steps": [step]}})
    };
    for (slug, bytes) in [("a", 10), ("b", 1_500_000), ("c", 1_500_000), ("d", 1_500_000), ("e", 10), ("f", 10)] {
        for version in 1..=3 {
            let bytes = if version == 3 { bytes } else { 10 };
            forum.post("/v1/workflows", draft(slug, version, bytes)).await.is(201);
        }
    }
    let (mut path, mut pages) = ("/v1/workflows".to_owned(), Vec::new());
    loop {
        store.take_counts();
        let page = forum.get(&path).await.ok();
        let names: Vec<_> =
            page["items"].as_array().expect("items").iter().map(|one| text(one, "/name").to_owned()).collect();
        let counts = store.take_counts();
        assert_eq!(counts.of("workflow_versions").rows, names.len() as u64, "the newest version of each");
        pages.push(names);
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/workflows?cursor={cursor}");
    }
    assert_eq!(pages, [vec!["The a", "The b", "The c", "The d"], vec!["The e", "The f"]]);
}
