//! One input and everything that follows from it without the outside world: route, handle, advance,
//! until it is quiet.
//!
//! Nothing here writes. What is decided is staged; if the input turns out to be at fault, the stage
//! is dropped and it is as if it had never come.

mod admit;
mod compensate;
mod descend;
mod functions;
mod handle;
mod ingest;
mod offer;
mod operate;
mod quarantine;
mod reuse;
mod route;
mod schedule;
mod shared;
mod stage;
mod wake;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, Origin};
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::run::{self, Effect, Illegal, Parent, Run, Setting};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, Lineage, Meter, Moment, Party, RecordId, RunId, Signal, SignalId, Slug, TenantId};
use fleetprompt_store::Store;

pub(crate) use admit::{Admitted, Candidate};
use functions::Known;
pub(crate) use handle::{Intent, StartRun};
pub(crate) use ingest::{KnownKeys, refused};
pub(crate) use operate::no_run;
pub(crate) use reuse::child_of;
pub(crate) use route::RefusalReason;
pub(crate) use schedule::{ScheduleRow, schedule_of};
pub(crate) use stage::Stage;

use crate::batch::UnsentAttempts;
use crate::cache::{Cache, OpenRun};
use crate::descent::DescentTracker;
use crate::directives::signal_offer::Lookback;
use crate::input::Outcome;
use crate::standing::{Freed, Standing};
use crate::{Directory, Error, Refusal, TenantDirectory};

/// Past this many signals a cascade leaves the directives that it has not begun to a later batch.
pub(crate) const SIGNALS_MAX: usize = 5_000;
/// The same while several tenants share the engine: what one cascade records is what the others wait for.
pub(crate) const SIGNALS_MAX_SHARED: usize = 250;

pub(crate) struct Cascade<'a> {
    pub directory: &'a Directory,
    pub store: &'a dyn Store,
    pub cache: &'a mut Cache,
    pub moment: &'a mut Moment,
    /// Who waits for what, as of now.
    pub standing: &'a mut Standing,
    pub descents: &'a mut DescentTracker,
    unsent: &'a UnsentAttempts,
    /// Past this many signals it is continued in a later batch.
    signals_max: usize,
    /// What earlier inputs of the same batch came to.
    pub before: &'a Stage,
    pub stage: Stage,
    /// What all decisions that follow from one input are charged to.
    pub meter: &'a Meter,
    work: VecDeque<Work>,
    /// Built-in and other directives to begin, each when all work before it is done: so what one of
    /// them comes to is counted before the next.
    begins: VecDeque<(TenantId, DirectiveId)>,
    /// Signals that are offered in a later commit, because the budget is spent.
    unrouted: Vec<Arc<Signal>>,
    /// The signal that was read last: several questions in a row are about the same one.
    signal_read: Option<Arc<Signal>>,
    /// Whether these directives `workflow.run.start` are stored, by their keys.
    starts_read: HashMap<String, bool>,
}

/// What becomes of a run, and what it was before.
pub(crate) struct Decided {
    workflow: Arc<Workflow>,
    signal: Option<Arc<Signal>>,
    /// None: there was no such run.
    before: Option<Arc<Run>>,
    decision: run::Decision,
}

/// What is still to be decided.
enum Work {
    Route(Arc<Signal>),
    Request(Intent),
    Withdraw(TenantId, DirectiveId, String),
    Advance(TenantId, RunId, run::Input),
    /// Signals from before a wait began.
    Lookback(TenantId, Lookback),
    /// A run has ended that a place of another one waits for from now on.
    AwaitEnded(TenantId, RunId, Origin),
    /// A run goes on that the step of another one had waited for.
    ChildRetried(TenantId, RunId, Parent),
    /// A run undoes the runs that one of its places started: all of them, or those before the one of this directive.
    CompensateRuns(TenantId, RunId, Option<DirectiveId>),
    Freed(Freed),
    ScheduleFreed(TenantId, Slug, SignalId),
}

