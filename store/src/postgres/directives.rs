//! Reading intents. How a settled one ended is read from the signal that settled it.

use std::collections::HashMap;

use fleetprompt_core::directive::{Directive, HandlerKind, Origin, Status};
use fleetprompt_core::run::Place;
use fleetprompt_core::{DirectiveId, Party, RunId, SignalId, TenantId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::View;
use super::bulk::{self, ASKED};
use super::columns::{self, text};
use super::fault::{Fault, Result};
use super::page::Query;
use crate::rows::{Policy, bytes_of_directive};
use crate::{DirectiveFilter, Page, WithDigest};

const COLUMNS: &str = "d.id, d.name, d.status, d.handler, d.attempt, d.wake_at, d.cancel_requested, d.settled_at, \
    d.settled_by, d.requested_at, d.run_id, d.step, d.correlation_id, d.causation_id, d.depth, d.actor_type, \
    d.actor_id, d.idempotency_key, d.policy, d.payload, s.payload, d.part, d.started_at";
const JOIN: &str = "LEFT JOIN signals s ON s.tenant_id = d.tenant_id AND s.id = d.settled_by";

pub async fn one(view: &View<'_>, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>> {
    let sql = format!("SELECT {COLUMNS} FROM directives d {JOIN} WHERE d.tenant_id = $1 AND d.id = $2");
    view.row(&sql, &[&tenant.0, &id.0], |row| directive(tenant, row)).await
}

/// Reads directives in bulk, as far as the budget of one read goes.
pub async fn by_id(view: &View<'_>, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Directive>>> {
    let sql = format!(
        "SELECT {COLUMNS}, q.place FROM {ASKED}
         CROSS JOIN LATERAL (SELECT * FROM directives WHERE tenant_id = q.tenant_id AND id = q.id LIMIT 1) d
         {JOIN} ORDER BY q.place"
    );
    let read = |tenant, row: &Row| {
        let directive = directive(tenant, row)?;
        let bytes = bytes_of_directive(&directive);
        Ok((directive, bytes))
    };
    bulk::by_id(view, &sql, ids, read).await
}

/// In the order of the ids, each with its stored digest.
pub async fn with_digests(
    view: &View<'_>,
    tenant: TenantId,
    ids: &[DirectiveId],
) -> Result<Vec<Option<WithDigest<Directive>>>> {
    let sql = format!("SELECT {COLUMNS}, d.digest FROM directives d {JOIN} WHERE d.tenant_id = $1 AND d.id = ANY($2)");
    let asked: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let read = |row: &Row| Ok((directive(tenant, row)?, columns::get(row, 23)?));
    let found = view.rows(&sql, &[&tenant.0, &asked], read).await?;
    let mut found: HashMap<DirectiveId, _> = found.into_iter().map(|found| (found.0.id, found)).collect();
    Ok(ids.iter().map(|id| found.remove(id)).collect())
}

pub async fn by_key(view: &View<'_>, keys: &[(TenantId, String)]) -> Result<Vec<Option<Directive>>> {
    let sql = format!(
        "SELECT {COLUMNS}, q.place FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS q(tenant_id, key, place)
         CROSS JOIN LATERAL (
           SELECT * FROM directives WHERE tenant_id = q.tenant_id AND idempotency_key = q.key LIMIT 1
         ) d {JOIN}"
    );
    let tenants: Vec<Uuid> = keys.iter().map(|(tenant, _)| tenant.0).collect();
    let texts: Vec<_> = keys.iter().map(|(_, key)| text(key)).collect();
    let mut found = vec![None; keys.len()];
    let take = |row: &Row| {
        let place: usize = columns::number(row, 23)?;
        let (tenant, _) = keys[place - 1];
        found[place - 1] = Some(directive(tenant, row)?);
        Ok(())
    };
    view.rows(&sql, &[&tenants, &texts], take).await?;
    Ok(found)
}

pub async fn list(view: &View<'_>, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Result<Vec<Directive>> {
    select(tenant, filter, page).rows(view, |row| directive(tenant, row)).await
}

fn select(tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Query {
    let mut query = Query::new(("directives", "d"), tenant.0, page);
    if let Some(run) = filter.run_id {
        query.and("run_id", run.0);
    }
    if let Some(status) = filter.status {
        query.and("status", status.as_str());
        // Most have succeeded: the index leaves them out.
        if status != Status::Succeeded {
            query.and_that("d.status <> 'succeeded'".to_owned());
        }
    }
    if let Some(name) = &filter.name {
        query.and("name", name.as_str().to_owned());
    }
    query.select(COLUMNS, JOIN, &["d.payload", "s.payload"])
}

fn directive(tenant: TenantId, row: &Row) -> Result<Directive> {
    let (output, error) = columns::end(row, 20)?;
    let policy: Option<&str> = columns::get(row, 18)?;
    let policy = policy.map(Policy::read).transpose().map_err(|why| Fault::damaged("a policy", why))?;
    let (retry, timeout, heartbeat) = policy.unwrap_or_default();
    let step: Option<u32> = columns::number_if_any(row, 11)?;
    let part: Option<i64> = columns::get(row, 21)?;
    let origin = columns::id_if_any(row, 10)?.zip(step);
    let (attempt, requested_at): (u32, _) = (columns::number(row, 4)?, columns::time(row, 9)?);
    let started_at = columns::time_if_any(row, 22)?.or((attempt > 0).then_some(requested_at));
    Ok(Directive {
        id: DirectiveId(columns::id(row, 0)?),
        tenant,
        name: columns::parsed(row, 1)?,
        status: columns::word(row, 2, &Status::ALL, Status::as_str)?,
        handler: columns::word(row, 3, &HandlerKind::ALL, HandlerKind::as_str)?,
        attempt,
        started_at,
        wake_at: columns::time_if_any(row, 5)?,
        cancel_requested: columns::get(row, 6)?,
        settled_at: columns::time_if_any(row, 7)?,
        settled_by: columns::id_if_any(row, 8)?.map(SignalId),
        requested_at,
        origin: origin
            .map(|(run, step)| Origin { run_id: RunId(run), place: Place::from_part(step, part.unwrap_or(0)) }),
        lineage: columns::lineage(row, 12)?,
        actor: Party { kind: columns::string(row, 15)?, id: columns::string(row, 16)? },
        idempotency_key: columns::string(row, 17)?,
        retry,
        timeout,
        heartbeat,
        payload: columns::json(row, 19)?,
        output,
        error,
    })
}
