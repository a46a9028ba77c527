//! What a decision leaves because its budget is spent: signals that are not offered, locks that are not granted, starts
//! that are not begun. Nothing of it is lost, only the engine settles it, and its cost is linear.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::directive::{Directive, Status as DirectiveStatus};
use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Run, Status, StepStatus};
use fleetprompt_core::signal::Disposition;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Party, RunId, Scope, SignalId};
use fleetprompt_engine::{Bounds, ByHand, DescentLimits, ManualTime, Task, verify};
use fleetprompt_store::counting::{CountingStore, Counts};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{DirectiveFilter, OpenWork, Page, RunFilter, Store};
use serde_json::{Value, json};
use support::{directive, refusal, signal};

/// No value with this text can be written.
const UNSTORABLE: &str = "UNSTORABLE";
/// An expression of about 20,000 units that does not hold.
const HEAVY: &str = "size([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(a, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(b, \
                     [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(c, a * b * c)))) < 0";

struct World {
    memory: Arc<MemoryStore>,
    store: Arc<CountingStore>,
    engine: ByHand,
    scope: Scope,
    bounds: Bounds,
}

impl World {
    /// Decisions may use so many units.
    fn new(decision_units: u64) -> Self {
        Self::bounded(Bounds { decision_units, ..Bounds::default() })
    }

    fn bounded(bounds: Bounds) -> Self {
        let memory = Arc::new(MemoryStore::default());
        memory.refuse_values_with(UNSTORABLE);
        let store = Arc::new(CountingStore::new(memory.clone()));
        let time = ManualTime::new(support::NOW, Duration::ZERO);
        let mut engine = ByHand::start_with_bounds(bounds, store.clone(), time, 1).unwrap();
        let (tenant, _) = engine.tenant_create("acme".parse().unwrap(), Role::Owner).unwrap();
        let scope = Scope { tenant: tenant.id, actor: Party::new("operator", "test") };
        let kind = json!({"directive_type": {"name": "work.do", "handler": {"type": "worker"}}});
        engine.directive_type_apply(&scope, kind.into()).unwrap();
        Self { memory, store, engine, scope, bounds }
    }

    /// A new engine, which has read nothing yet.
    fn restart(&mut self) {
        let time = ManualTime::new(self.engine.now(), Duration::ZERO);
        self.engine = ByHand::start_with_bounds(self.bounds, self.store.clone(), time, 2).unwrap();
    }

    fn workflow(&mut self, slug: &str, trigger: Value, steps: Value) {
        self.workflow_with(slug, trigger, steps, json!({}));
    }

    fn workflow_with(&mut self, slug: &str, trigger: Value, steps: Value, more: Value) {
        let mut workflow = json!({"name": slug, "slug": slug, "version": "1.0.0", "trigger": trigger, "steps": steps});
        workflow.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = json!({"workflow": workflow}).to_string();
        self.engine.workflow_apply(&self.scope, &text, Format::Json).unwrap();
    }

    fn emit(&mut self, name: &str, payload: Value) -> SignalId {
        self.engine.emit(&self.scope, vec![signal(name, payload)]).unwrap().remove(0).unwrap().signal.id
    }

    /// The run that a signal starts, in whichever batch.
    fn start(&mut self, name: &str) -> RunId {
        let id = self.emit(name, json!({}));
        self.dispositions(id)[0].run_id.unwrap()
    }

    fn task(&mut self) -> Task {
        self.engine.take_tasks().pop().unwrap()
    }

    fn run(&self, id: RunId) -> Run {
        self.store.run(self.scope.tenant, id).unwrap().unwrap()
    }

    fn runs_of(&self, workflow: &str) -> Vec<Run> {
        let filter = RunFilter { workflow: Some(workflow.parse().unwrap()), ..RunFilter::default() };
        self.store.runs(self.scope.tenant, &filter, Page::after(None, 10_000)).unwrap()
    }

    fn dispositions(&self, signal: SignalId) -> Vec<Disposition> {
        self.store.dispositions(self.scope.tenant, signal, 10_000).unwrap()
    }

    fn refusals(&self, workflow: &str) -> Vec<String> {
        let refusals = self.store.refusals(self.scope.tenant, &workflow.parse().unwrap(), 10_000).unwrap();
        refusals.into_iter().map(|refused| refused.reason.unwrap()).collect()
    }

    fn directives(&self, name: &str, status: Option<DirectiveStatus>) -> Vec<Directive> {
        let filter = DirectiveFilter { name: Some(name.parse().unwrap()), status, ..DirectiveFilter::default() };
        self.store.directives(self.scope.tenant, &filter, Page::after(None, 10_000)).unwrap()
    }

