//! Reading runs and their steps. How each ended is read from the signal that ended it.

use fleetprompt_core::run::{Run, Status, Step, StepStatus};
use fleetprompt_core::{DirectiveId, Lineage, RecordId, RunId, SignalId, TenantId};
use rusqlite::{Row, params};

use super::View;
use super::columns::{self, Correlation, Id};
use super::fault::{Fault, Result};
use super::page::Query;
use crate::{Page, RunFilter};

const COLUMNS: &str = "r.id, r.workflow, r.version, r.status, r.steps, r.signal_id, r.directive_id, r.started_at, \
    r.deadline, r.ended_at, r.ended_by, r.correlation_id, r.depth, r.input, s.payload";
const JOIN: &str = "LEFT JOIN signals s ON s.tenant = r.tenant AND s.id = r.ended_by";

pub fn one(view: &View, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM runs r {JOIN} WHERE r.tenant = ?1 AND r.id = ?2");
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params![no, Id(id.0)])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let steps = steps(view, no, id, row.get(4)?)?;
    Ok(Some(Run { steps, ..run(view, tenant, row)? }))
}

pub fn list(view: &View, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(query) = select(view, no, filter, page)? else { return Ok(Vec::new()) };
    query.rows(view.sql, |row| run(view, tenant, row))
}

/// None when no row can match.
pub(super) fn select(view: &View, tenant: i64, filter: &RunFilter, page: Page) -> Result<Option<Query>> {
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
    match filter.status {
        // Most have completed: the index leaves them out.
        Some(Status::Completed) => query.and("status", Status::Completed.as_str().to_owned()),
        Some(status) => {
            let indexed = Some("r.status <> 'completed'");
            query.and_found("status", status.as_str().to_owned(), "runs_by_status", indexed);
        }
        None => {}
    }
    if let Some(slug) = &filter.workflow {
        let Some(number) = view.interned.number(view.sql, slug.as_str())? else { return Ok(None) };
        query.and_found("workflow", number, "runs_by_workflow", None);
    }
    Ok(Some(query.select(COLUMNS, JOIN)))
}

/// Without its steps.
fn run(view: &View, tenant: TenantId, row: &Row) -> Result<Run> {
    let (output, error) = columns::end(row, 14)?;
    let signal_id = columns::id_if_any(row, 5)?.map(SignalId);
    let directive_id = DirectiveId(columns::id(row, 6)?);
    let cause = signal_id.map_or(directive_id.into(), RecordId::from);
    Ok(Run {
        id: RunId(columns::id(row, 0)?),
        tenant,
        workflow: columns::parsed(&view.interned.name(view.sql, row.get(1)?)?)?,
        version: view.interned.name(view.sql, row.get(2)?)?,
        status: columns::word(row, 3, &Status::ALL, Status::as_str)?,
        signal_id,
        directive_id,
        started_at: columns::time(row, 7)?,
        deadline: columns::time_if_any(row, 8)?,
        ended_at: columns::time_if_any(row, 9)?,
        ended_by: columns::id_if_any(row, 10)?.map(SignalId),
        lineage: Lineage {
            correlation_id: columns::correlation(row, 11)?,
            causation_id: Some(cause),
            depth: row.get(12)?,
        },
        input: columns::json_if_any(row, 13)?,
        steps: Vec::new(),
        output,
        error,
    })
}

/// All `count` of them: what has no row is as it began.
fn steps(view: &View, tenant: i64, run: RunId, count: u32) -> Result<Vec<Step>> {
    let mut statement = view.sql.prepare_cached(
        "SELECT t.step, t.status, t.attempt, t.due_at, t.directive_id, t.started_at, t.ended_at, t.signal_id, s.payload
         FROM steps t LEFT JOIN signals s ON s.tenant = t.tenant AND s.id = t.signal_id
         WHERE t.tenant = ?1 AND t.run_id = ?2",
    )?;
    let mut rows = statement.query(params![tenant, Id(run.0)])?;
    let mut steps = vec![Step::default(); count as usize];
    while let Some(row) = rows.next()? {
        let index: u32 = row.get(0)?;
        let place = steps.get_mut(index as usize);
        *place.ok_or_else(|| Fault::damaged("a run", format!("{run} has a step {index} of {count}")))? = step(row)?;
    }
    Ok(steps)
}

fn step(row: &Row) -> Result<Step> {
    let (output, error) = columns::end(row, 8)?;
    Ok(Step {
        status: columns::word(row, 1, &StepStatus::ALL, StepStatus::as_str)?,
        attempt: row.get(2)?,
        due_at: columns::time_if_any(row, 3)?,
        directive_id: columns::id_if_any(row, 4)?.map(DirectiveId),
        started_at: columns::time_if_any(row, 5)?,
        ended_at: columns::time_if_any(row, 6)?,
        signal_id: columns::id_if_any(row, 7)?.map(SignalId),
        output,
        error,
    })
}
