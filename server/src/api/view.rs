//! What core's records look like on the wire.

use std::fmt::Write;

use fleetprompt_client::wire;
use fleetprompt_core::directive::{Directive, DirectiveType, Handler};
use fleetprompt_core::registration::{AgentEntry, DirectiveTypeEntry, WorkflowEntry, WorkflowVersion};
use fleetprompt_core::run::{Run, Step, StepStatus};
use fleetprompt_core::signal::Disposition;
use fleetprompt_core::tenant::{Key, Tenant};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{Signal, Slug};
use fleetprompt_engine::Emitted;
use serde::Deserialize;

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

/// The id of the step that asked for it, which its key holds: `{run id}:{step id}`.
fn step_of(directive: &Directive) -> Option<String> {
    let run = directive.origin?.run_id.to_string();
    let step = directive.idempotency_key.strip_prefix(&run)?.strip_prefix(':')?;
    Some(step.to_owned())
}

/// Id and type of one step, as its workflow's document has them.
#[derive(Debug, Clone, Deserialize)]
pub struct StepName {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
}

pub fn step_names(workflow: &Workflow) -> Vec<StepName> {
    let name =
        |step: &fleetprompt_core::workflow::Step| StepName { id: step.id.clone(), kind: step.kind.name().to_owned() };
    workflow.steps.iter().map(name).collect()
}

/// From a version that is stored and not active. It was checked when it was applied, so that only
/// the names are read here.
pub fn step_names_of_document(version: &WorkflowVersion) -> Vec<StepName> {
    #[derive(Deserialize)]
    struct Document {
        workflow: Steps,
    }
    #[derive(Deserialize)]
    struct Steps {
        steps: Vec<StepName>,
    }
    serde_json::from_str::<Document>(version.document.text()).map_or(Vec::new(), |document| document.workflow.steps)
}

/// With its steps as far as `names` knows them; without names it is a run in a list.
pub fn run(run: &Run, names: &[StepName]) -> wire::Run {
    wire::Run {
        id: run.id,
        workflow: run.workflow.clone(),
        version: run.version.to_string(),
        status: run.status,
        signal_id: run.signal_id,
        directive_id: run.directive_id,
        correlation_id: run.lineage.correlation_id.to_string(),
        causation_id: run.lineage.causation_id,
        started_at: run.started_at,
        ended_at: run.ended_at,
        deadline: run.deadline,
        waiting_for: waiting_for(run, names),
        input: run.input.clone(),
        output: run.output.clone(),
        error: run.error.clone(),
        steps: run.steps.iter().zip(names).map(|(step, name)| self::step(step, name)).collect(),
    }
}

fn step(step: &Step, name: &StepName) -> wire::Step {
    wire::Step {
        id: name.id.clone(),
        kind: name.kind.clone(),
        status: step.status,
        attempt: step.attempt,
        directive_id: step.directive_id,
        started_at: step.started_at,
        ended_at: step.ended_at,
        due_at: step.due_at,
        output: step.output.clone(),
        error: step.error.clone(),
    }
}

/// Why a run has not ended, step by step: `step `post` waits for directive dir_…`. The first few say
/// enough.
fn waiting_for(run: &Run, names: &[StepName]) -> Option<String> {
    const SHOWN_MAX: usize = 3;
    run.reason_to_wake().filter(|_| !run.status.has_ended())?;
    let mut open = run.steps.iter().zip(names).filter_map(|(step, name)| reason(step, &name.id));
    let mut text = open.by_ref().take(SHOWN_MAX).collect::<Vec<_>>().join("; ");
    let more = open.count();
    if more > 0 {
        let _ = write!(text, "; and {more} more");
    }
    if let Some(deadline) = run.deadline {
        let _ = write!(text, "; it must end by {deadline}");
    }
    Some(text)
}

fn reason(step: &Step, id: &str) -> Option<String> {
    match (step.status, step.directive_id, step.due_at) {
        (StepStatus::Running, Some(directive), _) => Some(format!("step `{id}` waits for directive {directive}")),
        (StepStatus::Running, None, _) => Some(format!("step `{id}` is at work, attempt {}", step.attempt)),
        (StepStatus::Retrying, _, Some(due)) => Some(format!("step `{id}` tries again at {due}")),
        (StepStatus::Retrying, _, None) => Some(format!("step `{id}` tries again")),
        _ => None,
    }
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
        Handler::Http { url, .. } => Some(url.clone()),
        Handler::Manual {} => None,
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
    wire::Tenant { id: tenant.id, slug: tenant.slug.clone(), name: tenant.name.clone(), created_at: tenant.created_at }
}

pub fn key(key: &Key, tenant: &Slug, secret: Option<String>) -> wire::Key {
    wire::Key {
        id: key.id,
        tenant: tenant.clone(),
        name: key.name.clone(),
        role: key.role,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        secret,
    }
}
