//! Steps that are runs of other workflows.

use fleetprompt_core::run::{Effect, Illegal, Input, Status, StepStatus};
use fleetprompt_core::{DirectiveId, Json, RunId};
use rstest::rstest;
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
    let ended = |run| fleetprompt_core::run::Input::ChildEnded {
        place,
        run,
        by: None,
        result: Ok(Json::null()),
        compensable: false,
    };
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
    assert_eq!(effects, [Effect::CancelRun { run, reason: "it was waited for for 1h".into(), compensate: false }]);
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
    assert_eq!(effects, [Effect::CancelRun { run, reason: "the run was canceled".into(), compensate: false }]);
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
    let reason = "it was withdrawn while it began".into();
    assert_eq!(effects, [Effect::CancelRun { run, reason, compensate: false }]);
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

#[test]
fn a_run_that_was_there_already_is_known_by_the_directive_that_started_it() {
    let mut world = World::new(json!({"steps": [child(json!({}))]}));
    let (place, directive) = (world.place("a"), world.step("a").directive_id.expect("it was requested"));
    let [run, earlier] = [(); 2].map(|()| world.moment.uuid());
    let (result, reused) = (Ok(json!({"run_id": RunId(run)}).into()), Some(DirectiveId(earlier)));
    let settled = Input::Settled { place, directive, by: None, result, reused };
    world.tell(settled).expect("it was asked for");
    assert_eq!((run_of(&world), world.step("a").directive_id), (RunId(run), reused));
}

// Compensation

/// A saga: `x` acts by itself, `a` is a run, and `z` may fail both.
fn saga(fields: Value) -> Value {
    let steps = json!([{"id": "x", "type": "directive", "needs": [], "compensate": {"directive": "mail.recall"}},
        child(fields), {"id": "z", "type": "agent", "needs": []}]);
    json!({"on_error": "compensate", "timeout": "2h", "steps": steps})
}

fn play_saga(fields: Value, script: &[&str]) -> World {
    let mut world = World::new(fields);
    world.children_act = true;
    script.iter().for_each(|line| world.play(line));
    world
}

fn is_undone(world: &World) -> bool {
    let run = run_of(world);
    world
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::CancelRun { run: canceled, compensate: true, .. } if *canceled == run))
}

#[rstest]
#[case::a_failing_sibling(saga(json!({})), &["a ok", "z broken"])]
#[case::cancel_with_compensation(saga(json!({})), &["a ok", "cancel undo"])]
#[case::a_timeout_of_the_run(saga(json!({})), &["a ok", "wait 2h", "due"])]
#[case::a_timeout_of_the_step(saga(json!({"timeout": "1h"})), &["a ok", "wait 1h", "due"])]
#[case::one_that_was_just_starting(saga(json!({})), &["z broken", "a ok"])]
fn a_run_that_is_waited_for_is_compensated_when_its_parent_stops(#[case] fields: Value, #[case] script: &[&str]) {
    assert!(is_undone(&play_saga(fields, script)));
}

#[test]
fn a_run_that_is_waited_for_is_compensated_when_a_finish_fails_its_parent() {
    let mut fields = saga(json!({}));
    fields["steps"].as_array_mut().expect("steps").push(json!({"id": "end", "type": "finish", "needs": ["z"],
        "status": "failed", "error": {"code": "enough", "message": "it was enough"}}));
    assert!(is_undone(&play_saga(fields, &["a ok", "z ok"])));
}

#[rstest]
#[case::plain_cancel(saga(json!({})), &["a ok", "cancel"])]
#[case::abandoned(saga(json!({"on_cancel": "abandon"})), &["a ok", "z broken"])]
fn a_run_is_left_alone_where_compensation_is_not_asked_for(#[case] fields: Value, #[case] script: &[&str]) {
    assert!(!is_undone(&play_saga(fields, script)));
}

#[test]
fn the_run_of_a_completed_step_is_undone_at_its_place_in_the_order() {
    let mut world = play_saga(saga(json!({})), &["a ok", "a ok 1", "x ok", "z broken"]);
    assert_eq!(world.since(7), "z failed, run stopping, run compensating, x compensating");
    world.play("undo:x ok");
    let place = world.place("a");
    assert_eq!(world.effects.last(), Some(&Effect::CompensateRun { run: world.run.id, place }));
    assert_eq!(
        world.tell(fleetprompt_core::run::Input::ChildUndone { place: world.place("x") }),
        Err(Illegal::Stale(world.place("x")))
    );
    world.play("undo:a ok");
    assert_eq!(world.since(11), "x compensated, a compensating, a compensated, run failed");
}

