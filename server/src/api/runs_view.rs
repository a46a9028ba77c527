//! What runs and their steps look like on the wire, and in words why one has not ended.

use std::collections::BTreeMap;
use std::fmt::Write;

use fleetprompt_client::wire;
use fleetprompt_core::diagnostic::shown;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{self, Items, Place, QueueReason, Run, RunRecord, Status, Step, StepStatus};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{Failure, RunId, SignalId, Timestamp};
use fleetprompt_engine::workers::{AttemptOf, With, Workers};
use serde::Deserialize;

use super::workers::ago;

/// Open steps of which it is said what they wait for.
pub const SHOWN_MAX: usize = 3;

/// Id and type of one step, as its workflow's document has them.
#[derive(Debug, Clone, Deserialize)]
pub struct StepName {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
}

pub fn step_names(workflow: &Workflow) -> Vec<StepName> {
    let name =
        |step: &fleetprompt_core::workflow::Step| StepName { id: step.id.clone(), kind: step.kind.name().to_owned() };
    workflow.steps.iter().map(name).collect()
}

/// From a version that is stored and not active. It was checked when it was applied, so that only
/// the names are read here.
pub fn step_names_of_document(version: &WorkflowVersion) -> Vec<StepName> {
    #[derive(Deserialize)]
    struct Document {
        workflow: Steps,
    }
    #[derive(Deserialize)]
    struct Steps {
        steps: Vec<StepName>,
    }
    serde_json::from_str::<Document>(version.document.text()).map_or(Vec::new(), |document| document.workflow.steps)
}

/// Without its steps.
pub fn run(run: &Run) -> wire::Run {
    wire::Run {
        id: run.id,
        workflow: run.workflow.clone(),
        version: run.version.to_string(),
        status: run.status,
        standing: standing(run),
        parent: run.parent.map(|parent| wire::Parent {
            run_id: parent.run_id,
            step: None,
            item: parent.place.item,
            waits: parent.waits,
        }),
        source: run.source,
        keys: run.keys.clone(),
        signal_id: run.signal_id,
        directive_id: run.directive_id,
        correlation_id: run.lineage.correlation_id.to_string(),
        causation_id: run.lineage.causation_id,
        started_at: run.started_at,
        begun_at: run.begun_at,
        ended_at: run.ended_at,
        deadline: run.deadline,
        waiting_for: waiting_for(run, &[], &[], None),
        input: run.input.clone(),
        output: run.output.clone(),
        error: run.error.clone(),
        steps: Vec::new(),
        refusals: Vec::new(),
    }
}

fn standing(run: &Run) -> Option<wire::Standing> {
    let RunRecord { queue, by, reason, error, ending, .. } = run.standing.as_deref()?.clone();
    let queue = queue.map(|queue| wire::Queued {
        reason: queue.reason,
        key: key_of(run, queue.reason),
        until: queue.until,
        since: queue.since,
    });
    let ending = ending.map(|ending| wire::Ending {
        status: ending.status,
        compensate: ending.compensate,
        by: ending.by,
        reason: ending.reason,
        error: ending.error,
    });
    Some(wire::Standing { since: recorded_at(run.status_by?), queue, by, reason, error, ending })
}

fn key_of(run: &Run, reason: QueueReason) -> Option<String> {
    let key = match reason {
        QueueReason::Concurrency => &run.keys.concurrency,
        QueueReason::Throttle => &run.keys.throttle,
        QueueReason::Debounce => &run.keys.debounce,
    };
    key.as_deref().filter(|key| !key.is_empty()).map(str::to_owned)
}

/// When a signal was recorded, to the millisecond, which its id holds.
pub fn recorded_at(id: SignalId) -> Timestamp {
    let millis = (id.0.as_u128() >> 80) as i64;
    Timestamp(millis * 1_000)
}

/// A step or an item. What the items of a step gave together is not part of it.
pub fn step(step: &Step, name: &StepName) -> wire::Step {
    wire::Step {
        id: name.id.clone(),
        kind: name.kind.clone(),
        item: None,
        status: step.status,
        attempt: step.attempt,
        iteration: step.iteration,
        issue: step.issue,
        directive_id: step.directive_id,
        waiting: step.waiting.as_deref().cloned(),
        lock: step.lock.as_deref().map(str::to_owned),
        started_at: step.started_at,
        ended_at: step.ended_at,
        due_at: step.due_at,
        output: step.output.clone(),
        error: step.error.clone(),
        items: step.items.as_deref().map(items),
        compensation: step.undo.as_deref().map(compensation),
        with_worker: None,
    }
}

