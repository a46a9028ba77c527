//! When something is tried again, and when no more.

use fleetprompt_core::run::{Effect, Illegal, Input, Status, StepStatus};
use fleetprompt_core::{Failure, Span};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{World, busy};

#[rstest]
#[case::an_agent_is_tried_again_and_succeeds(
    json!([{"id": "a", "type": "agent"}]), &["a busy", "due", "a ok"],
    "run started, a started, a retrying, a started, a completed, run completed"
)]
#[case::an_agent_is_tried_as_often_as_its_policy_says(
    json!([{"id": "a", "type": "agent", "retry": {"max_attempts": 3}}]),
    &["a busy", "due", "a busy", "due", "a busy"],
    "run started, a started, a retrying, a started, a retrying, a started, a failed, run failed"
)]
#[case::a_fatal_failure_is_not_tried_again(
    json!([{"id": "a", "type": "agent"}]), &["a broken"], "run started, a started, a failed, run failed"
)]
#[case::a_fatal_failure_is_where_its_code_is_named(
    json!([{"id": "a", "type": "agent", "retry": {"on": ["br*"]}}]), &["a broken", "due", "a ok"],
    "run started, a started, a retrying, a started, a completed, run completed"
)]
#[case::a_passing_failure_is_not_where_others_are_named(
    json!([{"id": "a", "type": "agent", "retry": {"on": ["http_*", "broken"]}}]), &["a busy"],
    "run started, a started, a failed, run failed"
)]
#[case::a_function_is_not_tried_again_it_would_say_the_same(
    json!([{"id": "a", "function": "busy"}]), &[], "run started, a failed, run failed"
)]
#[case::a_directive_s_failure_is_not_tried_again_by_the_step(
    json!([{"id": "a", "type": "directive", "retry": {"max_attempts": 9}}]), &["a busy"],
    "run started, a started, a failed, run failed"
)]
fn attempts_follow_the_policy(#[case] steps: Value, #[case] script: &[&str], #[case] expected: &str) {
    assert_eq!(World::play_all(json!({"steps": steps}), script).timeline(), expected);
}

#[test]
fn delays_grow_by_the_policy_and_each_attempt_is_delivered_under_the_same_key() {
    let retry = json!({"max_attempts": 4, "initial": "2s", "factor": 3, "max": "10s", "jitter": false});
    let mut world = World::of(json!([{"id": "a", "type": "agent", "retry": retry, "timeout": "9s"}]));
    let mut delays = Vec::new();
    for _ in 0..3 {
        world.end("a", Err(busy())).expect("it is in flight");
        delays.push((world.run.wake_at().expect("it is tried again") - world.moment.now()).to_string());
        world.play("due");
    }
    assert_eq!(delays, ["2s", "6s", "10s"]);
    let expected = format!("{}:a", world.run.id);
    for (index, effect) in world.effects.iter().enumerate() {
        let Effect::Agent { attempt, key, timeout, .. } = effect else { panic!("{effect:?}") };
        assert_eq!((*attempt as usize, key, *timeout), (index + 1, &expected, Some(Span::from_secs(9))));
    }
    assert_eq!(world.effects.len(), 4);
}

#[test]
fn no_attempt_begins_when_too_much_time_has_passed_since_the_first() {
    let retry = json!({"max_attempts": 100, "initial": "4s", "factor": 1, "jitter": false, "max_elapsed": "10s"});
    let mut world = World::of(json!([{"id": "a", "type": "agent", "retry": retry}]));
    for line in ["a busy", "due", "a busy", "due", "a busy"] {
        world.play(line);
    }
    assert_eq!(world.since(5), "a started, a failed, run failed", "the third would begin at 12s");
}

#[test]
fn the_other_side_s_wish_for_a_longer_delay_is_kept() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}]));
    world.end("a", Err(Failure { retry_after_ms: Some(90_000), ..busy() })).expect("it is in flight");
    assert_eq!(world.run.wake_at().map(|at| at - world.moment.now()), Some(Span::from_secs(90)));
}

#[test]
fn nothing_is_due_before_its_time() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}]));
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue), "nothing waits");
    world.end("a", Err(Failure { retry_after_ms: Some(2_000), ..busy() })).expect("it is in flight");
    world.wait("1s999ms");
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.wait("1ms");
    assert_eq!(world.tell(Input::Due).map(|effects| effects.len()), Ok(1));
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue), "it was due once");
}

#[test]
fn only_what_is_due_is_tried_again() {
    let agent = |id: &str| json!({"id": id, "type": "agent", "needs": []});
    let mut world = World::of(json!([agent("a"), agent("b"), agent("c")]));
    for (step, millis) in [("a", 3_000), ("b", 9_000), ("c", 3_000)] {
        world.end(step, Err(Failure { retry_after_ms: Some(millis), ..busy() })).expect("it is in flight");
    }
    world.wait("3s");
    let effects = world.tell(Input::Due).expect("two are due");
    let steps: Vec<_> =
        effects.iter().map(|effect| matches!(effect, Effect::Agent { place, .. } if place.index() != 1)).collect();
    assert_eq!(steps, [true, true]);
    assert_eq!(world.step("b").status, StepStatus::Retrying);
}

#[test]
fn an_agent_whose_answers_never_fit_fails_with_the_last_of_them() {
    let step = json!({"id": "a", "type": "agent", "output_schema": {"type": "string"}, "retry": {"max_attempts": 2}});
    let world = World::play_all(json!({"steps": [step]}), &["a ok 1", "due", "a ok 2"]);
    assert_eq!(world.timeline(), "run started, a started, a retrying, a started, a failed, run failed");
    assert_eq!((world.step("a").attempt, world.error().code.as_str()), (2, "output_invalid"));
    assert_eq!(world.run.status, Status::Failed);
}
