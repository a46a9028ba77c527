//! Compensate: a step that started runs is undone by undoing these, the newest first and one at a time. The run that
//! undoes them goes on when the last one has ended.

use std::sync::Arc;

use fleetprompt_core::directive::{Directive, Origin};
use fleetprompt_core::run::{self, Place, Run, Status, step_key};
use fleetprompt_core::{DirectiveId, Party, RunId, TenantId};

use super::{Cascade, Work, child_of};
use crate::Error;
use crate::cache::OpenRun;

impl Cascade<'_> {
    /// Has the next run undone that the place under compensation started; `after` is the directive that started the last
    /// one.
    pub(super) fn compensate_runs(
        &mut self,
        tenant: TenantId,
        id: RunId,
        after: Option<DirectiveId>,
    ) -> Result<(), Error> {
        let Some(open) = self.find_run(tenant, id)?.filter(|open| open.run.status == Status::Compensating) else {
            return Ok(());
        };
        let Some(place) = open.run.undoing().filter(|place| is_by_run(&open.run, *place)).map(Place::done) else {
            return Ok(());
        };
        let of_place = Origin { run_id: id, place };
        let latest = open.run.at(place).and_then(|unit| unit.directive_id);
        let mut started = match after {
            Some(after) => {
                let Some(last) = self.find_directive(tenant, after)? else { return Ok(()) };
                // It may be a run that another place started, and that has ended meanwhile.
                if latest != Some(after) && last.origin != Some(of_place) {
                    return Ok(());
                }
                self.started_before(&open, place, &last)?
            }
            None => self.last_started(&open, place)?,
        };
        if after.is_none()
            && let Some(effect) = &started
            && let Some(other) = self.relying_run(&open, place, effect)?
        {
            let reason = format!("{other} relies on the same effect");
            self.work.push_back(Work::Advance(tenant, id, run::Input::UndoSkipped { place, reason }));
            return Ok(());
        }
        while let Some(start) = started {
            if self.compensate_child(id, &start)? {
                return Ok(());
            }
            started = self.started_before(&open, place, &start)?;
        }
        self.work.push_back(Work::Advance(tenant, id, run::Input::ChildUndone { place }));
        Ok(())
    }

    /// The directive of the iteration before.
    fn started_before(
        &mut self,
        open: &OpenRun,
        place: Place,
        start: &Directive,
    ) -> Result<Option<Arc<Directive>>, Error> {
        match iteration_of(&start.idempotency_key).checked_sub(1) {
            Some(iteration) => self.started_in(open, place, iteration),
            None => Ok(None),
        }
    }

    /// The directive of the last iteration that began.
    fn last_started(&mut self, open: &OpenRun, place: Place) -> Result<Option<Arc<Directive>>, Error> {
        let Some(unit) = open.run.at(place) else { return Ok(None) };
        let latest = unit.directive_id.map(|id| self.find_directive(open.run.tenant, id)).transpose()?.flatten();
        match (latest, unit.iteration.checked_sub(1)) {
            // Between two iterations there is none, and one that was refused was not recorded.
            (None, Some(iteration)) => self.started_in(open, place, iteration),
            (latest, _) => Ok(latest),
        }
    }

    fn started_in(&mut self, open: &OpenRun, place: Place, iteration: u32) -> Result<Option<Arc<Directive>>, Error> {
        let step = &open.workflow.steps[place.index()].id;
        let issue = open.run.issue_of(place);
        let key = step_key(open.run.id, step, place, iteration, issue);
        if let Some(known) = self.directive_by_key(open.run.tenant, &key)? {
            return Ok(Some(known));
        }
        match open.run.source {
            Some(source) => self.done_before(open.run.tenant, &step_key(source, step, place, iteration, 0), place),
            None => Ok(None),
        }
    }

    /// Whether the end of the run that this directive started is to be waited for.
    fn compensate_child(&mut self, id: RunId, start: &Directive) -> Result<bool, Error> {
        let (tenant, Some(child)) = (start.tenant, child_of(start)) else { return Ok(false) };
        let input = run::Input::Compensate { by: Party::new("run", id), reason: format!("{id} is undone") };
        let decided = self.try_advance(tenant, child, input, None)?;
        let Some(open) = self.find_run(tenant, child)? else { return Ok(false) };
        Ok(match decided {
            _ if open.run.status.has_ended() => false,
            Some(Ok(())) => true,
            // It ends by itself, or when an operator has decided, and its parent is told.
            _ => open.run.parent.is_some_and(|parent| parent.run_id == id),
        })
    }

    /// Tells the runs that may wait for it that a run which was to end has ended.
    pub(super) fn tell_compensating(&mut self, before: Option<&Run>, run: &Run) {
        let Some(before) = before.filter(|_| run.status.has_ended()) else { return };
        let Some(ending) = before.standing.as_ref().and_then(|standing| standing.ending.as_ref()) else { return };
        let by = ending.by.as_ref().filter(|by| by.kind == "run").and_then(|by| by.id.parse::<RunId>().ok());
        let parent = run.parent.filter(|parent| parent.waits).map(|parent| parent.run_id);
        // One that was only stopped may have something to undo now.
        let after = Some(run.directive_id).filter(|_| before.status != Status::Stopping);
        for waiting in by.into_iter().chain(parent.filter(|parent| Some(*parent) != by)) {
            self.work.push_back(Work::CompensateRuns(run.tenant, waiting, after));
        }
    }
}

/// Whether the compensation at a place is that of runs, and no directive.
fn is_by_run(run: &Run, undo: Place) -> bool {
    run.at(undo).is_some_and(|unit| unit.directive_id.is_none())
}

/// Which iteration of its step the key of a directive is of.
fn iteration_of(key: &str) -> u32 {
    key.split(':').skip(2).find_map(|part| part.strip_prefix('r')?.parse().ok()).unwrap_or(0)
}
