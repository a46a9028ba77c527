//! Reading facts, and what became of them.

use fleetprompt_core::signal::{DedupeKey, Disposition, DispositionKind};
use fleetprompt_core::{DirectiveId, RunId, Signal, SignalId, TenantId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::View;
use super::bulk::{self, ASKED};
use super::columns::{self, text};
use super::fault::Result;
use super::page::Query;
use crate::filter::first_id_at;
use crate::{Page, SignalFilter, WithDigest};

const COLUMNS: &str = "s.id, s.name, s.run_id, s.directive_id, s.correlation_id, s.causation_id, s.depth, \
    s.subject_type, s.subject_id, s.actor_type, s.actor_id, s.source, s.source_event_id, s.dedupe_key, \
    s.recorded_at, s.occurred_at, s.payload";

pub async fn one(view: &View<'_>, tenant: TenantId, id: SignalId) -> Result<Option<Signal>> {
    let sql = format!("SELECT {COLUMNS} FROM signals s WHERE s.tenant_id = $1 AND s.id = $2");
    view.row(&sql, &[&tenant.0, &id.0], |row| signal(tenant, row)).await
}

/// Reads signals in bulk, as far as the budget of one read goes.
pub async fn by_id(view: &View<'_>, ids: &[(TenantId, SignalId)]) -> Result<Vec<Option<Signal>>> {
    let sql = format!(
        "SELECT {COLUMNS}, q.place FROM {ASKED}
         CROSS JOIN LATERAL (SELECT * FROM signals WHERE tenant_id = q.tenant_id AND id = q.id LIMIT 1) s
         ORDER BY q.place"
    );
    let read = |tenant, row: &Row| Ok((signal(tenant, row)?, columns::text_len(row, 16)?));
    bulk::by_id(view, &sql, ids, read).await
}

pub async fn list(view: &View<'_>, tenant: TenantId, filter: &SignalFilter, page: Page) -> Result<Vec<Signal>> {
    select(tenant, filter, page).rows(view, |row| signal(tenant, row)).await
}

/// Oldest first, each with its stored digest.
pub async fn with_digests(view: &View<'_>, tenant: TenantId, page: Page) -> Result<Vec<WithDigest<Signal>>> {
    let columns = format!("{COLUMNS}, s.digest");
    let query = Query::new(("signals", "s"), tenant.0, page).select(&columns, "", &["s.payload"]);
    query.rows(view, |row| Ok((signal(tenant, row)?, columns::get(row, 17)?))).await
}

fn select(tenant: TenantId, filter: &SignalFilter, page: Page) -> Query {
    let mut query = Query::new(("signals", "s"), tenant.0, page);
    if let Some(run) = filter.run_id {
        query.and("run_id", run.0);
    }
    if let Some(correlation) = &filter.correlation_id {
        let group = query.bind(text(correlation).into_owned());
        match filter.run_id {
            Some(_) => query.and_that(format!("s.correlation_id = {group}")),
            None => query.and_that(among_group(&group)),
        }
    }
    if let Some(name) = &filter.name {
        query.and("name", name.as_str().to_owned());
    }
    if !filter.names.is_empty() {
        let names: Vec<String> = filter.names.iter().map(|name| name.as_str().to_owned()).collect();
        match filter.run_id.is_some() || filter.correlation_id.is_some() || filter.name.is_some() {
            true => {
                let names = query.bind(names);
                query.and_that(format!("s.name = ANY ({names})"));
            }
            false => query.and_any_of("name", names),
        }
    }
    if let Some(since) = filter.since {
        let (id, time) = (query.bind(first_id_at(since)), query.bind(since.0));
        query.and_that(format!("s.id >= {id} AND s.recorded_at >= {time}"));
    }
    query.select(COLUMNS, "", &["s.payload"])
}

/// Facts and directives' records have the correlation themselves; what a run recorded is found
/// through the run.
fn among_group(group: &str) -> String {
    format!(
        "s.id IN (
           SELECT f.id FROM signals f WHERE f.tenant_id = $1 AND f.correlation_id = {group} AND f.run_id IS NULL
           UNION ALL
           SELECT m.id FROM runs r JOIN signals m ON m.tenant_id = r.tenant_id AND m.run_id = r.id
             WHERE r.tenant_id = $1 AND r.correlation_id = {group})"
    )
}

pub async fn last_id(view: &View<'_>, tenants: &[Uuid]) -> Result<Option<SignalId>> {
    let sql = "SELECT s.id FROM unnest($1::uuid[]) t (id) CROSS JOIN LATERAL (
          SELECT id FROM signals WHERE tenant_id = t.id ORDER BY id DESC LIMIT 1
        ) s ORDER BY s.id DESC LIMIT 1";
    view.row(sql, &[&tenants], |row| Ok(SignalId(columns::id(row, 0)?))).await
}

pub async fn deduplicate(view: &View<'_>, keys: &[(TenantId, DedupeKey)]) -> Result<Vec<Option<SignalId>>> {
    let tenants: Vec<Uuid> = keys.iter().map(|(tenant, _)| tenant.0).collect();
    let keys: Vec<_> = keys.iter().map(|(_, key)| text(&key.0)).collect();
    let sql = "SELECT d.signal_id FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS q(tenant_id, key, place)
        LEFT JOIN LATERAL (
          SELECT signal_id FROM dedupe_keys WHERE tenant_id = q.tenant_id AND key = q.key LIMIT 1
        ) d ON true ORDER BY q.place";
    view.rows(sql, &[&tenants, &keys], |row| Ok(columns::id_if_any(row, 0)?.map(SignalId))).await
}

/// By workflow: what became of it at the trigger, and then the runs that had waited for it.
pub async fn dispositions(
    view: &View<'_>,
    tenant: TenantId,
    signal: SignalId,
    limit: usize,
) -> Result<Vec<Disposition>> {
    let sql = "SELECT workflow, kind, run_id, reason, at FROM dispositions
        WHERE tenant_id = $1 AND signal_id = $2 ORDER BY workflow COLLATE \"C\", waiter LIMIT $3";
    let disposition = |row: &Row| {
        Ok(Disposition {
            tenant,
            signal_id: signal,
            workflow: columns::parsed(row, 0)?,
            kind: columns::word(row, 1, &DispositionKind::ALL, DispositionKind::as_str)?,
            run_id: columns::id_if_any(row, 2)?.map(RunId),
            reason: columns::string_if_any(row, 3)?,
            at: columns::time(row, 4)?,
        })
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    view.rows(sql, &[&tenant.0, &signal.0, &limit], disposition).await
}

fn signal(tenant: TenantId, row: &Row) -> Result<Signal> {
    let recorded_at = columns::time(row, 14)?;
    Ok(Signal {
        id: SignalId(columns::id(row, 0)?),
        tenant,
        name: columns::parsed(row, 1)?,
        run_id: columns::id_if_any(row, 2)?.map(RunId),
        directive_id: columns::id_if_any(row, 3)?.map(DirectiveId),
        lineage: columns::lineage(row, 4)?,
        subject: columns::party(row, 7)?,
        actor: columns::party(row, 9)?,
        source: columns::string_if_any(row, 11)?,
        source_event_id: columns::string_if_any(row, 12)?,
        dedupe_key: columns::string_if_any(row, 13)?,
        recorded_at,
        occurred_at: columns::time_if_any(row, 15)?.unwrap_or(recorded_at),
        payload: columns::json(row, 16)?,
    })
}
