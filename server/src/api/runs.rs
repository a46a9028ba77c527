//! Runs, as the store has them. `runs_operate` has what is done to them.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus};
use fleetprompt_core::{Name, RunId, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_engine::Directory;
use fleetprompt_engine::workers::Workers;
use fleetprompt_store::{DirectiveFilter, Page, RunFilter, StepRange, Store};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::follow::of_run;
use super::page::{Items, Reading};
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
        statuses: query.status,
        signal_id: query.signal_id,
        correlation_id: query.correlation_id,
        version: query.version,
        parent: query.parent,
        source: query.source,
        open: query.open,
        since: query.since,
        until: query.until,
    };
    let (tenant, page) = (caller.tenant(), Page::before(cursor.map(|id| id.0), limit));
    let read = api.read(move |store| {
        let list = |page| Ok(store.runs(tenant, &filter, page)?);
        Reading::new(page, list, |run: &Run| run.id.into()).read(|run| Ok(Some(runs_view::run(&run))))
    });
    ok(&read.await?)
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

/// Where a chain of runs ends because a workflow refused a signal, the last run says so.
pub fn refusals(store: &dyn Store, run: &Run) -> Result<Vec<wire::Refusal>, Problem> {
    /// Signals that the run emitted last.
    const EMITTED_MAX: usize = 10;
    /// Of each of these.
    const DISPOSITIONS_MAX: usize = 1_000;
    let filter = DirectiveFilter { name: Some(Name::known("signal.emit")), run_id: Some(run.id), status: None };
    let emits = store.directives(run.tenant, &filter, Page::newest(EMITTED_MAX).within(page::BYTES_MAX))?;
    let emitted =
        emits.iter().filter_map(|emit| emit.output.as_ref()?.value().get("signal_id")?.as_str()?.parse().ok());
    let ended = run.status_by.filter(|_| run.status.has_ended());
    let mut refusals = Vec::new();
    for signal in ended.into_iter().chain(emitted) {
        refusals.extend(store.dispositions(run.tenant, signal, DISPOSITIONS_MAX)?.iter().filter_map(view::refusal));
    }
    Ok(refusals)
}

/// The run without its steps.
pub fn head(store: &dyn Store, tenant: TenantId, id: RunId) -> Result<Run, Problem> {
    store.run_head(tenant, id)?.ok_or_else(|| Problem::not_found("run", id))
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

/// A `wire::Timeline` whose signals are JSON already.
#[derive(Serialize)]
struct TimelinePage {
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<wire::Signal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directive: Option<wire::Directive>,
    signals: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Read a run's timeline
///
/// Everything on record about the run: on the first page the signal that triggered it and the directive that started
/// it, and on each page signals of its life, oldest first. The run itself is at `GET /v1/runs/{id}`.
#[utoipa::path(
    get, path = "/v1/runs/{id}/timeline", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), TimelineQuery),
    responses((status = 200, description = "A page of what is on record.", body = wire::Timeline)),
)]
pub async fn run_timeline(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    Asked(query): Asked<TimelineQuery>,
) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<SignalId> = page::cursor(query.cursor.as_deref())?;
    let tenant = caller.tenant();
    let read = api.read(move |store| {
        let (trigger, directive) = match cursor {
            None => beginning(store, &head(store, tenant, id)?)?,
            Some(_) => (None, None),
        };
        let used = page::bytes_of(&trigger)? + page::bytes_of(&directive)?;
        let list = |page| Ok(store.signals(tenant, &of_run(id), page)?);
        let page = Page::after(cursor.map(|id| id.0), limit);
        let reading = Reading::new(page, list, |signal| signal.id.into()).beside(used);
        let signals = reading.read(|signal| Ok(Some(view::signal(&signal))))?;
        if signals.items.is_empty() {
            // Behind the last one, or of a run that there is not.
            head(store, tenant, id)?;
        }
        Ok(TimelinePage { trigger, directive, signals: signals.items, next_cursor: signals.next_cursor })
    });
    ok(&read.await?)
}

/// What triggered a run, and the directive that started it.
fn beginning(store: &dyn Store, run: &Run) -> Result<(Option<wire::Signal>, Option<wire::Directive>), Problem> {
    let trigger = run.signal_id.map(|id| store.signal(run.tenant, id)).transpose()?.flatten();
    let missing = || Problem::internal("read the run's beginning", &format!("{} lacks its directive", run.id));
    let directive = store.directive(run.tenant, run.directive_id)?.ok_or_else(missing)?;
    Ok((trigger.as_ref().map(view::signal), Some(view::directive(&directive))))
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
    let cursor: Option<u32> = page::cursor(query.cursor.as_deref())?;
    let (tenant, directory, workers) = (caller.tenant(), caller.directory.clone(), api.engine().workers().clone());
    let read = api.read(move |store| {
        let none = StepRange { limit: 0, ..StepRange::one(0) };
        let bare = store.run_steps(tenant, id, none)?.ok_or_else(|| Problem::not_found("run", id))?;
        let names = names(store, &directory, &bare.run)?;
        let place = place(&names, id, &step)?;
        let first = cursor.map_or(0, |cursor| cursor.saturating_add(1));
        let of_step = ItemReader { store, tenant, run: id, place, name: &names[place], workers: &workers };
        of_step.page(first, limit, query.status)
    });
    ok(&read.await?)
}

/// Reads the items of one step, as many at a time as a page has bytes.
struct ItemReader<'a> {
    store: &'a dyn Store,
    tenant: TenantId,
    run: RunId,
    place: usize,
    name: &'a StepName,
    workers: &'a Workers,
}

impl ItemReader<'_> {
    /// At least, since only some of them may have the status that is asked for.
    const READ_AT_ONCE: usize = 32;

    fn page(&self, first: u32, limit: usize, status: Option<StepStatus>) -> Result<page::Written, Problem> {
        let (mut items, mut last) = (Items::new(page::ITEMS_BYTES_MAX), None);
        let (mut next, mut count) = (first, 0);
        loop {
            // One more than the page has room for, so that it is known whether more follow.
            let at_once = (limit - count + 1).max(Self::READ_AT_ONCE);
            let end = next.saturating_add(u32::try_from(at_once).unwrap_or(u32::MAX));
            let (items_read, item_bytes) = ((next, end), page::ITEMS_BYTES_MAX);
            let range = StepRange { items: items_read, item_bytes, ..StepRange::one(self.place) };
            let part = self.store.run_steps(self.tenant, self.run, range)?;
            let end = part.as_ref().and_then(|part| part.items_end.get(&self.place).copied()).unwrap_or(end);
            let step = part.as_ref().and_then(|part| part.run.steps.get(self.place));
            let Some(all) = step.and_then(|step| step.items.as_deref()) else { return Ok(items.page(None)) };
            let read = (next..end).map_while(|index| Some((index, all.steps.get(index as usize)?)));
            for (index, item) in read.filter(|(_, item)| status.is_none_or(|status| item.status == status)) {
                if count == limit || !items.push(&self.shown(index, item))? {
                    return Ok(items.page(last.map(|last: u32| last.to_string())));
                }
                (last, count) = (Some(index), count + 1);
            }
            if end as usize >= all.steps.len() {
                return Ok(items.page(None));
            }
            next = end;
        }
    }

    fn shown(&self, index: u32, item: &Step) -> wire::Step {
        let mut shown = wire::Step { item: Some(index), ..runs_view::step(item, self.name) };
        runs_view::add_worker(&mut shown, self.run, Place::step(self.place).item(index), item, self.workers);
        shown
    }
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