    /// Decides one batch. Returns the directive of this name that it left to the next one.
    fn left(&mut self, name: &str) -> Directive {
        self.engine.decide_next();
        self.directives(name, Some(DirectiveStatus::Requested)).pop().unwrap()
    }

    fn cancel(&mut self, directive: &Directive) -> fleetprompt_engine::Refusal {
        refusal(self.engine.directive_cancel(&self.scope, directive.id, "not wanted"))
    }

    fn cost(&mut self, work: impl FnOnce(&mut Self)) -> Counts {
        self.store.take_counts();
        work(self);
        self.store.take_counts()
    }

    /// Nothing is left to decide, and what is stored is what the log says and what the engine remembers.
    fn check(&self) {
        assert!(self.engine.is_at_rest());
        let work = self.store.open_work().unwrap();
        assert_eq!(work.directives_requested, OpenWork::default().directives_requested);
        assert_eq!(verify(self.memory.as_ref()).unwrap().problems, Vec::<String>::new());
        assert_eq!(self.engine.memory_differs().unwrap(), None);
    }
}

fn works(lock: &str) -> Value {
    json!([{"id": "a", "type": "directive", "directive": "work.do", "payload": {}, "lock": lock}])
}

/// A step that is done at once.
fn identity() -> Value {
    json!([{"id": "a", "type": "function", "function": "json.identity", "input": {}}])
}

/// The same once it has the lock.
fn passes(lock: &str) -> Value {
    json!([{"id": "a", "type": "wait", "until": "2020-01-01T00:00:00Z", "lock": lock}])
}

/// A step whose output cannot be written, made of parts that can.
fn unstorable(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": "text.upper", "input": {"text": "unstorable"}})
}

fn on(name: &str) -> Value {
    json!({"signal": name})
}

// Requests and cancels

#[test]
fn callers_cannot_cancel_what_a_commit_left_to_a_later_one() {
    let mut world = World::new(1);
    world.workflow("holds", on("first.asked"), works("one"));
    world.workflow("waits", on("then.asked"), passes("one"));
    world.start("first.asked");
    let task = world.task();
    let waits = world.start("then.asked");
    world.engine.enqueue_end(&task, Ok(Json::null()));
    let lock = world.left("signal.offer");
    assert_eq!(world.cancel(&lock).code, "directive_reserved");
    assert_eq!(world.run(waits).status, Status::Completed, "it was granted the lock");

    drop(world.engine.enqueue_emit(&world.scope, vec![signal("then.asked", json!({}))]).unwrap());
    world.engine.decide_next();
    let start = world.left("workflow.run.start");
    assert_eq!(world.cancel(&start).code, "directive_reserved");
    assert_eq!(world.runs_of("waits").len(), 2, "the disposition says that it started");
    world.check();
}

#[test]
fn callers_and_steps_cannot_request_signal_offer() {
    let mut world = World::new(200_000);
    let id = world.emit("order.placed", json!({}));
    let payload = json!({"signals": {"signal_ids": [id]}});
    let requested = world.engine.request(&world.scope, directive("signal.offer", "k", payload.clone()));
    assert_eq!(refusal(requested).code, "directive_reserved");
    let steps = json!([{"id": "a", "type": "directive", "directive": "signal.offer", "payload": payload}]);
    let workflow = json!({"workflow": {"name": "Offers", "version": "1.0.0", "steps": steps}}).to_string();
    let applied = world.engine.workflow_apply(&world.scope, &workflow, Format::Json);
    assert_eq!(refusal(applied).code, "workflow_invalid");
    assert!(fleetprompt_engine::built_in().all(|(name, _)| name != "signal.offer"));
}

// What cannot be written

#[test]
fn of_signals_that_are_offered_later_only_the_start_that_cannot_be_written_is_refused() {
    let mut world = World::new(5_000);
    let step = |n| json!({"id": format!("s{n}"), "type": "function", "function": "json.identity", "input": {}});
    world.workflow("large", on("l.asked"), (0..20).map(step).collect());
    let when = |when: &str| json!({"signal": "workflow.step.completed", "when": when});
    world.workflow("bad", when("${signal.payload.step == 's2'}"), json!([unstorable("a")]));
    world.workflow("fine", when("${signal.payload.step.startsWith('s')}"), identity());
    world.emit("l.asked", json!({}));
    let offers = world.directives("signal.offer", None);
    let names_many = |offer: &Directive| offer.payload.value()["signals"]["signal_ids"].as_array().unwrap().len() > 1;
    assert!(offers.iter().any(names_many), "several signals were left together");
    assert_eq!(world.runs_of("fine").len(), 20);
    assert!(world.runs_of("fine").iter().all(|run| run.status == Status::Completed));
    let refused = world.refusals("bad");
    assert!(refused.iter().any(|reason| reason.contains("cannot be recorded")), "{refused:?}");
    assert_eq!(world.runs_of("bad").len(), 0);
    world.check();
}

