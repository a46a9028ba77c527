//! Runs, as the store has them. `runs_operate` has what is done to them.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::run::{Place, Run, Status, StepStatus};
use fleetprompt_core::{Name, RunId, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_engine::Directory;
use fleetprompt_engine::workers::Workers;
use fleetprompt_store::{DirectiveFilter, Order, Page, RunFilter, Store};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::follow::of_run;
use super::request::{Asked, At, AtStep};
use super::runs_view::{self, StepName, step_names, step_names_of_document};
use super::{Api, Problem, page, view};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Only runs of this workflow.
    #[param(value_type = Option<schema::Slug>)]
    workflow: Option<Slug>,
    /// Only runs of this version.
    version: Option<String>,
    /// Any of these, separated by commas.
    #[serde(default, deserialize_with = "statuses")]
    #[param(style = Form, explode = false, value_type = Option<Vec<schema::RunStatus>>)]
    status: Vec<Status>,
    /// Only runs that have not ended.
    #[serde(default)]
    #[param(default = false)]
    open: bool,
    /// Only what this signal started.
    #[param(value_type = Option<schema::SignalId>)]
    signal_id: Option<SignalId>,
    /// Only runs of this group.
    correlation_id: Option<String>,
    /// Only what steps of this run started.
    #[param(value_type = Option<schema::RunId>)]
    parent: Option<RunId>,
    /// Only runs that do this one again.
    #[param(value_type = Option<schema::RunId>)]
    source: Option<RunId>,
    /// Asked for at that time or later.
    #[param(value_type = Option<schema::Timestamp>)]
    since: Option<Timestamp>,
    /// Asked for before that time.
    #[param(value_type = Option<schema::Timestamp>)]
    until: Option<Timestamp>,
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
        status: None,
        signal_id: query.signal_id,
        correlation_id: query.correlation_id,
        version: query.version,
        parent: query.parent,
        source: query.source,
        open: query.open,
        since: query.since,
        until: query.until,
    };
    let (tenant, statuses) = (caller.tenant(), query.status);
    let page = Page { order: Order::NewestFirst, cursor: cursor.map(|id| id.0), limit: limit + 1 };
    let runs = api.read(move |store| listed(store, tenant, &filter, &statuses, page)).await?;
    ok(&page::of(runs, limit, |run| run.id.to_string(), |run| runs_view::run(&run, &[])))
}

/// `failed,parked`.
fn statuses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Status>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let status = |name: &str| {
        let known = Status::ALL.into_iter().find(|status| status.as_str() == name);
        known.ok_or_else(|| {
            let known = Status::ALL.map(|status| format!("`{status}`")).join(", ");
            let name = fleetprompt_core::diagnostic::shown(name);
            serde::de::Error::custom(format!("`status`: there is no `{name}`, only {known}"))
        })
    };
    text.split(',').map(str::trim).map(status).collect()
}

/// Newest first, whatever their statuses: each of these has an index, so each is asked for by itself.
pub fn listed(
    store: &dyn Store,
    tenant: TenantId,
    filter: &RunFilter,
    statuses: &[Status],
    page: Page,
) -> Result<Vec<Run>, Problem> {
    if statuses.is_empty() {
        return Ok(store.runs(tenant, filter, page)?);
    }
    let mut runs = Vec::new();
    for (place, status) in statuses.iter().enumerate() {
        if !statuses[..place].contains(status) {
            runs.extend(store.runs(tenant, &RunFilter { status: Some(*status), ..filter.clone() }, page)?);
        }
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.id.0));
    // One that moved between two of these questions is there twice.
    runs.dedup_by_key(|run| run.id);
    runs.truncate(page.limit);
    Ok(runs)
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
    let (tenant, directory, workers) = (caller.tenant(), caller.directory.clone(), api.engine().workers().clone());
    api.read(move |store| Ok(wire::RunDetail { run: whole(store, &directory, &workers, tenant, id)? })).await
}

/// With its steps, and with the name of the step that started it.
pub fn whole(
    store: &dyn Store,
    directory: &Directory,
    workers: &Workers,
    tenant: TenantId,
    id: RunId,
) -> Result<wire::Run, Problem> {
    let run = found(store, tenant, id)?;
    let names = names(store, directory, &run)?;
    shown(store, workers, &run, &names)
}

