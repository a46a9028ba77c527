//! Effects that wait for a slot: nothing but ids in memory, none lost, in the order of their tenant.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::Status;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{DirectiveId, Party, Scope, directive};
use fleetprompt_engine::{ByHand, Config, Engine};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{DirectiveFilter, Page, SignalFilter, Store};
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

/// Waits until the endpoint has the request of the first, so that the others wait for the slot.
async fn first_is_sent(endpoint: &MockServer) {
    let sent = async {
        while endpoint.received_requests().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), sent).await.expect("the first is sent");
}

#[tokio::test]
async fn a_canceled_effect_that_waits_for_a_slot_is_never_performed() {
    let endpoint = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_millis(300));
    Mock::given(method("POST")).respond_with(late).up_to_n_times(1).mount(&endpoint).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&endpoint).await;
    let house = house(1).await;
    house.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    house
        .workflow(json!({"name": "Asking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [{"id": "ask", "type": "directive", "directive": "a.b", "payload": {}}]}))
        .await;
    let mut ids = Vec::new();
    for key in ["k0", "k1", "k2"] {
        ids.push(house.request("a.b", key, json!({})).await.unwrap().directive.id);
    }
    first_is_sent(&endpoint).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let run = emitted.dispositions[0].run_id.unwrap();
    // Nothing of these was sent, so they end with the request that cancels them.
    let canceled = house.engine.directive_cancel(&house.scope, ids[1], "a mistake".into()).await.unwrap();
    assert_eq!((canceled.status, canceled.attempt), (directive::Status::Canceled, 1));
    let reason = json!({"run_id": run, "reason": "a mistake"});
    house.request("workflow.run.cancel", "cancel", reason).await.unwrap();
    assert_eq!(house.run(run).status, Status::Canceled);
    // The first was sent: it keeps its outcome.
    let first = house.engine.directive_cancel(&house.scope, ids[0], "too late".into()).await.unwrap();
    assert_eq!((first.status, first.cancel_requested), (directive::Status::Running, true));
    // What comes behind all of them has its turn when theirs is over.
    ids.push(house.request("a.b", "k3", json!({})).await.unwrap().directive.id);
    all_succeeded(&house, &[ids[0], ids[2], ids[3]]).await;
    assert_eq!(keys(&endpoint).await, ["k0", "k2", "k3"]);
    assert_eq!(metric(&house, "effects_waiting"), 0);
    house.verified();
}

#[tokio::test]
async fn an_agent_call_that_waits_for_a_slot_is_not_made_once_its_run_is_canceled() {
    let endpoint = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_millis(200));
    Mock::given(method("POST")).respond_with(late).mount(&endpoint).await;
    let house = house(1).await;
    house.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    house
        .agent(json!({"name": "Clerk", "slug": "clerk", "instructions": "Answer.",
            "model": {"provider": "scripted"}, "script": [{"output": {"ok": true}}]}))
        .await;
    house
        .workflow(json!({"name": "Asking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [{"id": "ask", "type": "agent", "agent_ref": {"slug": "clerk"}, "input": {}}]}))
        .await;
    let first = house.request("a.b", "k0", json!({})).await.unwrap().directive.id;
    first_is_sent(&endpoint).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let run = emitted.dispositions[0].run_id.unwrap();
    house.request("workflow.run.cancel", "cancel", json!({"run_id": run, "reason": "a mistake"})).await.unwrap();
    assert_eq!(house.run(run).status, Status::Canceled);
    all_succeeded(&house, &[first]).await;
    let last = house.request("a.b", "k1", json!({})).await.unwrap().directive.id;
    all_succeeded(&house, &[last]).await;
    let log = house.store.signals(house.scope.tenant, &SignalFilter::default(), Page::after(None, 1_000)).unwrap();
    let mut of_run = log.iter().filter(|signal| signal.run_id == Some(run)).map(|signal| signal.name.as_str());
    assert_eq!(of_run.next_back(), Some("workflow.run.canceled"), "nothing came after it");
    assert_eq!(metric(&house, "effects_waiting"), 0);
    house.verified();
}

#[test]
fn a_directive_that_is_started_and_canceled_in_one_batch_is_never_sent() {
    let store = Arc::new(MemoryStore::default());
    let mut engine = ByHand::start(store.clone(), support::NOW, 7).unwrap();
    let (tenant, _) = engine.tenant_create("acme".parse().unwrap(), Role::Owner).unwrap();
    let scope = Scope { tenant: tenant.id, actor: Party::engine() };
    for (name, handler) in
        [("a.b", json!({"type": "http", "url": "http://127.0.0.1:9/"})), ("c.d", json!({"type": "worker"}))]
    {
        let document = json!({"directive_type": {"name": name, "handler": handler}});
        engine.directive_type_apply(&scope, document.into()).unwrap();
    }
    let workflow = json!({"workflow": {"name": "Stopped", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": [
        {"id": "send", "type": "directive", "directive": "a.b", "payload": {}, "needs": []},
        {"id": "work", "type": "directive", "directive": "c.d", "payload": {}, "needs": []},
        {"id": "stop", "type": "wait", "signal": "order.stopped", "needs": []},
        {"id": "over", "type": "finish", "needs": ["stop"]}]}});
    engine.workflow_apply(&scope, &workflow.to_string(), Format::Json).unwrap();
    let both = ["order.placed", "order.stopped"].map(|name| (scope.clone(), signal(name, json!({}))));
    let emitted = engine.emit_each(both.into());
    let run = emitted[0].as_ref().unwrap().dispositions[0].run_id.unwrap();
    assert_eq!(store.run(tenant.id, run).unwrap().unwrap().status, Status::Completed);
    let all = store.directives(tenant.id, &DirectiveFilter::default(), Page::after(None, 10)).unwrap();
    let of_steps: Vec<_> = all.iter().filter(|one| one.origin.is_some()).map(|one| (one.status, one.attempt)).collect();
    assert_eq!(of_steps, [(directive::Status::Canceled, 1); 2]);
    assert!(engine.take_tasks().is_empty(), "nothing is sent");
}

#[tokio::test]
async fn a_directive_that_was_canceled_unsent_and_is_wanted_again_is_sent_once() {
    let endpoint = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_millis(300));
    Mock::given(method("POST")).respond_with(late).up_to_n_times(1).mount(&endpoint).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&endpoint).await;
    let house = house(1).await;
    house.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    house
        .workflow(json!({"name": "Asking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [{"id": "ask", "type": "directive", "directive": "a.b", "payload": {}}]}))
        .await;
    let first = house.request("a.b", "k0", json!({})).await.unwrap().directive.id;
    first_is_sent(&endpoint).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let run = emitted.dispositions[0].run_id.unwrap();
    for round in 0..2 {
        let canceled = json!({"run_id": run, "reason": "a mistake"});
        house.request("workflow.run.cancel", &format!("cancel{round}"), canceled).await.unwrap();
        assert_eq!(house.run(run).status, Status::Canceled);
        let again = json!({"run_id": run, "reason": "it was none", "from": ["ask"]});
        house.request("workflow.run.retry", &format!("again{round}"), again).await.unwrap();
        assert_eq!(house.run(run).status, Status::Running);
    }
    assert_eq!(house.ended(run).await.status, Status::Completed);
    let last = house.request("a.b", "k1", json!({})).await.unwrap().directive.id;
    all_succeeded(&house, &[first, last]).await;
    assert_eq!(keys(&endpoint).await, ["k0".to_owned(), format!("{run}:ask"), "k1".to_owned()]);
    assert_eq!(metric(&house, "effects_waiting"), 0);
    house.verified();
}
