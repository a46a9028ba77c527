//! Runs: read from the store; canceled by a directive.

use axum::extract::State;
use axum::http::HeaderMap;
use fleetprompt_client::wire;
use fleetprompt_core::run::{self, Run};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Name, RunId, SignalId, Slug, TenantId};
use fleetprompt_engine::{Directory, NewDirective};
use fleetprompt_store::{Order, Page, RunFilter, Store};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::body::SentOrNot;
use super::directives::reason;
use super::follow::of_run;
use super::request::{Asked, At, IdempotencyKey, key_or_fresh};
use super::view::{StepName, step_names, step_names_of_document};
use super::{Api, Problem, page, view};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Only runs of this workflow.
    #[param(value_type = Option<schema::Slug>)]
    workflow: Option<Slug>,
    #[param(value_type = Option<schema::RunStatus>)]
    status: Option<run::Status>,
    /// Only what this signal started.
    #[param(value_type = Option<schema::SignalId>)]
    signal_id: Option<SignalId>,
    /// Only runs of this group.
    correlation_id: Option<String>,
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List runs
///
/// Newest first, without their steps.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", params(RunQuery),
    responses((status = 200, description = "A page of runs.", body = wire::Page<wire::Run>)),
)]
pub async fn run_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<RunQuery>) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<RunId> = page::cursor(query.cursor.as_deref())?;
    let filter = RunFilter {
        workflow: query.workflow,
        status: query.status,
        signal_id: query.signal_id,
        correlation_id: query.correlation_id,
    };
    let page = Page { order: Order::NewestFirst, cursor: cursor.map(|id| id.0), limit: limit + 1 };
    let tenant = caller.tenant();
    let runs = api.read(move |store| Ok(store.runs(tenant, &filter, page)?)).await?;
    ok(&page::of(runs, limit, |run| run.id.to_string(), |run| view::run(&run, &[])))
}

/// Get a run
///
/// With its steps, and what it waits for if it has not ended.
#[utoipa::path(
    get, path = "/v1/runs/{id}", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id.")),
    responses((status = 200, description = "The run.", body = wire::RunDetail)),
)]
pub async fn run_get(State(api): State<Api>, caller: Caller, At(id): At<RunId>) -> Answer {
    ok(&detail(&api, &caller, id).await?)
}

async fn detail(api: &Api, caller: &Caller, id: RunId) -> Result<wire::RunDetail, Problem> {
    let (tenant, directory) = (caller.tenant(), caller.directory.clone());
    let read = api.read(move |store| {
        let run = found(store, tenant, id)?;
        let names = names(store, &directory, &run)?;
        Ok(wire::RunDetail { run: view::run(&run, &names) })
    });
    read.await
}

fn found(store: &dyn Store, tenant: TenantId, id: RunId) -> Result<Run, Problem> {
    store.run(tenant, id)?.ok_or_else(|| Problem::not_found("run", id))
}

/// A run keeps the version that it began with, so its steps are named by that one.
fn names(store: &dyn Store, directory: &Directory, run: &Run) -> Result<Vec<StepName>, Problem> {
    let registered = directory.tenant(run.tenant).and_then(|tenant| tenant.workflows.get(&run.workflow));
    let active = registered.and_then(|workflow| workflow.active.as_ref());
    if let Some(active) = active.filter(|active| *active.version == *run.version) {
        return Ok(step_names(active));
    }
    let version = store.workflow_version(run.tenant, &run.workflow, &run.version)?;
    Ok(version.map_or(Vec::new(), |version| step_names_of_document(&version)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// 1 to 1,000 signals; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Read a run's timeline
///
/// Everything on record about the run: the signal that triggered it, the directive that started it,
/// and the signals of its life, oldest first.
#[utoipa::path(
    get, path = "/v1/runs/{id}/timeline", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), TimelineQuery),
    responses((status = 200, description = "The run and a page of its signals.", body = wire::Timeline)),
)]
pub async fn run_timeline(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    Asked(query): Asked<TimelineQuery>,
) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<SignalId> = page::cursor(query.cursor.as_deref())?;
    let (tenant, directory) = (caller.tenant(), caller.directory.clone());
    let read = api.read(move |store| {
        let run = found(store, tenant, id)?;
        let names = names(store, &directory, &run)?;
        let trigger = run.signal_id.map(|id| store.signal(tenant, id)).transpose()?.flatten();
        let directive = store.directive(tenant, run.directive_id)?;
        let missing = || Problem::internal("read the run's beginning", &format!("{id} lacks its directive"));
        let page = Page::after(cursor.map(|id| id.0), limit + 1);
        let signals = store.signals(tenant, &of_run(id), page)?;
        let signals = page::of(signals, limit, |signal| signal.id.to_string(), |signal| view::signal(&signal));
        Ok(wire::Timeline {
            run: view::run(&run, &names),
            trigger: trigger.as_ref().map(view::signal),
            directive: view::directive(&directive.ok_or_else(missing)?),
            signals: signals.items,
            next_cursor: signals.next_cursor,
        })
    });
    ok(&read.await?)
}

/// Cancel a run
///
/// By the directive `workflow.run.cancel`: the run ends now, and what it has in flight is withdrawn.
/// A run that has ended already is a conflict.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs",
    params(
        ("id" = schema::RunId, Path, description = "The run's id."),
        IdempotencyKey,
    ),
    request_body(content = Option<wire::Cancel>, example = json!({"reason": "the thread was deleted"})),
    responses((status = 200, description = "The run as it is now.", body = wire::RunDetail)),
)]
pub async fn run_cancel(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
    SentOrNot(cancel): SentOrNot<wire::Cancel>,
) -> Answer {
    caller.must_be(Role::Member)?;
    let tenant = caller.tenant();
    api.read(move |store| found(store, tenant, id).map(drop)).await?;
    let reason = cancel.reason.is_some().then(|| reason(cancel)).transpose()?;
    let directive = NewDirective {
        name: Name::known("workflow.run.cancel"),
        payload: match reason {
            Some(reason) => json!({"run_id": id, "reason": reason}).into(),
            None => json!({"run_id": id}).into(),
        },
        idempotency_key: key_or_fresh(&headers)?,
        correlation_id: None,
        causation_id: Some(id.into()),
    };
    let requested = api.engine().request(&caller.scope, directive).await?;
    match &requested.directive.error {
        Some(error) => Err(Problem::of_failure(error)),
        None => ok(&detail(&api, &caller, id).await?),
    }
}
