//! What the signals of a run say, and what they make of it. One payload shape for `workflow.run.*`,
//! one for `workflow.step.*`; the name says which move it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Descent, EarlyAnswer, FlowKeys, Items, Parent, Place, Queue, Run, Status, Step, StepStatus, Steps, Waiting,
};
use crate::json::present;
use crate::workflow::Workflow;
use crate::{DirectiveId, Failure, Json, Name, Party, RunId, Signal, SignalId, Slug, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunChange {
    Queued,
    Started,
    Paused,
    Parked,
    Resumed,
    Stopping,
    Compensating,
    Retried,
    Completed,
    Failed,
    Canceled,
}

impl RunChange {
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Started,
        Self::Paused,
        Self::Parked,
        Self::Resumed,
        Self::Stopping,
        Self::Compensating,
        Self::Retried,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
    ];

    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Queued => "workflow.run.queued",
            Self::Started => "workflow.run.started",
            Self::Paused => "workflow.run.paused",
            Self::Parked => "workflow.run.parked",
            Self::Resumed => "workflow.run.resumed",
            Self::Stopping => "workflow.run.stopping",
            Self::Compensating => "workflow.run.compensating",
            Self::Retried => "workflow.run.retried",
            Self::Completed => "workflow.run.completed",
            Self::Failed => "workflow.run.failed",
            Self::Canceled => "workflow.run.canceled",
        }
    }

    pub fn makes(self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Started | Self::Resumed | Self::Retried => Status::Running,
            Self::Paused => Status::Paused,
            Self::Parked => Status::Parked,
            Self::Stopping => Status::Stopping,
            Self::Compensating => Status::Compensating,
            Self::Completed => Status::Completed,
            Self::Failed => Status::Failed,
            Self::Canceled => Status::Canceled,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepChange {
    Started,
    /// An answer or a report came before the wait for it began; the status stays.
    AnsweredEarly,
    Waiting,
    Heartbeat,
    Escalated,
    Retrying,
    Repeating,
    Completed,
    Failed,
    Skipped,
    Canceling,
    Canceled,
    /// An operator has it done again.
    Reset,
    Compensating,
    Compensated,
    CompensationFailed,
    CompensationSkipped,
}

impl StepChange {
    pub const ALL: [Self; 17] = [
        Self::Started,
        Self::AnsweredEarly,
        Self::Waiting,
        Self::Heartbeat,
        Self::Escalated,
        Self::Retrying,
        Self::Repeating,
        Self::Completed,
        Self::Failed,
        Self::Skipped,
        Self::Canceling,
        Self::Canceled,
        Self::Reset,
        Self::Compensating,
        Self::Compensated,
        Self::CompensationFailed,
        Self::CompensationSkipped,
    ];

    pub fn signal_name(self) -> &'static str {
        match self {
            Self::Started => "workflow.step.started",
            Self::AnsweredEarly => "workflow.step.answered_early",
            Self::Waiting => "workflow.step.waiting",
            Self::Heartbeat => "workflow.step.heartbeat",
            Self::Escalated => "workflow.step.escalated",
            Self::Retrying => "workflow.step.retrying",
            Self::Repeating => "workflow.step.repeating",
            Self::Completed => "workflow.step.completed",
            Self::Failed => "workflow.step.failed",
            Self::Skipped => "workflow.step.skipped",
            Self::Canceling => "workflow.step.canceling",
            Self::Canceled => "workflow.step.canceled",
            Self::Reset => "workflow.step.reset",
            Self::Compensating => "workflow.step.compensating",
            Self::Compensated => "workflow.step.compensated",
            Self::CompensationFailed => "workflow.step.compensation_failed",
            Self::CompensationSkipped => "workflow.step.compensation_skipped",
        }
    }

    /// Whether it is about what undoes a step, and not about the step.
    pub fn is_undo(self) -> bool {
        matches!(self, Self::Compensating | Self::Compensated | Self::CompensationFailed | Self::CompensationSkipped)
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

    // In the first signal of the run, which is `queued` or `started`:
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_id: Option<SignalId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directive_id: Option<DirectiveId>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descent: Option<Arc<Descent>>,
    #[serde(default, skip_serializing_if = "FlowKeys::is_empty")]
    pub keys: FlowKeys,

    /// `queued`: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// Whenever it goes on: by when it must have ended.
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
    /// `stopping`, `compensating`, and `parked` meanwhile: how it is to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// `retried`: from which steps on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
}

/// How a run that is to end will have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// None: it is canceled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether what was done is undone before.
    pub compensate: bool,
}

