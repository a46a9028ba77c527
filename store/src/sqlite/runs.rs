//! Reading runs. How one ended, or why it stands still, is read from the signal that says so.

use std::sync::Arc;

use fleetprompt_core::run::{Continuation, FlowKeys, Parent, Place, Run, RunRecord, Status, Steps};
use fleetprompt_core::{DirectiveId, Lineage, RecordId, RunId, SignalId, Slug, TenantId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Row, params};

use super::View;
use super::columns::{self, Correlation, Id};
use super::fault::{Fault, Result};
use super::page::Query;
use super::{places, signals};
use crate::filter::first_id_at;
use crate::rows::{ROW_BYTES, ReadBudget, bytes_of_run};
use crate::{Page, RunFilter, RunPart, StepRange, TriggeredRun};

/// In the column of when a run began: it did not.
pub const NOT_BEGUN: Timestamp = Timestamp(0);

const COLUMNS: &str = "r.id, r.workflow, r.version, r.status, r.steps, r.signal_id, r.directive_id, r.started_at, \
    r.deadline, r.ended_at, r.status_by, r.correlation_id, r.depth, r.input, s.payload, r.begun_at, r.parent, \
    r.parent_step, r.parent_part, r.parent_waits, r.source, r.keys, r.descent, r.continuation";
const DOCUMENTS: &[usize] = &[13, 14];
const JOIN: &str = "LEFT JOIN signals s ON s.tenant = r.tenant AND s.id = r.status_by";

pub fn one(view: &View, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
    let Some(mut run) = head(view, tenant, id)? else { return Ok(None) };
    if let Some(no) = view.interned.tenant(tenant) {
        places::restore(view, no, &mut run)?;
    }
    Ok(Some(run))
}

pub fn by_id(view: &View, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<TriggeredRun>>> {
    let (mut found, mut budget) = (Vec::with_capacity(ids.len()), ReadBudget::default());
    for (tenant, id) in ids {
        if budget.is_spent() {
            break;
        }
        let Some(run) = one(view, *tenant, *id)? else {
            found.push(None);
            continue;
        };
        let signal = run.signal_id.map(|signal| signals::one(view, *tenant, signal)).transpose()?.flatten();
        let triggered = (run, signal);
        let places = triggered.0.places().count() * ROW_BYTES + triggered.0.steps.bytes();
        budget.spend(places + bytes_of_run(&triggered));
        found.push(Some(triggered));
    }
    Ok(found)
}

pub fn part(view: &View, tenant: TenantId, id: RunId, steps: StepRange) -> Result<Option<RunPart>> {
    let bare = COLUMNS.replace("r.input", "NULL").replace("s.payload", "NULL");
    let Some(mut run) = read(view, tenant, id, &bare, "")? else { return Ok(None) };
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let (end, items_end) = places::restore_some(view, no, &mut run, steps)?;
    Ok(Some(RunPart { run, end, items_end }))
}

/// With its steps as they were before it began.
pub fn head(view: &View, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
    read(view, tenant, id, COLUMNS, JOIN)
}

fn read(view: &View, tenant: TenantId, id: RunId, columns: &str, join: &str) -> Result<Option<Run>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let sql = format!("SELECT {columns} FROM runs r {join} WHERE r.tenant = ?1 AND r.id = ?2");
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params![no, Id(id.0)])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut run = run(view, tenant, row)?;
    run.steps = Steps::pending(row.get::<_, u32>(4)? as usize);
    Ok(Some(run))
}

pub fn list(view: &View, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(query) = select(view, no, filter, page)? else { return Ok(Vec::new()) };
    query.rows(view.sql, DOCUMENTS, |row| run(view, tenant, row))
}

/// None when no row can match.
pub(super) fn select(view: &View, tenant: i64, filter: &RunFilter, page: Page) -> Result<Option<Query>> {
    let statuses = filter.wanted_statuses();
    if statuses.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let mut query = Query::new(("runs", "r"), tenant, page);
    if let Some(signal) = filter.signal_id {
        // No index by signal: its dispositions name its runs.
        let named = "SELECT d.run_id FROM dispositions d WHERE d.tenant = ? AND d.signal_id = ?";
        query.and_among(named, vec![tenant.into(), Id(signal.0).into()]);
        query.and("signal_id", Id(signal.0));
    }
    if let Some(correlation) = &filter.correlation_id {
        query.and_found("correlation_id", Correlation::of(correlation).value(), "runs_by_correlation", None);
    }
    if let Some(parent) = filter.parent {
        query.and_found("parent", Id(parent.0), "runs_by_parent", None);
    }
    if let Some(source) = filter.source {
        query.and_found("source", Id(source.0), "runs_by_source", None);
    }
    by_status(&mut query, statuses);
    if let Some(slug) = &filter.workflow {
        let Some(number) = view.interned.number(view.sql, slug.as_str())? else { return Ok(None) };
        query.and_found("workflow", number, "runs_by_workflow", None);
    }
    if let Some(version) = &filter.version {
        let Some(number) = view.interned.number(view.sql, version)? else { return Ok(None) };
        query.and("version", number);
    }
    if let Some(since) = filter.since {
        query.and_id(">=", first_id_at(since));
    }
    if let Some(until) = filter.until {
        query.and_id("<", first_id_at(until));
    }
    Ok(Some(query.select(COLUMNS, JOIN)))
}

