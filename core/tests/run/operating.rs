//! What people may do to a run: have parts of it done again, skipped, or taken as done.

use fleetprompt_core::Json;
use fleetprompt_core::run::{Effect, Illegal, Input, Status, StepStatus};
use fleetprompt_core::tenant::Role;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

fn agent(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "type": "agent", "needs": needs})
}

fn directive(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "type": "directive", "needs": needs})
}

/// a → b → c, with x beside them.
fn fields() -> Value {
    json!({"steps": [directive("a", &[]), directive("b", &["a"]), directive("c", &["b"]), directive("x", &[])]})
}

// Again

#[test]
fn a_failed_run_goes_on_from_what_failed_and_what_was_cut_off() {
    let mut world = World::play_all(fields(), &["a ok", "b broken", "x broken"]);
    assert_eq!((world.run.status, world.step("x").status), (Status::Failed, StepStatus::Canceled));
    let ended = world.log.len();
    world.play("retry");
    assert_eq!(world.since(ended), "run retried, b reset, x reset, b started, x started");
    for line in ["x ok", "b ok", "c ok"] {
        world.play(line);
    }
    assert_eq!((world.run.status, world.run.error.is_none()), (Status::Completed, true));
    assert_eq!(world.keys(), ["a", "x", "b", "b", "x", "c"], "`a` is not done again, and the others under their keys");
    assert_eq!(world.log[ended].payload.value()["from"], json!(["b"]));
}

#[test]
fn from_a_step_on_it_is_done_again_with_all_that_followed_and_nothing_else() {
    let mut world = World::play_all(fields(), &["a ok", "x ok", "b ok", "c ok"]);
    assert_eq!(world.run.status, Status::Completed);
    assert!(matches!(world.try_play("retry"), Err(Illegal::Status(Status::Completed, _))), "nothing failed");
    let ended = world.log.len();
    world.play("retry b");
    assert_eq!(world.since(ended), "run retried, b reset, c reset, b started");
    assert_eq!(world.step("x").status, StepStatus::Completed);
    let again = world.effects.iter().filter_map(|effect| match effect {
        Effect::Directive { again, .. } => Some(*again),
        _ => None,
    });
    assert_eq!(again.collect::<Vec<_>>(), [false, false, false, false, true], "it may have been asked for before");
}

#[test]
fn to_have_it_done_twice_somebody_has_to_say_so() {
    let mut world = World::play_all(fields(), &["a ok", "x ok", "b ok", "c ok", "reissue b", "b ok", "c ok"]);
    assert_eq!(world.keys(), ["a", "x", "b", "c", "b:again1", "c:again1"]);
    world.play("reissue c");
    assert_eq!(world.keys().last().map(String::as_str), Some("c:again2"));
}

#[test]
fn items_are_done_twice_under_new_keys_too() {
    let each = |kind: &str| json!({"steps": [{"id": "a", "type": kind, "for_each": [1]}]});
    for kind in ["agent", "directive"] {
        let world = World::play_all(each(kind), &["a[0] ok", "reissue a"]);
        assert_eq!(world.keys(), ["a:0", "a:0:again1"], "{kind}");
    }
}

#[test]
fn naming_another_step_does_not_leave_the_failure_behind() {
    let mut world = World::play_all(fields(), &["x ok", "a broken"]);
    let ended = world.log.len();
    world.play("retry x");
    assert_eq!(world.since(ended), "run retried, a reset, x reset, a started, x started");
}

#[test]
fn what_a_join_withdrew_stays_withdrawn_and_what_the_end_of_the_run_did_comes_back() {
    let steps = json!([agent("fast", &[]), agent("slow", &[]), agent("cut", &[]),
        {"id": "z", "type": "agent", "needs": ["fast", "slow"], "join": "any", "cancel_rest": true}]);
    let world = World::play_all(json!({"steps": steps}), &["fast ok", "z broken", "retry"]);
    let status = |id: &str| world.step(id).status;
    assert_eq!(
        [status("fast"), status("slow"), status("cut"), status("z")],
        [StepStatus::Completed, StepStatus::Canceled, StepStatus::Running, StepStatus::Running]
    );
}

#[test]
fn a_list_that_was_cut_off_keeps_what_its_items_gave() {
    let steps = json!([{"id": "a", "type": "agent", "needs": [], "for_each": [1, 2]}, agent("b", &[])]);
    let world = World::play_all(json!({"steps": steps}), &["a[0] ok 1", "b broken", "retry"]);
    assert_eq!(world.items("a"), "completed running");
    assert_eq!(world.step("a").started_at, Some(world.run.started_at));
}

