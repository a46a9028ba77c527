//! Runs, their steps, their timeline, and why anything is on record.

use fleetprompt_core::run::StepStatus;
use fleetprompt_core::{DirectiveId, Failure, Json, Party, RecordId, RunId, SignalId, Slug, Timestamp, run};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;
use super::{Directive, Signal};

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::SignalId>))]
    pub signal_id: Option<SignalId>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::DirectiveId))]
    pub directive_id: DirectiveId,
    pub correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub started_at: Timestamp,
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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::StepStatus))]
    pub status: StepStatus,
    pub attempt: u32,
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
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
}

/// `{"run": …}`: one run with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    pub run: Run,
}

/// Everything on record about one run, in order: what triggered it, the directive that started it,
/// and the signals of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timeline {
    pub run: Run,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Signal>,
    pub directive: Directive,
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
