//! What becomes of attempts between the commit that asked for them and the one that has their outcome: they
//! wait, are taken, kept alive, lost, handed on, called off. What somebody says comes in with the time;
//! whoever calls it does the waiting.
//!
//! All of it is in memory. What a crash takes with it is who had taken what: after a restart an attempt
//! belongs to whoever says that they are at it, and after a while to whoever comes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetprompt_core::performs::Labels;
use fleetprompt_core::run::Place;
use fleetprompt_core::{DirectiveId, Failure, Json, KeyId, RunId, SignalId, TenantId};
use uuid::Uuid;

use super::attempt::{Attempt, AttemptId, AttemptOf};
use super::input::AttemptInput;
use super::messages::{MESSAGES_MAX, Messages};
use super::queue::{Line, Queue, Waiting};
use super::registry::Registry;
use super::taker::Taker;
use super::wait_list::{Crowded, WaitList, Waiter};

/// An attempt that so many workers were lost with has failed: it may be what they are lost by.
pub const DELIVERIES_MAX: u32 = 5;
/// Outcomes that are known again when they are reported twice.
const SETTLED_MAX: usize = 20_000;
/// Attempts, workers and lines that are looked at before the lock is released for others.
const SLICE: usize = 2_000;
/// How often it is looked which names no worker performs, while something waits.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// A worker by its name, and the key that it speaks with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId {
    pub key: KeyId,
    pub name: Arc<str>,
}

/// What a worker says of itself whenever it asks.
#[derive(Debug, Clone)]
pub struct Worker {
    pub id: WorkerId,
    pub version: Option<String>,
    pub taker: Taker,
    /// How many attempts it makes at once.
    pub slots: usize,
}

#[derive(Debug)]
pub struct Taken {
    pub attempt: Arc<Attempt>,
    /// Its size, once a worker has the input.
    input: AttemptInput,
    /// None: nobody has said that they are at it since the engine started.
    lease: Option<u64>,
    pub worker: Option<WorkerId>,
    pub since: Instant,
    /// When it is handed on, unless there is a word before.
    until: Instant,
    /// When it has taken too long.
    end: Option<Instant>,
    pub progress: Option<Json>,
    pub deliveries: u32,
    is_unwanted: bool,
    /// The digest of its outcome, which is being committed.
    reported: Option<u64>,
    /// An endpoint has it, and nobody else gets it.
    is_held: bool,
    /// How long whoever has it may be silent, where that is not as long as a lease.
    heartbeat: Option<Duration>,
    /// From the endpoint that has it.
    messages: Messages,
}

impl Taken {
    fn new(attempt: Arc<Attempt>, input: AttemptInput, now: Instant, until: Instant) -> Self {
        Self {
            input,
            lease: None,
            worker: None,
            since: now,
            until,
            end: None,
            progress: None,
            deliveries: 1,
            is_unwanted: false,
            reported: None,
            is_held: false,
            heartbeat: attempt.heartbeat,
            messages: Messages::default(),
            attempt,
        }
    }

    fn due(&self) -> Instant {
        self.end.map_or(self.until, |end| end.min(self.until))
    }
}

/// What a worker gets when it asks for work, before the inputs that are not kept were read.
#[derive(Debug, Default, PartialEq)]
pub struct Handed {
    pub attempts: Vec<Delivery>,
    /// Of those that it has: what nobody wants any more.
    pub canceled: Vec<AttemptId>,
}

#[derive(Debug)]
pub struct Delivery {
    pub id: AttemptId,
    pub attempt: Arc<Attempt>,
    pub input: AttemptInput,
    pub deliveries: u32,
    /// How soon there must be a word.
    pub lease: Duration,
}

impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// What the engine is to hear: an attempt that nobody will report.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    pub of: AttemptOf,
    pub tenant: TenantId,
    pub failure: Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub lease: Duration,
    pub is_unwanted: bool,
}

