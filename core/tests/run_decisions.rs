//! What becomes of a run, as tables: the steps, what happens, and the timeline that follows.

mod world;

use std::time::{Duration, Instant};

use fleetprompt_core::run::{Effect, Illegal, Input, Status, StepStatus};
use fleetprompt_core::{Failure, Json, Party, RecordId, Span};
use rstest::rstest;
use serde_json::{Value, json};
use world::{World, broken, busy, somebody};

fn play(fields: Value, script: &[&str]) -> World {
    let mut world = World::new(fields);
    for line in script {
        world.play(line);
    }
    world
}

#[rstest]
#[case::a_chain_runs_in_the_order_of_its_list(
    json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]), &[],
    "run started, a completed, b completed, c completed, run completed"
)]
#[case::needs_decide_the_order_and_the_list_does_not(
    json!([{"id": "a", "needs": ["b"]}, {"id": "b", "needs": ["c"]}, {"id": "c", "needs": []}]), &[],
    "run started, c completed, b completed, a completed, run completed"
)]
#[case::branches_run_side_by_side_and_meet(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "agent", "needs": []},
           {"id": "c", "needs": ["a", "b"]}]),
    &["b ok", "a ok"],
    "run started, a started, b started, b completed, a completed, c completed, run completed"
)]
#[case::a_branch_does_not_wait_for_its_neighbour(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "agent", "needs": []},
           {"id": "c", "needs": ["a"]}]),
    &["a ok", "b ok"],
    "run started, a started, b started, a completed, c completed, b completed, run completed"
)]
#[case::what_is_referred_to_is_needed(
    json!([{"id": "b", "needs": [], "input": "${steps.a.output}"}, {"id": "a", "needs": [], "input": 1}]), &[],
    "run started, a completed, b completed, run completed"
)]
#[case::a_step_whose_when_does_not_hold_is_skipped_and_the_chain_goes_on(
    json!([{"id": "a", "when": "${signal.payload.no}"}, {"id": "b"}]), &[],
    "run started, a skipped, b completed, run completed"
)]
#[case::a_step_whose_when_holds_runs(
    json!([{"id": "a", "when": "${signal.payload.yes}"}]), &[],
    "run started, a completed, run completed"
)]
#[case::a_skip_takes_along_all_who_need_it(
    json!([{"id": "a", "when": "${signal.payload.no}", "needs": []}, {"id": "b", "needs": ["a"]},
           {"id": "c", "needs": ["b"]}, {"id": "d", "needs": []}]), &[],
    "run started, a skipped, b skipped, c skipped, d completed, run completed"
)]
#[case::in_a_chain_a_skip_takes_along_those_who_read_it(
    json!([{"id": "a", "when": "${signal.payload.no}"}, {"id": "b", "input": "${steps.a.output}"}, {"id": "c"}]), &[],
    "run started, a skipped, b skipped, c completed, run completed"
)]
#[case::a_guarded_read_waits_for_a_skipped_step_and_runs(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "needs": ["a"], "when": "${signal.payload.no}"},
           {"id": "c", "needs": [], "input": "${has(steps.b.output) ? steps.b.output : 'none'}"}]),
    &["a ok"],
    "run started, a started, a completed, b skipped, c completed, run completed"
)]
#[case::one_missing_need_among_many_is_enough_to_be_skipped(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "needs": [], "when": "${signal.payload.no}"},
           {"id": "c", "needs": ["a", "b"]}]),
    &["a ok"],
    "run started, a started, b skipped, a completed, c skipped, run completed"
)]
#[case::all_steps_skipped_is_a_completed_run(
    json!([{"id": "a", "when": "false"}, {"id": "b", "when": "false"}]), &[],
    "run started, a skipped, b skipped, run completed"
)]
#[case::a_failure_fails_the_run_and_what_was_not_begun_never_was(
    json!([{"id": "a", "function": "fail"}, {"id": "b"}]), &[],
    "run started, a failed, run failed"
)]
#[case::a_failure_cancels_what_is_in_flight(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "agent", "needs": []},
           {"id": "c", "type": "directive", "needs": []}]),
    &["a broken"],
    "run started, a started, b started, c started, a failed, b canceled, c canceled, run failed"
)]
#[case::on_error_continue_goes_on_after_a_failure(
    json!([{"id": "a", "function": "fail", "on_error": "continue"}, {"id": "b"}]), &[],
    "run started, a failed, b completed, run completed"
)]
#[case::a_tolerated_failure_satisfies_those_who_need_it(
    json!([{"id": "a", "function": "fail", "on_error": "continue", "needs": []}, {"id": "b", "needs": ["a"]}]), &[],
    "run started, a failed, b completed, run completed"
)]
#[case::a_when_that_cannot_be_evaluated_fails_the_step(
    json!([{"id": "a", "when": "${signal.payload.absent > 3}"}]), &[],
    "run started, a failed, run failed"
)]
#[case::a_when_that_is_no_condition_fails_the_step_and_can_be_tolerated(
    json!([{"id": "a", "when": "${signal.payload.title}", "on_error": "continue"}]), &[],
    "run started, a failed, run completed"
)]
#[case::a_directive_s_success_completes_the_step(
    json!([{"id": "a", "type": "directive"}, {"id": "b"}]), &["a ok"],
    "run started, a started, a completed, b completed, run completed"
)]
#[case::a_directive_s_failure_is_not_tried_again_by_the_step(
    json!([{"id": "a", "type": "directive", "retry": {"max_attempts": 9}}]), &["a busy"],
    "run started, a started, a failed, run failed"
)]
#[case::a_refused_directive_fails_the_step(
    json!([{"id": "a", "type": "directive", "on_error": "continue"}]), &["a refused"],
    "run started, a started, a failed, run completed"
)]
#[case::an_input_that_cannot_be_rendered_fails_a_function(
    json!([{"id": "a", "input": "${signal.payload.absent}"}]), &[], "run started, a failed, run failed"
)]
#[case::an_input_that_cannot_be_rendered_fails_an_agent_before_it_is_called(
    json!([{"id": "a", "type": "agent", "input": "${signal.payload.absent}"}]), &[],
    "run started, a failed, run failed"
)]
#[case::a_payload_that_cannot_be_rendered_requests_no_directive(
    json!([{"id": "a", "type": "directive", "payload": "${signal.payload.absent}"}]), &[],
    "run started, a failed, run failed"
)]
#[case::reading_the_output_of_a_tolerated_failure_fails(
    json!([{"id": "a", "function": "fail", "on_error": "continue"}, {"id": "b", "input": "${steps.a.output}"}]), &[],
    "run started, a failed, b failed, run failed"
)]
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
#[case::a_function_is_not_tried_again_it_would_say_the_same(
    json!([{"id": "a", "function": "busy", "retry": {"max_attempts": 5}}]), &[], "run started, a failed, run failed"
)]
#[case::canceling_ends_what_is_in_flight_or_waits_and_nothing_else(
    json!([{"id": "a", "needs": []}, {"id": "b", "type": "agent", "needs": []},
           {"id": "c", "type": "directive", "needs": []}, {"id": "d", "type": "agent", "needs": []},
           {"id": "e", "needs": ["b"]}]),
    &["d busy", "cancel"],
    "run started, a completed, b started, c started, d started, d retrying, \
     b canceled, c canceled, d canceled, run canceled"
)]
fn a_run_goes_as_its_steps_say(#[case] steps: Value, #[case] script: &[&str], #[case] expected: &str) {
    assert_eq!(play(json!({"steps": steps}), script).timeline(), expected);
}

