//! `workflow.run.start`: a run begins. Requested by the router for each signal that matches, and by
//! callers and steps for themselves.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Parent, Start, step_key};
use fleetprompt_core::workflow::StepKind;
use fleetprompt_core::{Failure, Json, Lineage, RunId, SignalId, Slug};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::{Admitted, Candidate, Cascade, StartRun, child_of};

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
        let tenant = cascade.tenant(directive.tenant)?.tenant.clone();
        let candidate = Candidate { tenant: &tenant, signal: signal.as_deref(), input: input.as_ref() };
        let mut keys = cascade.flow_keys(&workflow, &candidate)?;
        let (parent, source) = origin(cascade, directive)?;
        cascade.share_place(directive.tenant, &workflow, &mut keys, parent)?;
        let queue = match cascade.admit(directive.tenant, &workflow, &keys)? {
            Admitted::Now => None,
            Admitted::Queued(queue) => Some(queue),
            Admitted::Not(reason) => return Err(Failure::fatal("throttled", reason).into()),
        };
        let mut lineage = directive.lineage.clone();
        if signal.is_none() {
            lineage.depth += 1;
        }
        let start = Start { input, parent, source, keys, queue, ..Start::new(run_id, directive.id, lineage) };
        let output = Json::from(json!({"run_id": run_id}));
        Ok(Handled { start: Some(StartRun { workflow, tenant, signal, start }), ..Handled::with(output) })
    }
}

/// The step that asks for the run, and, where that step is done again, the run that it had before.
fn origin(cascade: &mut Cascade<'_>, directive: &Directive) -> Result<(Option<Parent>, Option<RunId>), Unable> {
    let Some(origin) = directive.origin else { return Ok((None, None)) };
    let Some(open) = cascade.find_run(directive.tenant, origin.run_id)? else { return Ok((None, None)) };
    let step = &open.workflow.steps[origin.place.index()];
    let waits = matches!(step.kind, StepKind::Workflow { waits: true, .. });
    let parent = Parent { run_id: origin.run_id, place: origin.place, waits };
    let Some(source) = open.run.source else { return Ok((Some(parent), None)) };
    let iteration = open.run.at(origin.place).map_or(0, |unit| unit.iteration);
    let key = step_key(source, &step.id, origin.place, iteration, 0);
    let earlier = cascade.directive_by_key(directive.tenant, &key)?;
    Ok((Some(parent), earlier.and_then(|earlier| child_of(&earlier))))
}
