//! How many runs of a workflow there may be, and how fast they may come: what stands at the door,
//! before a run begins. Keys are of a signal, so each customer can have a count of its own.

pub(super) mod read;

use crate::Span;
use crate::expression::Template;

/// At most `limit` runs under way at once for each key.
#[derive(Debug)]
pub struct Concurrency {
    pub limit: u32,
    /// None: one count for the whole workflow.
    pub key: Option<Template>,
    pub on_limit: OnLimit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLimit {
    /// The run waits, and begins in the order in which it came.
    #[default]
    Queue,
    /// No run; the signal's disposition says why.
    Drop,
    /// The oldest one is canceled, and this one begins.
    CancelOldest,
}

/// At most `limit` runs begin in any `per` for each key; the others wait for their turn.
#[derive(Debug)]
pub struct Throttle {
    pub limit: u32,
    pub per: Span,
    pub key: Option<Template>,
}

/// A run begins when no other signal came for `period`; the last one counts. After `max` it begins
/// though they still come.
#[derive(Debug)]
pub struct Debounce {
    pub period: Span,
    pub max: Option<Span>,
    pub key: Option<Template>,
}

impl Concurrency {
    pub const LIMIT_MAX: u32 = 10_000;
}

impl Throttle {
    pub const LIMIT_MAX: u32 = 10_000;
}
