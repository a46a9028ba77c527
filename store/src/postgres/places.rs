//! Reading what stands at the places of runs: steps, their items, and what undoes either. What a place
//! waits for, and how it ended, is read from the signal that made it what it is.

use fleetprompt_core::run::{Awaited, Items, Place, Run, Step, StepStatus};
use fleetprompt_core::{DirectiveId, RunId, SignalId, TenantId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::View;
use super::columns;
use super::fault::{Fault, Result};
use crate::rows::Said;
use crate::{Order, Page, WaitingFilter};

const COLUMNS: &str = "p.step, p.part, p.status, p.attempt, p.iteration, p.issue, p.items, p.due_at, p.directive_id, \
    p.started_at, p.ended_at, p.signal_id, p.output_by, s.payload, o.payload";
const JOIN: &str = "LEFT JOIN signals s ON s.tenant_id = p.tenant_id AND s.id = p.signal_id \
    LEFT JOIN signals o ON o.tenant_id = p.tenant_id AND o.id = p.output_by";

/// Fills in the steps of a run; what has no row is as it began. Whole steps come first, and then what
/// is part of them.
pub async fn restore(view: &View<'_>, run: &mut Run) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM places p {JOIN} WHERE p.tenant_id = $1 AND p.run_id = $2");
    let found = view.rows(&sql, &[&run.tenant.0, &run.id.0], place).await?;
    let (whole, parts): (Vec<_>, Vec<_>) = found.into_iter().partition(|(place, _)| place.part() == 0);
    whole.into_iter().chain(parts).try_for_each(|(place, step)| put(run, place, step))
}

fn put(run: &mut Run, place: Place, step: Step) -> Result<()> {
    if run.at(place.done()).is_none() {
        let nowhere = format!("{} has no step {} with a part {}", run.id, place.step, place.part());
        return Err(Fault::damaged("a run", nowhere));
    }
    run.restore(place, step);
    Ok(())
}

/// What waits in runs that have not ended, in the order of the signals that say so.
pub async fn waiting(
    view: &View<'_>,
    tenant: TenantId,
    filter: &WaitingFilter,
    page: Page,
) -> Result<Vec<(RunId, Place, Step)>> {
    let mut found = match (filter.run_id, &filter.awaits) {
        (Some(run), Some(word)) => {
            waiting_where(view, tenant, page, "p.run_id = $3 AND p.awaits = $4", &[&run.0, word]).await?
        }
        (Some(run), None) => {
            waiting_where(view, tenant, page, "p.run_id = $3 AND p.awaits IS NOT NULL", &[&run.0]).await?
        }
        (None, Some(word)) => waiting_where(view, tenant, page, "p.awaits = $3", &[word]).await?,
        // Each word by itself, and no further than the page goes: there is no order over all of them.
        (None, None) => {
            let mut all = Vec::new();
            for word in Awaited::WORDS {
                all.extend(waiting_where(view, tenant, page, "p.awaits = $3", &[&word]).await?);
            }
            all
        }
    };
    found.sort_unstable_by_key(|(_, _, step)| step.signal_id);
    if page.order == Order::NewestFirst {
        found.reverse();
    }
    found.truncate(page.limit);
    Ok(found)
}

async fn waiting_where(
    view: &View<'_>,
    tenant: TenantId,
    page: Page,
    condition: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<(RunId, Place, Step)>> {
    let (side, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let mut all: Vec<&(dyn ToSql + Sync)> = vec![&tenant.0, &limit];
    all.extend(values);
    let mut beyond = String::new();
    if let Some(cursor) = &page.cursor {
        all.push(cursor);
        beyond = format!("AND p.signal_id {side} ${}", all.len());
    }
    let sql = format!(
        "SELECT {COLUMNS}, p.run_id FROM places p JOIN runs r ON r.tenant_id = p.tenant_id AND r.id = p.run_id {JOIN} \
         WHERE p.tenant_id = $1 AND {condition} {beyond} AND r.ended_at IS NULL \
         ORDER BY p.signal_id {direction} LIMIT $2"
    );
    let read = |row: &Row| {
        let (place, step) = place(row)?;
        Ok((RunId(columns::id(row, 15)?), place, step))
    };
    view.rows(&sql, &all, read).await
}

/// Without what is part of it.
fn place(row: &Row) -> Result<(Place, Step)> {
    let place = Place::from_part(columns::number(row, 0)?, columns::get(row, 1)?);
    let items: Option<usize> = columns::number_if_any(row, 6)?;
    let signal_id = columns::id_if_any(row, 11)?.map(SignalId);
    let said: Said = columns::record(row, 13)?.unwrap_or_default();
    let (output, output_by) = match columns::id_if_any(row, 12)?.map(SignalId) {
        Some(by) => (columns::end(row, 14)?.0, Some(by)),
        None => {
            let by = signal_id.filter(|_| said.output.is_some());
            (said.output, by)
        }
    };
    let step = Step {
        status: columns::word(row, 2, &StepStatus::ALL, StepStatus::as_str)?,
        attempt: columns::number(row, 3)?,
        iteration: columns::number(row, 4)?,
        issue: columns::number(row, 5)?,
        due_at: columns::time_if_any(row, 7)?,
        directive_id: columns::id_if_any(row, 8)?.map(DirectiveId),
        waiting: said.waiting,
        lock: said.lock,
        output,
        output_by,
        error: said.error,
        started_at: columns::time_if_any(row, 9)?,
        ended_at: columns::time_if_any(row, 10)?,
        signal_id,
        items: items.map(|items| Box::new(Items::pending(items))),
        undo: None,
    };
    Ok((place, step))
}
