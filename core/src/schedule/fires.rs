//! When a schedule is due, and when it then fires. A due time is a time of the calendar or of the
//! grid that `every` makes; the fire comes at the due time, or with `jitter` a little after, but
//! always before the next due time. So due times and fires both rise, in the same order.

use super::{Schedule, Timing};
use crate::{Span, TenantId, Timestamp};

/// One time in a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    pub due_at: Timestamp,
    /// `due_at`, and the jitter.
    pub fires_at: Timestamp,
}

const INSTANT: Span = Span(1);

impl Schedule {
    /// The first due time after `after`.
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let after = self.starts_at.map_or(after, |starts_at| after.max(before(starts_at)));
        let due = match &self.timing {
            Timing::Cron(cron) => cron.next_after(after)?,
            Timing::Every(every) => {
                let grid = Grid { first: self.starts_at.unwrap_or(anchor), every: *every };
                grid.next_after(after)?
            }
        };
        Some(due).filter(|due| self.ends_at.is_none_or(|ends_at| *due <= ends_at))
    }

    /// The last due time at or before `until`.
    pub fn last_until(&self, anchor: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let until = self.ends_at.map_or(until, |ends_at| until.min(ends_at));
        let due = match &self.timing {
            Timing::Cron(cron) => cron.last_until(until)?,
            Timing::Every(every) => {
                Grid { first: self.starts_at.unwrap_or(anchor), every: *every }.last_until(until)?
            }
        };
        Some(due).filter(|due| self.starts_at.is_none_or(|starts_at| *due >= starts_at))
    }

    /// When the fire of a due time comes.
    pub fn fires_at(&self, tenant: TenantId, anchor: Timestamp, due: Timestamp) -> Timestamp {
        let Some(jitter) = self.jitter else { return due };
        let room = self.next_after(anchor, due).map_or(jitter, |next| jitter.min(next - due));
        due + Span(spread(tenant, self.slug.as_str(), due, room.0))
    }

    /// The due times after `after`, one after the other.
    pub fn dues_after(&self, anchor: Timestamp, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(anchor, after), move |due| self.next_after(anchor, *due))
    }

    /// What the clocks of its time zone show: `2026-11-23T07:00:00+01:00`.
    pub fn local(&self, at: Timestamp) -> String {
        let local = match &self.timing {
            Timing::Cron(cron) => cron.shown(at),
            Timing::Every(_) => None,
        };
        local.unwrap_or_else(|| at.to_string())
    }

    /// What comes after `after`, as it will come.
    pub fn preview(&self, tenant: TenantId, anchor: Timestamp, after: Timestamp) -> impl Iterator<Item = Fire> {
        let fire = move |due_at| Fire { due_at, fires_at: self.fires_at(tenant, anchor, due_at) };
        self.dues_after(anchor, after).map(fire)
    }
}

pub(super) fn before(at: Timestamp) -> Timestamp {
    Timestamp(at.0.saturating_sub(INSTANT.0))
}

/// From 0 to below `room`, and the same for the same due time for ever.
fn spread(tenant: TenantId, slug: &str, due: Timestamp, room: i64) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tenant.0.as_bytes()).update(slug.as_bytes()).update(&due.0.to_le_bytes());
    let hash = hasher.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    let millis = (room / 1_000).max(1) as u64;
    (u64::from_le_bytes(bytes) % millis) as i64 * 1_000
}

/// `first`, and every so often before and after.
struct Grid {
    first: Timestamp,
    every: Span,
}

impl Grid {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.at((after - self.first).0.div_euclid(self.every.0).checked_add(1)?)
    }

    fn last_until(&self, until: Timestamp) -> Option<Timestamp> {
        self.at((until - self.first).0.div_euclid(self.every.0))
    }

    /// None where no calendar reaches.
    fn at(&self, index: i64) -> Option<Timestamp> {
        let at = index.checked_mul(self.every.0)?.checked_add(self.first.0)?;
        jiff::Timestamp::from_microsecond(at).ok().map(|_| Timestamp(at))
    }
}
