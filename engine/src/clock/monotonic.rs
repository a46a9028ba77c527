//! Monotonic time, and time that a simulation moves itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleetprompt_core::Timestamp;

use super::Clock;

/// Monotonic time, for everything that waits or measures: batches, leases, retries.
#[derive(Debug, Clone, Default)]
pub(crate) enum MonotonicClock {
    #[default]
    System,
    Manual(ManualTime),
}

impl MonotonicClock {
    pub fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Manual(time) => time.instant(),
        }
    }
}

/// Time of an engine that is driven manually. It stands still until it is moved, except that each reading of the
/// monotonic clock can take a moment, so that deciding takes time as it does on a real machine.
#[derive(Debug, Clone)]
pub struct ManualTime(Arc<Moved>);

#[derive(Debug)]
struct Moved {
    now: AtomicI64,
    start: Instant,
    elapsed_us: AtomicU64,
    reading_us: u64,
}

impl ManualTime {
    pub fn new(now: Timestamp, reading: Duration) -> Self {
        Self(Arc::new(Moved {
            now: AtomicI64::new(now.0),
            start: Instant::now(),
            elapsed_us: AtomicU64::new(0),
            reading_us: reading.as_micros() as u64,
        }))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.now.load(Ordering::Relaxed))
    }

    /// Sets the wall clock, also back; monotonic time only goes on.
    pub fn set(&self, now: Timestamp) {
        let before = self.0.now.swap(now.0, Ordering::Relaxed);
        self.0.elapsed_us.fetch_add((now.0 - before).max(0) as u64, Ordering::Relaxed);
    }

    /// Lets both clocks go on.
    pub fn advance(&self, by: Duration) {
        let micros = by.as_micros() as u64;
        self.0.now.fetch_add(micros as i64, Ordering::Relaxed);
        self.0.elapsed_us.fetch_add(micros, Ordering::Relaxed);
    }

    fn instant(&self) -> Instant {
        let elapsed_us = self.0.elapsed_us.fetch_add(self.0.reading_us, Ordering::Relaxed);
        self.0.start + Duration::from_micros(elapsed_us)
    }
}

impl Clock for ManualTime {
    fn now(&self) -> Timestamp {
        ManualTime::now(self)
    }
}