#[rstest]
#[case::completed("function", json!({"ok": true}), StepStatus::Completed)]
#[case::mismatched_function("function", json!({"ok": "yes"}), StepStatus::Failed)]
#[case::mismatched_directive("directive", json!({"ok": "yes"}), StepStatus::Failed)]
#[case::mismatched_agent("agent", json!({"ok": "yes"}), StepStatus::Retrying)]
fn an_output_must_match_the_schema_and_an_agent_may_try_again(
    #[case] kind: &str,
    #[case] output: Value,
    #[case] expected: StepStatus,
) {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}});
    let mut step = json!({"id": "a", "type": kind, "output_schema": schema, "on_error": "continue"});
    if kind == "function" {
        step["input"] = output.clone();
    }
    let mut world = World::of(json!([step, {"id": "z", "type": "agent"}]));
    if kind != "function" {
        world.end("a", Ok(output.into())).expect("it is in flight");
    }
    assert_eq!(world.step("a").status, expected);
    if expected != StepStatus::Completed {
        let error = world.step("a").error.as_ref().expect("it says why");
        assert_eq!(error.code, "output_invalid");
        assert!(error.message.starts_with("/ok: "), "{error}");
        assert_eq!(world.step("a").output, None, "what does not fit is not an output");
    }
}

#[test]
fn an_agent_whose_answers_never_fit_fails_with_the_last_of_them() {
    let step = json!({"id": "a", "type": "agent", "output_schema": {"type": "string"}, "retry": {"max_attempts": 2}});
    let world = play(json!({"steps": [step]}), &["a ok 1", "due", "a ok 2"]);
    assert_eq!(world.timeline(), "run started, a started, a retrying, a started, a failed, run failed");
    assert_eq!((world.step("a").attempt, world.run.error.as_ref().map(|e| &*e.code)), (2, Some("output_invalid")));
}