/// One of the run's steps, and where its attempt is if that is with a worker, or should be.
pub fn step_with_worker(run: RunId, index: usize, step: &Step, name: &StepName, workers: &Workers) -> wire::Step {
    let mut shown = self::step(step, name);
    add_worker(&mut shown, run, Place::step(index), step, workers);
    shown
}

/// Whether the run waits for one of its steps, or for the compensation of that.
pub fn is_open(run: &Run, index: usize) -> bool {
    run.steps.get(index).is_some_and(|step| {
        step.status.is_in_flight() || step.undo.as_deref().is_some_and(|undo| undo.status.is_in_flight())
    })
}

/// Copies a step that was read by itself.
pub fn take_step(to: &mut Run, from: &Run, index: usize) {
    if let Some(step) = from.steps.get(index) {
        to.steps.change(index, |old| *old = step.clone());
    }
}

pub fn add_worker(shown: &mut wire::Step, run: RunId, place: Place, step: &Step, workers: &Workers) {
    if step.status != StepStatus::Running || step.items.is_some() {
        return;
    }
    let standing = match (step.directive_id, step.signal_id) {
        (Some(directive), _) => workers.standing_of_directive(directive),
        (None, Some(begun)) => workers.standing(&AttemptOf::Step { run, place, attempt: step.attempt, begun }),
        (None, None) => None,
    };
    shown.with_worker = standing.map(|standing| {
        let (status, worker, progress) = match standing.with {
            With::Nobody { has_worker: true } => (wire::AttemptPlace::Waiting, None, None),
            With::Nobody { has_worker: false } => (wire::AttemptPlace::NoWorker, None, None),
            With::Worker { name, progress } => (wire::AttemptPlace::Taken, name, progress),
        };
        wire::AttemptStanding {
            name: standing.name.to_string(),
            status,
            worker: worker.map(|worker| worker.to_string()),
            since: ago(standing.since),
            delivery: standing.deliveries,
            progress,
        }
    });
}

fn for_worker(id: &str, standing: &wire::AttemptStanding) -> Option<String> {
    let name = &standing.name;
    match (standing.status, &standing.worker) {
        (wire::AttemptPlace::NoWorker, _) => Some(format!("no worker performs `{name}` for step `{id}`")),
        (wire::AttemptPlace::Waiting, _) => Some(format!("step `{id}` waits for a worker that is free for `{name}`")),
        (wire::AttemptPlace::Taken, Some(worker)) => Some(format!("step `{id}` is with the worker {}", shown(worker))),
        (wire::AttemptPlace::Taken, None) => None,
    }
}

fn items(items: &Items) -> wire::Items {
    let count = |status| (status, u32::try_from(items.steps.count(status)).unwrap_or(u32::MAX));
    let by_status: BTreeMap<_, _> = StepStatus::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect();
    wire::Items { total: u32::try_from(items.steps.len()).unwrap_or(u32::MAX), by_status }
}

fn compensation(undo: &Step) -> wire::Compensation {
    wire::Compensation {
        status: undo.status,
        directive_id: undo.directive_id,
        started_at: undo.started_at,
        ended_at: undo.ended_at,
        output: undo.output.clone(),
        error: undo.error.clone(),
    }
}

// In words

/// Why a run has not ended, of which these steps are `open`. The first few of them say enough.
pub fn waiting_for(run: &Run, names: &[StepName], open: &[usize], workers: Option<&Workers>) -> Option<String> {
    if run.status.has_ended() {
        return None;
    }
    let known = |index: &usize| Some((*index, run.steps.get(*index)?, names.get(*index)?));
    let steps = of_steps(open.iter().filter_map(known).map(|(_, step, name)| (step, name)), open.len());
    let of_run = of_run(run);
    let mut text = [of_run, steps].into_iter().flatten().collect::<Vec<_>>().join("; ");
    if let Some(deadline) = run.deadline.filter(|_| run.status == Status::Running && !text.is_empty()) {
        let _ = write!(text, "; it must end by {deadline}");
    }
    let of_worker = |(index, step, name)| {
        let shown = step_with_worker(run.id, index, step, name, workers?);
        for_worker(&shown.id, shown.with_worker.as_ref()?)
    };
    for wait in open.iter().filter_map(known).filter_map(of_worker).take(SHOWN_MAX) {
        text += if text.is_empty() { "" } else { "; " };
        text += &wait;
    }
    Some(text).filter(|text| !text.is_empty())
}

