//! Schedules: what is due, what operators order, and what becomes of the runs of their fires.
//!
//! A fire goes the way of every other signal, in the same stage as the schedule's row: after a crash
//! either both are there or neither, and its due time, which is its name at the source, keeps it from
//! being told again.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetprompt_core::directive::Status;
use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::run::{self, start_key};
use fleetprompt_core::schedule::{self, Decision, Illegal, Overlap, SOURCE, Schedule, Setting};
use fleetprompt_core::signal::DedupeKey;
use fleetprompt_core::{Party, RunId, Signal, SignalId, Slug, TenantId, Timestamp};

use super::{Cascade, Work};
use crate::input::Fired;
use crate::{Error, Refusal};

/// Decisions about one schedule in one go; the fires that are left are due at once.
const DECISIONS_MAX: usize = 100;

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
        for run in open.runs.into_iter().filter(|_| decision.cancel_previous) {
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

    /// Only who minds overlaps pays for the question.
    fn open_runs(&mut self, row: &ScheduleRow) -> Result<OpenRuns, Error> {
        let mut open = OpenRuns::default();
        let fire = row.entry.state.last_signal.filter(|_| row.schedule.overlap != Overlap::Allow);
        let Some(fire) = fire else { return Ok(open) };
        let tenant = row.entry.tenant;
        let mut dispositions = self.store.dispositions(tenant, fire, usize::MAX)?;
        let fresh = self.before.dispositions.iter().chain(&self.stage.dispositions);
        dispositions.extend(fresh.filter(|one| one.tenant == tenant && one.signal_id == fire).cloned());
        for disposition in dispositions {
            let Some(run) = disposition.run_id else { continue };
            match self.find_run(tenant, run)? {
                Some(found) if found.run.status.has_ended() => {}
                Some(_) => _ = open.runs.insert(run),
                None => {
                    let start = self.directive_by_key(tenant, &start_key(&disposition.workflow, fire))?;
                    open.is_starting |= start.is_some_and(|start| start.status == Status::Requested);
                }
            }
        }
        Ok(open)
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
