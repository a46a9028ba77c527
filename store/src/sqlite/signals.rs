//! Reading facts, and what became of them.

use fleetprompt_core::signal::{DedupeKey, Disposition, DispositionKind};
use fleetprompt_core::{DirectiveId, Name, RunId, Signal, SignalId, TenantId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params};

use super::View;
use super::columns::{self, Correlation, Id};
use super::fault::Result;
use super::page::Query;
use crate::filter::first_id_at;
use crate::rows::ReadBudget;
use crate::{Page, SignalFilter, WithDigest};

const COLUMNS: &str = "s.id, s.name, s.run_id, s.directive_id, s.correlation_id, s.causation_id, s.depth, \
    s.subject_type, s.subject_id, s.actor_type, s.actor_id, s.source, s.source_event_id, s.dedupe_key, \
    s.recorded_at, s.occurred_at, s.payload";
const DOCUMENTS: &[usize] = &[16];

pub fn one(view: &View, tenant: TenantId, id: SignalId) -> Result<Option<Signal>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM signals s WHERE s.tenant = ?1 AND s.id = ?2");
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params![no, Id(id.0)])?;
    rows.next()?.map(|row| signal(view, tenant, row)).transpose()
}

/// Reads signals in bulk, as far as the budget of one read goes.
pub fn by_id(view: &View, ids: &[(TenantId, SignalId)]) -> Result<Vec<Option<Signal>>> {
    let (mut found, mut budget) = (Vec::with_capacity(ids.len()), ReadBudget::default());
    for (tenant, id) in ids {
        if budget.is_spent() {
            break;
        }
        let signal = one(view, *tenant, *id)?;
        budget.spend(signal.as_ref().map_or(0, |signal| signal.payload.text().len()));
        found.push(signal);
    }
    Ok(found)
}

pub fn list(view: &View, tenant: TenantId, filter: &SignalFilter, page: Page) -> Result<Vec<Signal>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(query) = select(view, no, filter, page)? else { return Ok(Vec::new()) };
    query.rows(view.sql, DOCUMENTS, |row| signal(view, tenant, row))
}

/// Oldest first, each with its stored digest.
pub fn with_digests(view: &View, tenant: TenantId, page: Page) -> Result<Vec<WithDigest<Signal>>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let query = Query::new(("signals", "s"), no, page).select(&format!("{COLUMNS}, s.digest"), "");
    query.rows(view.sql, DOCUMENTS, |row| Ok((signal(view, tenant, row)?, row.get(17)?)))
}

/// None when no row can match.
pub(super) fn select(view: &View, tenant: i64, filter: &SignalFilter, page: Page) -> Result<Option<Query>> {
    let mut query = Query::new(("signals", "s"), tenant, page);
    if let Some(run) = filter.run_id {
        query.and_found("run_id", Id(run.0), "signals_by_run", None);
    }
    match &filter.correlation_id {
        Some(text) if filter.run_id.is_some() => query.and("correlation_id", Correlation::of(text).value()),
        Some(text) => among_group(&mut query, tenant, text),
        None => {}
    }
    if let Some(name) = &filter.name {
        let Some(number) = view.interned.number(view.sql, name.as_str())? else { return Ok(None) };
        query.and_found("name", number, "signals_by_name", None);
    }
    if !filter.names.is_empty() {
        let numbers = numbers(view, &filter.names)?;
        if numbers.is_empty() {
            return Ok(None);
        }
        query.and_found_any("name", numbers, "signals_by_name", None);
    }
    if let Some(since) = filter.since {
        query.and_id(">=", first_id_at(since));
        query.and_that("+s.recorded_at >= ?", vec![since.0.into()]);
    }
    Ok(Some(query.select(COLUMNS, "")))
}

/// Of those names that any row can have.
fn numbers(view: &View, names: &[Name]) -> Result<Vec<Value>> {
    let mut numbers = Vec::new();
    for name in names {
        numbers.extend(view.interned.number(view.sql, name.as_str())?.map(Value::from));
    }
    Ok(numbers)
}

