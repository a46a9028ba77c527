//! Facts: what was acknowledged is there, once, and the log only grows.

use std::collections::{BTreeMap, BTreeSet};

use fleetprompt_core::run::{Step, start_key};
use fleetprompt_core::{RunId, Signal, SignalId, Slug, TenantId};
use fleetprompt_store::Store;

use super::{Held, hold};
use crate::world::World;

pub fn check(world: &World, fresh: &[Signal]) -> Held {
    rising(fresh)?;
    one_run_for_each_signal(world, fresh)?;
    one_wait_of_a_run_for_each_signal(world, fresh)?;
    let started = fresh.iter().filter(|signal| signal.run_id.is_some() && signal.directive_id.is_none());
    for signal in started {
        hold(signal.lineage.causation_id.is_some(), || format!("{} {} follows from nothing", signal.name, signal.id))?;
    }
    Ok(())
}

fn rising(fresh: &[Signal]) -> Held {
    let mut last = BTreeMap::<TenantId, SignalId>::new();
    for signal in fresh {
        let before = last.insert(signal.tenant, signal.id);
        hold(before.is_none_or(|before| before < signal.id), || format!("{} is not above the one before", signal.id))?;
    }
    Ok(())
}

fn one_run_for_each_signal(world: &World, fresh: &[Signal]) -> Held {
    let is_begin = |signal: &&Signal| matches!(signal.name.as_str(), "workflow.run.started" | "workflow.run.queued");
    if !fresh.iter().any(|signal| is_begin(&signal)) {
        return Ok(());
    }
    let mut first = BTreeMap::<(TenantId, &Slug, SignalId), RunId>::new();
    for run in world.seen.runs.values() {
        let Some(signal) = run.signal_id else { continue };
        let directive = world.seen.directives.get(&run.directive_id);
        let directive = directive.ok_or_else(|| format!("{} was started by nobody", run.id))?;
        if directive.idempotency_key != start_key(&run.workflow, signal) {
            continue;
        }
        let other = first.insert((run.tenant, &run.workflow, signal), run.id);
        hold(other.is_none(), || format!("{signal} started two runs of {}: {other:?} and {}", run.workflow, run.id))?;
    }
    Ok(())
}

fn one_wait_of_a_run_for_each_signal(world: &World, fresh: &[Signal]) -> Held {
    let consumes = |signal: &&Signal| signal.payload.value().get("consumed").is_some();
    let changed: BTreeSet<RunId> = fresh.iter().filter(consumes).filter_map(|signal| signal.run_id).collect();
    for run in changed.iter().filter_map(|id| world.seen.runs.get(id)) {
        let items = |step: &Step| {
            step.items.iter().flat_map(|items| items.steps.iter()).filter_map(|item| item.consumed).collect::<Vec<_>>()
        };
        let all: Vec<SignalId> =
            run.steps.iter().flat_map(|step| items(step).into_iter().chain(step.consumed)).collect();
        let each: BTreeSet<&SignalId> = all.iter().collect();
        hold(each.len() == all.len(), || format!("two waits of {} consumed the same signal", run.id))?;
    }
    Ok(())
}

/// Everything that was ever acknowledged.
pub fn all_there(world: &World) -> Held {
    for (id, (tenant, payload)) in &world.told.signals {
        let found = world.store.signal(*tenant, *id).map_err(|error| error.to_string())?;
        let is_there = found.is_some_and(|signal| signal.payload.text() == payload);
        hold(is_there, || format!("{id} was acknowledged, and is not there as it was told"))?;
    }
    for ((tenant, name, key), id) in &world.told.dedupe_keys {
        let found = world.store.signal(*tenant, *id).map_err(|error| error.to_string())?;
        let is_there = found.is_some_and(|signal| signal.dedupe_key.as_ref() == Some(key) && signal.name == *name);
        hold(is_there, || format!("{id} was the first under the dedupe key {key}, and is not there with it"))?;
    }
    for (id, (tenant, name, key)) in &world.told.directives {
        let found = world.store.directive(*tenant, *id).map_err(|error| error.to_string())?;
        let is_there = found.is_some_and(|row| row.name == *name && row.idempotency_key == *key);
        hold(is_there, || format!("{id} was acknowledged as {name} under {key}, and is not there as such"))?;
    }
    Ok(())
}
