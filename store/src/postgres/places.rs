//! Reading what stands at the places of runs: steps, their items, and what undoes either. What a place
//! waits for, and how it ended, is read from the signal that made it what it is.

use std::collections::BTreeMap;

use fleetprompt_core::run::{Awaited, Items, Place, Run, Step, StepStatus};
use fleetprompt_core::{DirectiveId, RunId, SignalId, TenantId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::View;
use super::bulk::{self, ASKED};
use super::columns;
use super::fault::{Fault, Result};
use super::page::{bytes_max, weight, within};
use crate::filter::Budget;
use crate::rows::{ReadBudget, Said};
use crate::{Order, Page, StepRange, WaitingFilter};

const COLUMNS: &str = "p.step, p.part, p.status, p.attempt, p.iteration, p.issue, p.items, p.due_at, p.directive_id, \
    p.started_at, p.ended_at, p.signal_id, p.output_by, s.payload AS said, o.payload AS gave";
const JOIN: &str = "LEFT JOIN signals s ON s.tenant_id = p.tenant_id AND s.id = p.signal_id \
    LEFT JOIN signals o ON o.tenant_id = p.tenant_id AND o.id = p.output_by";

/// Fills in the steps of a run; what has no row is as it began.
pub async fn restore(view: &View<'_>, run: &mut Run) -> Result<()> {
    let steps = StepRange { limit: usize::MAX, ..StepRange::one(0) };
    restore_some(view, run, steps).await.map(drop)
}

/// Fills in some of its steps. Whole steps come first, and then what is part of them. Returns the index behind them, and
/// where the items begin that have no documents.
pub async fn restore_some(view: &View<'_>, run: &mut Run, steps: StepRange) -> Result<(usize, BTreeMap<usize, u32>)> {
    let end = steps.end(run.steps.len());
    // A row of a step that the run does not have is damage, which is found below.
    let range =
        [steps.from, steps.from.saturating_add(steps.limit)].map(|index| i64::try_from(index).unwrap_or(i64::MAX));
    let parts = steps.parts();
    let [bytes, item_bytes] = [steps.bytes, steps.item_bytes].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&run.tenant.0, &run.id.0, &range[0], &range[1]];
    let mut of_items = "";
    if steps.items != StepRange::ALL_ITEMS {
        of_items = "AND (p.part IN (0, -1) OR p.part BETWEEN $5 AND $6 OR p.part BETWEEN $7 AND $8)";
        values.extend(parts.iter().map(|part| part as &(dyn ToSql + Sync)));
    }
    let weight = weight(&["s.payload", "o.payload"]);
    let mut sql = format!(
        "SELECT {COLUMNS}, {weight}, CASE WHEN p.part > 0 THEN p.part - 1 ELSE -2 - p.part END AS item
         FROM places p {JOIN}
         WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.step >= $3 AND p.step < $4 {of_items}"
    );
    let is_limited = steps.bytes != usize::MAX || steps.item_bytes != usize::MAX;
    if is_limited {
        values.extend([&bytes as &(dyn ToSql + Sync), &item_bytes]);
        sql = within_bytes(&sql, &format!("${}", values.len() - 1), &format!("${}", values.len()));
    }
    let (mut weighed, mut last, mut items_end) = (0_usize, steps.from, BTreeMap::new());
    let read = |row: &Row| {
        let (place, step) = place(row)?;
        weighed = weighed.saturating_add(columns::number(row, 15)?);
        last = last.max(place.index());
        if is_limited && columns::get(row, 16)? {
            let item = place.item.unwrap_or_default();
            items_end.entry(place.index()).and_modify(|end: &mut u32| *end = item.min(*end)).or_insert(item);
        }
        Ok((place, step))
    };
    let found = view.rows(&sql, &values, read).await?;
    let (whole, parts): (Vec<_>, Vec<_>) = found.into_iter().partition(|(place, _)| place.part() == 0);
    whole.into_iter().chain(parts).try_for_each(|(place, step)| put(run, place, step))?;
    Ok((if weighed > steps.bytes { last + 1 } else { end }, items_end))
}

