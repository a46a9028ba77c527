//! What people do to runs and their steps. Each is a directive, so that who did it and why is on record.

use std::collections::BTreeMap;

use fleetprompt_core::{DirectiveId, Json, RunId, Slug, Timestamp, run};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;
use super::{Directive, Problem, Run};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub reason: Option<String>,
    /// Whether what it did is undone before it ends.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compensate: bool,
}

/// Why, which is kept on record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RetryRun {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
    /// The steps to begin with; those that failed, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Whether what has succeeded is done a second time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reissue: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RerunRun {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
    /// Another version of the same workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A corrected input, which may be `null`; the same one unless given.
    #[serde(default, deserialize_with = "fleetprompt_core::json::present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub input: Option<Json>,
    /// The step to begin with: what does not lie behind it keeps its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether what has succeeded is done a second time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reissue: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SkipStep {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
    /// One item of a step that goes over a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteStep {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub output: Json,
    /// One item of a step that goes over a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswerStep {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub value: Json,
    /// One item of a step that goes over a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
}

/// What was done, and the run as it is now: of `rerun`, the new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operated {
    pub run: Run,
    pub directive: Directive,
    /// The same intent was known already, and nothing was done again.
    pub replayed: bool,
}

/// What is done to many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    Cancel,
    Pause,
    Resume,
    Retry,
    Rerun,
}

impl BulkAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Rerun => "rerun",
        }
    }
}

/// Which runs are meant: all that fit every field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkFilter {
    /// Any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::RunStatus>, required = false))]
    pub status: Vec<run::Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Slug>))]
    pub workflow: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub parent: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub source: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Asked for at that time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub since: Option<Timestamp>,
    /// Asked for before that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub until: Option<Timestamp>,
}

/// The same for many runs, newest first, at most 1,000 in one request. Unless `preview` is false,
/// nothing is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    pub action: BulkAction,
    pub filter: BulkFilter,
    #[serde(default = "yes")]
    #[cfg_attr(feature = "openapi", schema(default = true, required = false))]
    pub preview: bool,
    /// Kept on record with each; needed unless it is a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 1000))]
    pub reason: Option<String>,
    /// 1 to 1,000 runs; 1,000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
    /// The `next_cursor` of the request before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// `cancel`: whether what they did is undone before.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compensate: bool,
    /// `retry`, `rerun`: whether what has succeeded is done a second time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reissue: bool,
    /// `retry`: from these steps on; `rerun`: from one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// `rerun`: another version of the same workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What was found, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkAnswer {
    pub preview: bool,
    /// The runs of this request that the filter found, newest first.
    pub runs: Vec<BulkRun>,
    pub counts: BulkCounts,
    /// There are more; the next request goes on here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkCounts {
    pub found: usize,
    /// Done; in a preview, what could be as it is now.
    pub fit: usize,
    pub refused: usize,
    /// Before anything was done.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, usize>))]
    pub by_status: BTreeMap<run::Status, usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkRun {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunId))]
    pub run_id: RunId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub workflow: Slug,
    pub version: String,
    /// Before anything was done.
    #[cfg_attr(feature = "openapi", schema(value_type = schema::RunStatus))]
    pub status: run::Status,
    /// Whether it was done; in a preview, whether it could be.
    pub fits: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::DirectiveId>))]
    pub directive_id: Option<DirectiveId>,
    /// `rerun`: the run that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub started: Option<RunId>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn yes() -> bool {
    true
}
