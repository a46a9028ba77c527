//! Perform: effects, after the commit that asked for them. Each runs as a task of its own and comes
//! back as one outcome, whatever happens to it. Nothing here can reach the store.

mod address;
mod agent;
mod http;
mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Effect;
use fleetprompt_core::{Failure, Json, SignalId, TenantId};

use self::slots::Slots;
use crate::input::Outcome;
use crate::models::Models;
use crate::{Directory, Metrics};

/// How an effect ended, and what is worth telling about it.
pub(crate) struct Performed {
    pub result: Result<Json, Failure>,
    pub execution: Option<Json>,
    pub logs: Vec<String>,
}

/// Whoever carries effects out. Outcomes come back as inputs of the engine.
pub(crate) trait Perform: Send {
    /// The attempt of an agent step, and the signal that began it. Other effects of a run are directives.
    fn step(&self, tenant: TenantId, effect: Effect, begun: Option<SignalId>);
    /// The attempt of a directive that an endpoint carries out.
    fn directive(&self, directive: Arc<Directive>);
    fn in_flight(&self) -> usize;
}

#[derive(Clone)]
pub(crate) struct Performer {
    runtime: tokio::runtime::Handle,
    outcomes: Sender<Outcome>,
    /// None: nothing is performed here.
    slots: Option<Arc<Slots>>,
    in_flight: Arc<AtomicUsize>,
    directory: Arc<ArcSwap<Directory>>,
    models: Arc<Models>,
    endpoints: http::Endpoints,
    metrics: Arc<Metrics>,
}

impl Perform for Performer {
    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    fn step(&self, tenant: TenantId, effect: Effect, begun: Option<SignalId>) {
        let Effect::Agent { run, place, attempt, agent, input, key, timeout } = effect else { return };
        let this = self.clone();
        self.spawn(
            tenant,
            async move {
                agent::perform(&this.directory.load_full(), &this.models, tenant, &agent, &input, &key, timeout).await
            },
            move |done| Outcome::Step {
                tenant,
                run,
                place,
                attempt,
                begun,
                result: done.result,
                execution: done.execution,
                logs: done.logs,
            },
        );
    }

    fn directive(&self, directive: Arc<Directive>) {
        let this = self.clone();
        let (tenant, id, attempt) = (directive.tenant, directive.id, directive.attempt);
        self.spawn(
            tenant,
            async move { this.endpoints.deliver(&this.directory.load_full(), &directive).await },
            move |done| Outcome::Directive { tenant, id, attempt, result: done.result, logs: done.logs },
        );
    }
}

impl Performer {
    pub fn new(
        runtime: tokio::runtime::Handle,
        outcomes: Sender<Outcome>,
        slots: Option<usize>,
        allow_private_endpoints: bool,
        directory: Arc<ArcSwap<Directory>>,
        models: Arc<Models>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            runtime,
            outcomes,
            slots: slots.map(|slots| Arc::new(Slots::new(slots))),
            in_flight: Arc::default(),
            directory,
            models,
            endpoints: http::Endpoints::new(allow_private_endpoints),
            metrics,
        }
    }

    fn spawn(
        &self,
        tenant: TenantId,
        effect: impl Future<Output = Performed> + Send + 'static,
        outcome: impl FnOnce(Performed) -> Outcome + Send + 'static,
    ) {
        let Some(slots) = self.slots.clone() else { return };
        let this = self.clone();
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.metrics.effects.inc();
        self.runtime.spawn(async move {
            let _slot = slots.take(tenant).await;
            // A task of its own, so that a panic in an effect is a failure and not a silence.
            let done = match this.runtime.spawn(effect).await {
                Ok(done) => done,
                Err(error) => Performed {
                    result: Err(Failure::retry("internal", format!("the attempt broke off: {error}"))),
                    execution: None,
                    logs: Vec::new(),
                },
            };
            // Only a stopped engine hears nothing; the next one delivers again.
            let _ = this.outcomes.send(outcome(done));
            this.in_flight.fetch_sub(1, Ordering::AcqRel);
            this.metrics.effects.dec();
        });
    }
}
