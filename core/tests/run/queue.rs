//! Runs that do not begin at once, and what they bring along.

use fleetprompt_core::run::{Carried, FlowKeys, Illegal, Input, Parent, Place, Queue, QueueReason, Status, StepStatus};
use fleetprompt_core::{DirectiveId, Json, Lineage, Moment, RunId, Span};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{self, BEGINNING, SEED, World};

fn queue(reason: QueueReason, after: Option<i64>) -> Queue {
    Queue { reason, until: after.map(|secs| BEGINNING + Span::from_secs(secs)), since: None }
}

fn queued(fields: Value, queue: Queue) -> World {
    World::started(fields, json!({"title": "x"}), SEED, |start, _| start.queue = Some(queue))
}

fn fields() -> Value {
    json!({"timeout": "1h", "steps": [{"id": "a", "type": "agent"}]})
}

#[test]
fn a_queued_run_has_begun_nothing_and_its_time_has_not_begun() {
    let world = queued(fields(), queue(QueueReason::Concurrency, None));
    assert_eq!((world.timeline().as_str(), world.run.status), ("run queued", Status::Queued));
    assert_eq!((world.run.deadline, world.run.begun_at, world.run.wake_at()), (None, None, None));
    assert_eq!(world.last()["queue"], json!({"reason": "concurrency"}));
}

#[test]
fn it_begins_when_its_turn_has_come_with_its_whole_time() {
    let mut world = queued(fields(), queue(QueueReason::Concurrency, None));
    world.play("wait 1d");
    world.play("begin");
    assert_eq!(world.timeline(), "run queued, run started, a started");
    assert_eq!(world.run.deadline, Some(world.moment.now() + Span::from_secs(3_600)));
    assert_eq!((world.run.begun_at, world.run.started_at), (Some(world.moment.now()), BEGINNING));
    assert_eq!(world.causes()[1..], ["run started ← run queued", "a started ← run started"]);
    assert!(matches!(world.try_play("begin"), Err(Illegal::Status(Status::Running, _))));
}

#[test]
fn one_that_waits_for_a_time_begins_by_itself() {
    let mut world = queued(fields(), queue(QueueReason::Debounce, Some(10)));
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("due");
    assert_eq!(world.moment.now(), BEGINNING + Span::from_secs(10));
    assert_eq!(world.run.status, Status::Running);
}

#[test]
fn it_may_have_to_wait_for_something_else_next() {
    let mut world = queued(fields(), queue(QueueReason::Throttle, Some(10)));
    let next = queue(QueueReason::Concurrency, None);
    world.queue_again(next.clone()).expect("it is queued");
    assert_eq!((world.timeline().as_str(), world.run.wake_at()), ("run queued, run queued", None));
    world.play("begin");
    assert!(matches!(world.queue_again(next), Err(Illegal::Status(Status::Running, _))));
}

#[test]
fn it_can_be_canceled_before_it_began_and_begun_after_all() {
    let mut world = queued(fields(), queue(QueueReason::Concurrency, None));
    for line in ["pause", "resume", "retry", "a skip", "a complete"] {
        assert!(matches!(world.try_play(line), Err(Illegal::Status(Status::Queued, _))), "{line}");
    }
    world.play("cancel undo");
    assert_eq!(world.timeline(), "run queued, run canceled");
    world.play("retry");
    assert_eq!(world.since(2), "run retried, a started");
}

#[test]
fn what_the_run_is_counted_under_and_came_from_is_in_its_first_signal() {
    let keys = FlowKeys { concurrency: Some("acme".into()), throttle: None, debounce: Some("x".into()) };
    let place = Place::step(3).item(7);
    let world = World::started(fields(), json!({}), SEED, |start, moment| {
        start.keys = keys.clone();
        start.parent = Some(Parent { run_id: RunId(moment.uuid()), place, waits: true });
        start.source = Some(RunId(moment.uuid()));
        start.input = Some(json!({"own": true}).into());
    });
    assert_eq!((&world.run.keys, world.run.parent.map(|parent| parent.place)), (&keys, Some(place)));
    let payload = world.log[0].payload.value();
    assert_eq!((&payload["parent"]["step"], &payload["parent"]["item"]), (&json!(3), &json!(7)));
    assert_eq!(payload["keys"], json!({"concurrency": "acme", "debounce": "x"}));
}

#[rstest]
#[case::at_once(None, "run started, a completed, b completed, run completed")]
#[case::once_its_turn_has_come(
    Some(queue(QueueReason::Throttle, Some(5))),
    "run queued, a completed, run started, b completed, run completed"
)]
fn what_another_run_gave_is_carried_over(#[case] queue: Option<Queue>, #[case] expected: &str) {
    let fields = json!({"output": "${steps.b.output}", "steps": [
        {"id": "a", "type": "agent"}, {"id": "b", "function": "next", "input": "${steps.a.output}"}]});
    let is_queued = queue.is_some();
    let mut world = World::started(fields, json!({}), SEED, |start, moment| {
        start.source = Some(RunId(moment.uuid()));
        let output = json!(41).into();
        start.carried = vec![Carried { index: 0, output, directive_id: None, compensable: false }];
        start.queue = queue;
    });
    if is_queued {
        assert_eq!(world.step("b").status, StepStatus::Pending);
        world.play("due");
    }
    assert_eq!(world.timeline(), expected);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!(42)));
    assert_eq!((world.log.len(), world.effects.len()), (expected.split(", ").count(), 0));
}

#[test]
fn a_run_that_no_signal_triggered_is_caused_by_its_directive() {
    let mut moment = Moment::new(3);
    moment.advance(BEGINNING);
    let fields = json!({"output": "${run.input}", "steps": [{"id": "a", "input": "${signal}"}]});
    let (workflow, tenant) = (world::workflow(fields), world::tenant());
    let meter = fleetprompt_core::Meter::unlimited();
    let setting = fleetprompt_core::run::Setting { workflow: &workflow, tenant: &tenant, signal: None, meter: &meter };
    let directive = DirectiveId(moment.uuid());
    let start = fleetprompt_core::run::Start {
        input: Some(json!({"x": 1}).into()),
        ..fleetprompt_core::run::Start::new(RunId(moment.uuid()), directive, Lineage::root("together"))
    };
    let decision = fleetprompt_core::run::start(setting, &world::Pure, start, &mut moment);
    assert_eq!(decision.run.lineage.causation_id, Some(directive.into()));
    assert_eq!(decision.run.status, Status::Failed, "there is no `signal` to read");
    let error = decision.run.error.clone().expect("it failed");
    assert_eq!(error.message, "step `a`: `signal`: the run was not started by a signal");
    assert_eq!(fleetprompt_core::run::fold(&workflow, &decision.signals), Some(decision.run));
}

#[test]
fn a_log_that_does_not_begin_with_the_start_gives_no_run() {
    let world = World::of(json!([{"id": "a"}]));
    assert_eq!(fleetprompt_core::run::fold(&world.workflow, &world.log[1..]), None);
    assert_eq!(fleetprompt_core::run::fold(&world.workflow, []), None);
}
