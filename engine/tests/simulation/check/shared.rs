//! Effects that several runs share, because one does another again: each is compensated once, only while no other run
//! relies on it, and is not taken over after that. A run that is undone leaves nothing of the runs that it started.

use fleetprompt_core::directive::{Directive, Status};
use fleetprompt_core::run::{Place, Run, Status as RunStatus, StepStatus, compensation_key, is_compensable};
use fleetprompt_core::{DirectiveId, Signal};

use super::{Held, hold};
use crate::seen::Seen;
use crate::world::World;

pub fn check(world: &World, fresh: &[Signal]) -> Held {
    let seen = &world.seen;
    for signal in fresh {
        match signal.name.as_str() {
            "workflow.step.completed" => was_not_compensated(seen, signal)?,
            "workflow.step.compensated" => leaves_no_run(seen, signal)?,
            "directive.succeeded" => {
                let directive = signal.directive_id.and_then(|id| seen.directives.get(&id));
                directive.map_or(Ok(()), |directive| is_the_only_compensation(seen, directive))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is taken over has not been compensated.
fn was_not_compensated(seen: &Seen, signal: &Signal) -> Held {
    let record = signal.payload.value();
    let effect = record["directive_id"].as_str().and_then(|id| id.parse::<DirectiveId>().ok());
    let effect = effect.filter(|_| record.get("reused").is_some()).and_then(|id| seen.directives.get(&id));
    let Some(effect) = effect else { return Ok(()) };
    let key = compensation_key(&effect.idempotency_key);
    let of_effect = |one: &&Directive| one.tenant == effect.tenant && one.idempotency_key == key;
    let compensation = seen.directives.values().find(of_effect).filter(|one| one.status == Status::Succeeded);
    let is_before = compensation.and_then(|one| one.settled_by).is_some_and(|by| by < signal.id);
    hold(!is_before, || format!("{:?} takes over {}, which was compensated", signal.run_id, effect.id))
}

/// The effect that a directive compensates.
fn effect_of(seen: &Seen, compensation: &Directive) -> Option<DirectiveId> {
    let origin = compensation.origin.filter(|origin| origin.place.undo)?;
    seen.runs.get(&origin.run_id)?.at(origin.place.done())?.directive_id
}

fn is_the_only_compensation(seen: &Seen, directive: &Directive) -> Held {
    let Some(effect) = effect_of(seen, directive) else { return Ok(()) };
    let is_other = |one: &&Directive| {
        one.id != directive.id && one.status == Status::Succeeded && effect_of(seen, one) == Some(effect)
    };
    let other = seen.directives.values().find(is_other);
    hold(other.is_none(), || {
        format!("{effect} was compensated twice: by {} and {:?}", directive.id, other.map(|one| one.id))
    })?;
    let is_of_family =
        |run: &&Run| run.source.is_some() || seen.directives[&effect].origin.is_some_and(|of| of.run_id == run.id);
    let relies = |run: &&Run| {
        let has_it = |place: Place| {
            !place.undo
                && run
                    .at(place)
                    .is_some_and(|unit| unit.status == StepStatus::Completed && unit.directive_id == Some(effect))
        };
        run.status == RunStatus::Completed && run.places().any(has_it)
    };
    let relying = seen.runs.values().filter(is_of_family).find(relies);
    hold(relying.is_none(), || {
        format!("{effect} was compensated, and {:?} has completed with it", relying.map(|run| run.id))
    })
}

/// The run that a step had started is undone as well, unless an operator left it half undone.
fn leaves_no_run(seen: &Seen, signal: &Signal) -> Held {
    let Some(run) = signal.run_id.and_then(|id| seen.runs.get(&id)) else { return Ok(()) };
    let record = signal.payload.value();
    let index = seen.workflow(run).index[record["step"].as_str().unwrap_or_default()];
    let place = Place { item: record["item"].as_u64().map(|item| item as u32), ..Place::step(index) };
    let is_by_run = run.at(place.undo()).is_some_and(|undo| undo.directive_id.is_none());
    let started = run.at(place).and_then(|unit| unit.directive_id).filter(|_| is_by_run);
    let child = started.and_then(|started| seen.runs.values().find(|child| child.directive_id == started));
    let Some(child) = child else { return Ok(()) };
    let was_left = seen.logs[&child.id].iter().any(|signal| signal.name.as_str() == "workflow.run.parked");
    hold(was_left || !is_compensable(seen.workflow(child), child), || {
        format!("{} undid its step {}, and {} has something to compensate", run.id, record["step"], child.id)
    })
}