#[derive(Debug, Clone)]
pub enum Reported {
    /// It is to be decided.
    New(Arc<Attempt>),
    /// It was told before, and is on record.
    Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the lease of this attempt has ended, and another worker may have it: drop what you have of it")]
    LeaseLost,
    #[error("nothing waits for this attempt any more: it has an outcome, or was called off")]
    Settled,
    #[error("this attempt has another outcome, which was reported before and is recorded: this one is not")]
    Contradicted,
    #[error("this key may not take that, so it cannot report it either")]
    NotYours,
    #[error("the outcome of this attempt is being recorded")]
    Reported,
    #[error("the database cannot hold this outcome: the attempt is recorded as failed")]
    Unstorable,
    #[error("{MESSAGES_MAX} callbacks about this attempt came within ten minutes already: send heartbeats less often")]
    TooManyMessages,
}

impl Refused {
    pub fn code(self) -> &'static str {
        match self {
            Self::LeaseLost => "lease_lost",
            Self::Settled | Self::Contradicted => "attempt_settled",
            Self::NotYours => "attempt_not_yours",
            Self::Reported => "attempt_reported",
            Self::Unstorable => "unstorable_outcome",
            Self::TooManyMessages => "busy",
        }
    }
}

/// An attempt whose outcome was decided.
struct Settled {
    tenant: TenantId,
    name: Arc<str>,
    labels: Arc<Labels>,
    /// Digest of the outcome.
    outcome: u64,
    /// The answer to its report, and to any other report of the same outcome.
    answer: Result<(), Refused>,
}

pub struct State {
    lease: Duration,
    pub ready: Queue,
    taken: HashMap<AttemptOf, Taken>,
    /// Of what is taken, what endpoints have.
    held: usize,
    of_runs: HashMap<RunId, BTreeSet<AttemptOf>>,
    of_directives: HashMap<DirectiveId, AttemptOf>,
    pub waiters: WaitList,
    pub workers: Registry,
    /// When what is taken must be looked at: one entry each, however often it is kept.
    pub due: BTreeSet<(Instant, AttemptOf)>,
    settled: HashMap<AttemptId, Settled>,
    settled_in_order: VecDeque<AttemptId>,
    pub leases_lost: u64,
    /// Lines in which something waits that no worker performs, as last measured.
    pub without_worker: usize,
    measured_at: Instant,
    /// Up to which line, and how many so far, while it is being measured.
    measuring: Option<(Line, usize)>,
    /// When time is next to pass, as whoever lets it pass knows.
    planned: Option<Instant>,
}

impl State {
    pub fn new(lease: Duration, now: Instant) -> Self {
        Self {
            lease,
            ready: Queue::default(),
            taken: HashMap::new(),
            held: 0,
            of_runs: HashMap::new(),
            of_directives: HashMap::new(),
            waiters: WaitList::default(),
            workers: Registry::default(),
            due: BTreeSet::new(),
            settled: HashMap::new(),
            settled_in_order: VecDeque::new(),
            leases_lost: 0,
            without_worker: 0,
            measured_at: now,
            measuring: None,
            planned: None,
        }
    }

    // What the engine says

    /// An attempt that was committed just now. It is lost if its tenant has attempts under too many names.
    pub fn offer(&mut self, attempt: Arc<Attempt>, input: AttemptInput, now: Instant) -> Option<Lost> {
        if self.is_known(&attempt.of) {
            return None;
        }
        if self.ready.is_full_for(&attempt) {
            let message = format!(
                "`{}` cannot wait for a worker: the tenant's attempts wait under too many names already",
                attempt.name
            );
            let failure = Failure::retry("names_waiting_exceeded", message);
            return Some(Lost { of: attempt.of, tenant: attempt.tenant, failure });
        }
        self.know(&attempt);
        self.ready.push(attempt, input, now);
        None
    }

    /// An attempt that was under way when the last engine ended: somebody may be at it.
    pub fn offer_unclaimed(&mut self, attempt: Arc<Attempt>, input: AttemptInput, now: Instant) {
        if self.is_known(&attempt.of) {
            return;
        }
        self.know(&attempt);
        let until = now + self.lease / 2;
        self.put(Taken::new(attempt, input, now, until));
    }

