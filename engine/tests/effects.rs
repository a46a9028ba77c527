//! Effects: agents and endpoints, their retries, and what a restart does to them.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use fleetprompt_core::run::{Status, StepStatus};
use fleetprompt_store::{Batch, Page, SignalFilter, Store};
use serde_json::{Value, json};
use support::{House, signal};
use wiremock::matchers::{header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

fn ordering(url: &str) -> Value {
    json!({
        "name": "parcel.ship",
        "handler": {"type": "http", "url": format!("{url}/ship")},
        "retry": {"max_attempts": 3, "initial": "10ms", "factor": 1, "jitter": false},
        "timeout": "2s"
    })
}

async fn started(house: &House) -> fleetprompt_core::RunId {
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    emitted.dispositions[0].run_id.unwrap()
}

fn keys(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| request.headers["idempotency-key"].to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_endpoint_is_asked_again_under_the_same_key_until_it_succeeds() {
    let endpoint = MockServer::start().await;
    let busy = ResponseTemplate::new(503);
    Mock::given(path("/ship")).respond_with(busy).up_to_n_times(2).mount(&endpoint).await;
    let done = ResponseTemplate::new(201).set_body_json(json!({"parcel": "P1"}));
    Mock::given(method("POST"))
        .and(path("/ship"))
        .and(header_exists("webhook-signature"))
        .respond_with(done)
        .mount(&endpoint)
        .await;
    let house = House::new().await;
    house.directive_type(ordering(&endpoint.uri())).await;
    house.workflow(support::shipping()).await;
    let id = started(&house).await;
    let run = house.ended(id).await;
    assert_eq!((run.status, run.output.unwrap().value()), (Status::Completed, &json!({"parcel": "P1"})));
    let requests = endpoint.received_requests().await.unwrap();
    assert_eq!(keys(&requests), vec![format!("{id}:ship"); 3]);
    let attempts: Vec<u64> =
        requests.iter().map(|request| request.body_json::<Value>().unwrap()["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let header = |name: &str| -> Vec<String> {
        requests.iter().map(|request| request.headers[name].to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(header("fleetprompt-attempt"), ["1", "2", "3"]);
    let directive = run.steps[0].directive_id.unwrap().to_string();
    assert_eq!(header("webhook-id"), vec![directive; 3], "receivers deduplicate by it");
    house.verified();
}

#[tokio::test]
async fn a_refusal_by_the_endpoint_fails_the_step_at_once() {
    let endpoint = MockServer::start().await;
    let no = ResponseTemplate::new(422).set_body_string("no such order");
    Mock::given(path("/ship")).respond_with(no).mount(&endpoint).await;
    let house = House::new().await;
    house.directive_type(ordering(&endpoint.uri())).await;
    house.workflow(support::shipping()).await;
    let id = started(&house).await;
    let run = house.ended(id).await;
    assert_eq!((run.status, run.steps[0].status), (Status::Failed, StepStatus::Failed));
    let error = run.error.unwrap();
    assert!(error.message.contains("no such order"), "{error}");
    assert_eq!(endpoint.received_requests().await.unwrap().len(), 1);
    house.verified();
}

#[tokio::test]
async fn what_is_secret_in_an_endpoint_s_url_is_sent_and_never_recorded() {
    let endpoint = MockServer::start().await;
    // An endpoint that quotes what it was asked.
    let no = ResponseTemplate::new(422).set_body_string("cannot POST /ship?token=tok-1234 for hookuser:passw0rd");
    Mock::given(path("/ship")).and(query_param("token", "tok-1234")).respond_with(no).mount(&endpoint).await;
    let address = *endpoint.address();
    let unreachable = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, code) in [(address, "http_status"), (unreachable, "unreachable")] {
        let house = House::new().await;
        let mut of_type = ordering("");
        of_type["handler"]["url"] = json!(format!("http://hookuser:passw0rd@{address}/ship?token=tok-1234#frag-5"));
        of_type["retry"]["max_attempts"] = json!(1);
        house.directive_type(of_type).await;
        house.workflow(support::shipping()).await;
        let id = started(&house).await;
        let run = house.ended(id).await;
        let error = run.error.unwrap();
        assert_eq!(error.code, code);
        let signals = house.store.signals(house.scope.tenant, &SignalFilter::default(), Page::newest(1_000)).unwrap();
        let recorded: String = signals.iter().map(|signal| signal.payload.text().to_owned()).collect();
        assert!(recorded.contains(&format!("POST http://{address}/ship")), "{recorded}");
        let everything = format!("{recorded} {error} {:?}", run.steps);
        for secret in ["hookuser", "passw0rd", "tok-1234", "frag-5"] {
            assert!(!everything.contains(secret), "{secret} in {everything}");
        }
    }
    let request = &endpoint.received_requests().await.unwrap()[0];
    assert_eq!(request.headers["authorization"], "Basic aG9va3VzZXI6cGFzc3cwcmQ=", "the endpoint is sent all of it");
}

#[tokio::test]
async fn a_delivery_that_cannot_be_signed_is_not_sent() {
    let endpoint = MockServer::start().await;
    Mock::given(path("/ship")).respond_with(ResponseTemplate::new(200)).mount(&endpoint).await;
    let house = House::new().await;
    // As an earlier version has stored it, which looked at the beginning only.
    house.directive_type(ordering(&endpoint.uri())).await;
    let mut entry = house.store.directory().unwrap().directive_types.remove(0);
    let mut document = entry.document.value().clone();
    document["directive_type"]["handler"]["secret"] = json!(format!("whsec_{}", "not-base64!".repeat(4)));
    entry.document = document.into();
    house.store.commit(&Batch { directive_types: vec![entry], ..Batch::default() }).unwrap();
    let house = house.restarted();
    house.workflow(support::shipping()).await;
    let id = started(&house).await;
    let run = house.ended(id).await;
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (Status::Failed, "secret_invalid"));
    assert!(endpoint.received_requests().await.unwrap().is_empty());

    // The secret that is kept would sign nothing, so the type cannot be applied without another.
    let document = json!({"directive_type": ordering(&format!("{}/", endpoint.uri()))});
    let refused = support::refusal(house.engine.directive_type_apply(&house.scope, document.into()).await);
    assert!(refused.message.contains("handler.secret"), "{refused:?}");
}

#[tokio::test]
async fn what_was_in_flight_is_delivered_again_after_a_restart() {
    let endpoint = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(path("/ship")).respond_with(slow).up_to_n_times(1).mount(&endpoint).await;
    let done = ResponseTemplate::new(200).set_body_json(json!({"parcel": "P1"}));
    Mock::given(path("/ship")).respond_with(done).mount(&endpoint).await;
    let house = House::new().await;
    let mut of_type = ordering(&endpoint.uri());
    of_type["timeout"] = json!("5m");
    house.directive_type(of_type).await;
    house.workflow(support::shipping()).await;
    let id = started(&house).await;
    while endpoint.received_requests().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    // The first engine is still waiting for its answer; it can as well be gone.
    let house = house.restarted();
    let run = house.ended(id).await;
    assert_eq!(run.status, Status::Completed);
    assert_eq!(keys(&endpoint.received_requests().await.unwrap()), vec![format!("{id}:ship"); 2]);
}

#[tokio::test]
async fn an_agent_s_output_reaches_the_next_step() {
    let house = House::new().await;
    house
        .agent(json!({
            "slug": "clerk", "name": "Clerk", "model": {"provider": "scripted"}, "instructions": "Say what was ordered.",
            "script": [{"output": {"text": "Order of {{payload.name}}"}}]
        }))
        .await;
    house
        .workflow(json!({
            "name": "Clerking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [
                {"id": "write", "type": "agent", "agent_ref": {"slug": "clerk"}, "input": {"from_signal": true}},
                {"id": "loud", "type": "function", "function": "text.upper", "input": {"text": "${steps.write.output.text}"}}
            ],
            "output": "${steps.loud.output}"
        }))
        .await;
    let emitted = house.emit(signal("order.placed", json!({"name": "Ada"}))).await.unwrap();
    let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    assert_eq!(run.output.unwrap().value(), &json!("ORDER OF ADA"));
    house.verified();
}

#[tokio::test]
async fn an_agent_is_asked_again_after_its_backoff() {
    let house = House::new().await;
    house
        .agent(json!({
            "slug": "clerk", "name": "Clerk", "model": {"provider": "scripted"}, "instructions": "Answer well.",
            "output_schema": {"type": "object", "required": ["missing"]},
            "script": [{"output": {"text": "never right"}}]
        }))
        .await;
    house
        .workflow(json!({
            "name": "Clerking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [{"id": "write", "type": "agent", "agent_ref": {"slug": "clerk"},
                "retry": {"max_attempts": 3, "initial": "5ms", "factor": 1, "jitter": false}}]
        }))
        .await;
    let id = started(&house).await;
    let run = house.ended(id).await;
    assert_eq!((run.status, run.steps[0].attempt), (Status::Failed, 3));
    assert_eq!(run.error.unwrap().code, "output_invalid");
    house.verified();
}

