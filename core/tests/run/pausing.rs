//! A run that somebody stops for a while.

use fleetprompt_core::run::{Illegal, Input, Status, StepStatus};
use serde_json::{Value, json};

use crate::world::World;

fn agent(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "type": "agent", "needs": needs})
}

#[test]
fn what_ends_meanwhile_is_recorded_and_nothing_begins_until_it_goes_on() {
    let fields = json!({"steps": [agent("a", &[]), agent("b", &["a"])]});
    let mut world = World::play_all(fields, &["pause", "a ok"]);
    assert_eq!(world.since(2), "run paused, a completed");
    assert_eq!((world.run.reason_to_wake(), world.run.wake_at()), (Some("somebody paused it"), None));
    world.play("resume");
    world.play("b ok");
    assert_eq!(world.since(4), "run resumed, b started, b completed, run completed");
}

#[test]
fn what_is_due_meanwhile_is_due_afterwards() {
    let fields = json!({"steps": [{"id": "a", "type": "wait", "for": "1m"}]});
    let mut world = World::play_all(fields, &["pause", "wait 1h"]);
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("resume");
    assert_eq!(world.run.wake_at().map(|at| at <= world.moment.now()), Some(true));
    world.play("due");
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn signals_and_answers_count_meanwhile() {
    let fields = json!({"steps": [{"id": "a", "type": "wait", "signal": "order.paid", "needs": []},
        {"id": "b", "type": "wait", "input": {}, "needs": []}]});
    let world = World::play_all(fields, &["pause", "a hears order.paid", "b answer", "resume"]);
    assert_eq!(world.since(3), "run paused, a completed, b completed, run resumed, run completed");
}

#[test]
fn items_and_iterations_that_were_not_begun_are_when_it_goes_on() {
    let fields = json!({"steps": [
        {"id": "a", "type": "agent", "needs": [], "for_each": {"items": [1, 2], "max_parallel": 1}},
        {"id": "b", "type": "agent", "needs": [], "repeat": {"max": 2}}]});
    let mut world = World::play_all(fields, &["pause", "a[0] ok", "b ok"]);
    assert_eq!((world.items("a").as_str(), world.step("b").status), ("completed pending", StepStatus::Repeating));
    world.play("resume");
    assert_eq!((world.items("a").as_str(), world.step("b").status), ("completed running", StepStatus::Running));
}

#[test]
fn a_list_whose_last_item_ends_meanwhile_ends() {
    let fields = json!({"steps": [{"id": "a", "type": "agent", "for_each": [1]}, {"id": "b"}]});
    let world = World::play_all(fields, &["pause", "a[0] ok", "resume"]);
    assert_eq!(world.since(3), "run paused, a[0] completed, a completed, run resumed, b completed, run completed");
}

#[test]
fn the_time_that_it_stood_still_does_not_count() {
    let fields = json!({"timeout": "1h", "steps": [agent("a", &[])]});
    let mut world = World::play_all(fields, &["wait 30m", "pause", "wait 1d", "resume"]);
    let left = world.run.wake_at().map(|at| (at - world.moment.now()).to_string());
    assert_eq!(left.as_deref(), Some("30m"));
    world.play("wait 29m");
    assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
    world.play("due");
    assert_eq!(world.error().code, "timeout");
}

#[test]
fn a_failure_meanwhile_is_decided_about_when_it_goes_on() {
    let fields = json!({"steps": [agent("a", &[]), agent("b", &[])]});
    let failed = World::play_all(fields.clone(), &["pause", "a broken", "resume"]);
    assert_eq!(failed.since(3), "run paused, a failed, run resumed, run stopping, b canceled, run failed");
    let seen_to = World::play_all(fields.clone(), &["pause", "a broken", "a skip", "resume", "b ok"]);
    assert_eq!(seen_to.since(5), "a skipped, run resumed, b completed, run completed");
    let canceled = World::play_all(fields, &["pause", "a broken", "cancel"]);
    assert_eq!(canceled.since(5), "run stopping, b canceled, run canceled");
}

#[test]
fn a_failure_meanwhile_that_is_taken_up_is_when_it_goes_on() {
    let fields =
        json!({"steps": [agent("a", &[]), {"id": "b"}], "transitions": [{"from": "a", "to": "b", "on": "failed"}]});
    let world = World::play_all(fields, &["pause", "a broken", "resume"]);
    assert_eq!(world.since(2), "run paused, a failed, run resumed, b completed, run completed");
}

#[test]
fn only_a_running_one_is_paused_and_only_a_paused_one_goes_on() {
    let mut world = World::of(json!([agent("a", &[])]));
    assert!(matches!(world.try_play("resume"), Err(Illegal::Status(Status::Running, _))));
    world.play("pause");
    assert!(matches!(world.try_play("pause"), Err(Illegal::Status(Status::Paused, _))));
    assert!(matches!(world.try_play("retry"), Err(Illegal::Status(Status::Paused, _))));
    let payload = world.last();
    assert_eq!((&payload["by"]["id"], &payload["reason"]), (&json!("ada"), &json!("because")));
}
