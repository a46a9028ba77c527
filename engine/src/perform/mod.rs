//! Perform: effects, after the commit that asked for them. Each runs as a task of its own and comes
//! back as one outcome, whatever happens to it. Nothing here can reach the store.

mod address;
mod agent;
mod call;
mod endpoint_url;
mod http;
pub(crate) mod offered;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use fleetprompt_core::directive::{Directive, DirectiveType, HandlerKind};
use fleetprompt_core::run::{Effect, Place, Run};
use fleetprompt_core::workflow::{Priority, Workflow};
use fleetprompt_core::{Failure, Json, SignalId, Span, TenantId};
use tokio::sync::watch;

use self::call::Callee;
pub use self::endpoint_url::shown_url;
pub(crate) use self::http::Endpoints;
pub(crate) use self::slots::{EffectId, For, Ready, Slot, Slots, Waiting};
use crate::cache::OpenRun;
use crate::compute::ComputeSlots;
use crate::input::Outcome;
use crate::memory::Reservation;
use crate::models::Models;
use crate::modules::Modules;
use crate::workers::{Attempt, AttemptId, AttemptOf, Offer, Workers};
use crate::{Directory, Metrics, Resources};

/// How an effect ended, and what is worth telling about it.
pub(crate) struct Performed {
    pub ended: Ended,
    /// Memory of what the effect answered.
    pub answer: Option<Reservation>,
    pub execution: Option<Json>,
    pub logs: Vec<String>,
}

pub(crate) enum Ended {
    Now(Result<Json, Failure>),
    /// Somebody calls back to say how.
    Later,
}

/// What an outcome holds until it is decided: its effect's slot, so that no more outcomes wait than effects may be in
/// flight, and the memory of what was answered.
#[derive(Clone, Default)]
pub(crate) struct OutcomeHold(#[allow(dead_code, reason = "held")] Option<Arc<(Slot, Option<Reservation>)>>);

impl std::fmt::Debug for OutcomeHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "held" } else { "free" })
    }
}

/// Whoever carries effects out. Outcomes come back as inputs of the engine.
pub(crate) trait Perform: Send {
    /// The attempt of a step, of an agent or a function, and the signal that began it. Other effects of a
    /// run are directives.
    fn step(&self, open: &OpenRun, effect: Effect, begun: SignalId, when: When);
    /// The attempt of a directive that an endpoint or a worker carries out, and for which workflow.
    fn directive(&self, directive: Arc<Directive>, workflow: Option<Arc<Workflow>>, when: When) -> Sent;
    fn in_flight(&self) -> usize;
    /// The same for an effect that waited for its slot.
    fn step_in(&self, _open: &OpenRun, _effect: Effect, _begun: SignalId, _slot: Slot) {}
    fn directive_in(&self, _directive: Arc<Directive>, _slot: Slot) {}

    /// A directive that is with a worker, or that an endpoint calls back about, is not wanted any more, or is
    /// settled.
    fn withdraw(&self, _directive: &Directive) {}
    /// What a commit made of a run: attempts of it that are not under way any more are over.
    fn changed(&self, _run: &Run, _places: &[Place]) {}
    /// All of a commit has been said.
    fn flush(&self) {}
}

/// Whether an attempt begins, or was under way when the last engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    Before,
}

/// Whether an attempt was handed to whoever makes it, or waits for a slot of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Now,
    Later,
}

/// How much is under way, and whether more may begin.
#[derive(Default)]
pub(crate) struct Performing {
    in_flight: AtomicUsize,
    held: watch::Sender<bool>,
}

/// One effect, until it has sent its outcome.
struct UnderWay {
    performing: Arc<Performing>,
    metrics: Arc<Metrics>,
}

impl Performing {
    fn begin(self: &Arc<Self>, metrics: &Arc<Metrics>) -> UnderWay {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        metrics.effects.inc();
        UnderWay { performing: self.clone(), metrics: metrics.clone() }
    }