fn shown(store: &dyn Store, workers: &Workers, run: &Run, names: &[StepName]) -> Result<wire::Run, Problem> {
    let mut shown = runs_view::run(run, names);
    runs_view::add_workers(&mut shown, run, workers);
    shown.refusals = refusals(store, run)?;
    if let Some(parent) = &mut shown.parent {
        parent.step = store.directive(run.tenant, run.directive_id)?.as_ref().and_then(view::step_of);
    }
    Ok(shown)
}

/// Where a chain of runs ends because a workflow refused a signal, the last run says so.
fn refusals(store: &dyn Store, run: &Run) -> Result<Vec<wire::Refusal>, Problem> {
    /// Signals that the run emitted last.
    const EMITTED_MAX: usize = 10;
    let filter = DirectiveFilter { name: Some(Name::known("signal.emit")), run_id: Some(run.id), status: None };
    let emits = store.directives(run.tenant, &filter, Page::newest(EMITTED_MAX))?;
    let emitted =
        emits.iter().filter_map(|emit| emit.output.as_ref()?.value().get("signal_id")?.as_str()?.parse().ok());
    let ended = run.status_by.filter(|_| run.status.has_ended());
    let mut refusals = Vec::new();
    for signal in ended.into_iter().chain(emitted) {
        refusals.extend(store.dispositions(run.tenant, signal)?.iter().filter_map(view::refusal));
    }
    Ok(refusals)
}

pub fn found(store: &dyn Store, tenant: TenantId, id: RunId) -> Result<Run, Problem> {
    store.run(tenant, id)?.ok_or_else(|| Problem::not_found("run", id))
}

/// A run keeps the version that it began with, so its steps are named by that one.
pub fn names(store: &dyn Store, directory: &Directory, run: &Run) -> Result<Vec<StepName>, Problem> {
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
    let (tenant, directory, workers) = (caller.tenant(), caller.directory.clone(), api.engine().workers().clone());
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
            run: shown(store, &workers, &run, &names)?,
            trigger: trigger.as_ref().map(view::signal),
            directive: view::directive(&directive.ok_or_else(missing)?),
            signals: signals.items,
            next_cursor: signals.next_cursor,
        })
    });
    ok(&read.await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ItemQuery {
    /// Only items that stand there.
    #[param(value_type = Option<schema::StepStatus>)]
    status: Option<StepStatus>,
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List the items of a step
///
/// Of a step that goes over a list, in the order of the list; of any other step there are none.
#[utoipa::path(
    get, path = "/v1/runs/{id}/steps/{step}/items", tag = "runs",
    params(
        ("id" = schema::RunId, Path, description = "The run's id."),
        ("step" = String, Path, description = "The step's id."),
        ItemQuery,
    ),
    responses((status = 200, description = "A page of items.", body = wire::Page<wire::Step>)),
)]
pub async fn item_list(
    State(api): State<Api>,
    caller: Caller,
    AtStep(id, step): AtStep,
    Asked(query): Asked<ItemQuery>,
) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<usize> = page::cursor(query.cursor.as_deref())?;
    let (tenant, directory, workers) = (caller.tenant(), caller.directory.clone(), api.engine().workers().clone());
    let items = api.read(move |store| {
        let run = found(store, tenant, id)?;
        let names = names(store, &directory, &run)?;
        let place = place(&names, id, &step)?;
        let items = run.steps.get(place).and_then(|step| step.items.as_deref());
        let rest = items.into_iter().flat_map(|items| items.steps.iter().enumerate());
        let rest = rest.skip(cursor.map_or(0, |cursor| cursor.saturating_add(1)));
        let wanted = rest.filter(|(_, item)| query.status.is_none_or(|status| item.status == status));
        let view = |(index, item)| {
            let mut shown = wire::Step { item: Some(index as u32), ..runs_view::step(item, &names[place]) };
            runs_view::add_worker(&mut shown, id, Place::step(place).item(index as u32), item, &workers);
            shown
        };
        Ok(wanted.take(limit + 1).map(view).collect::<Vec<_>>())
    });
    ok(&page::of(items.await?, limit, |step| step.item.unwrap_or_default().to_string(), |step| step))
}

/// Where in the run's steps one of that id stands.
pub fn place(names: &[StepName], id: RunId, step: &str) -> Result<usize, Problem> {
    let place = names.iter().position(|name| name.id == step);
    let missing = || {
        let step = fleetprompt_core::diagnostic::shown(step);
        Problem::not_found("step", format!("{step} in {id}"))
    };
    place.ok_or_else(missing)
}