#[rstest]
#[case::its_run_failed(saga(json!({})), &["a ok", "x ok", "a broken"], true)]
#[case::its_output_did_not_fit(saga(json!({"output_schema": {"type": "string"}})), &["a ok", "x ok", "a ok 1"], true)]
#[case::it_was_skipped(saga(json!({"on_error": "continue"})), &["a ok", "x ok", "a broken", "z broken"], true)]
#[case::it_is_not_waited_for(saga(json!({"wait": false})), &["a ok", "x ok", "z broken"], false)]
#[case::it_is_abandoned(saga(json!({"on_cancel": "abandon"})), &["a ok", "x ok", "a broken"], false)]
fn what_a_run_left_is_undone_however_its_step_ended(
    #[case] fields: Value,
    #[case] script: &[&str],
    #[case] expected: bool,
) {
    let world = play_saga(fields, script);
    assert_eq!(world.run.status, Status::Compensating);
    assert_eq!(world.timeline().contains("a compensating"), expected, "{}", world.timeline());
}

#[test]
fn a_compensation_of_its_own_takes_the_place_of_that_of_its_run() {
    let own = json!({"compensate": {"directive": "trip.undo", "payload": "${steps.a.output}"}});
    let world = play_saga(saga(own.clone()), &["x ok", "a ok", "a ok 7", "z broken"]);
    let Some(Effect::Directive { name, payload, .. }) = world.effects.last() else { panic!("{:?}", world.effects) };
    assert_eq!((name.as_str(), payload.value()), ("trip.undo", &json!(7)));
    let world = play_saga(saga(own), &["x ok", "a ok", "a broken"]);
    let place = world.place("a");
    assert_eq!(world.effects.last(), Some(&Effect::CompensateRun { run: world.run.id, place }), "it did not complete");
}

#[test]
fn nothing_is_undone_where_the_run_left_nothing() {
    let world = World::play_all(saga(json!({})), &["a ok", "a broken"]);
    assert_eq!(world.run.status, Status::Stopping, "`x` is under way");
    let world = World::play_all(json!({"on_error": "compensate", "steps": [child(json!({}))]}), &["a ok", "a broken"]);
    assert_eq!(world.since(2), "a waiting, a failed, run failed");
}

#[test]
fn each_iteration_leaves_a_run_to_compensate() {
    let mut world = World::new(saga(json!({"repeat": {"max": 2}})));
    world.children_act = true;
    ["x ok", "a ok", "a ok 1"].into_iter().for_each(|line| world.play(line));
    world.children_act = false;
    ["a ok", "a ok 2", "z broken"].into_iter().for_each(|line| world.play(line));
    assert!(world.timeline().ends_with("a compensating"), "the second one left nothing: {}", world.timeline());
}

#[test]
fn a_run_that_has_ended_is_compensated_as_a_part_of_another() {
    let steps = json!([{"id": "x", "type": "directive", "compensate": {"directive": "mail.recall"}}]);
    let fields = |on_error: &str| json!({"on_error": on_error, "output": "done", "steps": steps});
    let mut world = World::play_all(fields("fail"), &["x ok"]);
    assert_eq!(world.run.status, Status::Completed);
    for line in ["compensate", "undo:x ok"] {
        world.play(line);
    }
    assert_eq!(world.since(4), "run compensating, x compensating, x compensated, run canceled");
    assert_eq!((world.last()["by"]["id"].as_str(), &world.run.output), (Some("ada"), &None));
    assert!(matches!(world.try_play("compensate"), Err(Illegal::Status(Status::Canceled, _))), "nothing is left");
    assert!(matches!(world.try_play("retry x"), Err(Illegal::Status(Status::Canceled, _))), "it was undone");

    let mut failed = World::play_all(json!({"steps": [steps[0], {"id": "z", "type": "agent"}]}), &["x ok", "z broken"]);
    for line in ["compensate", "undo:x ok"] {
        failed.play(line);
    }
    assert_eq!(
        (failed.run.status, failed.error().code.as_str()),
        (Status::Failed, "broken"),
        "why it failed stays why"
    );

    let mut running = World::new(fields("fail"));
    for line in ["compensate", "x ok", "undo:x ok"] {
        running.play(line);
    }
    assert!(running.timeline().ends_with("x completed, run compensating, x compensating, x compensated, run canceled"));

    let mut parked = World::play_all(fields("compensate"), &["x ok", "compensate", "undo:x broken"]);
    assert!(matches!(parked.try_play("compensate"), Err(Illegal::Status(Status::Parked, _))), "an operator decides");
    parked.play("x skip");
    assert_eq!(parked.run.status, Status::Canceled);
}
