//! What becomes of a run whose step failed.

use fleetprompt_core::run::{Status, StepStatus};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{World, broken};

#[rstest]
#[case::a_failure_fails_the_run_and_what_was_not_begun_never_was(
    json!([{"id": "a", "function": "fail"}, {"id": "b"}]), &[],
    "run started, a failed, run failed"
)]
#[case::a_failure_withdraws_what_is_under_way(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "agent", "needs": []},
           {"id": "c", "type": "wait", "for": "1h", "needs": []}]),
    &["a broken"],
    "run started, a started, b started, c waiting, a failed, run stopping, b canceled, c canceled, run failed"
)]
#[case::a_directive_under_way_has_to_end_first(
    json!([{"id": "a", "type": "agent", "needs": []}, {"id": "c", "type": "directive", "needs": []}]),
    &["a broken", "c broken"],
    "run started, a started, c started, a failed, run stopping, c canceling, c canceled, run failed"
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
fn a_failure_ends_the_run_unless_somebody_takes_it_up(
    #[case] steps: Value,
    #[case] script: &[&str],
    #[case] expected: &str,
) {
    assert_eq!(World::play_all(json!({"steps": steps}), script).timeline(), expected);
}

#[test]
fn a_failed_run_names_the_step_that_failed_and_why() {
    let world = World::of(json!([{"id": "a", "function": "fail"}]));
    assert_eq!((world.error().code.as_str(), world.error().message.as_str()), ("broken", "step `a`: it is broken"));
    assert_eq!(world.step("a").error, Some(broken()));
}

#[test]
fn a_failure_causes_the_end_of_the_others_and_of_the_run() {
    let steps = json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "directive", "needs": []}]);
    let world = World::play_all(json!({"steps": steps}), &["b refused"]);
    let expected =
        ["b failed ← b started", "run stopping ← b failed", "a canceled ← run stopping", "run failed ← run stopping"];
    assert_eq!(world.causes()[3..], expected);
}

// Parked

fn parking(steps: Value) -> Value {
    json!({"on_error": "park", "steps": steps})
}

#[test]
fn a_parked_run_loses_nothing_and_begins_nothing() {
    let agent = |id: &str, needs: Value| json!({"id": id, "type": "agent", "needs": needs});
    let steps = json!([agent("a", json!([])), agent("b", json!([])), agent("c", json!(["b"]))]);
    let mut world = World::play_all(parking(steps), &["a broken"]);
    assert_eq!(world.since(3), "a failed, run parked");
    assert_eq!(world.run.reason_to_wake(), Some("an operator is to decide"));
    let error = world.run.standing.as_ref().and_then(|standing| standing.error.clone()).expect("it says why");
    assert_eq!(error.message, "step `a`: it is broken");
    world.play("b ok");
    assert_eq!((world.step("b").status, world.step("c").status), (StepStatus::Completed, StepStatus::Pending));
}

#[test]
fn what_is_due_in_a_parked_run_is_due_when_it_goes_on() {
    let steps =
        json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "type": "wait", "for": "1m", "needs": []}]);
    let mut world = World::play_all(parking(steps), &["a broken", "wait 1h"]);
    assert_eq!(world.run.wake_at(), None);
    for line in ["retry", "due", "a ok"] {
        world.play(line);
    }
    assert_eq!(world.since(5), "run resumed, a reset, a started, b completed, a completed, run completed");
}

#[rstest]
#[case::retried("retry", "run resumed, a reset, a started")]
#[case::skipped("a skip", "a skipped, run resumed, b skipped, run completed")]
#[case::completed("a complete {\"x\": 1}", "a completed, run resumed, b completed, run completed")]
#[case::canceled("cancel", "run canceled")]
fn an_operator_decides_about_a_parked_run(#[case] line: &str, #[case] expected: &str) {
    let steps = json!([{"id": "a", "type": "agent", "needs": []}, {"id": "b", "needs": ["a"]}]);
    let world = World::play_all(parking(steps), &["a broken", line]);
    assert_eq!(world.since(4), expected);
    assert_eq!(world.log[4].payload.value()["by"], json!({"type": "user", "id": "ada"}));
}

#[test]
fn a_second_failure_keeps_it_parked_until_both_are_seen_to() {
    let agent = |id: &str| json!({"id": id, "type": "agent", "needs": []});
    let mut world = World::play_all(parking(json!([agent("a"), agent("b")])), &["a broken", "b broken", "a skip"]);
    assert_eq!(world.run.status, Status::Parked);
    world.play("b complete");
    assert_eq!(world.since(5), "b failed, a skipped, b completed, run resumed, run completed");
}

#[test]
fn a_run_that_is_parked_with_items_goes_on_with_those_that_did_not_complete() {
    let steps = json!([{"id": "a", "type": "agent", "for_each": {"items": [1, 2, 3], "max_parallel": 2}}]);
    let mut world = World::play_all(parking(steps), &["a[0] ok 1", "a[1] broken"]);
    assert_eq!((world.items("a").as_str(), world.run.status), ("completed failed canceled", Status::Parked));
    world.play("retry");
    assert_eq!(world.items("a"), "completed running running");
    for line in ["a[1] ok 2", "a[2] ok 3"] {
        world.play(line);
    }
    assert_eq!(world.run.status, Status::Completed);
    assert_eq!(world.keys(), ["a:0", "a:1", "a:2", "a:1", "a:2"]);
}

#[test]
fn an_item_that_an_operator_saw_to_stays_so_when_its_step_is_retried() {
    let steps = json!([{"id": "a", "type": "agent", "for_each": [1, 2, 3]}]);
    let script = ["a[1] broken", "a[1] complete 20", "a[2] skip", "retry"];
    let mut world =
        World::play_all(json!({"on_error": "park", "output": "${steps.a.output}", "steps": steps}), &script);
    assert_eq!(world.items("a"), "running completed skipped");
    world.play("a[0] ok 10");
    assert_eq!(world.run.output.as_ref().map(|output| output.value().clone()), Some(json!([10, 20, null])));
}
