//! What to list, and which part of it.

use fleetprompt_core::{Name, RunId, SignalId, Slug, directive, run};
use uuid::Uuid;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignalFilter {
    pub name: Option<Name>,
    /// Everything of the group: facts, and the records of its runs and directives.
    pub correlation_id: Option<String>,
    /// The record of one run.
    pub run_id: Option<RunId>,
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
