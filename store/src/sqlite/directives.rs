//! Reading intents. How a settled one ended is read from the signal that settled it.

use fleetprompt_core::directive::{Directive, HandlerKind, Origin, Status};
use fleetprompt_core::run::Place;
use fleetprompt_core::{DirectiveId, Party, RunId, SignalId, TenantId};
use rusqlite::{Row, params};

use super::View;
use super::columns::{self, Id};
use super::fault::{Fault, Result};
use super::page::Query;
use crate::rows::{Policy, ReadBudget, bytes_of_directive};
use crate::{DirectiveFilter, Page, WithDigest};

const COLUMNS: &str = "d.id, d.name, d.status, d.handler, d.attempt, d.wake_at, d.cancel_requested, d.settled_at, \
    d.settled_by, d.requested_at, d.run_id, d.step, d.correlation_id, d.causation_id, d.depth, d.actor_type, \
    d.actor_id, d.idempotency_key, d.policy, d.payload, s.payload, d.part, d.started_at";
const DOCUMENTS: &[usize] = &[19, 20];
const JOIN: &str = "LEFT JOIN signals s ON s.tenant = d.tenant AND s.id = d.settled_by";

pub fn one(view: &View, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM directives d {JOIN} WHERE d.tenant = ?1 AND d.id = ?2");
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params![no, Id(id.0)])?;
    rows.next()?.map(|row| directive(view, tenant, row)).transpose()
}

pub fn by_id(view: &View, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Directive>>> {
    let (mut found, mut budget) = (Vec::with_capacity(ids.len()), ReadBudget::default());
    for (tenant, id) in ids {
        if budget.is_spent() {
            break;
        }
        let directive = one(view, *tenant, *id)?;
        budget.spend(directive.as_ref().map_or(0, bytes_of_directive));
        found.push(directive);
    }
    Ok(found)
}

/// In the order of the ids, each with its stored digest.
pub fn with_digests(view: &View, tenant: TenantId, ids: &[DirectiveId]) -> Result<Vec<Option<WithDigest<Directive>>>> {
    let sql = format!("SELECT {COLUMNS}, d.digest FROM directives d {JOIN} WHERE d.tenant = ?1 AND d.id = ?2");
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut one = |id: &DirectiveId| {
        let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
        let mut rows = statement.query(params![no, Id(id.0)])?;
        rows.next()?.map(|row| Ok((directive(view, tenant, row)?, row.get(23)?))).transpose()
    };
    ids.iter().map(&mut one).collect()
}

pub fn by_key(view: &View, keys: &[(TenantId, String)]) -> Result<Vec<Option<Directive>>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM directives d INDEXED BY directives_by_key {JOIN} \
         WHERE d.tenant = ?1 AND d.idempotency_key = ?2"
    );
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut one = |(tenant, key): &(TenantId, String)| {
        let Some(no) = view.interned.tenant(*tenant) else { return Ok(None) };
        let mut rows = statement.query(params![no, key])?;
        rows.next()?.map(|row| directive(view, *tenant, row)).transpose()
    };
    keys.iter().map(&mut one).collect()
}

pub fn list(view: &View, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Result<Vec<Directive>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(query) = select(view, no, filter, page)? else { return Ok(Vec::new()) };
    query.rows(view.sql, DOCUMENTS, |row| directive(view, tenant, row))
}

/// None when no row can match.
pub(super) fn select(view: &View, tenant: i64, filter: &DirectiveFilter, page: Page) -> Result<Option<Query>> {
    let mut query = Query::new(("directives", "d"), tenant, page);
    if let Some(run) = filter.run_id {
        query.and_found("run_id", Id(run.0), "directives_by_run", None);
    }
    match filter.status {
        // Most have succeeded: the index leaves them out.
        Some(Status::Succeeded) => query.and("status", Status::Succeeded.as_str().to_owned()),
        Some(status) => {
            let indexed = Some("d.status <> 'succeeded'");
            query.and_found("status", status.as_str().to_owned(), "directives_by_status", indexed);
        }
        None => {}
    }
    if let Some(name) = &filter.name {
        let Some(number) = view.interned.number(view.sql, name.as_str())? else { return Ok(None) };
        query.and_found("name", number, "directives_by_name", None);
    }
    Ok(Some(query.select(COLUMNS, JOIN)))
}

fn directive(view: &View, tenant: TenantId, row: &Row) -> Result<Directive> {
    let (output, error) = columns::end(row, 20)?;
    let policy: Option<String> = row.get(18)?;
    let policy = policy.as_deref().map(Policy::read).transpose().map_err(|why| Fault::damaged("a policy", why))?;
    let (retry, timeout, heartbeat) = policy.unwrap_or_default();
    let step: Option<u32> = row.get(11)?;
    let part: Option<i64> = row.get(21)?;
    let origin = columns::id_if_any(row, 10)?.zip(step);
    let (attempt, requested_at): (u32, _) = (row.get(4)?, columns::time(row, 9)?);
    let started_at = columns::time_if_any(row, 22)?.or((attempt > 0).then_some(requested_at));
    Ok(Directive {
        id: DirectiveId(columns::id(row, 0)?),
        tenant,
        name: columns::parsed(&view.interned.name(view.sql, row.get(1)?)?)?,
        status: columns::word(row, 2, &Status::ALL, Status::as_str)?,
        handler: columns::word(row, 3, &HandlerKind::ALL, HandlerKind::as_str)?,
        attempt,
        started_at,
        wake_at: columns::time_if_any(row, 5)?,
        cancel_requested: row.get(6)?,
        settled_at: columns::time_if_any(row, 7)?,
        settled_by: columns::id_if_any(row, 8)?.map(SignalId),
        requested_at,
        origin: origin
            .map(|(run, step)| Origin { run_id: RunId(run), place: Place::from_part(step, part.unwrap_or(0)) }),
        lineage: columns::lineage(row, 12)?,
        actor: Party { kind: row.get(15)?, id: row.get(16)? },
        idempotency_key: row.get(17)?,
        retry,
        timeout,
        heartbeat,
        payload: columns::json(row, 19)?,
        output,
        error,
    })
}
