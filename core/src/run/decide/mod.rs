//! What becomes of a run: the one place that says which step comes next.
//!
//! `decide` takes the run and one input and goes on until nothing more follows without the outside
//! world. Pure functions are part of the decision, so a run that needs nothing else starts and ends
//! in a single one.
//!
//! Here is what comes in; `follow` is what follows from it, `emit` how it is recorded.

mod emit;
mod follow;

use std::collections::VecDeque;

use serde_json::Value;

use super::context::{Fixed, View};
use super::record::{RunChange, RunRecord, StepRecord};
use super::{Run, Setting, Status, Step, StepStatus, step_key};
use crate::retry::RetryPolicy;
use crate::workflow::StepKind;
use crate::{DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RecordId, RunId, Signal, SignalId, Slug, Span};

/// The outputs of a run's steps, and what its next steps are given at once: a run is held in memory
/// whole. Each may be 1 MiB, but not each of 10,000.
const BYTES_MAX: usize = 64 << 20;

/// The deterministic functions that steps may call.
pub trait Functions {
    fn call(&self, function: &str, input: &Value) -> Result<Json, Failure>;
}

/// A run as `workflow.run.start` asks for it.
#[derive(Debug, Clone)]
pub struct Start {
    pub id: RunId,
    pub directive_id: DirectiveId,
    pub input: Option<Json>,
    /// Of the directive; the run continues it.
    pub lineage: Lineage,
}

#[derive(Debug, Clone)]
pub enum Input {
    /// How an attempt of an agent step ended.
    Outcome {
        step: usize,
        attempt: u32,
        result: Result<Json, Failure>,
        execution: Option<Json>,
        logs: Vec<String>,
    },
    /// The directive of a step has settled, by the signal `by`; or it was refused and never recorded.
    Settled {
        step: usize,
        directive: DirectiveId,
        by: Option<SignalId>,
        result: Result<Json, Failure>,
    },
    /// `wake_at` has come.
    Due,
    Cancel {
        by: Party,
        reason: String,
    },
}

/// What is to be done in the world once the decision is committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Agent {
        run: RunId,
        step: usize,
        attempt: u32,
        agent: Slug,
        input: Json,
        key: String,
        timeout: Option<Span>,
    },
    Directive {
        id: DirectiveId,
        step: usize,
        name: Name,
        payload: Json,
        key: String,
        retry: Option<RetryPolicy>,
        timeout: Option<Span>,
        lineage: Lineage,
    },
    /// The run no longer needs this directive.
    Withdraw {
        directive: DirectiveId,
        reason: String,
    },
}

#[derive(Debug)]
#[must_use]
pub struct Decision {
    pub run: Run,
    pub signals: Vec<Signal>,
    pub effects: Vec<Effect>,
    /// The steps that are no longer what they were, by index.
    pub changed: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    #[error("the run has {} already", .0.as_str())]
    Ended(Status),
    #[error("the outcome is of attempt {got} of step {step}, which is not under way")]
    Stale { step: usize, got: u32 },
    #[error("nothing is due")]
    NotDue,
}

pub fn start(setting: Setting<'_>, functions: &dyn Functions, start: Start, moment: &mut Moment) -> Decision {
    let workflow = setting.workflow;
    let signal_id = setting.signal.map(|signal| signal.id);
    let cause = signal_id.map_or(start.directive_id.into(), RecordId::from);
    let run = Run {
        id: start.id,
        tenant: setting.tenant.id,
        workflow: workflow.slug.clone(),
        version: workflow.version.as_str().into(),
        signal_id,
        directive_id: start.directive_id,
        input: start.input,
        lineage: start.lineage.caused_by(cause),
        started_at: moment.now(),
        deadline: workflow.timeout.map(|timeout| moment.now() + timeout),
        status: Status::Running,
        steps: vec![Step::default(); workflow.steps.len()],
        output: None,
        error: None,
        ended_at: None,
        ended_by: None,
    };
    let mut plan = Plan::new(setting, functions, run, start.directive_id.into(), moment);
    plan.started();
    plan.queue.extend(0..workflow.steps.len());
    plan.advance();
    plan.decision()
}

pub fn decide(
    setting: Setting<'_>,
    functions: &dyn Functions,
    run: Run,
    input: Input,
    moment: &mut Moment,
) -> Result<Decision, Illegal> {
    if run.status.has_ended() {
        return Err(Illegal::Ended(run.status));
    }
    let cause = run.id.into();
    let mut plan = Plan::new(setting, functions, run, cause, moment);
    match input {
        Input::Outcome { step, attempt, result, execution, logs } => {
            plan.outcome(step, attempt, result, execution, logs)?;
        }
        Input::Settled { step, directive, by, result } => plan.settled(step, directive, by, result)?,
        Input::Due => plan.due()?,
        Input::Cancel { by, reason } => plan.cancel(by, reason),
    }
    plan.advance();
    Ok(plan.decision())
}

/// The effects of a run whose outcomes were never recorded: what to deliver again after a restart.
pub fn effects_in_flight(setting: Setting<'_>, run: &Run) -> Vec<Effect> {
    let fixed = Fixed::default();
    let view = View { setting, run, fixed: &fixed };
    let running = |index: &usize| run.steps[*index].status == StepStatus::Running;
    (0..run.steps.len())
        .filter(running)
        .filter_map(|index| agent_effect(&view, index, run.steps[index].attempt)?.ok())
        .collect()
}

