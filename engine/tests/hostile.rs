//! What a tenant may send to harm others, and what goes wrong between two lines.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::name::RESERVED;
use fleetprompt_core::run::Status;
use fleetprompt_core::{Json, Moment, Party, SignalId, Timestamp};
use fleetprompt_engine::{Config, Engine};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Batch, Page, SignalFilter, Store};
use serde_json::{Value, json};
use support::{House, greeting, refusal, shipping, signal, start, tenant};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

fn signals_stored(house: &House) -> usize {
    house.store.signals(house.scope.tenant, &SignalFilter::default(), Page::newest(1_000_000)).unwrap().len()
}

fn functions(name: &str, trigger: &str, count: usize, input: &Value) -> Value {
    let step = |n| json!({"id": format!("s{n}"), "type": "function", "function": "json.identity", "input": input});
    let steps: Vec<_> = (0..count).map(step).collect();
    json!({"name": name, "version": "1.0.0", "trigger": {"signal": trigger}, "steps": steps})
}

#[tokio::test]
async fn workflows_that_start_each_other_do_not_multiply_within_one_commit() {
    let house = House::new().await;
    for name in ["One", "Two", "Three"] {
        house.workflow(functions(name, "directive.requested", 1, &json!({}))).await;
    }
    let _ = house.request("signal.emit", "k", json!({"name": "a.b"})).await.unwrap();
    assert!(signals_stored(&house) < 200_000);
}

#[tokio::test]
async fn runs_that_start_large_runs_are_spread_over_commits() {
    let house = House::new().await;
    house.workflow(functions("Large", "never.told", 1_000, &json!({}))).await;
    let start = |n| {
        json!({"id": format!("s{n}"), "type": "directive", "directive": "workflow.run.start", "needs": [],
            "payload": {"workflow": "large"}})
    };
    let steps: Vec<_> = (0..800).map(start).collect();
    house
        .workflow(json!({"name": "Many", "version": "1.0.0", "trigger": {"signal": "many.asked"}, "steps": steps}))
        .await;
    house.emit(signal("many.asked", json!({}))).await.unwrap();
    assert!(signals_stored(&house) < 100_000);
}

#[tokio::test]
async fn a_run_does_not_grow_without_end() {
    let house = House::new().await;
    house.workflow(functions("Copies", "copy.asked", 200, &json!("${signal.payload}"))).await;
    let emitted = house.emit(signal("copy.asked", json!({"text": "x".repeat(900_000)}))).await.unwrap();
    let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    assert_eq!((run.status, run.error.unwrap().code), (Status::Failed, "run_too_large".to_owned()));
    house.verified();
}

#[tokio::test]
async fn a_document_that_grows_when_it_is_stored_does_not_keep_the_engine_from_starting() {
    let house = House::new().await;
    let numbers = vec!["1e15"; 820_000].join(",");
    let text = format!(
        r#"{{"workflow": {{"name": "Growing", "version": "1.0.0", "output": [{numbers}],
        "steps": [{{"id": "a", "type": "function", "function": "json.identity", "input": {{}}}}]}}}}"#
    );
    let applied = house.engine.workflow_apply(&house.scope, text, Format::Json, true).await;
    assert_eq!(refusal(applied).code, "document_too_large");
    house.restarted();
}

#[tokio::test]
async fn a_fact_told_on_both_sides_of_a_registration_is_recorded_once() {
    let house = House::new().await;
    house.workflow(functions("Slow", "slow.asked", 3_000, &json!({}))).await;
    let mut fact = signal("order.placed", json!({}));
    fact.dedupe_key = Some("once".into());
    let workflow = json!({"workflow": greeting()}).to_string();
    // While the first is decided, the others come to wait together.
    let (_, first, applied, second) = tokio::join!(
        house.emit(signal("slow.asked", json!({}))),
        house.engine.emit(&house.scope, vec![fact.clone()]),
        house.engine.workflow_apply(&house.scope, workflow, Format::Json, true),
        house.engine.emit(&house.scope, vec![fact.clone()]),
    );
    applied.unwrap();
    let (first, second) = (first.unwrap().remove(0).unwrap(), second.unwrap().remove(0).unwrap());
    assert_eq!((first.signal.id, second.deduplicated), (second.signal.id, true));
}

#[tokio::test]
async fn times_come_also_when_the_clock_was_ahead_before_the_last_start() {
    let house = House::new().await;
    let known = house.emit(signal("order.placed", json!({}))).await.unwrap().signal;
    let mut ahead = Moment::new(1);
    ahead.advance(Timestamp(known.recorded_at.0 + 3_600_000_000));
    let later = fleetprompt_core::Signal { id: SignalId(ahead.uuid()), ..known.as_ref().clone() };
    house.store.commit(&Batch { signals: vec![Arc::new(later)], ..Batch::default() }).unwrap();
    let house = house.restarted();
    house.manual("parcel.ship").await;
    let mut workflow = shipping();
    workflow["timeout"] = json!("100ms");
    house.workflow(workflow).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    assert_eq!(run.error.unwrap().code, "timeout");
}

