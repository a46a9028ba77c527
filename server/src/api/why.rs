//! Why something is on record: the chain of its causes, told in words, up to the root fact.

use axum::extract::State;
use fleetprompt_client::wire::{Cause, Why, schema};
use fleetprompt_core::diagnostic::shown;
use fleetprompt_core::directive::{self, Directive};
use fleetprompt_core::run::{self, Run, RunRecord, StepChange, StepRecord};
use fleetprompt_core::{DirectiveId, Failure, Party, RecordId, RunId, Signal, SignalId, TenantId};
use fleetprompt_store::Store;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::request::At;
use super::{Api, Problem};

/// More than any chain that the engine lets grow; callers may name causes of their own.
const HOPS_MAX: usize = 1_000;

/// Say why a signal is on record
///
/// The chain of causes, from the signal itself up to the root fact.
#[utoipa::path(
    get, path = "/v1/signals/{id}/why", tag = "signals",
    params(("id" = schema::SignalId, Path, description = "The signal's id.")),
    responses((status = 200, description = "The causes, nearest first.", body = Why)),
)]
pub async fn signal_why(State(api): State<Api>, caller: Caller, At(id): At<SignalId>) -> Answer {
    why(&api, &caller, "signal", id.into()).await
}

/// Say why a directive was requested
///
/// The chain of causes, from the directive itself up to the root fact.
#[utoipa::path(
    get, path = "/v1/directives/{id}/why", tag = "directives",
    params(("id" = schema::DirectiveId, Path, description = "The directive's id.")),
    responses((status = 200, description = "The causes, nearest first.", body = Why)),
)]
pub async fn directive_why(State(api): State<Api>, caller: Caller, At(id): At<DirectiveId>) -> Answer {
    why(&api, &caller, "directive", id.into()).await
}

/// Say why a run exists
///
/// The chain of causes, from the run itself by the directive that started it up to the root fact.
#[utoipa::path(
    get, path = "/v1/runs/{id}/why", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id.")),
    responses((status = 200, description = "The causes, nearest first.", body = Why)),
)]
pub async fn run_why(State(api): State<Api>, caller: Caller, At(id): At<RunId>) -> Answer {
    why(&api, &caller, "run", id.into()).await
}

async fn why(api: &Api, caller: &Caller, what: &'static str, id: RecordId) -> Answer {
    let tenant = caller.tenant();
    let chain = api.read(move |store| chain(store, tenant, id)).await?;
    if chain.is_empty() { Err(Problem::not_found(what, id)) } else { ok(&Why { chain }) }
}

fn chain(store: &dyn Store, tenant: TenantId, id: RecordId) -> Result<Vec<Cause>, Problem> {
    let mut chain: Vec<Cause> = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.take() {
        // Callers may name causes, so a circle is possible; a named one that is not here ends it.
        if chain.len() >= HOPS_MAX || chain.iter().any(|cause| cause.id == id) {
            break;
        }
        let Some((cause, its_cause)) = record(store, tenant, id)? else { break };
        chain.push(cause);
        next = its_cause;
    }
    Ok(chain)
}

fn record(store: &dyn Store, tenant: TenantId, id: RecordId) -> Result<Option<(Cause, Option<RecordId>)>, Problem> {
    Ok(match id {
        RecordId::Signal(id) => {
            store.signal(tenant, id)?.map(|signal| (of_signal(&signal), signal.lineage.causation_id))
        }
        RecordId::Directive(id) => {
            store.directive(tenant, id)?.map(|directive| (of_directive(&directive), directive.lineage.causation_id))
        }
        // By way of the directive, so that nothing between the signal and the run is left out.
        RecordId::Run(id) => store.run_head(tenant, id)?.map(|run| (of_run(&run), Some(run.directive_id.into()))),
    })
}

fn of_signal(signal: &Signal) -> Cause {
    Cause {
        id: signal.id.into(),
        name: signal.name.to_string(),
        at: signal.recorded_at,
        actor: signal.actor(),
        subject: signal.subject(),
        summary: said_by_signal(signal),
    }
}