#[rstest]
#[case::an_output_of_nothing("{}")]
#[case::null("null")]
#[case::an_empty_text(r#""""#)]
#[case::no("false")]
#[case::zero("0")]
#[case::more_digits_than_a_double_holds("12345678901234567890123.10")]
fn an_empty_output_is_an_output_and_stays_as_it_was_written(#[case] output: &str) {
    let fields = json!({"output": "${steps.b.output}", "steps": [
        {"id": "a", "type": "agent"}, {"id": "b", "input": "${steps.a.output}", "when": "${has(steps.a.output)}"}]});
    let world = play(fields, &[&format!("a ok {output}")]);
    assert_eq!(world.step("a").output.as_ref().map(Json::text), Some(output));
    assert_eq!(world.step("b").status, StepStatus::Completed);
    assert_eq!(world.run.output, world.step("b").output);
    assert!(world.run.output.is_some());
}

#[test]
fn a_run_without_an_output_template_has_none() {
    assert_eq!(World::of(json!([{"id": "a", "input": 7}])).run.output, None);
}

#[test]
fn a_null_that_a_function_gives_can_be_read() {
    let fields = json!({"output": "${steps.a.output}", "steps": [{"id": "a", "function": "null"}]});
    assert_eq!(World::new(fields).run.output, Some(Json::null()));
}

#[test]
fn the_output_is_made_of_everything_that_the_run_knows() {
    let output = json!({
        "title": "${signal.payload.title}", "tenant": "${tenant.slug}", "input": "${run.input.title}",
        "a": "${steps.a.output.x}", "b": "${steps.b.status}", "c": "${steps.c.error.code}: ${steps.c.status}"
    });
    let world = World::new(json!({"output": output, "steps": [
        {"id": "a", "input": {"x": [1]}}, {"id": "b", "when": "false"},
        {"id": "c", "function": "fail", "on_error": "continue"}]}));
    let expected = json!({"title": "No login", "tenant": "acme", "input": "No login", "a": [1], "b": "skipped",
                          "c": "broken: failed"});
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&expected));
}

