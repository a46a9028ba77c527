//! `workflow.step.report`: somebody outside says how it went, or that they are still at it, under the key
//! that a step waits for: `{run id}:{step id}`, and `:{item}` where it goes over a list.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Failure, Json, RunId, run};
use serde::Deserialize;

use super::Unable;
use super::operation::OnRun;
use crate::cascade::Cascade;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    key: String,
    #[serde(flatten)]
    said: Said,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Output(serde_json::Value),
    Error(Failed),
    /// The value says nothing; that it is there does.
    Heartbeat(#[expect(dead_code, reason = "only its presence counts")] bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    code: String,
    message: String,
}

impl Report {
    fn parts(&self) -> Option<(RunId, &str, Option<u32>)> {
        let mut parts = self.key.split(':');
        let (run, step) = (parts.next()?.parse().ok()?, parts.next()?);
        let item = parts.next().map(str::parse).transpose().ok()?;
        parts.next().is_none().then_some((run, step, item))
    }
}

impl OnRun for Report {
    const NAME: &'static str = "workflow.step.report";
    const SUMMARY: &'static str =
        "Reports to a step that waits for a callback: {\"key\", and \"output\", \"error\" or \"heartbeat\": true}";
    const ROLE: Role = Role::Member;

    fn check(&self) -> Result<(), String> {
        self.parts().map(drop).ok_or_else(|| "`key` is like `{run id}:{step id}` or `{run id}:{step id}:{item}`".into())
    }

    fn run_id(&self) -> RunId {
        self.parts().map_or(RunId(uuid::Uuid::nil()), |(run, _, _)| run)
    }

    fn input(self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable> {
        let missing = || Failure::fatal("not_found", "no step waits under this key");
        let (run, step, item) = self.parts().ok_or_else(missing)?;
        let place = cascade.place_of(directive, run, step, item)?;
        let answer = match self.said {
            Said::Output(output) => run::Answer::Report(Ok(Json::from(output))),
            Said::Error(error) => run::Answer::Report(Err(Failure::fatal(&error.code, error.message))),
            Said::Heartbeat(_) => run::Answer::Heartbeat,
        };
        Ok(run::Input::Answered { place, by: directive.actor.clone(), answer })
    }
}
