//! What one signal may lead to: recursion is refused, chains are limited, and whatever a tenant starts leaves the others
//! their turn.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Descendants, Run, Status};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Party, Scope, Slug, Span, Timestamp};
use fleetprompt_engine::{ByHand, Config, DescentLimits, Engine};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{OpenWork, Page, RunFilter, Store};
use serde_json::{Value, json};
use support::{House, signal, tenant};

const START: Timestamp = Timestamp(1_800_000_000_000_000);

fn limits(open_max: u64, runs: u64) -> DescentLimits {
    let window_max = Descendants { runs, ..DescentLimits::default().window_max };
    DescentLimits { open_max, window_max, ..DescentLimits::default() }
}

async fn house(limits: DescentLimits) -> House {
    over(&Arc::default(), limits, None).await
}

async fn over(store: &Arc<MemoryStore>, limits: DescentLimits, scope: Option<Scope>) -> House {
    let config = Config { descent: limits, grace: std::time::Duration::from_millis(100), ..Config::default() };
    let engine = Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    let scope = match scope {
        Some(scope) => scope,
        None => tenant(&engine, "acme").await,
    };
    House { store: store.clone(), engine, scope }
}

/// A workflow of one step that fails.
fn failing(slug: &str, trigger: Value) -> Value {
    json!({"name": slug, "slug": slug, "version": "1.0.0", "trigger": trigger,
        "steps": [{"id": "a", "type": "function", "function": "json.parse", "input": {"text": "{"}}]})
}

/// A workflow that emits one signal.
fn emitting(slug: &str, trigger: &str, emits: &str) -> Value {
    json!({"name": slug, "slug": slug, "version": "1.0.0", "trigger": {"signal": trigger},
        "steps": [{"id": "a", "type": "directive", "directive": "signal.emit", "payload": {"name": emits}}]})
}

fn runs(house: &House) -> Vec<Run> {
    house.store.runs(house.scope.tenant, &RunFilter::default(), Page::newest(1_000_000)).unwrap()
}

fn runs_of(house: &House, workflow: &str) -> usize {
    runs(house).iter().filter(|run| run.workflow.as_str() == workflow).count()
}

fn refusals(house: &House, workflow: &str) -> Vec<Disposition> {
    let slug: Slug = workflow.parse().unwrap();
    house.store.refusals(house.scope.tenant, &slug, 1_000_000).unwrap()
}

/// Waits until everything that the engine continues by itself is done.
async fn settled(house: &House) {
    let mut commits = house.engine.commits();
    loop {
        commits.borrow_and_update();
        if house.store.open_work().unwrap() == OpenWork::default() {
            // Metrics count a batch after its commit, and before the next one.
            house.emit(signal("nobody.listens", json!({}))).await.unwrap();
            return;
        }
        commits.changed().await.unwrap();
    }
}

#[tokio::test]
async fn workflows_that_react_to_failed_runs_do_not_react_to_their_own() {
    let house = house(DescentLimits::default()).await;
    house.workflow(failing("bad", json!({"signal": "t.bad"}))).await;
    house.workflow(failing("alert", json!({"signal": "workflow.run.failed"}))).await;
    house.workflow(failing("report", json!({"signal": "workflow.run.failed"}))).await;
    house.emit(signal("t.bad", json!({}))).await.unwrap();
    settled(&house).await;
    // `bad`; `alert` and `report` of it; and each of them once more, for the failure of the other.
    assert_eq!(["bad", "alert", "report"].map(|workflow| runs_of(&house, workflow)), [1, 2, 2]);
    let refused = refusals(&house, "alert");
    assert_eq!(refused.len(), 3);
    assert!(refused[0].reason.as_deref().unwrap().contains("trigger.allow_recursion: true"), "{refused:?}");
    let metrics = house.engine.metrics().render();
    assert!(metrics.contains("fleetprompt_starts_refused_total{reason=\"recursion\"} 6"), "{metrics}");
    house.verified();
}

