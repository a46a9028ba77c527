//! Reading what stands at the places of runs: steps, their items, and what undoes either. What a place
//! waits for, and how it ended, is read from the signal that made it what it is.

use std::collections::BTreeMap;

use fleetprompt_core::run::{Awaited, Items, Place, Run, Step, StepStatus};
use fleetprompt_core::{DirectiveId, RunId, SignalId, TenantId};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::View;
use super::columns::{self, Id};
use super::fault::{Fault, Result};
use super::page::bytes;
use crate::filter::Budget;
use crate::rows::Said;
use crate::{Order, Page, StepRange, WaitingFilter};

const COLUMNS: &str = "p.step, p.part, p.status, p.attempt, p.iteration, p.issue, p.items, p.due_at, p.directive_id, \
    p.started_at, p.ended_at, p.signal_id, p.output_by, s.payload, o.payload";
const DOCUMENTS: &[usize] = &[13, 14];
const JOIN: &str = "LEFT JOIN signals s ON s.tenant = p.tenant AND s.id = p.signal_id \
    LEFT JOIN signals o ON o.tenant = p.tenant AND o.id = p.output_by";

/// The item that a row belongs to: its own index, or that of the one it undoes; negative for what belongs to no item.
const ITEM: &str = "CASE WHEN p.part > 0 THEN p.part - 1 ELSE -2 - p.part END";
const IS_OF_ITEM: &str = "p.part NOT IN (0, -1)";

/// Fills in the steps of a run; what has no row is as it began.
pub fn restore(view: &View, tenant: i64, run: &mut Run) -> Result<()> {
    let steps = StepRange { limit: usize::MAX, ..StepRange::one(0) };
    restore_some(view, tenant, run, steps).map(drop)
}

/// Fills in some of its steps. Whole steps come first, and then what is part of them. Returns the index behind them, and
/// where the items begin that have no documents.
pub fn restore_some(
    view: &View,
    tenant: i64,
    run: &mut Run,
    steps: StepRange,
) -> Result<(usize, BTreeMap<usize, u32>)> {
    let mut end = steps.end(run.steps.len());
    let (of_range, mut values) = range(tenant, run.id, steps);
    let mut items_end = items_end(view, &of_range, &values, steps)?;
    let mut columns = COLUMNS.to_owned();
    if !items_end.is_empty() {
        let begins = items_end.iter().map(|(step, item)| (step.to_string(), *item)).collect::<BTreeMap<_, _>>();
        let begins = serde_json::to_string(&begins).expect("numbers can be written");
        let is_read = format!("coalesce({ITEM} < ?1 ->> ('$.' || p.step), 1)");
        for payload in ["s.payload", "o.payload"] {
            columns = columns.replace(payload, &format!("CASE WHEN {is_read} THEN {payload} END"));
        }
        values.insert(0, begins.into());
    }
    let sql = format!("SELECT {columns} FROM places p {JOIN} WHERE {of_range} ORDER BY p.step");
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut parts, mut budget) = (Vec::new(), Budget::of(steps.bytes));
    // The step that exceeds the bytes is read whole.
    let mut last = None;
    while let Some(row) = rows.next()? {
        let (place, step) = place(row)?;
        if last.is_some_and(|last| place.step > last) {
            break;
        }
        if budget.ends_with(bytes(row, DOCUMENTS)?) && last.is_none() {
            last = Some(place.step);
            end = place.index() + 1;
        }
        match place.part() {
            0 => put(run, place, step)?,
            _ => parts.push((place, step)),
        }
    }
    parts.into_iter().try_for_each(|(place, step)| put(run, place, step))?;
    items_end.retain(|step, _| *step < end);
    Ok((end, items_end))
}

/// The condition of the rows that are read, and its values.
fn range(tenant: i64, run: RunId, steps: StepRange) -> (String, Vec<Value>) {
    // A row of a step that the run does not have is damage, which is found by `put`.
    let range =
        [steps.from, steps.from.saturating_add(steps.limit)].map(|index| i64::try_from(index).unwrap_or(i64::MAX));
    let mut values = vec![Value::from(tenant), Id(run.0).into(), range[0].into(), range[1].into()];
    let mut condition = "p.tenant = ? AND p.run_id = ? AND p.step >= ? AND p.step < ?".to_owned();
    if steps.items != StepRange::ALL_ITEMS {
        condition += " AND (p.part IN (0, -1) OR p.part BETWEEN ? AND ? OR p.part BETWEEN ? AND ?)";
        values.extend(steps.parts().map(Value::from));
    }
    (condition, values)
}

