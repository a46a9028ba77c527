//! Runs that end before their steps do.

use fleetprompt_core::run::{Effect, Illegal, Input, Status, StepStatus};
use rstest::rstest;
use serde_json::json;

use crate::world::{World, somebody};

#[test]
fn canceling_ends_what_waits_and_waits_for_what_acts_outside() {
    let world = World::play_all(
        json!({"steps": [
            {"id": "a", "needs": []}, {"id": "b", "type": "agent", "needs": []},
            {"id": "c", "type": "directive", "needs": []}, {"id": "d", "type": "agent", "needs": []},
            {"id": "e", "needs": ["b"]}, {"id": "f", "type": "wait", "for": "1h", "needs": []}]}),
        &["d busy", "cancel", "c broken"],
    );
    let expected = "run started, a completed, b started, c started, d started, f waiting, d retrying, run stopping, \
                    b canceled, c canceling, d canceled, f canceled, c canceled, run canceled";
    assert_eq!(world.timeline(), expected);
    assert_eq!(world.step("e").status, StepStatus::Pending);
}

#[test]
fn canceling_withdraws_the_directives_under_way_and_records_who_and_why() {
    let step = |id: &str, kind: &str| json!({"id": id, "type": kind, "needs": []});
    let mut world =
        World::of(json!([step("a", "directive"), step("b", "agent"), step("c", "directive"), step("d", "directive")]));
    world.play("c ok");
    let effects = world.try_play("cancel").expect("it runs");
    let withdrawn = |step: &str| Effect::Withdraw {
        directive: world.step(step).directive_id.expect("it was requested"),
        reason: "the run was canceled".into(),
    };
    assert_eq!(effects, [withdrawn("a"), withdrawn("d")]);
    assert_eq!(world.run.reason_to_wake(), Some("what was begun has not ended"));
    world.play("a ok");
    world.play("d broken");
    assert_eq!(
        (&world.last()["by"], &world.last()["reason"]),
        (&json!({"type": "user", "id": "ada"}), &json!("because"))
    );
    assert_eq!((world.step("a").status, world.step("d").status), (StepStatus::Completed, StepStatus::Canceled));
}

#[rstest]
#[case::again("cancel")]
#[case::pause("pause")]
#[case::resume("resume")]
#[case::retry("retry")]
#[case::skip("a skip")]
#[case::complete("a complete")]
fn a_run_that_is_stopping_is_let_stop(#[case] line: &str) {
    let mut world = World::play_all(json!({"steps": [{"id": "a", "type": "directive"}]}), &["cancel"]);
    assert!(matches!(world.try_play(line), Err(Illegal::Status(Status::Stopping, _))), "{line}");
    assert_eq!(world.run.wake_at(), None);
}

#[test]
fn nothing_begins_in_a_run_that_is_stopping() {
    let fields = json!({"steps": [{"id": "a", "type": "directive"}, {"id": "b"}]});
    let world = World::play_all(fields, &["cancel", "a ok"]);
    assert_eq!((world.step("b").status, world.run.status), (StepStatus::Pending, Status::Canceled));
}

#[test]
fn a_list_is_withdrawn_with_all_its_items_and_ends_after_the_last() {
    let step = json!({"id": "a", "type": "directive", "for_each": {"items": [1, 2, 3], "max_parallel": 2}});
    let world = World::play_all(json!({"steps": [step]}), &["a[0] ok", "cancel", "a[2] ok", "a[1] broken"]);
    let expected = "run stopping, a canceling, a[1] canceling, a[2] canceling, a[2] completed, a[1] canceled, a canceled, run canceled";
    assert_eq!(world.since(6), expected);
}

#[test]
fn what_asked_for_something_that_is_on_its_way_already_withdraws_that() {
    let mut world = World::play_all(json!({"steps": [{"id": "a", "type": "directive"}]}), &["cancel"]);
    let (place, asked) = (world.place("a"), world.step("a").directive_id.expect("it was requested"));
    let directive = fleetprompt_core::DirectiveId(world.moment.uuid());
    let effects = world.tell(Input::Attached { place, asked, directive }).expect("it is under way");
    assert_eq!(effects, [Effect::Withdraw { directive, reason: "the run no longer needs it".into() }]);
    assert_eq!(world.step("a").directive_id, Some(directive));
    world.play("a ok");
    assert_eq!(world.since(4), "a canceling, a completed, run canceled");
}

#[rstest]
#[case::completed(&["a ok"], Status::Completed)]
#[case::failed(&["a broken"], Status::Failed)]
#[case::canceled(&["cancel"], Status::Canceled)]
fn a_run_that_has_ended_takes_nothing_more(#[case] script: &[&str], #[case] status: Status) {
    let mut world = World::play_all(json!({"timeout": "1s", "steps": [{"id": "a", "type": "agent"}]}), script);
    assert_eq!(world.run.status, status);
    world.wait("1d");
    let ended = Err(Illegal::Ended(status));
    for line in ["cancel", "pause", "resume", "begin", "a skip", "a complete", "a granted"] {
        assert_eq!(world.try_play(line), ended, "{line}");
    }
    assert_eq!(world.outcome("a", 1, Ok(fleetprompt_core::Json::null())), ended);
    assert_eq!(world.tell(Input::Due), ended);
}

#[test]
fn what_comes_from_outside_alone_was_caused_by_the_run() {
    let world = World::play_all(json!({"steps": [{"id": "a", "type": "agent"}]}), &["cancel"]);
    let expected = ["run stopping ← the run", "a canceled ← run stopping", "run canceled ← run stopping"];
    assert_eq!(world.causes()[2..], expected);
}

#[test]
fn a_party_is_recorded_as_it_was_given() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}]));
    let by = fleetprompt_core::Party::engine();
    world.tell(Input::Cancel { by, reason: String::new(), compensate: false }).expect("it runs");
    assert_eq!(world.last()["by"]["type"], json!("engine"));
    assert_ne!(somebody(), fleetprompt_core::Party::engine());
}
