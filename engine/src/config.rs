//! The bounds that the engine works in.

use std::time::Duration;

use fleetprompt_core::{Meter, Span};

use crate::descent::DescentLimits;
use crate::models::ModelsConfig;

#[derive(Debug)]
pub struct Config {
    /// Inputs that may wait; beyond it callers are told to come back.
    pub queue_max: usize,
    /// Signals and other inputs that are taken up together, to be decided and committed.
    pub batch_max: usize,
    /// The work that one decision may do before it leaves the rest to the next one.
    pub decision_units: u64,
    /// Whether effects are performed here. If not, they stay in flight for the next engine that does.
    pub performs: bool,
    /// Bytes of memory that requests in flight may take, of all tenants together.
    pub request_memory: usize,
    /// Effects performed at once.
    pub effects_max: usize,
    /// Whether endpoints may stand at loopback and private addresses. Only for development.
    pub allow_private_endpoints: bool,
    /// How long `stop` lets effects that have begun come to their end.
    pub grace: Duration,
    /// How long a worker may be silent about an attempt before another gets it.
    pub lease: Duration,
    pub models: ModelsConfig,
    /// Limits for the runs that descend from one signal or directive.
    pub descent: DescentLimits,
    /// How far the clock of this process is ahead of the system's. Only for tests of what a wrong clock does.
    pub clock_ahead: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_max: 16_384,
            batch_max: 1_024,
            decision_units: Meter::DECISION_UNITS,
            request_memory: 128 << 20,
            performs: true,
            effects_max: 256,
            allow_private_endpoints: false,
            grace: Duration::from_secs(10),
            lease: Duration::from_secs(15),
            models: ModelsConfig::default(),
            descent: DescentLimits::default(),
            clock_ahead: Span::default(),
        }
    }
}
