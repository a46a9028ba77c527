//! `signal.replay`: a signal on record is offered to its subscribers once more. Runs that it started
//! are not started again.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::{Failure, Json, SignalId};
use serde::Deserialize;
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::Cascade;

pub(crate) struct SignalReplay;

const NAME: &str = "signal.replay";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    signal_id: SignalId,
}

impl BuiltIn for SignalReplay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Offers a recorded signal to its subscribers again: {\"signal_id\"}"
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        read::<Payload>(NAME, payload).map(drop)
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        let invalid = |message| Failure::fatal("payload_invalid", message);
        let payload: Payload = read(NAME, &directive.payload).map_err(invalid)?;
        let missing = || Failure::fatal("not_found", format!("there is no signal `{}`", payload.signal_id));
        let signal = cascade.find_signal(directive.tenant, payload.signal_id)?.ok_or_else(missing)?;
        let dispositions: Vec<_> = cascade
            .route_again(&signal)?
            .into_iter()
            .map(|disposition| {
                json!({
                    "workflow": disposition.workflow,
                    "disposition": disposition.kind,
                    "run_id": disposition.run_id,
                    "reason": disposition.reason,
                })
            })
            .collect();
        Ok(Handled::with(json!({"dispositions": dispositions}).into()))
    }
}
