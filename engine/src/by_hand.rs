//! The engine, driven by hand: the same decisions and commits, on the caller's thread, with a clock
//! that stands still until it is moved and effects that the caller carries out. Tests of workflows and
//! simulations run on it, in microseconds and the same way every time.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, unbounded};
use fleetprompt_core::directive::Directive;
use fleetprompt_core::document::Format;
use fleetprompt_core::registration::{WorkflowEntry, WorkflowStatus};
use fleetprompt_core::run::Place;
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::{Role, Tenant};
use fleetprompt_core::{
    DirectiveId, Failure, Json, Meter, Party, RunId, Scope, SignalId, Slug, Span, TenantId, Timestamp,
};
use fleetprompt_store::Store;
use serde_json::json;
use tokio::sync::{oneshot, watch};

use crate::batch::{Decider, Door, Limits, Shared};
use crate::cache::SharedCache;
use crate::clock::{ManualTime, MonotonicClock};
use crate::compile::{CompiledWorkflow, read_agent};
use crate::descent::DescentLimits;
use crate::hand_out::{InputReader, TakenAttempts};
use crate::input::{Input, Outcome, Registration, Reply};
use crate::modules::{FUEL_MAX, Modules};
use crate::perform::OutcomeHold;
use crate::queue::{Backlog, Entrance, Turned, queue_by_clock};
use crate::stop::Shutdown;
use crate::workers::{self, AttemptId, Refused, Reported, Worker, Workers};
use crate::{
    AppliedAgent, AppliedDirectiveType, AppliedFunction, AppliedWorkflow, CreatedKey, Directory, Emitted, Error,
    NewDirective, NewKey, Refusal, Requested, TenantDirectory, registrations,
};

mod hands;

use hands::Hands;

pub struct ByHand {
    decider: Decider,
    queue: Entrance,
    outcomes: Sender<Outcome>,
    time: ManualTime,
    hands: Arc<Hands>,
    inputs: InputReader,
    directory: Arc<ArcSwap<Directory>>,
    decided: Vec<Decided>,
}

/// The bounds of an engine that is driven manually.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Inputs that may wait.
    pub queue_max: usize,
    /// Units that one batch takes at most.
    pub batch_max: usize,
    /// The budget of one decision.
    pub decision_units: u64,
    /// What is held in memory of what is open; `None` for as much as elsewhere.
    pub cache_bytes: Option<usize>,
    /// What one root may lead to.
    pub descent: DescentLimits,
    /// Who performs effects, if not the caller, to whom each is given at once.
    pub performs: Option<PerformBounds>,
}

/// Effects wait for slots and for workers, as they do where a server performs them.
#[derive(Debug, Clone, Copy)]
pub struct PerformBounds {
    /// Effects that are performed at once.
    pub effects_max: usize,
    /// How long a worker may be silent about an attempt before another gets it.
    pub lease: Duration,
    /// Bytes of inputs that are kept for workers; a quarter of it for one tenant.
    pub input_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            queue_max: 16_384,
            batch_max: 1_000,
            decision_units: Meter::DECISION_UNITS,
            cache_bytes: None,
            descent: DescentLimits::default(),
            performs: None,
        }
    }
}

/// The answer to an input, once its batch is committed.
pub type Answer<T> = oneshot::Receiver<Result<T, Error>>;

/// What one batch decided, in units of the queue. `None` stands for inputs of no tenant.
#[derive(Debug, Clone)]
pub struct Decided {
    /// How much of each tenant was decided, in this order, without control inputs.
    pub units: Vec<(Option<TenantId>, usize)>,
    /// How much was charged for what this led to.
    pub charged: Vec<(Option<TenantId>, usize)>,
}

/// An effect that waits for whoever carries it out.
#[derive(Debug, Clone)]
pub struct Task {
    pub tenant: TenantId,
    pub kind: TaskKind,
    pub attempt: u32,
    /// The idempotency key that the world would see.
    pub key: String,
    /// The signal that began it, where it is a step's own and no directive.
    pub begun: Option<SignalId>,
}

