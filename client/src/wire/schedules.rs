//! Schedules: what emits signals when a time has come.

use fleetprompt_core::diagnostic::Located;
use fleetprompt_core::schedule::Status;
use fleetprompt_core::{Json, Name, SignalId, Slug, Timestamp};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Schedule {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ScheduleStatus))]
    pub status: Status,
    /// The cron expression with its time zone, or `every` and the length of time.
    pub timing: String,
    /// The signal that it emits.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub signal: Name,
    /// What is due next. Absent when nothing is due any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub next_at: Option<Timestamp>,
    /// The due time of the last fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub last_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::SignalId>))]
    pub last_signal_id: Option<SignalId>,
    /// A due time that waits until the runs of the last fire have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub queued_at: Option<Timestamp>,
    /// Why it is paused or archived, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub digest: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub updated_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub document: Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedSchedule {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub digest: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ScheduleStatus))]
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub next_at: Option<Timestamp>,
    /// False: this very document was in force already.
    pub changed: bool,
    /// Warnings.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::Located>))]
    pub diagnostics: Vec<Located>,
}

/// To pause, resume, trigger or archive a schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OrderSchedule {
    /// At most 1,000 characters; it is put on record.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackfillSchedule {
    /// What was due then is included.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub from: Timestamp,
    /// What was due then is included. It must have come.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub to: Timestamp,
    /// At most 1,000 characters; it is put on record.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub reason: Option<String>,
}

/// A schedule as it is now, and what an order made it emit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FiredSchedule {
    pub schedule: Schedule,
    /// In the order of their due times.
    pub fires: Vec<ScheduleFired>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleFired {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::SignalId))]
    pub signal_id: SignalId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub due_at: Timestamp,
    /// It had fired before; the signal is that one.
    pub deduplicated: bool,
}

/// A fire that is to come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleFire {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub due_at: Timestamp,
    /// `due_at` and the jitter. Absent where the tenant is not known, by which jitter differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub fires_at: Option<Timestamp>,
    /// `due_at` on the clocks of the schedule's time zone.
    pub local: String,
}
