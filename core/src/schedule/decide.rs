//! What becomes of a schedule: one pure table over (status, input).

use super::fires::before;
use super::{Backfilled, CatchUp, Change, Overlap, Record, SOURCE, Schedule, SkipReason, Skipped, State, Status};
use crate::{Json, Lineage, Moment, Name, Party, Signal, SignalId, Span, TenantId, Timestamp};

/// How late a fire may be and still be the one that was due, and not one that was missed.
pub const LATE: Span = Span::from_secs(60);
/// Of what was missed, no more than the newest so many are caught up with.
pub const CAUGHT_UP_MAX: usize = 1_000;
/// Due times that one request may ask for again.
pub const BACKFILL_MAX: usize = 1_000;
/// How far what is refused is counted, and what is skipped: that is on everybody's time.
const REFUSED_COUNTED_MAX: usize = 10_000;
const SKIPPED_COUNTED_MAX: usize = 1_000;
/// Fires in one decision; the others are due at once.
pub const FIRES_AT_ONCE: usize = 100;

/// What a decision about a schedule can see besides its state.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub tenant: TenantId,
    pub schedule: &'a Schedule,
    /// Whether some run of the last fire has not ended.
    pub is_open: bool,
}

#[derive(Debug, Clone)]
pub enum Input {
    /// The fire of `next_at` has come.
    Due,
    /// The last open run of the last fire has ended.
    PreviousEnded,
    Pause {
        by: Party,
        reason: Option<String>,
    },
    Resume {
        by: Party,
        reason: Option<String>,
    },
    /// Fire now, whatever is due.
    Trigger {
        by: Party,
        reason: Option<String>,
    },
    /// Fire what was due from `from` to `to`, both included. What fired then does not fire again.
    Backfill {
        by: Party,
        reason: Option<String>,
        from: Timestamp,
        to: Timestamp,
    },
    Archive {
        by: Party,
        reason: Option<String>,
    },
}

#[derive(Debug)]
#[must_use]
pub struct Decision {
    pub state: State,
    /// Cancel the runs of the last fire before anything else.
    pub cancel_previous: bool,
    /// The record of what became of the schedule.
    pub signals: Vec<Signal>,
    /// The fires, in the order of their due times. One whose due time was told before must not be
    /// recorded again.
    pub fires: Vec<Signal>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    #[error("the schedule is {} already", .0.as_str())]
    Already(Status),
    #[error("the schedule is archived; apply it again to use it")]
    Archived,
    #[error("nothing is due")]
    NotDue,
    #[error("nothing waits for the runs of the last fire")]
    NothingQueued,
    #[error("the runs of the last fire have not ended, and `overlap` is `{}`: cancel them, or wait", .0.as_str())]
    Overlaps(Overlap),
    #[error("a backfill goes over at most 10 years of the past; {from} to {to} is no such range")]
    Range { from: Timestamp, to: Timestamp },
    #[error(
        "{}{count} times were due from {from} to {to}; at most {BACKFILL_MAX} are fired at once, so ask for a shorter \
         range", if *.and_more { "more than " } else { "" }
    )]
    TooMany { from: Timestamp, to: Timestamp, count: usize, and_more: bool },
}

/// A document takes the place of the one before, if there was one.
pub fn apply(setting: Setting<'_>, before: Option<(&Schedule, State)>, by: Party, moment: &mut Moment) -> Decision {
    let state = match before {
        Some((schedule, state)) => applied_again(setting.schedule, schedule, state, moment.now()),
        None => applied_first(setting.schedule, moment.now()),
    };
    let mut plan = Plan::new(setting, state, moment);
    plan.record(Change::Applied, Some(by), None);
    plan.decision()
}

pub fn decide(setting: Setting<'_>, state: State, input: Input, moment: &mut Moment) -> Result<Decision, Illegal> {
    let mut plan = Plan::new(setting, state, moment);
    match input {
        Input::Due => plan.due()?,
        Input::PreviousEnded => plan.previous_ended()?,
        Input::Pause { by, reason } => plan.pause(by, reason)?,
        Input::Resume { by, reason } => plan.resume(by, reason)?,
        Input::Trigger { by, reason } => plan.trigger(by, reason)?,
        Input::Backfill { by, reason, from, to } => plan.backfill(by, reason, from, to)?,
        Input::Archive { by, reason } => plan.archive(by, reason)?,
    }
    Ok(plan.decision())
}

impl State {
    /// When the schedule must be looked at again.
    pub fn wake_at(&self, tenant: TenantId, schedule: &Schedule) -> Option<Timestamp> {
        let due = self.next_at.filter(|_| self.status == Status::Active)?;
        Some(schedule.fires_at(tenant, self.anchor_at, due))
    }
}

