//! Cost, counted in calls and rows of the store: eight times the work costs at most ten times as much, and what an engine
//! has read once it does not read again.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::Status;
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Party, RunId, Scope, Span, Timestamp};
use fleetprompt_engine::{ByHand, Emitted, NewDirective};
use fleetprompt_store::Store;
use fleetprompt_store::counting::{Count, CountingStore, Counts};
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};

const BEGINNING: Timestamp = Timestamp(1_800_000_000_000_000);
/// How many records one bulk read asks for.
const READ_TOGETHER: u64 = 500;

/// One tenant's engine over a store that counts.
struct World {
    store: Arc<CountingStore>,
    engine: ByHand,
    scope: Scope,
}

impl World {
    fn new(workflow: Value) -> Self {
        let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
        let mut engine = ByHand::start(store.clone(), BEGINNING, 1).unwrap();
        let (tenant, _) = engine.tenant_create("acme".parse().unwrap(), Role::Owner).unwrap();
        let mut this = Self { store, engine, scope: Scope { tenant: tenant.id, actor: Party::engine() } };
        for handler in ["worker", "manual"] {
            let kind = json!({"directive_type": {"name": format!("work.{handler}"), "handler": {"type": handler}}});
            this.engine.directive_type_apply(&this.scope, kind.into()).unwrap();
        }
        this.apply(workflow);
        this
    }

    fn apply(&mut self, workflow: Value) {
        let text = json!({"workflow": workflow}).to_string();
        self.engine.workflow_apply(&self.scope, &text, Format::Json).unwrap();
    }

    fn emit(&mut self, name: &str, payloads: impl IntoIterator<Item = Value>) -> Vec<Emitted> {
        let signal = |payload: Value| NewSignal {
            name: name.parse().unwrap(),
            subject: None,
            actor: None,
            source: None,
            source_event_id: None,
            dedupe_key: None,
            correlation_id: None,
            causation_id: None,
            occurred_at: None,
            payload: payload.into(),
        };
        let signals = payloads.into_iter().map(signal).collect();
        let emitted = self.engine.emit(&self.scope, signals).unwrap();
        emitted.into_iter().map(Result::unwrap).collect()
    }

    /// Starts one run for each number below `count`.
    fn start(&mut self, count: usize) -> Vec<RunId> {
        let emitted = self.emit("order.placed", (0..count).map(|order| json!({"order": order})));
        emitted.iter().map(|emitted| emitted.dispositions[0].run_id.unwrap()).collect()
    }

    fn status(&self, run: RunId) -> Status {
        self.store.run(self.scope.tenant, run).unwrap().unwrap().status
    }

    /// Replaces the engine, as after a crash. Returns what its start cost.
    fn restart(&mut self) -> Counts {
        self.store.take_counts();
        self.engine = ByHand::start(self.store.clone(), self.engine.now(), 2).unwrap();
        self.store.take_counts()
    }

    fn cost(&mut self, work: impl FnOnce(&mut Self)) -> Counts {
        self.store.take_counts();
        work(self);
        self.store.take_counts()
    }
}

/// The cost of a piece of work at n and at 8 n, once it was found to be linear.
fn grow<const N: usize>(what: [&str; N], n: usize, measure: impl Fn(usize) -> [Counts; N]) -> [[Counts; N]; 2] {
    let measured = [n, 8 * n].map(measure);
    for (at, what) in what.into_iter().enumerate() {
        measured[0][at].assert_linear(&measured[1][at], what);
    }
    measured
}

fn workflow(steps: Value) -> Value {
    json!({"name": "Order", "version": "1.0.0", "trigger": {"signal": "order.placed"}, "steps": steps})
}

/// One run that asks for a directive for each of its items, all at once.
fn fan_out(handler: &str) -> Value {
    workflow(json!([{"id": "work", "type": "directive", "directive": format!("work.{handler}"), "payload": "${item}",
        "for_each": {"items": "${signal.payload.items}", "max_parallel": 10_000}}]))
}

fn items(count: usize) -> Value {
    json!({"items": (0..count).collect::<Vec<_>>()})
}

