//! A step for each item of a list.

use fleetprompt_core::run::{Effect, Input, Status, StepStatus};
use fleetprompt_core::{Json, RecordId};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

/// A step for each of so many items, and one that reads what they gave.
fn over(items: Value, fields: Value, kind: &str, script: &[&str]) -> World {
    let mut for_each = json!({"items": items});
    for_each.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let mut step = json!({"id": "a", "type": kind, "for_each": for_each, "needs": []});
    step[if kind == "directive" { "payload" } else { "input" }] = json!({"item": "${item}", "at": "${index}"});
    World::play_all(json!({"output": "${steps.a.output}", "steps": [step]}), script)
}

#[test]
fn outputs_stand_in_the_order_of_the_items_and_not_of_their_ends() {
    let world = over(json!(["x", "y", "z"]), json!({}), "agent", &["a[2] ok 3", "a[0] ok 1", "a[1] ok 2"]);
    let expected = "run started, a started, a[0] started, a[1] started, a[2] started, \
                    a[2] completed, a[0] completed, a[1] completed, a completed, run completed";
    assert_eq!(world.timeline(), expected);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!([1, 2, 3])));
}

#[test]
fn each_item_sees_itself_and_its_place_and_asks_under_a_key_of_its_own() {
    let world = over(json!([{"n": 1}, {"n": [2]}]), json!({}), "directive", &[]);
    let payloads = world.effects.iter().map(|effect| match effect {
        Effect::Directive { payload, key, .. } => {
            (payload.value().clone(), key.replace(&world.run.id.to_string(), "run"))
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(
        payloads.collect::<Vec<_>>(),
        [
            (json!({"item": {"n": 1}, "at": 0}), "run:a:0".to_owned()),
            (json!({"item": {"n": [2]}, "at": 1}), "run:a:1".to_owned()),
        ]
    );
}

#[test]
fn only_so_many_are_under_way_at_once_and_the_next_begins_when_one_has_ended() {
    let mut world = over(json!([1, 2, 3, 4]), json!({"max_parallel": 2}), "agent", &[]);
    assert_eq!(world.items("a"), "running running pending pending");
    world.play("a[1] ok");
    assert_eq!(world.items("a"), "running completed running pending");
    world.play("a[2] busy");
    assert_eq!(world.items("a"), "running completed retrying pending", "what is tried again keeps its place");
    world.play("a[0] ok");
    assert_eq!(world.items("a"), "completed completed retrying running");
}

#[rstest]
#[case::an_empty_list_is_done_at_once(json!([]), Status::Completed, json!([]))]
#[case::one_that_an_expression_gives(json!("${signal.payload.list}"), Status::Completed, json!([{"at": 0, "item": 5}]))]
fn the_list_may_be_short(#[case] items: Value, #[case] status: Status, #[case] output: Value) {
    let fields = json!({"output": "${steps.a.output}", "steps": [
        {"id": "a", "for_each": items, "input": {"item": "${item}", "at": "${index}"}}]});
    let world = World::triggered(fields, json!({"list": [5]}), 1);
    assert_eq!((world.run.status, world.run.output.as_ref().map(Json::value)), (status, Some(&output)));
}

#[rstest]
#[case::no_list(json!({"list": {"x": 1}}), "items_invalid")]
#[case::a_text(json!({"list": "abc"}), "items_invalid")]
#[case::null(json!({"list": null}), "items_invalid")]
#[case::too_many(json!({"list": vec![0; 10_001]}), "items_too_many")]
#[case::nothing_there(json!({}), "expression_failed")]
fn what_is_no_list_or_too_long_fails_the_step(#[case] payload: Value, #[case] code: &str) {
    let fields = json!({"steps": [{"id": "a", "for_each": "${signal.payload.list}"}]});
    let world = World::triggered(fields, payload, 1);
    assert_eq!((world.timeline().as_str(), world.error().code.as_str()), ("run started, a failed, run failed", code));
}

#[test]
fn its_when_is_asked_once_and_before_the_list() {
    let fields = json!({"steps": [{"id": "a", "when": "false", "for_each": "${signal.payload.absent}"}]});
    assert_eq!(World::new(fields).timeline(), "run started, a skipped, run completed");
}

#[test]
fn functions_over_a_list_are_part_of_one_decision_also_where_few_may_run_at_once() {
    let fields = json!({"output": "${steps.b.output}", "steps": [
        {"id": "a", "for_each": {"items": [1, 2, 3], "max_parallel": 1}, "function": "next", "input": "${item}"},
        {"id": "b", "for_each": "${steps.a.output}", "function": "next", "input": "${item}"}]});
    let world = World::new(fields);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!([3, 4, 5])));
}

#[rstest]
#[case::none_and_none_fails(json!({}), 4, &[], "completed")]
#[case::none_and_one_fails(json!({}), 4, &[2], "failed")]
#[case::a_count_below(json!({"tolerate": 2}), 4, &[0], "completed")]
#[case::a_count_at_the_boundary(json!({"tolerate": 2}), 4, &[0, 3], "completed")]
#[case::a_count_over_it(json!({"tolerate": 2}), 4, &[0, 1, 3], "failed")]
#[case::a_part_below(json!({"tolerate": "50%"}), 4, &[1], "completed")]
#[case::a_part_at_the_boundary(json!({"tolerate": "50%"}), 4, &[1, 2], "completed")]
#[case::a_part_over_it(json!({"tolerate": "50%"}), 4, &[1, 2, 3], "failed")]
#[case::a_part_that_is_less_than_one_item(json!({"tolerate": "24.9%"}), 4, &[1], "failed")]
#[case::all_of_them(json!({"tolerate": "100%"}), 4, &[0, 1, 2, 3], "completed")]
#[case::enough_though_some_fail(json!({"at_least": 2}), 4, &[0, 1], "completed")]
#[case::no_longer_enough(json!({"at_least": 3}), 4, &[0, 1], "failed")]
fn so_many_items_may_fail(#[case] fields: Value, #[case] items: usize, #[case] fail: &[usize], #[case] expected: &str) {
    let list: Vec<usize> = (0..items).collect();
    let mut world = over(json!(list), fields, "agent", &[]);
    // The failures first: they decide it as soon as they can.
    let succeed: Vec<usize> = (0..items).filter(|item| !fail.contains(item)).collect();
    for item in fail.iter().chain(&succeed) {
        let name = format!("a[{item}]");
        let is_open = !world.run.status.has_ended() && world.at(&name).status == StepStatus::Running;
        if is_open {
            world.play(&format!("{name} {}", if fail.contains(item) { "broken" } else { "ok 1" }));
        }
    }
    assert_eq!(world.step("a").status.as_str(), expected);
    assert_eq!(world.run.status.as_str(), expected);
}

#[test]
fn failing_over_what_is_tolerated_says_how_many_and_why_and_withdraws_the_rest() {
    let world = over(json!([1, 2, 3]), json!({"max_parallel": 2}), "agent", &["a[1] broken"]);
    let expected =
        "run started, a started, a[0] started, a[1] started, a[1] failed, a[0] canceled, a failed, run failed";
    assert_eq!(world.timeline(), expected);
    let error = world.error();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("items_failed", "step `a`: 1 of 3 items failed; the first: it is broken")
    );
}

