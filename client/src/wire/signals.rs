//! Facts as they are told, recorded and listed, and what became of each.

use fleetprompt_core::signal::DispositionKind;
use fleetprompt_core::{DirectiveId, Json, Name, Party, RecordId, RunId, SignalId, Slug, Timestamp};
use serde::{Deserialize, Serialize};

use super::Problem;
#[cfg(feature = "openapi")]
use super::schema;

/// A fact to record. `name` is required; what has no `dedupe_key` and no `source_event_id` is always new. Under a used key
/// of the same name, the same payload is the same signal, and another payload is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EmitSignal {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Party>))]
    pub subject: Option<Party>,
    /// Who caused it; the key that emits it unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Party>))]
    pub actor: Option<Party>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub source: Option<String>,
    /// Unique for each `source` and name of a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub source_event_id: Option<String>,
    /// Unique for each name of a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub dedupe_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub occurred_at: Option<Timestamp>,
    /// Any JSON up to 1 MiB and 64 levels; `{}` unless given. `null` is a payload as well.
    #[serde(default, deserialize_with = "fleetprompt_core::json::present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub payload: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Signal {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::SignalId))]
    pub id: SignalId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Party>))]
    pub subject: Option<Party>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Party))]
    pub actor: Party,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    pub correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::DirectiveId>))]
    pub directive_id: Option<DirectiveId>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub occurred_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub recorded_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub payload: Json,
}

/// Enough of a recorded signal to find it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignalReceipt {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::SignalId))]
    pub id: SignalId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    pub correlation_id: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub recorded_at: Timestamp,
}

/// The answer to one emitted signal: it is durable, and this is what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Emitted {
    pub signal: SignalReceipt,
    /// The fact was known already: `signal` is the one that was recorded first.
    pub deduplicated: bool,
    pub dispositions: Vec<Disposition>,
}

/// The answer to many: one result for each signal, in the order they were given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmittedMany {
    pub results: Vec<EmitResult>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum EmitResult {
    Emitted(Emitted),
    Refused { error: Problem },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Disposition {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub workflow: Slug,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::DispositionKind))]
    pub disposition: DispositionKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A workflow that a signal did not start although the workflow subscribes to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refusal {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub workflow: Slug,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::SignalId))]
    pub signal_id: SignalId,
    pub reason: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub at: Timestamp,
}

/// One signal and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignalDetail {
    pub signal: Signal,
    /// The first 1,000, by workflow.
    pub dispositions: Vec<Disposition>,
    /// Whether there are more than these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_more_dispositions: bool,
}
