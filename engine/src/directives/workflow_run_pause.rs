//! `workflow.run.pause`: what is under way in a run ends, and nothing else begins until it is resumed.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::{OnRun, check_reason};
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    run_id: RunId,
    reason: String,
}

impl OnRun for Pause {
    const NAME: &'static str = "workflow.run.pause";
    const SUMMARY: &'static str = "Pauses a run: {\"run_id\", \"reason\"}";
    const ROLE: Role = Role::Member;

    fn check(&self) -> Result<(), String> {
        check_reason(&self.reason)
    }

    fn run_id(&self) -> RunId {
        self.run_id
    }

    fn input(self, _: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        Ok(run::Input::Pause { by: directive.actor.clone(), reason: self.reason })
    }
}
