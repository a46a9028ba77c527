//! A clock that went back. Decisions go on from the latest time that was decided, which stays ahead of the clock until the
//! clock has caught up. Only the log can say so.

use std::time::{Duration, Instant};

use fleetprompt_core::Span;

/// Clocks that are corrected by less are normal.
const LAG_MIN: Span = Span(5_000_000);
const LOG_EVERY: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct ClockLag {
    logged_at: Option<Instant>,
}

impl ClockLag {
    /// `lag` is how far the clock is behind the time of decisions.
    pub fn note(&mut self, lag: Span, now: Instant) {
        let is_behind = lag >= LAG_MIN;
        match self.logged_at {
            Some(_) if !is_behind => {
                tracing::info!(target: "engine", "the clock of this machine has caught up with the time of decisions");
                self.logged_at = None;
            }
            Some(at) if now.duration_since(at) < LOG_EVERY => {}
            None if !is_behind => {}
            _ => {
                tracing::warn!(
                    target: "engine", behind_s = lag.0 / 1_000_000,
                    "the clock of this machine is behind the time of the last decision, so it went back or was ahead before: \
                     recorded times and due times follow the last decision until the clock has caught up"
                );
                self.logged_at = Some(now);
            }
        }
    }
}
