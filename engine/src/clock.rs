//! Where the time comes from: the system, or whoever drives the engine by hand.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fleetprompt_core::{Span, Timestamp};

pub(crate) trait Clock: Send {
    fn now(&self) -> Timestamp;

    /// How long ago `now` was last taken for what decisions saw: where the clock went back, or had been
    /// ahead, what is due still becomes due.
    fn passed(&self) -> Span {
        Span::default()
    }

    fn taken(&mut self) {}
}

pub(crate) struct SystemClock {
    taken: Instant,
    ahead: Span,
}

impl SystemClock {
    pub fn new(ahead: Span) -> Self {
        Self { taken: Instant::now(), ahead }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        system() + self.ahead
    }

    fn passed(&self) -> Span {
        Span(self.taken.elapsed().as_micros() as i64)
    }

    fn taken(&mut self) {
        self.taken = Instant::now();
    }
}

pub(crate) fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_micros() as i64))
}