#[test]
fn a_restart_reads_each_directive_in_flight_once_and_its_run_with_the_first_outcome() {
    let measured = grow(["restart", "first outcome", "the others"], 100, |n| {
        let mut world = World::new(fan_out("worker"));
        world.emit("order.placed", [items(n)]);
        let restart = world.restart();
        let mut tasks = world.engine.take_tasks();
        assert_eq!(tasks.len(), n, "each is delivered again");
        let last = tasks.pop().unwrap();
        let first = world.cost(|world| world.engine.end(&last, Ok(Json::null())));
        let others = world.cost(|world| tasks.iter().for_each(|task| world.engine.end(task, Ok(Json::null()))));
        [restart, first, others]
    });
    for ([restart, first, others], n) in measured.iter().zip([100_u64, 800]) {
        let bulk = Count { calls: n.div_ceil(READ_TOGETHER), rows: n, bytes: restart.of("directives_by_id").bytes };
        assert_eq!(restart.of("directives_by_id"), bulk);
        for counts in [restart, others] {
            assert_eq!([counts.of("runs_by_id").calls, counts.of("run").calls], [0, 0], "{counts:#?}");
        }
        assert_eq!(first.of("runs_by_id").calls, 1);
        assert_eq!(others.of("directives_by_id").calls, 0);
    }
}

/// What waits, by kind; and what a restart does with it.
#[test]
fn a_restart_reads_no_run_that_only_waits() {
    let wait =
        json!([{"id": "paid", "type": "wait", "signal": {"name": "order.paid", "when": "event.payload.order == 1"}}]);
    let timer = json!([{"id": "later", "type": "wait", "for": "1h"}]);
    let lock = json!([{"id": "work", "type": "directive", "directive": "work.manual", "payload": {}, "lock": "one"}]);
    let mut queue = workflow(json!([{"id": "work", "type": "directive", "directive": "work.manual", "payload": {}}]));
    queue["concurrency"] = json!({"limit": 1});
    for (what, workflow) in
        [("waits", workflow(wait)), ("timers", workflow(timer)), ("locks", workflow(lock)), ("queued runs", queue)]
    {
        let measured = grow([what], 100, |n| {
            let mut world = World::new(workflow.clone());
            world.start(n);
            [world.restart()]
        });
        for [restart] in &measured {
            assert_eq!(restart.of("runs_by_id").calls + restart.of("run").calls, 0, "{what}: {restart:#?}");
        }
    }
}

#[test]
fn runs_that_are_due_after_a_restart_are_read_in_bulk() {
    let measured = grow(["timers that have passed"], 100, |n| {
        let mut world = World::new(workflow(json!([{"id": "later", "type": "wait", "for": "1h"}])));
        let runs = world.start(n);
        world.restart();
        let later = world.engine.now() + Span::from_secs(7_200);
        let due = world.cost(|world| world.engine.set_time(later));
        assert!(runs.iter().all(|run| world.status(*run) == Status::Completed));
        [due]
    });
    for ([due], n) in measured.iter().zip([100_u64, 800]) {
        assert_eq!(due.of("runs_by_id").calls, n.div_ceil(READ_TOGETHER));
    }
}

/// Waits that only an expression over the event and the run tells apart: each of them is a candidate.
fn waits_by_expression() -> Value {
    let when = "event.payload.order == signal.payload.order";
    workflow(json!([{"id": "paid", "type": "wait", "signal": {"name": "order.paid", "when": when}}]))
}

#[test]
fn a_signal_reads_the_runs_that_it_is_offered_to_once_after_a_restart() {
    let measured = grow(["before", "first", "second"], 100, |n| {
        let mut world = World::new(waits_by_expression());
        let runs = world.start(n);
        let unknown = |world: &mut World| _ = world.emit("order.paid", [json!({"order": -1})]);
        let before = world.cost(unknown);
        world.restart();
        let first = world.cost(unknown);
        let second = world.cost(unknown);
        world.emit("order.paid", [json!({"order": n - 1})]);
        assert_eq!([world.status(runs[0]), world.status(runs[n - 1])], [Status::Running, Status::Completed]);
        [before, first, second]
    });
    for ([before, first, second], n) in measured.iter().zip([100_u64, 800]) {
        assert_eq!(first.of("runs_by_id").calls, n.div_ceil(READ_TOGETHER));
        // Each with its step and the signal that triggered it.
        assert_eq!(first.of("runs_by_id").rows, 3 * n);
        assert_eq!([before, second].map(|counts| counts.of("runs_by_id").calls), [0, 0]);
    }
}

#[test]
fn more_waiting_runs_than_fit_are_read_in_bulk_for_each_signal() {
    const WAITING: usize = 1_000;
    let mut world = World::new(waits_by_expression());
    let runs = world.start(WAITING);
    world.engine = ByHand::start_with_cache(world.store.clone(), world.engine.now(), 2, 256 << 10).unwrap();
    for order in [3, 700] {
        let offered = world.cost(|world| _ = world.emit("order.paid", [json!({"order": order})]));
        let read = offered.of("runs_by_id");
        assert!(read.rows > WAITING as u64, "they do not fit: {read:?}");
        assert!(read.calls <= 2 + WAITING as u64 / READ_TOGETHER, "{read:?}");
        assert_eq!(world.status(runs[order]), Status::Completed);
    }
}

