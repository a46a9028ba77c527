//! What core's records look like on the wire; of runs, see `runs_view`.

use std::collections::BTreeMap;

use fleetprompt_client::wire;
use fleetprompt_core::directive::{Directive, DirectiveType, Handler};
use fleetprompt_core::registration::{AgentEntry, DirectiveTypeEntry, ScheduleEntry, WorkflowEntry, WorkflowVersion};
use fleetprompt_core::schedule::{self, Schedule};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::tenant::{Key, Tenant};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{Signal, Slug};
use fleetprompt_engine::{Emitted, Fired, shown_url};

pub fn signal(signal: &Signal) -> wire::Signal {
    wire::Signal {
        id: signal.id,
        name: signal.name.clone(),
        subject: signal.subject(),
        actor: signal.actor(),
        source: signal.source.clone(),
        source_event_id: signal.source_event_id.clone(),
        dedupe_key: signal.dedupe_key.clone(),
        correlation_id: signal.lineage.correlation_id.to_string(),
        causation_id: signal.lineage.causation_id,
        run_id: signal.run_id,
        directive_id: signal.directive_id,
        occurred_at: signal.occurred_at,
        recorded_at: signal.recorded_at,
        payload: signal.payload.clone(),
    }
}

pub fn emitted(emitted: &Emitted) -> wire::Emitted {
    let signal = &emitted.signal;
    wire::Emitted {
        signal: wire::SignalReceipt {
            id: signal.id,
            name: signal.name.clone(),
            correlation_id: signal.lineage.correlation_id.to_string(),
            recorded_at: signal.recorded_at,
        },
        deduplicated: emitted.deduplicated,
        dispositions: emitted.dispositions.iter().map(disposition).collect(),
    }
}

pub fn disposition(disposition: &Disposition) -> wire::Disposition {
    wire::Disposition {
        workflow: disposition.workflow.clone(),
        disposition: disposition.kind,
        run_id: disposition.run_id,
        reason: disposition.reason.clone(),
    }
}

/// `None` if the workflow did not refuse the signal.
pub fn refusal(disposition: &Disposition) -> Option<wire::Refusal> {
    (disposition.kind == DispositionKind::Refused).then(|| wire::Refusal {
        workflow: disposition.workflow.clone(),
        signal_id: disposition.signal_id,
        reason: disposition.reason.clone().unwrap_or_default(),
        at: disposition.at,
    })
}

pub fn schedule(schedule: &Schedule, entry: &ScheduleEntry) -> wire::Schedule {
    let state = &entry.state;
    wire::Schedule {
        slug: entry.slug.clone(),
        name: schedule.name.clone(),
        status: state.status,
        timing: schedule.timing.to_string(),
        signal: schedule.signal.clone(),
        next_at: state.next_at,
        last_at: state.last_at,
        last_signal_id: state.last_signal,
        queued_at: state.queued_at,
        reason: state.reason.clone(),
        digest: entry.digest.clone(),
        updated_at: state.updated_at,
        document: entry.document.clone(),
    }
}

pub fn schedule_fired(fired: &Fired) -> wire::ScheduleFired {
    wire::ScheduleFired { signal_id: fired.signal_id, due_at: fired.due_at, deduplicated: fired.deduplicated }
}

pub fn schedule_fire(schedule: &Schedule, fire: schedule::Fire) -> wire::ScheduleFire {
    let local = schedule.local(fire.due_at);
    wire::ScheduleFire { due_at: fire.due_at, fires_at: Some(fire.fires_at), local }
}

