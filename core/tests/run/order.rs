//! The order of steps: needs, chains, skips, and transitions.

use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

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
fn steps_come_in_their_order(#[case] steps: Value, #[case] script: &[&str], #[case] expected: &str) {
    assert_eq!(World::play_all(json!({"steps": steps}), script).timeline(), expected);
}

fn edge(from: &str, to: &str) -> Value {
    json!({"from": from, "to": to})
}

fn on(from: &str, on: &str, to: &str) -> Value {
    json!({"from": from, "to": to, "on": on})
}

#[rstest]
#[case::one_that_leads_on_is_taken_when_its_step_completes(
    json!([{"id": "a"}, {"id": "b"}]), json!([edge("a", "b")]), &[],
    "run started, a completed, b completed, run completed"
)]
#[case::those_whose_when_does_not_hold_are_not_taken_and_what_they_lead_to_is_skipped(
    json!([{"id": "a", "input": 7}, {"id": "big"}, {"id": "small"}]),
    json!([{"from": "a", "to": "big", "when": "steps.a.output > 5"},
           {"from": "a", "to": "small", "when": "steps.a.output <= 5"}]), &[],
    "run started, a completed, big completed, small skipped, run completed"
)]
#[case::of_several_into_one_step_one_is_enough_once_all_are_known(
    json!([{"id": "a"}, {"id": "b", "type": "agent", "on_error": "continue"}, {"id": "c"}]),
    json!([edge("a", "c"), edge("b", "c")]), &["b broken"],
    "run started, a completed, b started, b failed, c completed, run completed"
)]
#[case::when_none_is_taken_the_skip_goes_on_along_the_next_ones(
    json!([{"id": "a", "when": "false"}, {"id": "b"}, {"id": "c"}]),
    json!([edge("a", "b"), edge("b", "c")]), &[],
    "run started, a skipped, b skipped, c skipped, run completed"
)]
#[case::what_is_needed_has_to_be_there_as_well(
    json!([{"id": "a"}, {"id": "n", "when": "false"}, {"id": "b", "needs": ["n"]}]),
    json!([edge("a", "b")]), &[],
    "run started, a completed, n skipped, b skipped, run completed"
)]
#[case::a_failure_is_taken_up_by_the_one_for_failures(
    json!([{"id": "a", "type": "agent"}, {"id": "good"}, {"id": "bad", "input": "${steps.a.error.code}"}]),
    json!([edge("a", "good"), on("a", "failed", "bad")]), &["a broken"],
    "run started, a started, a failed, good skipped, bad completed, run completed"
)]
#[case::the_one_for_failures_is_not_taken_without_one(
    json!([{"id": "a"}, {"id": "bad"}]), json!([on("a", "failed", "bad")]), &[],
    "run started, a completed, bad skipped, run completed"
)]
#[case::settled_is_taken_either_way_when_it_completes(
    json!([{"id": "a"}, {"id": "b"}]), json!([on("a", "settled", "b")]), &[],
    "run started, a completed, b completed, run completed"
)]
#[case::settled_is_taken_either_way_when_it_fails(
    json!([{"id": "a", "function": "fail"}, {"id": "b"}]), json!([on("a", "settled", "b")]), &[],
    "run started, a failed, b completed, run completed"
)]
#[case::settled_is_not_skipped(
    json!([{"id": "a", "when": "false"}, {"id": "b"}]), json!([on("a", "settled", "b")]), &[],
    "run started, a skipped, b skipped, run completed"
)]
#[case::a_failure_that_only_leads_on_when_something_holds_that_does_not_ends_the_run(
    json!([{"id": "a", "function": "fail"}, {"id": "b"}]),
    json!([{"from": "a", "to": "b", "on": "failed", "when": "steps.a.error.code == 'other'"}]), &[],
    "run started, a failed, run failed"
)]
#[case::a_failure_that_only_others_take_up_ends_the_run(
    json!([{"id": "a", "function": "fail"}, {"id": "x"}, {"id": "b"}]), json!([on("x", "failed", "b")]), &[],
    "run started, a failed, run failed"
)]
#[case::one_whose_when_cannot_be_told_fails_what_it_leads_to(
    json!([{"id": "a"}, {"id": "b"}]),
    json!([{"from": "a", "to": "b", "when": "signal.payload.absent > 3"}]), &[],
    "run started, a completed, b failed, run failed"
)]
#[case::that_failure_can_be_tolerated(
    json!([{"id": "a"}, {"id": "b", "on_error": "continue"}]),
    json!([{"from": "a", "to": "b", "when": "signal.payload.absent > 3"}]), &[],
    "run started, a completed, b failed, run completed"
)]
fn transitions_decide_which_way_it_goes(
    #[case] steps: Value,
    #[case] transitions: Value,
    #[case] script: &[&str],
    #[case] expected: &str,
) {
    let world = World::play_all(json!({"steps": steps, "transitions": transitions}), script);
    assert_eq!(world.timeline(), expected);
}

#[test]
fn a_skipped_step_says_why() {
    let world = World::new(json!({"steps": [
        {"id": "a", "when": "${1 > 2}", "needs": []}, {"id": "b", "needs": ["a"]}, {"id": "c", "needs": []}],
        "transitions": [{"from": "b", "to": "c"}]}));
    let reasons: Vec<_> = world.log.iter().filter_map(|signal| signal.payload.value()["reason"].as_str()).collect();
    assert_eq!(reasons, ["`when` did not hold: 1 > 2", "step `a` was skipped", "no transition to it was taken"]);
}

#[test]
fn each_signal_was_caused_by_the_one_that_made_it_ready() {
    let world = World::play_all(
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
    assert_eq!(
        world.causes().iter().map(|line| line.replace("the trigger", "the directive")).collect::<Vec<_>>(),
        expected
    );
}
