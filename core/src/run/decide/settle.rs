//! What the end of an attempt means: for its place, for the items beside it, for the step, for the run.

use super::super::record::{StepChange, StepRecord};
use super::super::{Place, Status, StepStatus, Steps, step_key};
use super::{Effect, Illegal, Plan, Todo};
use crate::workflow::{OnError, StepKind};
use crate::{DirectiveId, Failure, Json, RecordId, SignalId, Span};

impl Plan<'_> {
    pub(super) fn outcome(
        &mut self,
        place: Place,
        attempt: u32,
        result: Result<Json, Failure>,
        execution: Option<Json>,
        logs: Vec<String>,
    ) -> Result<(), Illegal> {
        let current = self.run.at(place).ok_or(Illegal::NoSuchPlace)?;
        let is_performed = matches!(self.definition(place).kind, StepKind::Agent { .. } | StepKind::Function { .. })
            && current.items.is_none()
            && !place.undo;
        if !is_performed || current.status != StepStatus::Running || current.attempt != attempt {
            return Err(Illegal::Stale(place));
        }
        self.caused_by_place(place);
        let record = StepRecord { attempt, execution, logs, ..StepRecord::default() };
        self.attempt_ended(place, result, record);
        Ok(())
    }

    /// The directive has made its own attempts; for the place this is the end of its only one.
    pub(super) fn settled(
        &mut self,
        place: Place,
        directive: DirectiveId,
        by: Option<SignalId>,
        result: Result<Json, Failure>,
        reused: Option<DirectiveId>,
    ) -> Result<(), Illegal> {
        let current = self.run.at(place).ok_or(Illegal::NoSuchPlace)?;
        let is_wanted = matches!(current.status, StepStatus::Running | StepStatus::Canceling);
        // What has come so far that it waits for a run has had this already.
        if !is_wanted || current.waiting.is_some() || current.directive_id != Some(directive) {
            return Err(Illegal::Stale(place));
        }
        self.cause = by.or(current.signal_id).map_or(self.cause, RecordId::from);
        if place.undo {
            self.undo_ended(place.done(), result.map(drop));
            return Ok(());
        }
        if let Some(run) = self.awaits_run(place, &result) {
            self.wait_for_run(place, run, Some(reused.unwrap_or(directive)));
            return Ok(());
        }
        let result = result.map_err(|failure| Failure { retryable: false, ..failure });
        let record = StepRecord { attempt: 1, directive_id: reused, reused: reused.is_some(), ..StepRecord::default() };
        self.attempt_ended(place, result, record);
        Ok(())
    }

    /// Somebody else had asked for the same already: its directive is this one's.
    pub(super) fn attached(&mut self, place: Place, asked: DirectiveId, directive: DirectiveId) -> Result<(), Illegal> {
        let current = self.run.at(place).ok_or(Illegal::NoSuchPlace)?;
        let change = match current.status {
            StepStatus::Running if place.undo => StepChange::Compensating,
            StepStatus::Running => StepChange::Started,
            StepStatus::Canceling => StepChange::Canceling,
            _ => return Err(Illegal::Stale(place)),
        };
        if current.directive_id != Some(asked) || asked == directive {
            return Err(Illegal::Stale(place));
        }
        let lock = current.lock.clone();
        self.caused_by_place(place);
        let record = StepRecord { attempt: 1, directive_id: Some(directive), lock, ..StepRecord::default() };
        self.emit_step(place, change, record);
        // It was withdrawn before it was known under which name.
        if change == StepChange::Canceling {
            self.effects.push(Effect::Withdraw { directive, reason: "the run no longer needs it".to_owned() });
        }
        Ok(())
    }

    /// The end of one attempt: a checked output, another attempt, or the failure of the place.
    pub(super) fn attempt_ended(&mut self, place: Place, result: Result<Json, Failure>, record: StepRecord) {
        let step = self.definition(place);
        let meter = self.setting.meter;
        let acts = matches!(step.kind, StepKind::Directive { .. } | StepKind::Workflow { .. });
        // Whatever is wrong with the output: the effect is there, and its compensation sees it.
        let acted = result.as_ref().ok().filter(|_| acts && step.compensate.is_some()).cloned();
        let checked = result.and_then(|output| {
            if let StepKind::Function { function, .. } = &step.kind {
                self.functions.check_output(function, output.value())?;
            }
            if let Some(schema) = &step.output_schema {
                meter.charge_bytes(output.text().len());
                schema.validate(output.value()).map_err(|message| Failure::retry("output_invalid", message))?;
            }
            self.count(&output).map(|()| output)
        });
        match checked {
            Ok(output) => self.iteration_ended(place, output, record),
            Err(failure) => self.retry_or_fail(place, failure, StepRecord { output: acted, ..record }),
        }
    }

    /// Once more, if it is to be repeated and nobody wants it to end.
    fn iteration_ended(&mut self, place: Place, output: Json, record: StepRecord) {
        let Some(repeat) = &self.definition(place).repeat else { return self.place_completed(place, output, record) };
        let iteration = self.unit(place).iteration + 1;
        let lock = self.unit(place).lock.clone();
        let is_wanted = self.unit(place).status != StepStatus::Canceling;
        // What `while` sees is how the place is after this iteration.
        let kept = self.unit(place).clone();
        // Of its outputs the last one stays.
        let kept_bytes = kept.output.as_ref().map_or(0, |output| output.text().len());
        self.run.change(place, |unit| (unit.iteration, unit.output) = (iteration, Some(output.clone())));
        let again = match &repeat.again {
            Some(again) => again.holds(&self.view_at(place)),
            None => Ok(iteration < repeat.max),
        };
        self.run.change(place, |unit| *unit = kept);
        let acted = self.definition(place).compensate.as_ref().map(|_| output.clone());
        match again {
            Ok(true) if is_wanted && iteration < repeat.max => {
                self.bytes -= kept_bytes.min(self.bytes);
                let due_at = (repeat.delay > Span::default()).then(|| self.moment.now() + repeat.delay);
                let record = StepRecord { output: Some(output), iteration, due_at, lock, ..record };
                self.emit_step(place, StepChange::Repeating, record);
                if due_at.is_none() {
                    self.todo.push_back(Todo::Act(place));
                }
            }
            Ok(true) if is_wanted => {
                let message = format!("`while` still holds after {iteration} iterations, and that is `max`");
                let record = StepRecord { output: acted, ..record };
                self.place_failed(place, Failure::fatal("repeat_exhausted", message), record);
            }
            Ok(_) => self.place_completed(place, output, record),
            Err(failure) => self.place_failed(place, failure, StepRecord { output: acted, ..record }),
        }
    }

    fn retry_or_fail(&mut self, place: Place, failure: Failure, record: StepRecord) {
        let step = self.definition(place);
        let unit = self.unit(place);
        let policy = match &step.kind {
            StepKind::Agent { .. } => Some(step.retry.clone().unwrap_or_default()),
            StepKind::Function { function, .. } => {
                let own = self.functions.performed_elsewhere(function);
                own.map(|own| step.retry.clone().unwrap_or_else(|| own.clone()))
            }
            StepKind::Directive { .. } | StepKind::Wait(_) | StepKind::Workflow { .. } | StepKind::Finish(_) => None,
        };
        let policy = policy.filter(|_| unit.status != StepStatus::Canceling);
        let elapsed = unit.started_at.map_or(Span::default(), |begun| self.moment.now() - begun);
        let key = step_key(self.run.id, &step.id, place, unit.iteration, unit.issue);
        let lock = unit.lock.clone();
        match policy.and_then(|policy| policy.delay(record.attempt, &failure, elapsed, &key)) {
            Some(delay) => {
                let due_at = Some(self.moment.now() + delay);
                let record = StepRecord { error: Some(failure), due_at, lock, ..record };
                self.emit_step(place, StepChange::Retrying, record);
            }
            None => self.place_failed(place, failure, record),
        }
    }

    pub(super) fn place_completed(&mut self, place: Place, output: Json, record: StepRecord) {
        self.emit_step(place, StepChange::Completed, StepRecord { output: Some(output), ..record });
        self.place_settled(place);
    }

    /// A withdrawn place that failed, for whatever reason, ended as it was wanted to.
    pub(super) fn place_failed(&mut self, place: Place, failure: Failure, record: StepRecord) {
        let is_withdrawn = self.unit(place).status == StepStatus::Canceling;
        let change = if is_withdrawn { StepChange::Canceled } else { StepChange::Failed };
        let failed = StepRecord { error: Some(failure.clone()), ..record };
        self.cause = self.emit_step(place, change, failed).into();
        if place.item.is_none() && !is_withdrawn {
            return self.step_failed(place.index(), failure);
        }
        self.place_settled(place);
    }

    /// After the end of an item comes the next, or the end of its step; after the end of the last thing
    /// under way in a run that is stopping, its end.
    pub(super) fn place_settled(&mut self, place: Place) {
        let index = place.index();
        let is_known = self.todo.back() == Some(&Todo::Items(index, None));
        if place.item.is_some() && !is_known {
            self.todo.push_back(Todo::Items(index, None));
        }
        self.conclude();
    }

    fn step_failed(&mut self, index: usize, failure: Failure) {
        // Where the run stands still, what becomes of it is decided when it goes on.
        if self.run.status != Status::Running {
            return;
        }
        let step = &self.setting.workflow.steps[index];
        if step.on_error == OnError::Fail && !self.failure_is_taken_up(index) {
            let message = format!("step `{}`: {}", step.id, failure.message);
            self.fail(Failure { message, ..failure });
        }
    }

    /// Whether a step completes with its items as they are: none while more are to come.
    pub(super) fn items_verdict(&self, index: usize) -> Option<bool> {
        let for_each = self.setting.workflow.steps[index].for_each.as_ref()?;
        let items = &self.run.steps[index].items.as_ref()?.steps;
        let (failed, completed) = (items.count(StepStatus::Failed), items.count(StepStatus::Completed));
        let wanted = for_each.at_least.map_or(items.len(), |wanted| (wanted as usize).min(items.len()));
        if self.run.steps[index].status == StepStatus::Canceling {
            return Some(true);
        }
        let too_many = match for_each.at_least {
            // Enough must still be possible.
            Some(_) => items.len() - failed - items.count(StepStatus::Canceled) < wanted,
            None => !for_each.tolerate.allows(failed, items.len()),
        };
        if too_many {
            return Some(false);
        }
        let is_enough = for_each.at_least.is_some() && completed >= wanted;
        (is_enough || items.all_settled()).then_some(true)
    }

    fn items_failure(&self, index: usize) -> Failure {
        let items = self.run.steps[index].items.as_ref().map(|items| &items.steps);
        let mut failed = items.into_iter().flat_map(Steps::iter).filter(|item| item.status == StepStatus::Failed);
        let why = failed.find_map(|item| item.error.as_ref()).map(|error| format!("; the first: {}", error.message));
        let (len, failed) = items.map_or((0, 0), |items| (items.len(), items.count(StepStatus::Failed)));
        Failure::fatal("items_failed", format!("{failed} of {len} items failed{}", why.unwrap_or_default()))
    }

    /// The step ends once nothing of it is under way any more.
    pub(super) fn items_ended(&mut self, index: usize) {
        let place = Place::step(index);
        self.withdraw_items(index, "its step no longer needs it");
        let in_flight = self.run.steps[index].items.as_ref().map_or(0, |items| items.steps.in_flight());
        if in_flight > 0 || !self.run.steps[index].status.is_in_flight() {
            return;
        }
        let latest = self.run.steps[index]
            .items
            .as_ref()
            .and_then(|items| items.steps.iter().filter_map(|item| item.signal_id).max());
        self.cause = latest.or(self.run.steps[index].signal_id).map_or(self.cause, RecordId::from);
        match self.items_verdict(index) {
            _ if self.run.steps[index].status == StepStatus::Canceling => {
                self.emit_step(place, StepChange::Canceled, StepRecord::default());
                self.conclude();
            }
            Some(false) => self.place_failed(place, self.items_failure(index), StepRecord::default()),
            Some(true) => {
                self.emit_step(place, StepChange::Completed, StepRecord::default());
                self.conclude();
            }
            None => {}
        }
    }
}
