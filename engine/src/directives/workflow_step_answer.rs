//! `workflow.step.answer`: a person answers a step that waits for input. Whether their role may is part
//! of what the step waits for.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::OnRun;
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    run_id: RunId,
    step: String,
    #[serde(default)]
    item: Option<u32>,
    value: Json,
}

impl OnRun for Answer {
    const NAME: &'static str = "workflow.step.answer";
    const SUMMARY: &'static str = "Answers a step that waits for input: {\"run_id\", \"step\", \"item\"?, \"value\"}";
    const ROLE: Role = Role::Member;

    fn run_id(&self) -> RunId {
        self.run_id
    }

    fn input(self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        let place = cascade.place_of(directive, self.run_id, &self.step, self.item)?;
        let answer = run::Answer::Input { value: self.value, role: cascade.role_of(directive) };
        Ok(run::Input::Answered { place, by: directive.actor.clone(), answer })
    }
}