fn of_run(run: &Run) -> Option<String> {
    let standing = standing(run)?;
    let by = standing.by.as_ref().map(|by| format!(" by {}", shown(&by.id))).unwrap_or_default();
    let reason = standing.reason.as_deref().filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {}", shown(reason))).unwrap_or_default();
    match run.status {
        Status::Queued => standing.queue.as_ref().map(queued),
        Status::Paused => Some(format!("it was paused{by}{reason}")),
        Status::Parked => {
            let failure = standing.error.as_ref().map(|error| format!(": {}", said(error))).unwrap_or_default();
            Some(format!("an operator is to decide{failure}"))
        }
        Status::Stopping => Some(format!("what was begun ends before it does{}", ending(&standing))),
        Status::Compensating => Some(format!("what it did is being undone{}", ending(&standing))),
        Status::Running | Status::Completed | Status::Failed | Status::Canceled => None,
    }
}

fn queued(queue: &wire::Queued) -> String {
    let key = queue.key.as_deref().map(|key| format!(" of `{}`", shown(key))).unwrap_or_default();
    let until = queue.until.map(|until| format!(", at the latest at {until}")).unwrap_or_default();
    format!("its turn by {}{key}{until}", queue.reason.as_str())
}

fn ending(standing: &wire::Standing) -> String {
    let Some(ending) = &standing.ending else { return String::new() };
    let why = ending.error.as_ref().map(said).or_else(|| ending.reason.as_deref().map(shown));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("; it will be {}{why}", ending.status)
}

fn said(failure: &Failure) -> String {
    format!("{}: {}", shown(&failure.code), shown(&failure.message))
}

fn of_steps<'a>(open: impl Iterator<Item = (&'a Step, &'a StepName)>, count: usize) -> Option<String> {
    let told: Vec<String> = open.filter_map(|(step, name)| of_step(step, &name.id)).take(SHOWN_MAX).collect();
    let (mut text, more) = (told.join("; "), count.saturating_sub(told.len()));
    if more > 0 && !text.is_empty() {
        let _ = write!(text, "; and {more} more");
    }
    Some(text).filter(|text| !text.is_empty())
}

fn of_step(step: &Step, id: &str) -> Option<String> {
    if let Some(undo) = step.undo.as_deref().filter(|undo| undo.status.is_in_flight()) {
        let directive = undo.directive_id.map(|id| format!(" by directive {id}")).unwrap_or_default();
        return Some(format!("step `{id}` is being undone{directive}"));
    }
    match step.status {
        StepStatus::Running => Some(running(step, id)),
        StepStatus::Waiting => {
            step.waiting.as_ref().map(|waiting| format!("step `{id}` waits for {}", awaited(waiting)))
        }
        StepStatus::Retrying => {
            let why = step.error.as_ref().map(|error| format!(": {}", said(error))).unwrap_or_default();
            Some(format!("step `{id}` tries again{}{why}", at(step.due_at)))
        }
        StepStatus::Repeating => {
            Some(format!("step `{id}` begins iteration {}{}", step.iteration + 1, at(step.due_at)))
        }
        StepStatus::Canceling => Some(format!("step `{id}` was withdrawn and has not ended")),
        StepStatus::Pending
        | StepStatus::Completed
        | StepStatus::Failed
        | StepStatus::Skipped
        | StepStatus::Canceled => None,
    }
}

fn running(step: &Step, id: &str) -> String {
    match (step.items.as_deref(), step.directive_id) {
        (Some(items), _) => {
            let open = items.steps.in_flight() + items.steps.count(StepStatus::Pending);
            format!("step `{id}` has {open} of {} items left", items.steps.len())
        }
        (None, Some(directive)) => format!("step `{id}` waits for directive {directive}"),
        (None, None) => format!("step `{id}` is at work, attempt {}", step.attempt),
    }
}

/// `directive dir_… is tried again at …, attempt 2: http_status: the endpoint answered 429 …`.
pub fn postponed(directive: &Directive, at: Timestamp, why: Option<&Failure>) -> String {
    let why = why.map(|failure| format!(": {}", said(failure))).unwrap_or_default();
    format!("directive {} is tried again at {at}, attempt {}{why}", directive.id, directive.attempt + 1)
}

fn at(due: Option<Timestamp>) -> String {
    due.map(|due| format!(" at {due}")).unwrap_or_default()
}

/// `a signal payment.received, until 2026-11-22T09:30:00Z`.
fn awaited(waiting: &run::Waiting) -> String {
    use fleetprompt_core::run::Awaited;
    let what = match &waiting.what {
        Awaited::Time { until } => return format!("{until}"),
        Awaited::Signal { events, .. } => {
            format!("the signal {}", events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" or "))
        }
        Awaited::Input { role, .. } => format!("the answer of somebody with the role {}", role.as_str()),
        Awaited::Callback { key } => format!("a report under the key {}", shown(key)),
        Awaited::Run { run_id } => format!("run {run_id}"),
        Awaited::Lock { name } => format!("the lock `{}`", shown(name)),
    };
    let until = waiting.timeout_at.map(|at| format!(", until {at}")).unwrap_or_default();
    what + &until
}
