//! Reading many records by their ids in one query, as far as the budget of one read goes.

use fleetprompt_core::{RecordId, TenantId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::View;
use super::columns;
use super::fault::Result;
use crate::rows::ReadBudget;

/// What the queries select from: the ids in their order.
pub const ASKED: &str = "unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS q (tenant_id, id, place)";

/// Tenants and ids, as parameters of a query over `ASKED`.
pub fn unzip<I: Copy + Into<RecordId>>(ids: &[(TenantId, I)]) -> (Vec<Uuid>, Vec<Uuid>) {
    ids.iter().map(|(tenant, id)| (tenant.0, (*id).into().uuid())).unzip()
}

/// Runs a query over `ASKED`, in the order of `q.place`, which is its last column. `read` makes a record of a row, and
/// says how many bytes it takes.
pub async fn by_id<I: Copy + Into<RecordId>, T>(
    view: &View<'_>,
    sql: &str,
    ids: &[(TenantId, I)],
    read: impl Fn(TenantId, &Row) -> Result<(T, usize)>,
) -> Result<Vec<Option<T>>> {
    let (tenants, records) = unzip(ids);
    let (mut found, mut budget, mut end) = (Vec::with_capacity(ids.len()), ReadBudget::default(), ids.len());
    let take = |row: &Row| {
        let at = columns::number::<usize>(row, row.len() - 1)? - 1;
        if budget.is_spent() {
            end = at;
            return Ok(false);
        }
        let (record, bytes) = read(ids[at].0, row)?;
        budget.spend(bytes);
        found.resize_with(at, || None);
        found.push(Some(record));
        Ok(true)
    };
    view.rows_while(sql, &[&tenants, &records], take).await?;
    found.resize_with(end, || None);
    Ok(found)
}