fn of_directive(directive: &Directive) -> Cause {
    let by = by(&directive.actor);
    let key = shown(&directive.idempotency_key);
    let status = match directive.status {
        directive::Status::Requested => "not begun yet".to_owned(),
        directive::Status::Running if directive.attempt > 1 => format!("under way, attempt {}", directive.attempt),
        directive::Status::Running => "under way".to_owned(),
        directive::Status::Succeeded => "succeeded".to_owned(),
        directive::Status::Failed => format!("failed{}", because(directive.error.as_ref())),
        directive::Status::Canceled => "canceled".to_owned(),
    };
    Cause {
        id: directive.id.into(),
        name: directive.name.to_string(),
        at: directive.requested_at,
        actor: directive.actor.clone(),
        subject: None,
        summary: format!("requested by {by} under key {key}: {status}"),
    }
}

fn of_run(run: &Run) -> Cause {
    let status = match run.status {
        run::Status::Queued => "queued".to_owned(),
        run::Status::Running => "still running".to_owned(),
        run::Status::Paused => "paused".to_owned(),
        run::Status::Parked => "parked until somebody decides".to_owned(),
        run::Status::Stopping => "about to end".to_owned(),
        run::Status::Compensating => "being undone".to_owned(),
        run::Status::Completed => format!("completed{}", lasted(run)),
        run::Status::Failed => format!("failed{}{}", lasted(run), because(run.error.as_ref())),
        run::Status::Canceled => format!("canceled{}", lasted(run)),
    };
    Cause {
        id: run.id.into(),
        name: format!("{} {}", run.workflow, run.version),
        at: run.started_at,
        actor: Party::engine(),
        subject: None,
        summary: format!("run of `{}`: {status}", run.workflow),
    }
}

fn lasted(run: &Run) -> String {
    run.ended_at.map_or(String::new(), |end| format!(" after {}", end - run.started_at))
}

/// The engine's own signals are told by what they hold; facts by what they are about.
fn said_by_signal(signal: &Signal) -> String {
    let of_ours = said_of_run(signal).or_else(|| said_of_step(signal)).or_else(|| said_of_directive(signal));
    of_ours.unwrap_or_else(|| said_by_fact(signal))
}

fn said_of_run(signal: &Signal) -> Option<String> {
    let change = run::run_change_of(&signal.name)?;
    let record: RunRecord = serde_json::from_str(signal.payload.text()).ok()?;
    let who = || by_whom(record.by.as_ref(), record.reason.as_deref());
    let what = match change {
        run::RunChange::Queued => {
            let rule = record.queue.as_ref().map(|queue| format!(" by {}", queue.reason.as_str()));
            format!("was queued{}", rule.unwrap_or_default())
        }
        run::RunChange::Started => "started".to_owned(),
        run::RunChange::Paused => format!("was paused{}", who()),
        run::RunChange::Parked => format!("was parked{}", because(record.error.as_ref())),
        run::RunChange::Resumed => format!("went on{}", who()),
        run::RunChange::Retried => format!("was retried{}", who()),
        run::RunChange::Stopping => "is to end".to_owned(),
        run::RunChange::Compensating => "is being undone".to_owned(),
        run::RunChange::Completed => "completed".to_owned(),
        run::RunChange::Failed => format!("failed{}", because(record.error.as_ref())),
        run::RunChange::Canceled => format!("canceled{}", who()),
    };
    Some(format!("run of `{}` {} {what}", record.workflow, record.version))
}

