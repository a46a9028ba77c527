//! On whose behalf something is done.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{RecordId, TenantId};

/// What a record is about, or who caused it: `{"type": "thread", "id": "42"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

impl Party {
    pub const BYTES_MAX: usize = 255;

    pub fn new(kind: &str, id: impl ToString) -> Self {
        Self { kind: kind.to_owned(), id: id.to_string() }
    }

    /// The engine itself, acting by rule.
    pub fn engine() -> Self {
        Self::new("engine", "fleetprompt")
    }

    pub fn is_valid(&self) -> bool {
        let fits = |text: &str| (1..=Self::BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
        fits(&self.kind) && fits(&self.id)
    }
}

/// Where a record stands in the chain of cause and effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// Groups related work: the caller's own text, or the id of the first record.
    pub correlation_id: Arc<str>,
    /// The one record that caused this one; none for a root fact.
    pub causation_id: Option<RecordId>,
    /// Number of runs between this record and its root. It stays at the largest number once that is reached: a
    /// workflow may start its next run for years.
    pub depth: u16,
}

impl Lineage {
    pub const CORRELATION_BYTES_MAX: usize = 255;

    /// The lineage of a root fact.
    pub fn root(correlation_id: impl Into<Arc<str>>) -> Self {
        Self { correlation_id: correlation_id.into(), causation_id: None, depth: 0 }
    }

    /// What follows from `cause`, in the same group.
    pub fn caused_by(&self, cause: impl Into<RecordId>) -> Self {
        Self { correlation_id: self.correlation_id.clone(), causation_id: Some(cause.into()), depth: self.depth }
    }

    /// The lineage of a run that the holder of this lineage starts.
    pub fn of_run(self) -> Self {
        Self { depth: self.depth.saturating_add(1), ..self }
    }
}

/// The tenant and the actor, both from the credential, never from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub tenant: TenantId,
    pub actor: Party,
}
