use std::time::Instant;

use fleetprompt_core::{Name, SignalId};
use futures_util::{StreamExt, pin_mut};
use serde_json::json;
use wiremock::matchers::{body_string, header, header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::wire::{EmitSignal, RequestDirective};

const SIGNAL: &str = "sig_01h455vb4pex5vsknk084sn02q";
const NEXT_SIGNAL: &str = "sig_01h455vb4pex5vsknk084sn02r";

fn signal(id: &str) -> serde_json::Value {
    json!({
        "id": id, "name": "forum.thread.created", "actor": {"type": "user", "id": "7"}, "correlation_id": "c",
        "occurred_at": "2026-11-22T08:30:00Z", "recorded_at": "2026-11-22T08:30:00Z", "payload": {},
    })
}

fn emit(dedupe_key: Option<&str>) -> EmitSignal {
    let mut fields = json!({"name": "forum.thread.created"});
    if let Some(key) = dedupe_key {
        fields["dedupe_key"] = key.into();
    }
    serde_json::from_value(fields).expect("a signal")
}

fn emitted() -> serde_json::Value {
    json!({
        "signal": {"id": SIGNAL, "name": "forum.thread.created", "correlation_id": "c",
                   "recorded_at": "2026-11-22T08:30:00Z"},
        "deduplicated": false, "dispositions": [],
    })
}

fn problem(status: u16, code: &str) -> serde_json::Value {
    json!({"type": format!("https://fleetprompt.dev/problems/{code}"), "title": "t", "status": status, "code": code,
           "detail": "the queue is full"})
}

async fn client(server: &MockServer) -> Client {
    Client::new(&server.uri(), Some("fp_secret")).expect("a client")
}

#[tokio::test]
async fn a_call_carries_the_key_and_escapes_what_stands_in_the_path() {
    let server = MockServer::start().await;
    let answer = json!({"slug": "a", "version": "1 0/β", "active": true, "digest": "d",
                        "created_at": "2026-11-22T08:30:00Z"});
    Mock::given(method("GET"))
        .and(path("/v1/workflows/a/versions/1%200%2F%CE%B2"))
        .and(header("authorization", "Bearer fp_secret"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(1)
        .mount(&server)
        .await;
    let slug = "a".parse().expect("a slug");
    let version = client(&server).await.workflow_version_get(&slug, "1 0/β").await.expect("the version");
    assert_eq!(version.version, "1 0/β");
}

#[tokio::test]
async fn a_refusal_is_the_problem_that_the_server_wrote() {
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(404).set_body_json(problem(404, "not_found"));
    Mock::given(method("GET")).respond_with(refused).expect(1).mount(&server).await;
    let error = client(&server).await.signal_get(SIGNAL.parse().expect("an id")).await.expect_err("refused");
    assert_eq!(error.problem().map(|problem| problem.code.as_str()), Some("not_found"));
}

#[tokio::test]
async fn what_has_a_key_is_sent_again_when_the_server_is_not_ready() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "0").set_body_json(problem(503, "unavailable"));
    Mock::given(method("POST")).respond_with(busy).up_to_n_times(2).mount(&server).await;
    let answer = ResponseTemplate::new(201).set_body_json(emitted());
    Mock::given(method("POST")).and(path("/v1/signals")).respond_with(answer).expect(1).mount(&server).await;
    let emitted = client(&server).await.signal_emit(&emit(Some("k"))).await.expect("emitted");
    assert_eq!(emitted.signal.id.to_string(), SIGNAL);
}

#[tokio::test]
async fn what_has_no_key_is_sent_once() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).set_body_json(problem(503, "unavailable"));
    Mock::given(method("POST")).respond_with(busy).expect(2).mount(&server).await;
    let client = client(&server).await;
    client.signal_emit(&emit(None)).await.expect_err("refused");
    let request = RequestDirective {
        name: Name::known("forum.post.create"),
        payload: None,
        idempotency_key: None,
        correlation_id: None,
        causation_id: None,
    };
    client.directive_request(&request).await.expect_err("refused");
}

#[tokio::test]
async fn a_server_that_asks_for_an_hour_is_not_waited_for() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "3600").set_body_json(problem(429, "busy"));
    Mock::given(method("POST")).respond_with(busy).expect(1).mount(&server).await;
    let begun = Instant::now();
    client(&server).await.signal_emit(&emit(Some("k"))).await.expect_err("busy");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn many_signals_travel_as_lines() {
    let server = MockServer::start().await;
    let many = json!({"results": [emitted(), {"error": problem(422, "reserved_name")}]});
    let lines = "{\"name\":\"forum.thread.created\"}\n{\"name\":\"forum.thread.created\",\"dedupe_key\":\"k\"}\n";
    Mock::given(header("content-type", "application/x-ndjson"))
        .and(body_string(lines))
        .respond_with(ResponseTemplate::new(200).set_body_json(many))
        .expect(1)
        .mount(&server)
        .await;
    let answer = client(&server).await.signal_emit_many(&[emit(None), emit(Some("k"))]).await.expect("an answer");
    assert_eq!(answer.results.len(), 2);
}

