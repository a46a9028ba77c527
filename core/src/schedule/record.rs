//! What the signals `schedule.*` say: one payload shape for all.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::{Name, Slug, Timestamp};

/// A move of a schedule. The name of its signal is `schedule.` and the word here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Applied,
    Paused,
    Resumed,
    Skipped,
    Triggered,
    Backfilled,
    Archived,
}

impl Change {
    pub const ALL: [Self; 7] =
        [Self::Applied, Self::Paused, Self::Resumed, Self::Skipped, Self::Triggered, Self::Backfilled, Self::Archived];

    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Applied => "schedule.applied",
            Self::Paused => "schedule.paused",
            Self::Resumed => "schedule.resumed",
            Self::Skipped => "schedule.skipped",
            Self::Triggered => "schedule.triggered",
            Self::Backfilled => "schedule.backfilled",
            Self::Archived => "schedule.archived",
        }
    }
}

pub fn change_of(name: &Name) -> Option<Change> {
    Change::ALL.into_iter().find(|change| change.signal_name() == name.as_str())
}

/// The payload of a `schedule.*` signal. The document is in the row, which names it by digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schedule: Slug,
    pub status: Status,
    pub digest: String,
    /// What is due next, as of this move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// What the one who asked for it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfilled: Option<Backfilled>,
}

/// Due times that never fire, all those of one occasion together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub reason: SkipReason,
    /// Of them there are so many, or with `and_more` at least so many.
    pub count: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_more: bool,
    pub first_due_at: Timestamp,
    pub last_due_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// `catch_up` takes fewer, or none, of what was due meanwhile.
    CatchUp,
    /// It was due longer ago than `catch_up_window`.
    CatchUpWindow,
    /// There were more than are ever caught up with.
    CatchUpLimit,
    /// The runs of the last fire had not ended.
    Overlap,
    /// One was waiting for them already.
    QueueFull,
    /// It was waiting for them when the schedule was archived.
    Archived,
}

/// A range of time whose fires were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfilled {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Due times in it, those among them that had fired before.
    pub due: usize,
}