    /// An endpoint has it, which may call back.
    pub fn hold(&mut self, attempt: Arc<Attempt>, callback: &AttemptId, now: Instant) {
        self.know(&attempt);
        let end = attempt.timeout.map(|timeout| now + timeout);
        let until = end.unwrap_or(now + self.lease);
        let lease = Some(callback.lease);
        let taken = Taken::new(attempt, AttemptInput::default(), now, until);
        self.put(Taken { lease, end, is_held: true, heartbeat: None, ..taken });
    }

    /// It answered that it will: from now on its heartbeats count.
    pub fn await_callback(&mut self, callback: &AttemptId, heartbeat: Option<Duration>, now: Instant) {
        if let Some(heartbeat) = heartbeat
            && self.held(callback).is_some()
        {
            self.reschedule(&callback.of, |taken| {
                (taken.heartbeat, taken.until) = (Some(heartbeat), now + heartbeat);
            });
        }
    }

    /// What an endpoint calls back about, if it is its turn to.
    pub fn held(&self, callback: &AttemptId) -> Option<&Arc<Attempt>> {
        let taken = self.taken.get(&callback.of)?;
        (taken.is_held && taken.lease == Some(callback.lease)).then_some(&taken.attempt)
    }

    /// Nobody wants it any more. What no worker has yet ends at once.
    pub fn cancel(&mut self, of: &AttemptOf) -> Option<Lost> {
        if let Some(waiting) = self.ready.remove(of) {
            self.unknow(of);
            let failure = Failure::fatal("canceled", "it was called off before a worker took it");
            return Some(Lost { of: *of, tenant: waiting.attempt.tenant, failure });
        }
        if let Some(taken) = self.taken.get_mut(of) {
            taken.is_unwanted = true;
            self.call_off(of);
        }
        None
    }

    /// It has an outcome, from wherever it came.
    pub fn forget(&mut self, of: &AttemptOf) {
        self.ready.remove(of);
        if self.taken.get(of).is_some_and(|taken| taken.reported.is_none()) {
            self.take_away(of);
            self.call_off(of);
        }
        self.unknow(of);
    }

    /// Of a place in a run, only this attempt is still under way; or none.
    pub fn keep_only(&mut self, run: RunId, place: Place, current: Option<(u32, SignalId)>) {
        let Some(known) = self.of_runs.get(&run) else { return };
        let of = |attempt, begun| AttemptOf::Step { run, place, attempt, begun: SignalId(begun) };
        let at_place = known.range(of(0, Uuid::nil())..=of(u32::MAX, Uuid::max()));
        let is_over = |of: &&AttemptOf| match of {
            AttemptOf::Step { attempt, begun, .. } => current != Some((*attempt, *begun)),
            AttemptOf::Directive { .. } => false,
        };
        let over: Vec<AttemptOf> = at_place.filter(is_over).copied().collect();
        over.iter().for_each(|of| self.forget(of));
    }

    pub fn has_run(&self, run: RunId) -> bool {
        self.of_runs.contains_key(&run)
    }

    /// Gives what became ready to those who wait, whoever waits longest first. It matches only the lines that changed,
    /// and leaves for the next call what is too much for one.
    pub fn serve(&mut self, now: Instant) {
        let begun = self.work();
        let mut calls = BinaryHeap::new();
        let call = |state: &Self, calls: &mut BinaryHeap<Reverse<(u64, Line)>>, line: Line| {
            calls.extend(state.first_waiter(line).map(|number| Reverse((number, line))));
        };
        while self.work() - begun < SLICE as u64 && (self.ready.has_changed() || !calls.is_empty()) {
            // To search first leaves most of a slice for answers: what is not answered must be searched again.
            let searched = self.work();
            while self.work() - searched < SLICE as u64 / 4
                && let Some(line) = self.ready.take_changed()
            {
                call(self, &mut calls, line);
            }
            while let Some(Reverse((number, line))) = calls.pop() {
                // Another line may have been its work in the meantime.
                if self.first_waiter(line) == Some(number) {
                    self.answer(number, line, now);
                }
                if self.work() - begun >= SLICE as u64 {
                    self.ready.mark_changed(line);
                    break;
                }
                call(self, &mut calls, line);
            }
        }
        calls.into_iter().for_each(|Reverse((_, line))| self.ready.mark_changed(line));
    }

