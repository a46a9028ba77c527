//! Sagas: what a run did, and what the runs did that it started or shares effects with, is compensated once, and is not
//! relied on after that.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Run, Status, StepStatus};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Failure, Json, Party, RunId, Scope, Timestamp};
use fleetprompt_engine::{ByHand, NewDirective, Task, TaskKind, verify};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Page, RunFilter, Store};
use rstest::rstest;
use serde_json::{Value, json};

const BEGINNING: Timestamp = Timestamp(1_800_000_000_000_000);

/// One tenant's engine; directives are performed when the test says so.
struct World {
    store: Arc<MemoryStore>,
    engine: ByHand,
    scope: Scope,
    under_way: Vec<Task>,
    /// The names and keys of all that was performed, without the ids of runs.
    performed: Vec<String>,
    requests: usize,
}

impl World {
    fn new(workflows: &[Value]) -> Self {
        let store = Arc::new(MemoryStore::default());
        let mut engine = ByHand::start(store.clone(), BEGINNING, 1).unwrap();
        let (tenant, _) = engine.tenant_create("acme".parse().unwrap(), Role::Owner).unwrap();
        let scope = Scope { tenant: tenant.id, actor: Party::new("operator", "ada") };
        let mut world = Self { store, engine, scope, under_way: Vec::new(), performed: Vec::new(), requests: 0 };
        for name in ["charge", "ship", "refund", "book", "unbook"] {
            let of_type = json!({"directive_type": {"name": format!("do.{name}"), "handler": {"type": "worker"},
                "retry": {"max_attempts": 1}}});
            world.engine.directive_type_apply(&world.scope, of_type.into()).unwrap();
        }
        workflows.iter().for_each(|workflow| world.apply(workflow));
        world
    }

    fn apply(&mut self, workflow: &Value) {
        let text = json!({"workflow": workflow}).to_string();
        self.engine.workflow_apply(&self.scope, &text, Format::Json).unwrap();
    }

    fn ask(&mut self, name: &str, payload: Value) -> Result<Option<RunId>, Failure> {
        self.requests += 1;
        let directive = NewDirective {
            name: name.parse().unwrap(),
            payload: payload.into(),
            idempotency_key: format!("ask{}", self.requests),
            correlation_id: None,
            causation_id: None,
        };
        let directive = self.engine.request(&self.scope, directive).unwrap().directive;
        let run = |output: &Json| output.value()["run_id"].as_str()?.parse().ok();
        directive.error.clone().map_or(Ok(directive.output.as_ref().and_then(run)), Err)
    }

    fn start(&mut self, workflow: &str) -> RunId {
        self.ask("workflow.run.start", json!({"workflow": workflow, "input": {}})).unwrap().unwrap()
    }

    fn rerun(&mut self, run: RunId, version: &str) -> RunId {
        let payload = json!({"run_id": run, "version": version, "reason": "again"});
        self.ask("workflow.run.rerun", payload).unwrap().unwrap()
    }

