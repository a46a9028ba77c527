//! One run, and its steps: all of them in one response if they fit, or else page by page.

use std::sync::Arc;

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::run::{Run, Step, StepStatus};
use fleetprompt_core::{Json, Name, RunId, TenantId, directive};
use fleetprompt_engine::Directory;
use fleetprompt_engine::workers::Workers;
use fleetprompt_store::{Page, RunPart, SignalFilter, StepRange, Store};
use serde::Deserialize;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::request::{Asked, At};
use super::runs::{head, names, refusals};
use super::runs_view::{self, StepName};
use super::{Api, Problem, page, view};

/// Newest postponed attempts of a run among which that of a step is looked for.
const RETRIES_READ: usize = 100;

/// Steps in the response with their run.
pub const STEPS_MAX: usize = 1_000;
/// More of what the items of a step gave is read by page.
const OUTPUT_OF_ITEMS_BYTES_MAX: usize = 1 << 20;

/// Steps as they are shown: of their items the number by status, and together their output, unless it is large.
fn shown_steps(from: usize, limit: usize) -> StepRange {
    StepRange {
        from,
        limit,
        bytes: page::ITEMS_BYTES_MAX,
        items: StepRange::ALL_ITEMS,
        item_bytes: OUTPUT_OF_ITEMS_BYTES_MAX,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunGetQuery {
    /// Whether the run comes with its steps.
    #[serde(default = "yes")]
    #[param(default = true)]
    steps: bool,
}

fn yes() -> bool {
    true
}

/// Get a run
///
/// With its steps, the first 1,000 at most and as many as fit into 4 MiB, and what it waits for if it has not ended. If
/// there are more steps, `next_cursor` says where `GET /v1/runs/{id}/steps` goes on. With `steps=false` there are none.
#[utoipa::path(
    get, path = "/v1/runs/{id}", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), RunGetQuery),
    responses((status = 200, description = "The run.", body = wire::RunDetail)),
)]
pub async fn run_get(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    Asked(query): Asked<RunGetQuery>,
) -> Answer {
    let reader = Reader::new(&api, &caller);
    let limit = if query.steps { STEPS_MAX } else { 0 };
    ok(&api.read(move |store| reader.run(store, id, limit)).await?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StepQuery {
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before, or of the run.
    cursor: Option<String>,
}

/// List the steps of a run
///
/// In the order of the workflow.
#[utoipa::path(
    get, path = "/v1/runs/{id}/steps", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), StepQuery),
    responses((status = 200, description = "A page of steps.", body = wire::Page<wire::Step>)),
)]
pub async fn step_list(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    Asked(query): Asked<StepQuery>,
) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<usize> = page::cursor(query.cursor.as_deref())?;
    let from = cursor.map_or(0, |cursor| cursor.saturating_add(1));
    let reader = Reader::new(&api, &caller);
    let read = api.read(move |store| {
        let part = reader.part(store, id, shown_steps(from, limit))?;
        let names = names(store, &reader.directory, &part.run)?;
        let (mut items, mut last) = (page::Items::new(page::ITEMS_BYTES_MAX), None);
        for (index, step) in reader.steps(&part, from, &names) {
            if !items.push(&step)? {
                break;
            }
            last = Some(index);
        }
        let is_end = last.is_none_or(|last| last + 1 >= names.len().min(part.run.steps.len()));
        Ok(items.page(last.filter(|_| !is_end).map(|last| last.to_string())))
    });
    ok(&read.await?)
}

/// Reads runs for one caller.
pub struct Reader {
    tenant: TenantId,
    directory: Arc<Directory>,
    workers: Arc<Workers>,
}

impl Reader {
    pub fn new(api: &Api, caller: &Caller) -> Self {
        let workers = api.engine().workers().clone();
        Self { tenant: caller.tenant(), directory: caller.directory.clone(), workers }
    }

    /// A run with at most so many of its first steps, and with the name of the step that started it.
    pub fn run(&self, store: &dyn Store, id: RunId, limit: usize) -> Result<wire::RunDetail, Problem> {
        let (head, part) = (head(store, self.tenant, id)?, self.part(store, id, shown_steps(0, limit))?);
        let run = &Run { steps: part.run.steps.clone(), ..head };
        let count = run.steps.len();
        let names = names(store, &self.directory, run)?;
        let mut shown = runs_view::run(run);
        shown.refusals = refusals(store, run)?;
        if let Some(parent) = &mut shown.parent {
            parent.step = store.directive(run.tenant, run.directive_id)?.as_ref().and_then(view::step_of);
        }
        shown.waiting_for = if part.end < count {
            self.waiting_for(store, run, &names)?
        } else {
            let open: Vec<usize> = (0..count).filter(|index| runs_view::is_open(run, *index)).collect();
            self.waiting_for_open(store, run, &names, &open)?
        };
        let mut bytes = page::bytes_of(&shown)?;
        for (_, step) in self.steps(&part, 0, &names) {
            bytes += page::bytes_of(&step)? + 1;
            if bytes > page::ITEMS_BYTES_MAX && !shown.steps.is_empty() {
                break;
            }
            shown.steps.push(step);
        }
        let next_cursor = shown.steps.len().checked_sub(1).filter(|last| last + 1 < names.len().min(count));
        Ok(wire::RunDetail { run: shown, next_cursor: next_cursor.map(|last| last.to_string()) })
    }