#[test]
fn an_output_that_cannot_be_made_fails_the_run_and_says_so() {
    let fields = json!({"output": "${steps.a.output}", "steps": [{"id": "a", "when": "false"}]});
    let world = World::new(fields);
    assert_eq!(world.timeline(), "run started, a skipped, run failed");
    let error = world.run.error.expect("it failed");
    assert_eq!(error.code, "expression_failed");
    assert_eq!(error.message, "output: `steps.a.output`: step `a` is skipped: it has no output");
}

#[test]
fn a_failed_run_names_the_step_that_failed_and_why() {
    let world = World::of(json!([{"id": "a", "function": "fail"}]));
    let error = world.run.error.clone().expect("it failed");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("broken", "step `a`: it is broken"));
    assert_eq!(world.step("a").error, Some(broken()));
}

#[test]
fn a_skipped_step_says_why() {
    let world = World::of(json!([{"id": "a", "when": "${1 > 2}", "needs": []}, {"id": "b", "needs": ["a"]}]));
    let reasons: Vec<_> = world.log.iter().filter_map(|signal| signal.payload.value()["reason"].as_str()).collect();
    assert_eq!(reasons, ["`when` did not hold: 1 > 2", "step `a` was skipped"]);
}

// When it is tried again.

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
        effects.iter().map(|effect| matches!(effect, Effect::Agent { step, .. } if *step != 1)).collect();
    assert_eq!(steps, [true, true]);
    assert_eq!(world.step("b").status, StepStatus::Retrying);
}

#[test]
fn a_run_that_passes_its_deadline_fails_whatever_is_in_flight() {
    let fields = json!({"timeout": "1h", "steps": [
        {"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "directive", "needs": []}]});
    let mut world = World::new(fields);
    world.wait("59m59s");
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    let effects = {
        world.play("wait 1s");
        world.tell(Input::Due).expect("the deadline has come")
    };
    let directive = world.step("b").directive_id.expect("it was requested");
    assert_eq!(effects, [Effect::Withdraw { directive, reason: "the run failed".into() }]);
    assert_eq!(world.timeline(), "run started, a started, b started, a canceled, b canceled, run failed");
    let error = world.run.error.clone().expect("it failed");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("timeout", "the run did not end within 1h"));
}

#[test]
fn the_deadline_comes_first_when_a_retry_is_due_too() {
    let world = play(json!({"timeout": "10s", "steps": [{"id": "a", "type": "agent"}]}), &["a busy", "wait 1h", "due"]);
    assert_eq!(world.timeline(), "run started, a started, a retrying, a canceled, run failed");
}

// What is refused.

#[test]
fn an_outcome_of_another_attempt_is_refused() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}, {"id": "b"}]));
    let stale = |got| Err(Illegal::Stale { step: 0, got });
    let ok = || Ok(json!(1).into());
    assert_eq!(world.outcome("a", 0, ok()), stale(0));
    assert_eq!(world.outcome("a", 2, ok()), stale(2));
    world.play("a busy");
    assert_eq!(world.outcome("a", 1, ok()), stale(1), "between two attempts there is none");
    world.play("due");
    assert_eq!(world.outcome("a", 1, ok()), stale(1), "the second is under way");
    assert_eq!(world.outcome("a", 2, ok()), Ok(vec![]));
}

#[test]
fn an_outcome_of_a_step_that_is_not_in_flight_is_refused() {
    let mut world = World::of(json!([{"id": "a"}, {"id": "b", "type": "agent"}, {"id": "c", "type": "agent"}]));
    for (step, attempt) in [("a", 1), ("a", 0), ("c", 0), ("c", 1)] {
        let refused = world.outcome(step, attempt, Ok(Json::null()));
        assert!(matches!(refused, Err(Illegal::Stale { .. })), "{step}");
    }
    let input = Input::Outcome { step: 99, attempt: 1, result: Ok(Json::null()), execution: None, logs: vec![] };
    assert_eq!(world.tell(input), Err(Illegal::Stale { step: 99, got: 1 }));
}

