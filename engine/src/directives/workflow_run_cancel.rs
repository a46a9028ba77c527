//! `workflow.run.cancel`: a run ends now; what it has in flight is withdrawn.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::{Failure, Json, RunId, run};
use serde::Deserialize;
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::Cascade;

pub(crate) struct WorkflowRunCancel;

const NAME: &str = "workflow.run.cancel";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    run_id: RunId,
    #[serde(default)]
    reason: Option<String>,
}

impl BuiltIn for WorkflowRunCancel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Cancels a run: {\"run_id\", \"reason\"?}"
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        read::<Payload>(NAME, payload).map(drop)
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        let invalid = |message| Failure::fatal("payload_invalid", message);
        let payload: Payload = read(NAME, &directive.payload).map_err(invalid)?;
        let open = cascade.find_run(directive.tenant, payload.run_id)?;
        let missing = || Failure::fatal("not_found", format!("there is no run `{}`", payload.run_id));
        let open = open.ok_or_else(missing)?;
        if open.run.status.has_ended() {
            let message = format!("the run has {} already", open.run.status.as_str());
            return Err(Failure::fatal("run_ended", message).into());
        }
        let reason = payload.reason.unwrap_or_else(|| "no reason was given".into());
        let input = run::Input::Cancel { by: directive.actor.clone(), reason };
        let output = Json::from(json!({"run_id": payload.run_id}));
        Ok(Handled { advance: Some((payload.run_id, input)), ..Handled::with(output) })
    }
}
