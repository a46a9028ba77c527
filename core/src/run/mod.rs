//! Runs: one durable execution of one workflow version.
//!
//! `record` says what the signals `workflow.run.*` and `workflow.step.*` hold and what they make of a
//! run; `decide` says which of them come next; `context` is what the run's expressions see.

mod context;
mod decide;

mod record;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use context::{Setting, TriggerView};
pub use decide::{Decision, Effect, Functions, Illegal, Input, Start, decide, effects_in_flight, start};

pub use record::{RunChange, RunRecord, StepChange, StepRecord, fold, run_change_of, step_change_of};

use crate::{DirectiveId, Failure, Json, Lineage, RunId, SignalId, Slug, TenantId, Timestamp};

#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub tenant: TenantId,
    pub workflow: Slug,
    pub version: Arc<str>,
    /// The signal that triggered it; none when a directive asked for it by itself.
    pub signal_id: Option<SignalId>,
    /// The directive `workflow.run.start` that started it.
    pub directive_id: DirectiveId,
    /// What `workflow.run.start` gave; none when the trigger's payload is the input.
    pub input: Option<Json>,
    /// `causation_id` is the triggering signal, or else the directive.
    pub lineage: Lineage,
    pub started_at: Timestamp,
    pub deadline: Option<Timestamp>,
    pub status: Status,
    /// In the order of the workflow's steps.
    pub steps: Vec<Step>,
    pub output: Option<Json>,
    pub error: Option<Failure>,
    pub ended_at: Option<Timestamp>,
    /// The signal that ended it.
    pub ended_by: Option<SignalId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Running,
    Completed,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Failed, Self::Canceled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub fn has_ended(self) -> bool {
        self != Self::Running
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    pub status: StepStatus,
    /// The last attempt that was begun; 0 before the first.
    pub attempt: u32,
    /// When the next attempt is due.
    pub due_at: Option<Timestamp>,
    pub directive_id: Option<DirectiveId>,
    pub output: Option<Json>,
    pub error: Option<Failure>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The signal that made it what it is; its output or failure is kept there.
    pub signal_id: Option<SignalId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    #[default]
    Pending,
    /// An attempt is under way, or its directive is.
    Running,
    /// Between two attempts.
    Retrying,
    Completed,
    Failed,
    Skipped,
    Canceled,
}

impl StepStatus {
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Retrying, Self::Completed, Self::Failed, Self::Skipped, Self::Canceled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
        }
    }

    pub fn is_settled(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Retrying => false,
            Self::Completed | Self::Failed | Self::Skipped | Self::Canceled => true,
        }
    }
}

impl Run {
    /// When it must be looked at again though nothing happened.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.status.has_ended() {
            return None;
        }
        self.steps.iter().filter_map(|step| step.due_at).chain(self.deadline).min()
    }

    /// Why a run that has not ended is not stuck. `None` is a broken invariant.
    pub fn reason_to_wake(&self) -> Option<&'static str> {
        let any = |status| self.steps.iter().any(|step| step.status == status);
        if any(StepStatus::Running) {
            Some("a step is in flight")
        } else if any(StepStatus::Retrying) {
            Some("a step waits for its next attempt")
        } else {
            None
        }
    }
}

/// The key of the directive `workflow.run.start` that a signal leads to: one run for each pair.
pub fn start_key(workflow: &Slug, signal: SignalId) -> String {
    format!("{workflow}:{signal}")
}

/// The key under which a step acts on the world: its place in the run, never its attempt.
pub fn step_key(run: RunId, step: &str) -> String {
    format!("{run}:{step}")
}