    /// Why a run has not ended, of which not all steps were read: some of those that are open are read for it.
    fn waiting_for(&self, store: &dyn Store, run: &Run, names: &[StepName]) -> Result<Option<String>, Problem> {
        if run.status.has_ended() {
            return Ok(None);
        }
        let in_flight: Vec<StepStatus> = StepStatus::ALL.into_iter().filter(|status| status.is_in_flight()).collect();
        let open = store.steps_with(self.tenant, run.id, &in_flight)?;
        let mut known = run.clone();
        for index in open.iter().take(runs_view::SHOWN_MAX) {
            let step = StepRange { item_bytes: 0, ..StepRange::one(*index) };
            if let Some(part) = store.run_steps(self.tenant, run.id, step)? {
                runs_view::take_step(&mut known, &part.run, *index);
            }
        }
        self.waiting_for_open(store, &known, names, &open)
    }

    /// The same for a run of which the first open steps are known, with the attempts that were postponed.
    fn waiting_for_open(
        &self,
        store: &dyn Store,
        run: &Run,
        names: &[StepName],
        open: &[usize],
    ) -> Result<Option<String>, Problem> {
        let waiting_for = runs_view::waiting_for(run, names, open, Some(&self.workers));
        let mut texts: Vec<String> = waiting_for.into_iter().collect();
        for step in open.iter().take(runs_view::SHOWN_MAX).filter_map(|index| run.steps.get(*index)) {
            texts.extend(self.postponed(store, run, step)?);
        }
        Ok(Some(texts.join("; ")).filter(|text| !text.is_empty()))
    }

    /// When the directive of a step, or what undoes it, is tried again, and why.
    fn postponed(&self, store: &dyn Store, run: &Run, step: &Step) -> Result<Option<String>, Problem> {
        let undo = step.undo.as_deref().filter(|undo| undo.status == StepStatus::Running);
        let step = undo.unwrap_or(step);
        let Some(id) = step.directive_id.filter(|_| step.status == StepStatus::Running) else { return Ok(None) };
        let directive = store.directive(self.tenant, id)?.filter(|directive| directive.handler.has_attempts());
        let Some((directive, at)) = directive.and_then(|directive| directive.wake_at.map(|at| (directive, at))) else {
            return Ok(None);
        };
        let filter = SignalFilter {
            names: vec![Name::known(directive::Change::Retrying.signal_name())],
            run_id: Some(run.id),
            ..SignalFilter::default()
        };
        let postponed = store.signals(self.tenant, &filter, Page::newest(RETRIES_READ))?;
        let last = postponed.iter().find(|signal| signal.directive_id == Some(id));
        let record = last.and_then(|signal| serde_json::from_str::<directive::Record>(signal.payload.text()).ok());
        Ok(Some(runs_view::postponed(&directive, at, record.and_then(|record| record.error).as_ref())))
    }

    fn part(&self, store: &dyn Store, id: RunId, steps: StepRange) -> Result<RunPart, Problem> {
        store.run_steps(self.tenant, id, steps)?.ok_or_else(|| Problem::not_found("run", id))
    }

    /// The steps that were read, beginning with the one at `from`.
    fn steps<'a>(
        &'a self,
        part: &'a RunPart,
        from: usize,
        names: &'a [StepName],
    ) -> impl Iterator<Item = (usize, wire::Step)> + 'a {
        let read = part.run.steps.iter().zip(names).enumerate().take(part.end).skip(from);
        read.map(|(index, (step, name))| {
            let shown = runs_view::step_with_worker(part.run.id, index, step, name, &self.workers);
            (index, wire::Step { output: output(part, index, step).cloned(), ..shown })
        })
    }
}

/// What a step gave, or its items together: `None` if that is large, or if not all of it was read.
fn output<'a>(part: &RunPart, index: usize, step: &'a Step) -> Option<&'a Json> {
    if step.items.is_none() {
        return step.output.as_ref();
    }
    let is_known = step.output.is_some() || !part.items_end.contains_key(&index);
    Some(step).filter(|_| is_known)?.output().filter(|output| output.text().len() <= OUTPUT_OF_ITEMS_BYTES_MAX)
}