fn applied_first(schedule: &Schedule, now: Timestamp) -> State {
    let anchor_at = Timestamp(now.0.div_euclid(1_000_000) * 1_000_000);
    State {
        status: Status::Active,
        anchor_at,
        next_at: schedule.next_after(anchor_at, now),
        last_at: None,
        last_signal: None,
        queued_at: None,
        reason: None,
        updated_at: now,
    }
}

/// What the schedule has done stays what it is. As long as it is due at the same times it also goes
/// on where it was; otherwise it begins anew, and nothing is caught up with.
fn applied_again(schedule: &Schedule, known: &Schedule, state: State, now: Timestamp) -> State {
    let fresh = applied_first(schedule, now);
    let same_grid = schedule.timing == known.timing && schedule.starts_at == known.starts_at;
    let same_times = same_grid && schedule.ends_at == known.ends_at && state.status != Status::Archived;
    let anchor_at = if same_grid { state.anchor_at } else { fresh.anchor_at };
    let next_at = if same_times { state.next_at } else { schedule.next_after(anchor_at, now) };
    let status = if state.status == Status::Archived { Status::Active } else { state.status };
    let reason = state.reason.filter(|_| status == Status::Paused);
    State { status, anchor_at, next_at, reason, updated_at: now, ..state }
}

struct Plan<'a> {
    setting: Setting<'a>,
    state: State,
    cancel_previous: bool,
    signals: Vec<Signal>,
    fires: Vec<Signal>,
    moment: &'a mut Moment,
}

/// What of the due times that have come is to fire: those from `from` on, the last being `newest`.
struct Pending {
    from: Option<Timestamp>,
    newest: Timestamp,
}

impl<'a> Plan<'a> {
    fn new(setting: Setting<'a>, state: State, moment: &'a mut Moment) -> Self {
        Self { setting, state, cancel_previous: false, signals: Vec::new(), fires: Vec::new(), moment }
    }

    fn due(&mut self) -> Result<(), Illegal> {
        let wake_at = self.state.wake_at(self.setting.tenant, self.setting.schedule).ok_or(Illegal::NotDue)?;
        if wake_at > self.moment.now() {
            return Err(Illegal::NotDue);
        }
        // The end that it waited for may have come in a way that nobody could tell it of.
        if !self.setting.is_open && self.state.queued_at.is_some() {
            return self.previous_ended();
        }
        let first = self.state.next_at.ok_or(Illegal::NotDue)?;
        let pending = self.caught_up(first);
        match pending.from {
            None => self.state.next_at = self.after(pending.newest),
            Some(from) if self.setting.schedule.overlap == Overlap::Allow => self.fire_all(from, pending.newest),
            Some(from) if self.setting.is_open => self.overlapped(from, pending.newest),
            Some(from) => self.fire_one(from),
        }
        Ok(())
    }

    /// Leaves out what `catch_up` does not take.
    fn caught_up(&mut self, first: Timestamp) -> Pending {
        let newest = self.newest(first);
        let (mut from, mut reason) = match self.setting.schedule.catch_up {
            CatchUp::Last => (Some(newest), SkipReason::CatchUp),
            CatchUp::None => (Some(newest).filter(|newest| self.lateness(*newest) <= LATE), SkipReason::CatchUp),
            CatchUp::All => self.newest_of_all(first, newest),
        };
        if let Some(window) = self.setting.schedule.catch_up_window {
            let earliest = before(Timestamp(self.moment.now().0.saturating_sub(window.0)));
            if from.is_some_and(|from| from <= earliest) {
                from = self.after(earliest).filter(|in_time| *in_time <= newest);
                reason = SkipReason::CatchUpWindow;
            }
        }
        let last_skipped = match from {
            Some(from) => self.setting.schedule.last_until(self.state.anchor_at, before(from)),
            None => Some(newest),
        };
        if let Some(last) = last_skipped.filter(|last| *last >= first) {
            self.skip(reason, first, last);
        }
        Pending { from, newest }
    }

    /// The last due time whose fire has come.
    fn newest(&self, first: Timestamp) -> Timestamp {
        let (schedule, anchor) = (self.setting.schedule, self.state.anchor_at);
        let now = self.moment.now();
        let has_come = |due: &Timestamp| schedule.fires_at(self.setting.tenant, anchor, *due) <= now;
        let newest = schedule.last_until(anchor, now);
        let one_before = || schedule.last_until(anchor, before(newest?));
        newest.filter(has_come).or_else(one_before).map_or(first, |newest| newest.max(first))
    }

