//! What runs that have not ended wait for and hold, in the order in which they came, so that what
//! changes finds whom it concerns: signals that are awaited, locks, places in the queues of flow
//! control. All of it follows from the rows of runs, and is read from them when the engine starts.
//!
//! It changes while inputs are decided, and is taken back when one of them, or the commit, fails.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use fleetprompt_core::run::{Awaited, Place, QueueReason, Run, Status, Step, StepStatus, Waiting};
use fleetprompt_core::{Name, RunId, Signal, SignalId, Slug, Span, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Standing {
    waits: Journaled<Wait>,
    locks: Journaled<Lock>,
    flows: Journaled<Flow>,
    begins: Journaled<Begin>,
    /// Of which workflows all begins are held, and from when on.
    begins_from: HashMap<(TenantId, Slug), Timestamp>,
}

/// Found by what must stand at one place of the signal; by its name alone, where nothing must.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    tenant: TenantId,
    name: Name,
    path: Arc<str>,
    value: Arc<str>,
    run: RunId,
    place: Place,
}

/// Whoever holds it comes first, and then who waits for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Lock {
    tenant: TenantId,
    name: Arc<str>,
    waits: bool,
    since: SignalId,
    run: RunId,
    place: Place,
}

/// A place in the queue of a lock: since when it waits, and who.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LockWaiter {
    pub since: SignalId,
    pub run: RunId,
    pub place: Place,
}

impl LockWaiter {
    const FIRST: Self = Self {
        since: SignalId(Uuid::nil()),
        run: RunId(Uuid::nil()),
        place: Place { step: 0, item: None, undo: false },
    };
    const LAST: Self = Self { since: SignalId(Uuid::max()), run: RunId(Uuid::max()), place: Place::LAST };

    fn of(lock: &Lock) -> Self {
        Self { since: lock.since, run: lock.run, place: lock.place }
    }

    fn entry(self, tenant: TenantId, name: &Arc<str>) -> Lock {
        let Self { since, run, place } = self;
        Lock { tenant, name: name.clone(), waits: true, since, run, place }
    }
}

/// Those that run come first, the oldest before the others, and then those that are queued.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    tenant: TenantId,
    workflow: Slug,
    rule: Rule,
    key: Arc<str>,
    queued: bool,
    run: RunId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Concurrency,
    Debounce,
}

/// When a throttled run began, or is to begin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Begin {
    tenant: TenantId,
    workflow: Slug,
    key: Arc<str>,
    at: Timestamp,
    run: RunId,
    /// It has begun, and is not only to.
    begun: bool,
}

/// What became free by a change, for the next one to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Freed {
    Lock(TenantId, Arc<str>),
    Slot(TenantId, Slug, Arc<str>),
}

/// How far the journals went at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark([usize; 4]);

impl Standing {
    pub fn mark(&self) -> Mark {
        Mark([self.waits.mark(), self.locks.mark(), self.flows.mark(), self.begins.mark()])
    }

    pub fn roll_back(&mut self, to: Mark) {
        let Mark([waits, locks, flows, begins]) = to;
        self.waits.roll_back(waits);
        self.locks.roll_back(locks);
        self.flows.roll_back(flows);
        self.begins.roll_back(begins);
    }

    /// The commit held: there is no way back any more.
    pub fn settle(&mut self) {
        self.waits.settle();
        self.locks.settle();
        self.flows.settle();
        self.begins.settle();
    }

    pub fn roll_back_all(&mut self) {
        self.roll_back(Mark([0; 4]));
    }

    // What a decision changes

    /// What these places of a run wait for and hold, as they were and as they are.
    pub fn replace(&mut self, before: Option<&Run>, run: &Run, changed: &[Place]) -> Vec<Freed> {
        let mut freed = Vec::new();
        for place in changed {
            let then = before.and_then(|run| run.at(*place));
            let now = run.at(*place);
            self.replace_place(run, *place, then, now, &mut freed);
        }
        if !run.keys.is_empty() {
            self.replace_run(before, run, &mut freed);
        }
        freed
    }

