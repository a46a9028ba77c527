//! The handle by which the rest of the program reaches the engine: it puts inputs into the queue
//! and waits for the answers, which come after the commit.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::document::Format;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::{ModuleEntry, WorkflowEntry, WorkflowStatus};
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::{Key, Role, Tenant};
use fleetprompt_core::{DirectiveId, Failure, Json, KeyId, Party, Scope, Slug, TenantId};
use fleetprompt_store::Store;
use tokio::sync::{oneshot, watch};

use crate::compile::{CompiledWorkflow, read_agent, read_schedule};
use crate::compute::ComputeSlots;
use crate::hand_out::InputReader;
use crate::input::{Input, Outcome, Registration, Reply};
use crate::memory::{self, RequestMemory};
use crate::models::Models;
use crate::modules::{Module, Modules};
use crate::perform::Performing;
use crate::queue::{Entrance, Turned};
use crate::registrations::compile_version;
use crate::workers::{self, AttemptId, Refused, Reported, Worker, Workers};
use crate::{
    AddedModule, AppliedAgent, AppliedDirectiveType, AppliedFunction, AppliedSchedule, AppliedWorkflow, Config,
    CreatedKey, Directory, Emitted, Error, Metrics, NewDirective, NewKey, OrderedSchedule, Refusal, Requested,
    Resources, ScheduleOrder, TenantChange, TenantDirectory,
};

/// As many signals of a request are decided without a look at who else waits.
pub(crate) const SIGNALS_TOGETHER: usize = 16;
/// The same in bytes of their payloads.
const BYTES_TOGETHER: usize = 512 << 10;

/// What a worker says of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptReport {
    pub id: AttemptId,
    pub result: Result<Json, Failure>,
    pub logs: Vec<String>,
}

/// Cheap to clone; the engine ends when `stop` is called on any of them.
#[derive(Clone)]
pub struct Engine {
    pub(crate) queue: Entrance,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<ArcSwap<Directory>>,
    pub(crate) commits: watch::Receiver<u64>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) memory: Arc<RequestMemory>,
    pub(crate) models: Arc<Models>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) compile_slots: Arc<ComputeSlots>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) inputs: InputReader,
    pub(crate) performing: Arc<Performing>,
    pub(crate) shutdown: Arc<crate::stop::Shutdown>,
}

impl Engine {
    /// Loads what is registered and what was left open, and begins to decide on a thread of its
    /// own. Effects run on `runtime`.
    pub fn start(store: Arc<dyn Store>, config: Config, runtime: tokio::runtime::Handle) -> Result<Self, Error> {
        Self::start_among(store, &Resources::new(config), runtime)
    }