    fn newest_of_all(&self, first: Timestamp, newest: Timestamp) -> (Option<Timestamp>, SkipReason) {
        let mut from = newest;
        for _ in 1..CAUGHT_UP_MAX {
            match self.setting.schedule.last_until(self.state.anchor_at, before(from)) {
                Some(earlier) if earlier >= first => from = earlier,
                _ => break,
            }
        }
        (Some(from), SkipReason::CatchUpLimit)
    }

    fn lateness(&self, due: Timestamp) -> Span {
        self.moment.now() - self.setting.schedule.fires_at(self.setting.tenant, self.state.anchor_at, due)
    }

    fn overlapped(&mut self, from: Timestamp, newest: Timestamp) {
        match self.setting.schedule.overlap {
            // That it is allowed was seen before.
            Overlap::Allow => self.fire_all(from, newest),
            Overlap::Skip => self.skip(SkipReason::Overlap, from, newest),
            Overlap::Queue => self.queue(from, newest),
            Overlap::Cancel => {
                self.cancel_previous = true;
                return self.fire_one(from);
            }
        }
        self.state.next_at = self.after(newest);
    }

    fn queue(&mut self, from: Timestamp, newest: Timestamp) {
        let mut rest = Some(from);
        if self.state.queued_at.is_none() {
            self.state.queued_at = Some(from);
            rest = self.after(from).filter(|next| *next <= newest);
        }
        if let Some(rest) = rest {
            self.skip(SkipReason::QueueFull, rest, newest);
        }
    }

    fn fire_all(&mut self, from: Timestamp, newest: Timestamp) {
        let schedule = self.setting.schedule;
        let dues = schedule.dues_after(self.state.anchor_at, before(from)).take_while(|due| *due <= newest);
        for due in dues.take(FIRES_AT_ONCE) {
            self.fire_one(due);
        }
    }

    fn fire_one(&mut self, due: Timestamp) {
        self.fire(due, self.state.last_at, None);
        self.state.last_at = Some(due);
        self.state.next_at = self.after(due);
    }

    fn previous_ended(&mut self) -> Result<(), Illegal> {
        if self.state.status != Status::Active || self.setting.is_open {
            return Err(Illegal::NothingQueued);
        }
        let due = self.state.queued_at.take().ok_or(Illegal::NothingQueued)?;
        self.fire(due, self.state.last_at, None);
        self.state.last_at = Some(due);
        Ok(())
    }

    fn pause(&mut self, by: Party, reason: Option<String>) -> Result<(), Illegal> {
        self.must_not_be(Status::Paused)?;
        self.state.status = Status::Paused;
        self.state.reason.clone_from(&reason);
        self.record(Change::Paused, Some(by), reason);
        Ok(())
    }

    /// What is due since is caught up with at once, as far as `catch_up` takes it: for that, it was
    /// missed however short the pause.
    fn resume(&mut self, by: Party, reason: Option<String>) -> Result<(), Illegal> {
        self.must_not_be(Status::Active)?;
        self.state.status = Status::Active;
        self.state.reason = None;
        let missed = self.state.next_at.filter(|due| *due <= self.moment.now());
        if let Some(first) = missed.filter(|_| self.setting.schedule.catch_up == CatchUp::None) {
            let newest = self.newest(first);
            self.skip(SkipReason::CatchUp, first, newest);
            self.state.next_at = self.after(newest);
        }
        self.record(Change::Resumed, Some(by), reason);
        if !self.setting.is_open && self.state.queued_at.is_some() {
            self.previous_ended()?;
        }
        Ok(())
    }

    fn trigger(&mut self, by: Party, reason: Option<String>) -> Result<(), Illegal> {
        self.must_not_be_archived()?;
        match self.setting.schedule.overlap {
            overlap @ (Overlap::Skip | Overlap::Queue) if self.setting.is_open => {
                return Err(Illegal::Overlaps(overlap));
            }
            Overlap::Cancel => self.cancel_previous = self.setting.is_open,
            Overlap::Allow | Overlap::Skip | Overlap::Queue => {}
        }
        let cause = self.record(Change::Triggered, Some(by), reason);
        self.fire(self.moment.now(), self.state.last_at, Some(cause));
        Ok(())
    }

    /// History is told again beside what happens now, so it neither waits for runs nor counts as the
    /// last fire.
    fn backfill(&mut self, by: Party, reason: Option<String>, from: Timestamp, to: Timestamp) -> Result<(), Illegal> {
        self.must_not_be_archived()?;
        if from > to || to > self.moment.now() || to - from > Span::MAX {
            return Err(Illegal::Range { from, to });
        }
        let (schedule, anchor) = (self.setting.schedule, self.state.anchor_at);
        let dues = || schedule.dues_after(anchor, before(from)).take_while(|due| *due <= to);
        let count = dues().take(REFUSED_COUNTED_MAX + 1).count();
        if count > BACKFILL_MAX {
            return Err(Illegal::TooMany {
                from,
                to,
                count: count.min(REFUSED_COUNTED_MAX),
                and_more: count > REFUSED_COUNTED_MAX,
            });
        }
        let backfilled = Backfilled { from, to, due: count };
        let cause =
            self.emit(Change::Backfilled, Some(by), Record { backfilled: Some(backfilled), ..self.said(reason) });
        let (last_signal, mut previous) = (self.state.last_signal, None);
        for due in dues() {
            self.fire(due, previous, Some(cause));
            previous = Some(due);
        }
        self.state.last_signal = last_signal;
        Ok(())
    }

