//! Reuse: a step that is done again does not act again. What its directive came to is taken over,
//! what failed is carried out once more under the same key, and another payload under the same key
//! is refused: only an operator who says so has something done twice.

use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, Origin, Status};
use fleetprompt_core::run::{self, Place, StepStatus};
use fleetprompt_core::{Failure, RunId, TenantId};

use super::handle::{Intent, outcome_of, settled};
use super::{Cascade, Work};
use crate::Error;
use crate::directives::workflow_run_start;

impl Cascade<'_> {
    /// Whether an earlier directive stands for this intent; then nothing is left to request.
    pub(super) fn reuse(&mut self, intent: &Intent) -> Result<bool, Error> {
        let Some(origin) = intent.origin else { return Ok(false) };
        if intent.again
            && let Some(known) = self.directive_by_key(intent.tenant, &intent.idempotency_key)?
        {
            self.take_over(intent, origin, &known)?;
            return Ok(true);
        }
        let Some(source_key) = &intent.source_key else { return Ok(false) };
        let Some(known) = self.done_before(intent.tenant, source_key, origin.place)? else { return Ok(false) };
        self.take_over(intent, origin, &known)?;
        Ok(true)
    }

    /// What came of it in the run that this one does again, or in one that that one did again.
    pub(super) fn done_before(
        &mut self,
        tenant: TenantId,
        source_key: &str,
        place: Place,
    ) -> Result<Option<Arc<Directive>>, Error> {
        const SOURCES_MAX: usize = 100;
        let Some((source, of_place)) = source_key.split_once(':') else { return Ok(None) };
        let mut source: Option<RunId> = source.parse().ok();
        for _ in 0..SOURCES_MAX {
            let open = source.map(|id| self.find_run(tenant, id)).transpose()?.flatten();
            let Some(open) = open else { return Ok(None) };
            let step = of_place.split(':').next().and_then(|step| open.workflow.index.get(step));
            let Some(step) = step else { return Ok(None) };
            let place = Place { step: *step as u32, ..place };
            let unit = |place| open.run.at(place);
            // What was undone in between is not done any more.
            if unit(place.undo()).is_some_and(|undo| undo.status == StepStatus::Completed) {
                return Ok(None);
            }
            for issue in (0..=open.run.issue_of(place)).rev() {
                let again = if issue > 0 { format!(":again{issue}") } else { String::new() };
                let known = self.directive_by_key(tenant, &format!("{}:{of_place}{again}", open.run.id))?;
                if let Some(known) = known.filter(|known| known.status == Status::Succeeded) {
                    let is_gone = self.is_failed_run(&known)? || self.is_compensated(&known)?;
                    return Ok(Some(known).filter(|_| !is_gone));
                }
            }
            source = open.run.source;
        }
        Ok(None)
    }

    fn take_over(&mut self, intent: &Intent, origin: Origin, known: &Arc<Directive>) -> Result<(), Error> {
        if !known.is_same_intent(&intent.name, &intent.payload) {
            let message = format!(
                "{} ({}) was requested here before with another payload; to do this as well, retry with `reissue`",
                known.id, known.name
            );
            self.refuse_reuse(intent, origin, message);
            return Ok(());
        }
        match known.status {
            Status::Succeeded if !origin.place.undo && self.is_compensated(known)? => {
                let message =
                    format!("{} ({}) has been compensated; to do it again, retry with `reissue`", known.id, known.name);
                self.refuse_reuse(intent, origin, message);
            }
            Status::Succeeded => {
                let ended = self.ended_run(known)?;
                let input = settled(origin, intent.id, known.settled_by, outcome_of(known), Some(known.id));
                self.work.push_back(Work::Advance(intent.tenant, origin.run_id, input));
                if let Some(child) = ended {
                    self.work.push_back(Work::AwaitEnded(intent.tenant, child, origin));
                }
            }
            Status::Failed | Status::Canceled => {
                self.attach(intent, origin, known);
                let input = directive::Input::Reopen { by: intent.actor.clone() };
                self.directive(intent.tenant, known.id, input)?;
                self.begins.push_back((intent.tenant, known.id));
            }
            Status::Requested | Status::Running => self.attach(intent, origin, known),
        }
        Ok(())
    }

    fn refuse_reuse(&mut self, intent: &Intent, origin: Origin, message: String) {
        let failure = Failure::fatal("reissue_needed", message);
        let input = settled(origin, intent.id, None, Err(failure), None);
        self.work.push_back(Work::Advance(intent.tenant, origin.run_id, input));
    }

    /// The directive that is there is the step's from now on.
    fn attach(&mut self, intent: &Intent, origin: Origin, known: &Directive) {
        let input = run::Input::Attached { place: origin.place, asked: intent.id, directive: known.id };
        self.work.push_back(Work::Advance(intent.tenant, origin.run_id, input));
    }

    /// A run that was started here, if it has ended: it is not started anew.
    fn ended_run(&mut self, known: &Directive) -> Result<Option<RunId>, Error> {
        let Some(child) = child_of(known) else { return Ok(None) };
        let open = self.find_run(known.tenant, child)?;
        Ok(open.filter(|open| open.run.status.has_ended()).map(|_| child))
    }

    fn is_failed_run(&mut self, known: &Directive) -> Result<bool, Error> {
        let Some(child) = child_of(known) else { return Ok(false) };
        let open = self.find_run(known.tenant, child)?;
        Ok(open.is_none_or(|open| open.run.status != run::Status::Completed))
    }
}

/// The run that a directive `workflow.run.start` started.
pub(crate) fn child_of(directive: &Directive) -> Option<RunId> {
    let is_start = directive.name.as_str() == workflow_run_start::NAME;
    let output = directive.output.as_ref().filter(|_| is_start)?;
    output.value().get("run_id")?.as_str()?.parse().ok()
}
