//! What travels over the API, as JSON. Ids are TypeIDs, times are RFC 3339 in UTC.

mod directives;
mod inputs;
mod nodes;
mod operations;
mod problem;
mod runs;
mod schedules;
#[cfg(feature = "openapi")]
pub mod schema;
mod signals;
mod tenants;
mod workers;
mod workflows;

use serde::{Deserialize, Serialize};

pub use directives::*;
pub use inputs::*;
pub use nodes::*;
pub use operations::*;
pub use problem::*;
pub use runs::*;
pub use schedules::*;
pub use signals::*;
pub use tenants::*;
pub use workers::*;
pub use workflows::*;

/// What the health endpoints answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    #[cfg_attr(feature = "openapi", schema(example = "ok"))]
    pub status: String,
}

/// One page of a list; `next_cursor` is absent on the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