    fn archive(&mut self, by: Party, reason: Option<String>) -> Result<(), Illegal> {
        self.must_not_be(Status::Archived)?;
        self.state.status = Status::Archived;
        self.state.next_at = None;
        self.state.reason.clone_from(&reason);
        if let Some(queued) = self.state.queued_at.take() {
            self.skip(SkipReason::Archived, queued, queued);
        }
        self.record(Change::Archived, Some(by), reason);
        Ok(())
    }

    fn must_not_be(&self, status: Status) -> Result<(), Illegal> {
        match self.state.status {
            now if now == status => Err(Illegal::Already(status)),
            Status::Archived => Err(Illegal::Archived),
            Status::Active | Status::Paused => Ok(()),
        }
    }

    fn must_not_be_archived(&self) -> Result<(), Illegal> {
        match self.state.status {
            Status::Archived => Err(Illegal::Archived),
            Status::Active | Status::Paused => Ok(()),
        }
    }

    fn after(&self, due: Timestamp) -> Option<Timestamp> {
        self.setting.schedule.next_after(self.state.anchor_at, due)
    }

    // What is told

    fn skip(&mut self, reason: SkipReason, first: Timestamp, last: Timestamp) {
        let dues = self.setting.schedule.dues_after(self.state.anchor_at, before(first));
        let count = dues.take_while(|due| *due <= last).take(SKIPPED_COUNTED_MAX + 1).count().max(1);
        let skipped = Skipped {
            reason,
            count: count.min(SKIPPED_COUNTED_MAX),
            and_more: count > SKIPPED_COUNTED_MAX,
            first_due_at: first,
            last_due_at: last,
        };
        self.emit(Change::Skipped, None, Record { skipped: Some(skipped), ..self.said(None) });
    }

    fn record(&mut self, change: Change, by: Option<Party>, reason: Option<String>) -> SignalId {
        self.emit(change, by, self.said(reason))
    }

    fn said(&self, reason: Option<String>) -> Record {
        Record {
            schedule: self.setting.schedule.slug.clone(),
            status: self.state.status,
            digest: self.setting.schedule.digest.clone(),
            next_at: self.state.next_at,
            reason,
            skipped: None,
            backfilled: None,
        }
    }

    fn emit(&mut self, change: Change, by: Option<Party>, record: Record) -> SignalId {
        let id = SignalId(self.moment.uuid());
        let signal = Signal {
            subject: Some(Party::new("schedule", &self.setting.schedule.slug)),
            actor: by,
            ..self.signal(id, Name::known(change.signal_name()), Json::of(&record))
        };
        self.signals.push(signal);
        id
    }

    /// The tenant's own signal.
    fn fire(&mut self, due: Timestamp, previous: Option<Timestamp>, cause: Option<SignalId>) {
        let schedule = self.setting.schedule;
        let id = SignalId(self.moment.uuid());
        let told = || {
            let slug = &schedule.slug;
            Json::from(serde_json::json!({"schedule": slug, "due_at": due, "previous_due_at": previous}))
        };
        let mut signal = Signal {
            subject: schedule.subject.clone(),
            actor: Some(Party::new("schedule", &schedule.slug)),
            source: Some(SOURCE.to_owned()),
            source_event_id: Some(format!("{}:{due}", schedule.slug)),
            occurred_at: due,
            ..self.signal(id, schedule.signal.clone(), schedule.payload.clone().unwrap_or_else(told))
        };
        signal.lineage.causation_id = cause.map(Into::into);
        self.fires.push(signal);
        self.state.last_signal = Some(id);
    }

    fn signal(&self, id: SignalId, name: Name, payload: Json) -> Signal {
        let now = self.moment.now();
        Signal {
            id,
            tenant: self.setting.tenant,
            name,
            subject: None,
            actor: None,
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage: Lineage::root(id.to_string()),
            run_id: None,
            directive_id: None,
            occurred_at: now,
            recorded_at: now,
            payload,
        }
    }

    fn decision(mut self) -> Decision {
        self.state.updated_at = self.moment.now();
        Decision { state: self.state, cancel_previous: self.cancel_previous, signals: self.signals, fires: self.fires }
    }
}