    fn first_waiter(&self, line: Line) -> Option<u64> {
        let (name, labels) = self.ready.wanted(line)?;
        self.waiters.find_first(line.1, name, labels)
    }

    /// Answers a request that waits with what there is for it. A worker of all tenants gets what waits in this line, and
    /// looks at the others with its next request: there may be many of them, and this is the thread that decides.
    fn answer(&mut self, number: u64, line: Line, now: Instant) {
        let Some(waiter) = self.wait_no_more(number) else { return };
        let Waiter { worker, limit, holding, .. } = &waiter;
        let waiting = match worker.taker.tenant {
            Some(_) => self.ready.pop(&worker.taker, *limit),
            None => self.ready.pop_of(line, *limit),
        };
        let handed = self.hand(worker, waiting, holding, now);
        if let Err(handed) = waiter.tell.send(handed) {
            self.take_back(handed, now);
        }
    }

    /// How much was looked at so far, to match workers with what they may take.
    pub fn work(&self) -> u64 {
        self.ready.work.get() + self.waiters.work.get()
    }

    // What workers say

    pub fn take(&mut self, worker: &Arc<Worker>, limit: usize, holding: &[AttemptId], now: Instant) -> Handed {
        self.workers.see(worker, now);
        for id in holding {
            self.claim(id, worker, now);
        }
        let waiting = self.ready.pop(&worker.taker, limit);
        self.hand(worker, waiting, holding, now)
    }

    pub fn wait(&mut self, waiter: Waiter) -> Result<(), Crowded> {
        let worker = waiter.worker.clone();
        self.waiters.add(waiter)?;
        if let Some(seen) = self.workers.get_mut(&worker.id) {
            seen.waiting += 1;
        }
        Ok(())
    }

    pub fn wait_no_more(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(number)?;
        if let Some(seen) = self.workers.get_mut(&waiter.worker.id) {
            seen.waiting = seen.waiting.saturating_sub(1);
        }
        Some(waiter)
    }

    /// Attempts that did not reach their worker wait again, as if it had not taken them. One that was called off in the
    /// meantime ends as if its worker were lost.
    pub fn take_back(&mut self, handed: Handed, now: Instant) {
        for delivery in handed.attempts.into_iter().rev() {
            let of = delivery.id.of;
            match self.taken.get(&of).filter(|taken| taken.lease == Some(delivery.id.lease)) {
                Some(taken) if taken.is_unwanted => self.reschedule(&of, |taken| taken.until = now),
                Some(_) => {
                    if let Some(taken) = self.take_away(&of) {
                        self.ready.push_again(taken.attempt, delivery.input, taken.since, taken.deliveries - 1);
                    }
                }
                None => {}
            }
        }
    }

    /// A worker gets an attempt later than it was handed out, so its lease begins now. Returns `false` if it has lost the
    /// attempt.
    pub fn begin_lease(&mut self, id: &AttemptId, now: Instant) -> bool {
        let lease = self.lease;
        let Some(taken) = self.taken.get(&id.of).filter(|taken| taken.lease == Some(id.lease)) else { return false };
        let until = now + taken.heartbeat.unwrap_or(lease);
        let end = taken.attempt.timeout.map(|timeout| now + timeout);
        self.reschedule(&id.of, |taken| (taken.until, taken.end) = (until, end));
        true
    }

    pub fn heartbeat(
        &mut self,
        worker: &Worker,
        id: &AttemptId,
        progress: Option<Json>,
        now: Instant,
    ) -> Result<Kept, Refused> {
        self.workers.hear(&worker.id, now);
        self.claim(id, worker, now);
        let lease = self.lease;
        let taken = self.own(&worker.taker, id)?;
        // What is held without a heartbeat has until its end.
        let lease = match (taken.heartbeat, taken.is_held, taken.end) {
            (Some(heartbeat), ..) => heartbeat,
            (None, true, Some(end)) => end.saturating_duration_since(now),
            (None, ..) => lease,
        };
        if progress.is_some() {
            taken.progress = progress;
        }
        let kept = Kept { lease, is_unwanted: taken.is_unwanted };
        self.reschedule(&id.of, |taken| taken.until = now + lease);
        Ok(kept)
    }