#[test]
fn a_run_that_cannot_be_written_with_a_lock_is_paused_and_the_next_one_is_granted_it() {
    for units in [1, 200_000] {
        let mut world = World::new(units);
        world.workflow("holds", on("first.asked"), works("one"));
        // What is no time is part of the failure.
        let until = "${signal.payload.first + signal.payload.then}";
        world.workflow("waits", on("then.asked"), json!([{"id": "a", "type": "wait", "until": until, "lock": "one"}]));
        world.start("first.asked");
        let task = world.task();
        let texts = [["2020-01-01", "T00:00:00Z"], ["UNSTOR", "ABLE"], ["2020-01-01", "T00:00:00Z"]];
        let ids = texts.map(|[first, then]| world.emit("then.asked", json!({"first": first, "then": then})));
        let runs = ids.map(|id| world.dispositions(id)[0].run_id.unwrap());
        world.engine.end(&task, Ok(Json::null()));
        let statuses = runs.map(|run| world.run(run).status);
        assert_eq!(statuses, [Status::Completed, Status::Paused, Status::Completed], "with {units} units");
        world.check();
    }
}

#[test]
fn a_run_that_cannot_go_on_from_what_it_looked_back_to_is_paused() {
    let mut world = World::new(3_000);
    for number in 0..200 {
        world.emit("order.paid", json!({"order": number}));
    }
    let wait = json!({"id": "paid", "type": "wait", "lookback": "1h",
        "signal": {"name": "order.paid", "when": "event.payload.order == 150"}});
    world.workflow("waits", on("order.placed"), json!([wait, unstorable("then")]));
    let id = world.start("order.placed");
    assert!(!world.directives("signal.offer", None).is_empty(), "it looked back in several commits");
    let run = world.run(id);
    assert_eq!((run.status, run.steps[0].status), (Status::Paused, StepStatus::Completed));
    assert_eq!(run.steps[0].output.as_ref().unwrap().value()["payload"]["order"], 150);
    world.check();
}

#[test]
fn starts_that_fail_later_do_not_count_against_the_root() {
    let descent = DescentLimits { open_max: 30, ..DescentLimits::default() };
    let mut world = World::bounded(Bounds { decision_units: 2_000, descent, ..Bounds::default() });
    let step = |n| json!({"id": format!("s{n}"), "type": "function", "function": "json.identity", "input": {}});
    world.workflow("large", on("l.asked"), (0..90).map(step).collect());
    let trigger = json!({"signal": "workflow.step.completed", "when": "${signal.payload.step.startsWith('s')}"});
    world.workflow("bad", trigger, json!([unstorable("a")]));
    world.emit("l.asked", json!({}));
    let refused = world.refusals("bad");
    assert_eq!(refused.len(), 90);
    let wrong: Vec<_> = refused.iter().filter(|reason| !reason.contains("cannot be recorded")).collect();
    assert_eq!(wrong, Vec::<&String>::new());
    world.check();
}

// A replay in between

#[test]
fn a_replay_before_the_rest_of_an_offer_starts_nothing_twice() {
    let mut world = World::new(5_000);
    let wait = json!([{"id": "paid", "type": "wait", "signal": {"name": "order.paid", "when": HEAVY}}]);
    world.workflow("waits", on("order.placed"), wait);
    world.workflow("ships", on("order.paid"), identity());
    for _ in 0..4 {
        world.start("order.placed");
    }
    drop(world.engine.enqueue_emit(&world.scope, vec![signal("order.paid", json!({}))]).unwrap());
    // It is offered to one run that waits, and the others and the workflow are left.
    let offer = world.left("signal.offer");
    let id = offer.payload.value()["signals"]["signal_ids"][0].clone();
    let replay = directive("signal.replay", "replay", json!({"signal_id": id}));
    let mut answer = world.engine.enqueue_request(&world.scope, replay).unwrap();
    world.engine.decide_all();
    let replayed = answer.try_recv().unwrap().unwrap().directive;
    assert_eq!(replayed.status, DirectiveStatus::Succeeded);
    assert_eq!(world.runs_of("ships").len(), 1);
    world.check();
}

