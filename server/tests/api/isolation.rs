//! Two tenants with the same names, slugs and keys side by side: whatever one names of the other's
//! is a 404, word for word the one that an unknown id gets.

use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Server, Tenant, manual_type, text, thread, waiting_workflow};

/// One record of each kind, under names that the other tenant has as well.
struct Records {
    signal: String,
    directive: String,
    run: String,
    key: String,
}

async fn furnished(tenant: &Tenant<'_>) -> Records {
    tenant.post("/v1/directive-types", manual_type()).await.is(201);
    tenant.post("/v1/workflows?activate=true", waiting_workflow()).await.is(201);
    let told = tenant.post("/v1/signals", thread("42")).await.is(201);
    let asked = json!({"name": "forum.review.ask", "idempotency_key": "the-same", "payload": {}});
    let asked = tenant.post("/v1/directives", asked).await.is(201);
    let key = tenant.post("/v1/keys", json!({"name": "spare", "role": "viewer"})).await.is(201);
    Records {
        signal: text(&told, "/signal/id").to_owned(),
        directive: text(&asked, "/directive/id").to_owned(),
        run: text(&told, "/dispositions/0/run_id").to_owned(),
        key: text(&key, "/id").to_owned(),
    }
}

/// Every endpoint that takes an id, with the body that it wants.
fn requests(records: &Records) -> Vec<(Method, String, Option<Value>)> {
    let Records { signal, directive, run, key } = records;
    let get = |path: String| (Method::GET, path, None);
    let post = |path: String, body: Value| (Method::POST, path, Some(body));
    vec![
        get(format!("/v1/signals/{signal}")),
        get(format!("/v1/signals/{signal}/why")),
        post(format!("/v1/signals/{signal}/replay"), json!({})),
        get(format!("/v1/directives/{directive}")),
        get(format!("/v1/directives/{directive}/why")),
        post(format!("/v1/directives/{directive}/cancel"), json!({})),
        post(format!("/v1/directives/{directive}/report"), json!({"status": "succeeded"})),
        post(format!("/v1/directives/{directive}/heartbeat"), json!({})),
        get(format!("/v1/runs/{run}")),
        get(format!("/v1/runs/{run}/steps")),
        get(format!("/v1/runs/{run}/timeline")),
        get(format!("/v1/runs/{run}/why")),
        get(format!("/v1/runs/{run}/live")),
        get(format!("/v1/runs/{run}/steps/ask/items")),
        post(format!("/v1/runs/{run}/cancel"), json!({})),
        post(format!("/v1/runs/{run}/pause"), json!({"reason": "r"})),
        post(format!("/v1/runs/{run}/resume"), json!({"reason": "r"})),
        post(format!("/v1/runs/{run}/retry"), json!({"reason": "r"})),
        post(format!("/v1/runs/{run}/rerun"), json!({"reason": "r"})),
        post(format!("/v1/runs/{run}/steps/ask/skip"), json!({"reason": "r"})),
        post(format!("/v1/runs/{run}/steps/ask/complete"), json!({"reason": "r", "output": 1})),
        post(format!("/v1/runs/{run}/steps/ask/answer"), json!({"value": 1})),
        (Method::DELETE, format!("/v1/keys/{key}"), None),
    ]
}

fn unknown() -> Records {
    let id = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
    Records { signal: id("sig"), directive: id("dir"), run: id("run"), key: id("key") }
}

async fn all(tenant: &Tenant<'_>, records: &Records) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for (method, path, body) in requests(records) {
        let media = if body.is_some() { "application/json" } else { "" };
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let reply = tenant.send(method, &path, media, body).await;
        let problem = reply.is_problem(404, "not_found");
        let said = problem.to_string();
        let ids = [&records.signal, &records.directive, &records.run, &records.key];
        let said = ids.into_iter().fold(said, |said, id| said.replace(id.as_str(), "ID"));
        answers.push((path, serde_json::from_str(&said).expect("JSON")));
    }
    answers
}

