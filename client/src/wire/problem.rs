//! What is answered when something goes wrong.

use fleetprompt_core::diagnostic::Located;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;

/// RFC 9457 `application/problem+json`, with a stable code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Stable, lower case: what programs compare.
    pub code: String,
    pub detail: String,
    /// What is wrong in a document, all at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<schema::Located>))]
    pub diagnostics: Vec<Located>,
}
