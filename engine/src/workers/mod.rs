//! Workers: programs outside that take attempts, make them, and report. What is to be done is handed out
//! once it is committed; what is reported is an input like any other, and is answered when it is.
//!
//! `state` decides who gets what; here is the waiting around it. Nothing here can reach the store: inputs that are not
//! kept in memory are read by `hand_out`.

mod attempt;
mod input;
mod messages;
mod queue;
mod registry;
mod state;
mod taker;
mod wait_list;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Place, Run, StepStatus};
use fleetprompt_core::{DirectiveId, Failure, Json, TenantId};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

pub(crate) use attempt::Offer;
pub use attempt::{Attempt, AttemptId, AttemptOf, InvalidAttemptId, Kind};
pub(crate) use input::{INPUT_BYTES_MAX, InputBudget};
pub(crate) use state::Handed;
pub use state::{Kept, Refused, Reported, Worker, WorkerId};
use state::{Lost, State};
pub use taker::Taker;
pub use wait_list::Crowded;
use wait_list::Waiter;

use crate::clock::MonotonicClock;
use crate::input::Outcome;
use crate::metrics::{Metrics, Part};
use crate::perform::{OutcomeHold, When};

/// The longest that a worker waits for work in one request.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

pub struct Workers {
    state: Mutex<State>,
    /// Signalled when something becomes due sooner than was planned.
    changed: Notify,
    numbers: AtomicU64,
    outcomes: Sender<Outcome>,
    inputs: Arc<InputBudget>,
    clock: MonotonicClock,
    gauges: Gauges,
}

/// What it adds to those of the process.
struct Gauges {
    waiting: Part,
    taken: Part,
    workers: Part,
    without_worker: Part,
    leases_lost: Part,
}

/// Where an attempt stands, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Of the function or the directive.
    pub name: Arc<str>,
    pub since: Duration,
    pub deliveries: u32,
    pub with: With,
}

#[derive(Debug, Clone, PartialEq)]
pub enum With {
    /// It waits, and this says whether there is a worker that could take it.
    Nobody { has_worker: bool },
    /// A worker has it, if one has said so.
    Worker { name: Option<Arc<str>>, progress: Option<Json> },
}

/// A worker as people see it.
#[derive(Debug, Clone)]
pub struct WorkerSeen {
    pub worker: Arc<Worker>,
    pub first_seen: Duration,
    pub last_seen: Duration,
    /// It asks for work at this moment.
    pub is_waiting: bool,
    /// How many attempts of the tenant it has.
    pub taken: usize,
}