#[tokio::test]
async fn nobody_there_is_told_with_what_to_do() {
    // Port 9 of loopback: discard, which nobody serves.
    let client = Client::new("http://127.0.0.1:9", None).expect("a client");
    let error = client.whoami().await.expect_err("nobody listens");
    let text = error.to_string();
    assert!(matches!(error, Error::Connection { .. }), "{text}");
    assert!(text.contains("http://127.0.0.1:9") && text.contains("fleetprompt dev"), "{text}");
}

#[tokio::test]
async fn another_server_s_answer_is_not_taken_for_ours() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(502).set_body_string("<html>Bad gateway</html>");
    Mock::given(method("GET")).respond_with(page).mount(&server).await;
    let error = client(&server).await.whoami().await.expect_err("not ours");
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
}

#[test]
fn what_is_no_server_and_no_key_is_refused_before_anything_is_sent() {
    for url in ["", "localhost:7070", "ftp://x", "http://", "http://x?tenant=1"] {
        assert!(matches!(Client::new(url, None), Err(Error::InvalidUrl(_))), "{url}");
    }
    assert!(matches!(Client::new("http://x", Some("fp_a\nb")), Err(Error::InvalidKey)));
}

#[tokio::test]
async fn a_tail_comes_back_where_it_broke_off() {
    let server = MockServer::start().await;
    let event = |id| format!(": heartbeat\n\nid: {id}\nevent: signal\ndata: {}\n\n", signal(id));
    let stream = |body: String| ResponseTemplate::new(200).set_body_raw(body, "text/event-stream");
    Mock::given(path("/v1/signals/tail"))
        .and(header("last-event-id", SIGNAL))
        .respond_with(stream(event(NEXT_SIGNAL)))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(query_param("name", "forum.thread.created"))
        .respond_with(stream(event(SIGNAL) + "id: half"))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let name = Name::known("forum.thread.created");
    let tail = client(&server).await.signal_tail(Some(&name), None);
    pin_mut!(tail);
    let mut ids = Vec::new();
    while ids.len() < 2 {
        ids.push(tail.next().await.expect("no end").expect("a signal").id.to_string());
    }
    assert_eq!(ids, [SIGNAL, NEXT_SIGNAL]);
}

#[tokio::test]
async fn a_run_s_stream_ends_with_the_run() {
    let server = MockServer::start().await;
    let run = "run_01h455vb4pex5vsknk084sn02q";
    let body = format!("id: {SIGNAL}\nevent: signal\ndata: {}\n\nevent: end\ndata: {{}}\n\n", signal(SIGNAL));
    Mock::given(path(format!("/v1/runs/{run}/live")))
        .and(header_exists("authorization"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "text/event-stream"))
        .expect(1)
        .mount(&server)
        .await;
    let live = client(&server).await.run_live(run.parse().expect("an id"));
    let ids: Vec<SignalId> = live.map(|item| item.expect("a signal").id).collect().await;
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_tail_that_is_refused_says_so_and_ends() {
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(401).set_body_json(problem(401, "unauthorized"));
    Mock::given(method("GET")).respond_with(refused).expect(1).mount(&server).await;
    let tail = client(&server).await.signal_tail(None, None);
    let items: Vec<_> = tail.collect().await;
    assert_eq!(items.len(), 1);
    assert!(matches!(items[0], Err(Error::Refused(_))));
}

#[tokio::test]
async fn what_is_done_to_a_run_carries_its_key_and_is_sent_again_while_the_server_cannot() {
    let server = MockServer::start().await;
    let id: fleetprompt_core::RunId = "run_01h455vb4pex5vsknk084sn02q".parse().expect("an id");
    let to =
        || Mock::given(method("POST")).and(path(format!("/v1/runs/{id}/retry"))).and(header("idempotency-key", "k"));
    to().respond_with(ResponseTemplate::new(503).set_body_json(problem(503, "unavailable")))
        .up_to_n_times(1)
        .expect(1)
        .mount(&server)
        .await;
    to().and(body_string(r#"{"reason":"r","from":["charge"]}"#))
        .respond_with(ResponseTemplate::new(409).set_body_json(problem(409, "run_status")))
        .expect(1)
        .mount(&server)
        .await;
    let retry = crate::wire::RetryRun { reason: "r".into(), from: vec!["charge".into()], reissue: false };
    let client = client(&server).await;
    let refused = client.run_retry(id, &retry, "k").await.expect_err("a refusal");
    assert_eq!(refused.problem().map(|problem| problem.code.as_str()), Some("run_status"));
    let unsendable = client.run_retry(id, &retry, "k\n").await.expect_err("no header holds that");
    assert!(matches!(unsendable, Error::Unexpected { .. }), "{unsendable}");
}

#[tokio::test]
async fn several_statuses_are_one_parameter() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/runs"))
        .and(query_param("status", "failed,parked"))
        .and(query_param("open", "true"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"items": []})))
        .expect(1)
        .mount(&server)
        .await;
    use fleetprompt_core::run::Status;
    let query = RunQuery { status: vec![Status::Failed, Status::Parked], open: true, ..RunQuery::default() };
    client(&server).await.run_list(&query).await.expect("a page");
}
