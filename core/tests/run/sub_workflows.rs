//! Steps that are runs of other workflows.

use fleetprompt_core::run::{Effect, Illegal, Status, StepStatus};
use fleetprompt_core::{Json, RunId};
use serde_json::{Value, json};

use crate::world::World;

fn child(fields: Value) -> Value {
    let mut step = json!({"id": "a", "type": "workflow", "input": {"x": 1}, "needs": []});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    step
}

fn run_of(world: &World) -> RunId {
    world.child("a")
}

#[test]
fn it_asks_for_a_run_waits_for_it_and_takes_its_output() {
    let fields = json!({"output": "${steps.a.output}", "steps": [
        child(json!({"workflow_ref": {"slug": "child", "version": "1.2.3"}}))]});
    let mut world = World::new(fields);
    let [Effect::Directive { name, payload, key, .. }] = &world.effects[..] else { panic!("{:?}", world.effects) };
    assert_eq!((name.as_str(), key), ("workflow.run.start", &format!("{}:a", world.run.id)));
    assert_eq!(payload.value(), &json!({"workflow": "child", "version": "1.2.3", "input": {"x": 1}}));
    world.play("a ok");
    assert_eq!(world.step("a").status, StepStatus::Waiting);
    world.play(r#"a ok {"y": 2}"#);
    assert_eq!(world.timeline(), "run started, a started, a waiting, a completed, run completed");
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!({"y": 2})));
}

#[test]
fn one_that_is_not_waited_for_completes_as_soon_as_it_is_there() {
    let fields = json!({"output": "${steps.a.output}", "steps": [child(json!({"wait": false}))]});
    let world = World::play_all(fields, &["a ok"]);
    assert_eq!(world.timeline(), "run started, a started, a completed, run completed");
    let output = world.run.output.as_ref().map(Json::value).expect("it completed");
    assert!(output["run_id"].as_str().is_some_and(|id| id.parse::<RunId>().is_ok()), "{output}");
}

#[test]
fn its_failure_is_the_steps_and_one_that_cannot_start_is_none() {
    let world = World::play_all(json!({"steps": [child(json!({}))]}), &["a ok", "a busy"]);
    assert_eq!(world.since(2), "a waiting, a failed, run failed");
    let world = World::play_all(json!({"steps": [child(json!({}))]}), &["a refused"]);
    assert_eq!(world.since(2), "a failed, run failed");
}

#[test]
fn only_the_run_that_it_waits_for_ends_it_and_only_once() {
    let mut world = World::play_all(json!({"steps": [child(json!({})), {"id": "z", "type": "agent"}]}), &["a ok"]);
    let (place, run) = (world.place("a"), run_of(&world));
    let ended = |run| fleetprompt_core::run::Input::ChildEnded { place, run, by: None, result: Ok(Json::null()) };
    let other = RunId(world.moment.uuid());
    assert_eq!(world.tell(ended(other)), Err(Illegal::Stale(place)));
    world.tell(ended(run)).expect("it waits for it");
    assert_eq!(world.tell(ended(run)), Err(Illegal::Stale(place)));
}

#[test]
fn one_that_takes_too_long_is_canceled_and_the_step_fails() {
    let mut world = World::play_all(json!({"steps": [child(json!({"timeout": "1h"}))]}), &["wait 5m", "a ok"]);
    let run = run_of(&world);
    world.wait("59m");
    assert_eq!(world.tell(fleetprompt_core::run::Input::Due), Err(Illegal::NotDue), "it counts from when it is there");
    world.wait("1m");
    let effects = world.tell(fleetprompt_core::run::Input::Due).expect("its time is over");
    assert_eq!(effects, [Effect::CancelRun { run, reason: "it was waited for for 1h".into() }]);
    assert_eq!((world.error().code.as_str(), world.run.status), ("timeout", Status::Failed));
}

#[test]
fn one_that_takes_too_long_and_may_be_left_alone_goes_on_by_itself() {
    let fields = json!({"timeout": "1h", "on_cancel": "abandon"});
    let mut world = World::play_all(json!({"steps": [child(fields)]}), &["a ok", "wait 1h"]);
    assert_eq!(world.tell(fleetprompt_core::run::Input::Due), Ok(vec![]));
    assert_eq!((world.error().code.as_str(), world.run.status), ("timeout", Status::Failed));
}

#[test]
fn a_withdrawn_step_cancels_it_and_the_run_ends_when_it_has() {
    let mut world = World::play_all(json!({"steps": [child(json!({}))]}), &["a ok"]);
    let run = run_of(&world);
    let effects = world.try_play("cancel").expect("it runs");
    assert_eq!(effects, [Effect::CancelRun { run, reason: "the run was canceled".into() }]);
    assert_eq!((world.run.status, world.step("a").status), (Status::Stopping, StepStatus::Canceling));
    world.play("a broken");
    assert_eq!(world.since(3), "run stopping, a canceling, a canceled, run canceled");
}