    /// The same from an endpoint, under the digest of its message: one that is sent again has no effect.
    pub fn endpoint_heartbeat(
        &mut self,
        worker: &Worker,
        id: &AttemptId,
        progress: Option<Json>,
        message: [u8; 32],
        now: Instant,
    ) -> Result<Kept, Refused> {
        let taken = self.own(&worker.taker, id)?;
        if taken.messages.add(message, now)? {
            return self.heartbeat(worker, id, progress, now);
        }
        Ok(Kept { lease: taken.until.saturating_duration_since(now), is_unwanted: taken.is_unwanted })
    }

    /// An outcome is about to be decided: until that is committed, no other worker gets the attempt. The same outcome is
    /// known by its digest.
    pub fn report(&mut self, worker: &Worker, id: &AttemptId, outcome: u64, now: Instant) -> Result<Reported, Refused> {
        self.workers.hear(&worker.id, now);
        if let Some(settled) = self.settled.get(id) {
            return match worker.taker.may_take_named(settled.tenant, &settled.name, &settled.labels) {
                false => Err(Refused::NotYours),
                true if settled.outcome != outcome => Err(Refused::Contradicted),
                true => settled.answer.map(|()| Reported::Known),
            };
        }
        self.claim(id, worker, now);
        let taken = self.own(&worker.taker, id)?;
        if taken.reported.is_some() {
            return Err(Refused::Reported);
        }
        taken.reported = Some(outcome);
        Ok(Reported::New(taken.attempt.clone()))
    }

    /// The commit with the outcome has ended. `None` if nothing was decided: it may be reported again.
    pub fn reported(&mut self, id: &AttemptId, decided: Option<Result<(), Refused>>, now: Instant) {
        let Some(answer) = decided else {
            let until = now + self.lease;
            self.reschedule(&id.of, |taken| (taken.reported, taken.until) = (None, until));
            return;
        };
        let Some(Taken { attempt, reported: Some(outcome), .. }) = self.take_away(&id.of) else { return };
        self.unknow(&id.of);
        let (tenant, name, labels) = (attempt.tenant, attempt.name.clone(), attempt.labels.clone());
        self.settled.insert(*id, Settled { tenant, name, labels, outcome, answer });
        self.settled_in_order.push_back(*id);
        if self.settled_in_order.len() > SETTLED_MAX
            && let Some(oldest) = self.settled_in_order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }

    // Time

