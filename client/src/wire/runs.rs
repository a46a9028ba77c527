//! Runs, their steps, their timeline, and why anything is on record.

use std::collections::BTreeMap;

use fleetprompt_core::run::{FlowKeys, QueueReason, StepStatus, Waiting};
use fleetprompt_core::{DirectiveId, Failure, Json, Party, RecordId, RunId, SignalId, Slug, Timestamp, run};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;
use super::{Directive, Refusal, Signal};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunId))]
    pub id: RunId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub workflow: Slug,
    pub version: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunStatus))]
    pub status: run::Status,
    /// Why it stands, while it neither just runs nor has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// The step of another run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run that it does again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub source: Option<RunId>,
    /// What flow control counts it under.
    #[serde(default, skip_serializing_if = "FlowKeys::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::FlowKeys, required = false))]
    pub keys: FlowKeys,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::SignalId>))]
    pub signal_id: Option<SignalId>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::DirectiveId))]
    pub directive_id: DirectiveId,
    pub correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
    /// When it was asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub started_at: Timestamp,
    /// When it began; absent while it is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub begun_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub deadline: Option<Timestamp>,
    /// Why it has not ended yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub input: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
    /// Absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Workflows that its end, or a signal that it emitted, did not start although they subscribe to it; absent in
    /// lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub refusals: Vec<Refusal>,
}

/// Why a run stands: what it waits for in a queue, who stopped it, how it is to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Standing {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub since: Timestamp,
    /// It is `queued`: for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queued>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Party>))]
    pub by: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
    /// It is to end: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queued {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::QueueReason))]
    pub reason: QueueReason,
    /// What it is counted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it begins at the latest, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub until: Option<Timestamp>,
    /// Debounced: when the first of the signals came for which it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub since: Option<Timestamp>,
}

/// How a run that is to end will have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ending {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunStatus))]
    pub status: run::Status,
    /// Whether what it did is undone before.
    pub compensate: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Party>))]
    pub by: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parent {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunId))]
    pub run_id: RunId,
    /// Absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// Whether that step ends when this run does.
    pub waits: bool,
}

/// Where a step stands, or one item of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// It is one item of a step that goes over a list: which, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::StepStatus))]
    pub status: StepStatus,
    pub attempt: u32,
    /// How many iterations of `repeat` have completed.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub iteration: u32,
    /// How often an operator had its effect asked for anew.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub issue: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::DirectiveId>))]
    pub directive_id: Option<DirectiveId>,
    /// For what it waits, until when, and who may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Waiting>))]
    pub waiting: Option<Waiting>,
    /// The lock that it holds, or waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub due_at: Option<Timestamp>,
    /// Of a step that goes over a list only up to 1 MiB: its items have the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
    /// It goes over a list: how many items there are, and how far they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Items>,
    /// What undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Compensation>,
    /// Where its attempt stands, where workers are to make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_worker: Option<super::AttemptStanding>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Compensation {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::StepStatus))]
    pub status: StepStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::DirectiveId>))]
    pub directive_id: Option<DirectiveId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Items {
    pub total: u32,
    /// How many stand where.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u32>))]
    pub by_status: BTreeMap<StepStatus, u32>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// `{"run": …}`: one run with its steps, as many of them as fit into one response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    pub run: Run,
    /// Where `GET /v1/runs/{id}/steps` goes on with the steps; absent if they are all here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A page of everything on record about one run, in order: what triggered it and the directive that started it, which
/// only the first page has, and the signals of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timeline {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Signal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directive: Option<Directive>,
    pub signals: Vec<Signal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The chain of causes of a record, from itself up to the root fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Why {
    pub chain: Vec<Cause>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cause {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RecordId))]
    pub id: RecordId,
    /// The name of the signal or directive; of a run, its workflow and version.
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Party))]
    pub actor: Party,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Party>))]
    pub subject: Option<Party>,
    /// In words: what it says.
    pub summary: String,
}
