//! Schedules: what is due, what operators order, and what becomes of the runs of their fires.
//!
//! A fire goes the way of every other signal, in the same stage as the schedule's row: after a crash
//! either both are there or neither, and its due time, which is its name at the source, keeps it from
//! being told again.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetprompt_core::directive::{Directive, Status};
use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::run::{self, start_key};
use fleetprompt_core::schedule::{self, Decision, Illegal, Overlap, SOURCE, Schedule, Setting};
use fleetprompt_core::signal::{DedupeKey, DispositionKind};
use fleetprompt_core::{Party, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_store::{Page, RunFilter};

use super::{Cascade, Work};
use crate::directives::workflow_run_start::StartBySignal;
use crate::input::Fired;
use crate::{Error, Refusal};

/// Decisions about one schedule in one go; the fires that are left are due at once.
const DECISIONS_MAX: usize = 100;

/// Open runs of a fire that are read together.
const OPEN_RUNS_PAGE: usize = 500;

/// A schedule's row, and the document that it stands for, read.
#[derive(Debug, Clone)]
pub(crate) struct ScheduleRow {
    pub entry: Arc<ScheduleEntry>,
    pub schedule: Arc<Schedule>,
}

impl ScheduleRow {
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.entry.state.wake_at(self.entry.tenant, &self.schedule)
    }
}

/// What has not ended of the last fire.
#[derive(Default)]
struct OpenRuns {
    runs: BTreeSet<RunId>,
    /// A run that a full batch left to the next one.
    is_starting: bool,
}

