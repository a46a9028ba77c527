//! What the engine does while its store refuses commits: it says so in the log once per interval, reports that it is not
//! ready, and probes the store, since a load balancer sends no request to a server that is not ready.

use std::time::{Duration, Instant};

use fleetprompt_store::Error as StoreError;

use super::Decider;

const PROBE_EVERY: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Since the first commit that was refused.
pub(super) struct Refusing {
    pub probe_at: Instant,
    logged_at: Instant,
    /// Number of commits refused since the last line of the log.
    unlogged: u64,
}

impl Decider {
    pub(super) fn commit_refused(&mut self, error: &StoreError) {
        self.metrics.commits_failed.inc();
        self.shutdown.set_refuses_commits(true);
        let now = self.monotonic.now();
        match &mut self.refusing {
            None => {
                tracing::error!(
                    target: "store", %error,
                    "a commit failed, and its callers are told so; the log repeats this at most once a minute"
                );
                self.refusing = Some(Refusing { probe_at: now + PROBE_EVERY, logged_at: now, unlogged: 0 });
            }
            Some(refusing) => {
                refusing.probe_at = now + PROBE_EVERY;
                refusing.unlogged += 1;
                refusing.log_if_due(error, now);
            }
        }
    }

    pub(super) fn commit_accepted(&mut self) {
        if self.refusing.take().is_some() {
            self.shutdown.set_refuses_commits(false);
            tracing::info!(target: "store", "the store accepts commits again");
        }
    }

    pub(super) fn probe_if_due(&mut self) {
        let now = self.monotonic.now();
        if self.is_lost || self.refusing.as_ref().is_none_or(|refusing| refusing.probe_at > now) {
            return;
        }
        match self.store.probe() {
            Ok(()) => self.commit_accepted(),
            Err(error) => {
                if let Some(refusing) = &mut self.refusing {
                    refusing.probe_at = self.monotonic.now() + PROBE_EVERY;
                    refusing.log_if_due(&error, now);
                }
            }
        }
    }
}

impl Refusing {
    fn log_if_due(&mut self, error: &StoreError, now: Instant) {
        if now.duration_since(self.logged_at) >= LOG_EVERY {
            tracing::error!(target: "store", %error, refused = self.unlogged, "the store still refuses commits");
            (self.logged_at, self.unlogged) = (now, 0);
        }
    }
}