#[test]
fn a_directive_settles_its_own_step_once() {
    let mut world = World::of(json!([{"id": "a", "type": "directive"}, {"id": "b", "type": "directive"}]));
    let first = world.step("a").directive_id.expect("it was requested");
    let settled = |step, directive| Input::Settled { step, directive, by: None, result: Ok(Json::null()) };
    let other = fleetprompt_core::DirectiveId(world.moment.uuid());
    for (step, directive) in [(0, other), (1, first), (7, first)] {
        assert!(matches!(world.tell(settled(step, directive)), Err(Illegal::Stale { .. })));
    }
    assert!(matches!(world.outcome("a", 1, Ok(Json::null())), Err(Illegal::Stale { .. })), "no agent ends it");
    world.tell(settled(0, first)).expect("it is in flight");
    assert!(matches!(world.tell(settled(0, first)), Err(Illegal::Stale { .. })), "it has settled");
}

#[rstest]
#[case::completed(&["a ok"], Status::Completed)]
#[case::failed(&["a broken"], Status::Failed)]
#[case::canceled(&["cancel"], Status::Canceled)]
fn a_run_that_has_ended_takes_nothing_more(#[case] script: &[&str], #[case] status: Status) {
    let mut world = play(json!({"timeout": "1s", "steps": [{"id": "a", "type": "agent"}]}), script);
    assert_eq!(world.run.status, status);
    world.wait("1d");
    let ended = Err(Illegal::Ended(status));
    assert_eq!(world.outcome("a", 1, Ok(Json::null())), ended);
    assert_eq!(world.tell(Input::Due), ended);
    assert_eq!(world.tell(Input::Cancel { by: somebody(), reason: "again".into() }), ended);
}

// What is done in the world.

#[test]
fn canceling_withdraws_the_directives_in_flight_and_records_who_and_why() {
    let step = |id: &str, kind: &str| json!({"id": id, "type": kind, "needs": []});
    let mut world =
        World::of(json!([step("a", "directive"), step("b", "agent"), step("c", "directive"), step("d", "directive")]));
    world.play("c ok");
    let effects = world.tell(Input::Cancel { by: somebody(), reason: "too late".into() }).expect("it runs");
    let withdrawn = |step: &str| Effect::Withdraw {
        directive: world.step(step).directive_id.expect("it was requested"),
        reason: "the run was canceled".into(),
    };
    assert_eq!(effects, [withdrawn("a"), withdrawn("d")]);
    let payload = world.log.last().expect("a log").payload.value();
    assert_eq!((&payload["by"], &payload["reason"]), (&json!({"type": "user", "id": "ada"}), &json!("too late")));
}

#[test]
fn a_directive_is_requested_with_what_the_step_says_and_caused_by_its_start() {
    let mut world = World::of(json!([
        {"id": "a", "input": {"to": "ada"}},
        {"id": "b", "type": "directive", "payload": {"to": "${steps.a.output.to}"}, "timeout": "5s",
         "retry": {"max_attempts": 2}}]));
    let [Effect::Directive { id, step, name, payload, key, retry, timeout, lineage }] = &world.effects[..] else {
        panic!("{:?}", world.effects)
    };
    assert_eq!((Some(*id), *step, name.as_str()), (world.step("b").directive_id, 1, "mail.send"));
    assert_eq!((payload.value(), key), (&json!({"to": "ada"}), &format!("{}:b", world.run.id)));
    assert_eq!((retry.as_ref().map(|retry| retry.max_attempts), *timeout), (Some(2), Some(Span::from_secs(5))));
    assert_eq!(lineage.causation_id, world.step("b").signal_id.map(RecordId::from));
    world.play("b ok");
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn after_a_restart_the_agents_in_flight_are_delivered_again_as_they_were() {
    let agent = |id: &str| json!({"id": id, "type": "agent", "needs": ["z"], "input": {"z": "${steps.z.output}"}});
    let mut world = World::of(json!([
        {"id": "z", "input": 7, "needs": []}, agent("a"), agent("b"), agent("c"),
        {"id": "d", "type": "directive", "needs": []}]));
    let asked = world.effects.clone();
    world.play("a ok");
    world.play("c busy");
    let again = fleetprompt_core::run::effects_in_flight(world.setting(), &world.run);
    let b = asked.iter().find(|effect| matches!(effect, Effect::Agent { step: 2, .. })).cloned();
    assert_eq!(again, Vec::from_iter(b), "`a` has ended, `c` waits, `d` is a directive");
}

#[test]
fn what_an_execution_cost_and_said_is_kept_with_its_outcome() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}]));
    world
        .tell(Input::Outcome {
            step: 0,
            attempt: 1,
            result: Err(broken()),
            execution: Some(json!({"tokens": 12}).into()),
            logs: vec!["asked".into()],
        })
        .expect("it is in flight");
    let payload = world.log[2].payload.value();
    assert_eq!((&payload["execution"], &payload["logs"]), (&json!({"tokens": 12}), &json!(["asked"])));
}

