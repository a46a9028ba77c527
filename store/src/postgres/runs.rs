//! Reading runs. How one ended, or why it stands still, is read from the signal that says so.

use std::sync::Arc;

use fleetprompt_core::run::{Continuation, FlowKeys, Parent, Place, Run, RunRecord, Status, Steps};
use fleetprompt_core::{DirectiveId, Lineage, RecordId, RunId, SignalId, Slug, TenantId, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::View;
use super::bulk::{self, ASKED};
use super::columns::{self, text};
use super::fault::{Fault, Result};
use super::page::Query;
use super::{places, signals};
use crate::filter::first_id_at;
use crate::rows::ROW_BYTES;
use crate::{Page, RunFilter, RunPart, StepRange, TriggeredRun};

const COLUMNS: &str = "r.id, r.workflow, r.version, r.status, r.steps, r.signal_id, r.directive_id, r.started_at, \
    r.deadline, r.ended_at, r.status_by, r.correlation_id, r.depth, r.input, s.payload, r.begun_at, r.parent, \
    r.parent_step, r.parent_part, r.parent_waits, r.source, r.keys, r.descent, r.continuation";
const JOIN: &str = "LEFT JOIN signals s ON s.tenant_id = r.tenant_id AND s.id = r.status_by";

pub async fn one(view: &View<'_>, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
    let Some(mut run) = head(view, tenant, id).await? else { return Ok(None) };
    places::restore(view, &mut run).await?;
    Ok(Some(run))
}

pub async fn part(view: &View<'_>, tenant: TenantId, id: RunId, steps: StepRange) -> Result<Option<RunPart>> {
    let bare = COLUMNS.replace("r.input", "NULL::text").replace("s.payload", "NULL::text");
    let Some(mut run) = read(view, tenant, id, &bare, "").await? else { return Ok(None) };
    let (end, items_end) = places::restore_some(view, &mut run, steps).await?;
    Ok(Some(RunPart { run, end, items_end }))
}

/// With its steps as they were before it began.
pub async fn head(view: &View<'_>, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
    read(view, tenant, id, COLUMNS, JOIN).await
}

async fn read(view: &View<'_>, tenant: TenantId, id: RunId, columns: &str, join: &str) -> Result<Option<Run>> {
    let sql = format!("SELECT {columns} FROM runs r {join} WHERE r.tenant_id = $1 AND r.id = $2");
    let begun = |row: &Row| {
        let mut run = run(tenant, row)?;
        run.steps = Steps::pending(columns::number(row, 4)?);
        Ok(run)
    };
    view.row(&sql, &[&tenant.0, &id.0], begun).await
}

/// Reads runs with their places and signals: three queries, however many runs there are.
pub async fn by_id(view: &View<'_>, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<TriggeredRun>>> {
    let sql = format!(
        "SELECT {COLUMNS}, (SELECT count(*) FROM places p WHERE p.tenant_id = q.tenant_id AND p.run_id = q.id), q.place
         FROM {ASKED}
         CROSS JOIN LATERAL (SELECT * FROM runs WHERE tenant_id = q.tenant_id AND id = q.id LIMIT 1) r
         {JOIN} ORDER BY q.place"
    );
    let begun = |tenant, row: &Row| {
        let mut run = run(tenant, row)?;
        run.steps = Steps::pending(columns::number(row, 4)?);
        let bytes = columns::number::<usize>(row, 24)? * ROW_BYTES + columns::text_len(row, 13)?;
        Ok((run, bytes))
    };
    let mut runs = bulk::by_id(view, &sql, ids, begun).await?;
    let known = places::restore_all(view, &ids[..runs.len()], &mut runs).await?;
    runs.truncate(known);
    with_signals(view, runs).await
}

async fn with_signals(view: &View<'_>, runs: Vec<Option<Run>>) -> Result<Vec<Option<TriggeredRun>>> {
    let triggered: Vec<_> = runs.iter().flatten().filter_map(|run| Some((run.tenant, run.signal_id?))).collect();
    let mut signals = signals::by_id(view, &triggered).await?.into_iter();
    let mut found = Vec::with_capacity(runs.len());
    for run in runs {
        let Some(run) = run else {
            found.push(None);
            continue;
        };
        let signal = match run.signal_id.map(|_| signals.next()) {
            Some(Some(signal)) => signal,
            // The signals end here: so does the answer.
            Some(None) => break,
            None => None,
        };
        found.push(Some((run, signal)));
    }
    Ok(found)
}

/// Runs that flow control counts, without their steps and inputs.
pub async fn counted(view: &View<'_>, tenants: &[Uuid]) -> Result<Vec<Run>> {
    let columns = COLUMNS.replace("r.input", "NULL::text");
    let sql = format!(
        "SELECT {columns}, r.tenant_id FROM runs r {JOIN}
         WHERE r.ended_at IS NULL AND r.keys IS NOT NULL AND r.tenant_id = ANY ($1)"
    );
    let mut found = view.rows(&sql, &[&tenants], |row| run(TenantId(columns::id(row, 24)?), row)).await?;
    found.sort_unstable_by_key(|run| (run.tenant, run.id));
    Ok(found)
}

pub async fn list(view: &View<'_>, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
    let statuses = filter.wanted_statuses();
    if statuses.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    select(tenant, filter, statuses, page).rows(view, |row| run(tenant, row)).await
}

fn select(tenant: TenantId, filter: &RunFilter, statuses: Option<Vec<Status>>, page: Page) -> Query {
    let mut query = Query::new(("runs", "r"), tenant.0, page);
    if let Some(signal) = filter.signal_id {
        // No index by signal: its dispositions name its runs.
        let signal = query.bind(signal.0);
        let named = format!("SELECT d.run_id FROM dispositions d WHERE d.tenant_id = $1 AND d.signal_id = {signal}");
        query.and_that(format!("r.id IN ({named}) AND r.signal_id = {signal}"));
    }
    if let Some(correlation) = &filter.correlation_id {
        query.and("correlation_id", text(correlation).into_owned());
    }
    if let Some(parent) = filter.parent {
        query.and("parent", parent.0);
    }
    if let Some(source) = filter.source {
        query.and("source", source.0);
    }
    if let Some(slug) = &filter.workflow {
        query.and("workflow", slug.as_str().to_owned());
    }
    if let Some(version) = &filter.version {
        query.and("version", text(version).into_owned());
    }
    if let Some(since) = filter.since {
        let since = query.bind(first_id_at(since));
        query.and_that(format!("r.id >= {since}"));
    }
    if let Some(until) = filter.until {
        let until = query.bind(first_id_at(until));
        query.and_that(format!("r.id < {until}"));
    }
    by_status(&mut query, filter, statuses);
    query.select(COLUMNS, JOIN, &["r.input", "s.payload"])
}

/// Most have completed: the index leaves them out, and where they are wanted as well, rows that match are found soon.
fn by_status(query: &mut Query, filter: &RunFilter, statuses: Option<Vec<Status>>) {
    let is_found_otherwise = filter.signal_id.is_some()
        || filter.correlation_id.is_some()
        || filter.parent.is_some()
        || filter.source.is_some();
    let Some(statuses) = statuses else { return };
    if is_found_otherwise && filter.open && filter.status.is_none() && filter.statuses.is_empty() {
        return query.and_that("r.ended_at IS NULL".to_owned());
    }
    let has_completed = statuses.contains(&Status::Completed);
    if !has_completed {
        query.and_that("r.status <> 'completed'".to_owned());
    }
    match statuses.as_slice() {
        [status] => query.and("status", status.as_str()),
        _ if has_completed || is_found_otherwise => {
            let places: Vec<String> = statuses.iter().map(|status| query.bind(status.as_str())).collect();
            query.and_that(format!("r.status IN ({})", places.join(", ")));
        }
        _ => query.and_any("status", statuses.into_iter().map(Status::as_str)),
    }
}

/// Without its steps.
fn run(tenant: TenantId, row: &Row) -> Result<Run> {
    let status = columns::word(row, 3, &Status::ALL, Status::as_str)?;
    let (output, error) = if status.has_ended() { columns::end(row, 14)? } else { (None, None) };
    let stands = !status.has_ended() && status != Status::Running;
    let standing = if stands { columns::record::<RunRecord>(row, 14)? } else { None };
    let signal_id = columns::id_if_any(row, 5)?.map(SignalId);
    let directive_id = DirectiveId(columns::id(row, 6)?);
    Ok(Run {
        id: RunId(columns::id(row, 0)?),
        tenant,
        workflow: columns::parsed(row, 1)?,
        version: columns::shared(row, 2)?,
        status,
        standing: standing.map(Arc::new),
        signal_id,
        directive_id,
        parent: parent(row)?,
        source: columns::id_if_any(row, 20)?.map(RunId),
        keys: columns::record(row, 21)?.unwrap_or_default(),
        descent: columns::record(row, 22)?.map(Arc::new),
        started_at: columns::time(row, 7)?,
        begun_at: columns::time_if_any(row, 15)?,
        deadline: columns::time_if_any(row, 8)?,
        ended_at: columns::time_if_any(row, 9)?,
        status_by: columns::id_if_any(row, 10)?.map(SignalId),
        lineage: Lineage {
            correlation_id: columns::shared(row, 11)?,
            causation_id: Some(signal_id.map_or(directive_id.into(), RecordId::from)),
            depth: columns::number(row, 12)?,
        },
        input: columns::json_if_any(row, 13)?,
        steps: Steps::default(),
        output,
        error,
        continuation: columns::record::<Continuation>(row, 23)?.map(Arc::new),
    })
}

fn parent(row: &Row) -> Result<Option<Parent>> {
    let Some(run) = columns::id_if_any(row, 16)? else { return Ok(None) };
    let place = Place::from_part(columns::number(row, 17)?, columns::get(row, 18)?);
    Ok(Some(Parent { run_id: RunId(run), place, waits: columns::get(row, 19)? }))
}

/// How many have not ended.
pub async fn in_flight(view: &View<'_>, tenant: TenantId, slug: &Slug) -> Result<Vec<(String, Status, u64)>> {
    let sql = "SELECT r.version, r.status, count(*) FROM runs r
        WHERE r.tenant_id = $1 AND r.workflow = $2 AND r.ended_at IS NULL GROUP BY r.version, r.status";
    let counted = |row: &Row| {
        let status = columns::word(row, 1, &Status::ALL, Status::as_str)?;
        Ok((columns::string(row, 0)?, status, columns::number(row, 2)?))
    };
    let mut found = view.rows(sql, &[&tenant.0, &slug.as_str()], counted).await?;
    found.sort();
    Ok(found)
}

pub async fn begun_since(
    view: &View<'_>,
    tenant: TenantId,
    slug: &Slug,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<(Arc<str>, Timestamp, RunId)>> {
    let sql = "SELECT r.keys, r.begun_at, r.id FROM runs r
        WHERE r.tenant_id = $1 AND r.workflow = $2 AND r.throttled AND r.begun_at IS NOT NULL AND r.begun_at >= $3
        ORDER BY r.begun_at DESC, r.id DESC LIMIT $4";
    let begun = |row: &Row| {
        let keys: FlowKeys = columns::record(row, 0)?.unwrap_or_default();
        let key = keys.throttle.ok_or_else(|| Fault::damaged("the keys of a run", "there is no throttle"))?;
        Ok((key, columns::time(row, 1)?, RunId(columns::id(row, 2)?)))
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    view.rows(sql, &[&tenant.0, &slug.as_str(), &since.0, &limit], begun).await
}