    fn retry(&mut self, run: RunId, more: Value) -> Result<(), String> {
        let mut payload = json!({"run_id": run, "reason": "again"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask("workflow.run.retry", payload).map(drop).map_err(|failure| failure.code)
    }

    /// The oldest directive of this name that is under way ends.
    fn end(&mut self, name: &str, is_well: bool) {
        self.under_way.extend(self.engine.take_tasks());
        let is_of =
            |task: &Task| matches!(&task.kind, TaskKind::Directive(one) if one.name.as_str() == format!("do.{name}"));
        let at =
            self.under_way.iter().position(is_of).unwrap_or_else(|| panic!("no {name} among {:#?}", self.under_way));
        let task = self.under_way.remove(at);
        self.performed.push(format!("{name} {}", task.key.split_once(':').unwrap().1));
        let result = if is_well { Ok(json!({"ok": true}).into()) } else { Err(Failure::fatal("declined", "no")) };
        self.engine.end(&task, result);
    }

    fn well(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.end(name, true));
    }

    /// How often a directive of this name was requested.
    fn count(&self, name: &str) -> usize {
        let filter = fleetprompt_store::DirectiveFilter {
            name: Some(format!("do.{name}").parse().unwrap()),
            ..Default::default()
        };
        self.store.directives(self.scope.tenant, &filter, Page::newest(100)).unwrap().len()
    }

    fn run(&self, run: RunId) -> Run {
        self.store.run(self.scope.tenant, run).unwrap().unwrap()
    }

    fn status(&self, run: RunId) -> Status {
        self.run(run).status
    }

    fn children(&self, run: RunId) -> Vec<Run> {
        let filter = RunFilter { parent: Some(run), ..RunFilter::default() };
        self.store.runs(self.scope.tenant, &filter, Page::after(None, 100)).unwrap()
    }

    fn restart(&mut self) {
        self.engine = ByHand::start(self.store.clone(), self.engine.now(), 2).unwrap();
        self.under_way.clear();
    }

    fn verified(&self) {
        assert_eq!(verify(self.store.as_ref()).unwrap().problems, Vec::<String>::new());
    }
}

// Effects that several runs share

/// Version 1.0.0 fails plainly, 2.0.0 compensates.
fn orders() -> [Value; 2] {
    let order = |version: &str, on_error: &str, compensate: bool| {
        let mut charge = json!({"id": "charge", "type": "directive", "directive": "do.charge", "payload": {}});
        if compensate {
            charge["compensate"] = json!({"directive": "do.refund"});
        }
        let ship =
            json!({"id": "ship", "type": "directive", "directive": "do.ship", "payload": {}, "needs": ["charge"]});
        json!({"name": "Order", "version": version, "on_error": on_error, "steps": [charge, ship]})
    };
    [order("1.0.0", "fail", false), order("2.0.0", "compensate", true)]
}

/// A run of the first version whose charge succeeded and whose shipment failed.
fn failed_order() -> (World, RunId) {
    let [first, second] = orders();
    let mut world = World::new(&[first]);
    let run = world.start("order");
    world.well(&["charge"]);
    world.end("ship", false);
    assert_eq!(world.status(run), Status::Failed);
    world.apply(&second);
    (world, run)
}

/// The same after a rerun that compensates has taken the charge over, failed, and refunded it.
fn refunded_order() -> (World, RunId) {
    let (mut world, run) = failed_order();
    let compensating = world.rerun(run, "2.0.0");
    world.end("ship", false);
    world.well(&["refund"]);
    assert_eq!((world.status(compensating), world.count("charge")), (Status::Failed, 1));
    (world, run)
}

#[test]
fn a_rerun_does_not_take_over_what_another_has_compensated() {
    let (mut world, run) = refunded_order();
    let again = world.rerun(run, "1.0.0");
    world.well(&["charge", "ship"]);
    assert_eq!((world.status(again), world.count("charge")), (Status::Completed, 2));
    world.verified();
}

#[test]
fn nor_does_a_rerun_of_a_rerun_that_has_the_effect() {
    let (mut world, run) = failed_order();
    let second = world.rerun(run, "1.0.0");
    world.end("ship", false);
    let compensating = world.rerun(second, "2.0.0");
    world.end("ship", false);
    world.well(&["refund"]);
    assert_eq!(world.status(compensating), Status::Failed);
    for of in [run, second, compensating] {
        let again = world.rerun(of, "1.0.0");
        let charged = world.count("charge");
        world.well(&["charge", "ship"]);
        assert_eq!(world.status(again), Status::Completed, "{charged}");
    }
    assert_eq!(world.count("charge"), 4);
    assert_eq!(world.retry(second, json!({})), Err("run_status".into()));
    world.verified();
}

#[rstest]
#[case::plainly(json!({}))]
#[case::from_what_failed(json!({"from": ["ship"]}))]
#[case::from_what_was_compensated(json!({"from": ["charge"]}))]
fn a_run_is_not_retried_whose_effect_a_rerun_has_compensated(#[case] how: Value) {
    let (mut world, run) = refunded_order();
    assert_eq!(world.retry(run, how), Err("run_status".into()));
    assert_eq!(world.count("ship"), 2);
}

#[test]
fn it_is_retried_when_the_effect_is_to_happen_again() {
    let (mut world, run) = refunded_order();
    world.retry(run, json!({"from": ["charge"], "reissue": true})).unwrap();
    world.well(&["charge", "ship"]);
    assert_eq!(world.status(run), Status::Completed);
    assert!(world.performed.contains(&"charge charge:again1".to_owned()), "{:?}", world.performed);
    world.verified();
}

#[test]
fn a_rerun_from_a_later_step_does_not_keep_what_was_compensated() {
    let (mut world, run) = refunded_order();
    let from_ship = json!({"run_id": run, "from": "ship", "reason": "again"});
    assert_eq!(world.ask("workflow.run.rerun", from_ship).unwrap_err().code, "run_status");
}

#[test]
fn an_effect_that_was_kept_for_a_rerun_is_compensated_as_the_one_that_it_is() {
    let (mut world, run) = failed_order();
    let kept = json!({"run_id": run, "from": "ship", "version": "2.0.0", "reason": "again"});
    let kept = world.ask("workflow.run.rerun", kept).unwrap().unwrap();
    world.end("ship", false);
    world.well(&["refund"]);
    assert_eq!(world.status(kept), Status::Failed);
    assert_eq!(world.retry(run, json!({})), Err("run_status".into()));
    world.verified();
}

#[test]
fn two_runs_that_fail_with_the_same_effect_compensate_it_once() {
    let (mut world, run) = failed_order();
    let two = [world.rerun(run, "2.0.0"), world.rerun(run, "2.0.0")];
    world.end("ship", false);
    assert_eq!(world.count("refund"), 0, "the other may still ship");
    assert_eq!(world.status(two[0]), Status::Failed);
    assert_eq!(world.run(two[0]).steps[0].undo.as_ref().unwrap().status, StepStatus::Skipped);
    world.end("ship", false);
    world.well(&["refund"]);
    assert_eq!((world.status(two[1]), world.count("refund")), (Status::Failed, 1));
    world.verified();
}

#[test]
fn an_effect_that_a_completed_run_relies_on_is_not_compensated() {
    let (mut world, run) = failed_order();
    let completed = world.rerun(run, "1.0.0");
    world.well(&["ship"]);
    let failed = world.rerun(run, "2.0.0");
    world.end("ship", false);
    assert_eq!([completed, failed].map(|run| world.status(run)), [Status::Completed, Status::Failed]);
    assert_eq!((world.count("charge"), world.count("refund")), (1, 0));
    world.verified();
}

// Runs that are parts of others

/// Books, and then waits for a report, or ends.
fn trip(waits: bool) -> Value {
    let mut steps = vec![json!({"id": "hotel", "type": "directive", "directive": "do.book", "payload": {},
        "compensate": {"directive": "do.unbook"}})];
    steps.extend(waits.then(|| json!({"id": "confirm", "type": "wait", "callback": true})));
    json!({"name": "Trip", "version": "1.0.0", "on_error": "fail", "steps": steps})
}

/// Charges, starts a run of `child`, and then ships.
fn journey(name: &str, child: &str, more: Value) -> Value {
    let mut trip =
        json!({"id": "trip", "type": "workflow", "workflow_ref": {"slug": child}, "input": {}, "needs": ["charge"]});
    trip.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": name, "version": "1.0.0", "on_error": "compensate", "steps": [
        {"id": "charge", "type": "directive", "directive": "do.charge", "payload": {}, "compensate": {"directive": "do.refund"}},
        trip, {"id": "ship", "type": "directive", "directive": "do.ship", "payload": {}, "needs": ["trip"]}]})
}

