//! Facts, intents and runs. Facts are inserted and must be new: whoever decided has looked. Rows are
//! inserted, or brought up to date in those columns that may change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Place, Run, Step};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::{Json, Party, RecordId, RunId, Signal, TenantId};
use uuid::Uuid;

use super::super::columns::{micros, text};
use super::super::fault::{Fault, Result};
use super::{Columns, Write, Writes};
use crate::rows::{Policy, awaits, has_row};
use crate::{Batch, digest};

pub fn records<'a>(batch: &'a Batch, writes: &mut Writes<'a>) -> Result<()> {
    writes.extend(signals(&batch.signals));
    writes.extend(dedupe_keys(batch));
    writes.extend(dispositions(&batch.dispositions));
    writes.extend(directives(&batch.directives));
    let runs: Vec<&Run> = batch.runs.iter().map(|write| &*write.run).collect();
    writes.extend(self::runs(&runs));
    places(batch, writes)
}

fn kind(party: Option<&Party>) -> Option<std::borrow::Cow<'_, str>> {
    party.map(|party| text(&party.kind))
}

fn party_id(party: Option<&Party>) -> Option<std::borrow::Cow<'_, str>> {
    party.map(|party| text(&party.id))
}

fn record(id: Option<RecordId>) -> Option<String> {
    id.map(|id| id.to_string())
}

fn signals(signals: &[Arc<Signal>]) -> Option<Write<'_>> {
    let columns = Columns::of(signals)
        .with("uuid", |signal| signal.tenant.0)
        .with("uuid", |signal| signal.id.0)
        .with("text", |signal| signal.name.as_str())
        .with("uuid", |signal| signal.run_id.map(|id| id.0))
        .with("uuid", |signal| signal.directive_id.map(|id| id.0))
        .with("text", |signal| text(&signal.lineage.correlation_id))
        .with("text", |signal| record(signal.lineage.causation_id))
        .with("bigint", |signal| i64::from(signal.lineage.depth))
        .with("text", |signal| kind(signal.subject.as_ref()))
        .with("text", |signal| party_id(signal.subject.as_ref()))
        .with("text", |signal| kind(signal.actor.as_ref()))
        .with("text", |signal| party_id(signal.actor.as_ref()))
        .with("text", |signal| signal.source.as_deref().map(text))
        .with("text", |signal| signal.source_event_id.as_deref().map(text))
        .with("text", |signal| signal.dedupe_key.as_deref().map(text))
        .with("bigint", |signal| signal.recorded_at.0)
        .with("bigint", |signal| Some(signal.occurred_at.0).filter(|_| signal.occurred_at != signal.recorded_at))
        .with("text", |signal| signal.payload.text())
        .with("bigint", |signal| digest::of_signal(signal));
    columns.insert(
        "signals (tenant_id, id, name, run_id, directive_id, correlation_id, causation_id, depth, subject_type,
           subject_id, actor_type, actor_id, source, source_event_id, dedupe_key, recorded_at, occurred_at, payload, digest)",
        "",
    )
}

fn dedupe_keys(batch: &Batch) -> Option<Write<'_>> {
    let columns = Columns::of(&batch.dedupe_keys)
        .with("uuid", |(tenant, ..)| tenant.0)
        .with("text", |(_, key, _)| text(&key.0))
        .with("uuid", |(.., signal)| signal.0);
    columns.insert("dedupe_keys (tenant_id, key, signal_id)", "")
}

fn dispositions(dispositions: &[Disposition]) -> Option<Write<'_>> {
    // One statement changes a row once, and of several about the same the last one counts.
    let waiter = |of: &Disposition| {
        let waiter = of.run_id.filter(|_| of.kind == DispositionKind::Advanced);
        waiter.map_or(Uuid::nil(), |run| run.0)
    };
    let mut last = HashMap::with_capacity(dispositions.len());
    for (place, of) in dispositions.iter().enumerate() {
        last.insert((of.tenant, of.signal_id, &of.workflow, waiter(of)), place);
    }
    let mut places: Vec<usize> = last.into_values().collect();
    places.sort_unstable();
    let rows: Vec<&Disposition> = places.into_iter().map(|place| &dispositions[place]).collect();
    let columns = Columns::of(&rows)
        .with("uuid", |of| of.tenant.0)
        .with("uuid", |of| of.signal_id.0)
        .with("text", |of| of.workflow.as_str())
        .with("uuid", |of| waiter(of))
        .with("text", |of| of.kind.as_str())
        .with("uuid", |of| of.run_id.map(|id| id.0))
        .with("bigint", |of| of.at.0)
        .with("text", |of| of.reason.as_deref().map(text));
    columns.insert(
        "dispositions (tenant_id, signal_id, workflow, waiter, kind, run_id, at, reason)",
        "ON CONFLICT (tenant_id, signal_id, workflow, waiter) DO UPDATE SET kind = excluded.kind,
           run_id = excluded.run_id, at = excluded.at, reason = excluded.reason",
    )
}

