//! `workflow.run.resume`: a paused run goes on. The time that it stood still does not count for its timeout.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::{OnRun, check_reason};
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    run_id: RunId,
    reason: String,
}

impl OnRun for Resume {
    const NAME: &'static str = "workflow.run.resume";
    const SUMMARY: &'static str = "Lets a paused run go on: {\"run_id\", \"reason\"}";
    const ROLE: Role = Role::Member;

    fn check(&self) -> Result<(), String> {
        check_reason(&self.reason)
    }

    fn run_id(&self) -> RunId {
        self.run_id
    }

    fn input(self, _: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        Ok(run::Input::Resume { by: directive.actor.clone(), reason: self.reason })
    }
}