// What caused it.

#[test]
fn each_signal_was_caused_by_the_one_that_made_it_ready() {
    let world = play(
        json!({"steps": [
            {"id": "root", "needs": []}, {"id": "other", "type": "agent", "needs": []},
            {"id": "after", "type": "directive", "needs": ["root"]},
            {"id": "join", "needs": ["after", "other"]}, {"id": "never", "needs": ["join"], "when": "false"}]}),
        &["other busy", "due", "other ok", "after ok"],
    );
    let expected = [
        "run started ← the directive",
        "root completed ← run started",
        "other started ← run started",
        "after started ← root completed",
        "other retrying ← other started",
        "other started ← other retrying",
        "other completed ← other started",
        "after completed ← the directive's end",
        "join completed ← after completed",
        "never skipped ← join completed",
        "run completed ← never skipped",
    ];
    assert_eq!(world.causes(), expected);
}

#[test]
fn a_failure_causes_the_end_of_the_others_and_of_the_run() {
    let world = play(
        json!({"steps": [{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "directive", "needs": []}]}),
        &["b refused"],
    );
    let expected = ["b failed ← b started", "a canceled ← b failed", "run failed ← b failed"];
    assert_eq!(world.causes()[3..], expected);
}

#[test]
fn what_comes_from_outside_or_by_the_clock_alone_was_caused_by_the_run() {
    let steps = json!([{"id": "a", "type": "agent"}]);
    for (script, end) in [("cancel", "canceled"), ("due", "failed")] {
        let world = play(json!({"timeout": "1m", "steps": steps}), &[script]);
        assert_eq!(world.causes()[2..], ["a canceled ← the run".to_owned(), format!("run {end} ← the run")]);
    }
}

#[test]
fn a_run_that_no_signal_triggered_is_caused_by_its_directive() {
    let mut moment = fleetprompt_core::Moment::new(3);
    moment.advance(world::BEGINNING);
    let (workflow, tenant) = (
        world::workflow(json!({"output": "${run.input}", "steps": [{"id": "a", "input": "${signal}"}]})),
        world::tenant(),
    );
    let setting = fleetprompt_core::run::Setting { workflow: &workflow, tenant: &tenant, signal: None };
    let start = fleetprompt_core::run::Start {
        id: fleetprompt_core::RunId(moment.uuid()),
        directive_id: fleetprompt_core::DirectiveId(moment.uuid()),
        input: Some(json!({"x": 1}).into()),
        lineage: fleetprompt_core::Lineage::root("together"),
    };
    let directive = start.directive_id;
    let decision = fleetprompt_core::run::start(setting, &world::Pure, start, &mut moment);
    assert_eq!(decision.run.lineage.causation_id, Some(directive.into()));
    assert_eq!(decision.run.status, Status::Failed, "there is no `signal` to read");
    let error = decision.run.error.clone().expect("it failed");
    assert_eq!(error.message, "step `a`: `signal`: the run was not started by a signal");
    assert_eq!(fleetprompt_core::run::fold(&workflow, &decision.signals), Some(decision.run));
}