fn directives(directives: &[Arc<Directive>]) -> Option<Write<'_>> {
    let columns = Columns::of(directives)
        .with("uuid", |directive| directive.tenant.0)
        .with("uuid", |directive| directive.id.0)
        .with("text", |directive| directive.name.as_str())
        .with("text", |directive| directive.status.as_str())
        .with("text", |directive| directive.handler.as_str())
        .with("bigint", |directive| i64::from(directive.attempt))
        .with("bigint", |directive| micros(directive.wake_at))
        .with("boolean", |directive| directive.cancel_requested)
        .with("bigint", |directive| micros(directive.settled_at))
        .with("uuid", |directive| directive.settled_by.map(|id| id.0))
        .with("bigint", |directive| directive.requested_at.0)
        // Most begin when they are requested.
        .with("bigint", |directive| micros(directive.started_at.filter(|at| *at != directive.requested_at)))
        .with("uuid", |directive| directive.origin.map(|origin| origin.run_id.0))
        .with("bigint", |directive| directive.origin.map(|origin| i64::from(origin.place.step)))
        .with("bigint", |directive| directive.origin.map(|origin| origin.place.part()))
        .with("text", |directive| text(&directive.lineage.correlation_id))
        .with("text", |directive| record(directive.lineage.causation_id))
        .with("bigint", |directive| i64::from(directive.lineage.depth))
        .with("text", |directive| text(&directive.actor.kind))
        .with("text", |directive| text(&directive.actor.id))
        .with("text", |directive| text(&directive.idempotency_key))
        .with("text", |directive| Policy::text_of(&directive.retry, directive.timeout, directive.heartbeat))
        .with("text", |directive| directive.payload.text())
        .with("bigint", |directive| digest::of_directive(directive));
    columns.insert(
        "directives (tenant_id, id, name, status, handler, attempt, wake_at, cancel_requested, settled_at, settled_by,
           requested_at, started_at, run_id, step, part, correlation_id, causation_id, depth, actor_type, actor_id,
           idempotency_key, policy, payload, digest)",
        "ON CONFLICT (tenant_id, id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
           wake_at = excluded.wake_at, cancel_requested = excluded.cancel_requested,
           settled_at = excluded.settled_at, settled_by = excluded.settled_by, started_at = excluded.started_at",
    )
}

fn runs<'a>(runs: &[&'a Run]) -> Option<Write<'a>> {
    let columns = Columns::of(runs)
        .with("uuid", |run| run.tenant.0)
        .with("uuid", |run| run.id.0)
        .with("text", |run| run.workflow.as_str())
        .with("text", |run| text(&run.version))
        .with("text", |run| run.status.as_str())
        .with("bigint", |run| run.steps.len() as i64)
        .with("uuid", |run| run.signal_id.map(|id| id.0))
        .with("uuid", |run| run.directive_id.0)
        .with("bigint", |run| run.started_at.0)
        .with("bigint", |run| micros(run.begun_at))
        .with("bigint", |run| micros(run.deadline))
        .with("bigint", |run| micros(run.wake_at()))
        .with("bigint", |run| micros(run.ended_at))
        .with("uuid", |run| run.status_by.map(|id| id.0))
        .with("text", |run| text(&run.lineage.correlation_id))
        .with("bigint", |run| i64::from(run.lineage.depth))
        .with("text", |run| run.input.as_ref().map(Json::text))
        .with("uuid", |run| run.parent.map(|parent| parent.run_id.0))
        .with("bigint", |run| run.parent.map(|parent| i64::from(parent.place.step)))
        .with("bigint", |run| run.parent.map(|parent| parent.place.part()))
        .with("boolean", |run| run.parent.map(|parent| parent.waits))
        .with("uuid", |run| run.source.map(|id| id.0))
        .with("text", |run| (!run.keys.is_empty()).then(|| Json::of(&run.keys).text().to_owned()))
        .with("boolean", |run| run.keys.throttle.is_some())
        .with("text", |run| run.counted_root().map(|root| root.to_string()))
        .with("text", |run| run.descent.as_deref().map(|descent| Json::of(descent).text().to_owned()))
        .with("text", |run| run.continuation.as_ref().map(|rest| Json::of(rest).text().to_owned()));
    columns.insert(
        "runs (tenant_id, id, workflow, version, status, steps, signal_id, directive_id, started_at, begun_at, deadline,
           wake_at, ended_at, status_by, correlation_id, depth, input, parent, parent_step, parent_part, parent_waits,
           source, keys, throttled, root, descent, continuation)",
        "ON CONFLICT (tenant_id, id) DO UPDATE SET status = excluded.status, wake_at = excluded.wake_at,
           ended_at = excluded.ended_at, status_by = excluded.status_by, deadline = excluded.deadline,
           begun_at = excluded.begun_at, continuation = excluded.continuation",
    )
}