/// Most have completed: the index leaves them out, and where they are wanted as well, rows that match are found soon.
fn by_status(query: &mut Query, statuses: Option<Vec<Status>>) {
    const NOT_COMPLETED: Option<&str> = Some("r.status <> 'completed'");
    let Some(statuses) = statuses else { return };
    let mut words: Vec<Value> = statuses.iter().map(|status| Value::from(status.as_str().to_owned())).collect();
    if statuses.contains(&Status::Completed) {
        query.and_any("status", words);
    } else if words.len() > 1 {
        query.and_found_any("status", words, "runs_by_status", NOT_COMPLETED);
    } else if let Some(word) = words.pop() {
        query.and_found("status", word, "runs_by_status", NOT_COMPLETED);
    }
}

/// Runs that flow control counts, without their steps and inputs.
pub fn counted(view: &View) -> Result<Vec<Run>> {
    let columns = COLUMNS.replace("r.input", "NULL");
    let sql = format!(
        "SELECT {columns}, t.id FROM runs r INDEXED BY runs_counted JOIN tenants t ON t.no = r.tenant {JOIN} \
         WHERE r.ended_at IS NULL AND r.keys IS NOT NULL"
    );
    let mut statement = view.sql.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(run(view, TenantId(columns::id(row, 24)?), row)?);
    }
    found.sort_unstable_by_key(|run| (run.tenant, run.id));
    Ok(found)
}

/// Without its steps.
fn run(view: &View, tenant: TenantId, row: &Row) -> Result<Run> {
    let status = columns::word(row, 3, &Status::ALL, Status::as_str)?;
    let (output, error) = if status.has_ended() { columns::end(row, 14)? } else { (None, None) };
    let stands = !status.has_ended() && status != Status::Running;
    let standing = if stands { columns::record::<RunRecord>(row, 14)? } else { None };
    let signal_id = columns::id_if_any(row, 5)?.map(SignalId);
    let directive_id = DirectiveId(columns::id(row, 6)?);
    let cause = signal_id.map_or(directive_id.into(), RecordId::from);
    let started_at = columns::time(row, 7)?;
    let begun_at = match columns::time_if_any(row, 15)? {
        Some(NOT_BEGUN) => None,
        begun_at => begun_at.or(Some(started_at)),
    };
    Ok(Run {
        id: RunId(columns::id(row, 0)?),
        tenant,
        workflow: columns::parsed(&view.interned.name(view.sql, row.get(1)?)?)?,
        version: view.interned.name(view.sql, row.get(2)?)?,
        status,
        standing: standing.map(Arc::new),
        signal_id,
        directive_id,
        parent: parent(row)?,
        source: columns::id_if_any(row, 20)?.map(RunId),
        keys: columns::record(row, 21)?.unwrap_or_default(),
        descent: columns::record(row, 22)?.map(Arc::new),
        started_at,
        begun_at,
        deadline: columns::time_if_any(row, 8)?,
        ended_at: columns::time_if_any(row, 9)?,
        status_by: columns::id_if_any(row, 10)?.map(SignalId),
        lineage: Lineage {
            correlation_id: columns::correlation(row, 11)?,
            causation_id: Some(cause),
            depth: row.get(12)?,
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
    let place = Place::from_part(row.get(17)?, row.get(18)?);
    Ok(Some(Parent { run_id: RunId(run), place, waits: row.get(19)? }))
}

pub(super) const IN_FLIGHT: &str = "SELECT n.name, f.status, f.count FROM (
       SELECT r.version, r.status, count(*) AS count FROM runs r INDEXED BY runs_open
       WHERE r.tenant = ?1 AND r.workflow = ?2 AND r.ended_at IS NULL GROUP BY r.version, r.status
     ) f CROSS JOIN names n ON n.no = f.version";

pub(super) const BEGUN_SINCE: &str =
    "SELECT r.keys, coalesce(r.begun_at, r.started_at), r.id FROM runs r INDEXED BY runs_throttled
     WHERE r.tenant = ?1 AND r.workflow = ?2 AND r.keys ->> 'throttle' IS NOT NULL
       AND coalesce(r.begun_at, r.started_at) >= ?3
     ORDER BY coalesce(r.begun_at, r.started_at) DESC, r.id DESC LIMIT ?4";

/// How many have not ended.
pub fn in_flight(view: &View, tenant: TenantId, slug: &Slug) -> Result<Vec<(String, Status, u64)>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(workflow) = view.interned.number(view.sql, slug.as_str())? else { return Ok(Vec::new()) };
    let mut statement = view.sql.prepare_cached(IN_FLIGHT)?;
    let mut rows = statement.query(params![no, workflow])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, columns::word(row, 1, &Status::ALL, Status::as_str)?, row.get::<_, i64>(2)? as u64));
    }
    found.sort();
    Ok(found)
}

pub fn begun_since(
    view: &View,
    tenant: TenantId,
    slug: &Slug,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<(Arc<str>, Timestamp, RunId)>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(workflow) = view.interned.number(view.sql, slug.as_str())? else { return Ok(Vec::new()) };
    let mut statement = view.sql.prepare_cached(BEGUN_SINCE)?;
    // Above what stands there for those that have not begun.
    let since = since.0.max(NOT_BEGUN.0 + 1);
    let mut rows = statement.query(params![no, workflow, since, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let keys: FlowKeys = columns::record(row, 0)?.unwrap_or_default();
        let key = keys.throttle.ok_or_else(|| Fault::damaged("the keys of a run", "there is no throttle"))?;
        found.push((key, columns::time(row, 1)?, RunId(columns::id(row, 2)?)));
    }
    Ok(found)
}
