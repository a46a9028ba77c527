use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::json;

use crate::server::{Server, pure_workflow, text, thread};

#[tokio::test]
async fn a_signal_is_recorded_once_whatever_is_told_twice() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let first = forum.post("/v1/signals", thread("42")).await.is(201);
    assert_eq!(first["deduplicated"], false);
    let again = forum.post("/v1/signals", thread("42")).await.ok();
    assert_eq!(again["deduplicated"], true);
    assert_eq!(text(&again, "/signal/id"), text(&first, "/signal/id"));

    let id = text(&first, "/signal/id");
    let detail = forum.get(&format!("/v1/signals/{id}")).await.ok();
    assert_eq!(detail["signal"]["payload"], json!({"title": "How do I rotate a key?"}));
    assert_eq!(detail["signal"]["subject"], json!({"type": "thread", "id": "42"}));
    assert_eq!(text(&detail, "/signal/actor/type"), "key");
    assert_eq!(text(&detail, "/signal/correlation_id"), id);
}

#[tokio::test]
async fn a_used_key_is_of_its_name_and_refuses_another_payload() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let ticket = |name: &str, id: &str| {
        let text = format!(r#"{{"name": "ticket.{name}", "dedupe_key": "7", "payload": {{"id": {id}}}}}"#);
        Body::from(text)
    };
    let emit = async |body: Body| forum.send(Method::POST, "/v1/signals", "application/json", body).await;
    let opened = emit(ticket("opened", "12345678901234567890")).await.is(201);
    let closed = emit(ticket("closed", "12345678901234567890")).await.is(201);
    assert_ne!(opened["signal"]["id"], closed["signal"]["id"]);
    let again = emit(ticket("opened", "1.2345678901234567890e19")).await.ok();
    assert_eq!((&again["deduplicated"], &again["signal"]), (&json!(true), &opened["signal"]));
    let other = emit(ticket("opened", "12345678901234567891")).await.is_problem(422, "dedupe_key_reused");
    assert!(text(&other, "/detail").contains(text(&opened, "/signal/id")), "{other}");
}

#[tokio::test]
async fn numbers_stay_as_they_were_written() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let body = r#"{"name": "bank.sum.told", "payload": {"sum": 12345678901234567890123, "rate": 1.10}}"#;
    let told = forum.send(Method::POST, "/v1/signals", "application/json", Body::from(body)).await.is(201);
    let got = forum.get(&format!("/v1/signals/{}", text(&told, "/signal/id"))).await;
    assert!(got.text().contains(r#"{"sum": 12345678901234567890123, "rate": 1.10}"#), "{}", got.text());
}

#[tokio::test]
async fn many_are_answered_one_by_one_and_a_bad_one_keeps_no_other_out() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let many = json!([
        thread("1"),
        {"name": "not a name"},
        thread("2"),
        17,
        thread("1"),
        {"name": "forum.thread.created", "colour": "red"},
    ]);
    let results = forum.post("/v1/signals", many).await.ok()["results"].clone();
    assert_eq!(results.as_array().map(Vec::len), Some(6));
    assert_eq!(results[0]["deduplicated"], false);
    assert_eq!(results[1]["error"]["code"], "invalid_request");
    assert_eq!(results[2]["deduplicated"], false);
    assert_eq!(results[3]["error"]["code"], "invalid_request");
    assert_eq!(results[4]["deduplicated"], true);
    assert_eq!(results[4]["signal"]["id"], results[0]["signal"]["id"]);
    assert!(text(&results[5], "/error/detail").contains("colour"));

    let lines = format!("{}\n\n{{\"name\": 5}}\n{}\n", thread("3"), thread("2"));
    let reply = forum.send(Method::POST, "/v1/signals", "application/x-ndjson", Body::from(lines)).await;
    let results = reply.ok()["results"].clone();
    assert_eq!(results.as_array().map(Vec::len), Some(3));
    assert_eq!(results[0]["deduplicated"], false);
    assert_eq!(results[1]["error"]["code"], "invalid_request");
    assert_eq!(results[2]["deduplicated"], true);

    assert_eq!(forum.post("/v1/signals", json!([])).await.ok(), json!({"results": []}));
}

#[tokio::test]
async fn lists_are_read_page_by_page_newest_first() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    for id in 0..5 {
        forum.post("/v1/signals", thread(&id.to_string())).await.is(201);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/signals?name=forum.thread.created&limit=2".to_owned();
    loop {
        let page = forum.get(&path).await.ok();
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|signal| text(signal, "/subject/id").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/signals?name=forum.thread.created&limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["4", "3", "2", "1", "0"]);
}

#[tokio::test]
async fn a_replayed_signal_starts_no_run_twice() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    assert_eq!(text(&told, "/dispositions/0/disposition"), "started");
    let id = text(&told, "/signal/id");
    let replayed = forum.post_nothing(&format!("/v1/signals/{id}/replay")).await.ok();
    assert_eq!(text(&replayed, "/dispositions/0/disposition"), "deduplicated");
    assert_eq!(replayed["dispositions"][0]["run_id"], told["dispositions"][0]["run_id"]);
    assert_eq!(forum.get("/v1/runs").await.ok()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn why_leads_from_a_signal_of_a_run_up_to_the_fact() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let ended = forum.get("/v1/signals?name=workflow.run.completed").await.ok();
    let why = forum.get(&format!("/v1/signals/{}/why", text(&ended, "/items/0/id"))).await.ok();
    let chain = why["chain"].as_array().expect("a chain");
    assert_eq!(text(&why, "/chain/0/summary"), "run of `shout` 1.0.0 completed");
    let root = chain.last().expect("a root");
    assert_eq!(root["id"], told["signal"]["id"]);
    assert_eq!(text(root, "/summary"), "thread 42: How do I rotate a key?");
}