impl Workers {
    pub(crate) fn new(
        lease: Duration,
        outcomes: Sender<Outcome>,
        inputs: Arc<InputBudget>,
        metrics: &Metrics,
        clock: MonotonicClock,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(lease, clock.now())),
            changed: Notify::new(),
            numbers: AtomicU64::new(0),
            outcomes,
            inputs,
            clock,
            gauges: Gauges {
                waiting: Part::of(&metrics.attempts_waiting),
                taken: Part::of(&metrics.attempts_taken),
                workers: Part::of(&metrics.workers),
                without_worker: Part::of(&metrics.names_without_worker),
                leases_lost: Part::of(&metrics.leases_lost),
            },
        }
    }

    /// Lets time pass, forever: hands on what was lost, and does what was too much for one commit. Between slices of it
    /// the lock is free for the thread that decides.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                state.plan();
                state.next_due()
            };
            let sleep = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.changed.notified() => continue,
            }
            self.expire();
            tokio::task::yield_now().await;
        }
    }

    /// Hands on what was lost by now, or a slice of it.
    pub(crate) fn expire(&self) {
        let lost = self.with(|state, now| state.pass(now));
        self.tell(lost);
    }

    /// How long it is until something may be lost.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let next = self.state.lock().due.first().map(|(at, _)| *at);
        next.map(|at| at.saturating_duration_since(self.clock.now()))
    }

    // What the engine says, after its commits

    pub(crate) fn offer(&self, Offer { attempt, input }: Offer) {
        let input = self.inputs.admit(attempt.tenant, &input);
        // `serve` follows, and lets the others know.
        let lost = self.state.lock().offer(Arc::new(attempt), input, self.clock.now());
        self.tell(lost);
    }

    pub(crate) fn offer_unclaimed(&self, Offer { attempt, input }: Offer) {
        let input = self.inputs.admit(attempt.tenant, &input);
        self.with(|state, now| state.offer_unclaimed(Arc::new(attempt), input, now));
    }

    pub(crate) fn hold(&self, attempt: Attempt, callback: &AttemptId) {
        self.with(|state, now| state.hold(Arc::new(attempt), callback, now));
    }

    pub(crate) fn await_callback(&self, callback: &AttemptId, heartbeat: Option<Duration>) {
        self.with(|state, now| state.await_callback(callback, heartbeat, now));
    }

    /// What an endpoint calls back about.
    pub fn held(&self, callback: &AttemptId) -> Option<Arc<Attempt>> {
        self.state.lock().held(callback).cloned()
    }

    /// Whatever a commit offered goes to those who wait.
    pub(crate) fn serve(&self) {
        self.with(|state, now| state.serve(now));
    }

    pub(crate) fn cancel(&self, of: AttemptOf) {
        let lost = self.with(|state, _| state.cancel(&of));
        self.tell(lost);
    }

    pub(crate) fn forget(&self, of: AttemptOf) {
        self.with(|state, _| state.forget(&of));
    }

    /// Asks once whether it matters, and then what is still under way of each place.
    pub(crate) fn keep_only<'a>(&self, run: &Run, places: impl IntoIterator<Item = &'a Place>) {
        let mut state = self.state.lock();
        if !state.has_run(run.id) {
            return;
        }
        for place in places {
            let step = run.at(*place).filter(|step| step.status == StepStatus::Running);
            state.keep_only(run.id, *place, step.and_then(|step| Some((step.attempt, step.signal_id?))));
        }
    }

    pub(crate) fn close(&self) {
        self.state.lock().close();
    }

    /// An attempt begins, or was under way when the last engine ended.
    pub(crate) fn offer_by(&self, offer: Offer, when: When) {
        match when {
            When::Now => self.offer(offer),
            When::Before => self.offer_unclaimed(offer),
        }
    }

    /// A directive is not wanted any more, or is settled.
    pub(crate) fn withdraw(&self, directive: &Directive) {
        let of = AttemptOf::Directive { id: directive.id, attempt: directive.attempt };
        match directive.is_in_flight() {
            true => self.cancel(of),
            false => self.forget(of),
        }
    }

    // What workers say

    /// Up to `limit` attempts, as soon as there is one. Nothing, when there is none within `wait`.
    pub(crate) async fn take(
        &self,
        worker: Arc<Worker>,
        limit: usize,
        holding: Vec<AttemptId>,
        wait: Duration,
    ) -> Result<Handed, Crowded> {
        let (tell, waited) = oneshot::channel();
        let (number, handed) = self.with(|state, now| {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let handed = state.take(&worker, limit, &holding, now);
            if handed != Handed::default() || wait.is_zero() {
                return Ok((number, Some(handed)));
            }
            state.wait(Waiter { number, worker, limit, holding, tell }).map(|()| (number, None))
        })?;
        if let Some(handed) = handed {
            return Ok(handed);
        }
        let mut here = Here { workers: self, number, waited: Some(waited) };
        let handed = match here.waited.as_mut() {
            Some(waited) => tokio::time::timeout(wait.min(WAIT_MAX), waited).await,
            None => return Ok(Handed::default()),
        };
        match handed {
            Ok(handed) => {
                here.waited = None;
                Ok(handed.unwrap_or_default())
            }
            // It may have been told in this very moment.
            Err(_) => Ok(here.leave()),
        }
    }

    /// Attempts that did not reach their worker go to another.
    pub(crate) fn take_back(&self, handed: Handed) {
        self.with(|state, now| {
            state.take_back(handed, now);
            state.serve(now);
        });
    }

    /// Their worker gets them now, some time after they were handed out. Drops those that it has lost.
    pub(crate) fn begin_leases(&self, handed: &mut Handed) {
        self.with(|state, now| handed.attempts.retain(|delivery| state.begin_lease(&delivery.id, now)));
    }

    pub fn heartbeat(&self, worker: &Worker, id: &AttemptId, progress: Option<Json>) -> Result<Kept, Refused> {
        self.with(|state, now| state.heartbeat(worker, id, progress, now))
    }

    /// The heartbeat of an endpoint that is to call back. A message that was sent before has no effect.
    pub fn endpoint_heartbeat(
        &self,
        worker: &Worker,
        id: &AttemptId,
        progress: Option<Json>,
        message: [u8; 32],
    ) -> Result<Kept, Refused> {
        self.with(|state, now| state.endpoint_heartbeat(worker, id, progress, message, now))
    }

    /// What is to be decided, if it is not known already. `reported` must follow.
    pub fn report(&self, worker: &Worker, id: &AttemptId, result: &Result<Json, Failure>) -> Result<Reported, Refused> {
        let outcome = digest(result);
        self.state.lock().report(worker, id, outcome, self.clock.now())
    }

    /// What was decided about a report; `None` if nothing was, so that it may be reported again.
    pub fn reported(&self, id: &AttemptId, decided: Option<Result<(), Refused>>) {
        self.with(|state, now| state.reported(id, decided, now));
    }

    // Questions

    /// Whether it is an attempt of this engine's, under way or lately settled.
    pub fn knows(&self, id: &AttemptId) -> bool {
        self.state.lock().knows(id)
    }

    pub fn standing(&self, of: &AttemptOf) -> Option<Standing> {
        let state = self.state.lock();
        let now = self.clock.now();
        if let Some(taken) = state.taken(of) {
            let worker = taken.worker.as_ref().map(|worker| worker.name.clone());
            return Some(Standing {
                name: taken.attempt.name.clone(),
                since: now.duration_since(taken.since),
                deliveries: taken.deliveries,
                with: With::Worker { name: worker, progress: taken.progress.clone() },
            });
        }
        let waiting = state.ready.get(of)?;
        Some(Standing {
            name: waiting.attempt.name.clone(),
            since: now.duration_since(waiting.since),
            deliveries: waiting.deliveries,
            with: With::Nobody { has_worker: state.workers.has_worker_for(&waiting.attempt, now) },
        })
    }

    pub fn standing_of_directive(&self, id: DirectiveId) -> Option<Standing> {
        let of = self.state.lock().of_directive(id)?;
        self.standing(&of)
    }

    /// The workers that take attempts of a tenant and were heard of lately, by name.
    pub fn list(&self, tenant: TenantId) -> Vec<WorkerSeen> {
        let now = self.clock.now();
        let state = self.state.lock();
        let there = state.workers.of_tenant(tenant, now);
        let mut list: Vec<WorkerSeen> = there
            .map(|seen| {
                let is_own = |of: &&AttemptOf| state.taken(of).is_some_and(|taken| taken.attempt.tenant == tenant);
                WorkerSeen {
                    is_waiting: seen.waiting > 0,
                    taken: seen.taken.iter().filter(is_own).count(),
                    first_seen: now.saturating_duration_since(seen.first_at),
                    last_seen: now.saturating_duration_since(seen.last_at),
                    worker: seen.worker.clone(),
                }
            })
            .collect();
        drop(state);
        list.sort_by(|one, other| one.worker.id.name.cmp(&other.worker.id.name));
        list
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let (done, is_sooner) = {
            let mut state = self.state.lock();
            let done = act(&mut state, self.clock.now());
            self.gauges.publish(&state);
            (done, state.plan())
        };
        if is_sooner {
            self.changed.notify_one();
        }
        done
    }

    fn tell(&self, lost: impl IntoIterator<Item = Lost>) {
        for Lost { of, tenant, failure } in lost {
            // Only a stopped engine hears nothing; the next one hands the attempt out again.
            let _ = self.outcomes.send(outcome(tenant, of, Err(failure), None));
        }
    }
}