#[test]
fn runs_of_runs_are_compensated_from_the_last_effect_to_the_first_also_across_restarts() {
    let mut world =
        World::new(&[trip(false), journey("Journey", "trip", json!({})), journey("Year", "journey", json!({}))]);
    let year = world.start("year");
    world.well(&["charge", "charge", "book", "ship"]);
    world.end("ship", false);
    let journey = world.children(year)[0].id;
    let trip = world.children(journey)[0].id;
    world.restart();
    assert_eq!([year, journey, trip].map(|run| world.status(run)), [Status::Compensating; 3]);
    for name in ["unbook", "refund", "refund"] {
        world.restart();
        world.well(&[name]);
    }
    assert_eq!(
        [year, journey, trip].map(|run| world.status(run)),
        [Status::Failed, Status::Canceled, Status::Canceled]
    );
    let undone = ["unbook hotel:undo", "refund charge:undo", "refund charge:undo"];
    assert_eq!(world.performed[world.performed.len() - 3..], undone);
    assert_eq!(world.retry(year, json!({})), Err("run_status".into()));
    world.verified();
}

#[rstest]
#[case::a_failing_sibling(&["ship"], false)]
#[case::cancel_with_compensation(&[], true)]
fn a_waiting_child_is_compensated_when_its_parent_stops(#[case] fails: &[&str], #[case] cancels: bool) {
    let mut workflow = journey("Journey", "trip", json!({}));
    workflow["steps"][2]["needs"] = json!(["charge"]);
    let mut world = World::new(&[trip(true), workflow]);
    let journey = world.start("journey");
    world.well(&["charge", "book"]);
    fails.iter().for_each(|name| world.end(name, false));
    if cancels {
        world.ask("workflow.run.cancel", json!({"run_id": journey, "compensate": true})).unwrap();
        world.end("ship", false);
    }
    world.well(&["unbook", "refund"]);
    let expected = if cancels { Status::Canceled } else { Status::Failed };
    assert_eq!((world.status(journey), world.status(world.children(journey)[0].id)), (expected, Status::Canceled));
    world.verified();
}