#[test]
fn many_waits_of_one_run_read_it_once() {
    let mut world = World::new(workflow(json!([{"id": "paid", "type": "wait", "for_each":
        {"items": "${signal.payload.items}", "max_parallel": 1_000},
        "signal": {"name": "order.paid", "when": "event.payload.order == item"}}])));
    let emitted = world.emit("order.placed", [items(1_000)]);
    world.restart();
    let offered = world.cost(|world| _ = world.emit("order.paid", [json!({"order": 7})]));
    assert_eq!(offered.of("runs_by_id").calls, 1);
    assert_eq!(offered.of("runs_by_id").rows, 1_003, "the run, its step, its items and the signal that triggered it");
    let run = emitted[0].dispositions[0].run_id.unwrap();
    let run = world.store.run(world.scope.tenant, run).unwrap().unwrap();
    assert_eq!(run.steps[0].items.as_ref().unwrap().steps.in_flight(), 999);
}

#[test]
fn each_outcome_of_a_large_run_writes_as_much_as_one_of_a_small_run() {
    let measured = grow(["a for_each with an outcome at a time", "one outcome"], 100, |n| {
        let mut world = World::new(fan_out("worker"));
        world.emit("order.placed", [items(n)]);
        let tasks = world.engine.take_tasks();
        let one = world.cost(|world| world.engine.end(&tasks[0], Ok(Json::null())));
        let all = world.cost(|world| tasks[1..].iter().for_each(|task| world.engine.end(task, Ok(Json::null()))));
        [all, one]
    });
    let [[_, small], [_, large]] = measured;
    assert_eq!(small.of("commit").rows, large.of("commit").rows);
    assert_eq!(large.total().calls, 1, "it commits, and reads nothing: {large:#?}");
}

#[test]
fn one_signal_that_ends_many_runs_costs_as_much_for_each_of_them() {
    grow(["before a restart", "after it"], 50, |n| {
        let mut world = World::new(workflow(json!([{"id": "paid", "type": "wait", "signal": "order.paid"}])));
        let end_all = |world: &mut World| {
            let runs = world.start(n);
            let ended = world.cost(|world| _ = world.emit("order.paid", [json!({})]));
            assert!(runs.iter().all(|run| world.status(*run) == Status::Completed));
            ended
        };
        let before = end_all(&mut world);
        let runs = world.start(n);
        world.restart();
        let after = world.cost(|world| _ = world.emit("order.paid", [json!({})]));
        assert!(runs.iter().all(|run| world.status(*run) == Status::Completed));
        [before, after]
    });
}

#[test]
fn a_lock_is_passed_on_at_the_same_cost_however_many_wait_for_it() {
    grow(["passed on to all"], 50, |n| {
        let mut world = World::new(workflow(json!([
            {"id": "work", "type": "directive", "directive": "work.worker", "payload": {}, "lock": "one"}])));
        let runs = world.start(n);
        world.restart();
        let all = world.cost(|world| {
            while let Some(task) = world.engine.take_tasks().pop() {
                world.engine.end(&task, Ok(Json::null()));
            }
        });
        assert!(runs.iter().all(|run| world.status(*run) == Status::Completed));
        [all]
    });
}

#[test]
fn what_a_canceled_run_calls_off_is_read_in_bulk() {
    let measured = grow(["cancel"], 100, |n| {
        let mut world = World::new(fan_out("manual"));
        let emitted = world.emit("order.placed", [items(n)]);
        let run = emitted[0].dispositions[0].run_id.unwrap();
        world.restart();
        let cancel = world.cost(|world| {
            let directive = NewDirective {
                name: "workflow.run.cancel".parse().unwrap(),
                payload: json!({"run_id": run, "reason": "enough"}).into(),
                idempotency_key: "cancel".into(),
                correlation_id: None,
                causation_id: None,
            };
            world.engine.request(&world.scope, directive).unwrap();
        });
        assert_eq!(world.status(run), Status::Canceled);
        [cancel]
    });
    for ([cancel], n) in measured.iter().zip([100_u64, 800]) {
        assert!(cancel.of("directives_by_id").calls <= 2 + n.div_ceil(READ_TOGETHER), "{cancel:#?}");
    }
}
