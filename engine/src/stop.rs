//! How the engine ends: told once, and heard when it has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use tokio::sync::watch;

const UNREADY_FOR: Duration = Duration::from_secs(5);

pub(crate) struct Shutdown {
    stop: Sender<Duration>,
    ended: watch::Sender<bool>,
    ended_now: AtomicBool,
    /// When the store last refused a commit.
    failed_at: Mutex<Option<Instant>>,
    grace: Duration,
}

impl Shutdown {
    pub fn new(grace: Duration) -> (Self, Receiver<Duration>) {
        let (stop, stopped) = bounded(1);
        (
            Self {
                stop,
                ended: watch::Sender::new(false),
                ended_now: AtomicBool::new(false),
                failed_at: Mutex::new(None),
                grace,
            },
            stopped,
        )
    }

    /// Effects that have begun may end within the grace.
    pub async fn stop(&self, grace: Duration) {
        // Full means that somebody has asked already.
        let _ = self.stop.try_send(grace);
        self.until_ended().await;
    }

    pub async fn until_ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub fn ended(&self) {
        self.ended_now.store(true, Ordering::Relaxed);
        self.ended.send_replace(true);
    }

    pub fn has_ended(&self) -> bool {
        self.ended_now.load(Ordering::Relaxed)
    }

    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Requests are how one finds out that the store is well again, so after a failure they are only
    /// kept away for a while.
    pub fn is_ready(&self) -> bool {
        let failed = self.failed_at.lock().is_some_and(|at| at.elapsed() < UNREADY_FOR);
        !failed && !self.ended_now.load(Ordering::Relaxed)
    }

    pub fn commit_failed(&self) {
        *self.failed_at.lock() = Some(Instant::now());
    }
}