#[tokio::test]
async fn a_recursion_that_is_declared_ends_at_the_limit_of_the_window() {
    let house = house(limits(1_000, 300)).await;
    let trigger = json!({"signals": ["t.bad", "workflow.run.failed"], "allow_recursion": true});
    house.workflow(failing("bad", trigger)).await;
    house.emit(signal("t.bad", json!({}))).await.unwrap();
    settled(&house).await;
    assert_eq!(runs_of(&house, "bad"), 301);
    let refused = refusals(&house, "bad");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].reason.as_deref().unwrap().contains("led to 300 runs within 10m"), "{refused:?}");
    house.verified();
}

#[tokio::test]
async fn workflows_that_emit_each_others_signals_end_at_the_limit_and_delay_nobody() {
    let house = house(limits(1_000, 2_000)).await;
    let quiet = tenant(&house.engine, "quiet").await;
    // Each signal starts two runs, each of which emits the other one.
    for (slug, trigger, emits) in
        [("a1", "x.a", "x.b"), ("a2", "x.a", "x.b"), ("b1", "x.b", "x.a"), ("b2", "x.b", "x.a")]
    {
        house.workflow(emitting(slug, trigger, emits)).await;
    }
    house.emit(signal("x.a", json!({}))).await.unwrap();
    house.engine.emit(&quiet, vec![signal("order.placed", json!({}))]).await.unwrap().remove(0).unwrap();
    settled(&house).await;
    // The two runs that the root started itself, and its descendants.
    assert_eq!(runs(&house).len(), 2_002);
    assert!(runs(&house).iter().all(|run| run.status == Status::Completed));
    assert!(!refusals(&house, "a1").is_empty());
    house.verified();
}

#[tokio::test]
async fn descendants_that_are_open_at_once_are_limited() {
    let house = house(limits(20, 1_000)).await;
    house.manual("parcel.ship").await;
    let start = |n| {
        json!({"id": format!("s{n}"), "type": "directive", "directive": "workflow.run.start", "needs": [],
            "payload": {"workflow": "waits"}})
    };
    let ship = json!({"id": "ship", "type": "directive", "directive": "parcel.ship", "payload": {}});
    house.workflow(json!({"name": "Waits", "version": "1.0.0", "steps": [ship]})).await;
    let steps: Vec<_> = (0..30).map(start).collect();
    house.workflow(json!({"name": "Many", "version": "1.0.0", "trigger": {"signal": "m.asked"}, "steps": steps})).await;
    let emitted = house.emit(signal("m.asked", json!({}))).await.unwrap();
    let many = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    let failed: Vec<_> = many.steps.iter().filter_map(|step| step.error.clone()).collect();
    assert_eq!((failed.len(), runs_of(&house, "waits")), (10, 20));
    assert_eq!(failed[0].code, "descendants_limit");
    assert!(failed[0].message.contains("led to 20 open runs"), "{failed:?}");
    house.verified();
}

#[tokio::test]
async fn the_counters_of_a_root_are_the_same_after_a_restart() {
    let store = Arc::<MemoryStore>::default();
    let limits = limits(1_000, 5);
    let mut house = over(&store, limits, None).await;
    house.manual("parcel.ship").await;
    let ship = json!({"id": "ship", "type": "directive", "directive": "parcel.ship", "payload": {}});
    let next = json!({"id": "next", "type": "directive", "directive": "signal.emit", "payload": {"name": "x.next"}});
    house
        .workflow(json!({"name": "Chain", "version": "1.0.0", "trigger": {"signal": "x.next"}, "steps": [ship, next]}))
        .await;
    house.emit(signal("x.next", json!({}))).await.unwrap();
    let mut count = 1;
    loop {
        let open = runs(&house).into_iter().find(|run| !run.status.has_ended());
        let Some(open) = open else { break };
        let run = house.run(open.id);
        let ship = run.steps[0].directive_id.unwrap();
        house.engine.directive_report(&house.scope, ship, Ok(json!({}).into())).await.unwrap();
        house.ended(open.id).await;
        // Each of them is decided by another engine.
        house.engine.stop().await;
        house = over(&store, limits, Some(house.scope.clone())).await;
        count += 1;
        assert!(count < 20, "the chain has no end");
    }
    assert_eq!(runs(&house).len(), 6, "the first run, and five descendants");
    assert_eq!(refusals(&house, "chain").len(), 1);
    house.verified();
}

