//! What follows: which steps may run now, what each of them asks for, how an attempt ends, and how
//! the run does.

use super::super::record::{RunChange, RunRecord, StepChange, StepRecord};
use super::{BYTES_MAX, Effect, Plan, agent_effect};
use crate::expression::{Expression, Template};
use crate::run::{StepStatus, step_key};
use crate::workflow::{OnError, StepKind};
use crate::{DirectiveId, Failure, Json, Name, RecordId};

impl Plan<'_> {
    /// Decides every step whose edges have settled, and those behind it, until it is quiet.
    pub(super) fn advance(&mut self) {
        while let Some(index) = self.queue.pop_front() {
            if self.run.status.has_ended() || self.run.steps[index].status != StepStatus::Pending {
                continue;
            }
            match self.entry(index) {
                Entry::Wait => {}
                Entry::Run => {
                    self.cause = self.latest_before(index);
                    self.perform(index);
                }
                Entry::Skip(reason) => {
                    self.cause = self.latest_before(index);
                    let record = StepRecord { reason: Some(reason), ..StepRecord::default() };
                    self.emit_step(index, StepChange::Skipped, record);
                }
            }
        }
        self.complete_if_settled();
    }

    /// Whether a step may run, read off the edges into it and its `when`.
    fn entry(&self, index: usize) -> Entry {
        let step = &self.setting.workflow.steps[index];
        let mut missing = None;
        for edge in &step.after {
            let status = self.run.steps[edge.from].status;
            if !status.is_settled() {
                return Entry::Wait;
            }
            let satisfied = matches!(status, StepStatus::Completed | StepStatus::Failed) || !edge.required;
            if !satisfied {
                missing.get_or_insert(edge.from);
            }
        }
        match missing {
            Some(from) => {
                let (id, status) = (&self.setting.workflow.steps[from].id, self.run.steps[from].status);
                Entry::Skip(format!("step `{id}` was {}", status.as_str()))
            }
            None => Entry::Run,
        }
    }

    /// The signal that settled the last of the steps that this one waited for; what waits for none
    /// follows from the start. Ids rise with time.
    fn latest_before(&self, index: usize) -> RecordId {
        let edges = &self.setting.workflow.steps[index].after;
        let latest = edges.iter().filter_map(|edge| self.run.steps[edge.from].signal_id).max();
        latest.map_or(self.origin, RecordId::from)
    }

    fn perform(&mut self, index: usize) {
        let workflow = self.setting.workflow;
        let step = &workflow.steps[index];
        match step.when.as_ref().map(|when| when.holds(&self.view())) {
            Some(Ok(false)) => return self.skip(index, step.when.as_ref()),
            Some(Err(failure)) => return self.step_failed(index, failure, StepRecord::default()),
            Some(Ok(true)) | None => {}
        }
        match &step.kind {
            StepKind::Function { function, input } => self.call_function(index, function, input),
            StepKind::Agent { .. } => self.call_agent(index, 1),
            StepKind::Directive { directive, payload } => self.request_directive(index, directive, payload),
        }
    }

    fn skip(&mut self, index: usize, when: Option<&Expression>) {
        let source = when.map_or("", Expression::source);
        let reason = Some(format!("`when` did not hold: {source}"));
        self.emit_step(index, StepChange::Skipped, StepRecord { reason, ..StepRecord::default() });
    }

    fn call_function(&mut self, index: usize, function: &str, input: &Template) {
        let output = input.render(&self.view()).and_then(|input| self.functions.call(function, input.value()));
        self.attempt_ended(index, output, StepRecord { attempt: 1, ..StepRecord::default() });
    }

    pub(super) fn call_agent(&mut self, index: usize, attempt: u32) {
        let effect = agent_effect(&self.view(), index, attempt).map(|effect| match effect {
            Ok(Effect::Agent { ref input, .. }) => self.count(input).and(effect),
            other => other,
        });
        match effect {
            Some(Ok(effect)) => {
                self.emit_step(index, StepChange::Started, StepRecord { attempt, ..StepRecord::default() });
                self.effects.push(effect);
            }
            Some(Err(failure)) => self.step_failed(index, failure, StepRecord { attempt, ..StepRecord::default() }),
            None => unreachable!("only agent steps are called and retried as agents"),
        }
    }

    fn request_directive(&mut self, index: usize, name: &Name, payload: &Template) {
        let step = &self.setting.workflow.steps[index];
        let payload = payload.render(&self.view());
        let payload = match payload.and_then(|payload| self.count(&payload).map(|()| payload)) {
            Ok(payload) => payload,
            Err(failure) => return self.step_failed(index, failure, StepRecord::default()),
        };
        let id = DirectiveId(self.moment.uuid());
        let record = StepRecord { attempt: 1, directive_id: Some(id), ..StepRecord::default() };
        let started = self.emit_step(index, StepChange::Started, record);
        self.effects.push(Effect::Directive {
            id,
            step: index,
            name: name.clone(),
            payload,
            key: step_key(self.run.id, &step.id),
            retry: step.retry.clone(),
            timeout: step.timeout,
            lineage: self.run.lineage.caused_by(started),
        });
    }

    /// The end of one attempt: a checked output, another attempt, or the failure of the step.
    pub(super) fn attempt_ended(&mut self, index: usize, result: Result<Json, Failure>, record: StepRecord) {
        let step = &self.setting.workflow.steps[index];
        let checked = result.and_then(|output| match &step.output_schema {
            Some(schema) => match schema.validate(output.value()) {
                Ok(()) => Ok(output),
                Err(message) => Err(Failure::retry("output_invalid", message)),
            },
            None => Ok(output),
        });
        match checked.and_then(|output| self.count(&output).map(|()| output)) {
            Ok(output) => {
                self.emit_step(index, StepChange::Completed, StepRecord { output: Some(output), ..record });
            }
            Err(failure) => self.retry_or_fail(index, failure, record),
        }
    }

    fn count(&mut self, document: &Json) -> Result<(), Failure> {
        self.bytes += document.text().len();
        if self.bytes <= BYTES_MAX {
            return Ok(());
        }
        let message = format!("the outputs and inputs of the run's steps are more than {} MiB", BYTES_MAX >> 20);
        Err(Failure::fatal("run_too_large", message))
    }

    fn retry_or_fail(&mut self, index: usize, failure: Failure, record: StepRecord) {
        let step = &self.setting.workflow.steps[index];
        let is_agent = matches!(step.kind, StepKind::Agent { .. });
        let retry = step.retry.clone().unwrap_or_default();
        let delay = retry.delay(record.attempt, &failure, &step_key(self.run.id, &step.id));
        match delay.filter(|_| is_agent) {
            Some(delay) => {
                let due_at = Some(self.moment.now() + delay);
                self.emit_step(index, StepChange::Retrying, StepRecord { error: Some(failure), due_at, ..record });
            }
            None => self.step_failed(index, failure, record),
        }
    }

    fn step_failed(&mut self, index: usize, failure: Failure, record: StepRecord) {
        let step = &self.setting.workflow.steps[index];
        let failed = StepRecord { error: Some(failure.clone()), ..record };
        self.cause = self.emit_step(index, StepChange::Failed, failed).into();
        match step.on_error {
            OnError::Continue => {}
            OnError::Fail => {
                let message = format!("step `{}`: {}", step.id, failure.message);
                self.fail(Failure { message, ..failure });
            }
        }
    }

    fn complete_if_settled(&mut self) {
        if self.run.status.has_ended() || !self.run.steps.iter().all(|step| step.status.is_settled()) {
            return;
        }
        let last = self.run.steps.iter().filter_map(|step| step.signal_id).max();
        self.cause = last.map_or(self.origin, RecordId::from);
        let output = self.setting.workflow.output.as_ref().map(|output| output.render(&self.view()));
        match output.transpose() {
            Ok(output) => {
                let record = RunRecord { output, ..self.run_record() };
                self.emit_run(RunChange::Completed, record);
            }
            Err(failure) => {
                let message = format!("output: {}", failure.message);
                self.fail(Failure { message, ..failure });
            }
        }
    }

    pub(super) fn fail(&mut self, error: Failure) {
        self.withdraw_steps("the run failed");
        let record = RunRecord { error: Some(error), ..self.run_record() };
        self.emit_run(RunChange::Failed, record);
    }

    /// Steps that were begun end with the run; what was not begun was never anything.
    pub(super) fn withdraw_steps(&mut self, reason: &str) {
        for index in 0..self.run.steps.len() {
            let step = &self.run.steps[index];
            if matches!(step.status, StepStatus::Running | StepStatus::Retrying) {
                if let Some(directive) = step.directive_id {
                    self.effects.push(Effect::Withdraw { directive, reason: reason.to_owned() });
                }
                let record = StepRecord {
                    attempt: step.attempt,
                    directive_id: step.directive_id,
                    reason: Some(reason.to_owned()),
                    ..StepRecord::default()
                };
                self.emit_step(index, StepChange::Canceled, record);
            }
        }
    }
}

enum Entry {
    Wait,
    Run,
    Skip(String),
}