#[derive(Debug, Clone)]
pub enum TaskKind {
    Agent {
        run: RunId,
        place: Place,
        agent: Slug,
        input: Json,
    },
    /// That a worker performs.
    Function {
        run: RunId,
        place: Place,
        function: Arc<str>,
        input: Json,
    },
    Directive(Arc<Directive>),
}

impl ByHand {
    /// Resumes what the store holds, as a new process would. `seed` makes ids.
    pub fn start(store: Arc<dyn Store>, now: Timestamp, seed: u64) -> Result<Self, Error> {
        Self::start_with_bounds(Bounds::default(), store, ManualTime::new(now, Duration::ZERO), seed)
    }

    /// Starts an engine that holds no more than `cache_bytes` of what is open in memory.
    pub fn start_with_cache(
        store: Arc<dyn Store>,
        now: Timestamp,
        seed: u64,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let bounds = Bounds { cache_bytes: Some(cache_bytes), ..Bounds::default() };
        Self::start_with_bounds(bounds, store, ManualTime::new(now, Duration::ZERO), seed)
    }

    /// Starts an engine with another budget for each decision.
    pub fn start_within(store: Arc<dyn Store>, now: Timestamp, seed: u64, units: u64) -> Result<Self, Error> {
        let bounds = Bounds { decision_units: units, ..Bounds::default() };
        Self::start_with_bounds(bounds, store, ManualTime::new(now, Duration::ZERO), seed)
    }

    pub fn start_with_bounds(
        bounds: Bounds,
        store: Arc<dyn Store>,
        time: ManualTime,
        seed: u64,
    ) -> Result<Self, Error> {
        let directory = registrations::load(store.as_ref())?;
        Self::over(bounds, store, Arc::new(directory), time, seed)
    }

    fn over(
        bounds: Bounds,
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        time: ManualTime,
        seed: u64,
    ) -> Result<Self, Error> {
        let directory = Arc::new(ArcSwap::new(directory));
        let monotonic = MonotonicClock::Manual(time.clone());
        // There are no threads beside the caller's, so every call of a module is made in its decision.
        let modules = Arc::new(Modules::new(store.clone(), FUEL_MAX));
        let cached = bounds.cache_bytes.map_or_else(SharedCache::default, SharedCache::new);
        let (queue, inputs) = queue_by_clock(bounds.queue_max, monotonic.clone());
        let (outcomes_in, outcomes) = unbounded();
        let (ready_in, ready) = unbounded();
        let hands =
            Arc::new(Hands::new(bounds.performs, directory.clone(), (outcomes_in.clone(), ready_in), &monotonic));
        let (shutdown, stopped) = Shutdown::new(Duration::ZERO);
        let decider = Decider::new(
            Door { inputs, outcomes, ready, stopped },
            store,
            directory.clone(),
            Box::new(hands.clone()),
            Box::new(time.clone()),
            Shared {
                committed: watch::channel(0).0,
                metrics: Arc::default(),
                shutdown: Arc::new(shutdown),
                observer: None,
                monotonic,
            },
            Limits {
                batch_max: bounds.batch_max,
                decision_units: bounds.decision_units,
                modules,
                cached,
                descent: bounds.descent,
            },
            seed,
        )?;
        let inputs = InputReader { records: decider.cache.records().clone(), directory: directory.clone() };
        Ok(Self { decider, queue, outcomes: outcomes_in, time, hands, inputs, directory, decided: Vec::new() })
    }

    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    // Time

    pub fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Sets the clock, also back, and decides what is due by then.
    pub fn set_time(&mut self, now: Timestamp) {
        self.time.set(now);
        self.hands.expire_leases();
        self.decide_all();
    }

    // Batches

    /// Decides one batch of what waits, at the engine's own pace. Returns `false` if nothing was ready.
    pub fn decide_next(&mut self) -> bool {
        let decided = self.decider.decide_next();
        let is_ready = decided.is_some();
        self.decided.extend(decided);
        if self.decider.is_lost() {
            self.hands.drop_waiting();
        }
        is_ready
    }