impl<'a> Cascade<'a> {
    pub fn new(
        directory: &'a Directory,
        store: &'a dyn Store,
        cache: &'a mut Cache,
        moment: &'a mut Moment,
        (standing, descents, unsent): (&'a mut Standing, &'a mut DescentTracker, &'a UnsentAttempts),
        before: &'a Stage,
        (signals_max, meter): (usize, &'a Meter),
    ) -> Self {
        Self {
            directory,
            store,
            cache,
            moment,
            standing,
            descents,
            unsent,
            signals_max,
            before,
            stage: Stage::default(),
            meter,
            work: VecDeque::new(),
            begins: VecDeque::new(),
            unrouted: Vec::new(),
            signal_read: None,
            starts_read: HashMap::new(),
        }
    }

    /// Decides everything that follows, in the order in which it came up.
    pub fn settle(&mut self) -> Result<(), Error> {
        loop {
            let Some(work) = self.work.pop_front() else {
                match self.begins.pop_front() {
                    Some(begin) if self.is_large() => self.stage.deferred.push(begin),
                    Some((tenant, id)) => self.begin(tenant, id)?,
                    None => {
                        return self.offer_unrouted();
                    }
                }
                continue;
            };
            match work {
                Work::Route(signal) if self.meter.is_spent() => self.unrouted.push(signal),
                Work::Route(signal) => self.route(&signal)?,
                Work::Request(intent) => self.request_for_step(intent)?,
                Work::Withdraw(tenant, id, reason) => self.withdraw(tenant, id, reason)?,
                Work::Advance(tenant, id, input) => _ = self.advance(tenant, id, input)?,
                Work::Lookback(tenant, lookback) => self.look_back(tenant, lookback)?,
                Work::AwaitEnded(tenant, id, origin) => self.await_ended(tenant, id, origin)?,
                Work::ChildRetried(tenant, id, parent) => self.child_retried(tenant, id, parent)?,
                Work::CompensateRuns(tenant, id, after) => self.compensate_runs(tenant, id, after)?,
                Work::Freed(freed) => self.freed(freed)?,
                Work::ScheduleFreed(tenant, slug, fire) => self.schedule_freed(tenant, &slug, fire)?,
            }
        }
    }

    /// Whether what need not be decided in this commit waits for the next one.
    fn is_large(&self) -> bool {
        self.stage.signals.len() >= self.signals_max || self.meter.is_spent() || self.before.is_full()
    }

    /// An effect has ended or a time has come. What no longer matters is dropped, which `false` says: the
    /// record that made it matter less is there already.
    pub fn outcome(&mut self, outcome: Outcome) -> Result<bool, Error> {
        let followed = match outcome {
            Outcome::Step { tenant, run, place, attempt, begun, result, execution, logs, hold: _ } => {
                let open = self.find_run(tenant, run)?;
                let unit = open.as_ref().and_then(|open| open.run.at(place));
                if unit.is_none_or(|unit| unit.signal_id != begun) {
                    return Ok(false);
                }
                self.advance(tenant, run, run::Input::Outcome { place, attempt, result, execution, logs })?
            }
            Outcome::RunDue { tenant, id } => {
                self.run_due(tenant, id)?;
                true
            }
            Outcome::Directive { tenant, id, attempt, result, execution, logs, hold: _ } => {
                self.directive(tenant, id, directive::Input::Outcome { attempt, result, execution, logs })?
            }
            Outcome::DirectiveDue { tenant, id } => self.directive(tenant, id, directive::Input::Due)?,
            Outcome::DirectiveDeferred { tenant, id } => {
                self.begins.push_back((tenant, id));
                true
            }
            Outcome::ScheduleDue { tenant, slug } => {
                self.schedule_due(tenant, &slug)?;
                true
            }
        };
        self.settle()?;
        Ok(followed)
    }

    // Advance

    fn advance(&mut self, tenant: TenantId, id: RunId, input: run::Input) -> Result<bool, Error> {
        match self.try_advance(tenant, id, input, None)? {
            Some(Ok(())) => Ok(true),
            Some(Err(illegal)) => {
                tracing::debug!(target: "advance", run = %id, %illegal, "nothing follows");
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// `None` when the tenant has no such run.
    pub(crate) fn try_advance(
        &mut self,
        tenant: TenantId,
        id: RunId,
        input: run::Input,
        cause: Option<RecordId>,
    ) -> Result<Option<Result<(), Illegal>>, Error> {
        match self.decide_run(tenant, id, input, cause)? {
            None => Ok(None),
            Some(Err(illegal)) => Ok(Some(Err(illegal))),
            Some(Ok(decided)) => {
                self.take_run(decided);
                Ok(Some(Ok(())))
            }
        }
    }

    /// What would become of a run, which is still to be taken.
    pub(crate) fn decide_run(
        &mut self,
        tenant: TenantId,
        id: RunId,
        input: run::Input,
        cause: Option<RecordId>,
    ) -> Result<Option<Result<Decided, Illegal>>, Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(None) };
        let Some(in_force) = self.directory.tenant(tenant) else { return Ok(None) };
        let (workflow, signal) = (&*open.workflow, open.signal.as_deref());
        let setting = Setting { workflow, tenant: &in_force.tenant, signal, meter: self.meter };
        let known = Known::new(in_force, &self.cache.modules, self.meter);
        let decision = run::decide(setting, &known, Run::clone(&open.run), input, cause, self.moment);
        known.done()?;
        let OpenRun { run: before, workflow, signal } = open;
        Ok(Some(decision.map(|decision| Decided { workflow, signal, before: Some(before), decision })))
    }

    pub(crate) fn start_run(&mut self, start: StartRun) -> Result<(), Error> {
        let Some(in_force) = self.directory.tenant(start.tenant.id) else { return Ok(()) };
        let (workflow, signal) = (&*start.workflow, start.signal.as_deref());
        let setting = Setting { workflow, tenant: &start.tenant, signal, meter: self.meter };
        let known = Known::new(in_force, &self.cache.modules, self.meter);
        let decision = run::start(setting, &known, start.start, self.moment);
        known.done()?;
        self.take_run(Decided { workflow: start.workflow, signal: start.signal, before: None, decision });
        Ok(())
    }

    pub(crate) fn take_run(&mut self, decided: Decided) {
        let Decided { workflow, signal, before, decision } = decided;
        let run = Arc::new(decision.run);
        // First who waits for what: a signal of this very decision may be what a wait of it is for.
        let freed = self.standing.replace(before.as_deref(), &run, &decision.changed);
        self.count_descendant(before.as_deref(), &run, &decision.signals);
        for signal in decision.signals {
            self.record(signal);
        }
        self.read_ahead(run.tenant, &decision.effects);
        for effect in decision.effects {
            self.take_effect(&run, effect);
        }
        self.work.extend(freed.into_iter().map(Work::Freed));
        if run.status.has_ended()
            && let Some(fire) = &signal
            && let Some(slug) = schedule::schedule_of(fire)
        {
            self.work.push_back(Work::ScheduleFreed(run.tenant, slug, fire.id));
        }
        let open = OpenRun { run, workflow, signal };
        self.tell_parent(before.as_deref(), &open);
        self.tell_compensating(before.as_deref(), &open.run);
        self.stage.put_run(open, decision.changed);
    }

    /// Reads what a decision calls off, which may be thousands of records, in bulk.
    fn read_ahead(&mut self, tenant: TenantId, effects: &[Effect]) {
        let (mut runs, mut directives) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Withdraw { directive, .. } if self.staged_directive(*directive).is_none() => {
                    directives.push((tenant, *directive));
                }
                Effect::CancelRun { run, .. } if self.staged_run(*run).is_none() => runs.push((tenant, *run)),
                _ => {}
            }
        }
        if runs.len() + directives.len() > 1
            && let Err(error) = self.cache.read_ahead(runs, directives)
        {
            tracing::debug!(target: "advance", %error, "records are read one by one");
        }
    }

    fn take_effect(&mut self, run: &Arc<Run>, effect: Effect) {
        let tenant = run.tenant;
        match effect {
            Effect::Agent { .. } | Effect::Function { .. } => self.stage.effects.push(effect),
            Effect::Directive {
                id,
                place,
                name,
                payload,
                key,
                source_key,
                again,
                retry,
                timeout,
                heartbeat,
                lineage,
            } => {
                self.work.push_back(Work::Request(Intent {
                    id,
                    tenant,
                    name,
                    payload,
                    idempotency_key: key,
                    source_key,
                    again,
                    retry,
                    timeout,
                    heartbeat,
                    origin: Some(Origin { run_id: run.id, place }),
                    actor: Party::new("run", run.id),
                    lineage,
                }));
            }
            Effect::Withdraw { directive, reason } => self.work.push_back(Work::Withdraw(tenant, directive, reason)),
            Effect::Lookback { place, names, since } => {
                let lookback = Lookback { run_id: run.id, place, names, since, after: None, offered: 0 };
                self.work.push_back(Work::Lookback(tenant, lookback));
            }
            Effect::Lock { name, .. } => self.work.push_back(Work::Freed(Freed::Lock(tenant, name))),
            Effect::CancelRun { run: child, reason, compensate } => {
                let by = Party::new("run", run.id);
                let input = match compensate {
                    true => run::Input::Compensate { by, reason },
                    false => run::Input::Cancel { by, reason, compensate: false },
                };
                self.work.push_back(Work::Advance(tenant, child, input));
            }
            Effect::CompensateRun { run, .. } => self.work.push_back(Work::CompensateRuns(tenant, run, None)),
        }
    }

    // What is on record, whoever put it there

    /// A signal becomes part of the log, and is then routed like any other.
    fn record(&mut self, signal: Signal) -> Arc<Signal> {
        let signal = Arc::new(signal);
        let heard = self.standing.is_awaited(signal.tenant, &signal.name)
            || self.directory.tenant(signal.tenant).is_some_and(|tenant| tenant.is_heard(&signal.name));
        if heard {
            self.work.push_back(Work::Route(signal.clone()));
        }
        self.stage.put_signal(signal.clone());
        signal
    }

    pub(crate) fn find_run(&mut self, tenant: TenantId, id: RunId) -> Result<Option<OpenRun>, Error> {
        match self.staged_run(id).cloned() {
            Some(open) => Ok(Some(open).filter(|open| open.run.tenant == tenant)),
            None => Ok(self.cache.run(tenant, id)?),
        }
    }

    /// Reads runs in bulk, as `Cache::runs` does.
    fn find_runs(&mut self, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<OpenRun>>, Error> {
        Ok(self.cache.runs(ids, |id| self.stage.run(id).or_else(|| self.before.run(id)).cloned())?)
    }

    fn staged_run(&self, id: RunId) -> Option<&OpenRun> {
        self.stage.run(id).or_else(|| self.before.run(id))
    }

    fn staged_directive_by_key(&self, tenant: TenantId, key: &str) -> Option<&Arc<Directive>> {
        let staged = self.stage.directive_by_key(tenant, key).or_else(|| self.before.directive_by_key(tenant, key));
        self.staged_directive(staged?)
    }

    fn staged_directive(&self, id: DirectiveId) -> Option<&Arc<Directive>> {
        self.stage.directive(id).or_else(|| self.before.directive(id))
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
        match self.staged_directive(id).cloned() {
            Some(directive) => Ok(Some(directive).filter(|directive| directive.tenant == tenant)),
            None => Ok(self.cache.directive(tenant, id)?),
        }
    }

    pub(crate) fn find_signal(&mut self, tenant: TenantId, id: SignalId) -> Result<Option<Arc<Signal>>, Error> {
        let read = self.signal_read.as_ref().filter(|read| read.id == id);
        let known = self.stage.signal(id).or_else(|| self.before.signal(id)).or(read);
        if let Some(signal) = known {
            return Ok(Some(signal.clone()).filter(|signal| signal.tenant == tenant));
        }
        self.signal_read = self.store.signal(tenant, id)?.map(Arc::new);
        Ok(self.signal_read.clone())
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
        if let Some(correlation_id) = correlation_id {
            lineage.correlation_id = correlation_id.into();
        }
        Ok(lineage)
    }

    pub(crate) fn tenant(&self, id: TenantId) -> Result<&'a Arc<TenantDirectory>, Error> {
        self.directory.tenant(id).ok_or_else(|| Refusal::not_found("tenant", id).into())
    }
}