#[test]
fn a_child_that_took_too_long_is_compensated_before_what_came_before_it() {
    let mut world = World::new(&[trip(true), journey("Journey", "trip", json!({"timeout": "1h"}))]);
    let journey = world.start("journey");
    world.well(&["charge", "book"]);
    world.engine.set_time(Timestamp(BEGINNING.0 + 2 * 3_600_000_000));
    assert_eq!(world.status(journey), Status::Compensating);
    world.well(&["unbook"]);
    world.restart();
    world.well(&["refund"]);
    assert_eq!((world.status(journey), world.run(journey).error.unwrap().code.as_str()), (Status::Failed, "timeout"));
    world.verified();
}

#[test]
fn a_child_that_cannot_be_undone_keeps_its_parent_waiting_until_an_operator_decides() {
    let mut world = World::new(&[trip(false), journey("Journey", "trip", json!({}))]);
    let journey = world.start("journey");
    world.well(&["charge", "book"]);
    world.end("ship", false);
    world.end("unbook", false);
    let trip = world.children(journey)[0].id;
    assert_eq!((world.status(trip), world.status(journey)), (Status::Parked, Status::Compensating));
    world.retry(trip, json!({})).unwrap();
    world.well(&["unbook", "refund"]);
    assert_eq!((world.status(trip), world.status(journey)), (Status::Canceled, Status::Failed));
    world.verified();
}

#[test]
fn every_iteration_is_compensated_the_last_one_first() {
    let mut world = World::new(&[trip(false), journey("Journey", "trip", json!({"repeat": {"max": 3}}))]);
    let journey = world.start("journey");
    world.well(&["charge", "book", "book", "book"]);
    world.end("ship", false);
    let undone = |world: &World| {
        world.children(journey).iter().map(|child| child.status == Status::Canceled).collect::<Vec<_>>()
    };
    for expected in [[false, false, true], [false, true, true], [true, true, true]] {
        world.well(&["unbook"]);
        assert_eq!(undone(&world), expected);
    }
    world.well(&["refund"]);
    assert_eq!(world.status(journey), Status::Failed);
    world.verified();
}

#[test]
fn what_was_done_before_the_next_iteration_is_compensated() {
    let mut workflow = journey("Journey", "trip", json!({"repeat": {"max": 3, "delay": "1h"}}));
    workflow["steps"][2]["needs"] = json!(["charge"]);
    let mut world = World::new(&[trip(false), workflow]);
    let journey = world.start("journey");
    world.well(&["charge", "book"]);
    world.end("ship", false);
    world.well(&["unbook", "refund"]);
    assert_eq!(
        (world.status(journey), world.status(world.children(journey)[0].id)),
        (Status::Failed, Status::Canceled)
    );
    world.verified();
}

#[test]
fn the_run_that_a_rerun_takes_over_is_compensated_and_then_started_anew() {
    let mut world = World::new(&[trip(false), journey("Journey", "trip", json!({}))]);
    let mut plain = journey("Journey", "trip", json!({}));
    (plain["version"], plain["on_error"]) = (json!("2.0.0"), json!("fail"));
    world.apply(&plain);
    let first = world.ask("workflow.run.start", json!({"workflow": "journey", "version": "2.0.0", "input": {}}));
    let first = first.unwrap().unwrap();
    world.well(&["charge", "book"]);
    world.end("ship", false);
    let trip = world.children(first)[0].id;
    assert_eq!((world.status(first), world.status(trip)), (Status::Failed, Status::Completed));

    let second = world.rerun(first, "1.0.0");
    world.end("ship", false);
    world.well(&["unbook", "refund"]);
    assert_eq!((world.status(second), world.status(trip), world.count("book")), (Status::Failed, Status::Canceled, 1));
    assert_eq!(world.retry(first, json!({})), Err("run_status".into()));

    let third = world.rerun(first, "2.0.0");
    world.well(&["charge", "book", "ship"]);
    assert_eq!((world.status(third), world.count("book")), (Status::Completed, 2));
    world.verified();
}

#[test]
fn a_parent_with_children_that_left_nothing_can_be_retried() {
    let mut journey = journey("Journey", "trip", json!({"needs": []}));
    journey["steps"].as_array_mut().unwrap().remove(0);
    let mut world = World::new(&[trip(false), journey]);
    let journey = world.start("journey");
    world.end("book", false);
    assert_eq!(world.status(journey), Status::Failed);
    world.retry(journey, json!({})).unwrap();
    world.well(&["book", "ship"]);
    assert_eq!((world.status(journey), world.count("unbook")), (Status::Completed, 0));
    world.verified();
}
