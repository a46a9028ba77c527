//! Compensation: only what acted is undone, each once, the newest first and one at a time.

use std::collections::{BTreeMap, BTreeSet};

use fleetprompt_core::run::{Run, RunChange, StepChange, run_change_of, step_change_of};
use fleetprompt_core::{RunId, Signal, SignalId};

use super::{Held, hold};
use crate::world::World;

pub fn check(world: &World, fresh: &[Signal]) -> Held {
    let is_undo =
        |signal: &&Signal| step_change_of(&signal.name).is_some_and(|change| change == StepChange::Compensating);
    let runs: BTreeSet<RunId> = fresh.iter().filter(is_undo).filter_map(|signal| signal.run_id).collect();
    runs.iter().try_for_each(|run| newest_first(world, &world.seen.runs[run]))
}

fn newest_first(world: &World, run: &Run) -> Held {
    // The last signal of each place, and the places that have acted: completed, or left an output or a run.
    let mut latest = BTreeMap::<String, SignalId>::new();
    let mut acted = BTreeSet::<String>::new();
    let mut under_way: Option<String> = None;
    let mut last: Option<SignalId> = None;
    for signal in &world.seen.logs[&run.id] {
        // Whoever has it go on lets it be undone again, from what is the newest then.
        if run_change_of(&signal.name) == Some(RunChange::Retried) {
            (under_way, last) = (None, None);
        }
        let Some(change) = step_change_of(&signal.name) else { continue };
        let record = signal.payload.value();
        let place = format!("{}{}", record["step"], record.get("item").map(ToString::to_string).unwrap_or_default());
        if !change.is_undo() {
            let has_acted = change == StepChange::Completed;
            if has_acted || record.get("output").is_some() || record.get("compensable").is_some() {
                acted.insert(place.clone());
            }
            latest.insert(place, signal.id);
            continue;
        }
        match change {
            StepChange::Compensating => {
                let done = latest.get(&place).copied().filter(|_| acted.contains(&place));
                hold(done.is_some(), || format!("{place} of {} is undone, and did not act", run.id))?;
                let is_same = under_way.as_ref() == Some(&place);
                hold(is_same || under_way.is_none(), || {
                    format!("{place} of {} is undone beside {under_way:?}", run.id)
                })?;
                hold(is_same || last.is_none_or(|last| done < Some(last)), || {
                    format!("{place} of {} is undone after what completed before it", run.id)
                })?;
                (under_way, last) = (Some(place), done);
            }
            StepChange::Compensated | StepChange::CompensationSkipped => under_way = None,
            _ => {}
        }
    }
    Ok(())
}
