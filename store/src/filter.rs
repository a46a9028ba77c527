//! What to list, and which part of it.

use fleetprompt_core::{Name, RunId, SignalId, Slug, Timestamp, directive, run};
use uuid::Uuid;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignalFilter {
    pub name: Option<Name>,
    /// Everything of the group: facts, and the records of its runs and directives.
    pub correlation_id: Option<String>,
    /// The record of one run.
    pub run_id: Option<RunId>,
    /// Any of these; any at all where none is given.
    pub names: Vec<Name>,
    /// Recorded at that time or later.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct DirectiveFilter {
    pub name: Option<Name>,
    pub status: Option<directive::Status>,
    pub run_id: Option<RunId>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFilter {
    pub workflow: Option<Slug>,
    pub status: Option<run::Status>,
    pub signal_id: Option<SignalId>,
    pub correlation_id: Option<String>,
    pub version: Option<String>,
    /// The run whose step started it.
    pub parent: Option<RunId>,
    /// The run that it does again.
    pub source: Option<RunId>,
    /// Has not ended.
    pub open: bool,
    /// Asked for at that time or later, and before that time: to the millisecond, as ids have it.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// No id that was made at that time or later is below this one, and none that was made before is not.
pub(crate) fn first_id_at(time: Timestamp) -> Uuid {
    const MILLIS_MAX: i64 = (1 << 48) - 1;
    Uuid::from_u64_pair((time.millis().clamp(0, MILLIS_MAX) as u64) << 16, 0)
}

/// What waits, for lists of tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WaitingFilter {
    /// The word of what is awaited: `input`, `callback`, `signal`, `time`, `run` or `lock`.
    pub awaits: Option<String>,
    pub run_id: Option<RunId>,
}

/// At most `limit` records on the far side of `cursor`, in `order` of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub order: Order,
    /// Exclusive.
    pub cursor: Option<Uuid>,
    pub limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

impl Page {
    pub fn newest(limit: usize) -> Self {
        Self { order: Order::NewestFirst, cursor: None, limit }
    }

    pub fn after(cursor: Option<Uuid>, limit: usize) -> Self {
        Self { order: Order::OldestFirst, cursor, limit }
    }
}
