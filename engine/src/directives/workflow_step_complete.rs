//! `workflow.step.complete`: an operator says what a step came to, and the run goes on with that.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::{OnRun, check_reason};
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Complete {
    run_id: RunId,
    step: String,
    #[serde(default)]
    item: Option<u32>,
    output: Json,
    reason: String,
}

impl OnRun for Complete {
    const NAME: &'static str = "workflow.step.complete";
    const SUMMARY: &'static str =
        "Supplies the output of a step: {\"run_id\", \"step\", \"item\"?, \"output\", \"reason\"}";
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
        Ok(run::Input::Complete { place, by, role, reason: self.reason, output: self.output })
    }
}
