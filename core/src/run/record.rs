//! What the signals of a run say, and what they make of it. One payload shape for `workflow.run.*`,
//! one for `workflow.step.*`; the name says which move it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Run, Status, Step, StepStatus};
use crate::json::present;
use crate::workflow::Workflow;
use crate::{DirectiveId, Failure, Json, Name, Party, Signal, SignalId, Slug, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunChange {
    Started,
    Completed,
    Failed,
    Canceled,
}

impl RunChange {
    pub const ALL: [Self; 4] = [Self::Started, Self::Completed, Self::Failed, Self::Canceled];

    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Started => "workflow.run.started",
            Self::Completed => "workflow.run.completed",
            Self::Failed => "workflow.run.failed",
            Self::Canceled => "workflow.run.canceled",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepChange {
    Started,
    Retrying,
    Completed,
    Failed,
    Skipped,
    Canceled,
}

impl StepChange {
    pub const ALL: [Self; 6] =
        [Self::Started, Self::Retrying, Self::Completed, Self::Failed, Self::Skipped, Self::Canceled];

    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Started => "workflow.step.started",
            Self::Retrying => "workflow.step.retrying",
            Self::Completed => "workflow.step.completed",
            Self::Failed => "workflow.step.failed",
            Self::Skipped => "workflow.step.skipped",
            Self::Canceled => "workflow.step.canceled",
        }
    }
}

pub fn run_change_of(name: &Name) -> Option<RunChange> {
    RunChange::ALL.into_iter().find(|change| change.signal_name() == name.as_str())
}

pub fn step_change_of(name: &Name) -> Option<StepChange> {
    StepChange::ALL.into_iter().find(|change| change.signal_name() == name.as_str())
}

/// The payload of a `workflow.run.*` signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub workflow: Slug,
    pub version: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_id: Option<SignalId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directive_id: Option<DirectiveId>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The payload of a `workflow.step.*` signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepRecord {
    pub step: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directive_id: Option<DirectiveId>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What an agent's execution cost: provider, model, tokens.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub execution: Option<Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Run {
    pub(super) fn evolve(&mut self, change: RunChange, record: &RunRecord, by: SignalId, at: Timestamp) {
        let status = match change {
            RunChange::Started => return,
            RunChange::Completed => Status::Completed,
            RunChange::Failed => Status::Failed,
            RunChange::Canceled => Status::Canceled,
        };
        self.status = status;
        self.output = record.output.clone();
        self.error = record.error.clone();
        self.ended_at = Some(at);
        self.ended_by = Some(by);
    }
}

impl Step {
    pub(super) fn evolve(&mut self, change: StepChange, record: &StepRecord, by: SignalId, at: Timestamp) {
        self.signal_id = Some(by);
        self.due_at = record.due_at;
        self.error = record.error.clone();
        match change {
            StepChange::Started => {
                self.status = StepStatus::Running;
                self.attempt = record.attempt;
                self.directive_id = record.directive_id;
                self.started_at = self.started_at.or(Some(at));
            }
            StepChange::Retrying => self.status = StepStatus::Retrying,
            StepChange::Completed => {
                self.output = record.output.clone();
                self.end(StepStatus::Completed, record, at);
            }
            StepChange::Failed => self.end(StepStatus::Failed, record, at),
            StepChange::Skipped => self.end(StepStatus::Skipped, record, at),
            StepChange::Canceled => self.end(StepStatus::Canceled, record, at),
        }
    }

    fn end(&mut self, status: StepStatus, record: &StepRecord, at: Timestamp) {
        self.status = status;
        self.attempt = record.attempt.max(self.attempt);
        self.ended_at = Some(at);
    }
}

/// What the signals of a run make of it: the rows, from the log alone. `None` when the log does not
/// begin with `workflow.run.started`.
pub fn fold<'a>(workflow: &Workflow, signals: impl IntoIterator<Item = &'a Signal>) -> Option<Run> {
    let mut signals = signals.into_iter().filter(|signal| signal.name.as_str().starts_with("workflow."));
    let mut run = begun(workflow, signals.next()?)?;
    for signal in signals {
        if let Some(change) = run_change_of(&signal.name) {
            let record = serde_json::from_str(signal.payload.text()).ok()?;
            run.evolve(change, &record, signal.id, signal.recorded_at);
        } else if let Some(change) = step_change_of(&signal.name) {
            let record: StepRecord = serde_json::from_str(signal.payload.text()).ok()?;
            let index = *workflow.index.get(&record.step)?;
            run.steps[index].evolve(change, &record, signal.id, signal.recorded_at);
        }
    }
    Some(run)
}

fn begun(workflow: &Workflow, started: &Signal) -> Option<Run> {
    if run_change_of(&started.name) != Some(RunChange::Started) {
        return None;
    }
    let record: RunRecord = serde_json::from_str(started.payload.text()).ok()?;
    let directive_id = record.directive_id?;
    let cause = record.signal_id.map_or(directive_id.into(), crate::RecordId::from);
    Some(Run {
        id: started.run_id?,
        tenant: started.tenant,
        workflow: record.workflow,
        version: record.version,
        signal_id: record.signal_id,
        directive_id,
        input: record.input,
        lineage: started.lineage.caused_by(cause),
        started_at: started.recorded_at,
        deadline: record.deadline,
        status: Status::Running,
        steps: vec![Step::default(); workflow.steps.len()],
        output: None,
        error: None,
        ended_at: None,
        ended_by: None,
    })
}
