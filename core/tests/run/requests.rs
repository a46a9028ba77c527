//! What is asked for outside, and how it is delivered again.

use fleetprompt_core::run::{Effect, Input, Status, StepStatus};
use fleetprompt_core::{DirectiveId, Json, RecordId, RunId, Span};
use serde_json::json;

use crate::world::{SEED, World, broken};

#[test]
fn a_directive_is_requested_with_what_the_step_says_and_caused_by_its_start() {
    let mut world = World::of(json!([
        {"id": "a", "input": {"to": "ada"}},
        {"id": "b", "type": "directive", "payload": {"to": "${steps.a.output.to}"}, "timeout": "5s",
         "heartbeat": "2s", "retry": {"max_attempts": 2}}]));
    let [Effect::Directive { id, place, name, payload, key, source_key, again, retry, timeout, heartbeat, lineage }] =
        &world.effects[..]
    else {
        panic!("{:?}", world.effects)
    };
    assert_eq!((Some(*id), place.index(), name.as_str()), (world.step("b").directive_id, 1, "mail.send"));
    assert_eq!((payload.value(), key), (&json!({"to": "ada"}), &format!("{}:b", world.run.id)));
    assert_eq!((source_key, *again), (&None, false));
    assert_eq!(retry.as_ref().map(|retry| retry.max_attempts), Some(2));
    assert_eq!((*timeout, *heartbeat), (Some(Span::from_secs(5)), Some(Span::from_secs(2))));
    assert_eq!(lineage.causation_id, world.step("b").signal_id.map(RecordId::from));
    world.play("b ok");
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn a_run_that_does_another_again_names_where_that_asked_for_the_same() {
    let mut source = None;
    let fields = json!({"steps": [{"id": "a", "type": "directive", "for_each": [1]}]});
    let world = World::started(fields, json!({}), SEED, |start, moment| {
        start.source = Some(RunId(moment.uuid()));
        source = start.source;
    });
    let Some(Effect::Directive { source_key, .. }) = world.effects.last() else { panic!("none") };
    assert_eq!(source_key, &source.map(|source| format!("{source}:a:0")));
}

#[test]
fn what_is_on_its_way_already_is_the_steps_from_then_on() {
    let mut world = World::of(json!([{"id": "a", "type": "directive", "lock": "x"}]));
    world.play("a granted");
    let (place, asked) = (world.place("a"), world.step("a").directive_id.expect("it was requested"));
    let directive = DirectiveId(world.moment.uuid());
    let attached = Input::Attached { place, asked, directive };
    world.tell(attached.clone()).expect("it asked");
    assert!(world.tell(attached).is_err(), "it has it");
    assert_eq!((world.step("a").directive_id, world.step("a").lock.is_some()), (Some(directive), true));
    let settled = |directive| Input::Settled { place, directive, by: None, result: Ok(Json::null()), reused: None };
    assert!(world.tell(settled(asked)).is_err());
    world.tell(settled(directive)).expect("it is the step's");
    assert_eq!(world.run.status, Status::Completed);
}

#[test]
fn an_outcome_that_is_taken_over_says_so() {
    let mut world = World::of(json!([{"id": "a", "type": "directive"}]));
    let (place, directive) = (world.place("a"), world.step("a").directive_id.expect("it was requested"));
    let earlier = DirectiveId(world.moment.uuid());
    let result = Ok(json!(7).into());
    world.tell(Input::Settled { place, directive, by: None, result, reused: Some(earlier) }).expect("it is in flight");
    let payload = world.log[2].payload.value();
    assert_eq!((&payload["reused"], &payload["directive_id"]), (&json!(true), &json!(earlier)));
    assert_eq!(world.step("a").directive_id, Some(earlier));
}

#[test]
fn after_a_restart_the_agents_in_flight_are_delivered_again_as_they_were() {
    let agent = |id: &str| json!({"id": id, "type": "agent", "needs": ["z"], "input": {"z": "${steps.z.output}"}});
    let mut world = World::of(json!([
        {"id": "z", "input": 7, "needs": []}, agent("a"), agent("b"), agent("c"),
        {"id": "d", "type": "directive", "needs": []},
        {"id": "e", "type": "agent", "needs": [], "for_each": {"items": ["x", "y", "z"], "max_parallel": 2},
         "input": "${item}", "repeat": {"max": 2}}]));
    for line in ["a ok", "c busy", "e[0] ok"] {
        world.play(line);
    }
    let again = fleetprompt_core::run::effects_in_flight(world.setting(), &world.run);
    let keys = again.iter().map(|effect| match effect {
        Effect::Agent { key, input, .. } => (key.replace(&format!("{}:", world.run.id), ""), input.value().clone()),
        other => panic!("{other:?}"),
    });
    let expected = [("b", json!({"z": 7})), ("e:0:r1", json!("x")), ("e:1", json!("y"))];
    assert_eq!(keys.collect::<Vec<_>>(), expected.map(|(key, input)| (key.to_owned(), input)));
    assert!(again.iter().all(|effect| world.effects.contains(effect)), "`a` has ended, `c` waits, `d` is a directive");
}

#[test]
fn what_an_execution_cost_and_said_is_kept_with_its_outcome() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}]));
    let place = world.place("a");
    world
        .tell(Input::Outcome {
            place,
            attempt: 1,
            result: Err(broken()),
            execution: Some(json!({"tokens": 12}).into()),
            logs: vec!["asked".into()],
        })
        .expect("it is in flight");
    let payload = world.log[2].payload.value();
    assert_eq!((&payload["execution"], &payload["logs"]), (&json!({"tokens": 12}), &json!(["asked"])));
    assert_eq!(world.step("a").status, StepStatus::Failed);
}