    fn replace_place(
        &mut self,
        run: &Run,
        place: Place,
        then: Option<&Step>,
        now: Option<&Step>,
        freed: &mut Vec<Freed>,
    ) {
        for wait in then.into_iter().flat_map(|step| waits(run.tenant, run.id, place, step)) {
            self.waits.remove(wait);
        }
        for wait in now.into_iter().flat_map(|step| waits(run.tenant, run.id, place, step)) {
            self.waits.insert(wait);
        }
        let lock = |step: &Step| lock(run.tenant, run.id, place, step);
        let (held, holds) = (then.and_then(lock), now.and_then(lock));
        if held == holds {
            return;
        }
        if let Some(held) = held {
            // It is not the place that matters for the queue but when it came.
            if !held.waits && holds.as_ref().is_none_or(|now| now.name != held.name) {
                freed.push(Freed::Lock(held.tenant, held.name.clone()));
            }
            self.locks.remove(held);
        }
        if let Some(holds) = holds {
            self.locks.insert(holds);
        }
    }

    fn replace_run(&mut self, before: Option<&Run>, run: &Run, freed: &mut Vec<Freed>) {
        let then: Vec<Flow> = before.into_iter().flat_map(flows).collect();
        let now: Vec<Flow> = flows(run).collect();
        for flow in then.iter().filter(|flow| !now.contains(flow)) {
            if flow.rule == Rule::Concurrency && !flow.queued {
                freed.push(Freed::Slot(flow.tenant, flow.workflow.clone(), flow.key.clone()));
            }
            self.flows.remove(flow.clone());
        }
        for flow in now {
            self.flows.insert(flow);
        }
        let (then, now) = (before.and_then(begin), begin(run));
        if then != now {
            then.into_iter().for_each(|begin| self.begins.remove(begin));
            now.into_iter().for_each(|begin| self.begins.insert(begin));
        }
    }

    // What the engine starts with

    pub fn restore_wait(&mut self, tenant: TenantId, run: RunId, place: Place, waiting: &Waiting) {
        for wait in waits_of(tenant, run, place, waiting) {
            self.waits.insert(wait);
        }
    }

    pub fn restore_lock(
        &mut self,
        tenant: TenantId,
        run: RunId,
        place: Place,
        name: Arc<str>,
        since: SignalId,
        holds: bool,
    ) {
        // As `lock` has it: who holds it is found again without knowing since when.
        let since = if holds { SignalId(uuid::Uuid::nil()) } else { since };
        self.locks.insert(Lock { tenant, name, waits: !holds, since, run, place });
    }

    pub fn restore_run(&mut self, run: &Run) {
        self.replace_run(None, run, &mut Vec::new());
    }

    /// Whether it is known when the runs of a workflow began, from then on.
    pub fn remembers_begins(&self, tenant: TenantId, workflow: &Slug, from: Timestamp) -> bool {
        self.begins_from.get(&(tenant, workflow.clone())).is_some_and(|known| *known <= from)
    }

    /// What is on record of them. Whatever becomes of this decision, it stays true.
    pub fn restore_begins(
        &mut self,
        tenant: TenantId,
        workflow: &Slug,
        from: Timestamp,
        begins: Vec<(Arc<str>, Timestamp, RunId)>,
    ) {
        for (key, at, run) in begins {
            self.begins.set.insert(Begin { tenant, workflow: workflow.clone(), key, at, run, begun: true });
        }
        self.begins_from.insert((tenant, workflow.clone()), from);
    }

    // Questions

    pub fn is_awaited(&self, tenant: TenantId, name: &Name) -> bool {
        !self.waits.set.is_empty() && self.waits_from(tenant, name, "", "").next().is_some()
    }

