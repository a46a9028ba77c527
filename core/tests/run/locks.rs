//! Steps of which one at a time holds a name.

use fleetprompt_core::run::{Awaited, Effect, Illegal, Status, StepStatus};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

fn locked(kind: &str, fields: Value) -> World {
    let mut step = json!({"id": "a", "type": kind, "lock": "repo/${signal.payload.title}"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    World::of(json!([step]))
}

#[rstest]
#[case::an_agent("agent", json!({}), "a started")]
#[case::a_directive("directive", json!({}), "a started")]
#[case::a_wait("wait", json!({"callback": true}), "a waiting")]
#[case::a_run("workflow", json!({}), "a started")]
fn it_waits_for_its_lock_holds_it_while_it_is_under_way_and_lets_it_go(
    #[case] kind: &str,
    #[case] fields: Value,
    #[case] begun: &str,
) {
    let mut world = locked(kind, fields);
    let place = world.place("a");
    assert_eq!(world.effects, [Effect::Lock { place, name: "repo/No login".into() }]);
    let waiting = world.step("a").waiting.clone().expect("it waits");
    assert_eq!(waiting.what, Awaited::Lock { name: "repo/No login".into() });
    assert_eq!(world.step("a").started_at, None, "waiting for it is no attempt");
    world.wait("1h");
    world.play("a granted");
    assert_eq!(world.since(2), begun);
    assert_eq!(world.step("a").lock.as_deref(), Some("repo/No login"));
    assert_eq!(world.step("a").started_at, Some(world.moment.now()));
    assert_eq!(world.try_play("a granted"), Err(Illegal::Stale(place)), "it has it");
    if kind == "wait" {
        world.play("a report");
    } else {
        if kind == "workflow" {
            world.play("a ok");
            assert_eq!(world.step("a").lock.as_deref(), Some("repo/No login"), "until that run has ended");
        }
        world.play("a ok");
    }
    assert_eq!((world.run.status, world.step("a").lock.clone()), (Status::Completed, None));
}

#[test]
fn it_is_kept_between_attempts_and_between_iterations() {
    let fields = json!({"repeat": {"max": 2, "delay": "1s"}, "retry": {"max_attempts": 2}});
    let mut world = locked("agent", fields);
    world.play("a granted");
    for line in ["a busy", "due", "a ok", "due"] {
        world.play(line);
        assert!(world.step("a").lock.is_some(), "{line}");
    }
    world.play("a ok");
    assert_eq!(world.step("a").lock, None);
    let asked = world.effects.iter().filter(|effect| matches!(effect, Effect::Lock { .. })).count();
    assert_eq!(asked, 1);
}

#[rstest]
#[case::nothing("")]
#[case::too_long(&"x".repeat(256))]
fn a_name_that_is_none_fails_the_step(#[case] title: &str) {
    let fields = json!({"steps": [{"id": "a", "type": "agent", "lock": "${signal.payload.title}"}]});
    let world = World::triggered(fields, json!({"title": title}), 1);
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "lock_invalid"));
}

#[test]
fn an_agent_that_gets_it_and_cannot_begin_does_not_keep_it() {
    let mut world = locked("agent", json!({"input": "${signal.payload.absent}"}));
    world.play("a granted");
    assert_eq!((world.step("a").status, world.step("a").lock.clone()), (StepStatus::Failed, None));
}

#[test]
fn each_item_has_its_own() {
    let fields = json!({"steps": [{"id": "a", "type": "agent", "for_each": ["x", "y", "z"], "lock": "${item}"}]});
    let mut world = World::new(fields);
    let names = world.effects.iter().map(|effect| match effect {
        Effect::Lock { name, .. } => name.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["x", "y", "z"]);
    world.play("a[1] granted");
    assert_eq!(world.items("a"), "waiting running waiting");
}

#[test]
fn a_withdrawn_step_no_longer_wants_it() {
    let mut world = locked("directive", json!({}));
    assert_eq!(world.try_play("cancel"), Ok(vec![]));
    assert_eq!(world.since(2), "run stopping, a canceled, run canceled");
    let mut world = locked("directive", json!({}));
    world.play("a granted");
    world.play("cancel");
    assert!(world.step("a").lock.is_some(), "what it guards is still under way");
    world.play("a ok");
    assert_eq!(world.step("a").lock, None);
}

#[test]
fn a_run_that_stands_still_takes_none_and_asks_again_when_it_goes_on() {
    let mut world = locked("agent", json!({}));
    world.play("pause");
    assert!(matches!(world.try_play("a granted"), Err(Illegal::Status(Status::Paused, _))));
    let place = world.place("a");
    assert_eq!(world.try_play("resume"), Ok(vec![Effect::Lock { place, name: "repo/No login".into() }]));
    world.play("a granted");
    world.play("a ok");
    assert_eq!(world.run.status, Status::Completed);
}