#[test]
fn one_that_completes_all_the_same_is_on_record() {
    let world = World::play_all(json!({"steps": [child(json!({}))]}), &["a ok", "cancel", "a ok 7"]);
    assert_eq!(world.since(3), "run stopping, a canceling, a completed, run canceled");
    assert_eq!(world.step("a").output.as_ref().map(Json::value), Some(&json!(7)));
}

#[test]
fn an_abandoned_one_goes_on_by_itself() {
    let mut world = World::play_all(json!({"steps": [child(json!({"on_cancel": "abandon"}))]}), &["a ok"]);
    assert_eq!(world.try_play("cancel"), Ok(vec![]));
    assert_eq!(world.since(3), "run stopping, a canceled, run canceled");
}

#[test]
fn one_that_is_withdrawn_while_it_starts_is_canceled_once_it_is_there() {
    let mut world = World::new(json!({"steps": [child(json!({}))]}));
    world.play("cancel");
    let place = world.place("a");
    let input = world.ending(place, Ok(Json::null()));
    let effects = world.tell(input.clone()).expect("it is on its way");
    let run = run_of(&world);
    assert_eq!(effects, [Effect::CancelRun { run, reason: "it was withdrawn while it began".into() }]);
    assert_eq!(
        world.tell(match input {
            fleetprompt_core::run::Input::ChildEnded { .. } => panic!("it was on its way"),
            settled => settled,
        }),
        Err(Illegal::Stale(place)),
        "it has settled"
    );
    world.play("a broken");
    assert_eq!(world.since(2), "run stopping, a canceling, a waiting, a canceling, a canceled, run canceled");
}

#[test]
fn an_abandoned_one_that_is_withdrawn_while_it_starts_is_let_go() {
    let fields = json!({"steps": [child(json!({"on_cancel": "abandon"}))]});
    let world = World::play_all(fields, &["cancel", "a ok"]);
    assert_eq!(world.since(2), "run stopping, a canceling, a waiting, a canceled, run canceled");
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::CancelRun { .. })));
}

#[test]
fn a_run_for_each_item_each_under_its_own_key() {
    let fields =
        json!({"output": "${steps.a.output}", "steps": [child(json!({"for_each": [1, 2], "input": "${item}"}))]});
    let world = World::play_all(fields, &["a[0] ok", "a[1] ok", "a[1] ok 20", "a[0] ok 10"]);
    assert_eq!(world.keys(), ["a:0", "a:1"]);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!([10, 20])));
}

#[test]
fn when_it_goes_on_after_its_failure_so_does_the_step_that_waited_for_it() {
    let fields =
        json!({"steps": [child(json!({})), {"id": "b", "needs": ["a"]}, {"id": "c", "type": "agent", "needs": []}]});
    let mut world = World::play_all(fields, &["a ok", "a broken"]);
    assert_eq!(world.run.status, Status::Failed);
    let run = run_of(&world);
    world.play("a child_retried");
    assert_eq!((world.step("a").status, run_of(&world)), (StepStatus::Waiting, run));
    assert_eq!(world.step("c").status, StepStatus::Running, "what was cut off comes back");
    world.play("a ok");
    world.play("c ok");
    assert_eq!((world.run.status, world.step("b").status), (Status::Completed, StepStatus::Completed));
}

#[test]
fn a_run_does_not_take_back_that_it_went_on_without_it_or_was_undone() {
    let steps = json!([child(json!({"on_error": "continue"})), {"id": "z", "type": "agent", "needs": []}]);
    let mut world = World::play_all(json!({"steps": steps}), &["a ok", "a broken"]);
    assert!(matches!(world.try_play("a child_retried"), Err(Illegal::Status(Status::Running, _))));

    let fields = json!({"on_error": "compensate", "steps": [
        {"id": "x", "type": "directive", "compensate": {"directive": "mail.recall"}}, {"id": "a", "type": "workflow"}]});
    let mut world = World::play_all(fields, &["x ok", "a ok", "a broken", "undo:x ok"]);
    assert!(matches!(world.try_play("a child_retried"), Err(Illegal::Status(Status::Failed, _))));

    let mut world = World::play_all(
        json!({"steps": [child(json!({"needs": []})),
        {"id": "w", "type": "agent", "needs": []}]}),
        &["a ok", "w broken", "a broken"],
    );
    assert_eq!(world.step("a").status, StepStatus::Canceled);
    assert!(matches!(world.try_play("a child_retried"), Err(Illegal::Status(Status::Failed, _))), "`w` failed as well");
}