    /// When `pass` has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        let has_more = self.measuring.is_some() || self.ready.has_changed();
        let measures = self.ready.len() > 0 || self.without_worker > 0;
        let measure = match has_more {
            true => Some(self.measured_at),
            false => measures.then_some(self.measured_at + MEASURE_EVERY),
        };
        let due = self.due.first().map(|(at, _)| *at);
        [due, self.workers.next_silent(), measure].into_iter().flatten().min()
    }

    /// Notes when time is next to pass, and returns whether that is sooner than was known.
    pub fn plan(&mut self) -> bool {
        let (next, planned) = (self.next_due(), self.planned);
        self.planned = next;
        next.is_some_and(|next| planned.is_none_or(|planned| next < planned))
    }

    /// Looks at what has been silent, or has taken, for too long; at a slice of it at a time.
    pub fn pass(&mut self, now: Instant) -> Vec<Lost> {
        self.workers.expire(now, SLICE);
        let lost = self.expire_leases(now);
        self.serve(now);
        self.measure(now);
        lost
    }

    fn expire_leases(&mut self, now: Instant) -> Vec<Lost> {
        let mut lost = Vec::new();
        for _ in 0..SLICE {
            let Some((at, of)) = self.due.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.due.remove(&(at, of));
            let Some(taken) = self.taken.get(&of).filter(|taken| taken.reported.is_none()) else { continue };
            let (tenant, deliveries) = (taken.attempt.tenant, taken.deliveries);
            if taken.end.is_some_and(|end| end <= now) {
                let limit = taken.attempt.timeout.unwrap_or_default().as_secs_f64();
                let message = match taken.is_held {
                    true => format!(
                        "the endpoint did not call back within {limit} s of the delivery, which is the \
                         `callback_timeout` of its directive type"
                    ),
                    false => format!("the worker reported nothing within {limit} s"),
                };
                let failure = Failure::retry("timeout", message);
                self.forget(&of);
                lost.push(Lost { of, tenant, failure });
            } else if taken.is_unwanted {
                self.forget(&of);
                let failure = Failure::fatal("canceled", "it was called off, and its worker was lost");
                lost.push(Lost { of, tenant, failure });
            } else if taken.is_held {
                let failure = Failure::retry("heartbeat_timeout", "the endpoint that was to call back was silent");
                self.forget(&of);
                lost.push(Lost { of, tenant, failure });
            } else if deliveries >= DELIVERIES_MAX {
                self.leases_lost += 1;
                self.forget(&of);
                let message = format!("{deliveries} workers took it, one after the other, and were not heard of again");
                lost.push(Lost { of, tenant, failure: Failure::retry("worker_lost", message) });
            } else if let Some(taken) = self.take_away(&of) {
                self.leases_lost += u64::from(taken.worker.is_some());
                self.call_off(&of);
                self.ready.push_again(taken.attempt, taken.input, now, deliveries);
            }
        }
        lost
    }

    /// Counts the lines that no worker performs, for the metrics.
    fn measure(&mut self, now: Instant) {
        if self.measuring.is_none() && now < self.measured_at + MEASURE_EVERY {
            return;
        }
        let (after, mut count) = self.measuring.map_or((None, 0), |(line, count)| (Some(line), count));
        let lines: Vec<Line> = self.ready.lines_after(after).take(SLICE).collect();
        let has_worker = |head: &Attempt| self.workers.has_worker_for(head, now);
        count += lines.iter().filter(|line| self.ready.head_of(**line).is_some_and(|head| !has_worker(head))).count();
        self.measuring = lines.last().filter(|_| lines.len() == SLICE).map(|line| (*line, count));
        if self.measuring.is_none() {
            (self.without_worker, self.measured_at) = (count, now);
        }
    }

    // Questions

    /// What a worker has.
    pub fn knows(&self, id: &AttemptId) -> bool {
        self.taken.contains_key(&id.of) || self.ready.get(&id.of).is_some() || self.settled.contains_key(id)
    }

    pub fn taken(&self, of: &AttemptOf) -> Option<&Taken> {
        self.taken.get(of).filter(|taken| !taken.is_held)
    }

    pub fn of_directive(&self, id: DirectiveId) -> Option<AttemptOf> {
        self.of_directives.get(&id).copied()
    }

    /// How many workers have.
    pub fn taken_len(&self) -> usize {
        self.taken.len() - self.held
    }

    /// Lets those who wait know that nothing more will come.
    pub fn close(&mut self) {
        self.waiters.clear();
    }

    // The parts

    fn is_known(&self, of: &AttemptOf) -> bool {
        self.taken.contains_key(of) || self.ready.get(of).is_some()
    }

    fn know(&mut self, attempt: &Attempt) {
        match attempt.of {
            AttemptOf::Directive { id, .. } => _ = self.of_directives.insert(id, attempt.of),
            AttemptOf::Step { run, .. } => _ = self.of_runs.entry(run).or_default().insert(attempt.of),
        }
    }

    fn unknow(&mut self, of: &AttemptOf) {
        match of {
            AttemptOf::Directive { id, .. } => {
                if self.of_directives.get(id) == Some(of) {
                    self.of_directives.remove(id);
                }
            }
            AttemptOf::Step { run, .. } => {
                let known = self.of_runs.get_mut(run);
                if known.is_some_and(|known| known.remove(of) && known.is_empty()) {
                    self.of_runs.remove(run);
                }
            }
        }
    }

    /// After a restart: the worker says that it is at something that nobody else is at.
    fn claim(&mut self, id: &AttemptId, worker: &Worker, now: Instant) {
        let Some(taken) = self.taken.get(&id.of) else { return };
        if taken.lease.is_some() || !worker.taker.may_take(&taken.attempt) {
            return;
        }
        let lease = taken.attempt.heartbeat.unwrap_or(self.lease);
        self.reschedule(&id.of, |taken| {
            (taken.lease, taken.worker) = (Some(id.lease), Some(worker.id.clone()));
            taken.until = now + lease;
            taken.end = taken.attempt.timeout.map(|timeout| now + timeout);
        });
        if let Some(seen) = self.workers.get_mut(&worker.id) {
            seen.taken.insert(id.of);
        }
    }

    fn own(&mut self, taker: &Taker, id: &AttemptId) -> Result<&mut Taken, Refused> {
        if let Some(waiting) = self.ready.get(&id.of) {
            // Whose it was is not known any more; what is somebody else's is as if it were not there.
            let is_theirs = taker.may_take(&waiting.attempt);
            return Err(if is_theirs { Refused::LeaseLost } else { Refused::NotYours });
        }
        match self.taken.get_mut(&id.of) {
            None => Err(Refused::Settled),
            Some(taken) if !taker.may_take(&taken.attempt) => Err(Refused::NotYours),
            Some(taken) if taken.lease != Some(id.lease) => Err(Refused::LeaseLost),
            Some(taken) => Ok(taken),
        }
    }

    fn hand(&mut self, worker: &Worker, waiting: Vec<Waiting>, holding: &[AttemptId], now: Instant) -> Handed {
        let mut handed = Handed { canceled: self.unwanted(holding), attempts: Vec::new() };
        handed.attempts.extend(waiting.into_iter().map(|waiting| self.deliver(waiting, worker, now)));
        handed
    }

    fn unwanted(&self, holding: &[AttemptId]) -> Vec<AttemptId> {
        holding.iter().filter(|id| !self.is_wanted(id)).copied().collect()
    }

    fn is_wanted(&self, id: &AttemptId) -> bool {
        let taken = self.taken.get(&id.of);
        taken.is_some_and(|taken| taken.lease == Some(id.lease) && !taken.is_unwanted)
    }

    fn deliver(&mut self, waiting: Waiting, worker: &Worker, now: Instant) -> Delivery {
        let Waiting { attempt, mut input, .. } = waiting;
        let delivered = input.take();
        let id = AttemptId::fresh(attempt.of);
        let lease = attempt.heartbeat.unwrap_or(self.lease);
        let end = attempt.timeout.map(|timeout| now + timeout);
        let deliveries = waiting.deliveries + 1;
        self.put(Taken {
            lease: Some(id.lease),
            worker: Some(worker.id.clone()),
            end,
            deliveries,
            ..Taken::new(attempt.clone(), input, now, now + lease)
        });
        if let Some(seen) = self.workers.get_mut(&worker.id) {
            seen.taken.insert(attempt.of);
        }
        Delivery { id, attempt, input: delivered, deliveries, lease }
    }

    fn put(&mut self, taken: Taken) {
        let (due, of) = (taken.due(), taken.attempt.of);
        self.take_away(&of);
        self.held += usize::from(taken.is_held);
        self.due.insert((due, of));
        self.taken.insert(of, taken);
    }

    fn reschedule(&mut self, of: &AttemptOf, change: impl FnOnce(&mut Taken)) {
        let Some(taken) = self.taken.get_mut(of) else { return };
        self.due.remove(&(taken.due(), *of));
        change(taken);
        self.due.insert((taken.due(), *of));
    }

    fn take_away(&mut self, of: &AttemptOf) -> Option<Taken> {
        let taken = self.taken.remove(of)?;
        self.held -= usize::from(taken.is_held);
        self.due.remove(&(taken.due(), *of));
        if let Some(seen) = taken.worker.as_ref().and_then(|worker| self.workers.get_mut(worker)) {
            seen.taken.remove(of);
        }
        Some(taken)
    }

    /// A worker that waits for more, and has this, learns at once that it is not wanted.
    fn call_off(&mut self, of: &AttemptOf) {
        let Some(waiter) = self.waiters.find_holder(of).and_then(|number| self.wait_no_more(number)) else { return };
        let handed = Handed { canceled: self.unwanted(&waiter.holding), attempts: Vec::new() };
        // Who is not there any more learns it by its next word.
        let _ = waiter.tell.send(handed);
    }
}
