//! Steps that wait: for a time, a signal, an answer, a report.

use fleetprompt_core::Json;
use fleetprompt_core::run::{Awaited, Effect, Illegal, Input, Status, StepStatus};
use fleetprompt_core::tenant::Role;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{BEGINNING, World, signal};

/// One wait, and the run's output is what it gave.
fn wait(fields: Value) -> World {
    let mut step = json!({"id": "a", "type": "wait"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    World::new(json!({"output": "${steps.a.output}", "steps": [step]}))
}

fn output(world: &World) -> &Value {
    world.run.output.as_ref().expect("it completed").value()
}

// Times

#[rstest]
#[case::a_while(json!({"for": "15m"}), "15m")]
#[case::a_while_that_is_worked_out(json!({"for": "${signal.payload.yes ? '1h' : '2h'}"}), "1h")]
#[case::a_time(json!({"until": "2026-01-01T00:30:00Z"}), "30m")]
fn a_wait_for_a_time_is_over_when_it_has_come(#[case] fields: Value, #[case] span: &str) {
    let mut world = wait(fields);
    assert_eq!(world.timeline(), "run started, a waiting");
    let until = BEGINNING + span.parse().expect("a duration");
    assert_eq!(world.run.wake_at(), Some(until));
    world.moment.advance(fleetprompt_core::Timestamp(until.0 - 1));
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("due");
    assert_eq!(world.since(2), "a completed, run completed");
    assert_eq!(output(&world), &json!({"until": until}));
}

#[rstest]
#[case::long_ago("2001-01-01T00:00:00Z")]
#[case::this_very_moment("2026-01-01T00:00:00Z")]
fn a_time_that_has_passed_ends_the_wait_at_once(#[case] until: &str) {
    assert_eq!(wait(json!({"until": until})).timeline(), "run started, a completed, run completed");
}

#[rstest]
#[case(json!({"for": "${signal.payload.title}"}))]
#[case(json!({"until": "${signal.payload.title}"}))]
#[case(json!({"until": "${signal.payload.yes}"}))]
fn what_is_no_time_fails_the_wait(#[case] fields: Value) {
    let world = wait(fields);
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "wait_invalid"));
}

// Signals

