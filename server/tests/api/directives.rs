use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Server, Tenant, manual_type, text};

fn asked(key: &str) -> Value {
    json!({"name": "forum.review.ask", "idempotency_key": key, "payload": {"thread": "42"}})
}

async fn with_type(server: &Server) -> Tenant<'_> {
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/directive-types", manual_type()).await.is(201);
    forum
}

#[tokio::test]
async fn the_same_intent_is_one_directive_and_another_under_its_key_is_refused() {
    let server = Server::start();
    let forum = with_type(&server).await;
    let first = forum.post("/v1/directives", asked("once")).await.is(201);
    assert_eq!(first["replayed"], false);
    assert_eq!(text(&first, "/directive/status"), "running");
    let again = forum.post("/v1/directives", asked("once")).await.ok();
    assert_eq!(again["replayed"], true);
    assert_eq!(again["directive"]["id"], first["directive"]["id"]);

    let mut other = asked("once");
    other["payload"] = json!({"thread": "43"});
    forum.post("/v1/directives", other).await.is_problem(422, "idempotency_key_reused");

    let id = text(&first, "/directive/id");
    assert_eq!(forum.get(&format!("/v1/directives/{id}")).await.ok()["id"], *id);
    let listed = forum.get("/v1/directives?status=running&name=forum.review.ask").await.ok();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let why = forum.get(&format!("/v1/directives/{id}/why")).await.ok();
    assert!(text(&why, "/chain/0/summary").starts_with("requested by key_"), "{why}");
}

#[tokio::test]
async fn the_key_may_stand_in_the_header_but_not_two_of_them_and_not_none() {
    let server = Server::start();
    let forum = with_type(&server).await;
    let no_key = json!({"name": "forum.review.ask"});
    let send = async |body: &Value, key: &str| {
        let body = Body::from(body.to_string());
        let headers = [("Idempotency-Key", key)];
        forum.send_with(Method::POST, "/v1/directives", "application/json", body, &headers).await
    };
    send(&no_key, "from-header").await.is(201);
    send(&asked("same"), "same").await.is(201);
    send(&asked("one"), "another").await.is_problem(400, "invalid_request");
    forum.post("/v1/directives", no_key).await.is_problem(400, "idempotency_key_missing");
}

#[tokio::test]
async fn a_manual_directive_ends_as_it_is_reported() {
    let server = Server::start();
    let forum = with_type(&server).await;
    let id = text(&forum.post("/v1/directives", asked("a")).await.is(201), "/directive/id").to_owned();
    let report = json!({"status": "succeeded", "output": {"verdict": "fine", "score": 1.50}});
    let reported = forum.post(&format!("/v1/directives/{id}/report"), report).await.ok();
    assert_eq!(text(&reported, "/status"), "succeeded");
    assert_eq!(reported["output"], json!({"verdict": "fine", "score": 1.50}));
    let again = forum.post(&format!("/v1/directives/{id}/report"), json!({"status": "succeeded"})).await;
    assert_eq!(again.status, 409, "{}", again.text());

    let id = text(&forum.post("/v1/directives", asked("b")).await.is(201), "/directive/id").to_owned();
    let report = json!({"status": "failed", "error": {"code": "nobody_there", "message": "closed"}});
    let reported = forum.post(&format!("/v1/directives/{id}/report"), report).await.ok();
    assert_eq!(text(&reported, "/error/code"), "nobody_there");

    let id = text(&forum.post("/v1/directives", asked("c")).await.is(201), "/directive/id").to_owned();
    let path = format!("/v1/directives/{id}/report");
    for wrong in [
        json!({"status": "failed"}),
        json!({"status": "succeeded", "error": {"code": "x", "message": "y"}}),
        json!({"status": "done"}),
        json!({"status": "succeeded", "outcome": 1}),
    ] {
        forum.post(&path, wrong).await.is_problem(400, "invalid_request");
    }
    let canceled = forum.post(&format!("/v1/directives/{id}/cancel"), json!({"reason": "a mistake"})).await.ok();
    assert_eq!(text(&canceled, "/status"), "canceled");
}

#[tokio::test]
async fn directive_types_are_listed_with_the_built_in_ones_and_keep_their_secret() {
    let server = Server::start();
    let forum = with_type(&server).await;
    let http = json!({"directive_type": {
        "name": "forum.post.create", "description": "Posts",
        "handler": {"type": "http", "url": "https://forum.example.com/hook"}
    }});
    let made = forum.post("/v1/directive-types", http.clone()).await.is(201);
    assert!(text(&made, "/secret").starts_with("whsec_"));
    let again = forum.post("/v1/directive-types", http).await.ok();
    assert!(again.get("secret").is_none(), "{again}");

    let listed = forum.get("/v1/directive-types").await;
    assert!(!listed.text().contains("whsec_"));
    let names: Vec<_> =
        listed.ok()["items"].as_array().expect("items").iter().map(|kind| text(kind, "/name").to_owned()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for name in ["forum.post.create", "forum.review.ask", "signal.replay", "workflow.run.cancel", "workflow.run.start"]
    {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
        forum.get(&format!("/v1/directive-types/{name}")).await.ok();
    }
    assert!(!forum.get("/v1/directive-types/forum.post.create").await.text().contains("whsec_"));
}
