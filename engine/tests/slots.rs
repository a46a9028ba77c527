//! Effects that wait for a slot: nothing but ids in memory, none lost, in the order of their tenant.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::run::Status;
use fleetprompt_core::{DirectiveId, directive};
use fleetprompt_engine::{Config, Engine};
use fleetprompt_store::Store;
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};
use support::{House, signal, tenant};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn start(store: &Arc<MemoryStore>, effects_max: usize) -> Engine {
    let config =
        Config { allow_private_endpoints: true, effects_max, grace: Duration::from_secs(5), ..Config::default() };
    Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap()
}

async fn house(effects_max: usize) -> House {
    let store = Arc::new(MemoryStore::default());
    let engine = start(&store, effects_max);
    let scope = tenant(&engine, "acme").await;
    House { store, engine, scope }
}

async fn keys(endpoint: &MockServer) -> Vec<String> {
    let requests = endpoint.received_requests().await.unwrap();
    let key = |body: Value| body["idempotency_key"].as_str().unwrap().to_owned();
    requests.iter().map(|request| key(request.body_json().unwrap())).collect()
}

/// As of now.
fn metric(house: &House, name: &str) -> i64 {
    let text = house.engine.metrics().render();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("fleetprompt_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

async fn all_succeeded(house: &House, directives: &[DirectiveId]) {
    let mut commits = house.engine.commits();
    let status = |id: &DirectiveId| house.store.directive(house.scope.tenant, *id).unwrap().unwrap().status;
    let succeeded = async {
        while !directives.iter().all(|id| status(id) == directive::Status::Succeeded) {
            commits.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), succeeded).await.expect("all of them are delivered");
}

#[tokio::test]
async fn many_effects_wait_for_one_slot_and_keep_their_order_also_over_a_restart() {
    const COUNT: usize = 60;
    let endpoint = MockServer::start().await;
    // The first is answered late, so that the others wait.
    let late = ResponseTemplate::new(200).set_delay(Duration::from_millis(300));
    Mock::given(method("POST")).respond_with(late).up_to_n_times(1).mount(&endpoint).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&endpoint).await;
    let house = house(1).await;
    house.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    let expected: Vec<String> = (0..COUNT).map(|number| format!("k{number:03}")).collect();
    let mut directives = Vec::new();
    for key in &expected {
        let requested = house.request("a.b", key, json!({"text": "x".repeat(1_000)})).await.unwrap();
        directives.push(requested.directive.id);
    }
    // The answer comes before the effect: once another request is answered, the effects of those before have begun.
    house.request("a.b", &expected[0], json!({"text": "x".repeat(1_000)})).await.unwrap();
    assert_eq!((metric(&house, "effects_in_flight"), metric(&house, "effects_waiting")), (1, COUNT as i64 - 1));
    // Only what has begun is waited for.
    house.engine.stop().await;
    assert_eq!(keys(&endpoint).await, expected[..1]);
    let engine = start(&house.store, 1);
    let house = House { engine, ..house };
    all_succeeded(&house, &directives).await;
    assert_eq!(keys(&endpoint).await, expected);
    assert_eq!((metric(&house, "effects_in_flight"), metric(&house, "effects_waiting")), (0, 0));
    house.verified();
}

#[tokio::test]
async fn steps_of_agents_wait_as_well() {
    let house = house(2).await;
    house
        .agent(json!({"name": "Clerk", "slug": "clerk", "instructions": "Answer.",
            "model": {"provider": "scripted"}, "script": [{"output": {"ok": true}}]}))
        .await;
    house
        .workflow(json!({"name": "Asking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [{"id": "ask", "type": "agent", "agent_ref": {"slug": "clerk"}, "input": {"n": "${item}"},
                "for_each": {"items": "${signal.payload.items}", "max_parallel": 100}}]}))
        .await;
    let items: Vec<u32> = (0..100).collect();
    let emitted = house.emit(signal("order.placed", json!({"items": items}))).await.unwrap();
    let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    assert_eq!(run.status, Status::Completed);
    assert_eq!((metric(&house, "effects_in_flight"), metric(&house, "effects_waiting")), (0, 0));
    house.verified();
}

#[tokio::test]
async fn an_outcome_keeps_its_slot_and_its_memory_until_it_is_decided() {
    let endpoint = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({"text": "x".repeat(100_000)}));
    Mock::given(method("POST")).respond_with(answer).mount(&endpoint).await;
    let house = house(3).await;
    house.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    let mut directives = Vec::new();
    for number in 0..20 {
        directives.push(house.request("a.b", &format!("k{number}"), json!({})).await.unwrap().directive.id);
    }
    all_succeeded(&house, &directives).await;
    house.engine.stop().await;
    assert_eq!(house.engine.memory().used(), 0);
}
