//! Never stuck: whoever waits, waits for something that can still come; and what has ended, has ended.

use std::collections::BTreeSet;

use fleetprompt_core::directive::{HandlerKind, Status as DirectiveStatus};
use fleetprompt_core::run::{Awaited, Place, QueueReason, Run, Status, Step, StepStatus};
use fleetprompt_core::{DirectiveId, RunId, TenantId, Timestamp};
use fleetprompt_engine::workers::AttemptOf;
use fleetprompt_engine::{ByHand, TaskKind};

use super::flow::{counted, holders, waits_for_lock};
use super::{Held, hold};
use crate::seen::in_flight;
use crate::world::World;

pub fn check(world: &World) -> Held {
    let asked = Asked::of(world);
    for run in world.seen.runs.values() {
        match run.status.has_ended() {
            true => nothing_in_flight(world, run)?,
            false => hold(run.reason_to_wake().is_some(), || {
                format!("{} is {} without a reason to wake", run.id, run.status)
            })?,
        }
    }
    for run in world.seen.open_runs().filter(|run| !is_behind(world, run.tenant)) {
        has_a_live_reason(world, &asked, run).map_err(|why| format!("{} is {}, and {why}", run.id, run.status))?;
    }
    directives(world, &asked)
}

/// Effects that were asked for and have not ended: the caller has them, or they wait for a slot.
struct Asked {
    steps: BTreeSet<(RunId, Place)>,
    directives: BTreeSet<(DirectiveId, u32)>,
}

impl Asked {
    fn of(world: &World) -> Self {
        let mut asked = Self { steps: BTreeSet::new(), directives: BTreeSet::new() };
        let waiting = world.partitions.iter().flat_map(|partition| partition.engine.tasks_waiting());
        for task in world.tasks.iter().cloned().chain(waiting) {
            match task.kind {
                TaskKind::Agent { run, place, .. } | TaskKind::Function { run, place, .. } => {
                    asked.steps.insert((run, place));
                }
                TaskKind::Directive(directive) => _ = asked.directives.insert((directive.id, task.attempt)),
            }
        }
        asked
    }
}

/// What could not be committed is still to be decided.
fn is_behind(world: &World, tenant: TenantId) -> bool {
    world.partition(tenant).is_behind()
}

fn nothing_in_flight(world: &World, run: &Run) -> Held {
    let left = in_flight(run).next();
    hold(left.is_none(), || {
        let name = left.map(|(place, _)| world.seen.name_of(run, place)).unwrap_or_default();
        format!("{} has {}, and {name} is still under way", run.id, run.status)
    })?;
    let of_run =
        |one: &&fleetprompt_core::directive::Directive| one.origin.is_some_and(|origin| origin.run_id == run.id);
    let open = world.seen.directives.values().filter(of_run).find(|one| !one.status.is_settled());
    hold(open.is_none(), || {
        format!("{} has {}, and its {:?} has not settled", run.id, run.status, open.map(|one| one.id))
    })
}

fn has_a_live_reason(world: &World, asked: &Asked, run: &Run) -> Held {
    match run.status {
        Status::Queued => return queued(world, run),
        Status::Paused => {
            let by = run.standing.as_ref().and_then(|standing| standing.by.as_ref());
            hold(by.is_some(), || "nobody is named who paused it".to_owned())?;
        }
        _ => {}
    }
    for (place, step) in in_flight(run) {
        let name = || world.seen.name_of(run, place);
        place_is_alive(world, asked, run, place, step)
            .map_err(|why| format!("{}, which is {}, {why}", name(), step.status))?;
    }
    if run.status == Status::Running {
        in_time(world, run.tenant, run.wake_at())?;
        free_locks_are_taken(world, run)?;
    }
    Ok(())
}

fn queued(world: &World, run: &Run) -> Held {
    let queue = run.standing.as_ref().and_then(|standing| standing.queue.as_ref());
    let queue = queue.ok_or_else(|| "it does not say for what".to_owned())?;
    match (queue.reason, queue.until) {
        (QueueReason::Concurrency, _) => {
            let (Some(rule), Some(key)) = (&world.seen.workflow(run).concurrency, &run.keys.concurrency) else {
                return Err("there is no limit that it waits for".into());
            };
            // Behind one with a stricter version of the rule, its turn has not come.
            let is_first = !world.seen.open_runs().any(|other| other.id < run.id && waits_beside(other, run));
            let running = counted(world, run.tenant, &run.workflow, key).count();
            hold(!is_first || running >= rule.limit as usize, || {
                format!("there is room: {running} of {} run", rule.limit)
            })
        }
        (_, Some(until)) => in_time(world, run.tenant, Some(until)),
        (_, None) => Err("it does not say until when".into()),
    }
}

/// In the same line for a place.
fn waits_beside(one: &Run, other: &Run) -> bool {
    let is_for_place = |run: &Run| {
        let queue = run.standing.as_ref().and_then(|standing| standing.queue.as_ref());
        queue.is_some_and(|queue| queue.reason == QueueReason::Concurrency)
    };
    let line = |run: &Run| (run.tenant, run.workflow.clone(), run.keys.concurrency.clone());
    one.status == Status::Queued && is_for_place(one) && line(one) == line(other)
}

