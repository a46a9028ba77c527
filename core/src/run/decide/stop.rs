//! How a run ends before its steps do: what is under way is withdrawn, and once that has ended, what was
//! done is undone where that is asked for; then the run ends.

use super::super::record::{Ending, RunChange, RunRecord, StepChange, StepRecord};
use super::super::{Awaited, Place, Status, StepStatus};
use super::begin::Wanted;
use super::{Effect, Plan};
use crate::workflow::{OnRunError, StepKind};
use crate::{Failure, Party, RecordId};

impl Plan<'_> {
    /// A failure that nothing took up: what the workflow's `on_error` makes of it.
    pub(super) fn fail(&mut self, error: Failure) {
        let ending = |compensate| Ending {
            status: Status::Failed,
            error: Some(error.clone()),
            output: None,
            by: None,
            reason: None,
            compensate,
        };
        match self.setting.workflow.on_error {
            OnRunError::Fail => self.stop(ending(false), "the run failed"),
            OnRunError::Compensate => self.stop(ending(true), "the run failed"),
            OnRunError::Park => {
                let record = RunRecord { error: Some(error), ..self.run_record() };
                self.emit_run(RunChange::Parked, record);
            }
        }
    }

    pub(super) fn stop(&mut self, ending: Ending, reason: &str) {
        // What only waits is over at once; the rest has to come to its end.
        let drains = self.run.steps.in_flight() > 0;
        if drains || ending.compensate && self.next_undo().is_some() {
            let record = RunRecord { ending: Some(ending), ..self.run_record() };
            self.cause = self.emit_run(RunChange::Stopping, record).into();
            for index in 0..self.run.steps.len() {
                if self.run.steps[index].status.is_in_flight() {
                    self.withdraw(Place::step(index), reason);
                }
            }
            self.conclude();
        } else {
            self.end(ending);
        }
    }

    /// No longer wanted. What is under way outside ends in its own time, and its outcome is recorded,
    /// whichever it is.
    pub(super) fn withdraw(&mut self, place: Place, reason: &str) {
        let unit = self.unit(place);
        if unit.status == StepStatus::Canceling {
            return;
        }
        if unit.items.is_some() {
            let record = StepRecord { reason: Some(reason.to_owned()), ..StepRecord::default() };
            self.emit_step(place, StepChange::Canceling, record);
            return self.items_ended(place.index());
        }
        let (directive, lock) = (unit.directive_id, unit.lock.clone());
        let record = StepRecord {
            attempt: unit.attempt,
            directive_id: directive,
            reason: Some(reason.to_owned()),
            waiting: unit.waiting.clone(),
            lock,
            ..StepRecord::default()
        };
        let run = match unit.waiting.as_ref().map(|waiting| &waiting.what) {
            Some(Awaited::Run { run_id }) => Some(*run_id),
            _ => None,
        };
        let abandons = matches!(self.definition(place).kind, StepKind::Workflow { abandons: true, .. });
        match (directive, run) {
            (_, Some(run)) if !abandons => {
                self.emit_step(place, StepChange::Canceling, record);
                self.effects.push(Effect::CancelRun { run, reason: reason.to_owned() });
            }
            (Some(directive), None) if unit_is_running(self.unit(place).status) => {
                self.emit_step(place, StepChange::Canceling, record);
                self.effects.push(Effect::Withdraw { directive, reason: reason.to_owned() });
            }
            _ => {
                let record = StepRecord { waiting: None, lock: None, ..record };
                self.emit_step(place, StepChange::Canceled, record);
            }
        }
    }

    pub(super) fn withdraw_items(&mut self, index: usize, reason: &str) {
        let Some(items) = &self.run.steps[index].items else { return };
        if items.steps.in_flight() == items.steps.count(StepStatus::Canceling) {
            return;
        }
        let wanted = |(_, item): &(usize, &super::super::Step)| {
            item.status.is_in_flight() && item.status != StepStatus::Canceling
        };
        let under_way: Vec<u32> = items.steps.iter().enumerate().filter(wanted).map(|(at, _)| at as u32).collect();
        for item in under_way {
            self.withdraw(Place::step(index).item(item), reason);
        }
    }

    /// Goes on to the end, if it is to end and nothing is in its way.
    pub(super) fn conclude(&mut self) {
        let Some(ending) = self.run.standing.as_ref().and_then(|standing| standing.ending.clone()) else { return };
        match self.run.status {
            Status::Stopping if self.run.steps.in_flight() == 0 && ending.compensate && self.next_undo().is_some() => {
                let record = RunRecord { ending: Some(ending), ..self.run_record() };
                self.cause = self.emit_run(RunChange::Compensating, record).into();
                self.undo_next();
            }
            Status::Stopping if self.run.steps.in_flight() == 0 => self.end(ending),
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending) {
        let change = match ending.status {
            Status::Completed => RunChange::Completed,
            Status::Canceled => RunChange::Canceled,
            _ => RunChange::Failed,
        };
        let Ending { error, output, by, reason, .. } = ending;
        let record = RunRecord { error, output, by, reason, ..self.run_record() };
        self.emit_run(change, record);
    }

    // Compensation: newest first, one at a time

    fn undo_next(&mut self) {
        match self.next_undo() {
            Some(place) => self.undo(place),
            None => {
                let ending = self.run.standing.as_ref().and_then(|standing| standing.ending.clone());
                if let Some(ending) = ending {
                    self.end(ending);
                }
            }
        }
    }

    /// Of what completed and can be undone and has not been, what completed last.
    fn next_undo(&self) -> Option<Place> {
        let steps = &self.setting.workflow.steps;
        let done = self.run.places().filter(|place| {
            let Some(unit) = self.run.at(*place) else { return false };
            let is_undone = unit
                .undo
                .as_ref()
                .is_some_and(|undo| matches!(undo.status, StepStatus::Completed | StepStatus::Skipped));
            !place.undo
                && unit.items.is_none()
                && unit.status == StepStatus::Completed
                && steps[place.index()].compensate.is_some()
                && !is_undone
        });
        done.max_by_key(|place| self.run.at(*place).and_then(|unit| unit.signal_id))
    }

    pub(super) fn undo(&mut self, place: Place) {
        let Some(compensate) = &self.definition(place).compensate else { return };
        let wanted = Wanted {
            name: &compensate.directive,
            retry: compensate.retry.clone(),
            timeout: compensate.timeout,
            heartbeat: None,
        };
        let payload = compensate.payload.render(&self.view_at(place.undo()));
        self.request(place.undo(), wanted, payload, StepChange::Compensating);
    }

    pub(super) fn undo_ended(&mut self, place: Place, result: Result<(), Failure>) {
        match result {
            Ok(()) => {
                let undone = self.emit_step(place.undo(), StepChange::Compensated, StepRecord::default());
                self.cause = undone.into();
                // Where an operator stopped it meanwhile it goes on when they let it.
                if self.run.status == Status::Compensating {
                    self.undo_next();
                }
            }
            Err(failure) => {
                let record = StepRecord { error: Some(failure.clone()), ..StepRecord::default() };
                self.cause = self.emit_step(place.undo(), StepChange::CompensationFailed, record).into();
                let ending = self.run.standing.as_ref().and_then(|standing| standing.ending.clone());
                let message = format!("step `{}` could not be undone: {}", self.definition(place).id, failure.message);
                let error = Some(Failure { message, ..failure });
                self.emit_run(RunChange::Parked, RunRecord { error, ending, ..self.run_record() });
            }
        }
    }

    /// Undoing goes on, with what failed or with what comes after it.
    pub(super) fn undo_again(&mut self, ending: Ending, skip_failed: bool, by: Party, reason: String) {
        let failed = self
            .run
            .places()
            .find(|place| place.undo && self.run.at(*place).is_some_and(|undo| undo.status == StepStatus::Failed));
        let (by, reason) = (Some(by), Some(reason));
        let record = RunRecord { ending: Some(ending), by: by.clone(), reason: reason.clone(), ..self.run_record() };
        self.cause = self.emit_run(RunChange::Compensating, record).into();
        match failed {
            Some(place) if skip_failed => {
                let record = StepRecord { by, reason, ..StepRecord::default() };
                self.emit_step(place, StepChange::CompensationSkipped, record);
                self.undo_next();
            }
            Some(place) => self.undo(place.done()),
            None => self.undo_next(),
        }
    }

    pub(super) fn timed_out(&mut self) {
        let timeout = self.setting.workflow.timeout.unwrap_or_default();
        self.cause = RecordId::from(self.run.id);
        self.fail(Failure::fatal("timeout", format!("the run did not end within {timeout}")));
    }
}

fn unit_is_running(status: StepStatus) -> bool {
    matches!(status, StepStatus::Running)
}
