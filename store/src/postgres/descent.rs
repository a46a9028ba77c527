//! What a root has led to, and which signals a workflow refused: two questions with an index each.

use fleetprompt_core::run::Descent;
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::{RecordId, SignalId, Slug, TenantId, Timestamp};
use tokio_postgres::Row;

use super::View;
use super::columns;
use super::fault::Result;
use crate::RootUsage;

/// One round trip.
pub async fn root_usage(view: &View<'_>, tenant: TenantId, root: RecordId, since: Timestamp) -> Result<RootUsage> {
    let sql = "SELECT
        (SELECT count(*) FROM runs WHERE tenant_id = $1 AND root = $2 AND ended_at IS NULL),
        (SELECT descent FROM runs WHERE tenant_id = $1 AND root = $2 AND started_at >= $3
           ORDER BY started_at, id LIMIT 1),
        (SELECT descent FROM runs WHERE tenant_id = $1 AND root = $2 ORDER BY started_at DESC, id DESC LIMIT 1)";
    let usage = |row: &Row| {
        let (first, last) = (columns::record::<Descent>(row, 1)?, columns::record::<Descent>(row, 2)?);
        Ok(RootUsage::of(columns::number(row, 0)?, first, last))
    };
    let root = root.to_string();
    Ok(view.row(sql, &[&tenant.0, &root, &since.0], usage).await?.unwrap_or_default())
}

/// Newest first.
pub async fn refusals(view: &View<'_>, tenant: TenantId, workflow: &Slug, limit: usize) -> Result<Vec<Disposition>> {
    let sql = "SELECT signal_id, reason, at FROM dispositions
        WHERE tenant_id = $1 AND workflow = $2 AND kind = 'refused' ORDER BY signal_id DESC LIMIT $3";
    let refusal = |row: &Row| {
        Ok(Disposition {
            tenant,
            signal_id: SignalId(columns::id(row, 0)?),
            workflow: workflow.clone(),
            kind: DispositionKind::Refused,
            run_id: None,
            reason: columns::string_if_any(row, 1)?,
            at: columns::time(row, 2)?,
        })
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    view.rows(sql, &[&tenant.0, &workflow.as_str(), &limit], refusal).await
}
