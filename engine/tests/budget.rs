//! One budget of work for each decision: what costs more goes on in later batches, and nothing is lost or done twice.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Status, StepStatus};
use fleetprompt_core::signal::DispositionKind;
use fleetprompt_core::{RunId, Scope};
use fleetprompt_engine::{ByHand, Config, Engine};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Page, RunFilter, SignalFilter, Store};
use serde_json::{Value, json};
use support::{House, signal, tenant};

/// An expression of about 20,000 units.
const HEAVY: &str = "size([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(a, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(b, \
                     [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(c, a * b * c)))) > 0";
/// Two such expressions and a little more.
const UNITS: u64 = 50_000;

async fn house(units: u64) -> House {
    let store = Arc::new(MemoryStore::default());
    let config = Config { decision_units: units, ..Config::default() };
    let engine = Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    let scope = tenant(&engine, "acme").await;
    House { store, engine, scope }
}

fn names(house: &House, name: &str) -> usize {
    let filter = SignalFilter { names: vec![name.parse().unwrap()], ..SignalFilter::default() };
    house.store.signals(house.scope.tenant, &filter, Page::newest(10_000)).unwrap().len()
}

fn heavy_items(count: usize) -> Value {
    json!({"name": "Items", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": [
        {"id": "a", "type": "function", "function": "json.identity", "input": format!("${{{HEAVY}}}"),
         "for_each": (0..count).collect::<Vec<_>>()},
        {"id": "b", "type": "function", "function": "list.length", "input": {"list": "${steps.a.output}"}}],
        "output": "${steps.b.output}"})
}

#[tokio::test]
async fn a_run_that_costs_much_goes_on_in_later_batches_while_others_are_decided() {
    let house = house(UNITS).await;
    house.workflow(heavy_items(60)).await;
    let other =
        House { store: house.store.clone(), engine: house.engine.clone(), scope: tenant(&house.engine, "other").await };
    let run = house.emit(signal("order.placed", json!({}))).await.unwrap().dispositions[0].run_id.unwrap();
    assert_eq!(house.run(run).status, Status::Running, "the answer does not wait for all of it");
    let before = *house.engine.commits().borrow();
    other.emit(signal("order.placed", json!({}))).await.unwrap();
    let between = *house.engine.commits().borrow() - before;
    assert!(between <= 4, "another tenant waited for {between} commits");
    let ended = house.ended(run).await;
    assert_eq!(ended.output.unwrap().value(), &json!(60));
    assert!(*house.engine.commits().borrow() - before > 20);
    house.verified();
}

#[tokio::test]
async fn functions_that_only_read_a_list_may_be_given_more_than_they_may_give() {
    let house = house(UNITS).await;
    let step = |id: &str, function: &str, input: Value| json!({"id": id, "type": "function", "function": function, "input": input, "on_error": "continue"});
    house
        .workflow(json!({"name": "Lists", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": [
            {"id": "a", "type": "function", "function": "json.identity", "for_each": (0..10).collect::<Vec<_>>(),
             "input": {"id": "${index}", "text": "${signal.payload.text}"}},
            step("length", "list.length", json!({"list": "${steps.a.output}"})),
            step("ids", "list.pluck", json!({"list": "${steps.a.output}", "field": "id"})),
            step("texts", "list.pluck", json!({"list": "${steps.a.output}", "field": "text"})),
            step("sorted", "list.sort", json!({"list": "${steps.a.output}", "field": "id"}))]}))
        .await;
    let emitted = house.emit(signal("order.placed", json!({"text": "x".repeat(300_000)}))).await.unwrap();
    let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    let output = |index: usize| run.steps[index].output.as_ref().map(|output| output.value().clone());
    assert_eq!((output(1), output(2)), (Some(json!(10)), Some(json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))));
    let code = |index: usize| run.steps[index].error.as_ref().unwrap().code.as_str();
    assert_eq!((code(3), code(4)), ("output_too_large", "output_too_large"));
}

