//! What a worker is given: an attempt with all that surrounds it, put together from the run or the directive.

use std::time::Duration;

use fleetprompt_core::directive::{Directive, Handler};
use fleetprompt_core::run::{self, Effect, Place, Setting};
use fleetprompt_core::workflow::{Priority, Workflow};
use fleetprompt_core::{Meter, SignalId, Span};

use crate::Directory;
use crate::cache::OpenRun;
use crate::workers::{Attempt, AttemptOf, Kind, Offer};

/// The effect of one attempt of a step, as long as this attempt is in flight.
pub(crate) fn effect(
    directory: &Directory,
    open: &OpenRun,
    place: Place,
    attempt: u32,
    begun: SignalId,
) -> Option<Effect> {
    let known = directory.tenant(open.run.tenant)?;
    open.run.at(place).filter(|step| step.attempt == attempt && step.signal_id == Some(begun))?;
    let meter = Meter::unlimited();
    let setting =
        Setting { workflow: &open.workflow, tenant: &known.tenant, signal: open.signal.as_deref(), meter: &meter };
    run::effect_in_flight(setting, &open.run, place)
}

pub(crate) fn step(directory: &Directory, open: &OpenRun, effect: Effect, begun: SignalId) -> Option<Offer> {
    let Effect::Function { run, place, attempt, function, input, key, timeout, heartbeat } = effect else {
        return None;
    };
    let tenant = directory.tenant(open.run.tenant)?;
    let registered = tenant.functions.get(&*function).map(|(_, function)| function);
    let labels = registered.and_then(|function| function.of_workers().cloned()).unwrap_or_default();
    let timeout = timeout.or_else(|| registered?.timeout);
    let attempt = Attempt {
        of: AttemptOf::Step { run, place, attempt, begun },
        tenant: open.run.tenant,
        tenant_slug: tenant.tenant.slug.clone(),
        weight: tenant.tenant.weight,
        priority: open.workflow.priority,
        kind: Kind::Function,
        name: function,
        labels,
        idempotency_key: key,
        run_id: Some(run),
        workflow: Some(open.run.workflow.clone()),
        step: Some(open.workflow.steps[place.index()].id.clone()),
        item: place.item,
        correlation_id: open.run.lineage.correlation_id.clone(),
        causation_id: Some(begun.into()),
        timeout: span(timeout),
        heartbeat: span(heartbeat),
    };
    Some(Offer { attempt, input })
}

pub(crate) fn directive(directory: &Directory, directive: &Directive, workflow: Option<&Workflow>) -> Option<Attempt> {
    let tenant = directory.tenant(directive.tenant)?;
    let labels = tenant.directive_types.get(&directive.name).and_then(|(_, of_type)| match &of_type.handler {
        Handler::Worker { labels } => Some(labels.clone()),
        Handler::Http { .. } | Handler::Manual {} => None,
    });
    let (step, item) = Attempt::place_of(directive);
    Some(Attempt {
        of: AttemptOf::Directive { id: directive.id, attempt: directive.attempt },
        tenant: directive.tenant,
        tenant_slug: tenant.tenant.slug.clone(),
        weight: tenant.tenant.weight,
        priority: workflow.map_or(Priority::Normal, |workflow| workflow.priority),
        kind: Kind::Directive,
        name: directive.name.as_str().into(),
        labels: labels.unwrap_or_default(),
        idempotency_key: directive.idempotency_key.clone(),
        run_id: directive.origin.map(|origin| origin.run_id),
        workflow: workflow.map(|workflow| workflow.slug.clone()),
        step,
        item,
        correlation_id: directive.lineage.correlation_id.clone(),
        causation_id: directive.lineage.causation_id,
        timeout: span(directive.timeout),
        heartbeat: span(directive.heartbeat),
    })
}

fn span(span: Option<Span>) -> Option<Duration> {
    span.map(Span::to_std)
}
