//! Undoing what was done, newest first and one at a time.

use fleetprompt_core::Json;
use fleetprompt_core::run::{Effect, Illegal, Input, Place, Status, StepStatus};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

fn done(id: &str) -> Value {
    json!({"id": id, "type": "directive", "compensate": {"directive": "mail.recall",
        "payload": {"undo": format!("${{steps.{id}.output}}")}}})
}

fn three(script: &[&str]) -> World {
    let steps = json!([done("a"), done("b"), {"id": "c", "type": "agent"}]);
    World::play_all(json!({"on_error": "compensate", "steps": steps}), script)
}

const DONE: usize = 7;

#[test]
fn each_completed_step_is_undone_newest_first_and_one_at_a_time() {
    let mut world = three(&["a ok 1", "b ok 2", "c broken"]);
    assert_eq!(world.since(DONE), "run stopping, run compensating, b compensating");
    assert_eq!(world.run.reason_to_wake(), Some("a compensation is in flight"));
    world.play("undo:b ok");
    world.play("undo:a ok");
    let expected =
        "run stopping, run compensating, b compensating, b compensated, a compensating, a compensated, run failed";
    assert_eq!(world.since(DONE), expected);
    assert_eq!(world.error().message, "step `c`: it is broken", "why it failed stays why");
    assert_eq!(world.keys(), ["a", "b", "c", "b:undo", "a:undo"]);
    let payloads = world.effects.iter().filter_map(|effect| match effect {
        Effect::Directive { place, payload, .. } if place.undo => Some(payload.value()["undo"].clone()),
        _ => None,
    });
    assert_eq!(payloads.collect::<Vec<_>>(), [json!(2), json!(1)]);
}

#[test]
fn nothing_to_undo_is_a_plain_failure() {
    assert_eq!(three(&["a broken"]).since(2), "a failed, run failed");
}

#[test]
fn what_was_skipped_or_has_nothing_to_undo_it_is_left_alone() {
    let fields = json!({"on_error": "compensate", "steps": [
        done("a"), {"id": "b", "type": "directive"}, {"id": "c", "function": "fail"}]});
    let world = World::play_all(fields, &["a ok", "b ok", "undo:a ok"]);
    assert_eq!(world.since(5), "c failed, run stopping, run compensating, a compensating, a compensated, run failed");
}

#[test]
fn a_late_success_of_what_was_withdrawn_is_undone_as_well() {
    let mut beside = done("b");
    beside["needs"] = json!([]);
    let fields = json!({"on_error": "compensate", "steps": [beside, {"id": "c", "type": "agent", "needs": []}]});
    let world = World::play_all(fields, &["c broken", "b ok", "undo:b ok"]);
    let expected =
        "c failed, run stopping, b canceling, b completed, run compensating, b compensating, b compensated, run failed";
    assert_eq!(world.since(3), expected);
}

#[test]
fn items_are_undone_one_by_one_also_those_of_a_step_that_failed() {
    let fields = json!({"on_error": "compensate", "steps": [{
        "id": "a", "type": "directive", "for_each": ["x", "y", "z"], "payload": "${item}",
        "compensate": {"directive": "mail.recall", "payload": ["${item}", "${index}", "${steps.a.output}"]}}]});
    let mut world = World::play_all(fields, &["a[2] ok 3", "a[0] ok 1", "a[1] broken"]);
    for line in ["undo:a[0] ok", "undo:a[2] ok"] {
        world.play(line);
    }
    let expected = "a failed, run stopping, run compensating, a[0] compensating, a[0] compensated, \
                    a[2] compensating, a[2] compensated, run failed";
    assert_eq!(world.since(8), expected);
    let payloads = world.effects.iter().filter_map(|effect| match effect {
        Effect::Directive { place, payload, key, .. } if place.undo => {
            Some((payload.value().clone(), key.rsplit_once("a:").map(|key| key.1)))
        }
        _ => None,
    });
    let expected = [(json!(["x", 0, 1]), Some("0:undo")), (json!(["z", 2, 3]), Some("2:undo"))];
    assert_eq!(payloads.collect::<Vec<_>>(), expected);
}

#[test]
fn a_compensation_that_fails_parks_the_run_and_can_be_retried() {
    let mut world = three(&["a ok", "b ok", "c broken", "undo:b broken"]);
    assert_eq!(world.since(DONE + 2), "b compensating, b compensation_failed, run parked");
    let error = world.run.standing.as_ref().and_then(|standing| standing.error.clone()).expect("it says why");
    assert_eq!(error.message, "step `b` could not be undone: it is broken");
    for line in ["retry", "undo:b ok", "undo:a ok"] {
        world.play(line);
    }
    let expected = "run compensating, b compensating, b compensated, a compensating, a compensated, run failed";
    assert_eq!(world.since(DONE + 5), expected);
    assert_eq!(world.log[DONE + 5].payload.value()["by"], json!({"type": "user", "id": "ada"}));
    assert_eq!(world.error().message, "step `c`: it is broken");
}