#[test]
fn a_step_that_has_failed_ends_once_its_directives_have() {
    let mut world = over(json!([1, 2, 3]), json!({}), "directive", &["a[1] broken"]);
    assert_eq!(
        (world.items("a").as_str(), world.step("a").status),
        ("canceling failed canceling", StepStatus::Running)
    );
    world.play("a[2] ok 1");
    assert_eq!(world.run.status, Status::Running);
    world.play("a[0] broken");
    assert_eq!(world.items("a"), "canceled failed completed", "a late success is on record");
    assert_eq!(world.since(world.log.len() - 3), "a[0] canceled, a failed, run failed");
}

#[test]
fn with_at_least_it_completes_with_so_many_and_withdraws_the_rest() {
    let script = ["a[2] ok 2", "a[1] ok 1"];
    let mut world = over(json!([0, 1, 2, 3, 4, 5]), json!({"at_least": 2, "max_parallel": 3}), "directive", &script);
    assert_eq!(world.items("a"), "canceling completed completed canceling pending pending", "and begins no other");
    world.play("a[0] broken");
    world.play("a[3] ok 3");
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!([null, 1, 2, 3, null, null])));
}

#[test]
fn more_than_there_are_items_is_all_of_them() {
    let fields = json!({"steps": [{"id": "a", "for_each": {"items": "${signal.payload.list}", "at_least": 3}}]});
    let world = World::triggered(fields, json!({"list": [1]}), 1);
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn a_failed_item_is_null_among_the_outputs_and_has_its_error_on_record() {
    let world = over(json!([1, 2]), json!({"tolerate": 1}), "agent", &["a[0] broken", "a[1] ok"]);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!([null, {}])));
    assert_eq!(world.at("a[0]").error.as_ref().map(|error| error.code.as_str()), Some("broken"));
}

#[test]
fn items_that_fail_by_themselves_do_not_begin_the_ones_behind_them() {
    let fields = json!({"steps": [{"id": "a", "function": "odd", "input": "${item}", "for_each": [1, 2, 3, 5]}]});
    let world = World::new(fields);
    assert_eq!(world.timeline(), "run started, a started, a[0] completed, a[1] failed, a failed, run failed");
}

#[test]
fn items_that_wait_begin_once_each_also_beside_those_that_are_over_at_once() {
    let fields = json!({"steps": [{"id": "a", "type": "wait", "until": "${item}",
        "for_each": ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"]}]});
    let mut world = World::new(fields);
    let begun = "run started, a started, a[0] completed, a[1] waiting, a[2] completed, a[3] waiting";
    assert_eq!(world.timeline(), begun);
    world.play("due");
    world.play("due");
    assert_eq!(world.since(6), "a[1] completed, a[3] completed, a completed, run completed");
}

#[test]
fn an_item_follows_from_the_step_and_the_step_from_its_last_item() {
    let world = over(json!([1, 2]), json!({"max_parallel": 1}), "agent", &["a[0] ok", "a[1] ok"]);
    let expected = [
        "a[0] started ← a started",
        "a[0] completed ← a[0] started",
        "a[1] started ← a started",
        "a[1] completed ← a[1] started",
        "a completed ← a[1] completed",
        "run completed ← a completed",
    ];
    assert_eq!(world.causes()[2..], expected);
    assert_eq!(world.log[1].lineage.causation_id, Some(RecordId::from(world.log[0].id)));
}

#[test]
fn the_step_as_a_whole_takes_no_outcome() {
    let mut world = over(json!([1, 2]), json!({}), "agent", &[]);
    let refused = world.outcome("a", 1, Ok(Json::null()));
    assert!(refused.is_err(), "its items do");
    let place = world.place("a").item(2);
    let input = Input::Outcome { place, attempt: 1, result: Ok(Json::null()), execution: None, logs: vec![] };
    assert!(world.tell(input).is_err(), "there is no third");
}