    /// Whether nothing begins any more.
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Nothing begins from now on; comes when nothing is under way, and no later than `within`.
    pub async fn hold(&self, within: Duration) {
        const LOOK_AGAIN: Duration = Duration::from_millis(5);
        self.held.send_replace(true);
        let end = Instant::now() + within;
        while self.in_flight.load(Ordering::Acquire) > 0 && Instant::now() < end {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.performing.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.metrics.effects.dec();
    }
}

#[derive(Clone)]
pub(crate) struct Performer {
    runtime: tokio::runtime::Handle,
    outcomes: Sender<Outcome>,
    ready: Sender<Ready>,
    /// None: nothing is performed here.
    slots: Option<Arc<Slots>>,
    performing: Arc<Performing>,
    directory: Arc<ArcSwap<Directory>>,
    models: Arc<Models>,
    endpoints: Endpoints,
    workers: Arc<Workers>,
    modules: Arc<Modules>,
    compute_slots: Arc<ComputeSlots>,
    metrics: Arc<Metrics>,
}

impl Perform for Performer {
    fn in_flight(&self) -> usize {
        self.performing.in_flight.load(Ordering::Acquire)
    }

    fn step(&self, open: &OpenRun, effect: Effect, begun: SignalId, when: When) {
        let tenant = open.run.tenant;
        let is_called_here = |function: &str| Callee::find(&self.directory.load(), tenant, function).is_some();
        match effect {
            Effect::Function { ref function, .. } if !is_called_here(function) => {
                if let Some(offer) = offered::step(&self.directory.load(), open, effect, begun) {
                    self.workers.offer_by(offer, when);
                }
            }
            Effect::Agent { run, place, attempt, .. } | Effect::Function { run, place, attempt, .. } => {
                let id = EffectId::Step { run, place, attempt, begun };
                if let Some(slot) = self.slot(tenant, open.workflow.priority, id) {
                    self.step_in(open, effect, begun, slot);
                }
            }
            Effect::Directive { .. } | Effect::Withdraw { .. } | Effect::Lookback { .. } => {}
            Effect::Lock { .. } | Effect::CancelRun { .. } | Effect::CompensateRun { .. } => {}
        }
    }

    fn directive(&self, directive: Arc<Directive>, workflow: Option<Arc<Workflow>>, when: When) -> Sent {
        if directive.handler == HandlerKind::Worker {
            if let Some(attempt) = offered::directive(&self.directory.load(), &directive, workflow.as_deref()) {
                self.workers.offer_by(Offer { attempt, input: directive.payload.clone() }, when);
            }
            return Sent::Now;
        }
        let priority = workflow.map_or(Priority::Normal, |workflow| workflow.priority);
        let id = EffectId::Directive { id: directive.id, attempt: directive.attempt };
        let Some(slot) = self.slot(directive.tenant, priority, id) else { return Sent::Later };
        self.directive_in(directive, slot);
        Sent::Now
    }

    fn step_in(&self, open: &OpenRun, effect: Effect, begun: SignalId, slot: Slot) {
        let Some((run, place, attempt)) = effect.attempt() else { return };
        let (this, tenant) = (self.clone(), open.run.tenant);
        self.spawn(
            slot,
            async move {
                match effect {
                    Effect::Agent { agent, input, key, timeout, .. } => {
                        let directory = this.directory.load_full();
                        agent::perform(&directory, &this.models, tenant, &agent, &input, &key, timeout).await
                    }
                    Effect::Function { function, input, .. } => call::perform(&this, tenant, &function, input).await,
                    _ => unreachable!("only attempts of steps get a slot as steps"),
                }
            },
            move |result, execution, logs, hold| Outcome::Step {
                tenant,
                run,
                place,
                attempt,
                begun: Some(begun),
                result,
                execution,
                logs,
                hold,
            },
            || {},
        );
    }

    fn directive_in(&self, directive: Arc<Directive>, slot: Slot) {
        let (this, waits) = (self.clone(), self.clone());
        let (tenant, id, attempt) = (directive.tenant, directive.id, directive.attempt);
        let callback = AttemptId::fresh(AttemptOf::Directive { id, attempt });
        let heartbeat = directive.heartbeat.map(Span::to_std);
        self.spawn(
            slot,
            async move {
                let directory = this.directory.load_full();
                // It may call back before it has answered.
                this.hold(&directory, &directive, &callback);
                let done = this.endpoints.deliver(&directory, &directive, &callback).await;
                if matches!(done.ended, Ended::Now(_)) {
                    this.workers.forget(callback.of);
                }
                done
            },
            move |result, execution, logs, hold| Outcome::Directive {
                tenant,
                id,
                attempt,
                result,
                execution,
                logs,
                hold,
            },
            move || waits.workers.await_callback(&callback, heartbeat),
        );
    }