/// Where the items begin that come without documents. SQLite knows the length of a document without reading it.
fn items_end(view: &View, of_range: &str, values: &[Value], steps: StepRange) -> Result<BTreeMap<usize, u32>> {
    let Ok(bytes_max) = i64::try_from(steps.item_bytes) else { return Ok(BTreeMap::new()) };
    let sql = format!(
        "SELECT step, min(item) FROM (
           SELECT step, item, sum(weight) OVER (PARTITION BY step ORDER BY item)
             - sum(weight) OVER (PARTITION BY step, item) AS before
           FROM (
             SELECT p.step, {ITEM} AS item,
               coalesce(octet_length(s.payload), 0) + coalesce(octet_length(o.payload), 0) AS weight
             FROM places p {JOIN} WHERE {of_range} AND {IS_OF_ITEM}
           )
         ) WHERE before > ? GROUP BY step"
    );
    let mut statement = view.sql.prepare_cached(&sql)?;
    let values = values.iter().cloned().chain([bytes_max.into()]);
    let mut rows = statement.query(params_from_iter(values))?;
    let mut ends = BTreeMap::new();
    while let Some(row) = rows.next()? {
        ends.insert(row.get::<_, u32>(0)? as usize, row.get(1)?);
    }
    Ok(ends)
}

pub fn steps_with(view: &View, tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Result<Vec<usize>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let listed = vec!["?"; statuses.len()].join(", ");
    let sql = format!(
        "SELECT DISTINCT p.step FROM places p WHERE p.tenant = ? AND p.run_id = ? AND p.part IN (0, -1) \
         AND p.status IN ({listed}) ORDER BY p.step"
    );
    let words = statuses.iter().map(|status| Value::from(status.as_str().to_owned()));
    let values = [Value::from(no), Id(run.0).into()].into_iter().chain(words);
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(row.get::<_, u32>(0)? as usize);
    }
    Ok(found)
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
pub fn waiting(view: &View, tenant: TenantId, filter: &WaitingFilter, page: Page) -> Result<Vec<(RunId, Place, Step)>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let mut found = match (filter.run_id, &filter.awaits) {
        (Some(run), awaits) => waiting_in(view, no, run, awaits.as_deref(), page)?,
        (None, Some(word)) => waiting_for(view, no, word, page)?,
        // Each word by itself, and no further than the page goes: there is no order over all of them.
        (None, None) => {
            let mut all = Vec::new();
            for word in Awaited::WORDS {
                all.extend(waiting_for(view, no, word, page)?);
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

/// How they are found: by an index, and by what.
pub(super) type Found = (&'static str, &'static str);

pub(super) const BY_WORD: Found = ("INDEXED BY places_waiting", "p.awaits IS NOT NULL AND p.awaits = ?");
const OF_RUN: Found = ("", "p.run_id = ? AND (+p.awaits) IS NOT NULL");
const OF_RUN_BY_WORD: Found = ("", "p.run_id = ? AND +p.awaits = ?");

fn waiting_for(view: &View, tenant: i64, word: &str, page: Page) -> Result<Vec<Weighed>> {
    waiting_where(view, tenant, BY_WORD, vec![word.to_owned().into()], page)
}

fn waiting_in(view: &View, tenant: i64, run: RunId, awaits: Option<&str>, page: Page) -> Result<Vec<Weighed>> {
    let mut values = vec![Id(run.0).into()];
    values.extend(awaits.map(|word| Value::from(word.to_owned())));
    let found = if awaits.is_some() { OF_RUN_BY_WORD } else { OF_RUN };
    waiting_where(view, tenant, found, values, page)
}

fn waiting_where(view: &View, tenant: i64, found: Found, values: Vec<Value>, page: Page) -> Result<Vec<Weighed>> {
    let sql = waiting_sql(found, page);
    let mut values: Vec<Value> = std::iter::once(tenant.into()).chain(values).collect();
    values.extend(page.cursor.map(|cursor| Value::from(Id(cursor))));
    values.push(Value::Integer(i64::try_from(page.limit).unwrap_or(i64::MAX)));
    let mut statement = view.sql.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut found, mut budget) = (Vec::new(), Budget::new(page));
    while let Some(row) = rows.next()? {
        let ((place, step), bytes) = (place(row)?, bytes(row, DOCUMENTS)?);
        found.push(((RunId(columns::id(row, 15)?), place, step), bytes));
        if budget.ends_with(bytes) {
            break;
        }
    }
    Ok(found)
}

pub(super) fn waiting_sql((index, condition): Found, page: Page) -> String {
    let (side, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    let beyond = page.cursor.map_or(String::new(), |_| format!("AND p.signal_id {side} ?"));
    format!(
        "SELECT {COLUMNS}, p.run_id FROM places p {index} \
         CROSS JOIN runs r ON r.tenant = p.tenant AND r.id = p.run_id {JOIN} \
         WHERE p.tenant = ? AND {condition} {beyond} AND r.ended_at IS NULL \
         ORDER BY p.signal_id {direction} LIMIT ?"
    )
}

/// Without what is part of it.
fn place(row: &Row) -> Result<(Place, Step)> {
    let place = Place::from_part(row.get(0)?, row.get(1)?);
    let items: Option<u32> = row.get(6)?;
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
        attempt: row.get(3)?,
        iteration: row.get::<_, Option<u32>>(4)?.unwrap_or(0),
        issue: row.get::<_, Option<u32>>(5)?.unwrap_or(0),
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
        items: items.map(|items| Box::new(Items::pending(items as usize))),
        undo: None,
    };
    Ok((place, step))
}