// What it costs

#[test]
fn signals_that_are_offered_later_are_read_at_most_twice_each() {
    const SIGNALS: u64 = 96;
    let mut world = World::new(100_000);
    let step =
        |n| json!({"id": format!("s{n}"), "type": "function", "function": "json.identity", "input": {}, "needs": []});
    world.workflow("large", on("l.asked"), (0..SIGNALS).map(step).collect());
    world.workflow("listens", json!({"signal": "workflow.step.completed", "when": HEAVY}), identity());
    let counts = world.cost(|world| _ = world.emit("l.asked", json!({})));
    assert!(counts.of("commit").calls >= SIGNALS / 6, "at most six are offered in one decision: {counts:#?}");
    assert_eq!(counts.of("signal").calls, 0, "none is read alone: {counts:#?}");
    assert!(counts.of("signals_by_id").rows <= 2 * SIGNALS, "{counts:#?}");
    world.check();
}

#[test]
fn paused_runs_that_wait_for_a_lock_are_charged_and_read_in_bulk() {
    let mut world = World::new(5_000);
    world.workflow("holds", on("first.asked"), works("one"));
    world.workflow("waits", on("then.asked"), passes("one"));
    world.start("first.asked");
    let paused: Vec<RunId> = (0..400).map(|_| world.start("then.asked")).collect();
    for (number, run) in paused.iter().enumerate() {
        let pause =
            directive("workflow.run.pause", &format!("pause {number}"), json!({"run_id": run, "reason": "a test"}));
        world.engine.request(&world.scope, pause).unwrap();
    }
    let last = world.start("then.asked");
    world.restart();
    let task = world.task();
    let counts = world.cost(|world| world.engine.end(&task, Ok(Json::null())));
    assert_eq!(world.run(last).status, Status::Completed);
    assert!(paused.iter().all(|run| world.run(*run).status == Status::Paused));
    // 50 together, and fewer at the beginning of each decision.
    assert!(counts.of("runs_by_id").calls < 120, "{counts:#?}");
    assert!(counts.of("runs_by_id").rows <= 3 * 500, "each of them once: {counts:#?}");
    assert!(counts.of("commit").calls >= 8, "at most 50 of them in a decision: {counts:#?}");
    world.check();
}

#[test]
fn a_lookback_is_charged_for_the_signals_of_its_batch() {
    let offers = |noise: usize| {
        let mut world = World::bounded(Bounds { decision_units: 1_500, batch_max: 20_000, ..Bounds::default() });
        let wait = json!([{"id": "paid", "type": "wait", "signal": "order.paid", "lookback": "1h"}]);
        world.workflow("waits", on("order.placed"), wait);
        let signals = (0..noise).map(|_| signal("noise.heard", json!({})));
        let signals = signals.chain(["order.paid", "order.placed"].map(|name| signal(name, json!({}))));
        let each = signals.map(|signal| (world.scope.clone(), signal)).collect();
        world.engine.emit_each(each).into_iter().for_each(|emitted| drop(emitted.unwrap()));
        assert_eq!(world.runs_of("waits")[0].status, Status::Completed);
        world.check();
        world.directives("signal.offer", None).len()
    };
    assert_eq!(offers(10), 0);
    assert!(offers(12_000) > 0, "the scan of 12,000 signals takes its budget");
}

#[test]
fn runs_that_are_canceled_for_a_newer_one_are_read_in_bulk_and_canceled_in_parts() {
    const RUNNING: usize = 300;
    let mut world = World::new(10_000_000);
    let ask = json!([{"id": "asks", "type": "wait", "input": {"prompt": "May it go on?"}}]);
    let rule = |limit: usize| json!({"concurrency": {"limit": limit, "on_limit": "cancel_oldest"}});
    world.workflow_with("asks", on("order.placed"), ask.clone(), rule(RUNNING));
    for _ in 0..RUNNING {
        world.start("order.placed");
    }
    let mut lower = rule(1);
    lower["version"] = "2.0.0".into();
    world.workflow_with("asks", on("order.placed"), ask, lower);
    world.restart();
    let open = |world: &World| world.runs_of("asks").iter().filter(|run| !run.status.has_ended()).count();
    let counts = world.cost(|world| _ = world.start("order.placed"));
    assert!(counts.of("runs_by_id").calls <= 3, "{counts:#?}");
    assert_eq!(open(&world), RUNNING + 1 - 100);
    for _ in 0..3 {
        world.start("order.placed");
    }
    assert_eq!(open(&world), 1);
    world.check();
}
