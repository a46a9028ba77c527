//! Nodes: the processes that share a database.

use fleetprompt_core::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    pub id: String,
    /// What people know it by.
    pub name: String,
    pub version: String,
    pub status: NodeStatus,
    /// The parts of the tenants that it decides for.
    pub partitions: Vec<u16>,
    /// Requests that other nodes took in for these, and that it has not taken up yet.
    pub requests_waiting: u64,
    /// How long the oldest of them has waited.
    pub lag_ms: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub started_at: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub last_seen: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    Up,
    /// It answers, and decides for nobody.
    Draining,
    /// It has been silent for longer than its lease.
    Gone,
}
