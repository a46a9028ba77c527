//! What waits for people.

use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, RunId, Slug, Timestamp};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;

/// A step that waits for somebody's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InputRequest {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunId))]
    pub run_id: RunId,
    pub step: String,
    /// Of a step that goes over a list, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub workflow: Slug,
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Who may answer now: this role and those above it.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Role))]
    pub role: Role,
    /// Whether the caller's role may.
    pub may_answer: bool,
    /// What the answer must look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub schema: Option<Json>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub since: Timestamp,
    /// When the wait fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub timeout_at: Option<Timestamp>,
    /// When others are asked as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub escalate_at: Option<Timestamp>,
    /// How often that has happened.
    pub escalated: u32,
}
