//! The engine, driven by hand: the same decisions and commits, on the caller's thread, with a clock
//! that stands still until it is moved and effects that the caller carries out. Tests of workflows and
//! simulations run on it, in microseconds and the same way every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::{never, unbounded};
use fleetprompt_core::directive::Directive;
use fleetprompt_core::document::Format;
use fleetprompt_core::registration::{WorkflowEntry, WorkflowStatus};
use fleetprompt_core::run::{Effect, Place};
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::{Role, Tenant};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, Failure, Json, Meter, Party, RunId, Scope, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_store::Store;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::batch::{Decider, Door, Limits, Shared};
use crate::cache::{OpenRun, SharedCache};
use crate::clock::Clock;
use crate::compile::{CompiledWorkflow, read_agent};
use crate::descent::DescentLimits;
use crate::input::{Input, Outcome, Registration, Reply};
use crate::perform::{OutcomeHold, Perform, When};
use crate::queue::queue;
use crate::stop::Shutdown;
use crate::{
    AppliedAgent, AppliedDirectiveType, AppliedFunction, AppliedWorkflow, CreatedKey, Directory, Emitted, Error,
    NewDirective, NewKey, Refusal, Requested, TenantDirectory, registrations,
};

pub struct ByHand {
    decider: Decider,
    clock: Arc<AtomicI64>,
    tasks: Arc<Mutex<Vec<Task>>>,
    directory: Arc<ArcSwap<Directory>>,
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
    /// Takes up what the store holds, as a new process would. `seed` makes ids.
    pub fn start(store: Arc<dyn Store>, now: Timestamp, seed: u64) -> Result<Self, Error> {
        Self::start_within(store, now, seed, Meter::DECISION_UNITS)
    }

    /// With another budget for each decision.
    pub fn start_within(store: Arc<dyn Store>, now: Timestamp, seed: u64, units: u64) -> Result<Self, Error> {
        let directory = registrations::load(store.as_ref())?;
        Self::over(store, Arc::new(directory), now, seed, (units, SharedCache::default()))
    }

    /// Starts an engine that holds no more than `cache_bytes` of what is open in memory.
    pub fn start_with_cache(
        store: Arc<dyn Store>,
        now: Timestamp,
        seed: u64,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let directory = registrations::load(store.as_ref())?;
        let bounds = (Meter::DECISION_UNITS, SharedCache::new(cache_bytes));
        Self::over(store, Arc::new(directory), now, seed, bounds)
    }

    fn over(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        now: Timestamp,
        seed: u64,
        (decision_units, cached): (u64, SharedCache),
    ) -> Result<Self, Error> {
        let directory = Arc::new(ArcSwap::new(directory));
        let clock = Arc::new(AtomicI64::new(now.0));
        let tasks = Arc::<Mutex<Vec<Task>>>::default();
        let (_, inputs) = queue(0);
        let (_, outcomes) = unbounded();
        let (shutdown, stopped) = Shutdown::new(std::time::Duration::ZERO);
        let decider = Decider::new(
            Door { inputs, outcomes, ready: never(), stopped },
            store,
            directory.clone(),
            Box::new(Hands(tasks.clone())),
            Box::new(HandClock(clock.clone())),
            Shared {
                committed: watch::channel(0).0,
                metrics: Arc::default(),
                shutdown: Arc::new(shutdown),
                observer: None,
            },
            Limits { batch_max: 1_000, decision_units, cached, descent: DescentLimits::default() },
            seed,
        )?;
        Ok(Self { decider, clock, tasks, directory })
    }

    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    // Time

    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::Relaxed))
    }

    /// Sets the clock, also back, and decides what is due by then.
    pub fn set_time(&mut self, now: Timestamp) {
        self.clock.store(now.0, Ordering::Relaxed);
        self.decider.tick_by_hand(Vec::new(), Vec::new());
    }

    /// When the next thing is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.decider.next_due()
    }

    /// What this engine remembers and a new one over the same store would not, or the other way round:
    /// a mistake, unless a commit failed and has not been made up for. What is registered is taken as it is.
    pub fn memory_differs(&self) -> Result<Option<String>, Error> {
        let bounds = (Meter::DECISION_UNITS, SharedCache::default());
        let fresh = Self::over(self.decider.store.clone(), self.directory(), self.now(), 0, bounds)?;
        Ok(self.decider.memory_differs(&fresh.decider))
    }

    // Effects

    /// Everything that was begun since this was asked last.
    pub fn take_tasks(&mut self) -> Vec<Task> {
        std::mem::take(&mut *self.tasks.lock())
    }

    /// How a task ended. A task may end twice, or after its engine is gone: that is for the engine to see.
    pub fn end(&mut self, task: &Task, result: Result<Json, Failure>) {
        let outcome = task.clone().outcome(result);
        self.decider.tick_by_hand(Vec::new(), vec![outcome]);
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
        let outcomes = ended.into_iter().map(|(task, result)| task.outcome(result)).collect();
        let (reply, mut answer) = oneshot::channel();
        let input = Input::Emit { scope: scope.clone(), signals, reply: Reply::new(reply) };
        self.decider.tick_by_hand(vec![input], outcomes);
        answer.try_recv().unwrap_or_else(|_| Err(Error::Unavailable("the engine gave no answer".into())))
    }

    /// Signals of several callers in one batch, in order.
    pub fn emit_each(&mut self, each: Vec<(Scope, NewSignal)>) -> Vec<Result<Emitted, Error>> {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        for (scope, signal) in each {
            let (reply, answer) = oneshot::channel();
            inputs.push(Input::Emit { scope, signals: vec![signal], reply: Reply::new(reply) });
            answers.push(answer);
        }
        self.decider.tick_by_hand(inputs, Vec::new());
        let unanswered = || Error::Unavailable("the engine gave no answer".into());
        let answer_of = |mut answer: oneshot::Receiver<Result<Vec<Result<Emitted, Error>>, Error>>| {
            answer.try_recv().map_err(|_| unanswered())??.pop().unwrap_or_else(|| Err(unanswered()))
        };
        answers.into_iter().map(answer_of).collect()
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
        let (reply, mut answer) = oneshot::channel();
        self.decider.tick_by_hand(vec![make(Reply::new(reply))], Vec::new());
        answer.try_recv().unwrap_or_else(|_| Err(Error::Unavailable("the engine gave no answer".into())))
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

struct HandClock(Arc<AtomicI64>);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Puts effects where the caller finds them.
struct Hands(Arc<Mutex<Vec<Task>>>);

impl Perform for Hands {
    fn step(&self, open: &OpenRun, effect: Effect, begun: SignalId, _: When) {
        let (kind, attempt, key) = match effect {
            Effect::Agent { run, place, attempt, agent, input, key, .. } => {
                (TaskKind::Agent { run, place, agent, input }, attempt, key)
            }
            Effect::Function { run, place, attempt, function, input, key, .. } => {
                (TaskKind::Function { run, place, function, input }, attempt, key)
            }
            _ => return,
        };
        self.0.lock().push(Task { tenant: open.run.tenant, kind, attempt, key, begun: Some(begun) });
    }

    fn directive(&self, directive: Arc<Directive>, _: Option<Arc<Workflow>>, _: When) {
        let (tenant, attempt, key) = (directive.tenant, directive.attempt, directive.idempotency_key.clone());
        self.0.lock().push(Task { tenant, kind: TaskKind::Directive(directive), attempt, key, begun: None });
    }

    fn in_flight(&self) -> usize {
        self.0.lock().len()
    }
}
