//! Limits of what one root may lead to: how many of its descendants may be open at once, and how many runs, signals
//! and bytes of payload they may add within a window.
//!
//! The counters are memory, derived from the rows of the descendants (`Store::root_usage`) and never written by
//! themselves. They change after a commit; decisions of the batch in progress add what they stage. A root whose counters were
//! evicted is read again when it matters next.

use std::collections::{HashMap, VecDeque};

use fleetprompt_core::run::Descendants;
use fleetprompt_core::{RecordId, Span, TenantId, Timestamp};
use fleetprompt_store::Store;
use hashlink::LruCache;

use crate::Error;

/// Roots whose counters are held in memory.
const ROOTS_MAX: usize = 50_000;
/// The window moves on in this many parts.
const WINDOW_PARTS: i64 = 10;

/// Limits for the descendants of one root.
#[derive(Debug, Clone, Copy)]
pub struct DescentLimits {
    /// Runs that are open or about to start at the same time.
    pub open_max: u64,
    /// Runs started, signals recorded and bytes of their payloads, within the window.
    pub window_max: Descendants,
    pub window: Span,
}

impl Default for DescentLimits {
    fn default() -> Self {
        Self {
            open_max: 25_000,
            window_max: Descendants { runs: 50_000, signals: 500_000, bytes: 512 << 20 },
            window: Span::from_secs(600),
        }
    }
}

pub(crate) type RootKey = (TenantId, RecordId);

/// What decisions that are not committed yet add to the counters of a root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DescentDelta {
    pub open: i64,
    /// Directives `workflow.run.start` that a large cascade left to later batches.
    pub deferred: i64,
    pub added: Descendants,
}

#[derive(Debug, Default)]
pub(crate) struct DescentDeltas(HashMap<RootKey, DescentDelta>);

/// A limit that another descendant would exceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitExceeded {
    root: RecordId,
    what: &'static str,
    max: u64,
    within: Option<Span>,
}

pub(crate) struct DescentTracker {
    limits: DescentLimits,
    roots: LruCache<RootKey, Counters>,
    /// A root that came into being after this has no descendants that are not counted in memory.
    complete_since: Timestamp,
}

#[derive(Debug, Clone, Default)]
struct Counters {
    open: i64,
    deferred: i64,
    total: Descendants,
    /// The total at the beginning of each part of the window in which something was added.
    marks: VecDeque<(i64, Descendants)>,
    changed_at: Timestamp,
}

impl DescentTracker {
    /// `now` is when this engine began: older roots are read from the store.
    pub fn new(limits: DescentLimits, now: Timestamp) -> Self {
        Self { limits, roots: LruCache::new_unbounded(), complete_since: now }
    }

    /// Decides whether a root may have one more descendant. Returns what the root has led to so far, with what is
    /// `staged` and not committed.
    pub fn admit(
        &mut self,
        store: &dyn Store,
        key: RootKey,
        staged: DescentDelta,
        now: Timestamp,
    ) -> Result<Result<Descendants, LimitExceeded>, Error> {
        let (limits, part) = (self.limits, self.part_of(now));
        let counters = self.load(store, key, now)?;
        // Starts that were deferred before a restart are not counted, and lower the count all the same when they settle.
        let deferred = (counters.deferred + staged.deferred).max(0);
        let open = (counters.open + staged.open + deferred).max(0) as u64;
        let in_window = counters.in_window(part) + staged.added;
        let exceeded = |what, max, within| Ok(Err(LimitExceeded { root: key.1, what, max, within }));
        if open >= limits.open_max {
            return exceeded("open runs", limits.open_max, None);
        }
        let (max, within) = (limits.window_max, Some(limits.window));
        for (what, added, max) in [
            ("runs", in_window.runs, max.runs),
            ("signals", in_window.signals, max.signals),
            ("bytes of payloads", in_window.bytes, max.bytes),
        ] {
            if added >= max {
                return exceeded(what, max, within);
            }
        }
        Ok(Ok(counters.total + staged.added))
    }

    /// Adds what a commit has written.
    pub fn apply(&mut self, deltas: DescentDeltas, now: Timestamp) {
        let part = self.part_of(now);
        for (key, delta) in deltas.0 {
            // What is not counted in memory follows from the rows when it is asked for.
            if let Some(counters) = self.roots.get_mut(&key) {
                counters.add(delta, part, now);
            }
        }
        while self.roots.len() > ROOTS_MAX {
            let Some((_, evicted)) = self.roots.remove_lru() else { return };
            self.complete_since = self.complete_since.max(evicted.changed_at);
        }
    }

    /// Whether no root has a descendant that is counted in memory.
    pub fn is_idle(&self) -> bool {
        self.roots.is_empty()
    }

    fn load(&mut self, store: &dyn Store, key: RootKey, now: Timestamp) -> Result<&mut Counters, Error> {
        if !self.roots.contains_key(&key) {
            let counters = match key.1.created_ms() > self.complete_since.millis() {
                true => Counters::default(),
                false => self.read(store, key, now)?,
            };
            self.roots.insert(key, Counters { changed_at: now, ..counters });
        }
        Ok(self.roots.get_mut(&key).expect("it was inserted if it was missing"))
    }

    fn read(&self, store: &dyn Store, (tenant, root): RootKey, now: Timestamp) -> Result<Counters, Error> {
        let usage = store.root_usage(tenant, root, now - self.limits.window)?;
        let marks =
            if usage.before == usage.total { VecDeque::new() } else { [(self.part_of(now), usage.before)].into() };
        Ok(Counters { open: usage.open as i64, total: usage.total, marks, ..Counters::default() })
    }

    fn part_of(&self, now: Timestamp) -> i64 {
        now.0 / (self.limits.window.0 / WINDOW_PARTS).max(1)
    }
}

impl Counters {
    fn add(&mut self, delta: DescentDelta, part: i64, now: Timestamp) {
        self.forget_before(part);
        if delta.added != Descendants::default() && self.marks.back().is_none_or(|(last, _)| *last != part) {
            self.marks.push_back((part, self.total));
        }
        self.total += delta.added;
        self.open = (self.open + delta.open).max(0);
        self.deferred = (self.deferred + delta.deferred).max(0);
        self.changed_at = now;
    }

    fn in_window(&mut self, part: i64) -> Descendants {
        self.forget_before(part);
        self.marks.front().map_or(Descendants::default(), |(_, before)| self.total - *before)
    }

    fn forget_before(&mut self, part: i64) {
        while self.marks.front().is_some_and(|(at, _)| *at <= part - WINDOW_PARTS) {
            self.marks.pop_front();
        }
    }
}

impl DescentDeltas {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn of(&self, key: RootKey) -> DescentDelta {
        self.0.get(&key).copied().unwrap_or_default()
    }

    pub fn at(&mut self, key: RootKey) -> &mut DescentDelta {
        self.0.entry(key).or_default()
    }

    pub fn merge(&mut self, later: Self) {
        for (key, delta) in later.0 {
            let sum = self.at(key);
            *sum = *sum + delta;
        }
    }
}

impl std::ops::Add for DescentDelta {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { open: self.open + other.open, deferred: self.deferred + other.deferred, added: self.added + other.added }
    }
}

impl std::fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { root, what, max, within } = self;
        match within {
            None => write!(f, "{root} led to {max} {what}, and at most {max} are allowed; ")?,
            Some(within) => write!(f, "{root} led to {max} {what} within {within}, and at most {max} are allowed; ")?,
        }
        f.write_str("end the loop, or wait until the number is lower")
    }
}
