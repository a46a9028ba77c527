//! What an engine takes up when it starts. Each question has a partial index that holds no more
//! than its answer, so this costs what is open, not what is stored.

use fleetprompt_core::run::{Place, StepRecord};
use fleetprompt_core::{DirectiveId, RunId, SignalId, TenantId, Timestamp};
use rusqlite::Row;
use uuid::Uuid;

use super::View;
use super::fault::{Fault, Result};
use super::{columns, runs};
use crate::{OpenDirective, OpenLock, OpenWait, OpenWork};

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
    let called = of_tenants(
        view,
        "SELECT DISTINCT t.id, p.run_id FROM places p INDEXED BY places_in_flight
        JOIN tenants t ON t.no = p.tenant
        WHERE p.status = 'running' AND p.directive_id IS NULL AND p.items IS NULL",
    )?;
    Ok(OpenWork {
        runs_due: runs_due.into_iter().map(|(at, tenant, id)| (at, tenant, RunId(id))).collect(),
        directives_due: directives_due.into_iter().map(|(at, tenant, id)| (at, tenant, DirectiveId(id))).collect(),
        directives_requested: requested.into_iter().map(|(tenant, id)| (tenant, DirectiveId(id))).collect(),
        directives_in_flight: directives_in_flight(view)?,
        runs_in_flight: called.into_iter().map(|(tenant, id)| (tenant, RunId(id))).collect(),
        waits: waits(view)?,
        locks: locks(view)?,
        flows: runs::counted(view)?,
    })
}

fn directives_in_flight(view: &View) -> Result<Vec<OpenDirective>> {
    let mut statement = view.sql.prepare(
        "SELECT t.id, d.id, r.workflow, r.version FROM directives d INDEXED BY directives_in_flight
        JOIN tenants t ON t.no = d.tenant LEFT JOIN runs r ON r.tenant = d.tenant AND r.id = d.run_id
        WHERE d.status = 'running' AND d.handler <> 'manual' AND d.wake_at IS NULL",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let numbers = row.get::<_, Option<i64>>(2)?.zip(row.get(3)?);
        let version = numbers.map(|(workflow, version)| {
            let workflow = columns::parsed(&view.interned.name(view.sql, workflow)?)?;
            Result::Ok((workflow, view.interned.name(view.sql, version)?))
        });
        found.push((TenantId(columns::id(row, 0)?), DirectiveId(columns::id(row, 1)?), version.transpose()?));
    }
    found.sort_unstable();
    Ok(found)
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

fn waits(view: &View) -> Result<Vec<OpenWait>> {
    let mut found = Vec::new();
    of_places(
        view,
        "SELECT t.id, p.run_id, p.step, p.part, s.payload FROM tenants t
        CROSS JOIN places p INDEXED BY places_waiting ON p.tenant = t.no AND p.awaits = 'signal'
        CROSS JOIN runs r ON r.tenant = p.tenant AND r.id = p.run_id
        LEFT JOIN signals s ON s.tenant = p.tenant AND s.id = p.signal_id
        WHERE p.awaits IS NOT NULL AND r.ended_at IS NULL",
        |tenant, run, place, row| {
            let said: StepRecord = columns::record(row, 4)?.unwrap_or_default();
            let waiting = said.waiting.ok_or_else(|| Fault::damaged("a wait", format!("{run} waits for nothing")))?;
            found.push((tenant, run, place, waiting));
            Ok(())
        },
    )?;
    found.sort_by_key(|(tenant, run, place, _)| (*tenant, *run, *place));
    Ok(found)
}

fn locks(view: &View) -> Result<Vec<OpenLock>> {
    let mut found = Vec::new();
    of_places(
        view,
        "SELECT t.id, p.run_id, p.step, p.part, p.lock, p.signal_id, p.awaits IS NOT 'lock'
        FROM places p INDEXED BY places_locked JOIN tenants t ON t.no = p.tenant
        JOIN runs r ON r.tenant = p.tenant AND r.id = p.run_id
        WHERE p.lock IS NOT NULL AND r.ended_at IS NULL",
        |tenant, run, place, row| {
            let name: String = row.get(4)?;
            found.push((tenant, run, place, name.into(), SignalId(columns::id(row, 5)?), row.get(6)?));
            Ok(())
        },
    )?;
    found.sort_by_key(|(_, _, _, _, since, _)| *since);
    Ok(found)
}

fn of_places(view: &View, sql: &str, mut take: impl FnMut(TenantId, RunId, Place, &Row) -> Result<()>) -> Result<()> {
    let mut statement = view.sql.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let place = Place::from_part(row.get(2)?, row.get(3)?);
        take(TenantId(columns::id(row, 0)?), RunId(columns::id(row, 1)?), place, row)?;
    }
    Ok(())
}