/// The call that an agent step makes, if it is one; its input is rendered from the run as it is.
fn agent_effect(view: &View<'_>, index: usize, attempt: u32) -> Option<Result<Effect, Failure>> {
    let step = &view.setting.workflow.steps[index];
    let StepKind::Agent { agent, input } = &step.kind else { return None };
    let effect = |input| Effect::Agent {
        run: view.run.id,
        step: index,
        attempt,
        agent: agent.clone(),
        input,
        key: step_key(view.run.id, &step.id),
        timeout: step.timeout,
    };
    Some(input.render(view).map(effect))
}

/// A decision in the making: the run as it is after the signals so far.
struct Plan<'a> {
    setting: Setting<'a>,
    functions: &'a dyn Functions,
    moment: &'a mut Moment,
    fixed: Fixed,
    run: Run,
    signals: Vec<Signal>,
    effects: Vec<Effect>,
    changed: Vec<usize>,
    /// Of the outputs so far, and of what was rendered in this decision.
    bytes: usize,
    /// Steps that may have become ready.
    queue: VecDeque<usize>,
    /// What the whole decision follows from: `workflow.run.started`, or the run itself.
    origin: RecordId,
    /// What the next signal follows from.
    cause: RecordId,
}

impl<'a> Plan<'a> {
    fn new(
        setting: Setting<'a>,
        functions: &'a dyn Functions,
        run: Run,
        cause: RecordId,
        moment: &'a mut Moment,
    ) -> Self {
        let outputs = run.steps.iter().filter_map(|step| step.output.as_ref());
        let bytes = outputs.map(|output| output.text().len()).sum();
        Self {
            setting,
            functions,
            moment,
            fixed: Fixed::default(),
            bytes,
            run,
            signals: Vec::new(),
            effects: Vec::new(),
            changed: Vec::new(),
            queue: VecDeque::new(),
            origin: cause,
            cause,
        }
    }

    fn decision(mut self) -> Decision {
        self.changed.sort_unstable();
        self.changed.dedup();
        Decision { run: self.run, signals: self.signals, effects: self.effects, changed: self.changed }
    }

    fn started(&mut self) {
        let record = RunRecord {
            signal_id: self.run.signal_id,
            directive_id: Some(self.run.directive_id),
            input: self.run.input.clone(),
            deadline: self.run.deadline,
            ..self.run_record()
        };
        self.origin = self.emit_run(RunChange::Started, record).into();
    }

    fn outcome(
        &mut self,
        step: usize,
        attempt: u32,
        result: Result<Json, Failure>,
        execution: Option<Json>,
        logs: Vec<String>,
    ) -> Result<(), Illegal> {
        let stale = Illegal::Stale { step, got: attempt };
        let current = self.run.steps.get(step).ok_or(stale.clone())?;
        let is_agents = current.directive_id.is_none();
        if !is_agents || current.status != StepStatus::Running || current.attempt != attempt {
            return Err(stale);
        }
        self.cause = current.signal_id.map_or(self.cause, RecordId::from);
        let record = StepRecord { attempt, execution, logs, ..StepRecord::default() };
        self.attempt_ended(step, result, record);
        Ok(())
    }

    fn settled(
        &mut self,
        step: usize,
        directive: DirectiveId,
        by: Option<SignalId>,
        result: Result<Json, Failure>,
    ) -> Result<(), Illegal> {
        let stale = Illegal::Stale { step, got: 1 };
        let current = self.run.steps.get(step).ok_or(stale.clone())?;
        if current.status != StepStatus::Running || current.directive_id != Some(directive) {
            return Err(stale);
        }
        self.cause = by.or(current.signal_id).map_or(self.cause, RecordId::from);
        // The directive has made its own attempts; for the step this is the end.
        let result = result.map_err(|failure| Failure { retryable: false, ..failure });
        self.attempt_ended(step, result, StepRecord { attempt: 1, ..StepRecord::default() });
        Ok(())
    }

    fn due(&mut self) -> Result<(), Illegal> {
        let now = self.moment.now();
        if self.run.wake_at().is_none_or(|due| due > now) {
            return Err(Illegal::NotDue);
        }
        if self.run.deadline.is_some_and(|deadline| deadline <= now) {
            let timeout = self.setting.workflow.timeout.unwrap_or_default();
            self.fail(Failure::fatal("timeout", format!("the run did not end within {timeout}")));
            return Ok(());
        }
        for index in 0..self.run.steps.len() {
            let step = &self.run.steps[index];
            if step.due_at.is_some_and(|due| due <= now) {
                self.cause = step.signal_id.map_or(self.cause, RecordId::from);
                let attempt = step.attempt + 1;
                self.call_agent(index, attempt);
            }
        }
        Ok(())
    }

    fn cancel(&mut self, by: Party, reason: String) {
        self.withdraw_steps("the run was canceled");
        let record = RunRecord { by: Some(by), reason: Some(reason), ..self.run_record() };
        self.emit_run(RunChange::Canceled, record);
    }
}
