//! How it is carried out: ingest, route, handle, advance, perform.
//!
//! One thread decides. It takes all inputs that wait, lets `core` decide each to its end in memory,
//! writes what the whole batch came to in one commit, and only then answers the callers and lets
//! effects begin. Effects run beside it as tasks and come back as the next inputs.

pub mod background;
mod batch;
mod by_hand;
mod cache;
mod cascade;
pub mod cases;
mod clock;
pub mod codes;
mod compile;
mod compute;
mod config;
mod descent;
mod directives;
mod directory;
mod engine;
mod error;
pub mod functions;
mod hand_out;
mod input;
pub mod memory;
mod metrics;
pub mod models;
pub mod modules;
mod perform;
mod queue;
mod registrations;
mod resources;
mod standing;
mod stop;
mod timers;
mod turns;
mod urgent;
mod verify;
pub mod workers;

pub use by_hand::{Answer, Bounds, ByHand, Decided, PerformBounds, Task, TaskKind};
pub use clock::{ManualTime, WallClock};
pub use compute::ComputeSlots;
pub use config::Config;
pub use descent::DescentLimits;
pub use directives::built_in;
pub use directory::{Directory, Scheduled, TenantDirectory, Workflows};
pub use engine::{AttemptReport, Engine};
pub use error::{Error, Refusal, RefusalKind};
pub use hand_out::{Delivered, HandOut, TakenAttempts};
pub use input::{
    AddedModule, AppliedAgent, AppliedDirectiveType, AppliedFunction, AppliedSchedule, AppliedWorkflow, CreatedKey,
    Emitted, Fired, NewDirective, NewKey, OrderedSchedule, Requested, ScheduleOrder, TenantChange,
};
pub use metrics::Metrics;
pub use perform::shown_url;
pub use queue::Backlog;
pub use resources::{Observer, Resources};
pub use verify::{Report, verify};