/// The payload of a `workflow.step.*` signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepRecord {
    pub step: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `for_each`, from 0; none: it is about the step as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub iteration: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub issue: u32,
    /// `reset`: its effect was carried out, and is compensated like that of a step that completed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acted: bool,
    /// Whether the run that the step started had something to compensate when it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compensable: bool,
    /// `started`: how many items it has. `reset`: those that completed, or were skipped, stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directive_id: Option<DirectiveId>,
    /// The outcome is that of an earlier request, and nothing was done again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Arc<Waiting>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Arc<str>>,
    /// What came before the wait began, until that begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_answer: Option<Arc<EarlyAnswer>>,
    /// The signal that ended the wait and ends no other of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed: Option<SignalId>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What an agent's execution cost: provider, model, tokens. Or which worker performed the function.
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
        let begins = self.status_by.is_none() && matches!(change, RunChange::Queued | RunChange::Started);
        self.status = change.makes();
        // Most runs begin at once, and that says nothing that the run does not say itself.
        self.status_by = if begins && change == RunChange::Started { None } else { Some(by) };
        let stands = !self.status.has_ended() && self.status != Status::Running;
        self.standing = stands.then(|| Arc::new(record.clone()));
        (self.output, self.error, self.ended_at) = (None, None, None);
        match change {
            RunChange::Queued => {}
            RunChange::Started | RunChange::Resumed | RunChange::Retried => {
                self.deadline = record.deadline;
                self.begun_at = self.begun_at.or(Some(at));
            }
            RunChange::Paused | RunChange::Parked | RunChange::Stopping | RunChange::Compensating => {}
            RunChange::Completed | RunChange::Failed | RunChange::Canceled => {
                self.output = record.output.clone();
                self.error = record.error.clone();
                self.ended_at = Some(at);
            }
        }
    }
}

impl Step {
    pub(super) fn evolve(&mut self, change: StepChange, record: &StepRecord, by: SignalId, at: Timestamp) {
        self.signal_id = Some(by);
        self.due_at = record.due_at;
        self.error = record.error.clone();
        self.waiting = record.waiting.clone();
        self.lock = record.lock.clone();
        self.early_answer = record.early_answer.clone();
        self.consumed = record.consumed;
        self.compensable = record.compensable;
        if record.output.is_some() {
            self.output = record.output.clone();
            self.output_by = Some(by);
        }
        match change {
            StepChange::AnsweredEarly => {}
            StepChange::Started | StepChange::Compensating => self.begin(record, at),
            StepChange::Waiting | StepChange::Heartbeat | StepChange::Escalated => {
                self.begin(record, at);
                self.status = StepStatus::Waiting;
            }
            StepChange::Retrying => {
                self.attempt = record.attempt;
                self.status = StepStatus::Retrying;
            }
            StepChange::Repeating => {
                self.iteration = record.iteration;
                self.attempt = 0;
                self.directive_id = None;
                self.status = StepStatus::Repeating;
            }
            StepChange::Canceling => {
                self.status = StepStatus::Canceling;
                self.directive_id = record.directive_id.or(self.directive_id);
            }
            StepChange::Completed | StepChange::Compensated => self.end(StepStatus::Completed, record, at),
            StepChange::Failed | StepChange::CompensationFailed => self.end(StepStatus::Failed, record, at),
            StepChange::Skipped | StepChange::CompensationSkipped => self.end(StepStatus::Skipped, record, at),
            StepChange::Canceled => self.end(StepStatus::Canceled, record, at),
            StepChange::Reset => self.reset(record, by),
        }
    }