fn said_of_step(signal: &Signal) -> Option<String> {
    let change = run::step_change_of(&signal.name)?;
    let record: StepRecord = serde_json::from_str(signal.payload.text()).ok()?;
    let who = || by_whom(record.by.as_ref(), record.reason.as_deref());
    let what = match change {
        StepChange::Started if record.attempt > 1 => format!("started, attempt {}", record.attempt),
        StepChange::Started => "started".to_owned(),
        StepChange::Waiting => {
            let what = record.waiting.as_ref().map(|waiting| format!(" for {}", waiting.reason()));
            format!("waits{}", what.unwrap_or_default())
        }
        StepChange::AnsweredEarly => format!("was answered before it waited{}", who()),
        StepChange::Heartbeat => "is being worked on".to_owned(),
        StepChange::Escalated => "asks others as well".to_owned(),
        StepChange::Retrying => format!("failed and will be tried again{}", because(record.error.as_ref())),
        StepChange::Repeating => format!("begins iteration {}", record.iteration + 1),
        StepChange::Completed => format!("completed{}", who()),
        StepChange::Failed => format!("failed{}", because(record.error.as_ref())),
        StepChange::Skipped => format!("was skipped{}", who()),
        StepChange::Canceling => format!("is no longer wanted{}", who()),
        StepChange::Canceled => format!("was canceled{}", who()),
        StepChange::Reset => format!("is done again{}", who()),
        StepChange::Compensating => "is being undone".to_owned(),
        StepChange::Compensated => "was undone".to_owned(),
        StepChange::CompensationFailed => format!("could not be undone{}", because(record.error.as_ref())),
        StepChange::CompensationSkipped => format!("was left as it is{}", who()),
    };
    let item = record.item.map(|item| format!(", item {item},")).unwrap_or_default();
    Some(format!("step `{}`{item} {what}", shown(&record.step)))
}

fn said_of_directive(signal: &Signal) -> Option<String> {
    let change = directive::change_of(&signal.name)?;
    let record: directive::Record = serde_json::from_str(signal.payload.text()).ok()?;
    let who = || by_whom(record.by.as_ref(), record.reason.as_deref());
    let what = match change {
        directive::Change::Requested => format!("was requested{}", who()),
        directive::Change::Started if record.attempt > 1 => format!("began, attempt {}", record.attempt),
        directive::Change::Started => "began".to_owned(),
        directive::Change::Retrying => format!("failed and will be tried again{}", because(record.error.as_ref())),
        directive::Change::Heartbeat => "is being worked on".to_owned(),
        directive::Change::Reopened => format!("is carried out after all{}", who()),
        directive::Change::CancelRequested => format!("is to be canceled{}", who()),
        directive::Change::Succeeded => "succeeded".to_owned(),
        directive::Change::Failed => format!("failed{}", because(record.error.as_ref())),
        directive::Change::Canceled => format!("was canceled{}", who()),
    };
    Some(format!("directive `{}` {what}", shown(&record.directive)))
}

/// `thread 42: How do I rotate a key?`
fn said_by_fact(signal: &Signal) -> String {
    const TELLING: [&str; 7] = ["title", "subject", "summary", "message", "text", "name", "content"];
    let payload = signal.payload.value();
    let telling = TELLING.into_iter().find_map(|field| payload.get(field)?.as_str()).map(shown);
    let about = signal.subject.as_ref().map(|subject| format!("{} {}", shown(&subject.kind), shown(&subject.id)));
    match (about, telling) {
        (Some(about), Some(telling)) => format!("{about}: {telling}"),
        (Some(about), None) => format!("{about}, told by {}", by(&signal.actor())),
        (None, Some(telling)) => telling,
        (None, None) => format!("told by {}", by(&signal.actor())),
    }
}

fn by(party: &Party) -> String {
    match party.kind.as_str() {
        "engine" => "the engine".to_owned(),
        // Our own ids say what they are.
        "key" | "run" | "directive" if party.id.contains('_') => shown(&party.id),
        kind => format!("{} {}", shown(kind), shown(&party.id)),
    }
}

fn by_whom(party: Option<&Party>, reason: Option<&str>) -> String {
    let by = party.map_or(String::new(), |party| format!(" by {}", by(party)));
    let reason = reason.filter(|reason| !reason.is_empty());
    by + &reason.map_or(String::new(), |reason| format!(": {}", shown(reason)))
}

fn because(failure: Option<&Failure>) -> String {
    failure.map_or(String::new(), |failure| format!(" ({}: {})", shown(&failure.code), shown(&failure.message)))
}