    /// The places that may wait for a signal, each once, in the order of their runs: the first `limit` of them, and the
    /// others of the last run.
    pub fn waiting_for(&self, signal: &Signal, from: Bound<(RunId, Place)>, limit: usize) -> Vec<(RunId, Place)> {
        let mut found = BTreeSet::new();
        let mut path: Arc<str> = "".into();
        let mut view = None;
        // From one path that anybody matches on to the next.
        while let Some(first) = self.waits_from(signal.tenant, &signal.name, &path, "").next() {
            let value = match &*first.path {
                "" => Some(String::new()),
                path => at(view.get_or_insert_with(|| signal.view()), path),
            };
            if let Some(value) = value {
                let of_value = Wait { value: value.into(), ..first.clone() };
                found.extend(self.waits_alike(&of_value, from, limit));
            }
            // The next path is greater than this one and than everything that begins with it and a NUL.
            path = format!("{}\0", first.path).into();
        }
        let last = found.iter().nth(limit - 1).map(|(run, _)| *run);
        found.into_iter().take_while(|(run, _)| last.is_none_or(|last| *run <= last)).collect()
    }

    /// Of the places that wait for the same as `wait`, the first `limit`, and the others of the last run.
    fn waits_alike<'a>(
        &'a self,
        wait: &Wait,
        from: Bound<(RunId, Place)>,
        limit: usize,
    ) -> impl Iterator<Item = (RunId, Place)> + use<'a> {
        let place_of = |(run, place)| Wait { run, place, ..wait.clone() };
        let nil = (RunId(Uuid::nil()), Place::step(0));
        let from = match from {
            Bound::Unbounded => Bound::Included(place_of(nil)),
            bounded => bounded.map(place_of),
        };
        let last = place_of((RunId(Uuid::max()), Place::LAST));
        let (mut left, mut of_last) = (limit, None);
        let waits = self.waits.set.range((from, Bound::Included(last))).map(|wait| (wait.run, wait.place));
        waits.take_while(move |(run, _)| {
            let is_wanted = left > 0 || of_last == Some(*run);
            (left, of_last) = (left.saturating_sub(1), Some(*run));
            is_wanted
        })
    }

    fn waits_from<'a>(
        &'a self,
        tenant: TenantId,
        name: &'a Name,
        path: &str,
        value: &str,
    ) -> impl Iterator<Item = &'a Wait> + use<'a> {
        let first = Wait {
            tenant,
            name: name.clone(),
            path: path.into(),
            value: value.into(),
            run: RunId(Uuid::nil()),
            place: Place { step: 0, item: None, undo: false },
        };
        self.waits.set.range(first..).take_while(move |wait| wait.tenant == tenant && wait.name == *name)
    }

    pub fn is_held(&self, tenant: TenantId, name: &Arc<str>) -> bool {
        let first = Lock { waits: false, ..LockWaiter::FIRST.entry(tenant, name) };
        let first = self.locks.set.range(first..).next();
        first.is_some_and(|lock| lock.tenant == tenant && lock.name == *name && !lock.waits)
    }

    /// The places that wait for a lock, or those after one of them, in the order in which they came.
    pub fn waiting_for_lock(
        &self,
        tenant: TenantId,
        name: &Arc<str>,
        after: Option<LockWaiter>,
    ) -> impl Iterator<Item = LockWaiter> + use<'_> {
        let from = match after {
            Some(after) => Bound::Excluded(after.entry(tenant, name)),
            None => Bound::Included(LockWaiter::FIRST.entry(tenant, name)),
        };
        let last = Bound::Included(LockWaiter::LAST.entry(tenant, name));
        self.locks.set.range((from, last)).map(LockWaiter::of)
    }

    /// The one that came last.
    pub fn last_waiting_for_lock(&self, tenant: TenantId, name: &Arc<str>) -> Option<LockWaiter> {
        let (first, last) = (LockWaiter::FIRST.entry(tenant, name), LockWaiter::LAST.entry(tenant, name));
        self.locks.set.range(first..=last).next_back().map(LockWaiter::of)
    }

    /// How many runs of a workflow are under way under a key, counted up to `limit`.
    pub fn running(&self, tenant: TenantId, workflow: &Slug, key: &Arc<str>, limit: usize) -> usize {
        self.of_rule(tenant, workflow, Rule::Concurrency, key, false).take(limit).count()
    }

    /// The runs under way under a key, the oldest first.
    pub fn all_running(&self, tenant: TenantId, workflow: &Slug, key: &Arc<str>) -> Vec<RunId> {
        self.of_rule(tenant, workflow, Rule::Concurrency, key, false).map(|flow| flow.run).collect()
    }

    pub fn next_queued(&self, tenant: TenantId, workflow: &Slug, key: &Arc<str>) -> Option<RunId> {
        self.of_rule(tenant, workflow, Rule::Concurrency, key, true).next().map(|flow| flow.run)
    }

    /// The run that stands for the signals that came so far.
    pub fn debounced(&self, tenant: TenantId, workflow: &Slug, key: &Arc<str>) -> Option<RunId> {
        self.of_rule(tenant, workflow, Rule::Debounce, key, true).next().map(|flow| flow.run)
    }

    fn of_rule<'a>(
        &'a self,
        tenant: TenantId,
        workflow: &'a Slug,
        rule: Rule,
        key: &'a Arc<str>,
        queued: bool,
    ) -> impl Iterator<Item = &'a Flow> + use<'a> {
        let flow = |run| Flow { tenant, workflow: workflow.clone(), rule, key: key.clone(), queued, run };
        self.flows.set.range(flow(RunId(Uuid::nil()))..=flow(RunId(Uuid::max())))
    }

    /// When the next run under a key may begin, if not more than `limit` begin in any `per`: after all that
    /// are to begin already, or, for one of these, after those that have.
    pub fn next_begin(
        &mut self,
        tenant: TenantId,
        workflow: &Slug,
        key: &Arc<str>,
        (limit, per): (u32, Span),
        now: Timestamp,
        after_begun: bool,
    ) -> Timestamp {
        let nil = RunId(Uuid::nil());
        let first = |at| Begin { tenant, workflow: workflow.clone(), key: key.clone(), at, run: nil, begun: false };
        let is_of = |begin: &Begin| begin.tenant == tenant && begin.workflow == *workflow && begin.key == *key;
        let window = Timestamp(now.0.saturating_sub(per.0));
        let over: Vec<Begin> = self
            .begins
            .set
            .range(first(Timestamp(i64::MIN))..first(window))
            .filter(|begin| is_of(begin))
            .cloned()
            .collect();
        over.into_iter().for_each(|begin| self.begins.remove(begin));
        // Another version may ask for longer ago, and has to look it up.
        let from = self.begins_from.entry((tenant, workflow.clone())).or_insert(window);
        *from = window.max(*from);
        let end = first(Timestamp(i64::MAX));
        let mut latest = self.begins.set.range(first(window)..end).rev().filter(|begin| begin.begun || !after_begun);
        // The one that must lie a whole `per` back when this one begins.
        latest.nth(limit as usize - 1).map_or(now, |begin| now.max(begin.at + per))
    }
}