#[tokio::test]
async fn an_engine_that_nobody_holds_ends() {
    let house = House::new().await;
    let store = house.store.clone();
    drop(house);
    let ended = async {
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("its thread ends");
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_delivered() {
    let endpoint = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&endpoint).await;
    let house = House::new().await;
    house.directive_type(json!({"name": "parcel.ship", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    house.request("parcel.ship", "Schlüssel-7", json!({})).await.unwrap();
    let arrived = async {
        while endpoint.received_requests().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), arrived).await.expect("it arrives");
    let body: Value = endpoint.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!(body["idempotency_key"], "Schlüssel-7");
}

#[tokio::test]
async fn endpoints_that_never_answer_keep_no_other_tenant_waiting() {
    let slow = MockServer::start().await;
    let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(method("POST")).respond_with(never).mount(&slow).await;
    let quick = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&quick).await;
    let store = Arc::new(MemoryStore::default());
    let config = Config {
        allow_private_endpoints: true,
        effects_max: 4,
        grace: Duration::from_millis(100),
        ..Config::default()
    };
    let engine = Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    let noisy = House { store: store.clone(), scope: tenant(&engine, "noisy").await, engine: engine.clone() };
    let quiet = House { store, scope: tenant(&engine, "quiet").await, engine };
    noisy.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": slow.uri()}, "timeout": "1h"})).await;
    quiet.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": quick.uri()}})).await;
    for n in 0..10 {
        noisy.request("a.b", &format!("n{n}"), json!({})).await.unwrap();
    }
    quiet.request("a.b", "q", json!({})).await.unwrap();
    let arrived = async {
        while quick.received_requests().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), arrived).await.expect("it arrives");
}

#[tokio::test]
async fn an_outcome_that_came_back_before_the_end_is_recorded() {
    for _ in 0..20 {
        let house = House::new().await;
        house
            .agent(json!({"name": "Clerk", "slug": "clerk", "instructions": "Answer.",
                "model": {"provider": "scripted"}, "script": [{"output": {"ok": true}}]}))
            .await;
        house
            .workflow(json!({"name": "Asking", "version": "1.0.0", "trigger": {"signal": "order.placed"},
                "steps": [{"id": "ask", "type": "agent", "agent_ref": {"slug": "clerk"}, "input": {}}]}))
            .await;
        let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
        house.engine.stop().await;
        assert_eq!(house.run(emitted.dispositions[0].run_id.unwrap()).status, Status::Completed);
        let _ = start(&house.store);
    }
}

#[tokio::test]
async fn an_engine_that_only_registers_leaves_effects_to_the_next_one() {
    let endpoint = MockServer::start().await;
    let never = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(method("POST")).respond_with(never).mount(&endpoint).await;
    let house = House::new().await;
    house.directive_type(json!({"name": "a.b", "handler": {"type": "http", "url": endpoint.uri()}})).await;
    let asked = house.request("a.b", "k", json!({})).await.unwrap().directive;
    house.engine.stop().await;
    // Private addresses are refused here, and that would be the end of the directive.
    let config = Config { performs: false, ..Config::default() };
    let engine = Engine::start(house.store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    tenant(&engine, "another").await;
    engine.stop().await;
    let left = house.store.directive(house.scope.tenant, asked.id).unwrap().unwrap();
    assert!(left.is_in_flight());
}

#[tokio::test]
async fn nobody_forges_what_the_engine_records_or_will() {
    let house = House::new().await;
    for first in RESERVED {
        let name = format!("{first}.applied");
        assert_eq!(refusal(house.emit(signal(&name, json!({}))).await).code, "name_reserved", "{name}");
        let of_type = json!({"directive_type": {"name": name, "handler": {"type": "manual"}}});
        let applied = house.engine.directive_type_apply(&house.scope, of_type.into()).await;
        assert_eq!(refusal(applied).code, "directive_type_invalid", "{name}");
        let schedule = json!({"schedule": {"slug": "forging", "every": "1h", "signal": name}}).to_string();
        let applied = house.engine.schedule_apply(&house.scope, schedule, Format::Json).await;
        assert_eq!(refusal(applied).code, "schedule_invalid", "{name}");
    }
    // A workflow does not emit them either, also not by a name that it makes up.
    house
        .workflow(json!({"name": "Forger", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": [
            {"id": "forge", "type": "directive", "directive": "signal.emit", "payload": {"name": "${signal.payload.name}"}}
        ]}))
        .await;
    let emitted = house.emit(signal("order.placed", json!({"name": "approval.granted"}))).await.unwrap();
    let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    let error = run.error.unwrap();
    assert!(error.code == "payload_invalid" && error.message.contains("is reserved"), "{error}");

    for kind in ["Key", "key ", "k\u{435}y", "0perator", "SCHEDULE"] {
        let mut claimed = signal("order.placed", json!({}));
        claimed.actor = Some(Party::new(kind, "7"));
        let code = refusal(house.emit(claimed).await).code;
        assert!(["actor_reserved", "actor_invalid"].contains(&code), "{kind}: {code}");
    }
}

#[tokio::test]
async fn what_was_named_before_its_name_was_reserved_goes_on() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    let schedule = json!({"schedule": {"slug": "nightly", "every": "1h", "signal": "digest.due"}}).to_string();
    house.engine.schedule_apply(&house.scope, schedule, Format::Json).await.unwrap();
    let renamed = |text: &str| text.replace("parcel.ship", "document.render").replace("digest.due", "content.due");
    let stored = house.store.directory().unwrap();
    let (mut of_type, mut schedule) = (stored.directive_types[0].clone(), stored.schedules[0].clone());
    of_type.name = "document.render".parse().unwrap();
    of_type.document = Json::parse(&renamed(of_type.document.text())).unwrap();
    schedule.document = Json::parse(&renamed(schedule.document.text())).unwrap();
    let batch = Batch { directive_types: vec![of_type.clone()], schedules: vec![schedule], ..Batch::default() };
    house.store.commit(&batch).unwrap();
    let house = house.restarted();
    let directory = house.engine.directory();
    let known = directory.tenant(house.scope.tenant).unwrap();
    assert_eq!(known.schedules["nightly"].schedule.signal.as_str(), "content.due");
    house.request("document.render", "k", json!({})).await.unwrap();
    let mut changed = of_type.document.value().clone();
    changed["directive_type"]["description"] = json!("Renders");
    house.engine.directive_type_apply(&house.scope, changed.into()).await.unwrap();
}
