//! What is true, and what follows from it.
//!
//! Every move of the engine is decided here: `(state, input, moment) -> decision`. Nothing in this
//! crate waits, reads a clock, draws a random number or touches a file, so each decision can be
//! tested as a table, simulated by seed and rebuilt from the log.

pub mod agent;
pub mod diagnostic;
pub mod directive;
pub mod document;
pub mod drawing;
pub mod expression;
pub mod failure;
pub mod function;
pub mod id;
pub mod json;
pub mod meter;
pub mod moment;
pub mod name;
pub mod performs;
pub mod registration;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod schema;
pub mod schemas;
pub mod scope;
pub mod signal;
pub mod signature;
pub mod tenant;
pub mod time;
pub mod trace;
pub mod workflow;

pub use failure::Failure;
pub use id::{DirectiveId, KeyId, RecordId, RunId, SignalId, TenantId, WorkflowVersionId};
pub use json::Json;
pub use meter::Meter;
pub use moment::Moment;
pub use name::{Name, Slug};
pub use scope::{Lineage, Party, Scope};
pub use signal::Signal;
pub use time::{Span, Timestamp};