impl Standing {
    /// Where it is not the same as another, as far as it still matters.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let wait = self.waits.differs(&other.waits, |_| true);
        let lock = self.locks.differs(&other.locks, |_| true);
        let flow = self.flows.differs(&other.flows, |_| true);
        // When runs began is only remembered as long as somebody may ask.
        let begin = self.begins.differs(&other.begins, |begin| !begin.begun);
        wait.or(lock).or(flow).or(begin)
    }
}

fn waits(tenant: TenantId, run: RunId, place: Place, step: &Step) -> Vec<Wait> {
    match &step.waiting {
        Some(waiting) if step.status == StepStatus::Waiting => waits_of(tenant, run, place, waiting),
        _ => Vec::new(),
    }
}

fn waits_of(tenant: TenantId, run: RunId, place: Place, waiting: &Waiting) -> Vec<Wait> {
    let Awaited::Signal { events, .. } = &waiting.what else { return Vec::new() };
    let wait = |event: &fleetprompt_core::run::AwaitedSignal| {
        let first = event.matches.first();
        let (path, value) = first.map_or(Default::default(), |(path, value)| (path.as_str(), value.to_string()));
        Wait { tenant, name: event.name.clone(), path: path.into(), value: value.into(), run, place }
    };
    events.iter().map(wait).collect()
}

