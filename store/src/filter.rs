//! What to list, and which part of it.

use std::collections::BTreeMap;

use fleetprompt_core::run::Run;
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
    /// Any of these; any status if none is given.
    pub statuses: Vec<run::Status>,
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

impl RunFilter {
    /// The statuses that a run may have; `None` if it may have any.
    pub(crate) fn wanted_statuses(&self) -> Option<Vec<run::Status>> {
        let is_any = self.status.is_none() && self.statuses.is_empty() && !self.open;
        let is_wanted = |status: &run::Status| {
            self.status.is_none_or(|wanted| wanted == *status)
                && (self.statuses.is_empty() || self.statuses.contains(status))
                && !(self.open && status.has_ended())
        };
        (!is_any).then(|| run::Status::ALL.into_iter().filter(is_wanted).collect())
    }
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

/// At most `limit` records on the far side of `cursor`, in `order` of their ids. A page ends early with the record that
/// takes the documents of its records (payloads, inputs and outputs) beyond `bytes`, and no record after it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub order: Order,
    /// Exclusive.
    pub cursor: Option<Uuid>,
    pub limit: usize,
    pub bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

impl Page {
    pub fn newest(limit: usize) -> Self {
        Self { order: Order::NewestFirst, cursor: None, limit, bytes: usize::MAX }
    }

    pub fn before(cursor: Option<Uuid>, limit: usize) -> Self {
        Self { cursor, ..Self::newest(limit) }
    }

    pub fn after(cursor: Option<Uuid>, limit: usize) -> Self {
        Self { order: Order::OldestFirst, cursor, limit, bytes: usize::MAX }
    }

    /// The same page, limited by bytes as well as by records.
    pub fn within(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

/// At most `limit` steps of a run, the first of which has the index `from`. Like a page, it ends early with the step that
/// takes the documents of its steps beyond `bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRange {
    pub from: usize,
    pub limit: usize,
    pub bytes: usize,
    /// Indexes of the items that are read of each step: from the first one to the one before the second.
    pub items: (u32, u32),
    /// Bytes of the documents that are read of the items of each step. The items after the one that exceeds them come
    /// without their documents: output, error, and what they wait for.
    pub item_bytes: usize,
}

/// Some steps of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPart {
    /// With these steps, while the others are pending, and without the documents that `run_head` has: input, output, error
    /// and standing. Reading a run page by page must not read these for each page.
    pub run: Run,
    /// Index of the first step that was not read, which is the number of steps if none follows.
    pub end: usize,
    /// Index of the first item that came without its documents, for each step that has such items.
    pub items_end: BTreeMap<usize, u32>,
}

impl StepRange {
    pub const ALL_ITEMS: (u32, u32) = (0, u32::MAX);

    pub fn one(index: usize) -> Self {
        Self { from: index, limit: 1, bytes: usize::MAX, items: Self::ALL_ITEMS, item_bytes: usize::MAX }
    }

    /// The lowest and the highest number of a part that such an item has, and of what undoes one.
    pub(crate) fn parts(self) -> [i64; 4] {
        let (first, end) = (i64::from(self.items.0), i64::from(self.items.1));
        [1 + first, end, -1 - end, -2 - first]
    }

    /// The index behind the last step, of a run with so many.
    pub(crate) fn end(self, steps: usize) -> usize {
        self.from.saturating_add(self.limit).min(steps)
    }
}

/// Counts the bytes of a page while it is read.
pub(crate) struct Budget {
    bytes: usize,
    read: usize,
}

impl Budget {
    pub fn new(page: Page) -> Self {
        Self::of(page.bytes)
    }

    pub fn of(bytes: usize) -> Self {
        Self { bytes, read: 0 }
    }

    /// Counts a record. Returns `true` if the page ends with it.
    pub fn ends_with(&mut self, record_bytes: usize) -> bool {
        self.read = self.read.saturating_add(record_bytes);
        self.read > self.bytes
    }
}
