//! Who waits for whom: nobody for ever, however many are in line.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Awaited, Status, StepStatus};
use fleetprompt_core::workflow::LanguageRevision;
use fleetprompt_core::{Failure, Json, RunId, Span, directive};
use fleetprompt_engine::{Config, Engine, Resources};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Batch, Store};
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

/// Waits for a signal one after the other, or all at once, with these fields.
fn collecting(waits: &[Value]) -> Value {
    let step = |(index, fields): (usize, &Value)| {
        let mut step = json!({"id": format!("w{index}"), "type": "wait", "signal": "doc.came"});
        step.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        step
    };
    let steps: Vec<Value> = waits.iter().enumerate().map(step).collect();
    json!({"name": "Collecting", "version": "1.0.0", "trigger": {"signal": "case.opened"}, "steps": steps})
}

/// The number of the signal that ended each wait; `None` for one that still waits.
fn taken(house: &House, run: RunId) -> Vec<Option<u64>> {
    let number = |step: &fleetprompt_core::run::Step| step.output.as_ref()?.value()["payload"]["n"].as_u64();
    house.run(run).steps.iter().map(number).collect()
}

async fn opened(house: &House, waits: &[Value]) -> RunId {
    house.workflow(collecting(waits)).await;
    run_of(&house.emit(signal("case.opened", json!({}))).await.unwrap())
}

async fn came(house: &House, n: u64) {
    house.emit(signal("doc.came", json!({"n": n}))).await.unwrap();
}

#[tokio::test]
async fn of_waits_that_are_open_together_the_first_in_the_list_consumes_a_signal() {
    let house = House::new().await;
    let parallel = json!({"needs": []});
    let run =
        opened(&house, &[parallel.clone(), parallel.clone(), json!({"needs": [], "consume": false}), parallel]).await;
    came(&house, 1).await;
    assert_eq!(taken(&house, run), [Some(1), None, Some(1), None], "a wait that does not consume misses nothing");
    came(&house, 2).await;
    assert_eq!(taken(&house, run), [Some(1), Some(2), Some(1), None]);
    came(&house, 3).await;
    assert_eq!(house.run(run).status, Status::Completed);
    house.verified();
}

#[tokio::test]
async fn a_wait_that_looks_back_finds_no_signal_that_another_consumed_also_after_a_restart() {
    let house = House::new().await;
    let back = json!({"lookback": "run"});
    let copies = json!({"lookback": "run", "consume": false});
    let run = opened(&house, &[back.clone(), copies, back.clone(), back]).await;
    came(&house, 1).await;
    assert_eq!(taken(&house, run), [Some(1), Some(1), None, None], "a copy is there all the same");
    let house = house.restarted();
    came(&house, 2).await;
    assert_eq!(taken(&house, run), [Some(1), Some(1), Some(2), None]);
    let house = house.restarted();
    came(&house, 3).await;
    assert_eq!(house.run(run).status, Status::Completed);
    house.verified();
}

#[tokio::test]
async fn each_item_that_waits_consumes_another_signal_and_a_retry_gives_them_back() {
    let house = House::new().await;
    house.manual("case.file").await;
    let mut workflow = collecting(&[json!({"lookback": "run", "for_each": [1, 2, 3]}), json!({"lookback": "run"})]);
    let steps = workflow["steps"].as_array_mut().unwrap();
    steps.insert(0, json!({"id": "before", "type": "wait", "callback": true}));
    steps.push(json!({"id": "file", "type": "directive", "directive": "case.file", "payload": {}}));
    house.workflow(workflow).await;
    let run = run_of(&house.emit(signal("case.opened", json!({}))).await.unwrap());
    for n in 1..=2 {
        came(&house, n).await;
    }
    let report = json!({"key": format!("{run}:before"), "output": {}});
    house.request("workflow.step.report", "report", report).await.unwrap();
    let items = |house: &House| -> Vec<Option<u64>> {
        let items = house.run(run).steps[1].items.clone().unwrap().steps;
        items.iter().map(|item| item.output.as_ref()?.value()["payload"]["n"].as_u64()).collect()
    };
    assert_eq!(items(&house), [Some(1), Some(2), None]);
    let house = house.restarted();
    came(&house, 3).await;
    assert_eq!((items(&house), house.run(run).steps[2].status), (vec![Some(1), Some(2), Some(3)], StepStatus::Waiting));
    came(&house, 4).await;
    let directive = house.run(run).steps[3].directive_id.unwrap();
    let failure = Failure::fatal("lost", "no such case");
    house.engine.directive_report(&house.scope, directive, Err(failure)).await.unwrap();
    let retry = json!({"run_id": run, "reason": "all again", "from": ["w0"]});
    house.request("workflow.run.retry", "retry", retry).await.unwrap();
    assert_eq!((items(&house), house.run(run).status), (vec![Some(1), Some(2), Some(3)], Status::Running));
    assert_eq!(taken(&house, run)[2], Some(4), "what they had consumed is there for them again");
    house.verified();
}

#[tokio::test]
async fn a_version_from_before_signals_were_consumed_keeps_its_meaning() {
    let house = House::new().await;
    let back = json!({"lookback": "run"});
    house.workflow(collecting(&[back.clone(), back])).await;
    let slug = "collecting".parse().unwrap();
    let stored = house.store.workflow_version(house.scope.tenant, &slug, "1.0.0").unwrap().unwrap();
    assert_eq!(stored.language, LanguageRevision::CURRENT);
    let old = WorkflowVersion { language: LanguageRevision::FIRST, ..stored };
    house.store.commit(&Batch { workflow_versions: vec![old], ..Batch::default() }).unwrap();
    let house = house.restarted();
    // Applying it again changes nothing about it.
    house.workflow(collecting(&[json!({"lookback": "run"}), json!({"lookback": "run"})])).await;
    let run = run_of(&house.emit(signal("case.opened", json!({}))).await.unwrap());
    came(&house, 1).await;
    assert_eq!((house.run(run).status, taken(&house, run)), (Status::Completed, vec![Some(1), Some(1)]));
    house.verified();
}

#[tokio::test]
async fn an_early_report_outlives_a_restart() {
    let house = House::new().await;
    house
        .workflow(json!({"name": "Early", "version": "1.0.0", "trigger": {"signal": "case.opened"}, "steps": [
            {"id": "first", "type": "wait", "callback": true},
            {"id": "second", "type": "wait", "callback": true, "lock": "the one"}]}))
        .await;
    let run = run_of(&house.emit(signal("case.opened", json!({}))).await.unwrap());
    let report = |step: &str| json!({"key": format!("{run}:{step}"), "output": {"of": step}});
    let early = house.request("workflow.step.report", "second", report("second")).await.unwrap();
    assert_eq!(early.directive.status, directive::Status::Succeeded);
    house.verified();
    let house = house.restarted();
    house.request("workflow.step.report", "first", report("first")).await.unwrap();
    let run = house.run(run);
    assert_eq!(
        (run.status, run.steps[1].output.as_ref().unwrap().value()),
        (Status::Completed, &json!({"of": "second"}))
    );
    house.verified();
}
