//! Who waits for whom: nobody for ever, however many are in line.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use fleetprompt_core::run::{Awaited, Status, StepStatus};
use fleetprompt_core::{Json, RunId, Span};
use fleetprompt_engine::{Config, Engine, Resources};
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};
use support::{House, signal, tenant};

fn run_of(emitted: &fleetprompt_engine::Emitted) -> RunId {
    emitted.dispositions[0].run_id.unwrap()
}

/// A report step under a lock, for each of so many items.
fn under_lock(name: &str, trigger: &str, items: usize) -> Value {
    json!({"name": name, "version": "1.0.0", "trigger": {"signal": trigger}, "steps": [
        {"id": "work", "type": "directive", "directive": "work.do", "lock": "the one", "payload": "${index}",
         "for_each": {"items": (0..items).collect::<Vec<_>>(), "max_parallel": items}}]})
}

#[tokio::test]
async fn a_lock_passes_over_a_paused_run_however_many_of_its_items_are_in_line() {
    let house = House::new().await;
    house.manual("work.do").await;
    house.workflow(under_lock("First", "first.asked", 1)).await;
    house.workflow(under_lock("Many", "many.asked", 1_200)).await;
    let holds = run_of(&house.emit(signal("first.asked", json!({}))).await.unwrap());
    let many = run_of(&house.emit(signal("many.asked", json!({}))).await.unwrap());
    let last = run_of(&house.emit(signal("first.asked", json!({}))).await.unwrap());
    let payload = json!({"run_id": many, "reason": "a look at it"});
    house.request("workflow.run.pause", "pause", payload).await.unwrap();
    assert_eq!(house.run(many).status, Status::Paused);

    let directive = house.run(holds).steps[0].items.as_ref().unwrap().steps[0].directive_id.unwrap();
    house.engine.directive_report(&house.scope, directive, Ok(Json::null())).await.unwrap();
    let next = &house.run(last).steps[0].items.as_ref().unwrap().steps[0].clone();
    assert_eq!((next.status, next.lock.as_deref()), (StepStatus::Running, Some("the one")));
    house.verified();
}

/// Starts itself until the count is 0, and waits for what it started.
fn counting_down(on_limit: &str) -> Value {
    json!({"name": "Down", "version": "1.0.0", "trigger": {"signal": "down.asked"},
        "concurrency": {"limit": 1, "on_limit": on_limit}, "on_error": "fail", "steps": [
        {"id": "again", "type": "workflow", "workflow_ref": {"slug": "down"}, "when": "run.input.left > 0",
         "input": {"left": "${run.input.left - 1}"}},
        {"id": "wait", "type": "wait", "callback": true, "when": "run.input.left == 0"}]})
}

#[tokio::test]
async fn a_run_that_is_waited_for_does_not_stand_in_line_behind_who_waits_for_it() {
    let house = House::new().await;
    house.workflow(counting_down("queue")).await;
    let first = run_of(&house.emit(signal("down.asked", json!({"left": 3}))).await.unwrap());
    let second = run_of(&house.emit(signal("down.asked", json!({"left": 0}))).await.unwrap());
    let innermost = innermost(&house, first);
    assert_eq!(house.run(innermost).steps[1].status, StepStatus::Waiting);
    assert_eq!(house.run(second).status, Status::Queued, "the whole family has one place");

    let house = house.restarted();
    let key = json!({"key": format!("{innermost}:wait"), "output": {}});
    house.request("workflow.step.report", "report", key).await.unwrap();
    assert_eq!(house.run(first).status, Status::Completed);
    assert_eq!(house.run(second).status, Status::Running, "and then it is free");
    house.verified();
}

#[tokio::test]
async fn where_more_than_one_is_dropped_a_run_that_starts_itself_fails() {
    let house = House::new().await;
    house.workflow(counting_down("drop")).await;
    let first = run_of(&house.emit(signal("down.asked", json!({"left": 1}))).await.unwrap());
    assert_eq!(house.run(first).error.unwrap().code, "throttled");
}

fn innermost(house: &House, run: RunId) -> RunId {
    let waiting = house.run(run).steps[0].waiting.clone();
    match waiting.map(|waiting| waiting.what.clone()) {
        Some(Awaited::Run { run_id }) => innermost(house, run_id),
        _ => run,
    }
}

#[tokio::test]
async fn a_wait_that_looks_back_finds_what_lies_behind_ten_thousand_others() {
    let house = House::new().await;
    let told = |n: usize| signal("part.arrived", json!({"number": n}));
    for batch in 0..12 {
        let signals = (0..1_000).map(|n| told(batch * 1_000 + n)).collect();
        house.engine.emit(&house.scope, signals).await.unwrap();
    }
    house
        .workflow(json!({"name": "Looks back", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": [
            {"id": "part", "type": "wait", "signal": {"name": "part.arrived", "match": {"payload.number": 11_900}},
             "lookback": "1h"}]}))
        .await;
    let run = run_of(&house.emit(signal("order.placed", json!({}))).await.unwrap());
    assert_eq!(house.ended(run).await.status, Status::Completed);
}

#[tokio::test]
async fn an_idle_engine_ends_a_wait_when_the_clock_is_set_forward() {
    let (store, resources) = (Arc::new(MemoryStore::default()), Resources::new(Config::default()));
    let engine = Engine::start_among(store.clone(), &resources, tokio::runtime::Handle::current()).unwrap();
    let house = House { store, scope: tenant(&engine, "acme").await, engine };
    house
        .workflow(json!({"name": "Pause", "version": "1.0.0", "trigger": {"signal": "pause.asked"},
            "steps": [{"id": "pause", "type": "wait", "for": "1h"}]}))
        .await;
    let run = run_of(&house.emit(signal("pause.asked", json!({}))).await.unwrap());
    assert_eq!(house.run(run).steps[0].status, StepStatus::Waiting);
    resources.clock().set_ahead("59m".parse::<Span>().unwrap());
    // A commit says that the engine has looked at the clock since.
    house.emit(signal("nothing.asked", json!({}))).await.unwrap();
    assert_eq!(house.run(run).steps[0].status, StepStatus::Waiting);
    resources.clock().set_ahead("2h".parse::<Span>().unwrap());
    assert_eq!(house.ended(run).await.status, Status::Completed);
    house.verified();
}