impl Cascade<'_> {
    /// A time has come. What is due is decided one by one: whether a fire overlaps with the one
    /// before is only known when that has come to rest.
    pub(super) fn schedule_due(&mut self, tenant: TenantId, slug: &Slug) -> Result<(), Error> {
        for _ in 0..DECISIONS_MAX {
            let Some(row) = self.find_schedule(tenant, slug) else { return Ok(()) };
            if row.wake_at().is_none_or(|wake_at| wake_at > self.moment.now()) {
                return Ok(());
            }
            if let Err(illegal) = self.schedule_decide(row, schedule::Input::Due)? {
                tracing::debug!(target: "schedule", schedule = %slug, %illegal, "nothing follows");
                return Ok(());
            }
            self.settle()?;
            if self.is_large() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A run of a fire has ended; what waited for it may come now.
    pub(super) fn schedule_freed(&mut self, tenant: TenantId, slug: &Slug, fire: SignalId) -> Result<(), Error> {
        let Some(row) = self.find_schedule(tenant, slug) else { return Ok(()) };
        let state = &row.entry.state;
        if state.queued_at.is_none() || state.last_signal != Some(fire) {
            return Ok(());
        }
        if let Err(illegal) = self.schedule_decide(row, schedule::Input::PreviousEnded)? {
            tracing::debug!(target: "schedule", schedule = %slug, %illegal, "it waits on");
        }
        Ok(())
    }

    /// What an operator wants of it.
    pub(crate) fn schedule_order(
        &mut self,
        tenant: TenantId,
        slug: &Slug,
        input: schedule::Input,
    ) -> Result<Vec<Fired>, Error> {
        let row = self.find_schedule(tenant, slug).ok_or_else(|| Refusal::not_found("schedule", slug))?;
        let fired = self.schedule_decide(row, input)?.map_err(refused)?;
        self.settle()?;
        Ok(fired)
    }

    /// Another document for it, or its first one.
    pub(crate) fn schedule_apply(&mut self, tenant: TenantId, schedule: Arc<Schedule>, by: Party) -> Result<(), Error> {
        let known = self.find_schedule(tenant, &schedule.slug);
        let before = known.as_ref().map(|known| (&*known.schedule, known.entry.state.clone()));
        let setting = Setting { tenant, schedule: &schedule, is_open: false };
        let decision = schedule::apply(setting, before, by, self.moment);
        self.take_schedule(tenant, schedule, OpenRuns::default(), decision)?;
        self.settle()
    }

    pub(super) fn schedule_decide(
        &mut self,
        row: ScheduleRow,
        input: schedule::Input,
    ) -> Result<Result<Vec<Fired>, Illegal>, Error> {
        let open = self.open_runs(&row)?;
        let is_open = open.is_starting || !open.runs.is_empty();
        let ScheduleRow { entry, schedule } = row;
        let setting = Setting { tenant: entry.tenant, schedule: &schedule, is_open };
        match schedule::decide(setting, entry.state.clone(), input, self.moment) {
            Ok(decision) => Ok(Ok(self.take_schedule(entry.tenant, schedule, open, decision)?)),
            Err(illegal) => Ok(Err(illegal)),
        }
    }

    fn take_schedule(
        &mut self,
        tenant: TenantId,
        schedule: Arc<Schedule>,
        open: OpenRuns,
        decision: Decision,
    ) -> Result<Vec<Fired>, Error> {
        let mut state = decision.state;
        for signal in decision.signals {
            self.record(signal);
        }
        let canceled = if decision.cancel_previous { open.runs } else { BTreeSet::new() };
        let missing = canceled.iter().filter(|run| self.staged_run(**run).is_none());
        self.cache.read_ahead(missing.map(|run| (tenant, *run)).collect(), Vec::new())?;
        for run in canceled {
            let by = Party::new("schedule", &schedule.slug);
            let reason = "the next fire of its schedule has come".into();
            let input = run::Input::Cancel { by, reason, compensate: false };
            self.work.push_back(Work::Advance(tenant, run, input));
        }
        let mut fired = Vec::with_capacity(decision.fires.len());
        for (fire, first) in self.with_first_of_each(tenant, decision.fires)? {
            let (id, due_at) = (fire.id, fire.occurred_at);
            if let Some(first) = first {
                state.last_signal = if state.last_signal == Some(id) { Some(first) } else { state.last_signal };
            } else {
                self.stage.dedupe_keys.extend(key_of(&fire).map(|key| ((tenant, key), id)));
                self.record(fire);
            }
            fired.push(Fired { signal_id: first.unwrap_or(id), due_at, deduplicated: first.is_some() });
        }
        let (slug, document, digest) = (schedule.slug.clone(), schedule.document.clone(), schedule.digest.clone());
        let entry = Arc::new(ScheduleEntry { tenant, slug, document, digest, state });
        self.stage.put_schedule(ScheduleRow { entry, schedule });
        Ok(fired)
    }

    /// Each fire with the signal that told its due time first, if one did.
    fn with_first_of_each(
        &self,
        tenant: TenantId,
        fires: Vec<Signal>,
    ) -> Result<Vec<(Signal, Option<SignalId>)>, Error> {
        let keys: Vec<_> = fires.iter().filter_map(key_of).map(|key| (tenant, key)).collect();
        let stored = self.store.deduplicate(&keys)?;
        let first = keys.iter().zip(stored).map(|(key, stored)| {
            let staged = self.stage.dedupe_keys.get(key).or_else(|| self.before.dedupe_keys.get(key));
            staged.copied().or(stored)
        });
        Ok(fires.into_iter().zip(first).collect())
    }

    pub(super) fn find_schedule(&self, tenant: TenantId, slug: &Slug) -> Option<ScheduleRow> {
        let staged = self.stage.schedule(tenant, slug).or_else(|| self.before.schedule(tenant, slug));
        staged.cloned().or_else(|| Some(self.directory.tenant(tenant)?.schedules.get(slug)?.row()))
    }

    /// What the last fire has started and has not ended; asked only where a document restricts overlaps.
    fn open_runs(&mut self, row: &ScheduleRow) -> Result<OpenRuns, Error> {
        let mut open = OpenRuns::default();
        let fire = row.entry.state.last_signal.filter(|_| row.schedule.overlap != Overlap::Allow);
        let Some(fire) = fire else { return Ok(open) };
        let tenant = row.entry.tenant;
        let mut starts = self.fresh_starts(tenant, fire);
        if self.stage.signal(fire).or_else(|| self.before.signal(fire)).is_none() {
            open.runs = self.stored_runs(tenant, fire)?;
            starts.extend(self.stored_starts(row, fire)?);
        }
        for (run, is_requested) in starts {
            match self.staged_run(run) {
                Some(_) => _ = open.runs.insert(run),
                None => open.is_starting |= is_requested,
            }
        }
        open.runs.retain(|run| self.staged_run(*run).is_none_or(|found| !found.run.status.has_ended()));
        Ok(open)
    }

    /// The runs that a fire has started in this batch, and whether a later one is to begin them.
    fn fresh_starts(&self, tenant: TenantId, fire: SignalId) -> Vec<(RunId, bool)> {
        let fresh = self.before.dispositions.iter().chain(&self.stage.dispositions);
        let of_fire = fresh.filter(|one| (one.tenant, one.signal_id) == (tenant, fire));
        let started = of_fire.filter(|one| one.kind == DispositionKind::Started);
        started.filter_map(|one| Some((one.run_id?, true))).collect()
    }

    fn stored_runs(&self, tenant: TenantId, fire: SignalId) -> Result<BTreeSet<RunId>, Error> {
        let filter = RunFilter { signal_id: Some(fire), open: true, ..RunFilter::default() };
        let (mut runs, mut last) = (BTreeSet::new(), None);
        loop {
            let page = self.store.runs(tenant, &filter, Page::after(last, OPEN_RUNS_PAGE))?;
            last = page.last().map(|run| run.id.0);
            runs.extend(page.iter().map(|run| run.id));
            if page.len() < OPEN_RUNS_PAGE {
                return Ok(runs);
            }
        }
    }

    /// The same as `fresh_starts` for a fire from an earlier batch, which may have been full.
    fn stored_starts(&self, row: &ScheduleRow, fire: SignalId) -> Result<Vec<(RunId, bool)>, Error> {
        let tenant = row.entry.tenant;
        let subscribers = self.tenant(tenant)?.subscribers(&row.schedule.signal);
        let keys: Vec<_> = subscribers.map(|one| (tenant, start_key(&one.entry.slug, fire))).collect();
        let stored = if keys.is_empty() { Vec::new() } else { self.store.directives_by_key(&keys)? };
        let now = |stored: &Directive| self.staged_directive(stored.id).map_or(stored.status, |staged| staged.status);
        let start = |stored: &Directive| Some((StartBySignal::of(stored)?.run_id, now(stored) == Status::Requested));
        Ok(stored.iter().flatten().filter_map(start).collect())
    }
}

/// The schedule whose fire a signal is.
pub(crate) fn schedule_of(fire: &Signal) -> Option<Slug> {
    // Nobody else may use the source.
    fire.source.as_deref().filter(|source| *source == SOURCE)?;
    fire.actor.as_ref()?.id.parse().ok()
}

fn key_of(fire: &Signal) -> Option<DedupeKey> {
    Some(DedupeKey::of_event(&fire.name, fire.source.as_deref()?, fire.source_event_id.as_deref()?))
}

fn refused(illegal: Illegal) -> Refusal {
    let message = illegal.to_string();
    match illegal {
        Illegal::Already(_) => Refusal::conflict("schedule_status", message),
        Illegal::Archived => Refusal::conflict("schedule_archived", message),
        Illegal::Overlaps(_) => Refusal::conflict("schedule_overlap", message),
        Illegal::NotDue | Illegal::NothingQueued => Refusal::conflict("schedule_not_due", message),
        Illegal::Range { .. } => Refusal::invalid("backfill_range", message),
        Illegal::TooMany { .. } => Refusal::invalid("backfill_too_large", message),
    }
}