#[test]
fn the_first_signal_of_that_name_ends_it_and_is_its_output() {
    let mut world = wait(json!({"signal": "order.paid"}));
    assert_eq!(world.try_play("a hears order.refunded"), Err(Illegal::NoMatch));
    world.play(r#"a hears order.paid {"amount": 7}"#);
    assert_eq!(world.since(2), "a completed, run completed");
    assert_eq!((&output(&world)["name"], &output(&world)["payload"]), (&json!("order.paid"), &json!({"amount": 7})));
}

#[rstest]
#[case::where_it_is_to_stand(r#"{"order": {"id": "No login"}, "amount": 9}"#, true)]
#[case::something_else_stands_there(r#"{"order": {"id": "other"}, "amount": 9}"#, false)]
#[case::nothing_stands_there(r#"{"amount": 9}"#, false)]
#[case::it_fits_and_the_condition_does_not_hold(r#"{"order": {"id": "No login"}, "amount": 5}"#, false)]
fn a_signal_has_to_fit(#[case] payload: &str, #[case] fits: bool) {
    let mut world = wait(json!({"signal": {"name": "order.paid",
        "match": {"payload.order.id": "${signal.payload.title}"}, "when": "event.payload.amount > 5"}}));
    let told = world.try_play(&format!("a hears order.paid {payload}"));
    assert_eq!(told.is_ok(), fits, "{told:?}");
    assert_eq!(world.run.status == Status::Completed, fits);
}

#[test]
fn a_condition_that_cannot_be_told_lets_the_signal_pass_by() {
    let mut world = wait(json!({"signal": {"name": "order.paid", "when": "event.payload.amount > 5"}}));
    assert!(matches!(world.try_play("a hears order.paid"), Err(Illegal::Unfit(_))));
    world.play(r#"a hears order.paid {"amount": 6}"#);
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn values_to_match_are_taken_when_the_wait_begins() {
    let world = wait(json!({"signal": {"name": "order.paid", "match": {"payload.id": "${run.id}"}}}));
    let waiting = world.step("a").waiting.clone().expect("it waits");
    let Awaited::Signal { events, since } = &waiting.what else { panic!("{waiting:?}") };
    assert_eq!(events[0].matches, [("payload.id".to_owned(), json!(world.run.id))]);
    assert_eq!(*since, None);
}

#[test]
fn the_first_of_several_ends_it() {
    let mut world = wait(json!({"signals": ["order.paid", {"name": "order.refunded", "when": "event.payload.all"}]}));
    assert_eq!(world.try_play(r#"a hears order.refunded {"all": false}"#), Err(Illegal::NoMatch));
    world.play(r#"a hears order.refunded {"all": true}"#);
    assert_eq!(output(&world)["name"], "order.refunded");
}

#[test]
fn a_signal_from_before_the_wait_does_not_count_without_lookback() {
    let fields = json!({"steps": [{"id": "x", "type": "agent"}, {"id": "a", "type": "wait", "signal": "order.paid"}]});
    let mut world = World::new(fields);
    let early = signal(&mut world.moment, "order.paid", json!({}));
    world.play("x ok");
    let place = world.place("a");
    assert_eq!(world.tell(Input::Event { place, signal: early.into() }), Err(Illegal::NoMatch));
}

#[rstest]
#[case::since_the_run_began("run", "0ms", true)]
#[case::since_a_while_before("10m", "5m", true)]
#[case::from_before_that_while("10m", "4m", false)]
fn with_lookback_it_counts_and_is_asked_for(#[case] lookback: &str, #[case] at: &str, #[case] counts: bool) {
    let fields = json!({"steps": [{"id": "x", "type": "agent"},
        {"id": "a", "type": "wait", "signal": "order.paid", "lookback": lookback}]});
    let mut world = World::new(fields);
    world.wait(at);
    let early = signal(&mut world.moment, "order.paid", json!({}));
    world.moment.advance(BEGINNING + "15m".parse().expect("a duration"));
    let effects = world.try_play("x ok").expect("it is in flight");
    let since = if lookback == "run" { BEGINNING } else { BEGINNING + "5m".parse().expect("a duration") };
    let place = world.place("a");
    assert_eq!(effects, [Effect::Lookback { place, names: vec![early.name.clone()], since }]);
    world.trigger = early.clone();
    let told = fleetprompt_core::run::awaits(world.setting(), &world.run, place, &early);
    assert_eq!(told, Ok(counts));
}

// Answers

#[test]
fn somebody_with_the_role_answers_and_the_record_says_who() {
    let mut world = wait(json!({"input": {"prompt": "Refund ${signal.payload.title}?", "role": "operator",
        "schema": {"type": "object", "required": ["ok"]}}}));
    let waiting = world.step("a").waiting.clone().expect("it waits");
    let expected = Awaited::Input { prompt: Some("Refund No login?".into()), role: Role::Operator };
    assert_eq!(waiting.what, expected);
    assert_eq!(world.try_play("a answer {\"ok\": 1}"), Err(Illegal::Role(Role::Operator)));
    assert!(matches!(world.try_play("a answer_as_admin {}"), Err(Illegal::Unfit(_))), "it does not fit the schema");
    assert_eq!(world.step("a").status, StepStatus::Waiting, "and may be given again");
    world.play("a answer_as_admin {\"ok\": true}");
    assert_eq!(output(&world), &json!({"ok": true}));
    assert_eq!(world.log[2].payload.value()["by"], json!({"type": "user", "id": "ada"}));
}

#[test]
fn others_are_asked_as_well_when_nobody_answers() {
    let mut world = wait(json!({"timeout": "1d", "input": {"role": "owner",
        "escalate": [{"after": "2h", "role": "operator"}, {"after": "1h", "role": "admin"}]}}));
    assert_eq!(world.try_play("a answer_as_admin 1"), Err(Illegal::Role(Role::Owner)));
    world.play("due");
    assert_eq!(world.moment.now(), BEGINNING + "1h".parse().expect("a duration"));
    assert_eq!(world.timeline(), "run started, a waiting, a escalated");
    assert_eq!(world.last()["reason"], "nobody answered: the role admin is asked as well");
    assert_eq!(world.try_play("a answer 1"), Err(Illegal::Role(Role::Admin)));
    world.play("due");
    assert_eq!(world.moment.now(), BEGINNING + "2h".parse().expect("a duration"));
    assert_eq!(world.run.wake_at(), Some(BEGINNING + "1d".parse().expect("a duration")), "the timeout is left");
    world.play("a answer_as_admin 1");
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn those_who_could_answer_before_can_when_somebody_higher_is_asked() {
    let mut world = wait(json!({"input": {"role": "member", "escalate": [{"after": "1h", "role": "admin"}]}}));
    world.play("due");
    world.play("a answer 1");
    assert_eq!(world.run.status, Status::Completed);
}

// Reports from outside

#[test]
fn a_report_under_the_steps_key_ends_it() {
    let mut world = wait(json!({"callback": {"schema": {"type": "integer"}}, "timeout": "1h"}));
    let waiting = world.step("a").waiting.clone().expect("it waits");
    assert_eq!(waiting.what, Awaited::Callback { key: format!("{}:a", world.run.id) });
    assert!(matches!(world.try_play("a report {}"), Err(Illegal::Unfit(_))));
    world.play("a report 7");
    assert_eq!(output(&world), &json!(7));
}

#[test]
fn a_reported_failure_fails_it_whatever_the_schema_says() {
    let mut world = wait(json!({"callback": {"schema": {"type": "integer"}}}));
    world.play("a lost");
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "broken"));
}

#[test]
fn signs_of_life_keep_it_waiting_and_silence_ends_it() {
    let mut world = wait(json!({"callback": true, "heartbeat": "10s", "timeout": "1m"}));
    for _ in 0..3 {
        world.wait("9s");
        world.play("a beat");
    }
    assert_eq!(world.timeline(), "run started, a waiting, a heartbeat, a heartbeat, a heartbeat");
    world.play("due");
    assert_eq!(world.error().code, "heartbeat_timeout");
    assert_eq!(world.moment.now() - BEGINNING, "37s".parse().expect("a duration"));
}

#[test]
fn its_timeout_comes_though_there_are_signs_of_life() {
    let mut world = wait(json!({"callback": true, "heartbeat": "10s", "timeout": "15s"}));
    world.wait("9s");
    world.play("a beat");
    world.play("due");
    assert_eq!(world.error().code, "timeout");
    assert_eq!(world.error().message, "step `a`: a report from outside did not come within 15s");
}

// What comes early

#[rstest]
#[case::an_answer(json!({"input": {"role": "operator", "schema": {"type": "integer"}}}), "answer_as_admin 7")]
#[case::a_report(json!({"callback": {"schema": {"type": "integer"}}}), "report 7")]
fn what_comes_before_its_wait_is_kept_and_ends_it_when_it_begins(#[case] fields: Value, #[case] line: &str) {
    let mut step = json!({"id": "a", "type": "wait", "timeout": "1h"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let mut world = World::new(json!({"output": "${steps.a.output}", "steps": [{"id": "x", "type": "agent"}, step]}));
    let verb = line.split(' ').next().expect("a verb");
    assert!(matches!(world.try_play(&format!("a {verb} {{}}")), Err(Illegal::Unfit(_))), "it must fit the schema");
    if verb == "report" {
        let refused = world.try_play("a beat");
        assert!(matches!(refused, Err(Illegal::StepStatus(StepStatus::Pending, _))), "{refused:?}");
    } else {
        assert_eq!(world.try_play("a answer 7"), Err(Illegal::Role(Role::Operator)));
    }
    world.play(&format!("a {line}"));
    let again = world.try_play(&format!("a {line}"));
    assert!(matches!(again, Err(Illegal::StepStatus(StepStatus::Pending, _))), "one is kept: {again:?}");
    world.play("x ok");
    assert_eq!(world.timeline(), "run started, x started, a answered_early, x completed, a completed, run completed");
    assert_eq!(output(&world), &json!(7));
    assert_eq!(world.log[4].payload.value()["by"], json!({"type": "user", "id": "ada"}));
}

#[test]
fn a_wait_that_is_answered_early_needs_no_lock_and_an_early_failure_fails_it() {
    let steps =
        || json!([{"id": "x", "type": "agent"}, {"id": "a", "type": "wait", "callback": true, "lock": "the one"}]);
    let mut world = World::of(steps());
    world.play("a lost");
    world.play("x ok");
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "broken"));
    let mut world = World::of(steps());
    world.play("x ok");
    assert_eq!(world.step("a").status, StepStatus::Waiting, "for its lock");
    world.play("a report 7");
    assert_eq!((world.run.status, world.run.steps[1].output.as_ref().map(Json::text)), (Status::Completed, Some("7")));
}

#[test]
fn nothing_is_kept_where_no_wait_can_begin() {
    let steps = json!([{"id": "x", "type": "agent"}, {"id": "many", "type": "wait", "callback": true, "for_each": [1, 2]},
        {"id": "work", "type": "agent"}]);
    let mut world = World::of(steps);
    for name in ["many", "many[0]"] {
        let refused = world.try_play(&format!("{name} report 1"));
        assert!(matches!(refused, Err(Illegal::StepStatus(StepStatus::Pending, _))), "{name}: {refused:?}");
    }
    assert!(matches!(world.try_play("work report 1"), Err(Illegal::Stale(_))), "it is no wait");
    world.play("cancel");
    let refused = world.try_play("many report 1");
    assert!(matches!(refused, Err(Illegal::Ended(_))), "{refused:?}");
}

#[test]
fn a_retry_forgets_what_a_step_took_and_keeps_what_is_still_to_be_taken() {
    let steps = json!([{"id": "a", "type": "wait", "callback": true}, {"id": "x", "type": "agent", "retry": {"max_attempts": 1}},
        {"id": "b", "type": "wait", "callback": true}]);
    let mut world = World::of(steps);
    world.play("b report 2");
    world.play("a report 1");
    world.play("x broken");
    assert_eq!(world.run.status, Status::Failed);
    world.play("retry a");
    assert_eq!(world.step("a").status, StepStatus::Waiting, "it is reported again");
    world.play("a report 3");
    world.play("x ok");
    assert_eq!(world.run.status, Status::Completed, "the report for `b` was there all the time");
}

// What they have in common

#[rstest]
#[case::a_signal(json!({"signal": "order.paid"}), "a signal")]
#[case::an_answer(json!({"input": {}}), "somebody's answer")]
#[case::a_report(json!({"callback": true}), "a report from outside")]
fn a_wait_that_is_not_over_in_time_fails_and_a_transition_takes_it_up(#[case] fields: Value, #[case] what: &str) {
    let mut step = json!({"id": "a", "type": "wait", "timeout": "1h"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let fields = json!({"output": "${steps.late.output}", "transitions": [{"from": "a", "to": "late", "on": "failed"}],
        "steps": [step, {"id": "late", "input": "${steps.a.error.code}: ${steps.a.error.message}"}]});
    let world = World::play_all(fields, &["due"]);
    assert_eq!(world.timeline(), "run started, a waiting, a failed, late completed, run completed");
    assert_eq!(output(&world), &json!(format!("timeout: {what} did not come within 1h")));
}

#[test]
fn each_takes_only_what_it_waits_for() {
    let mut world = World::of(json!([
        {"id": "time", "type": "wait", "for": "1h", "needs": []},
        {"id": "heard", "type": "wait", "signal": "order.paid", "needs": []},
        {"id": "asked", "type": "wait", "input": {}, "needs": []},
        {"id": "called", "type": "wait", "callback": true, "needs": []}]));
    for line in [
        "time hears order.paid",
        "asked hears order.paid",
        "heard answer",
        "called answer",
        "asked report",
        "asked beat",
        "time lost",
        "time granted",
    ] {
        assert!(world.try_play(line).is_err(), "{line}");
    }
    assert_eq!(world.log.len(), 5);
    for line in ["heard hears order.paid", "asked answer", "called report", "due"] {
        world.play(line);
    }
    assert_eq!(world.run.status, Status::Completed);
    assert_eq!(world.run.output, None::<Json>);
}

#[test]
fn an_item_waits_for_what_it_sees() {
    let fields = json!({"output": "${steps.a.output}", "steps": [{"id": "a", "type": "wait", "for_each": ["x", "y"],
        "signal": {"name": "order.paid", "match": {"payload.id": "${item}"}, "when": "event.payload.for == index"}}]});
    let mut world = World::new(fields);
    assert_eq!(world.try_play(r#"a[0] hears order.paid {"id": "y", "for": 0}"#), Err(Illegal::NoMatch));
    assert_eq!(world.try_play(r#"a[0] hears order.paid {"id": "x", "for": 1}"#), Err(Illegal::NoMatch));
    world.play(r#"a[1] hears order.paid {"id": "y", "for": 1}"#);
    world.play(r#"a[0] hears order.paid {"id": "x", "for": 0}"#);
    assert_eq!(output(&world)[0]["payload"]["id"], "x");
}

#[test]
fn what_waits_are_for_counts_among_what_a_run_holds() {
    // 100 prompts of 900 KB, where 64 MiB is the most.
    let wait = json!({"id": "a", "type": "wait", "for_each": (0..100).collect::<Vec<_>>(),
        "input": {"prompt": "${signal.payload.text}"}});
    let payload = json!({"text": "x".repeat(900_000)});
    let world = World::triggered(json!({"steps": [wait]}), payload, crate::world::SEED);
    assert_eq!(world.run.status, Status::Failed);
    assert!(world.error().message.contains("64 MiB"), "{}", world.error());
}
