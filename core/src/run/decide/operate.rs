//! What people may do to a run: stop it for a while, end it, have parts of it done again, skipped, or
//! taken as done. All of it is on record with who and why, and nothing that has succeeded happens
//! twice unless they say so.

use std::collections::{BTreeSet, HashSet};

use super::super::record::{Ending, RunChange, RunRecord, StepChange, StepRecord};
use super::super::{Awaited, Place, Status, Step, StepStatus, Waiting};
use super::{Effect, Illegal, Plan, Todo};
use crate::tenant::Role;
use crate::workflow::{OnError, StepKind, Wait};
use crate::{DirectiveId, Failure, Json, Party, RunId, SignalId, Timestamp};

/// How many of the steps that a `finish` prevented are named.
const PREVENTED_SHOWN: usize = 10;

impl Plan<'_> {
    pub(super) fn pause(&mut self, by: Party, reason: String) -> Result<(), Illegal> {
        if self.run.status != Status::Running {
            return Err(Illegal::Status(self.run.status, "only a running one can be paused"));
        }
        let record = RunRecord { by: Some(by), reason: Some(reason), ..self.run_record() };
        self.emit_run(RunChange::Paused, record);
        Ok(())
    }

    pub(super) fn resume(&mut self, by: Party, reason: String) -> Result<(), Illegal> {
        if self.run.status != Status::Paused {
            let advice = match self.run.status {
                Status::Parked => "retry, skip or complete what failed, or cancel it",
                _ => "only a paused one can be resumed",
            };
            return Err(Illegal::Status(self.run.status, advice));
        }
        self.reopen(RunChange::Resumed, by, reason, Vec::new());
        match self.failure_left() {
            Some(failure) => self.fail(failure),
            None => self.take_up(),
        }
        Ok(())
    }

    /// It runs again. The time that it stood still does not count.
    fn reopen(&mut self, change: RunChange, by: Party, reason: String, from: Vec<String>) {
        let now = self.moment.now();
        let stood = self.run.status_by.map(|by| stood_since(by, now)).unwrap_or_default();
        let moved = self.run.deadline.map(|deadline| Timestamp(deadline.0.saturating_add(stood)));
        // Whoever lets a run go on whose time was over gives it that time anew.
        let deadline = match self.run.status.has_ended() || moved.is_some_and(|moved| moved <= now) {
            true => self.deadline(),
            false => moved,
        };
        let record = RunRecord { by: Some(by), reason: Some(reason), deadline, from, ..self.run_record() };
        self.cause = self.emit_run(change, record).into();
    }

    /// What stood still goes on: steps that became ready, items and iterations that were not begun,
    /// locks that were not taken.
    fn take_up(&mut self) {
        self.check_all();
        let places: Vec<Place> = self.run.places().filter(|place| !place.undo).collect();
        let mut lists = Vec::new();
        for place in places {
            let unit = self.unit(place);
            match unit.status {
                StepStatus::Running if unit.items.is_some() => lists.push(place.index()),
                StepStatus::Repeating if unit.due_at.is_none() => self.todo.push_back(Todo::Act(place)),
                StepStatus::Waiting => {
                    let is_lock = unit.waiting.as_ref().is_some_and(|it| matches!(it.what, Awaited::Lock { .. }));
                    if let Some(name) = unit.lock.clone().filter(|_| is_lock) {
                        self.effects.push(Effect::Lock { place, name });
                    }
                }
                _ => {}
            }
        }
        // Before steps that have become ready.
        lists.into_iter().rev().for_each(|index| self.todo.push_front(Todo::Items(index, None)));
    }

    /// A failure that ends the run unless somebody sees to it.
    fn failure_left(&self) -> Option<Failure> {
        let index = self.failures_left().next()?;
        let failure = self.run.steps[index].error.clone()?;
        let id = &self.setting.workflow.steps[index].id;
        Some(Failure { message: format!("step `{id}`: {}", failure.message), ..failure })
    }

    fn failures_left(&self) -> impl Iterator<Item = usize> {
        (0..self.run.steps.len()).filter(|index| {
            self.run.steps[*index].status == StepStatus::Failed
                && self.setting.workflow.steps[*index].on_error == OnError::Fail
                && !self.failure_is_taken_up(*index)
        })
    }

    pub(super) fn cancel(&mut self, by: Party, reason: String, compensate: bool) -> Result<(), Illegal> {
        let ending = Ending {
            status: Status::Canceled,
            error: None,
            output: None,
            by: Some(by),
            reason: Some(reason),
            compensate,
        };
        match self.run.status {
            Status::Stopping | Status::Compensating => {
                return Err(Illegal::Status(self.run.status, "it ends by itself"));
            }
            // What could not be undone stays as it is.
            _ if self.ending().is_some() => self.stop(Ending { compensate: false, ..ending }, "the run was canceled"),
            _ => self.stop(ending, "the run was canceled"),
        }
        Ok(())
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        self.run.standing.as_ref().and_then(|standing| standing.ending.clone())
    }

    // Again

    pub(super) fn retry(
        &mut self,
        by: Party,
        reason: String,
        from: Vec<usize>,
        reissue: bool,
        undone: &[Place],
    ) -> Result<(), Illegal> {
        match self.run.status {
            Status::Parked => {}
            status if status.has_ended() => {}
            status => return Err(Illegal::Status(status, "only one that is parked or has ended is retried")),
        }
        if let Some(ending) = self.ending() {
            self.undo_again(ending, false, by, reason);
            return Ok(());
        }
        self.is_not_undone()?;
        // What failed and nobody took up would end it again.
        let from: Vec<usize> = from.into_iter().chain(self.failures_left()).collect();
        if from.is_empty() && !self.can_go_on() {
            return Err(Illegal::Status(self.run.status, "no step failed; name the step to begin with"));
        }
        let again = self.done_again(&from)?;
        self.is_not_finished(&again)?;
        let stays = |place: &&Place| !reissue || !again.contains(&place.index());
        self.is_not_undone_elsewhere(undone.iter().find(stays))?;
        self.begin_again(&from, by, reason, reissue)?;
        self.take_up();
        Ok(())
    }

    /// What was undone cannot be gone on from.
    fn is_not_undone(&self) -> Result<(), Illegal> {
        let is_undone = |place: Place| self.run.at(place).is_some_and(|undo| undo.status == StepStatus::Completed);
        match self.run.places().any(|place| place.undo && is_undone(place)) {
            true => Err(Illegal::Status(self.run.status, "what it did was undone; run it again with `rerun`")),
            false => Ok(()),
        }
    }

    fn is_not_undone_elsewhere(&self, undone: Option<&Place>) -> Result<(), Illegal> {
        match undone {
            Some(place) => Err(Illegal::Undone(self.definition(*place).id.clone())),
            None => Ok(()),
        }
    }

    /// What a `finish` prevented does not happen because something else is done again: an operator has to name it.
    fn is_not_finished(&self, again: &BTreeSet<usize>) -> Result<(), Illegal> {
        let steps = &self.setting.workflow.steps;
        let has_finished = |index: &usize| {
            matches!(steps[*index].kind, StepKind::Finish(_)) && self.run.steps[*index].status == StepStatus::Completed
        };
        let Some(finish) = (0..steps.len()).filter(has_finished).find(|index| !again.contains(index)) else {
            return Ok(());
        };
        let pending = (0..steps.len()).filter(|index| self.run.steps[*index].status == StepStatus::Pending);
        let prevented: BTreeSet<usize> = pending.chain(self.cut_off()).filter(|index| !again.contains(index)).collect();
        if prevented.is_empty() {
            return Ok(());
        }
        let shown = prevented.iter().take(PREVENTED_SHOWN).map(|index| format!("`{}`", steps[*index].id));
        let mut shown: Vec<String> = shown.collect();
        let others = prevented.len() - shown.len();
        shown.extend((others > 0).then(|| format!("{others} others")));
        Err(Illegal::Finished { finish: steps[finish].id.clone(), prevented: shown.join(", ") })
    }

    /// These steps, and all that follow from them.
    fn done_again(&self, from: &[usize]) -> Result<BTreeSet<usize>, Illegal> {
        let followed = self.followed(from)?;
        Ok((0..followed.len()).filter(|index| followed[*index]).chain(from.iter().copied()).collect())
    }

    /// A run that was ended from outside, or parked for another reason than a step, goes on where it
    /// stood.
    fn can_go_on(&self) -> bool {
        match self.run.status {
            Status::Parked => true,
            Status::Completed => false,
            _ => !self.run.steps.all_settled() || !self.cut_off().is_empty(),
        }
    }

    /// The run is open again, and these steps, what followed from them, and what was cut off are as if
    /// they had not begun.
    fn begin_again(&mut self, from: &[usize], by: Party, reason: String, reissue: bool) -> Result<(), Illegal> {
        let followed = self.followed(from)?;
        let cut_off = self.cut_off();
        let steps: BTreeSet<usize> = from.iter().copied().collect();
        let ids = steps.iter().map(|index| self.setting.workflow.steps[*index].id.clone()).collect();
        let change = if self.run.status == Status::Parked { RunChange::Resumed } else { RunChange::Retried };
        self.reopen(change, by.clone(), reason.clone(), ids);
        for index in
            (0..followed.len()).filter(|index| followed[*index]).chain(cut_off).chain(steps).collect::<BTreeSet<_>>()
        {
            // What follows may go over another list this time.
            self.do_again(index, !followed[index] && !reissue, reissue, &by, &reason);
        }
        Ok(())
    }

    /// What was withdrawn because the run ended, and not because a step no longer wanted it.
    fn cut_off(&self) -> Vec<usize> {
        let steps = self.setting.workflow.steps.iter().zip(self.run.steps.iter());
        let begun = steps.filter(|(_, step)| !matches!(step.status, StepStatus::Pending | StepStatus::Skipped));
        let unwanted: HashSet<usize> = begun.flat_map(|(step, _)| step.cancels.iter().copied()).collect();
        let cut_off =
            |index: &usize| self.run.steps[*index].status == StepStatus::Canceled && !unwanted.contains(index);
        (0..self.run.steps.len()).filter(cut_off).collect()
    }

    /// For each step, whether an edge leads to it from one of these.
    fn followed(&self, from: &[usize]) -> Result<Vec<bool>, Illegal> {
        let mut followed = vec![false; self.run.steps.len()];
        let mut next: Vec<usize> = from.to_vec();
        while let Some(index) = next.pop() {
            let status = self.run.steps.get(index).ok_or(Illegal::NoSuchPlace)?.status;
            if status.is_in_flight() {
                return Err(Illegal::StepStatus(status, "wait until it has ended"));
            }
            let before = self.setting.workflow.steps[index].before.iter().copied();
            next.extend(before.filter(|later| !std::mem::replace(&mut followed[*later], true)));
        }
        Ok(followed)
    }

    /// Back to how it was before it began. Of a `for_each` that did not complete, items that did may be
    /// kept; a run that a step waited for goes on itself.
    fn do_again(&mut self, index: usize, keeps_items: bool, reissue: bool, by: &Party, reason: &str) {
        let place = Place::step(index);
        let unit = self.unit(place);
        if unit.status == StepStatus::Pending {
            return;
        }
        let issue = unit.issue + u32::from(reissue);
        let items = unit.items.as_ref().map(|items| items.steps.len() as u32);
        let kept = items.filter(|_| keeps_items && unit.status != StepStatus::Completed);
        let acted = kept.is_none() && self.has_effect(place);
        let compensable = acted && unit.compensable;
        let forgotten = self.forgotten(index, kept.is_some());
        self.changed.extend(forgotten);
        let record = StepRecord {
            issue,
            acted,
            compensable,
            items: kept,
            by: Some(by.clone()),
            reason: Some(reason.to_owned()),
            ..StepRecord::default()
        };
        self.emit_step(place, StepChange::Reset, record);
    }

    /// What is not there any more once a step is as it was before it began.
    fn forgotten(&self, index: usize, keeps_items: bool) -> Vec<Place> {
        let (place, step) = (Place::step(index), &self.run.steps[index]);
        let mut forgotten: Vec<Place> = step.undo.iter().map(|_| place.undo()).collect();
        for (at, item) in step.items.iter().flat_map(|items| items.steps.iter()).enumerate() {
            let stays = keeps_items && matches!(item.status, StepStatus::Completed | StepStatus::Skipped);
            if !stays && *item != Step::default() {
                let place = place.item(at as u32);
                forgotten.extend([place].into_iter().chain(item.undo.is_some().then(|| place.undo())));
            }
        }
        forgotten
    }

    pub(super) fn child_retried(
        &mut self,
        place: Place,
        run: RunId,
        by: Party,
        undone: &[Place],
    ) -> Result<(), Illegal> {
        let unit = self.run.at(place).ok_or(Illegal::NoSuchPlace)?;
        let waits = matches!(self.definition(place).kind, StepKind::Workflow { waits: true, .. });
        let is_whole = place == Place::step(place.index()) && unit.items.is_none();
        if !matches!(unit.status, StepStatus::Failed | StepStatus::Canceled) || !waits || !is_whole {
            return Err(Illegal::Stale(place));
        }
        if !self.run.status.has_ended() && self.run.status != Status::Parked {
            return Err(Illegal::Status(self.run.status, "it has gone on without it"));
        }
        if self.ending().is_some() {
            return Err(Illegal::Status(self.run.status, "what it did is being undone"));
        }
        self.is_not_undone()?;
        if self.run.status.has_ended() && self.failures_left().any(|index| index != place.index()) {
            return Err(Illegal::Status(self.run.status, "other steps of it failed as well; retry it by itself"));
        }
        self.is_not_finished(&self.done_again(&[place.index()])?)?;
        self.is_not_undone_elsewhere(undone.first())?;
        let directive = self.unit(place).directive_id;
        self.begin_again(&[place.index()], by, format!("{run} goes on"), false)?;
        self.emit_run_awaited(place, run, directive);
        match self.failure_left() {
            Some(failure) => self.fail(failure),
            None => self.take_up(),
        }
        Ok(())
    }

    pub(super) fn emit_run_awaited(&mut self, place: Place, run_id: RunId, directive_id: Option<DirectiveId>) {
        let timeout_at = self.definition(place).timeout.map(|timeout| self.moment.now() + timeout);
        let waiting = Waiting { timeout_at, ..Waiting::new(Awaited::Run { run_id }) };
        let due_at = waiting.due_at();
        let waiting = Some(waiting.into());
        let unit = self.unit(place);
        let (attempt, lock) = (unit.attempt.max(1), unit.lock.clone());
        let record = StepRecord { attempt, lock, directive_id, due_at, waiting, ..StepRecord::default() };
        self.emit_step(place, StepChange::Waiting, record);
    }

    // By hand

    pub(super) fn skip_place(&mut self, place: Place, by: Party, role: Role, reason: String) -> Result<(), Illegal> {
        if self.run.status == Status::Parked
            && let Some(ending) = self.ending()
        {
            self.undo_again(ending, true, by, reason);
            return Ok(());
        }
        self.seen_to(place, role)?;
        self.go_on_with(
            place,
            StepChange::Skipped,
            StepRecord { by: Some(by), reason: Some(reason), ..StepRecord::default() },
        );
        Ok(())
    }

    pub(super) fn complete_place(
        &mut self,
        place: Place,
        by: Party,
        role: Role,
        reason: String,
        output: Json,
    ) -> Result<(), Illegal> {
        self.seen_to(place, role)?;
        if let StepKind::Wait(Wait::Input { schema: Some(schema), .. }) = &self.definition(place).kind {
            schema.validate(output.value()).map_err(Illegal::Unfit)?;
        }
        if let Some(schema) = &self.definition(place).output_schema {
            schema.validate(output.value()).map_err(Illegal::Unfit)?;
        }
        self.count(&output).map_err(|failure| Illegal::Unfit(failure.message))?;
        let record = StepRecord { by: Some(by), reason: Some(reason), output: Some(output), ..StepRecord::default() };
        self.go_on_with(place, StepChange::Completed, record);
        Ok(())
    }

    /// Whether an operator may decide about a place: what acts outside has to end first, and who stands in for an answer
    /// needs the role that the answer requires.
    fn seen_to(&self, place: Place, role: Role) -> Result<(), Illegal> {
        let unit = self.run.at(place).filter(|_| !place.undo).ok_or(Illegal::NoSuchPlace)?;
        if let Some(wanted) = self.role_required(place, unit).filter(|wanted| role < *wanted) {
            return Err(Illegal::Role(wanted));
        }
        match self.run.status {
            Status::Parked if self.ending().is_some() => {
                return Err(Illegal::Status(self.run.status, "retry or skip what could not be undone, or cancel it"));
            }
            Status::Running | Status::Paused | Status::Parked => {}
            status => return Err(Illegal::Status(status, "its steps are not decided about any more")),
        }
        let of_step = self.run.steps[place.index()].status;
        match unit.status {
            _ if place.item.is_some() && of_step.is_settled() && of_step != StepStatus::Failed => {
                Err(Illegal::StepStatus(of_step, "its items are not decided about any more"))
            }
            StepStatus::Completed | StepStatus::Skipped => {
                Err(Illegal::StepStatus(unit.status, "it needs nothing; to do it again, retry from it"))
            }
            StepStatus::Canceling => Err(Illegal::StepStatus(unit.status, "wait until it has ended")),
            _ if unit.items.is_some() && unit.status.is_in_flight() => {
                Err(Illegal::StepStatus(unit.status, "decide about its items, one by one"))
            }
            StepStatus::Running if unit.directive_id.is_some() => {
                Err(Illegal::StepStatus(unit.status, "cancel or report its directive, which may act outside"))
            }
            StepStatus::Waiting if matches!(unit.waiting.as_ref().map(|it| &it.what), Some(Awaited::Run { .. })) => {
                Err(Illegal::StepStatus(unit.status, "cancel the run that it waits for"))
            }
            _ => Ok(()),
        }
    }

    /// The role that an answer at this place requires: before the question and after a failure the one of the
    /// definition, and in between the one that is asked now.
    fn role_required(&self, place: Place, unit: &Step) -> Option<Role> {
        let StepKind::Wait(Wait::Input { role, .. }) = &self.definition(place).kind else { return None };
        let asked = unit.waiting.as_ref().filter(|_| unit.status == StepStatus::Waiting);
        let asked = asked.and_then(|waiting| match waiting.what {
            Awaited::Input { role, .. } => Some(role),
            _ => None,
        });
        Some(asked.unwrap_or(*role))
    }

    fn go_on_with(&mut self, place: Place, change: StepChange, record: StepRecord) {
        let (by, reason) = (record.by.clone(), record.reason.clone());
        self.caused_by_place(place);
        self.emit_step(place, change, record);
        self.place_settled(place);
        if self.run.status == Status::Parked
            && self.failure_left().is_none()
            && let (Some(by), Some(reason)) = (by, reason)
        {
            self.reopen(RunChange::Resumed, by, reason, Vec::new());
            self.take_up();
        }
    }
}

/// How long ago, in microseconds, the signal was recorded: to the millisecond, which its id holds.
fn stood_since(signal: SignalId, now: Timestamp) -> i64 {
    let millis = (signal.0.as_u128() >> 80) as i64;
    (now.0 - millis * 1_000).max(0)
}
