//! Directives: auditable intents, the only road to a side effect.
//!
//! `requested → running → succeeded | failed | canceled`. Each move is a signal; the row is what
//! folding them gives.

mod decide;
mod record;
mod types;

use serde::{Deserialize, Serialize};

pub use decide::{Decision, Illegal, Input, Request, decide, fold, request};
pub use record::{Change, Record, change_of};
pub use types::{DirectiveType, Handler, HandlerKind, InvalidType, MAX_TYPE_BYTES};

use crate::retry::RetryPolicy;
use crate::run::Place;
use crate::{DirectiveId, Failure, Json, Lineage, Name, Party, RunId, SignalId, Span, TenantId, Timestamp};

#[derive(Debug, Clone, PartialEq)]
pub struct Directive {
    pub id: DirectiveId,
    pub tenant: TenantId,
    pub name: Name,
    pub payload: Json,
    /// Unique within the tenant: the same key is the same intent.
    pub idempotency_key: String,
    pub handler: HandlerKind,
    /// How it is carried out: what the step says, else what its type says, fixed when requested.
    pub retry: RetryPolicy,
    pub timeout: Option<Span>,
    /// The longest that whoever carries out a `manual` one may be silent.
    pub heartbeat: Option<Span>,
    /// The step that asked for it.
    pub origin: Option<Origin>,
    pub actor: Party,
    pub lineage: Lineage,
    pub requested_at: Timestamp,

    // What folding its signals gives:
    pub status: Status,
    /// The last attempt that was begun; 0 before the first.
    pub attempt: u32,
    /// When it must be looked at again: the next attempt, or the end of the wait for a report.
    pub wake_at: Option<Timestamp>,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// Somebody asked to cancel it while an attempt was under way.
    pub cancel_requested: bool,
    pub settled_at: Option<Timestamp>,
    /// The signal that settled it, which holds the output or the failure.
    pub settled_by: Option<SignalId>,
    pub output: Option<Json>,
    pub error: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    pub run_id: RunId,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Requested,
    Running,
    Succeeded,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 5] = [Self::Requested, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub fn is_settled(self) -> bool {
        match self {
            Self::Requested | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

impl Directive {
    pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
    pub const KEY_BYTES_MAX: usize = 255;

    /// An attempt is being performed outside, and its outcome is on the way.
    pub fn is_in_flight(&self) -> bool {
        self.status == Status::Running && self.handler.has_attempts() && self.wake_at.is_none()
    }

    /// Whether a second request under the same key is the same intent.
    pub fn is_same_intent(&self, name: &Name, payload: &Json) -> bool {
        self.name == *name && self.payload == *payload
    }

    /// The keys that the engine makes from positions in runs; no caller may take one.
    pub fn is_reserved_key(key: &str) -> bool {
        let first = key.split(':').next().unwrap_or_default();
        let last = key.rsplit(':').next().unwrap_or_default();
        key.contains(':') && (first.parse::<RunId>().is_ok() || last.parse::<SignalId>().is_ok())
    }
}
