//! `workflow.run.start`: a run begins. Requested by the router for each signal that matches, and by
//! callers and steps for themselves.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Start;
use fleetprompt_core::{Failure, Json, Lineage, RunId, SignalId, Slug};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::{Cascade, StartRun};

pub(crate) const NAME: &str = "workflow.run.start";

pub(crate) struct WorkflowRunStart;

/// What the router asks for. Only it names the signal and the run: a signal starts one run of a
/// workflow, whoever asks again.
#[derive(Serialize, Deserialize)]
pub(crate) struct StartBySignal {
    pub workflow: Slug,
    pub version: String,
    pub signal_id: SignalId,
    pub run_id: RunId,
}

/// What everybody else may ask for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    workflow: Slug,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    input: Option<Json>,
}

/// The run that a directive of the router stands for.
pub(crate) fn run_of(payload: &Json) -> Option<RunId> {
    payload.value().get("run_id")?.as_str()?.parse().ok()
}

impl BuiltIn for WorkflowRunStart {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Starts a run of a workflow: {\"workflow\", \"version\"?, \"input\"?}"
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        read::<Payload>(NAME, payload).map(drop)
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        // The router's own, left over from a commit that had grown too large.
        let by_signal: Option<StartBySignal> = serde_json::from_str(directive.payload.text()).ok();
        let (slug, version, input, signal, run_id) = match by_signal {
            Some(start) => {
                let signal = cascade.find_signal(directive.tenant, start.signal_id)?;
                (start.workflow, Some(start.version), None, signal, start.run_id)
            }
            None => {
                let invalid = |message| Failure::fatal("payload_invalid", message);
                let payload: Payload = read(NAME, &directive.payload).map_err(invalid)?;
                let run_id = RunId(cascade.moment.uuid());
                (payload.workflow, payload.version, payload.input, None, run_id)
            }
        };
        let workflow = cascade.workflow_for_run(directive.tenant, &slug, version.as_deref(), signal.is_some())?;
        if signal.is_none()
            && let Some(schema) = &workflow.input_schema
        {
            let given = input.clone().unwrap_or_else(Json::null);
            schema.validate(given.value()).map_err(|message| Failure::fatal("input_invalid", message))?;
        }
        if directive.lineage.depth > Lineage::DEPTH_MAX {
            let message = format!("{} runs lie between this one and its root fact; is it a loop?", Lineage::DEPTH_MAX);
            return Err(Failure::fatal("causation_too_deep", message).into());
        }
        let mut lineage = directive.lineage.clone();
        if signal.is_none() {
            lineage.depth += 1;
        }
        let start = Start { id: run_id, directive_id: directive.id, input, lineage };
        let tenant = cascade.tenant(directive.tenant)?.tenant.clone();
        let output = Json::from(json!({"run_id": run_id}));
        Ok(Handled { start: Some(StartRun { workflow, tenant, signal, start }), ..Handled::with(output) })
    }
}
