//! Traces over the real binary: one that begins at a caller's, goes through a server that is killed, and ends at an endpoint.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Server, create_tenant, free_port};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SECRET: &str = "nobody else's business";

async fn answering(path: &str, body: Value) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(body);
    Mock::given(matchers::path(path)).respond_with(answer).mount(&server).await;
    server
}

async fn spans(collector: &MockServer) -> Vec<Span> {
    let requests = collector.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| !String::from_utf8_lossy(&request.body).contains(SECRET)));
    let exports = requests.iter().map(|request| ExportTraceServiceRequest::decode(&*request.body).unwrap());
    let scopes = exports.flat_map(|export| export.resource_spans).flat_map(|of_resource| of_resource.scope_spans);
    scopes.flat_map(|of_scope| of_scope.spans).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn registered(server: &Server, endpoint: &MockServer) {
    let function = json!({"function": {"name": "lead.score", "handler": {"type": "worker"}}});
    server.post("/v1/functions", &function).await;
    let url = format!("{}/mail", endpoint.uri());
    let mail = json!({"directive_type": {"name": "mail.send", "handler": {"type": "http", "url": url}}});
    server.post("/v1/directive-types", &mail).await;
    let workflow = json!({"workflow": {
        "name": "Greet", "version": "1.0.0", "trigger": {"signal": "lead.created"},
        "steps": [
            {"id": "score", "type": "function", "function": "lead.score", "input": "${signal.payload}"},
            {"id": "send", "type": "directive", "directive": "mail.send", "payload": {"to": "ada"}}
        ]
    }});
    server.post("/v1/workflows?activate=true", &workflow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_caller_through_a_killed_server_to_the_endpoint() {
    let (collector, endpoint) = (answering("/v1/traces", json!({})).await, answering("/mail", json!({"id": 1})).await);
    let folder = tempfile::tempdir().unwrap();
    let (data, port) = (folder.path().join("data"), free_port());
    let key = create_tenant(&data, "acme");
    let uri = collector.uri();
    let more = ["--otlp-endpoint", &uri, "--lease-s", "1"];
    let server = Server::start_with(&data, port, key.clone(), &more).await;
    registered(&server, &endpoint).await;

    let lead = json!({"name": "lead.created", "payload": {"text": SECRET}});
    let told = server.request(Method::POST, "/v1/signals").header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    let (status, told) = server.send(told.json(&lead)).await;
    assert_eq!(status, 201, "{told}");
    let run = told["dispositions"][0]["run_id"].as_str().unwrap().to_owned();
    let sent = async {
        while !spans(&collector).await.iter().any(|span| span.name == "signal lead.created") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), sent).await.expect("spans are sent each second");
    server.kill();

    let server = Server::start_with(&data, port, key, &more).await;
    let take = json!({"worker": {"name": "w"}, "performs": ["*"], "wait": "20s"});
    let taken = server.post("/v1/attempts/take", &take).await;
    let attempt = &taken["attempts"][0];
    let done = json!({"worker": {"name": "w"}, "outcomes": [
        {"id": attempt["id"], "status": "succeeded", "output": {"score": 1}}]});
    server.post("/v1/attempts/report", &done).await;
    server.until_quiet().await;
    assert_eq!(server.get(&format!("/v1/runs/{run}")).await["run"]["status"], "completed");
    server.stop();

    let spans: Vec<Span> = spans(&collector).await.into_iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    let by_name: HashMap<&str, &Span> = spans.iter().map(|span| (span.name.as_str(), span)).collect();
    let child_of = |name: &str| hex(&by_name[name].parent_span_id);
    let id_of = |name: &str| hex(&by_name[name].span_id);
    assert_eq!(spans.len(), by_name.len(), "each once: {by_name:?}");
    assert_eq!(child_of("signal lead.created"), CALLER);
    assert_eq!(child_of("directive workflow.run.start"), id_of("signal lead.created"));
    assert_eq!(child_of("run greet"), id_of("directive workflow.run.start"));
    assert_eq!(child_of("step score"), id_of("run greet"));
    assert_eq!(child_of("step send"), id_of("run greet"));
    assert_eq!(child_of("directive mail.send"), id_of("step send"));
    assert_eq!(by_name.len(), 6, "{:?}", by_name.keys());
    let (run, score) = (by_name["run greet"], by_name["step score"]);
    assert!(
        run.start_time_unix_nano <= score.start_time_unix_nano && score.end_time_unix_nano <= run.end_time_unix_nano
    );

    assert_eq!(attempt["traceparent"], format!("00-{TRACE}-{}-01", id_of("step score")));
    let delivered = endpoint.received_requests().await.unwrap();
    let header = delivered[0].headers["traceparent"].to_str().unwrap();
    assert_eq!(header, format!("00-{TRACE}-{}-01", id_of("directive mail.send")));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_without_a_caller_have_traces_of_their_own_and_of_a_ratio_whole_traces_are_kept() {
    let collector = answering("/v1/traces", json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let (data, port) = (folder.path().join("data"), free_port());
    let key = create_tenant(&data, "acme");
    let uri = collector.uri();
    let server = Server::start_with(&data, port, key, &["--otlp-endpoint", &uri, "--otlp-ratio", "0.5"]).await;
    let signals: Vec<Value> =
        (0..100).map(|n| json!({"name": "lead.created", "correlation_id": format!("lead-{}", n / 2)})).collect();
    server.post("/v1/signals", &json!(signals)).await;
    server.stop();
    let spans = spans(&collector).await;
    let told = || spans.iter().filter(|span| span.name == "signal lead.created");
    let traces: HashSet<_> = told().map(|span| &span.trace_id).collect();
    assert_eq!(told().count(), traces.len() * 2, "two signals of one correlation are in one trace");
    assert!((5..45).contains(&traces.len()), "{} of 50", traces.len());
    assert!(told().all(|span| span.parent_span_id.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_takes_the_spans_everything_else_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, port) = (folder.path().join("data"), free_port());
    let key = create_tenant(&data, "acme");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let server = Server::start_with(&data, port, key, &["--otlp-endpoint", &nowhere]).await;
    server.post("/v1/signals", &json!({"name": "lead.created"})).await;
    let dropped = async {
        loop {
            let (_, text) = server.send(server.request(Method::GET, "/metrics")).await;
            if text.as_str().unwrap().lines().any(|line| line == "fleetprompt_spans_dropped_total 1") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dropped).await.expect("what was dropped is counted");
    server.stop();
}
