//! Shared effects: a run that does another one again takes over what that one's directives did, so several runs have
//! the same effect. It is compensated once, by none of them while another relies on it, and is not taken over after that.

use std::collections::HashSet;
use std::sync::Arc;

use fleetprompt_core::directive::{Directive, Origin, Status};
use fleetprompt_core::run::{self, Place, Run, StepStatus, compensation_key};
use fleetprompt_core::{DirectiveId, Failure, RunId, TenantId};
use fleetprompt_store::{Page, RunFilter, StepRange};

use super::handle::{Intent, outcome_of, settled};
use super::{Cascade, Work, child_of};
use crate::Error;
use crate::cache::{OpenRun, READ_TOGETHER};

/// How many of the runs that may share an effect are looked at.
const RUNS_MAX: usize = 100;

impl Cascade<'_> {
    /// Whether the intent to compensate an effect is still to be requested, under the key that it then has. What
    /// another run does about a shared effect, or has done, holds for this run as well.
    pub(super) fn share_compensation(&mut self, intent: &mut Intent, origin: Origin) -> Result<bool, Error> {
        let Some(open) = self.find_run(intent.tenant, origin.run_id)? else { return Ok(true) };
        let place = origin.place.done();
        let effect = open.run.at(place).and_then(|unit| unit.directive_id);
        let effect = effect.map(|effect| self.find_directive(intent.tenant, effect)).transpose()?.flatten();
        let Some(effect) = effect else { return Ok(true) };
        let is_own = effect.origin.map(|origin| origin.run_id) == Some(open.run.id);
        if is_own && !self.may_share(&open.run)? {
            return Ok(true);
        }
        intent.idempotency_key = compensation_key(&effect.idempotency_key);
        intent.again = true;
        let known = self.directive_by_key(intent.tenant, &intent.idempotency_key)?;
        let is_of_another = |known: &Arc<Directive>| known.origin.map(|origin| origin.run_id) != Some(open.run.id);
        let input = match known.filter(is_of_another) {
            None => match self.relying_run(&open, place, &effect)? {
                None => return Ok(true),
                Some(other) => run::Input::UndoSkipped { place, reason: format!("{other} relies on the same effect") },
            },
            Some(known) => match known.status {
                Status::Succeeded => settled(origin, intent.id, known.settled_by, outcome_of(&known), Some(known.id)),
                Status::Requested | Status::Running => {
                    run::Input::UndoSkipped { place, reason: format!("{} compensates the same effect", known.actor.id) }
                }
                Status::Failed | Status::Canceled => {
                    settled(origin, intent.id, known.settled_by, Err(failed_elsewhere(&known)), None)
                }
            },
        };
        self.work.push_back(Work::Advance(intent.tenant, open.run.id, input));
        Ok(false)
    }

    /// Whether an effect has been compensated, or is about to be.
    pub(super) fn is_compensated(&mut self, effect: &Directive) -> Result<bool, Error> {
        let known = self.directive_by_key(effect.tenant, &compensation_key(&effect.idempotency_key))?;
        Ok(known.is_some_and(|known| is_compensating(&known)))
    }

    /// The places of a run whose effects other runs that share them have compensated.
    pub(crate) fn undone_elsewhere(&mut self, tenant: TenantId, id: RunId) -> Result<Vec<Place>, Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(Vec::new()) };
        if !self.may_share(&open.run)? {
            return Ok(Vec::new());
        }
        let of_place = |place: Place| {
            let unit = open.run.at(place).filter(|unit| !place.undo && unit.status == StepStatus::Completed)?;
            Some((place, unit.directive_id?))
        };
        let effects: Vec<(Place, DirectiveId)> = open.run.places().filter_map(of_place).collect();
        let mut undone = Vec::new();
        let mut left = effects.as_slice();
        while !left.is_empty() {
            let some = &left[..left.len().min(READ_TOGETHER)];
            let read = self.find_directives(tenant, some.iter().map(|(_, id)| *id))?;
            // A bulk read may end early, but not before its first record.
            let (some, rest) = left.split_at(read.len().max(1));
            let keys = read.iter().flatten().map(|effect| (tenant, compensation_key(&effect.idempotency_key)));
            let keys: Vec<_> = keys.collect();
            let stored = self.store.directives_by_key(&keys)?;
            let mut compensations = keys.iter().zip(stored);
            for ((place, _), effect) in some.iter().zip(&read) {
                let Some(effect) = effect else { continue };
                let (key, stored) = compensations.next().expect("there is a key for each effect");
                let is_undone = match self.staged_directive_by_key(tenant, &key.1) {
                    Some(staged) => is_compensating(staged),
                    None => stored.is_some_and(|stored| {
                        is_compensating(self.staged_directive(stored.id).map_or(&stored, |staged| &**staged))
                    }),
                };
                if is_undone || self.is_undone_run(effect)? {
                    undone.push(*place);
                }
            }
            left = rest;
        }
        Ok(undone)
    }

    fn find_directives(
        &self,
        tenant: TenantId,
        ids: impl Iterator<Item = DirectiveId>,
    ) -> Result<Vec<Option<Arc<Directive>>>, Error> {
        let ids: Vec<_> = ids.map(|id| (tenant, id)).collect();
        let read = self.cache.directives(&ids)?;
        let staged = |(_, id): &(TenantId, DirectiveId)| self.staged_directive(*id).cloned();
        Ok(ids.iter().zip(read).map(|(id, read)| staged(id).or(read)).collect())
    }

    /// Whether a directive started a run that has been undone since it completed.
    fn is_undone_run(&mut self, start: &Directive) -> Result<bool, Error> {
        let Some(child) = child_of(start) else { return Ok(false) };
        let Some(open) = self.find_run(start.tenant, child)? else { return Ok(false) };
        let is_undone =
            |place: Place| place.undo && open.run.at(place).is_some_and(|undo| undo.status == StepStatus::Completed);
        Ok(open.run.status == run::Status::Compensating || open.run.places().any(is_undone))
    }

    /// Whether another run may have the same effects.
    fn may_share(&mut self, run: &Run) -> Result<bool, Error> {
        Ok(run.source.is_some() || !self.reruns(run.tenant, run.id, 1)?.is_empty())
    }

    /// The runs that do a run again.
    fn reruns(&self, tenant: TenantId, id: RunId, limit: usize) -> Result<Vec<RunId>, Error> {
        let filter = RunFilter { source: Some(id), ..RunFilter::default() };
        let staged = self.before.changed().chain(self.stage.changed()).map(|(open, _)| &open.run);
        let staged: Vec<RunId> = staged.filter(|run| run.source == Some(id)).map(|run| run.id).collect();
        let stored = self.store.runs(tenant, &filter, Page::newest(limit))?;
        let known: HashSet<RunId> = staged.iter().copied().collect();
        Ok(staged.into_iter().chain(stored.into_iter().map(|run| run.id).filter(|id| !known.contains(id))).collect())
    }

    /// A run beside this one that has the effect of its place, and has completed or is still to complete.
    pub(super) fn relying_run(
        &mut self,
        open: &OpenRun,
        place: Place,
        effect: &Directive,
    ) -> Result<Option<RunId>, Error> {
        let tenant = open.run.tenant;
        let step = &open.workflow.steps[place.index()].id;
        let Some(first) = effect.origin.map(|origin| origin.run_id) else { return Ok(None) };
        let mut family = vec![first];
        let mut next = 0;
        while let Some(id) = family.get(next).copied().filter(|_| next < RUNS_MAX) {
            next += 1;
            family.extend(self.reruns(tenant, id, RUNS_MAX)?);
            if id != open.run.id && self.relies_on(tenant, id, step, place, effect.id)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn relies_on(
        &mut self,
        tenant: TenantId,
        id: RunId,
        step: &str,
        place: Place,
        effect: DirectiveId,
    ) -> Result<bool, Error> {
        let staged = self.staged_run(id).map(|open| open.run.clone());
        let head = match &staged {
            Some(run) => Run::clone(run),
            None => match self.store.run_head(tenant, id)? {
                Some(head) => head,
                None => return Ok(false),
            },
        };
        if !is_to_last(&head) {
            return Ok(false);
        }
        let Some(workflow) = self.cache.version(tenant, &head.workflow, &head.version)? else { return Ok(false) };
        let Some(index) = workflow.index.get(step).copied() else { return Ok(false) };
        let place = Place { step: index as u32, ..place };
        let run = match staged {
            Some(run) => Run::clone(&run),
            None => {
                let items = place.item.map_or((0, 0), |item| (item, item + 1));
                match self.store.run_steps(tenant, id, StepRange { items, ..StepRange::one(index) })? {
                    Some(part) => part.run,
                    None => return Ok(false),
                }
            }
        };
        let unit = run.at(place);
        Ok(unit.is_some_and(|unit| unit.status == StepStatus::Completed && unit.directive_id == Some(effect)))
    }
}

/// Whether what a run did is to last, as far as is known: it did not fail, and is not about to.
fn is_to_last(run: &Run) -> bool {
    let ending = run.standing.as_ref().and_then(|standing| standing.ending.as_ref());
    let status = ending.map_or(run.status, |ending| ending.status);
    !matches!(status, run::Status::Failed | run::Status::Canceled)
}

fn is_compensating(compensation: &Directive) -> bool {
    matches!(compensation.status, Status::Requested | Status::Running | Status::Succeeded)
}

fn failed_elsewhere(compensation: &Directive) -> Failure {
    let failure = outcome_of(compensation).err().unwrap_or_else(|| Failure::fatal("failed", "it failed"));
    let (id, run) = (compensation.id, &compensation.actor.id);
    Failure {
        message: format!(
            "{id} of {run} compensates the same effect, and failed: {}; retry that run first",
            failure.message
        ),
        ..failure
    }
}