impl Gauges {
    /// Whoever reads the metrics needs no lock.
    fn publish(&self, state: &State) {
        self.waiting.set(state.ready.len() as i64);
        self.taken.set(state.taken_len() as i64);
        self.workers.set(state.workers.there as i64);
        self.without_worker.set(state.without_worker as i64);
        self.leases_lost.set(state.leases_lost as i64);
    }
}

/// Tells whether two reports say the same. A worker that repeats a report sends the same text.
fn digest(result: &Result<Json, Failure>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match result {
        Ok(output) => (true, output.text()).hash(&mut hasher),
        Err(failure) => (false, Json::of(failure).text()).hash(&mut hasher),
    }
    hasher.finish()
}

/// How an attempt ended, for the engine. `by` says who made it.
pub(crate) fn outcome(
    tenant: TenantId,
    of: AttemptOf,
    result: Result<Json, Failure>,
    by: Option<(Json, Vec<String>)>,
) -> Outcome {
    let (execution, logs) = by.map_or((None, Vec::new()), |(by, logs)| (Some(by), logs));
    let hold = OutcomeHold::default();
    match of {
        AttemptOf::Directive { id, attempt } => {
            Outcome::Directive { tenant, id, attempt, result, execution, logs, hold }
        }
        AttemptOf::Step { run, place, attempt, begun } => {
            Outcome::Step { tenant, run, place, attempt, begun: Some(begun), result, execution, logs, hold }
        }
    }
}

/// Somebody waits, and stops to however their request ends: what they were told in the meantime goes
/// back to the others.
struct Here<'a> {
    workers: &'a Workers,
    number: u64,
    waited: Option<oneshot::Receiver<Handed>>,
}

impl Here<'_> {
    fn leave(mut self) -> Handed {
        self.workers.with(|state, _| drop(state.wait_no_more(self.number)));
        let waited = self.waited.take();
        waited.and_then(|mut waited| waited.try_recv().ok()).unwrap_or_default()
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        let Some(mut waited) = self.waited.take() else { return };
        self.workers.with(|state, now| {
            state.wait_no_more(self.number);
            if let Ok(handed) = waited.try_recv() {
                state.take_back(handed, now);
                state.serve(now);
            }
        });
    }
}

#[cfg(test)]
mod tests;
