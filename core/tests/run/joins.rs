//! Joins that do not wait for all, and what becomes of the rest.

use fleetprompt_core::run::{Effect, StepStatus};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

fn agent(id: &str) -> Value {
    json!({"id": id, "type": "agent", "needs": [], "on_error": "continue"})
}

fn join(fields: Value) -> Value {
    let mut step = json!({"id": "z", "needs": ["a", "b", "c"]});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    step
}

/// Three agents, and a step that waits for them.
fn three(fields: Value, script: &[&str]) -> World {
    World::play_all(json!({"steps": [agent("a"), agent("b"), agent("c"), join(fields)]}), script)
}

const BEGUN: usize = 4;

#[rstest]
#[case::any_begins_with_the_first_and_the_others_go_on(
    json!({"join": "any"}), &["b ok", "a ok", "c ok"],
    "b completed, z completed, a completed, c completed, run completed"
)]
#[case::all_begins_with_the_last(
    json!({"join": "all"}), &["b ok", "a ok", "c ok"],
    "b completed, a completed, c completed, z completed, run completed"
)]
#[case::so_many_of_them_are_enough(
    json!({"join": {"at_least": 2}}), &["c ok", "a ok", "b ok"],
    "c completed, a completed, z completed, b completed, run completed"
)]
#[case::a_failure_that_is_tolerated_satisfies_an_edge(
    json!({"join": "any"}), &["b broken", "a ok", "c ok"],
    "b failed, z completed, a completed, c completed, run completed"
)]
#[case::cancel_rest_withdraws_the_others(
    json!({"join": "any", "cancel_rest": true}), &["b ok"],
    "b completed, a canceled, c canceled, z completed, run completed"
)]
#[case::cancel_rest_withdraws_what_is_between_two_attempts(
    json!({"join": "any", "cancel_rest": true}), &["a busy", "b ok"],
    "a retrying, b completed, a canceled, c canceled, z completed, run completed"
)]
#[case::nothing_is_withdrawn_by_a_join_that_is_skipped_by_its_own_when(
    json!({"join": "any", "cancel_rest": true, "when": "false"}), &["b ok", "a ok", "c ok"],
    "b completed, z skipped, a completed, c completed, run completed"
)]
fn a_join_begins_when_enough_have_come(#[case] fields: Value, #[case] script: &[&str], #[case] expected: &str) {
    assert_eq!(three(fields, script).since(BEGUN), expected);
}

#[test]
fn a_join_that_cannot_get_enough_is_skipped_as_soon_as_that_is_known() {
    let conditional = |id: &str| json!({"id": id, "needs": [], "when": "false"});
    let steps = json!([conditional("a"), conditional("b"), agent("c"), join(json!({"join": {"at_least": 2}}))]);
    let world = World::play_all(json!({"steps": steps}), &["c ok"]);
    assert_eq!(world.timeline(), "run started, a skipped, b skipped, c started, z skipped, c completed, run completed");
    let reason = world.log[4].payload.value()["reason"].as_str();
    assert_eq!(reason, Some("only 0 of the 2 edges that it waits for were taken"));
}

#[test]
fn a_withdrawn_directive_is_waited_for_and_its_late_success_stays() {
    let directive = |id: &str| json!({"id": id, "type": "directive", "needs": []});
    let fields = json!({"steps": [directive("a"), directive("b"),
        {"id": "z", "needs": ["a", "b"], "join": "any", "cancel_rest": true}]});
    let mut world = World::new(fields);
    let effects = world.try_play("a ok").expect("it is in flight");
    let directive = world.step("b").directive_id.expect("it was requested");
    assert_eq!(effects, [Effect::Withdraw { directive, reason: "step `z` began without it".into() }]);
    assert_eq!(world.run.reason_to_wake(), Some("a withdrawn step has not ended"));
    world.play("b ok");
    let expected =
        "run started, a started, b started, a completed, b canceling, z completed, b completed, run completed";
    assert_eq!(world.timeline(), expected);
}

#[test]
fn a_withdrawn_directive_that_fails_was_canceled_and_harms_nobody() {
    let directive = |id: &str| json!({"id": id, "type": "directive", "needs": []});
    let fields = json!({"steps": [directive("a"), directive("b"),
        {"id": "z", "needs": ["a", "b"], "join": "any", "cancel_rest": true}]});
    let world = World::play_all(fields, &["a ok", "b broken"]);
    assert_eq!(world.since(5), "z completed, b canceled, run completed");
}

#[test]
fn cancel_rest_spares_what_leads_elsewhere_and_takes_along_what_has_not_begun() {
    let fields = json!({"steps": [
        agent("fast"), agent("slow"), {"id": "after_slow", "needs": ["slow"]},
        agent("shared"), {"id": "other", "needs": ["shared"]},
        {"id": "z", "needs": ["fast", "after_slow", "shared"], "join": "any", "cancel_rest": true}]});
    let world = World::play_all(fields, &["fast ok"]);
    let status = |id: &str| world.step(id).status;
    assert_eq!([status("slow"), status("after_slow")], [StepStatus::Canceled; 2]);
    assert_eq!((status("shared"), status("other")), (StepStatus::Running, StepStatus::Pending));
}

#[test]
fn the_first_of_two_transitions_decides_an_any_join() {
    let fields = json!({
        "steps": [{"id": "paid", "type": "agent"}, {"id": "late", "type": "agent"},
                  {"id": "z", "join": "any", "cancel_rest": true}],
        "transitions": [{"from": "paid", "to": "z"}, {"from": "late", "to": "z", "on": "failed"}]});
    let failed = World::play_all(fields.clone(), &["late broken"]);
    assert_eq!(failed.since(3), "late failed, paid canceled, z completed, run completed");
    let paid = World::play_all(fields, &["paid ok"]);
    assert_eq!(paid.since(3), "paid completed, late canceled, z completed, run completed");
}

#[test]
fn the_edges_that_a_join_looks_at_are_charged() {
    const COUNT: usize = 100;
    let used = |needed: usize| {
        let ids: Vec<String> = (0..COUNT).map(|number| format!("s{number}")).collect();
        let last = json!({"id": "z", "type": "agent", "needs": ids[..needed]});
        let steps: Vec<Value> = ids.iter().map(|id| agent(id)).chain([last]).collect();
        let mut world = World::of(json!(steps));
        let mut outcome = |id: &String| {
            world.play(&format!("{id} ok"));
            world.used()
        };
        ids.iter().map(&mut outcome).sum::<u64>()
    };
    // The outcome of each step before it has the join look at the edges from all that have settled.
    let edges = (COUNT * COUNT / 2) as u64;
    let charged = used(COUNT) - used(1);
    assert!(charged >= edges / 8 - COUNT as u64, "{charged} units for {edges} edges");
}