    fn begin(&mut self, record: &StepRecord, at: Timestamp) {
        self.status = StepStatus::Running;
        self.attempt = record.attempt;
        // While it waits for its lock, the directive of a step that was reset is still that of its last effect.
        self.directive_id = record.directive_id.or(self.directive_id);
        // Waiting for a lock is not yet an attempt.
        self.started_at = self.started_at.or((record.attempt > 0).then_some(at));
        self.ended_at = None;
        if let Some(items) = record.items {
            self.items = Some(Box::new(Items::pending(items as usize)));
        }
    }

    fn end(&mut self, status: StepStatus, record: &StepRecord, at: Timestamp) {
        self.status = status;
        self.attempt = record.attempt.max(self.attempt);
        self.directive_id = record.directive_id.or(self.directive_id);
        self.ended_at = Some(at);
    }

    /// From the beginning; or only what is left of its items, where these are kept.
    fn reset(&mut self, record: &StepRecord, by: SignalId) {
        let kept = self.items.take().filter(|_| record.items.is_some());
        let again = kept.map(|items| {
            let again = items.steps.iter().map(|item| match item.status {
                StepStatus::Completed | StepStatus::Skipped => item.clone(),
                _ => Step { issue: item.issue, ..Step::default() },
            });
            Box::new(Items { steps: again.collect(), ..Items::default() })
        });
        let (issue, signal_id) = (record.issue, Some(by));
        *self = match again {
            Some(_) => Self {
                status: StepStatus::Running,
                attempt: self.attempt,
                started_at: self.started_at,
                issue,
                items: again,
                signal_id,
                ..Self::default()
            },
            None if record.acted => Self {
                issue,
                signal_id,
                directive_id: self.directive_id,
                output: self.output.take(),
                output_by: self.output_by,
                compensable: self.compensable,
                ..Self::default()
            },
            None => Self { issue, signal_id, ..Self::default() },
        };
    }
}

/// What the signals of a run make of it: the rows, from the log alone. `None` when the log does not
/// begin with the beginning of a run.
pub fn fold<'a>(workflow: &Workflow, signals: impl IntoIterator<Item = &'a Signal>) -> Option<Run> {
    let mut signals = signals.into_iter().filter(|signal| signal.name.as_str().starts_with("workflow."));
    let mut run = begun(workflow, signals.next()?)?;
    for signal in signals {
        run.apply(workflow, signal)?;
    }
    Some(run)
}

impl Run {
    fn apply(&mut self, workflow: &Workflow, signal: &Signal) -> Option<()> {
        let (by, at) = (signal.id, signal.recorded_at);
        if let Some(change) = run_change_of(&signal.name) {
            let record = serde_json::from_str(signal.payload.text()).ok()?;
            self.evolve(change, &record, by, at);
        } else if let Some(change) = step_change_of(&signal.name) {
            let record: StepRecord = serde_json::from_str(signal.payload.text()).ok()?;
            let place = Place::step(*workflow.index.get(&record.step)?);
            let place = Place { item: record.item, undo: change.is_undo(), ..place };
            self.change(place, |step| step.evolve(change, &record, by, at));
        }
        Some(())
    }
}

fn begun(workflow: &Workflow, first: &Signal) -> Option<Run> {
    let change = run_change_of(&first.name)?;
    if !matches!(change, RunChange::Queued | RunChange::Started) {
        return None;
    }
    let record: RunRecord = serde_json::from_str(first.payload.text()).ok()?;
    let directive_id = record.directive_id?;
    let cause = record.signal_id.map_or(directive_id.into(), crate::RecordId::from);
    let mut run = Run {
        id: first.run_id?,
        tenant: first.tenant,
        workflow: record.workflow.clone(),
        version: record.version.clone(),
        signal_id: record.signal_id,
        directive_id,
        input: record.input.clone(),
        parent: record.parent,
        source: record.source,
        descent: record.descent.clone(),
        keys: record.keys.clone(),
        lineage: first.lineage.caused_by(cause),
        started_at: first.recorded_at,
        deadline: None,
        status: Status::Running,
        status_by: None,
        standing: None,
        steps: Steps::pending(workflow.steps.len()),
        output: None,
        error: None,
        ended_at: None,
        begun_at: None,
        continuation: None,
    };
    run.evolve(change, &record, first.id, first.recorded_at);
    Some(run)
}
