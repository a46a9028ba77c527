//! Wake: what changes finds the runs that wait for it. Signals find waits, ends of runs their parents,
//! and what is given back whoever stands in line for it.

use std::collections::HashSet;
use std::sync::Arc;

use fleetprompt_core::directive::Origin;
use fleetprompt_core::run::{self, Parent, Place, QueueReason, Run, Setting, Status};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::{Failure, Json, Meter, Party, RunId, Signal, TenantId};
use fleetprompt_store::{Page, SignalFilter};

use super::{Cascade, Work};
use crate::Error;
use crate::cache::OpenRun;
use crate::directives::signal_offer::{Lookback, Rest};
use crate::standing::{Freed, LockWaiter};

/// How many signals a wait looks back over at most, and how many of them are held at once.
const LOOKBACK_MAX: usize = 100_000;
const LOOKBACK_PAGE: usize = 100;
const LOOKBACK_BYTES: usize = 4 << 20;
/// Runs that wait for a lock and are read together. As with signals that are offered later, the first read asks for one.
const WAITERS_READ_TOGETHER: usize = 50;

impl Cascade<'_> {
    /// Whether the wait took it, and is over.
    pub(super) fn offer_to(&mut self, signal: &Arc<Signal>, open: OpenRun, place: Place) -> Result<bool, Error> {
        let (tenant, id) = (signal.tenant, open.run.id);
        let (workflow, in_force, triggered_by) = (&*open.workflow, self.tenant(tenant)?, open.signal.as_deref());
        let setting = Setting { workflow, tenant: &in_force.tenant, signal: triggered_by, meter: self.meter };
        self.meter.begin_entry();
        match run::awaits(setting, &open.run, place, signal) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(failure) => {
                tracing::debug!(target: "route", run = %id, message = failure.message, "a wait could not tell");
                return Ok(false);
            }
        }
        let input = run::Input::Event { place, signal: signal.clone() };
        if !matches!(self.try_advance(tenant, id, input, None)?, Some(Ok(()))) {
            return Ok(false);
        }
        self.stage.dispositions.push(Disposition {
            tenant,
            signal_id: signal.id,
            workflow: open.run.workflow.clone(),
            kind: DispositionKind::Advanced,
            run_id: Some(id),
            reason: None,
            at: self.moment.now(),
        });
        Ok(true)
    }

    /// A wait that began just now asks for signals from before it did: the oldest that fits ends it.
    pub(crate) fn look_back(&mut self, tenant: TenantId, mut lookback: Lookback) -> Result<(), Error> {
        let (id, place, since) = (lookback.run_id, lookback.place, lookback.since);
        let filter = SignalFilter { names: lookback.names.clone(), since: Some(since), ..SignalFilter::default() };
        while lookback.offered < LOOKBACK_MAX {
            if self.meter.is_spent() {
                return self.look_back_later(tenant, lookback);
            }
            let page = Page::after(lookback.after.map(|id| id.0), LOOKBACK_PAGE).within(LOOKBACK_BYTES);
            let stored = self.store.signals(tenant, &filter, page)?;
            if stored.is_empty() {
                break;
            }
            for signal in stored {
                if self.meter.is_spent() {
                    return self.look_back_later(tenant, lookback);
                }
                (lookback.after, lookback.offered) = (Some(signal.id), lookback.offered + 1);
                let Some(open) = self.find_run(tenant, id)? else { return Ok(()) };
                let bytes = signal.payload.text().len();
                if self.offer_to(&Arc::new(signal), open, place)? {
                    return Ok(());
                }
                self.meter.charge(Meter::OFFER_UNITS);
                self.meter.charge_bytes(bytes);
            }
        }
        let is_meant = |signal: &&Arc<Signal>| {
            signal.tenant == tenant && signal.recorded_at >= since && lookback.names.contains(&signal.name)
        };
        let staged: Vec<_> = self.before.signals.iter().chain(&self.stage.signals).filter(is_meant).cloned().collect();
        self.meter.charge_entries(self.before.signals.len() + self.stage.signals.len());
        for signal in staged {
            if self.meter.is_spent() {
                return self.look_back_later(tenant, lookback);
            }
            lookback.after = Some(signal.id);
            let Some(open) = self.find_run(tenant, id)? else { return Ok(()) };
            if self.offer_to(&signal, open, place)? {
                break;
            }
            self.meter.charge(Meter::OFFER_UNITS);
        }
        Ok(())
    }

    fn look_back_later(&mut self, tenant: TenantId, lookback: Lookback) -> Result<(), Error> {
        let Some(open) = self.find_run(tenant, lookback.run_id)? else { return Ok(()) };
        let (id, lineage) = (open.run.id, open.run.lineage.caused_by(open.run.id));
        self.offer_later(tenant, id, lineage, &Rest::Lookback(lookback))
    }

    // Other runs

    /// Whoever waits for a run learns how it ended, or that it goes on after all.
    pub(super) fn tell_parent(&mut self, before: Option<&Run>, open: &OpenRun) {
        let run = &open.run;
        let Some(parent) = run.parent.filter(|parent| parent.waits) else { return };
        let had_ended = before.is_some_and(|before| before.status.has_ended());
        // One that is only undone gives nothing anew.
        if had_ended && run.status != Status::Compensating {
            self.work.push_back(Work::ChildRetried(run.tenant, run.id, parent));
        }
        // It may have been retried, and ended again at once.
        if run.status.has_ended() {
            let input = child_ended(open, parent.place);
            self.work.push_back(Work::Advance(run.tenant, parent.run_id, input));
        }
    }

    pub(super) fn child_retried(&mut self, tenant: TenantId, id: RunId, parent: Parent) -> Result<(), Error> {
        let undone = self.undone_elsewhere(tenant, parent.run_id)?;
        let input = run::Input::ChildRetried { place: parent.place, run: id, by: Party::engine(), undone };
        self.advance(tenant, parent.run_id, input).map(drop)
    }

    /// A run that had failed its parent tries again; of any other it is heard at once how it ended.
    pub(super) fn await_ended(&mut self, tenant: TenantId, id: RunId, origin: Origin) -> Result<(), Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(()) };
        let is_own = open.run.parent.is_some_and(|parent| parent.run_id == origin.run_id);
        if is_own && open.run.status != Status::Completed {
            let (by, reason) = (Party::new("run", origin.run_id), format!("{} waits for it again", origin.run_id));
            let undone = self.undone_elsewhere(tenant, id)?;
            let input = run::Input::Retry { by, reason, from: Vec::new(), reissue: false, undone };
            if matches!(self.try_advance(tenant, id, input, None)?, Some(Ok(()))) {
                return Ok(());
            }
        }
        let input = child_ended(&open, origin.place);
        self.work.push_back(Work::Advance(tenant, origin.run_id, input));
        Ok(())
    }

    // Time, and what is given back

    pub(super) fn run_due(&mut self, tenant: TenantId, id: RunId) -> Result<(), Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(()) };
        let queue = open.run.standing.as_ref().and_then(|standing| standing.queue.as_ref());
        match queue.filter(|_| open.run.status == Status::Queued) {
            Some(queue) if queue.until.is_some_and(|until| until <= self.moment.now()) => {
                self.turn(tenant, id, queue.reason)
            }
            Some(_) => Ok(()),
            None => self.advance(tenant, id, run::Input::Due).map(drop),
        }
    }

    pub(crate) fn freed(&mut self, freed: Freed) -> Result<(), Error> {
        match freed {
            Freed::Lock(tenant, name) => self.grant(tenant, &name, None),
            Freed::Slot(tenant, workflow, key) => {
                let Some(next) = self.standing.next_queued(tenant, &workflow, &key) else { return Ok(()) };
                self.turn(tenant, next, QueueReason::Concurrency)?;
                // It may have ended at once, or wait for something else: then there is room for another.
                if self.standing.next_queued(tenant, &workflow, &key) != Some(next) {
                    self.work.push_back(Work::Freed(Freed::Slot(tenant, workflow, key)));
                }
                Ok(())
            }
        }
    }

    /// A lock that is free is granted to the first step that waits for it, or the first `after` one; if that step is
    /// done with it at once, to the next one. Runs that do not run are passed over, with all of their steps.
    pub(super) fn grant(&mut self, tenant: TenantId, name: &Arc<str>, after: Option<LockWaiter>) -> Result<(), Error> {
        let Some(last) = self.standing.last_waiting_for_lock(tenant, name) else { return Ok(()) };
        let (mut standing_still, mut before, mut seen, mut read) = (HashSet::new(), after, 0, 0);
        while !self.standing.is_held(tenant, name) {
            let next = self.standing.waiting_for_lock(tenant, name, before).next();
            let Some(next) = next.filter(|next| *next <= last) else { break };
            if seen == read {
                read += self.read_waiters(tenant, name, before, seen.clamp(1, WAITERS_READ_TOGETHER))?;
            }
            let LockWaiter { run, place, .. } = next;
            if self.meter.is_spent()
                && let Some(open) = self.find_run(tenant, run)?
            {
                let (lineage, rest) =
                    (open.run.lineage.caused_by(run), Rest::Lock { name: name.clone(), after: before });
                return self.offer_later(tenant, run, lineage, &rest);
            }
            (before, seen) = (Some(next), seen + 1);
            if !standing_still.contains(&run) {
                match self.find_run(tenant, run)? {
                    Some(open) if open.run.status == Status::Running => {
                        self.try_advance(tenant, run, run::Input::Granted { place }, None)?;
                    }
                    _ => _ = standing_still.insert(run),
                }
            }
            self.meter.charge(Meter::OFFER_UNITS);
        }
        Ok(())
    }

    /// Reads the runs of the next places that wait for a lock, in bulk. Returns how many places that are.
    fn read_waiters(
        &self,
        tenant: TenantId,
        name: &Arc<str>,
        after: Option<LockWaiter>,
        count: usize,
    ) -> Result<usize, Error> {
        let waiters: Vec<_> = self.standing.waiting_for_lock(tenant, name, after).take(count).collect();
        let missing = waiters.iter().filter(|waiter| self.staged_run(waiter.run).is_none());
        self.cache.read_ahead(missing.map(|waiter| (tenant, waiter.run)).collect(), Vec::new())?;
        Ok(waiters.len())
    }
}

/// What the place that waited for a run learns of its end.
fn child_ended(open: &OpenRun, place: Place) -> run::Input {
    let run = &open.run;
    let compensable = run::is_compensable(&open.workflow, run);
    run::Input::ChildEnded { place, run: run.id, by: run.status_by, result: outcome_of(run), compensable }
}

/// What a step that waited for this run goes on with.
pub(super) fn outcome_of(run: &Run) -> Result<Json, Failure> {
    match run.status {
        Status::Completed => Ok(run.output.clone().unwrap_or_else(Json::null)),
        Status::Canceled => Err(Failure::fatal("canceled", format!("{} was canceled", run.id))),
        _ => {
            let unknown = || Failure::fatal("failed", "the run failed");
            let failure = run.error.clone().unwrap_or_else(unknown);
            Err(Failure { message: format!("{}: {}", run.id, failure.message), ..failure })
        }
    }
}
