//! Facts, intents and runs. Facts are inserted and must be new: whoever decided has looked. Rows are
//! inserted, or brought up to date in those columns that may change.

use fleetprompt_core::Signal;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Run, Step};
use rusqlite::params;

use super::super::columns::{AnyId, Correlation, Id, micros, party_parts};
use super::super::directives::Policy;
use super::super::fault::{Fault, Result};
use super::Write;
use crate::{Batch, RunWrite};

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
               recorded_at, occurred_at, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
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
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO dispositions (tenant, signal_id, workflow, kind, run_id, at, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (tenant, signal_id, workflow) DO UPDATE SET kind = excluded.kind,
                   run_id = excluded.run_id, at = excluded.at, reason = excluded.reason",
            )?;
            statement.execute(params![
                self.numbers.tenant(disposition.tenant)?,
                Id(disposition.signal_id.0),
                self.numbers.name(disposition.workflow.as_str())?,
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
               actor_type, actor_id, idempotency_key, policy, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
             ON CONFLICT (tenant, id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
               wake_at = excluded.wake_at, cancel_requested = excluded.cancel_requested,
               settled_at = excluded.settled_at, settled_by = excluded.settled_by",
        )?;
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
            directive.origin.map(|origin| origin.step),
            Correlation::of(&directive.lineage.correlation_id),
            directive.lineage.causation_id.map(AnyId::of),
            directive.lineage.depth,
            directive.actor.kind,
            directive.actor.id,
            directive.idempotency_key,
            Policy::text_of(&directive.retry, directive.timeout),
            directive.payload.text(),
        ])?;
        Ok(())
    }

    fn runs(&mut self, batch: &Batch) -> Result<()> {
        for write in &batch.runs {
            let tenant = self.numbers.tenant(write.run.tenant)?;
            self.run(tenant, &write.run)?;
            self.steps(tenant, write)?;
        }
        Ok(())
    }

    fn run(&mut self, tenant: i64, run: &Run) -> Result<()> {
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO runs (tenant, id, workflow, version, status, steps, signal_id, directive_id,
               started_at, deadline, wake_at, ended_at, ended_by, correlation_id, depth, input)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
             ON CONFLICT (tenant, id) DO UPDATE SET status = excluded.status, wake_at = excluded.wake_at,
               ended_at = excluded.ended_at, ended_by = excluded.ended_by",
        )?;
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
            run.ended_by.map(|id| Id(id.0)),
            Correlation::of(&run.lineage.correlation_id),
            run.lineage.depth,
            run.input.as_ref().map(|input| input.text()),
        ])?;
        Ok(())
    }

    fn steps(&mut self, tenant: i64, write: &RunWrite) -> Result<()> {
        let run = &write.run;
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO steps (tenant, run_id, step, status, attempt, due_at, directive_id, started_at, ended_at,
               signal_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (tenant, run_id, step) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
               due_at = excluded.due_at, directive_id = excluded.directive_id, started_at = excluded.started_at,
               ended_at = excluded.ended_at, signal_id = excluded.signal_id",
        )?;
        for &index in &write.steps {
            let step: &Step = run
                .steps
                .get(index)
                .ok_or_else(|| Fault::damaged("a batch", format!("{} has no step {index} to write", run.id)))?;
            statement.execute(params![
                tenant,
                Id(run.id.0),
                index as i64,
                step.status.as_str(),
                step.attempt,
                micros(step.due_at),
                step.directive_id.map(|id| Id(id.0)),
                micros(step.started_at),
                micros(step.ended_at),
                step.signal_id.map(|id| Id(id.0)),
            ])?;
        }
        Ok(())
    }
}