#[tokio::test]
async fn another_tenants_id_is_a_404_like_an_unknown_one() {
    let server = Server::start();
    let (forum, other) = (server.tenant("forum", Role::Admin).await, server.tenant("other", Role::Admin).await);
    let mine = furnished(&forum).await;
    furnished(&other).await;
    let theirs = all(&other, &mine).await;
    let nobodys = all(&other, &unknown()).await;
    for ((path, theirs), (_, nobodys)) in theirs.iter().zip(&nobodys) {
        assert_eq!(theirs, nobodys, "{path} tells the two apart");
    }
    // And nothing happened to what was named.
    assert_eq!(text(&forum.get(&format!("/v1/runs/{}", mine.run)).await.ok(), "/run/status"), "running");
    assert_eq!(text(&forum.get(&format!("/v1/directives/{}", mine.directive)).await.ok(), "/status"), "running");
}

#[tokio::test]
async fn lists_and_filters_hold_only_ones_own() {
    let server = Server::start();
    let (forum, other) = (server.tenant("forum", Role::Admin).await, server.tenant("other", Role::Admin).await);
    let mine = furnished(&forum).await;
    let before = other.count_signals().await;
    furnished(&other).await;
    let own = forum.count_signals().await;
    assert_eq!(other.count_signals().await - before, own - before, "the same was done in both");
    for path in [
        format!("/v1/signals?run_id={}", mine.run),
        format!("/v1/signals?correlation_id={}", mine.signal),
        format!("/v1/directives?run_id={}", mine.run),
        format!("/v1/runs?signal_id={}", mine.signal),
        format!("/v1/runs?correlation_id={}", mine.signal),
    ] {
        assert_eq!(other.get(&path).await.ok()["items"], json!([]), "{path}");
        assert_ne!(forum.get(&path).await.ok()["items"], json!([]), "{path}");
    }
    for path in ["/v1/workflows", "/v1/agents", "/v1/keys", "/v1/runs", "/v1/directives?name=forum.review.ask"] {
        let (one, two) = (forum.get(path).await.ok(), other.get(path).await.ok());
        assert_eq!(one["items"].as_array().map(Vec::len), two["items"].as_array().map(Vec::len), "{path}");
    }
}

#[tokio::test]
async fn names_of_one_tenant_mean_nothing_to_another() {
    let server = Server::start();
    let (forum, other) = (server.tenant("forum", Role::Admin).await, server.tenant("other", Role::Admin).await);
    furnished(&forum).await;
    for path in ["/v1/workflows/review", "/v1/workflows/review/versions", "/v1/workflows/review/versions/1.0.0"] {
        forum.get(path).await.ok();
        other.get(path).await.is_problem(404, "not_found");
    }
    for verb in ["activate", "pause", "archive"] {
        other.post_nothing(&format!("/v1/workflows/review/{verb}")).await.is_problem(404, "not_found");
    }
    other.get("/v1/directive-types/forum.review.ask").await.is_problem(404, "not_found");
    other.get("/v1/agents/review").await.is_problem(404, "not_found");
    let asked = json!({"name": "forum.review.ask", "idempotency_key": "k"});
    other.post("/v1/directives", asked).await.is_problem(422, "directive_unknown");
    // The signal that starts a run over there starts none here.
    assert_eq!(other.post("/v1/signals", thread("42")).await.is(201)["dispositions"], json!([]));
    assert_eq!(text(&forum.get("/v1/workflows/review").await.ok(), "/status"), "active");
}

#[tokio::test]
async fn a_cause_in_another_tenant_is_named_and_never_shown() {
    let server = Server::start();
    let (forum, other) = (server.tenant("forum", Role::Admin).await, server.tenant("other", Role::Admin).await);
    let mine = furnished(&forum).await;
    let told = json!({"name": "other.thing.happened", "causation_id": mine.signal});
    let reply = other.post("/v1/signals", told).await;
    if reply.status == 201 {
        let id = text(&reply.json(), "/signal/id").to_owned();
        let why = other.get(&format!("/v1/signals/{id}/why")).await.ok();
        assert_eq!(why["chain"].as_array().map(Vec::len), Some(1), "{why}");
    }
}
