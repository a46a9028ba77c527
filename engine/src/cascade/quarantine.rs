//! What is decided in place of an outcome that the store cannot hold: something small that says so where an operator
//! looks, in the run, the directive or the schedule.

use fleetprompt_core::directive;
use fleetprompt_core::run;
use fleetprompt_core::schedule;
use fleetprompt_core::{Failure, Party, RunId, TenantId};

use super::Cascade;
use crate::Error;
use crate::input::Outcome;
use crate::perform::OutcomeHold;

impl Cascade<'_> {
    /// Returns `false` if nothing can be decided in its place. With `pauses_run` its run is paused first, so that nothing
    /// follows from the failure until an operator lets it.
    pub fn outcome_in_place(&mut self, outcome: Outcome, failure: Failure, pauses_run: bool) -> Result<bool, Error> {
        if pauses_run && !self.pause_run_of(&outcome, &failure)? {
            return Ok(false);
        }
        match outcome {
            Outcome::Step { tenant, run, place, attempt, begun, .. } => {
                let (result, logs, hold) = (Err(failure), Vec::new(), OutcomeHold::default());
                self.outcome(Outcome::Step { tenant, run, place, attempt, begun, result, execution: None, logs, hold })
            }
            Outcome::Directive { tenant, id, attempt, .. } => {
                let (result, logs, hold) = (Err(failure), Vec::new(), OutcomeHold::default());
                self.outcome(Outcome::Directive { tenant, id, attempt, result, execution: None, logs, hold })
            }
            Outcome::DirectiveDue { tenant, id } | Outcome::DirectiveDeferred { tenant, id } => {
                let Some(directive) = self.find_directive(tenant, id)? else { return Ok(false) };
                if directive.status.is_settled() {
                    return Ok(false);
                }
                if directive.handler == directive::HandlerKind::BuiltIn {
                    self.settle_built_in(directive.as_ref().clone(), Err(failure));
                } else {
                    let (by, reason) = (Party::engine(), failure.message);
                    self.directive(tenant, id, directive::Input::Cancel { by, reason, is_unsent: false })?;
                }
                self.settle()?;
                Ok(true)
            }
            Outcome::RunDue { .. } => {
                self.settle()?;
                Ok(pauses_run)
            }
            Outcome::ScheduleDue { tenant, slug } => {
                let Some(row) = self.find_schedule(tenant, &slug) else { return Ok(false) };
                let pause = schedule::Input::Pause { by: Party::engine(), reason: Some(failure.message) };
                let is_paused = self.schedule_decide(row, pause)?.is_ok();
                self.settle()?;
                Ok(is_paused)
            }
        }
    }

    fn pause_run_of(&mut self, outcome: &Outcome, failure: &Failure) -> Result<bool, Error> {
        let Some((tenant, run)) = self.run_of(outcome)? else { return Ok(false) };
        let input = run::Input::Pause { by: Party::engine(), reason: failure.message.clone() };
        self.advance(tenant, run, input)
    }

    fn run_of(&mut self, outcome: &Outcome) -> Result<Option<(TenantId, RunId)>, Error> {
        let (tenant, directive) = match outcome {
            Outcome::Step { tenant, run, .. } => return Ok(Some((*tenant, *run))),
            Outcome::RunDue { tenant, id } => return Ok(Some((*tenant, *id))),
            Outcome::ScheduleDue { .. } => return Ok(None),
            Outcome::Directive { tenant, id, .. } | Outcome::DirectiveDue { tenant, id } => (*tenant, *id),
            Outcome::DirectiveDeferred { tenant, id } => (*tenant, *id),
        };
        let origin = self.find_directive(tenant, directive)?.and_then(|directive| directive.origin);
        Ok(origin.map(|origin| (tenant, origin.run_id)))
    }
}
