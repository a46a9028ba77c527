//! What a tenant registers for its runs: workflows, agents; and the functions that are there.

use std::collections::BTreeMap;

use fleetprompt_core::diagnostic::Located;
use fleetprompt_core::json::present;
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::{Json, Name, Slug, Timestamp, run};
use serde::{Deserialize, Serialize};

use super::Refusal;

#[cfg(feature = "openapi")]
use super::schema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workflow {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::WorkflowStatus))]
    pub status: WorkflowStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_version: Option<String>,
    /// The signals that start it.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::Name>))]
    pub signals: Vec<Name>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub updated_at: Timestamp,
    /// The runs that have not ended, of each version that has some; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub in_flight: Vec<InFlight>,
    /// The last ten signals that it refused, newest first; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub refusals: Vec<Refusal>,
}

/// Runs of one version that have not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InFlight {
    pub version: String,
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub by_status: BTreeMap<run::Status, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowVersion {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub version: String,
    pub active: bool,
    pub digest: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub created_at: Timestamp,
    /// Its runs that have not ended, by status; only in the list of versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>, required = false))]
    pub in_flight: BTreeMap<run::Status, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub document: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Validated {
    pub valid: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Slug>))]
    pub slug: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::Located>))]
    pub diagnostics: Vec<Located>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedWorkflow {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub version: String,
    pub digest: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::WorkflowStatus))]
    pub status: WorkflowStatus,
    /// False: this very document was there already.
    pub changed: bool,
    /// Warnings.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::Located>))]
    pub diagnostics: Vec<Located>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The newest version unless given.
    #[serde(default)]
    pub version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Agent {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub name: String,
    /// Provider and model as they would be called now.
    pub model: String,
    pub digest: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub updated_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub document: Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedAgent {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub digest: String,
    pub changed: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::Located>))]
    pub diagnostics: Vec<Located>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Function {
    pub name: String,
    pub summary: String,
    /// `engine`, which calls it in the moment in which it is decided, as it does `wasm`, or `worker`.
    pub handler: String,
    /// Where it is called, of `wasm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ModuleDigest>))]
    pub module: Option<String>,
    /// Field, type and meaning of each input, of the engine's own.
    pub input: Vec<FunctionField>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub input_schema: Option<Json>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub example_input: Option<Json>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub example_output: Option<Json>,
    /// Of those that the tenant registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub updated_at: Option<Timestamp>,
}

/// A module of WebAssembly that functions may be called in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Module {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ModuleDigest))]
    pub digest: String,
    /// In bytes.
    pub size: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunctionField {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub summary: String,
}
