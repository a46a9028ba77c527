//! The same for many runs: first what it would be, and then one directive a run, under keys of their
//! own, so that asking again after a lost answer does nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use fleetprompt_client::wire;
use fleetprompt_core::run::{Run, Status};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{RunId, Slug};
use fleetprompt_store::{Page, RunFilter};
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use wire::{Bulk, BulkAction};

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::body::Sent;
use super::request::{IdempotencyKey, key_or_fresh};
use super::{Api, Problem, page, runs_operate};

/// How many wait for the engine at once: it takes them into the same commit.
const PARALLEL: usize = 64;
const RUNS_MAX: usize = 1_000;

/// Operate on many runs
///
/// Finds runs by a filter, newest first, at most 1,000 in one request. As a preview, which it is unless
/// `preview` is false, nothing is done. Then one directive is requested for each, under the key
/// `bulk:{key}:{run}`; what is refused says why and holds up no other. `retry` and `rerun` take the
/// role `operator`.
#[utoipa::path(
    post, path = "/v1/runs/bulk", tag = "runs",
    params(IdempotencyKey),
    request_body(
        content = Bulk,
        example = json!({
            "action": "retry", "filter": {"status": ["failed"], "workflow": "order-fulfilment", "version": "1.0.0"},
            "reason": "the warehouse is back", "preview": false
        }),
    ),
    responses((status = 200, description = "What was found, and what became of it.", body = wire::BulkAnswer)),
)]
pub async fn run_bulk(State(api): State<Api>, caller: Caller, headers: HeaderMap, Sent(bulk): Sent<Bulk>) -> Answer {
    caller.must_be(role_of(bulk.action))?;
    check(&bulk)?;
    let key = key_or_fresh(&headers)?;
    let (found, next_cursor) = found(&api, &caller, &bulk).await?;
    let runs: Vec<wire::BulkRun> = if bulk.preview {
        found.iter().map(|run| previewed(run, bulk.action)).collect()
    } else {
        let requests: Vec<_> = found.iter().map(|run| done(&api, &caller, &bulk, &key, run)).collect();
        stream::iter(requests).buffered(PARALLEL).collect().await
    };
    let counts = counts(&runs);
    ok(&wire::BulkAnswer { preview: bulk.preview, runs, counts, next_cursor })
}

fn role_of(action: BulkAction) -> Role {
    match action {
        BulkAction::Cancel | BulkAction::Pause | BulkAction::Resume => Role::Member,
        BulkAction::Retry | BulkAction::Rerun => Role::Operator,
    }
}

/// What does not belong to the action is an error, not something to leave out.
fn check(bulk: &Bulk) -> Result<(), Problem> {
    use BulkAction::{Cancel, Rerun, Retry};
    let action = bulk.action;
    let wrong = |field: &str| Problem::invalid_request(format!("`{field}` means nothing for `{}`", action.as_str()));
    if bulk.compensate && action != Cancel {
        return Err(wrong("compensate"));
    }
    if bulk.reissue && !matches!(action, Retry | Rerun) {
        return Err(wrong("reissue"));
    }
    if !bulk.from.is_empty() && !matches!(action, Retry | Rerun) {
        return Err(wrong("from"));
    }
    if bulk.version.is_some() && action != Rerun {
        return Err(wrong("version"));
    }
    if action == Rerun && bulk.from.len() > 1 {
        return Err(Problem::invalid_request("`from` names one step for `rerun`"));
    }
    let is_given = bulk.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if !bulk.preview && !is_given {
        return Err(Problem::invalid_request("`reason` says why; it is kept on record with each run"));
    }
    Ok(())
}

