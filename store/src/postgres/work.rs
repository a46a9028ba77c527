//! What an engine takes up when it starts. Each question has a partial index that holds no more
//! than its answer, so this costs what is open, not what is stored.

use fleetprompt_core::run::{Place, StepRecord};
use fleetprompt_core::{DirectiveId, RunId, SignalId, TenantId, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::View;
use super::fault::{Fault, Result};
use super::{columns, runs};
use crate::{OpenDirective, OpenWork};

pub async fn open_work(view: &View<'_>, tenants: &[Uuid]) -> Result<OpenWork> {
    let runs_due = due(
        view,
        tenants,
        "SELECT wake_at, tenant_id, id FROM runs WHERE wake_at IS NOT NULL AND tenant_id = ANY ($1)",
    )
    .await?;
    let directives_due = due(
        view,
        tenants,
        "SELECT wake_at, tenant_id, id FROM directives WHERE wake_at IS NOT NULL AND tenant_id = ANY ($1)",
    )
    .await?;
    let requested =
        of_tenants(view, tenants, "SELECT tenant_id, id FROM directives WHERE status = 'requested' AND status <> 'succeeded' AND tenant_id = ANY ($1)")
            .await?;
    let called = of_tenants(
        view,
        tenants,
        "SELECT DISTINCT tenant_id, run_id FROM places
         WHERE status = 'running' AND directive_id IS NULL AND items IS NULL AND tenant_id = ANY ($1)",
    )
    .await?;
    Ok(OpenWork {
        runs_due: runs_due.into_iter().map(|(at, tenant, id)| (at, tenant, RunId(id))).collect(),
        directives_due: directives_due.into_iter().map(|(at, tenant, id)| (at, tenant, DirectiveId(id))).collect(),
        directives_requested: requested.into_iter().map(|(tenant, id)| (tenant, DirectiveId(id))).collect(),
        directives_in_flight: directives_in_flight(view, tenants).await?,
        runs_in_flight: called.into_iter().map(|(tenant, id)| (tenant, RunId(id))).collect(),
        waits: waits(view, tenants).await?,
        locks: locks(view, tenants).await?,
        flows: runs::counted(view, tenants).await?,
    })
}

async fn directives_in_flight(view: &View<'_>, tenants: &[Uuid]) -> Result<Vec<OpenDirective>> {
    let sql = "SELECT d.tenant_id, d.id, r.workflow, r.version FROM directives d
        LEFT JOIN runs r ON r.tenant_id = d.tenant_id AND r.id = d.run_id
        WHERE d.status = 'running' AND d.handler <> 'manual' AND d.wake_at IS NULL AND d.tenant_id = ANY ($1)";
    let read = |row: &Row| {
        let workflow: Option<&str> = columns::get(row, 2)?;
        let version = workflow.map(|_| Ok::<_, Fault>((columns::parsed(row, 2)?, columns::shared(row, 3)?)));
        Ok((TenantId(columns::id(row, 0)?), DirectiveId(columns::id(row, 1)?), version.transpose()?))
    };
    let mut found = view.rows(sql, &[&tenants], read).await?;
    found.sort_unstable();
    Ok(found)
}

/// Soonest first.
async fn due(view: &View<'_>, tenants: &[Uuid], sql: &str) -> Result<Vec<(Timestamp, TenantId, Uuid)>> {
    let read = |row: &Row| Ok((columns::time(row, 0)?, TenantId(columns::id(row, 1)?), columns::id(row, 2)?));
    let mut found = view.rows(sql, &[&tenants], read).await?;
    found.sort_unstable();
    Ok(found)
}

async fn of_tenants(view: &View<'_>, tenants: &[Uuid], sql: &str) -> Result<Vec<(TenantId, Uuid)>> {
    let read = |row: &Row| Ok((TenantId(columns::id(row, 0)?), columns::id(row, 1)?));
    let mut found = view.rows(sql, &[&tenants], read).await?;
    found.sort_unstable();
    Ok(found)
}

async fn waits(view: &View<'_>, tenants: &[Uuid]) -> Result<Vec<crate::OpenWait>> {
    let sql = "SELECT p.tenant_id, p.run_id, p.step, p.part, s.payload FROM places p
        JOIN runs r ON r.tenant_id = p.tenant_id AND r.id = p.run_id
        LEFT JOIN signals s ON s.tenant_id = p.tenant_id AND s.id = p.signal_id
        WHERE p.awaits = 'signal' AND r.ended_at IS NULL AND p.tenant_id = ANY ($1)";
    let read = |row: &Row| {
        let (tenant, run, place) = place(row)?;
        let said: StepRecord = columns::record(row, 4)?.unwrap_or_default();
        let waiting = said.waiting.ok_or_else(|| Fault::damaged("a wait", format!("{run} waits for nothing")))?;
        Ok((tenant, run, place, waiting))
    };
    let mut found = view.rows(sql, &[&tenants], read).await?;
    found.sort_by_key(|(tenant, run, place, _)| (*tenant, *run, *place));
    Ok(found)
}

async fn locks(view: &View<'_>, tenants: &[Uuid]) -> Result<Vec<crate::OpenLock>> {
    let sql = "SELECT p.tenant_id, p.run_id, p.step, p.part, p.lock, p.signal_id, p.awaits IS DISTINCT FROM 'lock'
        FROM places p JOIN runs r ON r.tenant_id = p.tenant_id AND r.id = p.run_id
        WHERE p.lock IS NOT NULL AND r.ended_at IS NULL AND p.tenant_id = ANY ($1)";
    let read = |row: &Row| {
        let (tenant, run, place) = place(row)?;
        let since = SignalId(columns::id(row, 5)?);
        Ok((tenant, run, place, columns::shared(row, 4)?, since, columns::get(row, 6)?))
    };
    let mut found = view.rows(sql, &[&tenants], read).await?;
    found.sort_by_key(|(_, _, _, _, since, _)| *since);
    Ok(found)
}

fn place(row: &Row) -> Result<(TenantId, RunId, Place)> {
    let place = Place::from_part(columns::number(row, 2)?, columns::get(row, 3)?);
    Ok((TenantId(columns::id(row, 0)?), RunId(columns::id(row, 1)?), place))
}
