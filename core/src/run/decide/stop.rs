//! How a run ends before its steps do: what is under way is withdrawn, and once that has ended, what was
//! done is undone (`undo`) where that is asked for; then the run ends.

use super::super::record::{Ending, RunChange, RunRecord, StepChange, StepRecord};
use super::super::{Awaited, Place, Status, StepStatus};
use super::{Effect, Plan};
use crate::workflow::{OnRunError, StepKind};
use crate::{Failure, RecordId};

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
        if drains || ending.compensate && self.has_to_undo() {
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
                let compensate = self.ending().is_some_and(|ending| ending.compensate);
                self.effects.push(Effect::CancelRun { run, reason: reason.to_owned(), compensate });
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
        let Some(ending) = self.ending() else { return };
        match self.run.status {
            Status::Stopping if self.run.steps.in_flight() > 0 => {}
            Status::Stopping if ending.compensate && self.has_to_undo() => {
                self.emit_undoing(RunRecord { ending: Some(ending), ..self.run_record() });
                self.undo_next();
            }
            Status::Stopping => self.end(ending),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, ending: Ending) {
        let change = match ending.status {
            Status::Completed => RunChange::Completed,
            Status::Canceled => RunChange::Canceled,
            _ => RunChange::Failed,
        };
        let Ending { error, output, by, reason, .. } = ending;
        let record = RunRecord { error, output, by, reason, ..self.run_record() };
        self.emit_run(change, record);
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
