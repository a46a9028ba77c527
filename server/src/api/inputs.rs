//! What waits for people: the steps that somebody is to answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::run::{Awaited, Place, Run, Step};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, RunId, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_engine::Directory;
use fleetprompt_store::{Page, Store, WaitingFilter};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use uuid::Uuid;
use wire::schema;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::page::Reading;
use super::request::Asked;
use super::{Api, Problem, page, runs_view};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InputQuery {
    /// Only what waits in this run.
    #[param(value_type = Option<schema::RunId>)]
    run_id: Option<RunId>,
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List what waits for an answer
///
/// The steps of type `wait` that somebody is to answer, those that wait longest first: what is asked,
/// who may answer now, and until when.
#[utoipa::path(
    get, path = "/v1/inputs", tag = "runs", params(InputQuery),
    responses((status = 200, description = "A page of them.", body = wire::Page<wire::InputRequest>)),
)]
pub async fn input_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<InputQuery>) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<SignalId> = page::cursor(query.cursor.as_deref())?;
    let (tenant, role, directory) = (caller.tenant(), caller.role, caller.directory.clone());
    let read = api.read(move |store| {
        let filter = WaitingFilter { awaits: Some("input".into()), run_id: query.run_id };
        let list = |page| Ok(store.waiting(tenant, &filter, page)?);
        // By the signal that made it wait: a run may have thousands of them, so no run is a place to go on.
        let id = |(_, _, step): &(RunId, Place, Step)| step.signal_id.unwrap_or(SignalId(Uuid::nil())).into();
        let page = Page::after(cursor.map(|id| id.0), limit);
        let mut known = Known { store, tenant, directory: &directory, runs: HashMap::new() };
        Reading::new(page, list, id).read(|one| shown(&mut known, &one, role))
    });
    ok(&read.await?)
}

/// The runs of one page, each read once and without its steps.
struct Known<'a> {
    store: &'a dyn Store,
    tenant: TenantId,
    directory: &'a Directory,
    runs: HashMap<RunId, Option<Arc<KnownRun>>>,
}

struct KnownRun {
    workflow: Slug,
    version: Arc<str>,
    created_at: Timestamp,
    document: Json,
}

impl Known<'_> {
    /// `None` if it ended in the meantime.
    fn run(&mut self, id: RunId) -> Result<Option<Arc<KnownRun>>, Problem> {
        if let Entry::Occupied(known) = self.runs.entry(id) {
            return Ok(known.get().clone());
        }
        let run = self.store.run_head(self.tenant, id)?;
        let document = run.as_ref().map(|run| self.document(run)).transpose()?.flatten();
        let known = |(run, document): (Run, Json)| KnownRun {
            workflow: run.workflow,
            version: run.version,
            created_at: run.started_at,
            document,
        };
        let found = run.zip(document).map(known).map(Arc::new);
        self.runs.insert(id, found.clone());
        Ok(found)
    }

    fn document(&self, run: &Run) -> Result<Option<Json>, Problem> {
        let registered = self.directory.tenant(self.tenant).and_then(|tenant| tenant.workflows.get(&run.workflow));
        let active = registered.and_then(|workflow| workflow.active.as_ref());
        if let Some(active) = active.filter(|active| *active.version == *run.version) {
            return Ok(Some(active.document.clone()));
        }
        let version = self.store.workflow_version(self.tenant, &run.workflow, &run.version)?;
        Ok(version.map(|version| version.document))
    }
}

fn shown(
    known: &mut Known<'_>,
    (id, place, step): &(RunId, Place, Step),
    role: Role,
) -> Result<Option<wire::InputRequest>, Problem> {
    let Some(run) = known.run(*id)? else { return Ok(None) };
    let Some(waiting) = step.waiting.as_deref() else { return Ok(None) };
    let Awaited::Input { prompt, role: wanted } = &waiting.what else { return Ok(None) };
    let Some(definition) = run.document.value().pointer(&format!("/workflow/steps/{}", place.step)) else {
        return Ok(None);
    };
    let since = step.started_at.or(step.signal_id.map(runs_view::recorded_at)).unwrap_or(run.created_at);
    Ok(Some(wire::InputRequest {
        run_id: *id,
        step: definition.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
        item: place.item,
        workflow: run.workflow.clone(),
        version: run.version.to_string(),
        prompt: prompt.clone(),
        role: *wanted,
        may_answer: role >= (*wanted).max(Role::Member),
        schema: definition.pointer("/input/schema").cloned().map(Json::from),
        since,
        timeout_at: waiting.timeout_at,
        escalate_at: waiting.escalate_at,
        escalated: waiting.escalated,
    }))
}
