//! What is open, by looking at everything.

use std::cmp::Reverse;
use std::sync::Arc;

use fleetprompt_core::directive;
use fleetprompt_core::run::{Awaited, Place, Run, Step, StepStatus, Steps};
use fleetprompt_core::{RecordId, RunId, Slug, TenantId, Timestamp};

use super::State;
use crate::{OpenLock, OpenWork, RootUsage};

impl State {
    pub(super) fn open_work(&self) -> OpenWork {
        let (runs, directives) = (self.runs.values(), self.directives.values());
        let open = runs.clone().filter(|run| !run.status.has_ended());
        let mut work = OpenWork {
            runs_due: runs.clone().filter_map(|run| Some((run.wake_at()?, run.tenant, run.id))).collect(),
            runs_in_flight: runs.filter(|run| is_called(run)).map(|run| (run.tenant, run.id)).collect(),
            flows: open.clone().filter(|run| !run.keys.is_empty()).map(without_documents).collect(),
            ..OpenWork::default()
        };
        open.for_each(|run| of_places(run, &mut work));
        for one in directives {
            work.directives_due.extend(one.wake_at.map(|at| (at, one.tenant, one.id)));
            if one.status == directive::Status::Requested {
                work.directives_requested.push((one.tenant, one.id));
            }
            if one.is_in_flight() {
                let run = one.origin.and_then(|origin| self.runs.get(&(one.tenant, origin.run_id)));
                let version = run.map(|run| (run.workflow.clone(), run.version.clone()));
                work.directives_in_flight.push((one.tenant, one.id, version));
            }
        }
        work.runs_due.sort_unstable();
        work.directives_due.sort_unstable();
        work.waits.sort_by_key(|(tenant, run, place, _)| (*tenant, *run, *place));
        work.locks.sort_by_key(|(_, _, _, _, since, _)| *since);
        work
    }

    pub(super) fn begun_since(
        &self,
        tenant: TenantId,
        workflow: &Slug,
        since: Timestamp,
        limit: usize,
    ) -> Vec<(Arc<str>, Timestamp, RunId)> {
        let of_workflow = self.runs.values().filter(|run| run.tenant == tenant && run.workflow == *workflow);
        let begun = of_workflow.filter_map(|run| Some((run.keys.throttle.clone()?, run.begun_at?, run.id)));
        let mut begun: Vec<_> = begun.filter(|(_, at, _)| *at >= since).collect();
        begun.sort_unstable_by_key(|(_, at, id)| Reverse((*at, *id)));
        begun.truncate(limit);
        begun
    }

    pub(super) fn root_usage(&self, tenant: TenantId, root: RecordId, since: Timestamp) -> RootUsage {
        let of_root = |run: &&Run| run.tenant == tenant && run.counted_root() == Some(root);
        let mut descendants: Vec<&Run> = self.runs.values().filter(of_root).collect();
        descendants.sort_unstable_by_key(|run| (run.started_at, run.id));
        let open = descendants.iter().filter(|run| run.ended_at.is_none()).count() as u64;
        let first = descendants.iter().find(|run| run.started_at >= since);
        let descent = |run: &&Run| run.descent.as_deref().cloned();
        RootUsage::of(open, first.and_then(descent), descendants.last().and_then(descent))
    }
}

/// A run without its steps and its input.
fn without_documents(run: &Run) -> Run {
    Run { steps: Steps::default(), input: None, ..run.clone() }
}

/// Whether an agent was called whose answer is not on record.
fn is_called(run: &Run) -> bool {
    run.places()
        .filter_map(|place| run.at(place))
        .any(|step| step.status == StepStatus::Running && step.directive_id.is_none() && step.items.is_none())
}

fn of_places(run: &Run, work: &mut OpenWork) {
    for (place, step) in run.places().filter_map(|place| Some((place, run.at(place)?))) {
        let waiting = step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting);
        if let Some(waiting) = waiting.filter(|waiting| matches!(waiting.what, Awaited::Signal { .. })) {
            work.waits.push((run.tenant, run.id, place, waiting.clone()));
        }
        work.locks.extend(lock(run, place, step));
    }
}

fn lock(run: &Run, place: Place, step: &Step) -> Option<OpenLock> {
    let is_waiting = step.status == StepStatus::Waiting;
    let waits = step.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Lock { .. }));
    Some((run.tenant, run.id, place, step.lock.clone()?, step.signal_id?, !(is_waiting && waits)))
}