async fn found(api: &Api, caller: &Caller, bulk: &Bulk) -> Result<(Vec<Found>, Option<String>), Problem> {
    let limit = page::limit(Some(bulk.limit.unwrap_or(RUNS_MAX)))?;
    let cursor: Option<RunId> = page::cursor(bulk.cursor.as_deref())?;
    let filter = bulk.filter.clone();
    let filter = RunFilter {
        statuses: filter.status,
        workflow: filter.workflow,
        version: filter.version,
        parent: filter.parent,
        source: filter.source,
        correlation_id: filter.correlation_id,
        since: filter.since,
        until: filter.until,
        ..RunFilter::default()
    };
    let tenant = caller.tenant();
    let _pass = api.config().reads().enter(tenant).await?;
    let read = api.read(move |store| {
        let (mut found, mut cursor) = (Vec::new(), cursor.map(|id| id.0));
        // One more than the limit, so that it is known whether more follow.
        while found.len() <= limit {
            let page = Page::before(cursor, limit + 1 - found.len()).within(page::ITEMS_BYTES_MAX);
            let runs = store.runs(tenant, &filter, page)?;
            let Some(last) = runs.last() else { break };
            cursor = Some(last.id.0);
            found.extend(runs.into_iter().map(Found::from));
        }
        Ok(found)
    });
    let page = page::of(read.await?, limit, |run| run.id.to_string(), |run| run);
    Ok((page.items, page.next_cursor))
}

/// What the operation needs to know of a run.
struct Found {
    id: RunId,
    workflow: Slug,
    version: Arc<str>,
    status: Status,
}

impl From<Run> for Found {
    fn from(run: Run) -> Self {
        Self { id: run.id, workflow: run.workflow, version: run.version, status: run.status }
    }
}

fn previewed(run: &Found, action: BulkAction) -> wire::BulkRun {
    wire::BulkRun {
        run_id: run.id,
        workflow: run.workflow.clone(),
        version: run.version.to_string(),
        status: run.status,
        fits: fits(action, run.status),
        directive_id: None,
        started: None,
        error: None,
    }
}

/// What `core` would say to it by the status alone; there may be more that it minds.
fn fits(action: BulkAction, status: Status) -> bool {
    match action {
        BulkAction::Cancel => !status.has_ended() && !matches!(status, Status::Stopping | Status::Compensating),
        BulkAction::Pause => status == Status::Running,
        BulkAction::Resume => status == Status::Paused,
        BulkAction::Retry => status == Status::Parked || status.has_ended(),
        BulkAction::Rerun => status.has_ended(),
    }
}

async fn done(api: &Api, caller: &Caller, bulk: &Bulk, key: &str, run: &Found) -> wire::BulkRun {
    let name = match bulk.action {
        BulkAction::Cancel => "workflow.run.cancel",
        BulkAction::Pause => "workflow.run.pause",
        BulkAction::Resume => "workflow.run.resume",
        BulkAction::Retry => "workflow.run.retry",
        BulkAction::Rerun => "workflow.run.rerun",
    };
    let (payload, key) = (payload(bulk, run.id), format!("bulk:{key}:{}", run.id));
    let requested = runs_operate::request(api, caller, name, run.id, payload, key).await;
    let known = previewed(run, bulk.action);
    match requested {
        Err(problem) => wire::BulkRun { fits: false, error: Some(problem.into_wire()), ..known },
        Ok(requested) => {
            let error = requested.directive.error.as_ref().map(|error| Problem::of_failure(error).into_wire());
            let started = runs_operate::started(&requested).filter(|id| *id != run.id);
            wire::BulkRun { fits: error.is_none(), directive_id: Some(requested.directive.id), started, error, ..known }
        }
    }
}

fn payload(bulk: &Bulk, run: RunId) -> String {
    let mut payload = json!({"run_id": run, "reason": bulk.reason});
    if bulk.compensate {
        payload["compensate"] = true.into();
    }
    if bulk.reissue {
        payload["reissue"] = true.into();
    }
    if let Some(version) = &bulk.version {
        payload["version"] = version.as_str().into();
    }
    match (bulk.action, bulk.from.as_slice()) {
        (_, []) => {}
        (BulkAction::Rerun, [step, ..]) => payload["from"] = step.as_str().into(),
        (_, steps) => payload["from"] = steps.into(),
    }
    payload.to_string()
}

fn counts(runs: &[wire::BulkRun]) -> wire::BulkCounts {
    let fit = runs.iter().filter(|run| run.fits).count();
    let mut by_status = BTreeMap::new();
    for run in runs {
        *by_status.entry(run.status).or_insert(0) += 1;
    }
    wire::BulkCounts { found: runs.len(), fit, refused: runs.len() - fit, by_status }
}
