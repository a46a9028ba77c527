//! What fits nothing that is under way changes nothing.

use fleetprompt_core::run::{Illegal, Input, Place};
use fleetprompt_core::{DirectiveId, Json};
use serde_json::json;

use crate::world::World;

#[test]
fn an_outcome_of_another_attempt_is_refused() {
    let mut world = World::of(json!([{"id": "a", "type": "agent"}, {"id": "b"}]));
    let stale = Err(Illegal::Stale(world.place("a")));
    let ok = || Ok(json!(1).into());
    assert_eq!(world.outcome("a", 0, ok()), stale);
    assert_eq!(world.outcome("a", 2, ok()), stale);
    world.play("a busy");
    assert_eq!(world.outcome("a", 1, ok()), stale, "between two attempts there is none");
    world.play("due");
    assert_eq!(world.outcome("a", 1, ok()), stale, "the second is under way");
    assert_eq!(world.outcome("a", 2, ok()), Ok(vec![]));
}

#[test]
fn an_outcome_of_a_step_that_is_not_in_flight_is_refused() {
    let mut world = World::of(json!([{"id": "a"}, {"id": "b", "type": "agent"}, {"id": "c", "type": "agent"}]));
    for (step, attempt) in [("a", 1), ("a", 0), ("c", 0), ("c", 1)] {
        let refused = world.outcome(step, attempt, Ok(Json::null()));
        assert!(matches!(refused, Err(Illegal::Stale(_))), "{step}");
    }
    for place in [Place::step(99), Place::step(1).item(0), Place::step(1).undo()] {
        let input = Input::Outcome { place, attempt: 1, result: Ok(Json::null()), execution: None, logs: vec![] };
        assert_eq!(world.tell(input), Err(Illegal::NoSuchPlace));
    }
}

#[test]
fn a_directive_settles_its_own_step_once() {
    let mut world = World::of(json!([{"id": "a", "type": "directive"}, {"id": "b", "type": "directive"}]));
    let first = world.step("a").directive_id.expect("it was requested");
    let settled = |step, directive| Input::Settled {
        place: Place::step(step),
        directive,
        by: None,
        result: Ok(Json::null()),
        reused: None,
    };
    let other = DirectiveId(world.moment.uuid());
    for (step, directive) in [(0, other), (1, first)] {
        assert_eq!(world.tell(settled(step, directive)), Err(Illegal::Stale(Place::step(step))));
    }
    assert_eq!(world.tell(settled(7, first)), Err(Illegal::NoSuchPlace));
    assert!(matches!(world.outcome("a", 1, Ok(Json::null())), Err(Illegal::Stale(_))), "no agent ends it");
    world.tell(settled(0, first)).expect("it is in flight");
    assert!(matches!(world.tell(settled(0, first)), Err(Illegal::Stale(_))), "it has settled");
}
