//! What workers say and hear: attempts as they are taken, kept and reported; and workers as people see them.

use std::collections::BTreeMap;

use fleetprompt_core::performs::Pattern;
use fleetprompt_core::{Json, KeyId, Name, RecordId, RunId, Slug, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::Problem;
#[cfg(feature = "openapi")]
use super::schema;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkerAbout {
    /// Tells it from other workers with the same key.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub labels: BTreeMap<String, String>,
    /// How many attempts it makes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TakeAttempts {
    pub worker: WorkerAbout,
    /// Names of functions and directives: `mail.send`, `mail.*` or `*`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, min_items = 1, max_items = 200))]
    pub performs: Vec<Pattern>,
    /// How many it takes at most; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100))]
    pub limit: Option<u32>,
    /// The ids of the attempts that it is at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false, max_items = 1000))]
    pub holding: Vec<String>,
    /// How long it waits for something to do, up to `60s`; not at all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub wait: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TakenAttempts {
    pub attempts: Vec<Attempt>,
    /// Of those that the worker is holding: what nobody wants any more.
    pub canceled: Vec<String>,
    /// The server is about to stop: ask again in a second.
    pub shutdown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    Function,
    Directive,
}

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// The name of this delivery, for heartbeats and the report.
    pub id: String,
    pub kind: AttemptKind,
    /// Of the function or the directive.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub input: Json,
    /// The same for every attempt and every delivery.
    pub idempotency_key: String,
    /// One more after each that failed.
    pub attempt: u32,
    /// How often this attempt was handed out.
    pub delivery: u32,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub tenant: Slug,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Slug>))]
    pub workflow: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Of a step that goes over a list, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    pub correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
    /// Of W3C Trace Context.
    pub traceparent: String,
    /// How soon there must be a heartbeat or the report.
    pub lease_ms: u64,
    /// How long it may take in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeepAttempts {
    pub worker: WorkerAbout,
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub attempts: Vec<KeepAttempt>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeepAttempt {
    pub id: String,
    /// How far it is, for people; up to 4 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub progress: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptAttempts {
    /// In the order of the request.
    pub results: Vec<KeptAttempt>,
    pub shutdown: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum KeptAttempt {
    Kept {
        id: String,
        lease_ms: u64,
        /// Nobody wants it any more.
        cancel_requested: bool,
    },
    Refused {
        id: String,
        error: Problem,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReportAttempts {
    pub worker: WorkerAbout,
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub outcomes: Vec<AttemptOutcome>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AttemptOutcome {
    pub id: String,
    pub status: AttemptStatus,
    /// Of one that succeeded; `null` unless given.
    #[serde(default, deserialize_with = "fleetprompt_core::json::present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    /// Of one that is to be tried again, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<super::ReportedFailure>,
    /// Not before that is it tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub delay: Option<Span>,
    /// Lines that belong to it; up to 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false, max_items = 100))]
    pub logs: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptStatus {
    Succeeded,
    /// It failed for now.
    Retry,
    /// It failed for good.
    Failed,
    /// It was called off, and nothing happened.
    Canceled,
}

impl AttemptStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportedAttempts {
    /// In the order of the request.
    pub results: Vec<ReportedAttempt>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ReportedAttempt {
    /// It is on record.
    Recorded {
        id: String,
    },
    Refused {
        id: String,
        error: Problem,
    },
}

/// What an endpoint calls back with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Callback {
    pub status: CallbackStatus,
    #[serde(default, deserialize_with = "fleetprompt_core::json::present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<super::ReportedFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub delay: Option<Span>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false, max_items = 100))]
    pub logs: Vec<String>,
    /// While it is working, how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub progress: Option<Json>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallbackStatus {
    Working,
    Succeeded,
    Retry,
    Failed,
    Canceled,
}

impl Callback {
    /// As a worker would report it.
    pub fn outcome(self, id: String) -> AttemptOutcome {
        let status = match self.status {
            CallbackStatus::Succeeded => AttemptStatus::Succeeded,
            CallbackStatus::Retry => AttemptStatus::Retry,
            CallbackStatus::Failed => AttemptStatus::Failed,
            CallbackStatus::Working | CallbackStatus::Canceled => AttemptStatus::Canceled,
        };
        let Self { output, error, delay, logs, .. } = self;
        AttemptOutcome { id, status, output, error, delay, logs }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CalledBack {
    /// Nobody wants it any more.
    pub cancel_requested: bool,
}

/// A worker that was heard of within a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Worker {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::KeyId))]
    pub key_id: KeyId,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub performs: Vec<Pattern>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub labels: BTreeMap<String, String>,
    /// It takes the work of every tenant.
    pub all_tenants: bool,
    pub slots: u32,
    /// How many attempts of this tenant it has.
    pub taken: u32,
    /// It asks for work at this moment.
    pub is_waiting: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub first_seen: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub last_seen: Timestamp,
}

/// Where an attempt stands that workers are to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptStanding {
    /// Of the function or the directive.
    pub name: String,
    pub status: AttemptPlace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub since: Timestamp,
    /// How often it was handed out.
    pub delivery: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub progress: Option<Json>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptPlace {
    /// It waits, and no worker performs such a thing.
    NoWorker,
    /// It waits for a worker that is free.
    Waiting,
    Taken,
}