pub fn directive(directive: &Directive) -> wire::Directive {
    wire::Directive {
        id: directive.id,
        name: directive.name.clone(),
        status: directive.status,
        handler: directive.handler,
        payload: directive.payload.clone(),
        idempotency_key: directive.idempotency_key.clone(),
        attempt: directive.attempt,
        actor: directive.actor.clone(),
        run_id: directive.origin.map(|origin| origin.run_id),
        step: step_of(directive),
        item: directive.origin.and_then(|origin| origin.place.item),
        compensates: directive.origin.is_some_and(|origin| origin.place.undo),
        correlation_id: directive.lineage.correlation_id.to_string(),
        causation_id: directive.lineage.causation_id,
        requested_at: directive.requested_at,
        due_at: directive.wake_at,
        cancel_requested: directive.cancel_requested,
        settled_at: directive.settled_at,
        output: directive.output.clone(),
        error: directive.error.clone(),
    }
}

/// The id of the step that asked for it, which its key begins with: `{run id}:{step id}`.
pub fn step_of(directive: &Directive) -> Option<String> {
    let run = directive.origin?.run_id.to_string();
    let rest = directive.idempotency_key.strip_prefix(&run)?.strip_prefix(':')?;
    rest.split(':').next().map(str::to_owned)
}

/// `name` and signals are those of the active version, or else of the newest.
pub fn workflow(entry: &WorkflowEntry, active: Option<&Workflow>, newest: Option<&WorkflowVersion>) -> wire::Workflow {
    let title = active.map(|active| active.name.clone()).or_else(|| title_of(newest?));
    let trigger = active.and_then(|active| active.trigger.as_ref());
    wire::Workflow {
        slug: entry.slug.clone(),
        name: title.unwrap_or_else(|| entry.slug.to_string()),
        status: entry.status,
        active_version: entry.active_version.clone(),
        signals: trigger.map_or(Vec::new(), |trigger| trigger.signals.clone()),
        updated_at: entry.updated_at,
        in_flight: Vec::new(),
        refusals: Vec::new(),
    }
}

fn title_of(version: &WorkflowVersion) -> Option<String> {
    Some(version.document.value().pointer("/workflow/name")?.as_str()?.to_owned())
}

pub fn workflow_version(version: &WorkflowVersion, active: Option<&str>, with_document: bool) -> wire::WorkflowVersion {
    wire::WorkflowVersion {
        slug: version.slug.clone(),
        version: version.version.clone(),
        active: active == Some(version.version.as_str()),
        digest: version.digest.clone(),
        created_at: version.created_at,
        in_flight: BTreeMap::new(),
        document: with_document.then(|| version.document.clone()),
    }
}

/// `model` says who would answer now.
pub fn agent(entry: &AgentEntry, name: &str, model: String) -> wire::Agent {
    wire::Agent {
        slug: entry.slug.clone(),
        name: name.to_owned(),
        model,
        digest: entry.digest.clone(),
        updated_at: entry.updated_at,
        document: entry.document.clone(),
    }
}

/// Never with its secret: that is shown once, by whoever made it.
pub fn directive_type(entry: &DirectiveTypeEntry, kind: &DirectiveType) -> wire::DirectiveType {
    let url = match &kind.handler {
        // Every role reads it.
        Handler::Http { url, .. } => Some(shown_url(url)),
        Handler::Manual {} | Handler::Worker { .. } => None,
    };
    wire::DirectiveType {
        name: kind.name.clone(),
        description: kind.description.clone(),
        handler: kind.kind(),
        url,
        payload_schema: kind.payload_schema.as_ref().map(|schema| schema.document().clone().into()),
        updated_at: Some(entry.updated_at),
        secret: None,
    }
}

pub fn tenant(tenant: &Tenant) -> wire::Tenant {
    wire::Tenant {
        id: tenant.id,
        slug: tenant.slug.clone(),
        name: tenant.name.clone(),
        weight: tenant.weight,
        created_at: tenant.created_at,
    }
}

pub fn key(key: &Key, tenant: &Slug, secret: Option<String>) -> wire::Key {
    wire::Key {
        id: key.id,
        tenant: tenant.clone(),
        name: key.name.clone(),
        role: key.role,
        performs: key.performs.clone(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        secret,
    }
}