/// What is due has been seen to, and the engine knows when the next thing is.
fn in_time(world: &World, tenant: TenantId, due: Option<Timestamp>) -> Held {
    let Some(due) = due else { return Ok(()) };
    let engine = &world.partition(tenant).engine;
    hold(due > engine.now(), || format!("was due at {due}"))?;
    let next = engine.next_due();
    hold(next.is_some_and(|next| next <= due), || format!("is due at {due}, and the engine looks at {next:?} next"))
}

fn place_is_alive(world: &World, asked: &Asked, run: &Run, place: Place, step: &Step) -> Held {
    let waiting = step.waiting.as_ref().map(|waiting| &waiting.what);
    match (step.status, waiting, step.directive_id) {
        (StepStatus::Waiting | StepStatus::Canceling, Some(Awaited::Run { run_id }), _) => runs(world, *run_id),
        (StepStatus::Running | StepStatus::Canceling, _, Some(directive)) => is_open(world, directive),
        (StepStatus::Running, _, None) if place.undo => a_run_is_undone(world, run),
        (StepStatus::Running, _, None) => is_called(world, asked, run, place),
        (StepStatus::Canceling, _, None) => Err("has nothing that could end it".into()),
        (StepStatus::Waiting, Some(Awaited::Time { .. }), _) => hold(step.due_at.is_some(), || "has no time".into()),
        (StepStatus::Waiting, Some(_), _) => Ok(()),
        (StepStatus::Waiting, None, _) => Err("waits for nothing".into()),
        (StepStatus::Retrying, ..) => hold(step.due_at.is_some(), || "has no time for its next attempt".into()),
        (StepStatus::Repeating, ..) if run.status == Status::Running => {
            hold(step.due_at.is_some(), || "has no time for its next iteration".into())
        }
        _ => Ok(()),
    }
}

fn runs(world: &World, child: RunId) -> Held {
    let child = world.seen.runs.get(&child);
    let ended = child.is_none_or(|child| child.status.has_ended());
    hold(!ended, || format!("waits for {:?}, which has ended", child.map(|child| child.id)))
}

/// A run that a step of this one had started, or whose effects this one shares, is on its way to its end.
fn a_run_is_undone(world: &World, run: &Run) -> Held {
    let ends_for = |child: &Run| {
        let ending = child.standing.as_ref().and_then(|standing| standing.ending.as_ref());
        let by = ending.and_then(|ending| ending.by.as_ref()).is_some_and(|by| by.id == run.id.to_string());
        ending.is_some() && (by || child.parent.is_some_and(|parent| parent.run_id == run.id))
    };
    hold(world.seen.open_runs().any(ends_for), || "waits for a run to be undone, and there is none".into())
}

fn is_open(world: &World, directive: DirectiveId) -> Held {
    let row = world.seen.directives.get(&directive);
    let is_open = row.is_some_and(|row| !row.status.is_settled());
    hold(is_open, || format!("waits for {directive}, which is {:?}", row.map(|row| row.status)))
}

fn is_called(world: &World, asked: &Asked, run: &Run, place: Place) -> Held {
    let begun = run.at(place).and_then(|step| Some((step.attempt, step.signal_id?)));
    let of = begun.map(|(attempt, begun)| AttemptOf::Step { run: run.id, place, attempt, begun });
    let engine = &world.partition(run.tenant).engine;
    let is_called = asked.steps.contains(&(run.id, place)) || of.is_some_and(|of| is_with_workers(engine, &of));
    hold(is_called, || "was not asked for".into())
}

fn is_with_workers(engine: &ByHand, of: &AttemptOf) -> bool {
    engine.workers().is_some_and(|workers| workers.standing(of).is_some())
}

fn free_locks_are_taken(world: &World, run: &Run) -> Held {
    let waits = in_flight(run).find(|(_, step)| waits_for_lock(step) && step.status == StepStatus::Waiting);
    let Some((place, step)) = waits else { return Ok(()) };
    let Some(name) = step.lock.clone() else { return Err("waits for a lock without a name".into()) };
    hold(holders(world).contains_key(&(run.tenant, name.clone())), || {
        format!("{} waits for `{name}`, which nobody holds", world.seen.name_of(run, place))
    })
}

fn directives(world: &World, asked: &Asked) -> Held {
    let open = world.seen.directives.values().filter(|row| !row.status.is_settled());
    for row in open.filter(|row| !is_behind(world, row.tenant)) {
        in_time(world, row.tenant, row.wake_at).map_err(|why| format!("{} {why}", row.id))?;
        let is_begun = row.status == DirectiveStatus::Running && row.handler != HandlerKind::BuiltIn;
        hold(is_begun, || format!("{} {} is {:?}, and nobody begins it", row.name, row.id, row.status))?;
        let of = AttemptOf::Directive { id: row.id, attempt: row.attempt };
        let is_asked = !row.is_in_flight()
            || asked.directives.contains(&(row.id, row.attempt))
            || is_with_workers(&world.partition(row.tenant).engine, &of);
        hold(is_asked, || format!("{} {} is under way, and was not asked for", row.name, row.id))?;
    }
    Ok(())
}
