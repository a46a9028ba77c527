//! What a root has led to, and which signals a workflow refused: two questions with an index each.

use fleetprompt_core::run::Descent;
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::{RecordId, SignalId, Slug, TenantId, Timestamp};
use rusqlite::params;

use super::View;
use super::columns::{self, AnyId};
use super::fault::Result;
use crate::RootUsage;

const FIRST: &str = "SELECT descent FROM runs INDEXED BY runs_by_root
    WHERE tenant = ?1 AND root = ?2 AND started_at >= ?3 ORDER BY started_at, id LIMIT 1";
const LAST: &str = "SELECT descent FROM runs INDEXED BY runs_by_root
    WHERE tenant = ?1 AND root = ?2 AND started_at >= ?3 ORDER BY started_at DESC, id DESC LIMIT 1";

pub fn root_usage(view: &View, tenant: TenantId, root: RecordId, since: Timestamp) -> Result<RootUsage> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(RootUsage::default()) };
    let root = AnyId::of(root);
    let open = view
        .sql
        .prepare_cached(
            "SELECT count(*) FROM runs INDEXED BY runs_open_by_root
             WHERE tenant = ?1 AND root = ?2 AND ended_at IS NULL",
        )?
        .query_row(params![no, root], |row| row.get::<_, i64>(0))?;
    let descent = |sql: &str, from: Timestamp| -> Result<Option<Descent>> {
        let mut statement = view.sql.prepare_cached(sql)?;
        let mut rows = statement.query(params![no, root, from.0])?;
        rows.next()?.map_or(Ok(None), |row| columns::record(row, 0))
    };
    let first = descent(FIRST, since)?;
    let last = descent(LAST, Timestamp(i64::MIN))?;
    Ok(RootUsage::of(open as u64, first, last))
}

/// Newest first.
pub fn refusals(view: &View, tenant: TenantId, workflow: &Slug, limit: usize) -> Result<Vec<Disposition>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let Some(number) = view.interned.number(view.sql, workflow.as_str())? else { return Ok(Vec::new()) };
    let mut statement = view.sql.prepare_cached(
        "SELECT d.signal_id, d.reason, d.at FROM dispositions d INDEXED BY dispositions_refused
         WHERE d.tenant = ?1 AND d.workflow = ?2 AND d.kind = 'refused' ORDER BY d.signal_id DESC LIMIT ?3",
    )?;
    let mut rows = statement.query(params![no, number, limit as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Disposition {
            tenant,
            signal_id: SignalId(columns::id(row, 0)?),
            workflow: workflow.clone(),
            kind: DispositionKind::Refused,
            run_id: None,
            reason: row.get(1)?,
            at: columns::time(row, 2)?,
        });
    }
    Ok(found)
}