type At = (TenantId, RunId, Place);

fn places<'a>(batch: &'a Batch, writes: &mut Writes<'a>) -> Result<()> {
    // A place may be named more than once, and one statement changes a row once.
    let mut named = BTreeMap::new();
    for write in &batch.runs {
        let run: &'a Run = &write.run;
        for place in &write.places {
            if place.index() >= run.steps.len() {
                return Err(Fault::damaged("a batch", format!("{} has no step {} to write", run.id, place.step)));
            }
            named.insert((run.tenant, run.id, *place), run.at(*place).filter(|step| has_row(step)));
        }
    }
    let (mut put, mut gone): (Vec<(At, &'a Step)>, Vec<At>) = (Vec::new(), Vec::new());
    for (at, step) in named {
        match step {
            Some(step) => put.push((at, step)),
            None => gone.push(at),
        }
    }
    writes.extend(places_put(&put));
    writes.extend(places_gone(&gone));
    Ok(())
}

fn places_put<'a>(put: &[(At, &'a Step)]) -> Option<Write<'a>> {
    let columns = Columns::of(put)
        .with("uuid", |((tenant, ..), _)| tenant.0)
        .with("uuid", |((_, run, _), _)| run.0)
        .with("bigint", |((.., place), _)| i64::from(place.step))
        .with("bigint", |((.., place), _)| place.part())
        .with("text", |(_, step)| step.status.as_str())
        .with("bigint", |(_, step)| i64::from(step.attempt))
        .with("bigint", |(_, step)| i64::from(step.iteration))
        .with("bigint", |(_, step)| i64::from(step.issue))
        .with("bigint", |(_, step)| step.items.as_ref().map(|items| items.steps.len() as i64))
        .with("bigint", |(_, step)| micros(step.due_at))
        .with("uuid", |(_, step)| step.directive_id.map(|id| id.0))
        .with("text", |(_, step)| awaits(step))
        .with("text", |(_, step)| step.lock.as_deref().map(text))
        .with("bigint", |(_, step)| micros(step.started_at))
        .with("bigint", |(_, step)| micros(step.ended_at))
        .with("uuid", |(_, step)| step.signal_id.map(|id| id.0))
        .with("uuid", |(_, step)| step.output_by.filter(|by| Some(*by) != step.signal_id).map(|id| id.0));
    columns.insert(
        "places (tenant_id, run_id, step, part, status, attempt, iteration, issue, items, due_at, directive_id, awaits,
           lock, started_at, ended_at, signal_id, output_by)",
        "ON CONFLICT (tenant_id, run_id, step, part) DO UPDATE SET status = excluded.status,
           attempt = excluded.attempt, iteration = excluded.iteration, issue = excluded.issue,
           items = excluded.items, due_at = excluded.due_at, directive_id = excluded.directive_id,
           awaits = excluded.awaits, lock = excluded.lock, started_at = excluded.started_at,
           ended_at = excluded.ended_at, signal_id = excluded.signal_id, output_by = excluded.output_by",
    )
}

fn places_gone<'a>(gone: &[At]) -> Option<Write<'a>> {
    let columns = Columns::of(gone)
        .with("uuid", |(tenant, ..)| tenant.0)
        .with("uuid", |(_, run, _)| run.0)
        .with("bigint", |(.., place)| i64::from(place.step))
        .with("bigint", |(.., place)| place.part());
    columns.write(|given| {
        format!(
            "DELETE FROM places p USING {given} AS g(tenant_id, run_id, step, part)
             WHERE p.tenant_id = g.tenant_id AND p.run_id = g.run_id AND p.step = g.step AND p.part = g.part"
        )
    })
}