    /// Decides until nothing is ready any more. What failed is not tried again before its time.
    pub fn decide_all(&mut self) {
        while self.decide_next() {}
    }

    /// The batches that were decided since this was asked last.
    pub fn take_decided(&mut self) -> Vec<Decided> {
        std::mem::take(&mut self.decided)
    }

    /// Decides what waits. Lets pass as much time as it takes until what failed is tried again.
    pub fn try_again(&mut self) {
        self.time.advance(self.decider.until_again().unwrap_or_default());
        self.hands.expire_leases();
        self.decide_all();
    }

    /// Returns `false` while inputs wait, or something that failed is to be tried again.
    pub fn is_at_rest(&self) -> bool {
        self.decider.is_at_rest()
    }

    /// What waits of a tenant to be decided.
    pub fn backlog_of(&self, tenant: TenantId) -> Backlog {
        self.decider.backlog_of(Some(tenant))
    }

    /// When the next thing is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.decider.next_due()
    }

    /// What this engine remembers and a new one over the same store would not, or the other way round:
    /// a mistake, unless something waits to be decided. What is registered is taken as it is.
    pub fn memory_differs(&self) -> Result<Option<String>, Error> {
        let time = ManualTime::new(self.now(), Duration::ZERO);
        let fresh = Self::over(Bounds::default(), self.decider.store.clone(), self.directory(), time, 0)?;
        Ok(self.decider.memory_differs(&fresh.decider))
    }

    // Effects

    /// Everything that was begun since this was asked last.
    pub fn take_tasks(&mut self) -> Vec<Task> {
        self.hands.take_begun()
    }

    /// Effects that wait for a slot.
    pub fn tasks_waiting(&self) -> Vec<Task> {
        self.hands.waiting()
    }

    /// How many effects hold a slot.
    pub fn slots_taken(&self) -> usize {
        self.hands.slots_taken()
    }

    /// How a task ended. A task may end twice, or after its engine is gone: that is for the engine to see.
    pub fn end(&mut self, task: &Task, result: Result<Json, Failure>) {
        self.enqueue_end(task, result);
        self.decide_all();
    }

    // Workers

    /// Where workers take attempts. `None` when the caller performs everything.
    pub fn workers(&self) -> Option<&Workers> {
        self.hands.workers()
    }

    /// Up to `limit` attempts for a worker that has those of `holding`.
    pub fn attempts_take(&self, worker: &Worker, limit: usize, holding: &[AttemptId]) -> Result<TakenAttempts, Error> {
        let Some(workers) = self.workers() else { return Ok(TakenAttempts::default()) };
        let taken = pin!(workers.take(Arc::new(worker.clone()), limit, holding.to_vec(), Duration::ZERO));
        let mut handed = match taken.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(handed) => handed.unwrap_or_default(),
            Poll::Pending => unreachable!("a worker that does not wait is answered at once"),
        };
        match self.inputs.read(&handed.missing()) {
            Ok(inputs) => {
                workers.begin_leases(&mut handed);
                Ok(handed.with_inputs(inputs))
            }
            Err(error) => {
                workers.take_back(handed);
                Err(Error::from(&error))
            }
        }
    }

    /// When the next lease may end.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let until = self.workers()?.until_next()?;
        Some(self.now() + Span(until.as_micros() as i64 + 1))
    }

    /// How an attempt ended that a worker had taken.
    pub fn attempt_report(
        &mut self,
        worker: &Worker,
        id: &AttemptId,
        result: Result<Json, Failure>,
    ) -> Result<Result<(), Refused>, Error> {
        let Some(workers) = self.hands.workers() else { return Ok(Err(Refused::Settled)) };
        let attempt = match workers.report(worker, id, &result) {
            Ok(Reported::New(attempt)) => attempt,
            Ok(Reported::Known) => return Ok(Ok(())),
            Err(refused) => return Ok(Err(refused)),
        };
        let by = json!({"worker": worker.id.name}).into();
        let outcome = workers::outcome(attempt.tenant, id.of, result, Some((by, Vec::new())));
        let decided = self.ask(|reply| Input::Outcome { outcome, reply });
        self.hands.workers().into_iter().for_each(|workers| workers.reported(id, decided.as_ref().ok().copied()));
        decided
    }

    /// The same as `end`, without deciding it yet.
    pub fn enqueue_end(&mut self, task: &Task, result: Result<Json, Failure>) {
        // Only a lost engine hears nothing.
        self.hands.ended(task);
        let _ = self.outcomes.send(task.clone().outcome(result));
    }

    // Requests

    pub fn emit(&mut self, scope: &Scope, signals: Vec<NewSignal>) -> Result<Vec<Result<Emitted, Error>>, Error> {
        self.ask(|reply| Input::Emit { scope: scope.clone(), signals, reply })
    }

    /// Several inputs in one batch, as they come under load.
    pub fn emit_and_end(
        &mut self,
        scope: &Scope,
        signals: Vec<NewSignal>,
        ended: Vec<(Task, Result<Json, Failure>)>,
    ) -> Result<Vec<Result<Emitted, Error>>, Error> {
        let answer = self.enqueue_emit(scope, signals);
        ended.into_iter().for_each(|(task, result)| self.enqueue_end(&task, result));
        self.decide_all();
        answered(answer?)
    }

    pub fn enqueue_emit(
        &mut self,
        scope: &Scope,
        signals: Vec<NewSignal>,
    ) -> Result<Answer<Vec<Result<Emitted, Error>>>, Error> {
        self.enqueue(|reply| Input::Emit { scope: scope.clone(), signals, reply })
    }

    pub fn enqueue_request(&mut self, scope: &Scope, directive: NewDirective) -> Result<Answer<Requested>, Error> {
        self.enqueue(|reply| Input::Request { scope: scope.clone(), directive, reply })
    }

    /// Signals of several callers in one batch, in order.
    pub fn emit_each(&mut self, each: Vec<(Scope, NewSignal)>) -> Vec<Result<Emitted, Error>> {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        for (scope, signal) in each {
            let (reply, answer) = oneshot::channel();
            inputs.push(Input::Emit { scope, signals: vec![signal], reply: Reply::new(reply) });
            answers.push(answer);
        }
        self.decider.decide_together(inputs);
        self.decide_all();
        let one = |answer: Answer<Vec<_>>| answered(answer)?.pop().unwrap_or_else(|| Err(unanswered()));
        answers.into_iter().map(one).collect()
    }

    pub fn request(&mut self, scope: &Scope, directive: NewDirective) -> Result<Requested, Error> {
        self.ask(|reply| Input::Request { scope: scope.clone(), directive, reply })
    }

    pub fn directive_cancel(&mut self, scope: &Scope, id: DirectiveId, reason: &str) -> Result<Arc<Directive>, Error> {
        let reason = reason.to_owned();
        self.ask(|reply| Input::CancelDirective { scope: scope.clone(), id, reason, reply })
    }

    pub fn directive_report(
        &mut self,
        scope: &Scope,
        id: DirectiveId,
        result: Result<Json, Failure>,
    ) -> Result<Arc<Directive>, Error> {
        self.ask(|reply| Input::Report { scope: scope.clone(), id, result, reply })
    }

    pub fn directive_heartbeat(&mut self, scope: &Scope, id: DirectiveId) -> Result<Arc<Directive>, Error> {
        self.ask(|reply| Input::Heartbeat { scope: scope.clone(), id, reply })
    }

    pub fn tenant_create(&mut self, slug: Slug, role: Role) -> Result<(Tenant, CreatedKey), Error> {
        let (actor, name) = (Party::engine(), slug.to_string());
        self.register(|reply| Registration::Tenant { actor, slug, name, role, reply })
    }

    pub fn key_create(&mut self, tenant: TenantId, role: Role) -> Result<CreatedKey, Error> {
        let (actor, new) = (Party::engine(), NewKey::of_role(role.as_str(), role));
        self.register(|reply| Registration::Key { actor, tenant, new, reply })
    }

    pub fn workflow_apply(&mut self, scope: &Scope, text: &str, format: Format) -> Result<AppliedWorkflow, Error> {
        let compiled = CompiledWorkflow::read(text, format, self.tenant(scope.tenant)?, true)?;
        self.register(|reply| Registration::Workflow { scope: scope.clone(), compiled, activate: true, reply })
    }

    pub fn workflow_status_set(
        &mut self,
        scope: &Scope,
        slug: Slug,
        to: WorkflowStatus,
    ) -> Result<WorkflowEntry, Error> {
        let compiled = match to {
            WorkflowStatus::Active => {
                let tenant = self.tenant(scope.tenant)?;
                Some(registrations::compile_version(self.decider.store.as_ref(), tenant, &slug, None)?)
            }
            WorkflowStatus::Paused | WorkflowStatus::Archived | WorkflowStatus::Draft => None,
        };
        self.register(|reply| Registration::WorkflowStatus { scope: scope.clone(), slug, to, compiled, reply })
    }

    pub fn agent_apply(&mut self, scope: &Scope, text: &str, format: Format) -> Result<AppliedAgent, Error> {
        let compiled = read_agent(text, format)?;
        self.register(|reply| Registration::Agent { scope: scope.clone(), compiled, reply })
    }

    pub fn directive_type_apply(&mut self, scope: &Scope, document: Json) -> Result<AppliedDirectiveType, Error> {
        self.register(|reply| Registration::DirectiveType { scope: scope.clone(), document, reply })
    }

    pub fn function_apply(&mut self, scope: &Scope, document: Json) -> Result<AppliedFunction, Error> {
        self.register(|reply| Registration::Function { scope: scope.clone(), document, reply })
    }

    fn tenant(&self, id: TenantId) -> Result<Arc<TenantDirectory>, Error> {
        Ok(self.directory.load().tenant(id).cloned().ok_or_else(|| Refusal::not_found("tenant", id))?)
    }

    fn register<T>(&mut self, make: impl FnOnce(Reply<T>) -> Registration) -> Result<T, Error> {
        self.ask(|reply| Input::Register(make(reply)))
    }

    fn ask<T>(&mut self, make: impl FnOnce(Reply<T>) -> Input) -> Result<T, Error> {
        let answer = self.enqueue(make)?;
        self.decide_all();
        answered(answer)
    }

    fn enqueue<T>(&mut self, make: impl FnOnce(Reply<T>) -> Input) -> Result<Answer<T>, Error> {
        let (reply, answer) = oneshot::channel();
        let input = make(Reply::new(reply));
        let whose = input.tenant();
        let weight = whose.and_then(|tenant| Some(self.directory.load().tenant(tenant)?.tenant.weight));
        match self.queue.put(whose, weight.unwrap_or_default(), vec![input]) {
            Ok(()) => Ok(answer),
            Err(Turned::Away) => Err(Error::Busy { retry_after: Duration::from_millis(500) }),
            Err(Turned::Off) => Err(Error::Unavailable("the engine has ended".into())),
        }
    }
}

impl Task {
    fn outcome(self, result: Result<Json, Failure>) -> Outcome {
        let Self { tenant, attempt, kind, begun, .. } = self;
        let (logs, hold) = (Vec::new(), OutcomeHold::default());
        match kind {
            TaskKind::Agent { run, place, .. } | TaskKind::Function { run, place, .. } => {
                Outcome::Step { tenant, run, place, attempt, begun, result, execution: None, logs, hold }
            }
            TaskKind::Directive(directive) => {
                Outcome::Directive { tenant, id: directive.id, attempt, result, execution: None, logs, hold }
            }
        }
    }
}

fn answered<T>(mut answer: Answer<T>) -> Result<T, Error> {
    answer.try_recv().unwrap_or_else(|_| Err(unanswered()))
}

fn unanswered() -> Error {
    Error::OutcomeUnknown("the engine ended before it answered".into())
}
