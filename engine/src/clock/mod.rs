//! The time of day: read from the system, or set by the caller that drives the engine. Due times follow it, so an engine
//! that sleeps until one must be woken when the clock is set or jumps: a monotonic sleep does not notice.

mod monotonic;
#[cfg(target_os = "linux")]
mod timerfd;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded, never};
use fleetprompt_core::{Span, Timestamp};
use parking_lot::Mutex;

pub use self::monotonic::ManualTime;
pub(crate) use self::monotonic::MonotonicClock;

/// Longest sleep until a due time if the system reports that its clock was set. It limits the delay in a sandbox whose
/// kernel accepts the timer and never reports.
const SLEEP_MAX_REPORTED: Duration = Duration::from_secs(60);
/// The same if the system does not report it.
const SLEEP_MAX_UNREPORTED: Duration = Duration::from_secs(1);

pub(crate) trait Clock: Send {
    fn now(&self) -> Timestamp;

    /// How long ago `now` was last taken for what decisions saw: where the clock went back, or had been
    /// ahead, what is due still becomes due.
    fn passed(&self) -> Span {
        Span::default()
    }

    fn taken(&mut self) {}

    /// Receives a message whenever the clock was set. It is never disconnected while the clock exists.
    fn changes(&self) -> Receiver<()> {
        never()
    }

    /// Longest sleep until a due time, after which the clock must be read again.
    fn sleep_max(&self) -> Duration {
        SLEEP_MAX_UNREPORTED
    }
}

/// The wall clock that all engines of a process share.
#[derive(Debug)]
pub struct WallClock {
    ahead_us: AtomicI64,
    listeners: Mutex<Vec<Weak<Sender<()>>>>,
}

impl WallClock {
    pub(crate) fn new(ahead: Span) -> Arc<Self> {
        let clock = Arc::new(Self { ahead_us: AtomicI64::new(ahead.0), listeners: Mutex::default() });
        SystemChanges::get().clocks.lock().push(Arc::downgrade(&clock));
        clock
    }

    /// Sets how far this clock is ahead of the system's, and wakes the engines as if the system's clock had been set.
    /// Only tests call this.
    pub fn set_ahead(&self, ahead: Span) {
        self.ahead_us.store(ahead.0, Ordering::Relaxed);
        self.announce_change();
    }

    fn announce_change(&self) {
        let listeners = self.listeners.lock();
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            // A full channel holds a message that its engine has not read yet.
            let _ = listener.try_send(());
        }
    }

    fn add_listener(&self, listener: &Arc<Sender<()>>) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|other| other.strong_count() > 0);
        listeners.push(Arc::downgrade(listener));
    }
}

/// Watches the system's clock for all wall clocks of the process, on one thread.
#[derive(Default)]
struct SystemChanges {
    clocks: Mutex<Vec<Weak<WallClock>>>,
    is_reported: AtomicBool,
}

impl SystemChanges {
    fn get() -> &'static Self {
        static CHANGES: OnceLock<SystemChanges> = OnceLock::new();
        static WATCH: OnceLock<()> = OnceLock::new();
        let changes = CHANGES.get_or_init(Self::default);
        WATCH.get_or_init(|| changes.watch());
        changes
    }

    #[cfg(target_os = "linux")]
    fn watch(&'static self) {
        let watching = timerfd::ClockTimer::new().and_then(|timer| {
            self.is_reported.store(true, Ordering::Relaxed);
            std::thread::Builder::new().name("clock".into()).spawn(move || {
                let error = timer.wait_for_changes(|| self.announce_change());
                self.is_reported.store(false, Ordering::Relaxed);
                tracing::warn!(target: "engine", %error, "cannot watch the system's clock; it is read every second instead");
            })
        });
        if let Err(error) = watching {
            self.is_reported.store(false, Ordering::Relaxed);
            tracing::warn!(target: "engine", %error, "cannot watch the system's clock; it is read every second instead");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn watch(&self) {}

    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux reports changes"))]
    fn announce_change(&self) {
        let mut clocks = self.clocks.lock();
        clocks.retain(|clock| clock.strong_count() > 0);
        clocks.iter().filter_map(Weak::upgrade).for_each(|clock| clock.announce_change());
    }
}

/// The wall clock as one engine reads it.
pub(crate) struct SystemClock {
    wall: Arc<WallClock>,
    taken: Instant,
    changed: Receiver<()>,
    /// Keeps the channel connected, and this clock among the listeners.
    _listener: Arc<Sender<()>>,
}

impl SystemClock {
    pub fn new(wall: Arc<WallClock>) -> Self {
        let (listener, changed) = bounded(1);
        let listener = Arc::new(listener);
        wall.add_listener(&listener);
        Self { wall, taken: Instant::now(), changed, _listener: listener }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        system() + Span(self.wall.ahead_us.load(Ordering::Relaxed))
    }

    fn passed(&self) -> Span {
        Span(self.taken.elapsed().as_micros() as i64)
    }

    fn taken(&mut self) {
        self.taken = Instant::now();
    }

    fn changes(&self) -> Receiver<()> {
        self.changed.clone()
    }

    fn sleep_max(&self) -> Duration {
        match SystemChanges::get().is_reported.load(Ordering::Relaxed) {
            true => SLEEP_MAX_REPORTED,
            false => SLEEP_MAX_UNREPORTED,
        }
    }
}

pub(crate) fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_micros() as i64))
}