#[tokio::test]
async fn a_deadline_ends_a_run_that_only_waits() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    let mut workflow = support::shipping();
    workflow["timeout"] = json!("50ms");
    house.workflow(workflow).await;
    let id = started(&house).await;
    let run = house.ended(id).await;
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (Status::Failed, "timeout"));
    house.verified();
}

#[tokio::test]
async fn a_private_address_is_refused_unless_allowed() {
    use std::sync::Arc;
    let endpoint = MockServer::start().await;
    let store = Arc::new(fleetprompt_store::memory::MemoryStore::default());
    let config = fleetprompt_engine::Config::default();
    let engine = fleetprompt_engine::Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    let scope = support::tenant(&engine, "acme").await;
    let house = House { store, engine, scope };
    for (number, url) in [endpoint.uri(), endpoint.uri().replace("127.0.0.1", "localhost")].iter().enumerate() {
        let mut of_type = ordering(url);
        of_type["retry"]["max_attempts"] = json!(1);
        house.directive_type(of_type).await;
        let requested = house.request("parcel.ship", &format!("k{number}"), json!({})).await.unwrap();
        let mut commits = house.engine.commits();
        let settled = loop {
            let directive =
                fleetprompt_store::Store::directive(house.store.as_ref(), house.scope.tenant, requested.directive.id);
            let directive = directive.unwrap().unwrap();
            if directive.status.is_settled() {
                break directive;
            }
            tokio::time::timeout(Duration::from_secs(10), commits.changed()).await.unwrap().unwrap();
        };
        assert_eq!(settled.status, fleetprompt_core::directive::Status::Failed);
    }
    assert!(endpoint.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_compressed_answer_is_refused_and_never_taken_for_an_output() {
    let endpoint = MockServer::start().await;
    // The first bytes of gzip.
    let zipped = |status: u16| {
        ResponseTemplate::new(status).insert_header("content-encoding", "gzip").set_body_bytes([0x1f, 0x8b, 8])
    };
    Mock::given(path("/ship")).respond_with(zipped(503)).up_to_n_times(1).mount(&endpoint).await;
    Mock::given(path("/ship")).respond_with(zipped(200)).mount(&endpoint).await;
    let house = House::new().await;
    house.directive_type(ordering(&endpoint.uri())).await;
    house.workflow(support::shipping()).await;
    let id = started(&house).await;
    let run = house.ended(id).await;
    assert_eq!((run.status, run.error.unwrap().code.as_str()), (Status::Failed, "answer_encoded"));
    let requests = endpoint.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2, "a 503 is tried again whatever its body is");
    assert!(requests.iter().all(|request| request.headers["accept-encoding"] == "identity"));
    let filter = SignalFilter { name: Some("directive.retrying".parse().unwrap()), ..SignalFilter::default() };
    let retrying = house.store.signals(house.scope.tenant, &filter, Page::after(None, 10)).unwrap();
    let message = retrying[0].payload.value()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("a body with `Content-Encoding: gzip`, which is not decoded"), "{message}");
    house.verified();
}
