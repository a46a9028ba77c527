//! How many at once, and how fast: locks, flow control, `max_parallel`.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetprompt_core::run::{Awaited, Place, Run, Status, Step, run_change_of};
use fleetprompt_core::workflow::{OnLimit, Workflow};
use fleetprompt_core::{RunId, Signal, Slug, TenantId, Timestamp};

use super::{Held, hold};
use crate::seen::in_flight;
use crate::world::World;

pub fn check(world: &World) -> Held {
    locks(world)?;
    concurrency(world)?;
    throttles(world)?;
    for run in world.seen.open_runs() {
        items(world, run)?;
    }
    Ok(())
}

pub fn waits_for_lock(step: &Step) -> bool {
    step.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Lock { .. }))
}

/// Who holds which lock.
/// Who holds each lock of each tenant.
type Holders = BTreeMap<(TenantId, Arc<str>), Vec<(RunId, Place)>>;

pub fn holders(world: &World) -> Holders {
    let mut holders = BTreeMap::<_, Vec<_>>::new();
    for run in world.seen.open_runs() {
        for (place, step) in in_flight(run) {
            if let Some(name) = step.lock.clone().filter(|_| !waits_for_lock(step)) {
                holders.entry((run.tenant, name)).or_default().push((run.id, place));
            }
        }
    }
    holders
}

fn locks(world: &World) -> Held {
    for ((_, name), held) in holders(world) {
        hold(held.len() == 1, || format!("the lock `{name}` is held {} times: {held:?}", held.len()))?;
    }
    Ok(())
}

/// The runs of a workflow that are counted under a key.
pub fn counted<'a>(
    world: &'a World,
    tenant: TenantId,
    workflow: &'a Slug,
    key: &'a Arc<str>,
) -> impl Iterator<Item = &'a Run> {
    world.seen.open_runs().filter(move |run| {
        run.tenant == tenant
            && run.workflow == *workflow
            && run.keys.concurrency.as_ref() == Some(key)
            && run.status != Status::Queued
    })
}

/// Runs that were opened again after their end come beside the others, and so do those that are on their way
/// out, where a newer one takes their place, or where they never began and undo what they had taken over.
fn concurrency(world: &World) -> Held {
    for run in world.seen.open_runs().filter(|run| run.status != Status::Queued) {
        let (Some(rule), Some(key)) = (&definition(world, run).concurrency, &run.keys.concurrency) else { continue };
        let ends = |run: &Run| {
            let is_ending = run.standing.as_ref().is_some_and(|standing| standing.ending.is_some());
            is_ending && (rule.on_limit == OnLimit::CancelOldest || run.begun_at.is_none())
        };
        let running =
            counted(world, run.tenant, &run.workflow, key).filter(|run| !ends(run) && !was_reopened(world, run));
        let same_rule = running.filter(|other| other.version == run.version);
        let running: Vec<RunId> = same_rule.map(|run| run.id).collect();
        hold(running.len() <= rule.limit as usize, || {
            format!(
                "{} runs of {} are under way at once under `{key}`, at most {}: {running:?}",
                running.len(),
                run.workflow,
                rule.limit
            )
        })?;
    }
    Ok(())
}

fn definition<'a>(world: &'a World, run: &Run) -> &'a Workflow {
    world.seen.workflow(run)
}

fn was_retried(world: &World, run: &Run) -> bool {
    world.seen.logs[&run.id].iter().any(|signal| signal.name.as_str() == "workflow.run.retried")
}

/// It goes on, or is undone, after its end.
fn was_reopened(world: &World, run: &Run) -> bool {
    let ends = |signal: &Signal| run_change_of(&signal.name).is_some_and(|change| change.makes().has_ended());
    was_retried(world, run) || world.seen.logs[&run.id].iter().any(ends)
}

fn throttles(world: &World) -> Held {
    let mut begun = BTreeMap::<(TenantId, &Slug, &str, &str), Vec<(Timestamp, RunId)>>::new();
    for run in world.seen.runs.values() {
        if let (Some(key), Some(at)) = (&run.keys.throttle, run.begun_at) {
            // What an operator has done again does not stand in line.
            if was_retried(world, run) {
                continue;
            }
            begun.entry((run.tenant, &run.workflow, &run.version, key)).or_default().push((at, run.id));
        }
    }
    for ((.., key), mut begun) in begun {
        begun.sort_unstable();
        let Some(rule) = &definition(world, &world.seen.runs[&begun[0].1]).throttle else { continue };
        for window in begun.windows(rule.limit as usize + 1) {
            let (first, last) = (window[0], window[window.len() - 1]);
            hold(last.0 - first.0 >= rule.per, || {
                format!("{} runs began within {} under `{key}`: {window:?}", window.len(), rule.per)
            })?;
        }
    }
    Ok(())
}

fn items(world: &World, run: &Run) -> Held {
    for (index, step) in run.steps.iter().enumerate() {
        let (Some(items), Some(rule)) = (&step.items, &definition(world, run).steps[index].for_each) else { continue };
        hold(items.steps.in_flight() <= rule.max_parallel as usize, || {
            let name = world.seen.name_of(run, Place::step(index));
            format!("{} items of {name} are under way, at most {}", items.steps.in_flight(), rule.max_parallel)
        })?;
    }
    Ok(())
}