#[test]
fn a_list_that_follows_is_worked_out_anew() {
    let steps = json!([agent("a", &[]),
        {"id": "b", "type": "agent", "for_each": {"items": "${steps.a.output}", "tolerate": 0}, "input": "${item}"}]);
    let mut world = World::play_all(json!({"steps": steps}), &["a ok [1, 2, 3]", "b[0] ok", "b[1] broken", "retry a"]);
    world.play("a ok [7]");
    assert_eq!(world.items("b"), "running");
    let Some(Effect::Agent { input, .. }) = world.effects.last() else { panic!("none") };
    assert_eq!(input.value(), &json!(7));
}

#[test]
fn a_canceled_run_goes_on_where_it_stood() {
    let mut world = World::play_all(fields(), &["a ok", "cancel", "b broken", "x ok"]);
    let ended = world.log.len();
    world.play("retry");
    assert_eq!(world.since(ended), "run retried, b reset, b started");
    let mut paused =
        World::play_all(json!({"steps": [agent("a", &[]), agent("b", &["a"])]}), &["pause", "a ok", "cancel"]);
    paused.play("retry");
    assert_eq!(paused.step("b").status, StepStatus::Running);
}

#[test]
fn a_run_that_is_retried_has_its_whole_time_again() {
    let mut fields = fields();
    fields["timeout"] = json!("1h");
    let mut world = World::play_all(fields, &["wait 50m", "a broken", "x ok", "wait 1d", "retry"]);
    assert_eq!(world.run.wake_at().map(|at| (at - world.moment.now()).to_string()).as_deref(), Some("1h"));
    world.play("due");
    assert_eq!(world.run.status, Status::Stopping);
}

#[test]
fn what_is_under_way_in_a_parked_run_is_not_begun_twice() {
    let mut fields = fields();
    fields["on_error"] = json!("park");
    let mut world = World::play_all(fields, &["a broken"]);
    assert!(matches!(world.try_play("retry x"), Err(Illegal::StepStatus(StepStatus::Running, _))));
    let (by, reason) = (crate::world::somebody(), String::new());
    let told = world.tell(Input::Retry { by, reason, from: vec![99], reissue: false, undone: vec![] });
    assert_eq!(told, Err(Illegal::NoSuchPlace));
}

#[test]
fn what_another_run_has_compensated_is_not_gone_on_from() {
    let retry = |world: &mut World, from: &[&str], reissue| {
        let undone = vec![world.place("a")];
        let from = from.iter().map(|step| world.index(step)).collect();
        let (by, reason) = (crate::world::somebody(), String::new());
        world.tell(Input::Retry { by, reason, from, reissue, undone }).map(drop)
    };
    let script = ["a ok", "b broken", "x ok"];
    for (from, reissue) in [(None, false), (Some("b"), false), (Some("b"), true), (Some("a"), false)] {
        let mut world = World::play_all(fields(), &script);
        assert_eq!(retry(&mut world, from.as_slice(), reissue), Err(Illegal::Undone("a".into())), "{from:?}");
    }
    let mut world = World::play_all(fields(), &script);
    retry(&mut world, &["a"], true).expect("it is done a second time");
    assert_eq!(world.keys().last().map(String::as_str), Some("a:again1"));
}

// By hand

#[rstest]
#[case::what_has_not_begun("b skip", "b skipped, c skipped")]
#[case::what_has_not_begun_as_done("b complete 1", "b completed, c started")]
#[case::an_agent_under_way("w skip", "w skipped")]
#[case::an_agent_under_way_as_done("w complete 1", "w completed")]
#[case::what_waits("v complete 1", "v completed")]
fn an_operator_decides_about_a_step(#[case] line: &str, #[case] expected: &str) {
    let mut fields = fields();
    let steps = fields["steps"].as_array_mut().expect("steps");
    steps.push(agent("w", &[]));
    steps.push(json!({"id": "v", "type": "wait", "for": "1h", "needs": []}));
    let mut world = World::new(fields);
    let begun = world.log.len();
    world.play(line);
    assert_eq!(world.since(begun), expected);
    let payload = world.log[begun].payload.value();
    assert_eq!((&payload["by"]["id"], &payload["reason"]), (&json!("ada"), &json!("because")));
}