    fn withdraw(&self, directive: &Directive) {
        self.workers.withdraw(directive);
    }

    fn changed(&self, run: &Run, places: &[Place]) {
        self.workers.keep_only(run, places);
    }

    fn flush(&self) {
        self.workers.serve();
    }
}

impl Performer {
    pub fn new(
        runtime: tokio::runtime::Handle,
        (outcomes, ready): (Sender<Outcome>, Sender<Ready>),
        resources: &Resources,
        directory: Arc<ArcSwap<Directory>>,
        workers: Arc<Workers>,
        modules: Arc<Modules>,
    ) -> Self {
        Self {
            runtime,
            outcomes,
            ready,
            slots: resources.slots.clone(),
            performing: Arc::default(),
            directory,
            models: resources.models.clone(),
            endpoints: resources.endpoints.clone(),
            workers,
            modules,
            compute_slots: resources.compute_slots.clone(),
            metrics: resources.metrics.clone(),
        }
    }

    pub fn performing(&self) -> &Arc<Performing> {
        &self.performing
    }

    /// Whoever the endpoint is may say how it ended.
    fn hold(&self, directory: &Directory, directive: &Directive, callback: &AttemptId) {
        let tenant = directory.tenant(directive.tenant);
        let of_type = tenant.and_then(|tenant| tenant.directive_types.get(&directive.name));
        let limit = of_type.and_then(|(_, of_type)| of_type.callback_timeout);
        let timeout = Some(limit.unwrap_or(DirectiveType::CALLBACK_TIMEOUT_DEFAULT).to_std());
        if let Some(attempt) = offered::directive(directory, directive, None) {
            self.workers.hold(Attempt { timeout, heartbeat: None, ..attempt }, callback);
        }
        if directive.cancel_requested {
            self.workers.cancel(callback.of);
        }
    }

    /// A slot for an effect that begins now; otherwise it waits for its turn, and is ready then.
    fn slot(&self, tenant: TenantId, priority: Priority, effect: EffectId) -> Option<Slot> {
        let slots = self.slots.as_ref().filter(|_| !self.performing.is_held())?;
        if let Some(slot) = slots.take(tenant) {
            return Some(slot);
        }
        let (ready, performing) = (self.ready.clone(), self.performing.clone());
        slots.wait(For::of(&self.directory.load(), tenant, priority), Waiting { effect, ready, performing });
        None
    }

    fn spawn(
        &self,
        slot: Slot,
        effect: impl Future<Output = Performed> + Send + 'static,
        outcome: impl FnOnce(Result<Json, Failure>, Option<Json>, Vec<String>, OutcomeHold) -> Outcome + Send + 'static,
        later: impl FnOnce() + Send + 'static,
    ) {
        // What has not begun is left to whoever takes over.
        if self.performing.is_held() {
            return;
        }
        let this = self.clone();
        let under_way = self.performing.begin(&self.metrics);
        self.runtime.spawn(async move {
            let _under_way = under_way;
            // A task of its own, so that a panic in an effect is a failure and not a silence.
            let done = match this.runtime.spawn(effect).await {
                Ok(done) => done,
                Err(error) => Performed::failed(Failure::retry("internal", format!("the attempt broke off: {error}"))),
            };
            match done.ended {
                Ended::Now(result) => {
                    let hold = OutcomeHold(Some(Arc::new((slot, done.answer))));
                    // Only a stopped engine hears nothing; the next one delivers again.
                    drop(this.outcomes.send(outcome(result, done.execution, done.logs, hold)));
                }
                Ended::Later => later(),
            }
        });
    }
}

impl Performed {
    fn failed(failure: Failure) -> Self {
        Self { ended: Ended::Now(Err(failure)), execution: None, logs: Vec::new(), answer: None }
    }
}