/// These rows without the documents of the items that follow the one with which the items of their step exceed
/// `item_bytes`, up to the step with which all that is read exceeds `bytes`: that one is read whole.
fn within_bytes(rows: &str, bytes: &str, item_bytes: &str) -> String {
    const PLACE: &str = "step, part, status, attempt, iteration, issue, items, due_at, directive_id, started_at, ended_at, \
        signal_id, output_by";
    format!(
        "SELECT {PLACE}, CASE WHEN is_cut THEN NULL ELSE said END, CASE WHEN is_cut THEN NULL ELSE gave END, read_weight, is_cut
         FROM (
           SELECT *, (sum(read_weight) OVER (ORDER BY step) - sum(read_weight) OVER (PARTITION BY step)) AS weight_before
           FROM (
             SELECT *, CASE WHEN is_cut THEN 0 ELSE weight END AS read_weight FROM (
               SELECT *, item >= 0 AND sum(CASE WHEN item >= 0 THEN weight ELSE 0 END) OVER (PARTITION BY step ORDER BY item)
                 - sum(weight) OVER (PARTITION BY step, item) > {item_bytes}::bigint AS is_cut
               FROM ({rows}) p
             ) p
           ) p
         ) q WHERE weight_before <= {bytes}::bigint"
    )
}

pub async fn steps_with(view: &View<'_>, tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Result<Vec<usize>> {
    let sql = "SELECT DISTINCT p.step FROM places p
        WHERE p.tenant_id = $1 AND p.run_id = $2 AND p.part IN (0, -1) AND p.status = ANY ($3) ORDER BY p.step";
    let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    view.rows(sql, &[&tenant.0, &run.0, &words], |row| columns::number(row, 0)).await
}

/// Fills in the steps of several runs. Returns how many of them are whole, which are the first ones: the budget of one
/// read may end before they do.
pub async fn restore_all(view: &View<'_>, ids: &[(TenantId, RunId)], runs: &mut [Option<Run>]) -> Result<usize> {
    // Whole steps come before what is part of them.
    let sql = format!(
        "SELECT {COLUMNS}, q.place FROM {ASKED}
         CROSS JOIN LATERAL (SELECT * FROM places WHERE tenant_id = q.tenant_id AND run_id = q.id OFFSET 0) p
         {JOIN} ORDER BY q.place, p.part <> 0"
    );
    let (tenants, records) = bulk::unzip(ids);
    let (mut budget, mut last, mut end) = (ReadBudget::default(), 0, ids.len());
    let take = |row: &Row| {
        let at = columns::number::<usize>(row, 15)? - 1;
        if at != last && budget.is_spent() {
            end = at;
            return Ok(false);
        }
        last = at;
        budget.spend(columns::text_len(row, 13)? + columns::text_len(row, 14)?);
        if let Some(run) = &mut runs[at] {
            let (place, step) = place(row)?;
            put(run, place, step)?;
        }
        Ok(true)
    };
    view.rows_while(&sql, &[&tenants, &records], take).await?;
    Ok(end)
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
    found.sort_unstable_by_key(|((_, _, step), _)| step.signal_id);
    if page.order == Order::NewestFirst {
        found.reverse();
    }
    Ok(cut(found, page))
}

/// A step that waits, and the bytes of its documents.
type Weighed = ((RunId, Place, Step), usize);

/// Ends a page that was merged of several.
fn cut(found: Vec<Weighed>, page: Page) -> Vec<(RunId, Place, Step)> {
    let (mut kept, mut budget) = (Vec::new(), Budget::new(page));
    for (waiting, bytes) in found.into_iter().take(page.limit) {
        kept.push(waiting);
        if budget.ends_with(bytes) {
            break;
        }
    }
    kept
}

async fn waiting_where(
    view: &View<'_>,
    tenant: TenantId,
    page: Page,
    condition: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Weighed>> {
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
    let weight = weight(&["s.payload", "o.payload"]);
    let mut sql = format!(
        "SELECT {COLUMNS}, p.run_id, {weight} FROM places p JOIN runs r ON r.tenant_id = p.tenant_id AND r.id = p.run_id {JOIN} \
         WHERE p.tenant_id = $1 AND {condition} {beyond} AND r.ended_at IS NULL \
         ORDER BY p.signal_id {direction} LIMIT $2"
    );
    let bytes = bytes_max(page);
    if let Some(bytes) = &bytes {
        all.push(bytes);
        sql = within(&sql, "signal_id", direction, &format!("${}", all.len()));
    }
    let read = |row: &Row| {
        let (place, step) = place(row)?;
        Ok(((RunId(columns::id(row, 15)?), place, step), columns::number(row, 16)?))
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
        early_answer: said.early_answer,
        consumed: said.consumed,
        compensable: said.compensable,
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
