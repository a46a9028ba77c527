//! `workflow.run.retry`: a run that is parked or has ended does some of its steps again: those that
//! failed, or those named and all behind them. What directives came to is taken over; with `reissue` what succeeded is done a second time.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Place;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::{OnRun, check_reason};
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    run_id: RunId,
    reason: String,
    /// Ids of steps.
    #[serde(default)]
    from: Vec<String>,
    #[serde(default)]
    reissue: bool,
}

impl OnRun for Retry {
    const NAME: &'static str = "workflow.run.retry";
    const SUMMARY: &'static str = "Does failed steps of a run again, or those named and all behind them: {\"run_id\", \"reason\", \"from\"?, \"reissue\"?}";
    const ROLE: Role = Role::Operator;

    fn check(&self) -> Result<(), String> {
        check_reason(&self.reason)
    }

    fn run_id(&self) -> RunId {
        self.run_id
    }

    fn input(self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        let place = |step: &String| cascade.place_of(directive, self.run_id, step, None).map(Place::index);
        let from = self.from.iter().map(place).collect::<Result<_, _>>()?;
        let undone = cascade.undone_elsewhere(directive.tenant, self.run_id)?;
        Ok(run::Input::Retry { by: directive.actor.clone(), reason: self.reason, from, reissue: self.reissue, undone })
    }
}