#[test]
fn what_is_decided_by_hand_is_not_ended_again_by_what_was_under_way() {
    let mut world = World::play_all(json!({"steps": [agent("a", &[]), agent("z", &[])]}), &["a complete 1"]);
    let place = world.place("a");
    assert_eq!(world.outcome("a", 1, Ok(Json::null())), Err(Illegal::Stale(place)));
}

#[test]
fn what_acts_outside_is_not_decided_about_before_it_has_ended() {
    let fields = json!({"steps": [directive("a", &[]), {"id": "b", "type": "workflow", "needs": []},
        {"id": "c", "type": "agent", "for_each": [1, 2], "needs": []}, {"id": "d", "needs": []},
        {"id": "e", "type": "directive", "needs": []}, {"id": "z", "needs": ["d", "e"], "join": "any", "cancel_rest": true}]});
    let mut world = World::play_all(fields, &["b ok"]);
    for step in ["a", "b", "c", "d", "e"] {
        for what in ["skip", "complete 1"] {
            let told = world.try_play(&format!("{step} {what}"));
            assert!(matches!(told, Err(Illegal::StepStatus(..))), "{step} {what}: {told:?}");
        }
    }
    world.play("c[0] complete 10");
    world.play("c[1] skip");
    assert_eq!(world.step("c").output().map(Json::value), Some(&json!([10, null])));
    assert!(matches!(world.try_play("c[1] complete 1"), Err(Illegal::StepStatus(StepStatus::Completed, _))));
}

#[test]
fn what_an_operator_supplies_must_fit_as_well() {
    let mut step = agent("a", &[]);
    step["output_schema"] = json!({"type": "integer"});
    let mut world =
        World::play_all(json!({"on_error": "park", "output": "${steps.a.output}", "steps": [step]}), &["a broken"]);
    assert!(matches!(world.try_play("a complete {}"), Err(Illegal::Unfit(_))));
    world.play("a complete 7");
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!(7)));
}

fn approval(fields: Value) -> Value {
    let mut step = json!({"id": "a", "type": "wait", "needs": [], "timeout": "1h",
        "input": {"role": "admin", "schema": {"type": "boolean"}}});
    for (name, value) in fields.as_object().expect("an object") {
        step[name] = value.clone();
    }
    json!({"on_error": "park", "steps": [agent("first", &[]), step]})
}

#[rstest]
#[case::while_it_waits(approval(json!({})), &[])]
#[case::before_it_asks(approval(json!({"needs": ["first"]})), &[])]
#[case::after_it_failed(approval(json!({})), &["first ok", "due"])]
fn who_stands_in_for_an_answer_needs_the_role_that_it_requires(#[case] fields: Value, #[case] script: &[&str]) {
    for what in ["skip", "complete true"] {
        let mut world = World::play_all(fields.clone(), script);
        let told = world.try_play(&format!("a {what}"));
        assert!(matches!(told, Err(Illegal::Role(Role::Admin))), "{what}: {told:?}");
        assert!(
            matches!(world.try_play("a complete_as_admin 7"), Err(Illegal::Unfit(_))),
            "the answer's schema counts"
        );
        let (verb, value) = what.split_once(' ').unwrap_or((what, ""));
        world.play(format!("a {verb}_as_admin {value}").trim());
        assert!(world.step("a").status.is_settled());
    }
}

#[test]
fn an_escalation_lets_those_who_are_asked_as_well_stand_in() {
    let fields = approval(json!({"input": {"role": "owner", "escalate": [{"after": "1m", "role": "operator"}]}}));
    let mut world = World::play_all(fields, &[]);
    assert!(matches!(world.try_play("a skip"), Err(Illegal::Role(Role::Owner))));
    world.play("due");
    world.play("a skip");
    assert_eq!(world.step("a").status, StepStatus::Skipped);
}

#[test]
fn there_is_nothing_to_decide_where_there_is_no_place() {
    let mut world = World::of(json!([agent("a", &[])]));
    for place in [world.place("a").item(0), world.place("a").undo(), fleetprompt_core::run::Place::step(9)] {
        let (by, reason) = (crate::world::somebody(), String::new());
        assert_eq!(world.tell(Input::Skip { place, by, role: Role::Owner, reason }), Err(Illegal::NoSuchPlace));
    }
}
