//! Runs whose time is over.

use fleetprompt_core::run::{Effect, Illegal, Input, Status, StepStatus};
use serde_json::{Value, json};

use crate::world::World;

fn fields(on_error: &str) -> Value {
    json!({"timeout": "1h", "on_error": on_error, "steps": [
        {"id": "z", "type": "directive", "compensate": {"directive": "mail.recall"}, "needs": []},
        {"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "directive", "needs": []}]})
}

#[test]
fn a_run_that_passes_its_deadline_fails_whatever_is_in_flight() {
    let mut world = World::play_all(fields("fail"), &["z ok", "wait 59m59s"]);
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("wait 1s");
    let effects = world.tell(Input::Due).expect("the deadline has come");
    let directive = world.step("b").directive_id.expect("it was requested");
    assert_eq!(effects, [Effect::Withdraw { directive, reason: "the run failed".into() }]);
    world.play("b ok");
    assert_eq!(world.since(5), "run stopping, a canceled, b canceling, b completed, run failed");
    assert_eq!(
        (world.error().code.as_str(), world.error().message.as_str()),
        ("timeout", "the run did not end within 1h")
    );
    assert_eq!(world.causes()[5], "run stopping ← the run");
}

#[test]
fn what_it_did_is_undone_where_the_workflow_says_so() {
    let world = World::play_all(fields("compensate"), &["z ok", "due", "b broken", "undo:z ok"]);
    let expected = "run stopping, a canceled, b canceling, b canceled, run compensating, z compensating, z compensated, run failed";
    assert_eq!(world.since(5), expected);
}

#[test]
fn a_parked_one_keeps_what_is_under_way_and_gets_its_time_anew() {
    let mut world = World::play_all(fields("park"), &["z ok", "due", "a ok"]);
    assert_eq!(world.since(5), "run parked, a completed");
    world.play("wait 5m");
    world.play("retry");
    assert_eq!((world.run.status, world.step("b").status), (Status::Running, StepStatus::Running));
    assert_eq!(world.run.wake_at().map(|at| (at - world.moment.now()).to_string()).as_deref(), Some("1h"));
    world.play("b ok");
    assert_eq!(world.since(7), "run resumed, b completed, run completed");
}

#[test]
fn the_deadline_comes_first_when_something_else_is_due_too() {
    let world = World::play_all(
        json!({"timeout": "10s", "steps": [{"id": "a", "type": "agent"}]}),
        &["a busy", "wait 1h", "due"],
    );
    assert_eq!(world.timeline(), "run started, a started, a retrying, run stopping, a canceled, run failed");
}