fn at(view: &Value, path: &str) -> Option<String> {
    path.split('.').try_fold(view, |value, name| value.get(name)).map(Value::to_string)
}

fn lock(tenant: TenantId, run: RunId, place: Place, step: &Step) -> Option<Lock> {
    let name = step.lock.clone().filter(|_| step.status.is_in_flight())?;
    let waits = step.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Lock { .. }));
    // Only one holds it, so it does not matter since when.
    let since = step.signal_id.filter(|_| waits).unwrap_or(SignalId(Uuid::nil()));
    Some(Lock { tenant, name, waits, since, run, place })
}

fn flows(run: &Run) -> impl Iterator<Item = Flow> {
    let reason = run.standing.as_ref().and_then(|standing| standing.queue.as_ref()).map(|queue| queue.reason);
    let flow = |rule, key: &Arc<str>, queued| Flow {
        tenant: run.tenant,
        workflow: run.workflow.clone(),
        rule,
        key: key.clone(),
        queued,
        run: run.id,
    };
    let counted = match run.status {
        Status::Queued => (reason == Some(QueueReason::Concurrency)).then_some(true),
        status if status.has_ended() => None,
        _ => Some(false),
    };
    let concurrency = run.keys.concurrency.as_ref().zip(counted);
    let concurrency = concurrency.map(|(key, queued)| flow(Rule::Concurrency, key, queued));
    let is_debounced = run.status == Status::Queued && reason == Some(QueueReason::Debounce);
    let debounce = run.keys.debounce.as_ref().filter(|_| is_debounced).map(|key| flow(Rule::Debounce, key, true));
    concurrency.into_iter().chain(debounce)
}

fn begin(run: &Run) -> Option<Begin> {
    let key = run.keys.throttle.clone()?;
    let queue = run.standing.as_ref().and_then(|standing| standing.queue.as_ref());
    let planned = queue.filter(|queue| queue.reason == QueueReason::Throttle).and_then(|queue| queue.until);
    // What waits for a slot of another rule has had its turn here.
    let at = run.begun_at.or(planned)?;
    Some(Begin {
        tenant: run.tenant,
        workflow: run.workflow.clone(),
        key,
        at,
        run: run.id,
        begun: run.begun_at.is_some(),
    })
}

/// A set that knows its way back.
struct Journaled<T> {
    set: BTreeSet<T>,
    /// What was done: inserted, or removed.
    journal: Vec<(bool, T)>,
}

impl<T> Default for Journaled<T> {
    fn default() -> Self {
        Self { set: BTreeSet::new(), journal: Vec::new() }
    }
}

impl<T: Ord + Clone + std::fmt::Debug> Journaled<T> {
    fn differs(&self, other: &Self, matters: impl Fn(&T) -> bool) -> Option<String> {
        let mut unlike = self.set.symmetric_difference(&other.set);
        unlike.find(|one| matters(one)).map(|one| format!("{one:?} is in one of them"))
    }

    fn insert(&mut self, entry: T) {
        if self.set.insert(entry.clone()) {
            self.journal.push((true, entry));
        }
    }

    fn remove(&mut self, entry: T) {
        if self.set.remove(&entry) {
            self.journal.push((false, entry));
        }
    }

    fn mark(&self) -> usize {
        self.journal.len()
    }

    fn roll_back(&mut self, to: usize) {
        while self.journal.len() > to
            && let Some((inserted, entry)) = self.journal.pop()
        {
            if inserted {
                self.set.remove(&entry);
            } else {
                self.set.insert(entry);
            }
        }
    }

    fn settle(&mut self) {
        self.journal.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journaled_set_goes_back_to_any_mark() {
        let mut set = Journaled::default();
        set.insert(1);
        set.settle();
        let mark = set.mark();
        set.insert(2);
        set.remove(1);
        set.insert(1);
        set.remove(2);
        set.insert(3);
        set.roll_back(mark);
        assert_eq!(set.set.into_iter().collect::<Vec<_>>(), [1]);
    }
}