    /// One of several in a process, each over a store of its own.
    pub fn start_among(
        store: Arc<dyn Store>,
        resources: &Resources,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, Error> {
        crate::batch::start(store, resources, runtime)
    }

    /// Takes no more, lets effects that have begun end within the grace, and commits their outcomes.
    pub async fn stop(&self) {
        self.stop_within(self.shutdown.grace()).await;
    }

    pub async fn stop_within(&self, grace: Duration) {
        self.workers.close();
        self.shutdown.stop(grace).await;
    }

    /// Another engine is to take over: no effect begins from now on, and those that have begun may end within the
    /// grace. Everything else goes on; what has not begun, the other begins.
    pub async fn hand_over(&self) {
        self.performing.hold(self.shutdown.grace()).await;
    }

    /// Comes when the engine has ended: after `stop`, or because it may not write any more.
    pub async fn ended(&self) {
        self.shutdown.until_ended().await;
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Everything that is registered, as of the last commit.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// Changes whenever something was committed.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Memory that requests take, shared by the engines of this process.
    pub fn memory(&self) -> &Arc<RequestMemory> {
        &self.memory
    }

    pub fn models(&self) -> &Models {
        &self.models
    }

    pub fn workers(&self) -> &Arc<Workers> {
        &self.workers
    }

    /// Until it was stopped, or may not write any more.
    pub fn is_running(&self) -> bool {
        !self.shutdown.has_ended()
    }

    /// Returns `false` while the store refuses commits or is away, and once the engine has ended.
    pub fn is_ready(&self) -> bool {
        !self.refuses_commits() && self.is_running() && self.store.is_reachable()
    }

    /// Returns `true` from a commit that the store refused until it accepts one again.
    pub fn refuses_commits(&self) -> bool {
        self.shutdown.refuses_commits()
    }

    // Signals

    /// Records facts; one answer each, in order. One that is refused, or that could not be recorded, does not keep its
    /// neighbours out: where tenants share the engine, many of them need not come into the same commit.
    pub async fn emit(&self, scope: &Scope, signals: Vec<NewSignal>) -> Result<Vec<Result<Emitted, Error>>, Error> {
        let mut answers = Vec::with_capacity(signals.len());
        let (mut signals, mut inputs, mut replies) = (signals.into_iter().peekable(), Vec::new(), Vec::new());
        while signals.peek().is_some() {
            let (reply, answer) = oneshot::channel();
            let some = take_together(&mut signals);
            replies.push((some.len(), answer));
            inputs.push(Input::Emit { scope: scope.clone(), signals: some, reply: Reply::new(reply) });
        }
        self.put(Some(scope.tenant), inputs)?;
        let (mut failure, mut is_on_record) = (None, false);
        for (count, answer) in replies {
            match answer.await.unwrap_or_else(|_| Err(unanswered())) {
                Ok(some) => {
                    is_on_record = true;
                    answers.extend(some);
                }
                Err(error) => {
                    answers.extend(std::iter::repeat_n(Err(error.clone()), count));
                    failure = Some(failure.take_if(|known: &mut Error| known.is_outcome_unknown()).unwrap_or(error));
                }
            }
        }
        // As a whole it has only failed when nothing of it was accepted.
        failure.filter(|_| !is_on_record).map_or(Ok(answers), Err)
    }

    // Directives

    pub async fn request(&self, scope: &Scope, directive: NewDirective) -> Result<Requested, Error> {
        self.ask(|reply| Input::Request { scope: scope.clone(), directive, reply }).await
    }

    pub async fn directive_cancel(
        &self,
        scope: &Scope,
        id: DirectiveId,
        reason: String,
    ) -> Result<Arc<Directive>, Error> {
        self.ask(|reply| Input::CancelDirective { scope: scope.clone(), id, reason, reply }).await
    }

    /// How a `manual` directive ended.
    pub async fn directive_report(
        &self,
        scope: &Scope,
        id: DirectiveId,
        result: Result<Json, Failure>,
    ) -> Result<Arc<Directive>, Error> {
        self.ask(|reply| Input::Report { scope: scope.clone(), id, result, reply }).await
    }

    /// Whoever carries out a `manual` directive is still at it.
    pub async fn directive_heartbeat(&self, scope: &Scope, id: DirectiveId) -> Result<Arc<Directive>, Error> {
        self.ask(|reply| Input::Heartbeat { scope: scope.clone(), id, reply }).await
    }

    /// How attempts that a worker had taken ended; `by` says on record who reports it. One answer each, in order, once
    /// it is recorded. An outcome that is refused, or cannot be decided, keeps no other one from being recorded.
    pub async fn attempts_report(
        &self,
        worker: &Worker,
        by: &Json,
        reports: Vec<AttemptReport>,
    ) -> Vec<Result<(), Error>> {
        let (mut answers, mut outcomes, mut ids) = (Vec::with_capacity(reports.len()), Vec::new(), Vec::new());
        for AttemptReport { id, result, logs } in reports {
            let accepted = self.workers.report(worker, &id, &result);
            if let Ok(Reported::New(attempt)) = &accepted {
                ids.push((answers.len(), id));
                outcomes.push(workers::outcome(attempt.tenant, id.of, result, Some((by.clone(), logs))));
            }
            answers.push(accepted.map(drop).map_err(Error::from));
        }
        if ids.is_empty() {
            return answers;
        }
        // Whatever becomes of this request: what was to be decided is decided, and then given free.
        let (engine, all) = (self.clone(), ids.clone());
        let work = async move {
            let decided = engine.decide_outcomes(outcomes).await;
            for ((_, id), decided) in all.iter().zip(&decided) {
                engine.workers.reported(id, decided.as_ref().ok().copied());
            }
            decided
        };
        let decided = tokio::spawn(memory::with(memory::held(), work)).await.unwrap_or_else(|error| {
            let error = Error::OutcomeUnknown(error.to_string());
            ids.iter().map(|_| Err(error.clone())).collect()
        });
        for ((at, _), decided) in ids.into_iter().zip(decided) {
            answers[at] = decided.and_then(|decided| decided.map_err(Error::from));
        }
        answers
    }

    /// Each by itself, so that one which cannot be written does not keep its neighbours out; in order.
    async fn decide_outcomes(&self, outcomes: Vec<Outcome>) -> Vec<Result<Result<(), Refused>, Error>> {
        let (mut inputs, mut replies) = (BTreeMap::<TenantId, Vec<Input>>::new(), Vec::new());
        for outcome in outcomes {
            let (reply, answer) = oneshot::channel();
            inputs.entry(outcome.tenant()).or_default().push(Input::Outcome { outcome, reply: Reply::new(reply) });
            replies.push(answer);
        }
        for (tenant, inputs) in inputs {
            // It is only refused by an engine that stops, and then no answer comes.
            let _ = self.put(Some(tenant), inputs);
        }
        let mut decided = Vec::with_capacity(replies.len());
        for answer in replies {
            decided.push(answer.await.unwrap_or_else(|_| Err(unanswered())));
        }
        decided
    }

    // Registrations

    pub async fn workflow_apply(
        &self,
        scope: &Scope,
        text: String,
        format: Format,
        activate: bool,
    ) -> Result<AppliedWorkflow, Error> {
        let tenant = self.tenant(scope.tenant)?;
        let compiled =
            self.compile(scope.tenant, move || CompiledWorkflow::read(&text, format, tenant, activate)).await?;
        self.register(|reply| Registration::Workflow { scope: scope.clone(), compiled, activate, reply }).await
    }

    /// To `Active` with the version named, or else the newest; to `Paused` or `Archived`.
    pub async fn workflow_status_set(
        &self,
        scope: &Scope,
        slug: Slug,
        to: WorkflowStatus,
        version: Option<String>,
    ) -> Result<WorkflowEntry, Error> {
        let compiled = match to {
            WorkflowStatus::Active => {
                let (tenant, store, slug) = (self.tenant(scope.tenant)?, self.store.clone(), slug.clone());
                let compile = move || compile_version(store.as_ref(), tenant, &slug, version.as_deref());
                Some(self.compile(scope.tenant, compile).await?)
            }
            WorkflowStatus::Paused | WorkflowStatus::Archived | WorkflowStatus::Draft => None,
        };
        self.register(|reply| Registration::WorkflowStatus { scope: scope.clone(), slug, to, compiled, reply }).await
    }

    pub async fn agent_apply(&self, scope: &Scope, text: String, format: Format) -> Result<AppliedAgent, Error> {
        let compiled = self.compile(scope.tenant, move || read_agent(&text, format)).await?;
        self.register(|reply| Registration::Agent { scope: scope.clone(), compiled, reply }).await
    }

    pub async fn schedule_apply(&self, scope: &Scope, text: String, format: Format) -> Result<AppliedSchedule, Error> {
        let compiled = self.compile(scope.tenant, move || read_schedule(&text, format)).await?;
        self.register(|reply| Registration::Schedule { scope: scope.clone(), compiled, reply }).await
    }

    pub async fn schedule_order(
        &self,
        scope: &Scope,
        slug: Slug,
        order: ScheduleOrder,
        reason: Option<String>,
    ) -> Result<OrderedSchedule, Error> {
        self.register(|reply| Registration::ScheduleOrder { scope: scope.clone(), slug, order, reason, reply }).await
    }

    pub async fn directive_type_apply(&self, scope: &Scope, document: Json) -> Result<AppliedDirectiveType, Error> {
        self.register(|reply| Registration::DirectiveType { scope: scope.clone(), document, reply }).await
    }

    pub async fn function_apply(&self, scope: &Scope, document: Json) -> Result<AppliedFunction, Error> {
        self.register(|reply| Registration::Function { scope: scope.clone(), document, reply }).await
    }

    /// Keeps a module, once it is sure that it can be called.
    pub async fn module_add(&self, scope: &Scope, bytes: Vec<u8>) -> Result<AddedModule, Error> {
        let bytes = Arc::<[u8]>::from(bytes);
        let to_compile = bytes.clone();
        let compiled = self.compile_slots.run(scope.tenant, move || Module::compile(&to_compile)).await?;
        let module =
            compiled.map_err(|why| Refusal::invalid("module_invalid", format!("the module cannot be used: {why}")))?;
        let size = bytes.len();
        let added = self.register(|reply| Registration::Module { scope: scope.clone(), bytes, reply }).await?;
        self.modules.put(added.entry.digest.clone(), size, module);
        Ok(added)
    }

    pub async fn module_remove(&self, scope: &Scope, digest: ModuleDigest) -> Result<ModuleEntry, Error> {
        self.register(|reply| Registration::RemoveModule { scope: scope.clone(), digest, reply }).await
    }

    /// A tenant with its first key, of the given role.
    pub async fn tenant_create(
        &self,
        actor: Party,
        slug: Slug,
        name: String,
        role: Role,
    ) -> Result<(Tenant, CreatedKey), Error> {
        self.register(|reply| Registration::Tenant { actor, slug, name, role, reply }).await
    }

    pub async fn tenant_update(&self, actor: Party, slug: Slug, change: TenantChange) -> Result<Tenant, Error> {
        self.register(|reply| Registration::TenantChange { actor, slug, change, reply }).await
    }

    pub async fn key_create(&self, actor: Party, tenant: TenantId, new: NewKey) -> Result<CreatedKey, Error> {
        self.register(|reply| Registration::Key { actor, tenant, new, reply }).await
    }

    pub async fn key_revoke(&self, actor: Party, tenant: TenantId, id: KeyId) -> Result<Key, Error> {
        self.register(|reply| Registration::RevokeKey { actor, tenant, id, reply }).await
    }

    /// Who compiles definitions beside the engine takes a place of these as well.
    pub fn compile_slots(&self) -> &Arc<ComputeSlots> {
        &self.compile_slots
    }

    async fn compile<T: Send + 'static>(
        &self,
        tenant: TenantId,
        compile: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.compile_slots.run(tenant, compile).await?
    }

    fn tenant(&self, id: TenantId) -> Result<Arc<TenantDirectory>, Error> {
        Ok(self.directory.load().tenant(id).cloned().ok_or_else(|| Refusal::not_found("tenant", id))?)
    }

    async fn register<T>(&self, make: impl FnOnce(Reply<T>) -> Registration) -> Result<T, Error> {
        self.ask(|reply| Input::Register(make(reply))).await
    }

    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Input) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let input = make(Reply::new(reply));
        self.put(input.tenant(), vec![input])?;
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// All of them, or none.
    fn put(&self, tenant: Option<TenantId>, inputs: Vec<Input>) -> Result<(), Error> {
        let weight = tenant.and_then(|tenant| Some(self.directory.load().tenant(tenant)?.tenant.weight));
        self.queue.put(tenant, weight.unwrap_or_default(), inputs).map_err(|turned| match turned {
            Turned::Away => Error::Busy { retry_after: Duration::from_millis(500) },
            Turned::Off => stopping(),
        })
    }
}

/// The next signals of a request that are decided together: at least one.
fn take_together(signals: &mut Peekable<impl Iterator<Item = NewSignal>>) -> Vec<NewSignal> {
    let (mut some, mut bytes) = (Vec::new(), 0);
    while some.len() < SIGNALS_TOGETHER
        && let Some(signal) = signals.next_if(|next| bytes == 0 || bytes + next.payload.text().len() <= BYTES_TOGETHER)
    {
        bytes += signal.payload.text().len().max(1);
        some.push(signal);
    }
    some
}

/// The engine ended while it decided this. What still waited in its queue is refused as `Unavailable`.
fn unanswered() -> Error {
    Error::OutcomeUnknown("the engine ended before it answered".into())
}

fn stopping() -> Error {
    Error::Unavailable("the engine is stopping".into())
}
