//! One input and everything that follows from it without the outside world: route, handle, advance,
//! until it is quiet.
//!
//! Nothing here writes. What is decided is staged; if the input turns out to be at fault, the stage
//! is dropped and it is as if it had never come.

mod handle;
mod ingest;
mod route;
mod stage;

use std::collections::VecDeque;
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive};
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::run::{self, Effect, Functions, Run, Setting};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Moment, Party, RecordId, RunId, Signal, SignalId, Slug, TenantId,
};
use fleetprompt_store::Store;
use serde_json::Value;

pub(crate) use handle::{Intent, StartRun};
pub(crate) use ingest::{KnownKeys, refused};
pub(crate) use stage::Stage;

use crate::cache::{Cache, OpenRun};
use crate::input::Outcome;
use crate::{Directory, Error, Refusal, TenantDirectory, functions};

/// Past this many signals a cascade leaves the directives it has not begun to the next commit.
const SIGNALS_MAX: usize = 5_000;
/// Past this many signals of a cascade their own subscribers are refused: what only multiplies
/// itself would never come to its end, and nothing else would be decided meanwhile.
const ROUTED_MAX: usize = 50_000;

pub(crate) struct Cascade<'a> {
    pub directory: &'a Directory,
    pub store: &'a dyn Store,
    pub cache: &'a mut Cache,
    pub moment: &'a mut Moment,
    /// What earlier inputs of the same batch came to.
    pub before: &'a Stage,
    pub stage: Stage,
    work: VecDeque<Work>,
    /// Built-in and other directives to begin, each when all work before it is done: so what one of
    /// them comes to is counted before the next.
    begins: VecDeque<(TenantId, DirectiveId)>,
}

/// What is still to be decided.
enum Work {
    Route(Arc<Signal>),
    Start(Box<StartRun>),
    Request(Intent),
    Withdraw(TenantId, DirectiveId, String),
    Advance(TenantId, RunId, run::Input),
}

impl<'a> Cascade<'a> {
    pub fn new(
        directory: &'a Directory,
        store: &'a dyn Store,
        cache: &'a mut Cache,
        moment: &'a mut Moment,
        before: &'a Stage,
    ) -> Self {
        Self {
            directory,
            store,
            cache,
            moment,
            before,
            stage: Stage::default(),
            work: VecDeque::new(),
            begins: VecDeque::new(),
        }
    }

    /// Decides everything that follows, in the order in which it came up.
    pub fn settle(&mut self) -> Result<(), Error> {
        loop {
            let Some(work) = self.work.pop_front() else {
                match self.begins.pop_front() {
                    Some(begin) if self.is_large() => self.stage.deferred.push(begin),
                    Some((tenant, id)) => self.begin(tenant, id)?,
                    None => return Ok(()),
                }
                continue;
            };
            match work {
                Work::Route(signal) => self.route(&signal)?,
                Work::Start(start) => self.start_run(*start),
                Work::Request(intent) => self.request_for_step(intent)?,
                Work::Withdraw(tenant, id, reason) => self.withdraw(tenant, id, reason)?,
                Work::Advance(tenant, id, input) => self.advance(tenant, id, input)?,
            }
        }
    }

    /// Whether what need not be decided in this commit waits for the next one.
    fn is_large(&self) -> bool {
        self.stage.signals.len() >= SIGNALS_MAX || self.before.is_full()
    }

    /// An effect has ended or a time has come. What no longer matters is dropped: the record that
    /// made it matter less is there already.
    pub fn outcome(&mut self, outcome: Outcome) -> Result<(), Error> {
        match outcome {
            Outcome::Step { tenant, run, step, attempt, result, execution, logs } => {
                self.advance(tenant, run, run::Input::Outcome { step, attempt, result, execution, logs })?;
            }
            Outcome::RunDue { tenant, id } => self.advance(tenant, id, run::Input::Due)?,
            Outcome::Directive { tenant, id, attempt, result, logs } => {
                self.directive(tenant, id, directive::Input::Outcome { attempt, result, logs })?;
            }
            Outcome::DirectiveDue { tenant, id } => self.directive(tenant, id, directive::Input::Due)?,
            Outcome::DirectiveDeferred { tenant, id } => self.begins.push_back((tenant, id)),
        }
        self.settle()
    }

    // Advance