#[test]
fn a_compensation_that_fails_can_be_skipped() {
    let world = three(&["a ok", "b ok", "c broken", "undo:b broken", "b skip", "undo:a ok"]);
    let expected = "run compensating, b compensation_skipped, a compensating, a compensated, run failed";
    assert_eq!(world.since(DONE + 5), expected);
    assert_eq!(world.log[DONE + 6].payload.value()["reason"], "because");
}

#[test]
fn a_run_that_is_parked_half_undone_can_be_canceled_and_is_not_gone_on_from() {
    let mut world = three(&["a ok", "b ok", "c broken", "undo:b ok", "undo:a broken"]);
    assert!(matches!(world.try_play("c complete 1"), Err(Illegal::Status(Status::Parked, _))));
    world.play("cancel");
    assert_eq!(world.run.status, Status::Canceled);
    assert!(matches!(world.try_play("retry a"), Err(Illegal::Status(Status::Canceled, _))), "`b` was undone");
}

#[test]
fn what_could_not_be_undone_is_tried_again_when_the_run_fails_again() {
    let script = ["a ok", "b ok", "c broken", "undo:b broken", "cancel", "retry", "c broken", "undo:b ok", "undo:a ok"];
    let world = three(&script);
    assert_eq!((world.run.status, world.keys().len()), (Status::Failed, 7));
    assert!(world.timeline().ends_with("b compensating, b compensated, a compensating, a compensated, run failed"));
}

#[test]
fn a_payload_that_cannot_be_rendered_is_a_compensation_that_failed() {
    let mut step = done("a");
    step["compensate"]["payload"] = json!("${steps.a.output.id}");
    let fields = json!({"on_error": "compensate", "steps": [step, {"id": "c", "type": "agent"}]});
    let world = World::play_all(fields, &["a ok 1", "c broken"]);
    assert_eq!(world.since(5), "run stopping, run compensating, a compensation_failed, run parked");
}

#[test]
fn canceling_undoes_only_where_that_is_asked_for() {
    let plain = three(&["a ok", "b ok", "cancel"]);
    assert_eq!(plain.since(6), "run stopping, c canceled, run canceled");
    let undone = three(&["a ok", "b ok", "cancel undo", "undo:b ok", "undo:a ok"]);
    let expected = "run stopping, c canceled, run compensating, b compensating, b compensated, \
                    a compensating, a compensated, run canceled";
    assert_eq!(undone.since(6), expected);
    assert_eq!(undone.last()["by"], json!({"type": "user", "id": "ada"}));
}

#[test]
fn a_compensation_is_asked_for_with_its_own_patience_and_caused_by_its_record() {
    let mut step = done("a");
    step["compensate"]["timeout"] = json!("7s");
    step["compensate"]["retry"] = json!({"max_attempts": 9});
    let fields = json!({"on_error": "compensate", "steps": [step, {"id": "c", "type": "agent"}]});
    let world = World::play_all(fields, &["a ok", "c broken"]);
    let Some(Effect::Directive { name, retry, timeout, lineage, .. }) = world.effects.last() else { panic!("none") };
    assert_eq!((name.as_str(), retry.as_ref().map(|retry| retry.max_attempts)), ("mail.recall", Some(9)));
    assert_eq!(*timeout, Some(fleetprompt_core::Span::from_secs(7)));
    assert_eq!(lineage.causation_id, world.log.last().map(|signal| signal.id.into()));
}

// Effects of steps that did not complete

/// A step whose directive succeeds with something that it may not give.
fn picky(fields: Value) -> World {
    let mut step = done("a");
    step["output_schema"] = json!({"type": "object", "required": ["id"]});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    World::new(json!({"on_error": "compensate", "steps": [step, {"id": "c", "type": "agent", "needs": ["a"]}]}))
}

fn payload_of_undo(world: &World) -> Value {
    let mut undone = world.effects.iter().filter_map(|effect| match effect {
        Effect::Directive { place, payload, .. } if place.undo => Some(payload.value().clone()),
        _ => None,
    });
    undone.next().expect("a compensation was requested")
}