/// Facts and directives' records have the correlation themselves; what a run recorded is found
/// through the run.
fn among_group(query: &mut Query, tenant: i64, correlation: &str) {
    let group = || Correlation::of(correlation).value();
    query.and_among(
        "SELECT f.id FROM signals f INDEXED BY signals_by_correlation
           WHERE f.tenant = ? AND f.correlation_id = ? AND f.run_id IS NULL
         UNION ALL
         SELECT m.id FROM runs r INDEXED BY runs_by_correlation CROSS JOIN signals m INDEXED BY signals_by_run
           ON m.tenant = r.tenant AND m.run_id = r.id
           WHERE r.tenant = ? AND r.correlation_id = ? AND m.run_id IS NOT NULL",
        vec![tenant.into(), group(), tenant.into(), group()],
    );
}

pub fn last_id(view: &View) -> Result<Option<SignalId>> {
    let last: Option<Id> = view.sql.query_row(
        "SELECT max((SELECT s.id FROM signals s WHERE s.tenant = t.no ORDER BY s.id DESC LIMIT 1)) FROM tenants t",
        [],
        |row| row.get(0),
    )?;
    Ok(last.map(|Id(id)| SignalId(id)))
}

pub fn deduplicate(view: &View, keys: &[(TenantId, DedupeKey)]) -> Result<Vec<Option<SignalId>>> {
    let mut statement = view.sql.prepare_cached("SELECT signal_id FROM dedupe_keys WHERE tenant = ?1 AND key = ?2")?;
    let mut one = |(tenant, key): &(TenantId, DedupeKey)| {
        let Some(no) = view.interned.tenant(*tenant) else { return Ok(None) };
        let found: Option<Id> = statement.query_row(params![no, key.0], |row| row.get(0)).optional()?;
        Ok(found.map(|Id(id)| SignalId(id)))
    };
    keys.iter().map(&mut one).collect()
}

/// By workflow: what became of it at the trigger, and then the runs that had waited for it.
pub fn dispositions(view: &View, tenant: TenantId, signal: SignalId, limit: usize) -> Result<Vec<Disposition>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let mut statement = view.sql.prepare_cached(
        "SELECT n.name, d.kind, d.run_id, d.reason, d.at FROM dispositions d JOIN names n ON n.no = d.workflow
         WHERE d.tenant = ?1 AND d.signal_id = ?2 ORDER BY n.name, d.waiter LIMIT ?3",
    )?;
    let mut rows = statement.query(params![no, Id(signal.0), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Disposition {
            tenant,
            signal_id: signal,
            workflow: columns::parsed(row.get_ref(0)?.as_str().unwrap_or_default())?,
            kind: columns::word(row, 1, &DispositionKind::ALL, DispositionKind::as_str)?,
            run_id: columns::id_if_any(row, 2)?.map(RunId),
            reason: row.get(3)?,
            at: columns::time(row, 4)?,
        });
    }
    Ok(found)
}

fn signal(view: &View, tenant: TenantId, row: &Row) -> Result<Signal> {
    let recorded_at = columns::time(row, 14)?;
    let occurred_at: Option<i64> = row.get(15)?;
    Ok(Signal {
        id: SignalId(columns::id(row, 0)?),
        tenant,
        name: columns::parsed(&view.interned.name(view.sql, row.get(1)?)?)?,
        run_id: columns::id_if_any(row, 2)?.map(RunId),
        directive_id: columns::id_if_any(row, 3)?.map(DirectiveId),
        lineage: columns::lineage(row, 4)?,
        subject: columns::party(row, 7)?,
        actor: columns::party(row, 9)?,
        source: row.get(11)?,
        source_event_id: row.get(12)?,
        dedupe_key: row.get(13)?,
        recorded_at,
        occurred_at: occurred_at.map_or(recorded_at, Timestamp),
        payload: columns::json(row, 16)?,
    })
}
