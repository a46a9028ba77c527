//! What the signals `directive.*` say: one payload shape for all, and how it is folded.

use serde::{Deserialize, Serialize};

use super::{Directive, Status};
use crate::json::present;
use crate::{Failure, Json, Name, Party, SignalId, Timestamp};

/// A move of a directive. The name of its signal is `directive.` and the word here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Requested,
    Started,
    Retrying,
    Heartbeat,
    CancelRequested,
    Succeeded,
    Failed,
    Canceled,
    /// It ended without effect, and is to be carried out after all.
    Reopened,
}

impl Change {
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Started,
        Self::Retrying,
        Self::Heartbeat,
        Self::CancelRequested,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::Reopened,
    ];

    pub fn settles(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }

    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Requested => "directive.requested",
            Self::Started => "directive.started",
            Self::Retrying => "directive.retrying",
            Self::Heartbeat => "directive.heartbeat",
            Self::CancelRequested => "directive.cancel_requested",
            Self::Succeeded => "directive.succeeded",
            Self::Failed => "directive.failed",
            Self::Canceled => "directive.canceled",
            Self::Reopened => "directive.reopened",
        }
    }
}

pub fn change_of(name: &Name) -> Option<Change> {
    Change::ALL.into_iter().find(|change| change.signal_name() == name.as_str())
}

/// The payload of a `directive.*` signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    pub directive: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// When the next attempt is due, or the wait for a report ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which worker made the attempt, where one did.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub execution: Option<Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Directive {
    /// What a signal makes of the directive.
    pub(super) fn evolve(&mut self, change: Change, record: &Record, by: SignalId, at: Timestamp) {
        match change {
            Change::Requested => {}
            Change::Started => {
                self.status = Status::Running;
                self.attempt = record.attempt;
                self.wake_at = record.due_at;
                self.started_at = self.started_at.or(Some(at));
            }
            Change::Retrying | Change::Heartbeat => self.wake_at = record.due_at,
            Change::CancelRequested => self.cancel_requested = true,
            Change::Succeeded => {
                self.output = record.output.clone();
                self.settle(Status::Succeeded, by, at);
            }
            Change::Failed => {
                self.error = record.error.clone();
                self.settle(Status::Failed, by, at);
            }
            Change::Canceled => {
                self.error = record.error.clone();
                self.settle(Status::Canceled, by, at);
            }
            Change::Reopened => {
                self.status = Status::Requested;
                (self.attempt, self.wake_at, self.started_at) = (0, None, None);
                (self.settled_at, self.settled_by) = (None, None);
                (self.output, self.error) = (None, None);
                self.cancel_requested = false;
            }
        }
    }

    fn settle(&mut self, status: Status, by: SignalId, at: Timestamp) {
        self.status = status;
        self.wake_at = None;
        self.settled_by = Some(by);
        self.settled_at = Some(at);
    }
}
