//! `workflow.run.start`: a run begins. Requested by the router for each signal that matches, and by
//! callers and steps for themselves.

use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Descent, Parent, Start, step_key};
use fleetprompt_core::workflow::StepKind;
use fleetprompt_core::{Failure, Json, RunId, Signal, SignalId, Slug, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::{Admitted, Candidate, Cascade, StartRun, child_of};

pub(crate) const NAME: &str = "workflow.run.start";

/// Maximum number of runs each of which waits for the next one to end.
const NESTING_MAX: usize = 32;

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

impl StartBySignal {
    /// `None` if a caller or a step requested the directive.
    pub fn of(directive: &Directive) -> Option<Self> {
        let is_start = directive.name.as_str() == NAME && directive.origin.is_none();
        if is_start { serde_json::from_str(directive.payload.text()).ok() } else { None }
    }
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
        let (slug, version, input, signal, run_id) = match StartBySignal::of(directive) {
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
        let tenant = cascade.tenant(directive.tenant)?.tenant.clone();
        let candidate = Candidate { tenant: &tenant, signal: signal.as_deref(), input: input.as_ref() };
        let mut keys = cascade.flow_keys(&workflow, &candidate)?;
        let (parent, source) = origin(cascade, directive)?;
        check_nesting(cascade, directive.tenant, parent)?;
        cascade.share_place(directive.tenant, &workflow, &mut keys, parent)?;
        let descent = descent(cascade, directive, signal.as_deref())?;
        let queue = match cascade.admit(directive.tenant, &workflow, &keys)? {
            Admitted::Now => None,
            Admitted::Queued(queue) => Some(queue),
            Admitted::Not(reason) => return Err(Failure::fatal("throttled", reason).into()),
        };
        let lineage = directive.lineage.clone();
        let lineage = if signal.is_none() { lineage.of_run() } else { lineage };
        let start = Start { input, parent, source, descent, keys, queue, ..Start::new(run_id, directive.id, lineage) };
        let output = Json::from(json!({"run_id": run_id}));
        Ok(Handled { start: Some(StartRun { workflow, tenant, signal, start }), ..Handled::with(output) })
    }
}

/// The position of the new run below its root; the failure of the directive if the root may have no more descendants.
fn descent(
    cascade: &mut Cascade<'_>,
    directive: &Directive,
    signal: Option<&Signal>,
) -> Result<Option<Arc<Descent>>, Unable> {
    let ancestry = match signal {
        Some(signal) => cascade.ancestry_of_signal(signal)?,
        None => cascade.ancestry_of_directive(directive)?,
    };
    let descent = cascade.descend(directive.tenant, ancestry, signal.is_some())?;
    descent.map_err(|refused| Failure::fatal("descendants_limit", refused.to_string()).into())
}

/// A run that waits for a run that waits for a run keeps all of them open.
fn check_nesting(cascade: &mut Cascade<'_>, tenant: TenantId, parent: Option<Parent>) -> Result<(), Unable> {
    let mut waiting = parent;
    for _ in 0..NESTING_MAX {
        let Some(Parent { run_id, waits: true, .. }) = waiting else { return Ok(()) };
        waiting = cascade.find_run(tenant, run_id)?.and_then(|open| open.run.parent);
    }
    let message = format!("{NESTING_MAX} runs wait for each other's end already; at most as many may be nested");
    Err(Failure::fatal("nesting_too_deep", message).into())
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