    fn advance(&mut self, tenant: TenantId, id: RunId, input: run::Input) -> Result<(), Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(()) };
        let Some(in_force) = self.directory.tenant(tenant) else { return Ok(()) };
        let setting = Setting { workflow: &open.workflow, tenant: &in_force.tenant, signal: open.signal.as_deref() };
        let run = Run::clone(&open.run);
        match run::decide(setting, &Pure, run, input, self.moment) {
            Ok(decision) => self.take_run(open.workflow.clone(), open.signal.clone(), decision),
            Err(illegal) => tracing::debug!(target: "advance", run = %id, %illegal, "nothing follows"),
        }
        Ok(())
    }

    fn start_run(&mut self, start: StartRun) {
        let setting = Setting { workflow: &start.workflow, tenant: &start.tenant, signal: start.signal.as_deref() };
        let decision = run::start(setting, &Pure, start.start, self.moment);
        self.take_run(start.workflow, start.signal, decision);
    }

    fn take_run(&mut self, workflow: Arc<Workflow>, signal: Option<Arc<Signal>>, decision: run::Decision) {
        let run = Arc::new(decision.run);
        for signal in decision.signals {
            self.record(signal);
        }
        for effect in decision.effects {
            match effect {
                Effect::Agent { .. } => self.stage.effects.push((run.tenant, effect)),
                Effect::Directive { id, step, name, payload, key, retry, timeout, lineage } => {
                    let origin = directive::Origin { run_id: run.id, step: step as u32 };
                    self.work.push_back(Work::Request(Intent {
                        id,
                        tenant: run.tenant,
                        name,
                        payload,
                        idempotency_key: key,
                        retry,
                        timeout,
                        origin: Some(origin),
                        actor: Party::new("run", run.id),
                        lineage,
                    }));
                }
                Effect::Withdraw { directive, reason } => {
                    self.work.push_back(Work::Withdraw(run.tenant, directive, reason));
                }
            }
        }
        self.stage.put_run(OpenRun { run, workflow, signal }, decision.changed);
    }

    // What is on record, whoever put it there

    /// A signal becomes part of the log, and is then routed like any other.
    fn record(&mut self, signal: Signal) -> Arc<Signal> {
        let signal = Arc::new(signal);
        let heard = self.directory.tenant(signal.tenant).is_some_and(|tenant| tenant.is_heard(&signal.name));
        if heard {
            self.work.push_back(Work::Route(signal.clone()));
        }
        self.stage.put_signal(signal.clone());
        signal
    }

    pub(crate) fn find_run(&mut self, tenant: TenantId, id: RunId) -> Result<Option<OpenRun>, Error> {
        if let Some(open) = self.stage.run(id).or_else(|| self.before.run(id)) {
            return Ok(Some(open.clone()).filter(|open| open.run.tenant == tenant));
        }
        Ok(self.cache.run(tenant, id)?)
    }

    /// The version that a new run takes: the one named, or else the active one. What is not active
    /// starts nothing, unless a signal had been routed to it when it was.
    pub(crate) fn workflow_for_run(
        &mut self,
        tenant: TenantId,
        slug: &Slug,
        version: Option<&str>,
        routed: bool,
    ) -> Result<Arc<Workflow>, Error> {
        let registered = self.tenant(tenant)?.workflows.get(slug);
        let registered = registered.ok_or_else(|| Refusal::not_found("workflow", slug))?;
        let status = registered.entry.status;
        if status != WorkflowStatus::Active && !routed {
            let message = format!("workflow `{slug}` is {}; activate it first", status.as_str());
            return Err(Refusal::conflict("workflow_not_active", message).into());
        }
        let found = match version {
            Some(version) => self.cache.version(tenant, slug, version)?,
            None => registered.active.clone(),
        };
        found.ok_or_else(|| Refusal::not_found("version", format!("{slug} {}", version.unwrap_or("active"))).into())
    }

    fn find_directive(&mut self, tenant: TenantId, id: DirectiveId) -> Result<Option<Arc<Directive>>, Error> {
        if let Some(directive) = self.stage.directive(id).or_else(|| self.before.directive(id)) {
            return Ok(Some(directive.clone()).filter(|directive| directive.tenant == tenant));
        }
        Ok(self.cache.directive(tenant, id)?)
    }

    pub(crate) fn find_signal(&mut self, tenant: TenantId, id: SignalId) -> Result<Option<Arc<Signal>>, Error> {
        let staged = self.stage.signal(id).or_else(|| self.before.signal(id));
        match staged {
            Some(signal) => Ok(Some(signal.clone()).filter(|signal| signal.tenant == tenant)),
            None => Ok(self.store.signal(tenant, id)?.map(Arc::new)),
        }
    }

    /// The lineage of the record that a caller names as the cause.
    fn find_lineage(&mut self, tenant: TenantId, cause: RecordId) -> Result<Lineage, Error> {
        let found = match cause {
            RecordId::Signal(id) => self.find_signal(tenant, id)?.map(|signal| signal.lineage.clone()),
            RecordId::Directive(id) => self.find_directive(tenant, id)?.map(|directive| directive.lineage.clone()),
            RecordId::Run(id) => self.find_run(tenant, id)?.map(|open| open.run.lineage.clone()),
        };
        found.ok_or_else(|| {
            let message =
                format!("causation_id: there is no record `{cause}`; name a signal, directive or run of yours");
            Refusal::invalid("causation_unknown", message).into()
        })
    }

    /// What a caller's new record stands under: its cause's group and depth, or a group of its own.
    fn lineage(
        &mut self,
        tenant: TenantId,
        own: impl std::fmt::Display,
        correlation_id: Option<String>,
        causation_id: Option<RecordId>,
    ) -> Result<Lineage, Error> {
        let Some(cause) = causation_id else {
            return Ok(Lineage::root(correlation_id.unwrap_or_else(|| own.to_string())));
        };
        let mut lineage = self.find_lineage(tenant, cause)?.caused_by(cause);
        lineage.depth += 1;
        if let Some(correlation_id) = correlation_id {
            lineage.correlation_id = correlation_id.into();
        }
        if lineage.depth > Lineage::DEPTH_MAX {
            let max = Lineage::DEPTH_MAX;
            let message = format!(
                "causation_id: this would be {} causes away from its root fact; at most {max} are allowed. Is it a loop?",
                lineage.depth
            );
            return Err(Refusal::invalid("causation_too_deep", message).into());
        }
        Ok(lineage)
    }

    pub(crate) fn tenant(&self, id: TenantId) -> Result<&'a Arc<TenantDirectory>, Error> {
        self.directory.tenant(id).ok_or_else(|| Refusal::not_found("tenant", id).into())
    }
}

/// The functions that steps may call.
struct Pure;

impl Functions for Pure {
    fn call(&self, function: &str, input: &Value) -> Result<Json, Failure> {
        match functions::find(function) {
            Some(function) => functions::call(function, input),
            None => Err(Failure::fatal("function_unknown", format!("there is no function `{function}`"))),
        }
    }
}
