//! What a tenant has registered, as it is stored: documents, and which of them are in force.

use serde::{Deserialize, Serialize};

use crate::function::ModuleDigest;
use crate::schedule::State;
use crate::workflow::LanguageRevision;
use crate::{Json, Name, Slug, TenantId, Timestamp, WorkflowVersionId};

/// A workflow as operators see it: which version signals start, if any.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowEntry {
    pub tenant: TenantId,
    pub slug: Slug,
    pub status: WorkflowStatus,
    /// The version that new runs take. None while no version was ever activated.
    pub active_version: Option<String>,
    pub updated_at: Timestamp,
}

/// `draft → active ⇄ paused → archived`; an archived workflow may be activated again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStatus {
    Draft,
    Active,
    /// Signals for it are refused, by name; runs that have begun go on.
    Paused,
    /// It subscribes to nothing.
    Archived,
}

impl WorkflowStatus {
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Paused, Self::Archived];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Archived => "archived",
        }
    }
}

/// One version of a workflow. Its document never changes once it was active.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowVersion {
    pub id: WorkflowVersionId,
    pub tenant: TenantId,
    pub slug: Slug,
    pub version: String,
    pub document: Json,
    pub digest: String,
    pub created_at: Timestamp,
    /// Revision of the language that the document is written in.
    pub language: LanguageRevision,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AgentEntry {
    pub tenant: TenantId,
    pub slug: Slug,
    pub document: Json,
    pub digest: String,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DirectiveTypeEntry {
    pub tenant: TenantId,
    pub name: Name,
    pub document: Json,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionEntry {
    pub tenant: TenantId,
    pub name: Name,
    pub document: Json,
    pub updated_at: Timestamp,
}

/// A module of WebAssembly that a tenant uploaded. Its bytes never change, and are read when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleEntry {
    pub tenant: TenantId,
    pub digest: ModuleDigest,
    pub size: u64,
    pub created_at: Timestamp,
}

/// A schedule as it was applied, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleEntry {
    pub tenant: TenantId,
    pub slug: Slug,
    pub document: Json,
    pub digest: String,
    pub state: State,
}