/// What is left of a store when the process ends between two commits.
fn cut_off_after(commits: usize, units: u64) -> (Arc<MemoryStore>, Scope, RunId) {
    let store = Arc::new(MemoryStore::default());
    let mut hand = ByHand::start_within(store.clone(), support::NOW, 1, units).unwrap();
    let (tenant, key) = hand.tenant_create("acme".parse().unwrap(), fleetprompt_core::tenant::Role::Owner).unwrap();
    let scope = Scope { tenant: tenant.id, actor: fleetprompt_core::Party::new("key", key.key.id) };
    let text = json!({"workflow": heavy_items(20)}).to_string();
    hand.workflow_apply(&scope, &text, Format::Json).unwrap();
    store.fail_commits_after(commits);
    let _ = hand.emit(&scope, vec![signal("order.placed", json!({}))]);
    drop(hand);
    store.fail_next_commits(0);
    let runs = store.runs(scope.tenant, &RunFilter::default(), Page::newest(2)).unwrap();
    (store, scope, runs[0].id)
}

#[test]
fn a_crash_between_two_decisions_of_a_run_loses_nothing() {
    for commits in [1, 2, 5, 9] {
        let (store, scope, id) = cut_off_after(commits, UNITS);
        let run = || store.run(scope.tenant, id).unwrap().unwrap();
        let items = |status| run().steps[0].items.as_ref().unwrap().steps.count(status);
        assert!(run().continuation.is_some() && items(StepStatus::Pending) > 0, "{commits} commits");
        let completed = items(StepStatus::Completed);
        let mut hand = ByHand::start_within(store.clone(), support::NOW, 2, UNITS).unwrap();
        hand.set_time(support::NOW);
        assert_eq!((run().status, items(StepStatus::Completed)), (Status::Completed, 20), "{completed} before");
        assert_eq!(run().output.unwrap().value(), &json!(20));
        let report = fleetprompt_engine::verify(store.as_ref()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_signal_with_many_costly_subscribers_and_waits_is_offered_to_each_once_in_later_batches() {
    let house = house(UNITS).await;
    for number in 0..40 {
        house
            .workflow(json!({"name": format!("Subscriber {number}"), "version": "1.0.0",
                "trigger": {"signal": "order.paid", "when": HEAVY},
                "steps": [{"id": "a", "type": "function", "function": "json.identity", "input": {}}]}))
            .await;
    }
    house
        .workflow(json!({"name": "Waits", "version": "1.0.0", "trigger": {"signal": "order.placed"},
            "steps": [{"id": "paid", "type": "wait", "signal": {"name": "order.paid", "when": HEAVY}}]}))
        .await;
    let mut waiting = BTreeSet::new();
    for _ in 0..40 {
        let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
        waiting.insert(emitted.dispositions[0].run_id.unwrap());
    }
    let before = *house.engine.commits().borrow();
    let paid = house.emit(signal("order.paid", json!({}))).await.unwrap();
    assert!(paid.dispositions.len() < 10, "the first batch offers it to a few");
    for run in &waiting {
        assert_eq!(house.ended(*run).await.status, Status::Completed);
    }
    let mut commits = house.engine.commits();
    while house.store.dispositions(house.scope.tenant, paid.signal.id, 1_000).unwrap().len() < 80 {
        commits.changed().await.unwrap();
    }
    let dispositions = house.store.dispositions(house.scope.tenant, paid.signal.id, 1_000).unwrap();
    let of_kind = |kind| dispositions.iter().filter(move |one| one.kind == kind).map(|one| one.run_id.unwrap());
    assert_eq!(of_kind(DispositionKind::Advanced).collect::<BTreeSet<_>>(), waiting);
    assert_eq!(of_kind(DispositionKind::Started).collect::<BTreeSet<_>>().len(), 40);
    assert!(*house.engine.commits().borrow() - before > 20);
    house.verified();
}

#[tokio::test]
async fn a_lock_goes_to_each_that_waits_for_it_in_later_batches() {
    let house = house(1).await;
    house.manual("work.do").await;
    house
        .workflow(json!({"name": "Holds", "version": "1.0.0", "trigger": {"signal": "first.asked"}, "steps": [
            {"id": "a", "type": "directive", "directive": "work.do", "lock": "the one"}]}))
        .await;
    house
        .workflow(json!({"name": "Waits", "version": "1.0.0", "trigger": {"signal": "then.asked"}, "steps": [
            {"id": "a", "type": "wait", "until": "2020-01-01T00:00:00Z", "lock": "the one"}]}))
        .await;
    let started = async |name: &str| {
        let emitted = house.emit(signal(name, json!({}))).await.unwrap();
        let mut commits = house.engine.commits();
        loop {
            let found = house.store.dispositions(house.scope.tenant, emitted.signal.id, 1_000).unwrap();
            let run = found.first().and_then(|found| house.store.run(house.scope.tenant, found.run_id?).unwrap());
            if let Some(run) = run.filter(|run| run.steps[0].lock.is_some()) {
                return run.id;
            }
            commits.changed().await.unwrap();
        }
    };
    let holds = started("first.asked").await;
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(started("then.asked").await);
    }
    let directive = house.until(holds, |run| run.steps[0].directive_id.is_some()).await.steps[0].directive_id.unwrap();
    house.engine.directive_report(&house.scope, directive, Ok(fleetprompt_core::Json::null())).await.unwrap();
    for run in waiting {
        assert_eq!(house.ended(run).await.status, Status::Completed);
    }
    house.verified();
}

#[tokio::test]
async fn definitions_that_are_compiled_at_the_same_time_are_all_applied() {
    let house = House::new().await;
    house
        .agent(json!({"name": "Clerk", "slug": "clerk", "instructions": "Answer.",
        "model": {"provider": "scripted"}, "script": [{"output": {"ok": true}}]}))
        .await;
    let text = |name: &str| {
        json!({"workflow": {"name": name, "version": "1.0.0", "steps": [
            {"id": "ask", "type": "agent", "agent_ref": {"slug": "clerk"}, "input": {}},
            {"id": "say", "type": "function", "function": "json.identity", "input": {}}]}})
        .to_string()
    };
    let apply = |name: &str| house.engine.workflow_apply(&house.scope, text(name), Format::Json, true);
    let (one, two, three) = tokio::join!(apply("One"), apply("Two"), apply("Three"));
    assert!([one, two, three].into_iter().all(|applied| applied.unwrap().changed));
    let directory = house.engine.directory();
    assert_eq!(directory.tenant(house.scope.tenant).unwrap().workflows.len(), 3);
}

#[tokio::test]
async fn what_listens_to_everything_does_not_keep_offering_alive() {
    let house = house(1).await;
    for name in ["One", "Two", "Three"] {
        house
            .workflow(json!({"name": name, "version": "1.0.0",
                "trigger": {"signals": ["directive.requested", "directive.succeeded"], "when": "false"},
                "steps": [{"id": "a", "type": "function", "function": "json.identity", "input": {}}]}))
            .await;
    }
    house.request("signal.emit", "k", json!({"name": "a.b"})).await.unwrap();
    let mut commits = house.engine.commits();
    let offered = |house: &House| {
        let signals = house.store.signals(house.scope.tenant, &SignalFilter::default(), Page::newest(1_000)).unwrap();
        let of = |id| house.store.dispositions(house.scope.tenant, id, 1_000).unwrap().len();
        signals.iter().map(|signal| of(signal.id)).sum::<usize>()
    };
    while offered(&house) < 6 {
        commits.changed().await.unwrap();
    }
    assert_eq!(offered(&house), 6, "two signals of one directive, three workflows");
    assert!(names(&house, "directive.requested") < 12);
    house.verified();
}

#[tokio::test]
async fn a_long_call_of_an_engine_function_is_an_attempt_on_another_thread() {
    let house = House::new().await;
    let step =
        json!({"id": "a", "type": "function", "function": "list.sort", "input": {"list": "${signal.payload.list}"}});
    house
        .workflow(json!({"name": "Sorts", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": [step],
            "output": "${steps.a.output[0]}"}))
        .await;
    for (items, attempts) in [(10, 0), (60_000, 1)] {
        let started = names(&house, "workflow.step.started");
        let list: Vec<usize> = (0..items).rev().collect();
        let emitted = house.emit(signal("order.placed", json!({"list": list}))).await.unwrap();
        let run = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
        assert_eq!(run.output.unwrap().value(), &json!(0));
        assert_eq!(names(&house, "workflow.step.started") - started, attempts, "{items} items");
    }
    house.verified();
}
