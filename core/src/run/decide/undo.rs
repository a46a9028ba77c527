//! Compensation: what of a run is to be undone, in which order, and by what. Newest first, and one at a time.
//!
//! What undoes a step is the directive of its `compensate`. A step that started a run and has none, or whose run did
//! not complete, is undone by compensating that run.

use super::super::record::{Ending, RunChange, RunRecord, StepChange, StepRecord};
use super::super::{Place, Run, Status, Step, StepStatus};
use super::begin::Wanted;
use super::{Effect, Illegal, Plan};
use crate::workflow::{Compensate, StepKind, Workflow};
use crate::{Failure, Party};

/// What undoes a place.
enum Undo<'a> {
    Directive(&'a Compensate),
    /// The compensation of the run that the step started.
    Run,
}

/// Whether a run that has ended left something that can be compensated.
pub fn is_compensable(workflow: &Workflow, run: &Run) -> bool {
    workflow.steps.iter().any(may_be_undone) && run.units().any(|(place, _)| to_undo(workflow, run, place).is_some())
}

fn may_be_undone(step: &crate::workflow::Step) -> bool {
    step.compensate.is_some() || owns_run(&step.kind)
}

/// A run that the step waits for and does not abandon is a part of this one.
fn owns_run(kind: &StepKind) -> bool {
    matches!(kind, StepKind::Workflow { waits: true, abandons: false, .. })
}

/// What undoes a place that has something to undo, and has not been undone. What acts outside leaves its output at the
/// place, however the step ended.
fn to_undo<'a>(workflow: &'a Workflow, run: &Run, place: Place) -> Option<Undo<'a>> {
    let unit = run.at(place).filter(|unit| unit.items.is_none() && !unit.is_undone())?;
    let step = &workflow.steps[place.index()];
    let has_acted = unit.status == StepStatus::Completed || unit.output.is_some();
    match &step.compensate {
        Some(compensate) if has_acted => Some(Undo::Directive(compensate)),
        _ => (owns_run(&step.kind) && unit.compensable).then_some(Undo::Run),
    }
}

impl<'a> Plan<'a> {
    fn to_undo(&self, place: Place) -> Option<Undo<'a>> {
        to_undo(self.setting.workflow, &self.run, place)
    }

    pub(super) fn has_to_undo(&self) -> bool {
        is_compensable(self.setting.workflow, &self.run)
    }

    /// Whether a place has an effect that is to be undone even when its step is reset.
    pub(super) fn has_effect(&self, place: Place) -> bool {
        self.to_undo(place).is_some()
    }

    /// The run is to be as if it had not been: where it has ended, too.
    pub(super) fn compensate(&mut self, by: Party, reason: String) -> Result<(), Illegal> {
        let status = match self.run.status {
            Status::Failed => Status::Failed,
            Status::Completed | Status::Canceled => Status::Canceled,
            Status::Parked if self.ending().is_some() => {
                return Err(Illegal::Status(self.run.status, "an operator decides what could not be undone"));
            }
            _ => return self.cancel(by, reason, true),
        };
        if !self.has_to_undo() {
            return Err(Illegal::Status(self.run.status, "nothing of it can be undone"));
        }
        let error = self.run.error.clone();
        let (by, reason) = (Some(by), Some(reason));
        let ending = Ending { status, error, output: None, by: by.clone(), reason: reason.clone(), compensate: true };
        self.emit_undoing(RunRecord { ending: Some(ending), by, reason, ..self.run_record() });
        self.undo_next();
        Ok(())
    }

    pub(super) fn emit_undoing(&mut self, record: RunRecord) {
        self.run.steps.forget_undo_order();
        self.cause = self.emit_run(RunChange::Compensating, record).into();
    }

    pub(super) fn undo_next(&mut self) {
        match self.next_undo() {
            Some(place) => self.undo(place),
            None => {
                if let Some(ending) = self.ending() {
                    self.end(ending);
                }
            }
        }
    }

    /// Nothing else changes while a run is undone, so the order is worked out once, and what was undone comes first.
    fn next_undo(&self) -> Option<Place> {
        let order = self.run.steps.undo_order(|| {
            let mut order: Vec<Place> = Vec::new();
            for (place, _) in self.run.units() {
                self.setting.meter.charge(1);
                order.extend(self.to_undo(place).map(|_| place));
            }
            order.sort_by_cached_key(|place| std::cmp::Reverse(self.run.at(*place).and_then(|unit| unit.signal_id)));
            order
        });
        let is_undone = |place: &Place| {
            self.setting.meter.charge(1);
            self.run.at(*place).is_some_and(Step::is_undone)
        };
        order.get(order.partition_point(is_undone)).copied()
    }

    pub(super) fn undo(&mut self, place: Place) {
        match self.to_undo(place) {
            Some(Undo::Directive(compensate)) => {
                let wanted = Wanted {
                    name: &compensate.directive,
                    retry: compensate.retry.clone(),
                    timeout: compensate.timeout,
                    heartbeat: None,
                };
                let payload = compensate.payload.render(&self.view_at(place.undo()));
                self.request(place.undo(), wanted, payload, StepChange::Compensating);
            }
            Some(Undo::Run) => {
                let record = StepRecord { attempt: 1, ..StepRecord::default() };
                self.emit_step(place.undo(), StepChange::Compensating, record);
                self.effects.push(Effect::CompensateRun { run: self.run.id, place });
            }
            None => {}
        }
    }

    /// The run that a step had started is undone, or what of it could be.
    pub(super) fn child_undone(&mut self, place: Place) -> Result<(), Illegal> {
        let unit = self.run.at(place.undo()).ok_or(Illegal::NoSuchPlace)?;
        if unit.status != StepStatus::Running || unit.directive_id.is_some() {
            return Err(Illegal::Stale(place));
        }
        self.caused_by_place(place.undo());
        self.undo_ended(place, Ok(()));
        Ok(())
    }

    /// Another run shares the effect, and this one leaves it alone.
    pub(super) fn undo_skipped(&mut self, place: Place, reason: String) -> Result<(), Illegal> {
        let unit = self.run.at(place.undo()).ok_or(Illegal::NoSuchPlace)?;
        if unit.status != StepStatus::Running {
            return Err(Illegal::Stale(place));
        }
        self.caused_by_place(place.undo());
        let record = StepRecord { reason: Some(reason), ..StepRecord::default() };
        self.cause = self.emit_step(place.undo(), StepChange::CompensationSkipped, record).into();
        self.undo_next();
        Ok(())
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
                let message = format!("step `{}` could not be undone: {}", self.definition(place).id, failure.message);
                let error = Some(Failure { message, ..failure });
                self.emit_run(RunChange::Parked, RunRecord { error, ending: self.ending(), ..self.run_record() });
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
        let ending = Some(ending);
        self.emit_undoing(RunRecord { ending, by: by.clone(), reason: reason.clone(), ..self.run_record() });
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
}