#[tokio::test]
async fn starts_left_to_later_batches_are_refused_at_the_limit_and_say_so() {
    let house = house(limits(1_000_000, 50)).await;
    let steps = |count: usize| -> Vec<Value> {
        let step = |n| json!({"id": format!("s{n}"), "type": "function", "function": "json.identity", "input": {}});
        (0..count).map(step).collect()
    };
    // So much in one cascade that the starts which it leads to are left to later batches.
    house
        .workflow(json!({"name": "Large", "version": "1.0.0", "trigger": {"signal": "l.asked"}, "steps": steps(4_000)}))
        .await;
    house
        .workflow(json!({"name": "Each", "version": "1.0.0", "steps": steps(1),
            "trigger": {"signal": "workflow.step.completed", "when": "${signal.payload.step.startsWith('s1')}"}}))
        .await;
    house.emit(signal("l.asked", json!({}))).await.unwrap();
    settled(&house).await;
    assert_eq!(runs_of(&house, "each"), 50);
    let refused = refusals(&house, "each");
    // Its own steps are recorded for runs that descend from it, and are refused for that.
    assert!(refused.len() > 1_000, "{}", refused.len());
    assert!(refused.iter().all(|one| one.kind == DispositionKind::Refused && one.run_id.is_none()));
    house.verified();
}

#[tokio::test]
async fn a_list_of_ten_thousand_runs_stays_within_the_default_limits() {
    let house = house(DescentLimits::default()).await;
    house
        .workflow(json!({"name": "Child", "version": "1.0.0", "steps": [
            {"id": "a", "type": "function", "function": "json.identity", "input": {}}]}))
        .await;
    let items: Vec<usize> = (0..10_000).collect();
    house
        .workflow(json!({"name": "Parent", "version": "1.0.0", "trigger": {"signal": "p.asked"}, "steps": [
            {"id": "each", "type": "workflow", "workflow_ref": {"slug": "child"}, "input": "${item}",
                "for_each": {"items": "${signal.payload.items}", "max_parallel": 10_000}}]}))
        .await;
    let emitted = house.emit(signal("p.asked", json!({"items": items}))).await.unwrap();
    let parent = house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    assert_eq!((parent.status, runs_of(&house, "child")), (Status::Completed, 10_000));
}

#[test]
fn a_workflow_starts_its_next_run_daily_for_years() {
    const DAYS: usize = 3 * 365;
    let store = Arc::<MemoryStore>::default();
    let mut engine = ByHand::start(store.clone(), START, 1).unwrap();
    let tenant = engine.tenant_create("acme".parse().unwrap(), Role::Owner).unwrap().0;
    let scope = Scope { tenant: tenant.id, actor: Party::new("operator", "test") };
    let workflow = json!({"workflow": {"name": "Daily", "version": "1.0.0",
        "trigger": {"signals": ["d.begin", "workflow.run.completed"], "allow_recursion": true},
        "steps": [{"id": "a", "type": "wait", "for": "1d"}]}});
    engine.workflow_apply(&scope, &workflow.to_string(), Format::Json).unwrap();
    engine.emit(&scope, vec![signal("d.begin", json!({}))]).unwrap().remove(0).unwrap();
    for _ in 0..DAYS {
        engine.set_time(engine.now() + Span::from_secs(86_400));
    }
    let runs = store.runs(tenant.id, &RunFilter::default(), Page::newest(10_000)).unwrap();
    assert_eq!(runs.len(), DAYS + 1);
    let descent = runs[0].descent.as_ref().unwrap();
    assert_eq!((descent.before.runs, descent.workflows.len()), (DAYS as u64 - 1, 1));
}
