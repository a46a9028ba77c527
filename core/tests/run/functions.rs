//! Functions that workers perform. How the engine's own are called stands in the other files.

use fleetprompt_core::run::{Effect, Illegal, Status, StepStatus, effects_in_flight};
use fleetprompt_core::{Json, Span};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

fn away(fields: Value) -> World {
    let mut step = json!({"id": "a", "type": "function", "function": "away", "input": "${signal.payload.title}"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    World::new(json!({"steps": [step], "output": "${steps.a.output}"}))
}

#[test]
fn one_is_asked_for_with_its_input_and_the_run_goes_on_with_what_it_gave() {
    let mut world = away(json!({"timeout": "5s", "heartbeat": "2s"}));
    let [Effect::Function { attempt, function, input, key, timeout, heartbeat, .. }] = &world.effects[..] else {
        panic!("{:?}", world.effects);
    };
    assert_eq!((*attempt, &**function, input.value()), (1, "away", &json!("No login")));
    assert_eq!(*key, format!("{}:a", world.run.id));
    assert_eq!((*timeout, *heartbeat), (Some(Span::from_secs(5)), Some(Span::from_secs(2))));
    assert_eq!(world.step("a").status, StepStatus::Running);
    assert_eq!(world.run.reason_to_wake(), Some("a step is in flight"));
    world.play("a ok 7");
    assert_eq!(world.timeline(), "run started, a started, a completed, run completed");
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!(7)));
}

#[rstest]
#[case::as_it_was_registered(json!({}), 2)]
#[case::as_its_step_says(json!({"retry": {"max_attempts": 3}}), 3)]
fn what_failed_for_now_is_tried_again_under_the_same_key(#[case] fields: Value, #[case] attempts: usize) {
    let mut world = away(fields);
    for _ in 1..attempts {
        world.play("a busy");
        assert_eq!(world.step("a").status, StepStatus::Retrying);
        world.wait("1m");
        world.play("due");
    }
    world.play("a busy");
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "busy"));
    assert_eq!(world.keys(), vec!["a"; attempts]);
}

#[test]
fn what_failed_for_good_is_not_tried_again() {
    let mut world = away(json!({}));
    world.play("a broken");
    assert_eq!(world.timeline(), "run started, a started, a failed, run failed");
}

#[test]
fn what_it_may_not_be_given_fails_its_step_and_is_not_asked_for() {
    let world = away(json!({"input": false}));
    assert_eq!((world.effects.len(), world.error().code.as_str()), (0, "input_invalid"));
}

#[test]
fn what_it_may_not_give_is_a_failed_attempt() {
    let mut world = away(json!({"retry": {"max_attempts": 2, "initial": "1s", "jitter": false}}));
    world.play("a ok false");
    assert_eq!(world.step("a").status, StepStatus::Retrying);
    world.wait("1s");
    world.play("due");
    world.play("a ok false");
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "output_invalid"));
}

#[test]
fn a_withdrawn_one_is_over_at_once_and_its_outcome_comes_too_late() {
    let mut world = away(json!({}));
    world.play("cancel");
    assert_eq!(world.since(2), "run stopping, a canceled, run canceled");
    assert_eq!(world.outcome("a", 1, Ok(Json::null())), Err(Illegal::Ended(Status::Canceled)));
}

#[test]
fn the_outcome_of_another_attempt_is_not_taken() {
    let mut world = away(json!({"retry": {"max_attempts": 3}}));
    world.play("a busy");
    let place = world.place("a");
    assert_eq!(world.outcome("a", 1, Ok(Json::null())), Err(Illegal::Stale(place)));
    world.wait("1m");
    world.play("due");
    assert_eq!(world.outcome("a", 1, Ok(Json::null())), Err(Illegal::Stale(place)));
    world.outcome("a", 2, Ok(Json::null())).expect("it is under way");
}

#[test]
fn what_is_under_way_after_a_restart_is_asked_for_again() {
    let world = away(json!({"for_each": [1, 2], "input": "${item}"}));
    assert_eq!(effects_in_flight(world.setting(), &world.run), world.effects);
    assert_eq!(world.keys(), ["a:0", "a:1"]);
}

#[test]
fn a_call_that_takes_too_long_for_a_decision_is_one_attempt() {
    let step = json!({"id": "a", "type": "function", "function": "long", "lock": "the one", "on_error": "continue"});
    let mut world = World::new(json!({"steps": [step, {"id": "b", "type": "function", "needs": ["a"]}]}));
    world.play("a granted");
    assert_eq!(world.step("a").status, StepStatus::Running);
    assert!(world.step("a").lock.is_some(), "it holds its lock");
    assert!(matches!(&world.effects[..], [.., Effect::Function { attempt: 1, .. }]), "{:?}", world.effects);
    world.play("a busy");
    assert_eq!(world.since(3), "a failed, b completed, run completed", "it is not tried again");
}
