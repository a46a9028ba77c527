//! `workflow.step.skip`: an operator has a run go on without a step.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::{OnRun, check_reason};
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skip {
    run_id: RunId,
    step: String,
    #[serde(default)]
    item: Option<u32>,
    reason: String,
}

impl OnRun for Skip {
    const NAME: &'static str = "workflow.step.skip";
    const SUMMARY: &'static str = "Has a run go on without a step: {\"run_id\", \"step\", \"item\"?, \"reason\"}";
    const ROLE: Role = Role::Operator;

    fn check(&self) -> Result<(), String> {
        check_reason(&self.reason)
    }

    fn run_id(&self) -> RunId {
        self.run_id
    }

    fn input(self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        let place = cascade.place_of(directive, self.run_id, &self.step, self.item)?;
        let (by, role) = (directive.actor.clone(), cascade.role_of(directive));
        Ok(run::Input::Skip { place, by, role, reason: self.reason })
    }
}
