//! `workflow.run.rerun`: a run is done again as a new one, on the same version or another, with the same
//! input or a corrected one. What directives of the first came to is taken over, so that nothing
//! happens twice; with `from` so are the outputs of the steps that do not lie behind it.

use std::collections::HashSet;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Carried, Place, Run, Start, StepStatus};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::{Step, StepKind, Wait, Workflow};
use fleetprompt_core::{Failure, Json, RunId};
use serde::Deserialize;
use serde_json::json;

use super::operation::check_reason;
use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::{Admitted, Candidate, Cascade, StartRun, no_run};

pub(crate) struct WorkflowRunRerun;

const NAME: &str = "workflow.run.rerun";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    run_id: RunId,
    reason: String,
    /// The version of the same workflow to take instead.
    #[serde(default)]
    version: Option<String>,
    /// A null is an input, and not the same as none.
    #[serde(default, deserialize_with = "fleetprompt_core::json::present")]
    input: Option<Json>,
    /// The step to begin with: what does not lie behind it keeps its output.
    #[serde(default)]
    from: Option<String>,
    /// Do also what has succeeded a second time.
    #[serde(default)]
    reissue: bool,
}

impl BuiltIn for WorkflowRunRerun {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Does a run again as a new one: {\"run_id\", \"reason\", \"version\"?, \"input\"?, \"from\"?, \"reissue\"?}"
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        let payload: Payload = read(NAME, payload)?;
        check_reason(&payload.reason).map_err(|message| format!("the payload of `{NAME}`: {message}"))
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        let invalid = |message| Failure::fatal("payload_invalid", message);
        let payload: Payload = read(NAME, &directive.payload).map_err(invalid)?;
        cascade.want_role(directive, Role::Operator)?;
        let tenant = directive.tenant;
        let open = cascade.find_run(tenant, payload.run_id)?.ok_or_else(|| no_run(payload.run_id))?;
        if !open.run.status.has_ended() {
            let message = format!("the run is {}; cancel it first", open.run.status);
            return Err(Failure::fatal("run_status", message).into());
        }
        let version = payload.version.as_deref().unwrap_or(&open.run.version);
        let workflow = cascade.workflow_for_run(tenant, &open.run.workflow, Some(version), true)?;
        let carried = match &payload.from {
            Some(from) => {
                let undone = cascade.undone_elsewhere(tenant, payload.run_id)?;
                // What was approved is this version with this input. For another one, an answer counts only if the caller
                // could give it.
                let is_same = payload.input.is_none() && version == &*open.run.version;
                let role = if is_same { Role::Owner } else { cascade.role_of(directive) };
                carried(&open.run, &open.workflow, &workflow, from, role, &undone)?
            }
            None => Vec::new(),
        };
        // A corrected input takes the place of the signal's payload.
        let input = payload.input.or_else(|| open.run.input.clone());
        if let (Some(schema), Some(input)) = (&workflow.input_schema, &input) {
            schema.validate(input.value()).map_err(|message| Failure::fatal("input_invalid", message))?;
        }
        let in_force = cascade.tenant(tenant)?.tenant.clone();
        let candidate = Candidate { tenant: &in_force, signal: open.signal.as_deref(), input: input.as_ref() };
        let keys = cascade.flow_keys(&workflow, &candidate)?;
        let queue = match cascade.admit(tenant, &workflow, &keys)? {
            Admitted::Now => None,
            Admitted::Queued(queue) => Some(queue),
            Admitted::Not(reason) => return Err(Failure::fatal("throttled", reason).into()),
        };
        let id = RunId(cascade.moment.uuid());
        let mut lineage = directive.lineage.clone();
        lineage.correlation_id = open.run.lineage.correlation_id.clone();
        lineage.depth = open.run.lineage.depth;
        let source = (!payload.reissue).then_some(payload.run_id);
        let start = Start { input, source, keys, queue, carried, ..Start::new(id, directive.id, lineage) };
        let start = StartRun { workflow, tenant: in_force, signal: open.signal.clone(), start };
        Ok(Handled { start: Some(start), ..Handled::with(json!({"run_id": id}).into()) })
    }
}

/// The outputs of completed steps that both versions have and that do not lie behind `from`, or behind an answer that
/// requires more than `role`: that is asked for again. Where an effect was compensated, by this run or by one that shares
/// it, there is no output to keep.
fn carried(
    run: &Run,
    was: &Workflow,
    is: &Workflow,
    from: &str,
    role: Role,
    undone: &[Place],
) -> Result<Vec<Carried>, Failure> {
    let missing = || Failure::fatal("not_found", format!("version {} has no step `{from}`", is.version));
    let mut behind = HashSet::new();
    let mut next = vec![*is.index.get(from).ok_or_else(missing)?];
    let requires_more =
        |step: &Step| matches!(step.kind, StepKind::Wait(Wait::Input { role: wanted, .. }) if wanted > role);
    next.extend((0..is.steps.len()).filter(|index| requires_more(&is.steps[*index])));
    while let Some(index) = next.pop() {
        if behind.insert(index) {
            next.extend(&is.steps[index].before);
        }
    }
    let kept = (0..is.steps.len()).filter(|index| !behind.contains(index));
    let of_run = |place: &Place| place.undo && run.at(*place).is_some_and(|undo| undo.status == StepStatus::Completed);
    let undone: HashSet<usize> = run.places().filter(of_run).chain(undone.iter().copied()).map(Place::index).collect();
    let mut carried = Vec::new();
    for index in kept {
        let Some(place) = was.index.get(&is.steps[index].id).copied() else { continue };
        let step = &run.steps[place];
        let Some(output) = step.output().filter(|_| step.status == StepStatus::Completed) else { continue };
        if undone.contains(&place) {
            let id = &is.steps[index].id;
            let message =
                format!("the effect of step `{id}` was compensated; run it again from that step, or as a whole");
            return Err(Failure::fatal("run_status", message));
        }
        let (output, directive_id) = (output.clone(), step.directive_id);
        carried.push(Carried { index, output, directive_id, compensable: step.compensable });
    }
    Ok(carried)
}
