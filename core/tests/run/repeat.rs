//! Steps that are done again and again.

use fleetprompt_core::Json;
use fleetprompt_core::run::{Effect, Illegal, Input, Status};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

fn counting(fields: Value) -> Value {
    let mut step = json!({"id": "a", "function": "next", "input": "${repeat.output}"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    json!({"output": "${steps.a.output}", "steps": [step]})
}

#[rstest]
#[case::while_it_holds(json!({"while": "repeat.output < 3", "max": 9}), Some(json!(3)), 2)]
#[case::at_least_once(json!({"while": "false", "max": 9}), Some(json!(1)), 0)]
#[case::as_often_as_max_says_without_a_condition(json!({"max": 4}), Some(json!(4)), 3)]
#[case::once(json!({"max": 1}), Some(json!(1)), 0)]
#[case::the_condition_sees_how_many_have_completed(json!({"while": "repeat.iteration < 5", "max": 9}), Some(json!(5)), 4)]
#[case::the_last_that_max_allows_may_be_the_right_one(json!({"while": "repeat.output < 3", "max": 3}), Some(json!(3)), 2)]
#[case::too_often(json!({"while": "repeat.output < 3", "max": 2}), None, 1)]
fn a_step_is_repeated_with_what_it_gave_before(
    #[case] repeat: Value,
    #[case] output: Option<Value>,
    #[case] again: usize,
) {
    let world = World::new(counting(json!({"repeat": repeat})));
    assert_eq!(world.run.output.as_ref().map(Json::value), output.as_ref());
    assert_eq!(world.timeline().matches("a repeating").count(), again);
    if output.is_none() {
        assert_eq!((world.error().code.as_str(), world.run.status), ("repeat_exhausted", Status::Failed));
        assert_eq!(world.run.output, None);
    }
}

#[test]
fn a_condition_that_cannot_be_told_fails_the_step() {
    let world = World::new(counting(json!({"repeat": {"while": "signal.payload.absent", "max": 3}})));
    assert_eq!(world.timeline(), "run started, a failed, run failed");
    assert_eq!(world.error().code, "expression_failed");
}

#[test]
fn an_iteration_after_the_first_waits_for_the_delay_and_asks_under_a_key_of_its_own() {
    let fields = json!({"steps": [{"id": "a", "type": "directive", "repeat": {"max": 3, "delay": "5s"}}]});
    let mut world = World::new(fields);
    world.play("a ok");
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("wait 5s");
    world.play("due");
    world.play("a ok");
    world.play("due");
    world.play("a ok");
    assert_eq!(world.keys(), ["a", "a:r1", "a:r2"]);
    let expected = "run started, a started, a repeating, a started, a repeating, a started, a completed, run completed";
    assert_eq!(world.timeline(), expected);
}

#[test]
fn within_an_iteration_it_is_tried_again_as_its_policy_says() {
    let step = json!({"id": "a", "type": "agent", "repeat": {"max": 2}, "retry": {"max_attempts": 2, "jitter": false}});
    let script = ["a busy", "due", "a ok 1", "a busy", "due", "a busy"];
    let world = World::play_all(json!({"steps": [step]}), &script);
    let expected = "run started, a started, a retrying, a started, a repeating, \
                    a started, a retrying, a started, a failed, run failed";
    assert_eq!(world.timeline(), expected);
    assert_eq!(world.keys(), ["a", "a", "a:r1", "a:r1"]);
    assert_eq!(world.step("a").output.as_ref().map(Json::value), Some(&json!(1)), "what the last iteration gave");
}

#[test]
fn each_item_is_repeated_by_itself() {
    let fields = json!({"output": "${steps.a.output}", "steps": [{
        "id": "a", "function": "next", "input": "${repeat.output == null ? item : repeat.output}",
        "for_each": [0, 5, 8], "repeat": {"while": "repeat.output < 7", "max": 10}}]});
    let world = World::new(fields);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!([7, 7, 9])));
}

#[test]
fn a_repeated_item_keeps_its_place_among_those_under_way() {
    let fields = json!({"steps": [{"id": "a", "type": "agent", "repeat": {"max": 2, "delay": "1m"},
        "for_each": {"items": [1, 2], "max_parallel": 1}}]});
    let mut world = World::play_all(fields, &["a[0] ok"]);
    assert_eq!(world.items("a"), "repeating pending");
    world.play("due");
    world.play("a[0] ok");
    assert_eq!(world.items("a"), "completed running");
    assert_eq!(world.keys(), ["a:0", "a:0:r1", "a:1"]);
}

#[test]
fn a_run_is_repeated_as_a_new_run_each_time() {
    let fields = json!({"output": "${steps.a.output}", "steps": [{"id": "a", "type": "workflow",
        "input": {"page": "${repeat.iteration}"}, "repeat": {"while": "repeat.output.more", "max": 5}}]});
    let mut world = World::play_all(fields, &["a ok", "a ok {\"more\": true}", "a ok"]);
    world.play("a ok {\"more\": false}");
    assert_eq!(world.keys(), ["a", "a:r1"]);
    let pages = world.effects.iter().filter_map(|effect| match effect {
        Effect::Directive { payload, .. } => Some(payload.value()["input"]["page"].clone()),
        _ => None,
    });
    assert_eq!(pages.collect::<Vec<_>>(), [json!(0), json!(1)]);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!({"more": false})));
}

#[test]
fn a_repeated_step_that_is_withdrawn_ends_with_the_iteration_that_is_under_way() {
    let fields = json!({"steps": [{"id": "a", "type": "directive", "repeat": {"max": 5}}]});
    let world = World::play_all(fields, &["a ok 1", "cancel", "a ok 2"]);
    assert_eq!(world.since(4), "run stopping, a canceling, a completed, run canceled");
}

#[test]
fn what_an_iteration_gave_makes_room_for_what_the_next_one_gives() {
    // 200 times 900 KB, of which one is kept, where 64 MiB is the most.
    let text = "x".repeat(900_000);
    let step = json!({"id": "a", "input": "${signal.payload.text}", "repeat": {"max": 200}});
    let world = World::triggered(json!({"steps": [step]}), json!({"text": text}), crate::world::SEED);
    assert_eq!((world.run.status, world.step("a").iteration), (Status::Completed, 199));
}
