//! `workflow.run.cancel`: a run ends; what it has under way is withdrawn, and drained before it has ended.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::OnRun;
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    run_id: RunId,
    #[serde(default)]
    reason: Option<String>,
    /// Whether what it did is undone first.
    #[serde(default)]
    compensate: bool,
}

impl OnRun for Cancel {
    const NAME: &'static str = "workflow.run.cancel";
    const SUMMARY: &'static str = "Cancels a run: {\"run_id\", \"reason\"?, \"compensate\"?}";
    const ROLE: Role = Role::Member;

    fn run_id(&self) -> RunId {
        self.run_id
    }

    fn input(self, _: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        let reason = self.reason.unwrap_or_else(|| "no reason was given".into());
        Ok(run::Input::Cancel { by: directive.actor.clone(), reason, compensate: self.compensate })
    }
}
