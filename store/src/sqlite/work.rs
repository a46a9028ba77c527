//! What an engine takes up when it starts. Each question has a partial index that holds no more
//! than its answer, so this costs what is open, not what is stored.

use fleetprompt_core::{DirectiveId, RunId, TenantId, Timestamp};
use uuid::Uuid;

use super::View;
use super::columns;
use super::fault::Result;
use crate::OpenWork;

pub fn open_work(view: &View) -> Result<OpenWork> {
    let runs_due = due(
        view,
        "SELECT r.wake_at, t.id, r.id FROM runs r INDEXED BY runs_due
        JOIN tenants t ON t.no = r.tenant WHERE r.wake_at IS NOT NULL",
    )?;
    let directives_due = due(
        view,
        "SELECT d.wake_at, t.id, d.id FROM directives d INDEXED BY directives_due
        JOIN tenants t ON t.no = d.tenant WHERE d.wake_at IS NOT NULL",
    )?;
    let requested = of_tenants(
        view,
        "SELECT t.id, d.id FROM tenants t
        CROSS JOIN directives d INDEXED BY directives_by_status ON d.tenant = t.no
        WHERE d.status = 'requested' AND d.status <> 'succeeded'",
    )?;
    let directives = of_tenants(
        view,
        "SELECT t.id, d.id FROM directives d INDEXED BY directives_in_flight
        JOIN tenants t ON t.no = d.tenant
        WHERE d.status = 'running' AND d.handler = 'http' AND d.wake_at IS NULL",
    )?;
    let runs = of_tenants(
        view,
        "SELECT DISTINCT t.id, p.run_id FROM steps p INDEXED BY steps_in_flight
        JOIN tenants t ON t.no = p.tenant WHERE p.status = 'running' AND p.directive_id IS NULL",
    )?;
    Ok(OpenWork {
        runs_due: runs_due.into_iter().map(|(at, tenant, id)| (at, tenant, RunId(id))).collect(),
        directives_due: directives_due.into_iter().map(|(at, tenant, id)| (at, tenant, DirectiveId(id))).collect(),
        directives_requested: requested.into_iter().map(|(tenant, id)| (tenant, DirectiveId(id))).collect(),
        directives_in_flight: directives.into_iter().map(|(tenant, id)| (tenant, DirectiveId(id))).collect(),
        runs_in_flight: runs.into_iter().map(|(tenant, id)| (tenant, RunId(id))).collect(),
    })
}

/// Soonest first.
fn due(view: &View, sql: &str) -> Result<Vec<(Timestamp, TenantId, Uuid)>> {
    let mut statement = view.sql.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((columns::time(row, 0)?, TenantId(columns::id(row, 1)?), columns::id(row, 2)?));
    }
    found.sort_unstable();
    Ok(found)
}

fn of_tenants(view: &View, sql: &str) -> Result<Vec<(TenantId, Uuid)>> {
    let mut statement = view.sql.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((TenantId(columns::id(row, 0)?), columns::id(row, 1)?));
    }
    found.sort_unstable();
    Ok(found)
}
