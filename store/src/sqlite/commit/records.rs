//! Facts, intents and runs. Facts are inserted and must be new: whoever decided has looked. Rows are
//! inserted, or brought up to date in those columns that may change.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Run;
use fleetprompt_core::signal::DispositionKind;
use fleetprompt_core::{Json, Signal};
use rusqlite::params;

use super::super::columns::{AnyId, Correlation, Id, micros, party_parts};
use super::super::fault::{Fault, Result};
use super::super::runs::NOT_BEGUN;
use super::Write;
use crate::rows::{Policy, awaits, has_row};
use crate::{Batch, RunWrite, digest};

impl Write<'_> {
    pub(super) fn records(&mut self, batch: &Batch) -> Result<()> {
        self.signals(batch)?;
        self.dedupe_keys(batch)?;
        self.dispositions(batch)?;
        self.directives(batch)?;
        self.runs(batch)
    }

    fn signals(&mut self, batch: &Batch) -> Result<()> {
        if batch.signals.is_empty() {
            return Ok(());
        }
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO signals (tenant, id, name, run_id, directive_id, correlation_id, causation_id, depth,
               subject_type, subject_id, actor_type, actor_id, source, source_event_id, dedupe_key,
               recorded_at, occurred_at, payload, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?;
        for signal in &batch.signals {
            let signal: &Signal = signal;
            let (subject_type, subject_id) = party_parts(signal.subject.as_ref());
            let (actor_type, actor_id) = party_parts(signal.actor.as_ref());
            statement.execute(params![
                self.numbers.tenant(signal.tenant)?,
                Id(signal.id.0),
                self.numbers.name(signal.name.as_str())?,
                signal.run_id.map(|id| Id(id.0)),
                signal.directive_id.map(|id| Id(id.0)),
                Correlation::of(&signal.lineage.correlation_id),
                signal.lineage.causation_id.map(AnyId::of),
                signal.lineage.depth,
                subject_type,
                subject_id,
                actor_type,
                actor_id,
                signal.source,
                signal.source_event_id,
                signal.dedupe_key,
                signal.recorded_at.0,
                Some(signal.occurred_at.0).filter(|_| signal.occurred_at != signal.recorded_at),
                signal.payload.text(),
                digest::of_signal(signal),
            ])?;
        }
        Ok(())
    }

    fn dedupe_keys(&mut self, batch: &Batch) -> Result<()> {
        for (tenant, key, signal) in &batch.dedupe_keys {
            let mut statement =
                self.sql.prepare_cached("INSERT INTO dedupe_keys (tenant, key, signal_id) VALUES (?1, ?2, ?3)")?;
            statement.execute(params![self.numbers.tenant(*tenant)?, key.0, Id(signal.0)])?;
        }
        Ok(())
    }

    fn dispositions(&mut self, batch: &Batch) -> Result<()> {
        for disposition in &batch.dispositions {
            let waiter = disposition.run_id.filter(|_| disposition.kind == DispositionKind::Advanced);
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO dispositions (tenant, signal_id, workflow, waiter, kind, run_id, at, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (tenant, signal_id, workflow, waiter) DO UPDATE SET kind = excluded.kind,
                   run_id = excluded.run_id, at = excluded.at, reason = excluded.reason",
            )?;
            statement.execute(params![
                self.numbers.tenant(disposition.tenant)?,
                Id(disposition.signal_id.0),
                self.numbers.name(disposition.workflow.as_str())?,
                waiter.as_ref().map_or(&[][..], |waiter| waiter.0.as_bytes()),
                disposition.kind.as_str(),
                disposition.run_id.map(|id| Id(id.0)),
                disposition.at.0,
                disposition.reason,
            ])?;
        }
        Ok(())
    }

    fn directives(&mut self, batch: &Batch) -> Result<()> {
        for directive in &batch.directives {
            self.directive(directive)?;
        }
        Ok(())
    }

    fn directive(&mut self, directive: &Directive) -> Result<()> {
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO directives (tenant, id, name, status, handler, attempt, wake_at, cancel_requested,
               settled_at, settled_by, requested_at, run_id, step, correlation_id, causation_id, depth,
               actor_type, actor_id, idempotency_key, policy, payload, part, started_at, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
               ?22, ?23, ?24)
             ON CONFLICT (tenant, id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
               wake_at = excluded.wake_at, cancel_requested = excluded.cancel_requested,
               settled_at = excluded.settled_at, settled_by = excluded.settled_by,
               started_at = excluded.started_at",
        )?;
        let part = directive.origin.map(|origin| origin.place.part()).filter(|part| *part != 0);
        // Most begin when they are requested.
        let started_at = directive.started_at.filter(|at| *at != directive.requested_at);
        statement.execute(params![
            self.numbers.tenant(directive.tenant)?,
            Id(directive.id.0),
            self.numbers.name(directive.name.as_str())?,
            directive.status.as_str(),
            directive.handler.as_str(),
            directive.attempt,
            micros(directive.wake_at),
            directive.cancel_requested,
            micros(directive.settled_at),
            directive.settled_by.map(|id| Id(id.0)),
            directive.requested_at.0,
            directive.origin.map(|origin| Id(origin.run_id.0)),
            directive.origin.map(|origin| origin.place.step),
            Correlation::of(&directive.lineage.correlation_id),
            directive.lineage.causation_id.map(AnyId::of),
            directive.lineage.depth,
            directive.actor.kind,
            directive.actor.id,
            directive.idempotency_key,
            Policy::text_of(&directive.retry, directive.timeout, directive.heartbeat),
            directive.payload.text(),
            part,
            micros(started_at),
            digest::of_directive(directive),
        ])?;
        Ok(())
    }

    fn runs(&mut self, batch: &Batch) -> Result<()> {
        for write in &batch.runs {
            let tenant = self.numbers.tenant(write.run.tenant)?;
            self.run(tenant, &write.run)?;
            self.places(tenant, write)?;
        }
        Ok(())
    }

    fn run(&mut self, tenant: i64, run: &Run) -> Result<()> {
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO runs (tenant, id, workflow, version, status, steps, signal_id, directive_id,
               started_at, deadline, wake_at, ended_at, status_by, correlation_id, depth, input,
               begun_at, parent, parent_step, parent_part, parent_waits, source, keys, root, descent, continuation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
               ?22, ?23, ?24, ?25, ?26)
             ON CONFLICT (tenant, id) DO UPDATE SET status = excluded.status, wake_at = excluded.wake_at,
               ended_at = excluded.ended_at, status_by = excluded.status_by, deadline = excluded.deadline,
               begun_at = excluded.begun_at, continuation = excluded.continuation",
        )?;
        let keys = (!run.keys.is_empty()).then(|| Json::of(&run.keys));
        let descent = run.descent.as_deref().map(Json::of);
        // Most begin when they are asked for.
        let begun_at = Some(run.begun_at.unwrap_or(NOT_BEGUN)).filter(|at| *at != run.started_at);
        statement.execute(params![
            tenant,
            Id(run.id.0),
            self.numbers.name(run.workflow.as_str())?,
            self.numbers.name(&run.version)?,
            run.status.as_str(),
            run.steps.len() as i64,
            run.signal_id.map(|id| Id(id.0)),
            Id(run.directive_id.0),
            run.started_at.0,
            micros(run.deadline),
            micros(run.wake_at()),
            micros(run.ended_at),
            run.status_by.map(|id| Id(id.0)),
            Correlation::of(&run.lineage.correlation_id),
            run.lineage.depth,
            run.input.as_ref().map(|input| input.text()),
            micros(begun_at),
            run.parent.map(|parent| Id(parent.run_id.0)),
            run.parent.map(|parent| parent.place.step),
            run.parent.map(|parent| parent.place.part()),
            run.parent.map(|parent| parent.waits),
            run.source.map(|id| Id(id.0)),
            keys.as_ref().map(|keys| keys.text()),
            run.counted_root().map(AnyId::of),
            descent.as_ref().map(|descent| descent.text()),
            run.continuation.as_ref().map(|rest| Json::of(rest).text().to_owned()),
        ])?;
        Ok(())
    }

    fn places(&mut self, tenant: i64, write: &RunWrite) -> Result<()> {
        let run = &write.run;
        let mut put = self.sql.prepare_cached(
            "INSERT INTO places (tenant, run_id, step, part, status, attempt, iteration, issue, items, due_at,
               directive_id, awaits, lock, started_at, ended_at, signal_id, output_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT (tenant, run_id, step, part) DO UPDATE SET status = excluded.status,
               attempt = excluded.attempt, iteration = excluded.iteration, issue = excluded.issue,
               items = excluded.items, due_at = excluded.due_at, directive_id = excluded.directive_id,
               awaits = excluded.awaits, lock = excluded.lock, started_at = excluded.started_at,
               ended_at = excluded.ended_at, signal_id = excluded.signal_id, output_by = excluded.output_by",
        )?;
        let mut delete = self
            .sql
            .prepare_cached("DELETE FROM places WHERE tenant = ?1 AND run_id = ?2 AND step = ?3 AND part = ?4")?;
        for place in &write.places {
            if place.index() >= run.steps.len() {
                return Err(Fault::damaged("a batch", format!("{} has no step {} to write", run.id, place.step)));
            }
            let Some(step) = run.at(*place).filter(|step| has_row(step)) else {
                delete.execute(params![tenant, Id(run.id.0), place.step, place.part()])?;
                continue;
            };
            put.execute(params![
                tenant,
                Id(run.id.0),
                place.step,
                place.part(),
                step.status.as_str(),
                step.attempt,
                Some(step.iteration).filter(|iteration| *iteration > 0),
                Some(step.issue).filter(|issue| *issue > 0),
                step.items.as_ref().map(|items| items.steps.len() as i64),
                micros(step.due_at),
                step.directive_id.map(|id| Id(id.0)),
                awaits(step),
                step.lock.as_deref(),
                micros(step.started_at),
                micros(step.ended_at),
                step.signal_id.map(|id| Id(id.0)),
                step.output_by.filter(|by| Some(*by) != step.signal_id).map(|id| Id(id.0)),
            ])?;
        }
        Ok(())
    }
}
