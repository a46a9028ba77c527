//! How the engine ends: told once, and heard when it has. Also whether it can take work until then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::watch;

pub(crate) struct Shutdown {
    stop: Sender<Duration>,
    ended: watch::Sender<bool>,
    ended_now: AtomicBool,
    /// The store refused the last commit, or the last probe after it.
    refuses_commits: AtomicBool,
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
                refuses_commits: AtomicBool::new(false),
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

    pub fn refuses_commits(&self) -> bool {
        self.refuses_commits.load(Ordering::Relaxed)
    }

    pub fn set_refuses_commits(&self, refuses: bool) {
        self.refuses_commits.store(refuses, Ordering::Relaxed);
    }
}