#[test]
fn a_log_that_does_not_begin_with_the_start_gives_no_run() {
    let world = World::of(json!([{"id": "a"}]));
    assert_eq!(fleetprompt_core::run::fold(&world.workflow, &world.log[1..]), None);
    assert_eq!(fleetprompt_core::run::fold(&world.workflow, []), None);
}

// Size. The limits are of an unoptimized build on a slow machine.

fn within<T>(limit: Duration, what: &str, action: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = action();
    let took = begun.elapsed();
    println!("{what}: {took:?}");
    assert!(took < limit, "{what} took {took:?}");
    result
}

#[test]
fn ten_thousand_functions_in_a_chain_are_one_decision() {
    let steps: Vec<Value> =
        (0..10_000).map(|i| json!({"id": format!("s{i}"), "input": "${run.input.title}"})).collect();
    let world = within(Duration::from_secs(10), "a chain of 10,000", || World::of(Value::from(steps)));
    assert_eq!((world.run.status, world.log.len()), (Status::Completed, 10_002));
}

#[test]
fn ten_thousand_skips_in_a_row_do_not_use_up_the_stack() {
    let step = |i: usize| match i {
        0 => json!({"id": "s0", "when": "false", "needs": []}),
        _ => json!({"id": format!("s{i}"), "needs": [format!("s{}", i - 1)]}),
    };
    let world = World::of((0..10_000).map(step).collect());
    assert_eq!((world.run.status, world.log.len()), (Status::Completed, 10_002));
}

#[test]
fn a_step_may_wait_for_a_thousand() {
    let agent = |i: usize| json!({"id": format!("s{i}"), "type": "agent", "needs": []});
    let mut steps: Vec<Value> = (0..1_000).map(agent).collect();
    let all: Vec<String> = (0..1_000).map(|i| format!("s{i}")).collect();
    steps.push(json!({"id": "join", "needs": all}));
    let mut world = World::of(Value::from(steps));
    within(Duration::from_secs(10), "a fan-in of 1,000", || {
        // In the order that looks through the most edges before it finds one that is open.
        for index in (0..1_000).rev().skip(1) {
            fast_forward(&mut world, index);
        }
        world.end("s999", Ok(Json::null())).expect("it is in flight");
    });
    assert_eq!((world.run.status, world.step("join").status), (Status::Completed, StepStatus::Completed));
}

/// Ends an agent without the checks of the world, which look at everything each time.
fn fast_forward(world: &mut World, index: usize) {
    let input = Input::Outcome { step: index, attempt: 1, result: Ok(Json::null()), execution: None, logs: vec![] };
    let setting = fleetprompt_core::run::Setting {
        workflow: &world.workflow,
        tenant: &world.tenant,
        signal: Some(&world.trigger),
    };
    let decision = fleetprompt_core::run::decide(setting, &world::Pure, world.run.clone(), input, &mut world.moment);
    let decision = decision.expect("it is in flight");
    world.run = decision.run;
    world.log.extend(decision.signals);
}

#[test]
fn ten_thousand_agents_side_by_side_end_one_by_one() {
    let agent = |i: usize| json!({"id": format!("s{i}"), "type": "agent", "needs": []});
    let mut world = World::of((0..10_000).map(agent).collect());
    within(Duration::from_secs(10), "1,000 decisions and copies of a run of 10,000 steps", || {
        for index in 0..1_000 {
            fast_forward(&mut world, index);
            assert_eq!(world.run.wake_at(), None);
        }
    });
}

#[test]
fn a_party_is_recorded_as_it_was_given() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}]));
    world.tell(Input::Cancel { by: Party::engine(), reason: String::new() }).expect("it runs");
    assert_eq!(world.log.last().map(|signal| signal.payload.value()["by"]["type"].clone()), Some(json!("engine")));
}
