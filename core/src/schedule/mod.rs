//! Schedules: what emits a signal when a time has come.
//!
//! `read` takes the document, `cron` and `fires` say when it is due, `decide` says what becomes of a
//! schedule, and `record` holds the signals `schedule.*` that tell of it. A fire itself is a signal of
//! the tenant's own. Its due time is its name at the source, so whatever happens between (a crash, a
//! catch-up, a backfill), each due time is told once.

mod cron;
mod decide;
mod fires;
mod read;
mod record;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use cron::Cron;
pub use decide::{Decision, FIRES_AT_ONCE, Illegal, Input, LATE, Setting, apply, decide};
pub use fires::Fire;
pub use read::{read, read_stored};
pub use record::{Backfilled, Change, Record, SkipReason, Skipped, change_of};

use crate::{Json, Name, Party, SignalId, Slug, Span, Timestamp};

/// The `source` of every fire. Nobody else may use it.
pub const SOURCE: &str = "schedule";

/// A schedule's document, read.
#[derive(Debug)]
pub struct Schedule {
    pub slug: Slug,
    pub name: String,
    pub description: Option<String>,
    pub timing: Timing,
    /// Nothing is due before.
    pub starts_at: Option<Timestamp>,
    /// Nothing is due after.
    pub ends_at: Option<Timestamp>,
    /// Each fire comes up to this much after its due time.
    pub jitter: Option<Span>,
    pub overlap: Overlap,
    pub catch_up: CatchUp,
    /// What is later than this is not caught up with.
    pub catch_up_window: Option<Span>,
    pub signal: Name,
    pub subject: Option<Party>,
    /// None: the due time and the one before.
    pub payload: Option<Json>,
    /// The document as JSON, whatever it was spelled in.
    pub document: Json,
    /// BLAKE3 of `document`, in hex.
    pub digest: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Timing {
    Cron(Box<Cron>),
    Every(Span),
}

/// What happens when a fire is due and the runs of the last one have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    Allow,
    Skip,
    /// One waits until they have ended.
    Queue,
    /// They are canceled.
    Cancel,
}

/// Which of those fires come that were due while nothing ran, or while the schedule was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    Last,
    None,
    All,
}

/// `active ⇄ paused → archived`; an archived schedule may be applied again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    /// Nothing fires by itself; what becomes due meanwhile is left to `catch_up`.
    Paused,
    Archived,
}

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub status: Status,
    /// What `every` counts from, unless there is a `starts_at`.
    pub anchor_at: Timestamp,
    /// The due time that comes next, before jitter. None: never again.
    pub next_at: Option<Timestamp>,
    /// The due time of the last fire.
    pub last_at: Option<Timestamp>,
    /// The signal of the last fire, whether it came by itself or was triggered.
    pub last_signal: Option<SignalId>,
    /// A due time that waits until the runs of the last fire have ended.
    pub queued_at: Option<Timestamp>,
    /// Why it is paused or archived, if somebody said so.
    pub reason: Option<String>,
    pub updated_at: Timestamp,
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => write!(f, "{} {}", cron.source(), cron.zone_name()),
            Self::Every(every) => write!(f, "every {every}"),
        }
    }
}

impl Overlap {
    pub const ALL: [Self; 4] = [Self::Allow, Self::Skip, Self::Queue, Self::Cancel];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Cancel => "cancel",
        }
    }
}

impl CatchUp {
    pub const ALL: [Self; 3] = [Self::Last, Self::None, Self::All];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::None => "none",
            Self::All => "all",
        }
    }
}

impl Status {
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Archived];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Archived => "archived",
        }
    }
}

#[cfg(test)]
mod tests;