#[test]
fn a_directive_that_succeeded_is_undone_though_its_output_does_not_fit() {
    let mut world = picky(json!({}));
    world.play(r#"a ok {"charged": 7}"#);
    assert_eq!(world.since(2), "a failed, run stopping, run compensating, a compensating");
    assert_eq!((world.step("a").error.as_ref().map(|error| error.code.as_str())), Some("output_invalid"));
    assert_eq!(payload_of_undo(&world), json!({"undo": {"charged": 7}}), "its compensation sees what it gave");
    world.play("undo:a ok");
    assert_eq!(world.run.status, Status::Failed);
}

#[test]
fn it_is_undone_too_where_the_step_was_withdrawn_skipped_or_gone_on_without() {
    let mut withdrawn = picky(json!({}));
    for line in ["cancel undo", "a ok 1"] {
        withdrawn.play(line);
    }
    assert_eq!(withdrawn.since(2), "run stopping, a canceling, a canceled, run compensating, a compensating");

    let mut step = done("a");
    (step["output_schema"], step["on_error"]) = (json!({"type": "string"}), json!("continue"));
    let steps = json!([step, {"id": "c", "type": "agent", "needs": []}]);
    let continued = World::play_all(json!({"on_error": "compensate", "steps": steps}), &["a ok 1", "c broken"]);
    assert_eq!(payload_of_undo(&continued), json!({"undo": 1}));

    let mut step = done("a");
    step["output_schema"] = json!({"type": "string"});
    let fields = json!({"on_error": "park", "steps": [step, {"id": "c", "type": "agent", "needs": []}]});
    let skipped = World::play_all(fields, &["a ok 1", "a skip", "cancel undo"]);
    assert_eq!(payload_of_undo(&skipped), json!({"undo": 1}));
}

#[test]
fn a_step_whose_directive_failed_has_nothing_to_undo() {
    let mut world = picky(json!({}));
    world.play("a broken");
    assert_eq!(world.since(2), "a failed, run failed");
}

#[rstest]
#[case::an_iteration_fails(json!({"max": 3}), &["a ok 1", "a broken"], json!(1))]
#[case::it_is_withdrawn_between_two(json!({"max": 3, "delay": "1m"}), &["a ok 1", "cancel undo"], json!(1))]
#[case::it_goes_on_too_long(json!({"max": 2, "while": "true"}), &["a ok 1", "a ok 2"], json!(2))]
#[case::the_first_is_one_too_many(json!({"max": 1, "while": "true"}), &["a ok 1"], json!(1))]
#[case::while_cannot_be_told(json!({"max": 2, "while": "signal.payload.absent > 1"}), &["a ok 1"], json!(1))]
fn what_iterations_did_is_undone_once_with_the_last_output(
    #[case] repeat: Value,
    #[case] script: &[&str],
    #[case] expected: Value,
) {
    let mut step = done("a");
    step["repeat"] = repeat;
    let world = World::play_all(json!({"on_error": "compensate", "steps": [step]}), script);
    assert_eq!(payload_of_undo(&world), json!({"undo": expected}), "{}", world.timeline());
}

#[test]
fn an_effect_outlasts_that_its_step_is_to_be_done_again() {
    let steps = json!([{"id": "c", "type": "agent"}, done("a"), {"id": "z", "type": "agent"}]);
    let fields = json!({"on_error": "park", "steps": steps});
    let mut world = World::play_all(fields, &["c ok", "a ok 7", "z broken", "retry c"]);
    assert_eq!(
        (world.step("a").status, world.step("a").output().map(Json::value)),
        (StepStatus::Pending, Some(&json!(7)))
    );
    world.play("cancel undo");
    assert_eq!(payload_of_undo(&world), json!({"undo": 7}));
    world.play("undo:a ok");
    assert_eq!(world.run.status, Status::Canceled);
}

#[test]
fn what_another_run_relies_on_is_left_alone() {
    let mut world = three(&["a ok", "b ok", "c broken"]);
    let place = world.place("b");
    world
        .tell(Input::UndoSkipped { place, reason: "run_7 relies on the same effect".into() })
        .expect("it is under way");
    assert_eq!(world.since(DONE + 3), "b compensation_skipped, a compensating");
    assert_eq!(world.log[DONE + 3].payload.value()["reason"], "run_7 relies on the same effect");
    world.play("undo:a ok");
    assert_eq!(world.run.status, Status::Failed);
}

#[test]
fn undoing_many_items_takes_work_in_proportion() {
    let units = |count: usize| {
        let fields = json!({"on_error": "compensate", "steps": [
            {"id": "a", "type": "directive", "for_each": "${signal.payload.list}",
             "compensate": {"directive": "mail.recall"}}, {"id": "c", "type": "agent"}]});
        let mut world = World::triggered(fields, json!({"list": vec![0; count]}), 1);
        let mut used = 0;
        let mut end = |world: &mut World, place, result| {
            let input = world.ending(place, result);
            world.tell_unchecked(input).expect("it is under way");
            used += world.used();
        };
        let items = || (0..count).map(|item| Place::step(0).item(item as u32));
        items().for_each(|place| end(&mut world, place, Ok(Json::null())));
        end(&mut world, Place::step(1), Err(crate::world::broken()));
        items().rev().for_each(|place| end(&mut world, place.undo(), Ok(Json::null())));
        world.check();
        assert_eq!(world.run.status, Status::Failed);
        used
    };
    let (few, many) = (units(250), units(2_000));
    assert!(many <= few * 10, "{many} units for eight times as many items as {few} units");
}
