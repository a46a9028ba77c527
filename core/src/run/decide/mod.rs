//! What becomes of a run: the one place that says which step comes next.
//!
//! `decide` takes the run and one input and goes on until nothing more follows without the outside
//! world. Pure functions are part of the decision, so a run that needs nothing else starts and ends
//! in a single one, unless its budget of work is spent before: then `continuation` is where it goes on.
//!
//! Here is what comes in and what goes out. `order` says which steps may begin, `begin` what each of
//! them asks for, `wait` what ends a wait, `settle` what the end of an attempt means, `stop` how a run
//! ends before its steps do, `undo` how its effects are compensated, `operate` what people may do to it, and `emit` how
//! all this is recorded.

mod begin;
mod continuation;
mod emit;
mod operate;
mod order;
mod settle;
mod stop;
mod undo;
mod wait;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::context::{Fixed, View};
use super::record::{RunChange, RunRecord};
use super::{Descent, FlowKeys, Parent, Place, Queue, Run, Setting, Status, StepStatus, Steps};
use crate::retry::RetryPolicy;
use crate::tenant::Role;
use crate::{DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RecordId, RunId, Signal, SignalId, Slug};
use crate::{Span, Timestamp};

pub use continuation::Continuation;
use continuation::Todo;
pub use undo::is_compensable;
pub use wait::awaits;

/// The outputs of a run's steps, and what its next steps are given at once: a run is held in memory
/// whole. Each may be 1 MiB, but not each of 10,000.
const BYTES_MAX: usize = 64 << 20;
/// What a step is given, unless its function only reads it.
pub const INPUT_BYTES_MAX: usize = 1 << 20;
/// Steps and items of one run.
const PLACES_MAX: usize = 50_000;

/// The functions that steps may call.
pub trait Functions {
    /// Calls a deterministic one within the decision. `None`: the call takes longer than a decision may wait, so the
    /// step begins an attempt, and the call ends with an outcome.
    fn call(&self, function: &str, input: &Value) -> Result<Option<Json>, Failure>;

    /// How large an input it may be given: what only reads a list may be given one that nothing may keep.
    fn input_bytes_max(&self, _function: &str) -> usize {
        INPUT_BYTES_MAX
    }

    /// How often one that workers perform is tried, unless its step says; none: it is called here.
    fn performed_elsewhere(&self, _function: &str) -> Option<&RetryPolicy> {
        None
    }

    /// Whether one that a tenant registered may be given this.
    fn check_input(&self, _function: &str, _input: &Value) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether one that a tenant registered may have given this.
    fn check_output(&self, _function: &str, _output: &Value) -> Result<(), Failure> {
        Ok(())
    }
}

/// A run as `workflow.run.start` asks for it.
#[derive(Debug, Clone)]
pub struct Start {
    pub id: RunId,
    pub directive_id: DirectiveId,
    pub input: Option<Json>,
    /// Of the directive; the run continues it.
    pub lineage: Lineage,
    pub parent: Option<Parent>,
    pub source: Option<RunId>,
    pub descent: Option<Arc<Descent>>,
    pub keys: FlowKeys,
    /// It does not begin yet.
    pub queue: Option<Queue>,
    pub carried: Vec<Carried>,
}

/// What a step gave in the run that this one does again.
#[derive(Debug, Clone)]
pub struct Carried {
    pub index: usize,
    pub output: Json,
    /// The directive of its effect, which both runs share from then on.
    pub directive_id: Option<DirectiveId>,
    pub compensable: bool,
}

impl Start {
    pub fn new(id: RunId, directive_id: DirectiveId, lineage: Lineage) -> Self {
        Self {
            id,
            directive_id,
            input: None,
            lineage,
            parent: None,
            source: None,
            descent: None,
            keys: FlowKeys::default(),
            queue: None,
            carried: Vec::new(),
        }
    }
}

/// What a person, or somebody outside, says to a step that waits for it.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To a wait for input: by somebody with that role.
    Input { value: Json, role: Role },
    /// To a wait for a callback.
    Report(Result<Json, Failure>),
    /// It is still being worked on.
    Heartbeat,
}

#[derive(Debug, Clone)]
pub enum Input {
    /// Its turn has come.
    Begin,
    /// It is still not its turn, and it waits for something else now.
    Queue(Queue),
    /// How an attempt of an agent step ended, or of a function that a worker performs.
    Outcome {
        place: Place,
        attempt: u32,
        result: Result<Json, Failure>,
        execution: Option<Json>,
        logs: Vec<String>,
    },
    /// The directive of a place has settled, by the signal `by`; or it was refused and never recorded.
    Settled {
        place: Place,
        directive: DirectiveId,
        by: Option<SignalId>,
        result: Result<Json, Failure>,
        /// The directive whose recorded outcome this is, when nothing was done again.
        reused: Option<DirectiveId>,
    },
    /// What the place asked for is on its way already, as another directive.
    Attached {
        place: Place,
        asked: DirectiveId,
        directive: DirectiveId,
    },
    /// A signal that a wait may be for.
    Event {
        place: Place,
        signal: Arc<Signal>,
    },
    Answered {
        place: Place,
        by: Party,
        answer: Answer,
    },
    /// The run that a step started has ended, by the signal `by`.
    ChildEnded {
        place: Place,
        run: RunId,
        by: Option<SignalId>,
        result: Result<Json, Failure>,
        /// Whether it left something that can be compensated.
        compensable: bool,
    },
    /// The run that a step had waited for goes on after all.
    ChildRetried {
        place: Place,
        run: RunId,
        by: Party,
        /// As for `Retry`.
        undone: Vec<Place>,
    },
    /// The runs that a place started are compensated.
    ChildUndone {
        place: Place,
    },
    /// This run is not to compensate the effect of a place.
    UndoSkipped {
        place: Place,
        reason: String,
    },
    /// The lock that a place waits for is free.
    Granted {
        place: Place,
    },
    /// `wake_at` has come.
    Due,
    Pause {
        by: Party,
        reason: String,
    },
    Resume {
        by: Party,
        reason: String,
    },
    Cancel {
        by: Party,
        reason: String,
        /// Undo what was done before it ends.
        compensate: bool,
    },
    /// Undo what was done: the run that it is a part of is undone.
    Compensate {
        by: Party,
        reason: String,
    },
    /// Do it again from these steps on; from those that failed, where none is named.
    Retry {
        by: Party,
        reason: String,
        from: Vec<usize>,
        /// Also what has succeeded already.
        reissue: bool,
        /// Places with effects that another run shares and has compensated.
        undone: Vec<Place>,
    },
    Skip {
        place: Place,
        by: Party,
        /// The role of `by`: a task that requires a role requires it here as well.
        role: Role,
        reason: String,
    },
    /// An operator says what a place comes to.
    Complete {
        place: Place,
        by: Party,
        role: Role,
        reason: String,
        output: Json,
    },
}

/// What is to be done once, or before, the decision is committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Agent {
        run: RunId,
        place: Place,
        attempt: u32,
        agent: Slug,
        input: Json,
        key: String,
        timeout: Option<Span>,
    },
    /// A worker is to perform it.
    Function {
        run: RunId,
        place: Place,
        attempt: u32,
        function: Arc<str>,
        input: Json,
        key: String,
        timeout: Option<Span>,
        heartbeat: Option<Span>,
    },
    Directive {
        id: DirectiveId,
        place: Place,
        name: Name,
        payload: Json,
        key: String,
        /// The same place in the run that this one does again.
        source_key: Option<String>,
        /// It may have been asked for before, under the same key.
        again: bool,
        retry: Option<RetryPolicy>,
        timeout: Option<Span>,
        heartbeat: Option<Span>,
        lineage: Lineage,
    },
    /// The run no longer needs this directive.
    Withdraw {
        directive: DirectiveId,
        reason: String,
    },
    /// Offer it the signals of these names that came since then.
    Lookback {
        place: Place,
        names: Vec<Name>,
        since: Timestamp,
    },
    /// It wants this lock.
    Lock {
        place: Place,
        name: Arc<str>,
    },
    CancelRun {
        run: RunId,
        reason: String,
        /// Undo what it did before it ends.
        compensate: bool,
    },
    /// The runs that a place of this run started are to be undone.
    CompensateRun {
        run: RunId,
        place: Place,
    },
}

impl Effect {
    /// Where an attempt of a step is made; none: it is another kind of effect.
    pub fn attempt(&self) -> Option<(RunId, Place, u32)> {
        match self {
            Self::Agent { run, place, attempt, .. } | Self::Function { run, place, attempt, .. } => {
                Some((*run, *place, *attempt))
            }
            Self::Directive { .. } | Self::Withdraw { .. } | Self::Lookback { .. } => None,
            Self::Lock { .. } | Self::CancelRun { .. } | Self::CompensateRun { .. } => None,
        }
    }
}

#[derive(Debug)]
#[must_use]
pub struct Decision {
    pub run: Run,
    pub signals: Vec<Signal>,
    pub effects: Vec<Effect>,
    /// What is no longer what it was.
    pub changed: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    #[error("the run has {} already", .0.as_str())]
    Ended(Status),
    #[error("this is not what step {} waits for", .0.step)]
    Stale(Place),
    #[error("nothing is due")]
    NotDue,
    #[error("the signal does not fit what the step waits for")]
    NoMatch,
    #[error("the run is {0}; {1}")]
    Status(Status, &'static str),
    #[error("the step is {0}; {1}")]
    StepStatus(StepStatus, &'static str),
    #[error("there is no such step or item in the run")]
    NoSuchPlace,
    #[error("{0}")]
    Unfit(String),
    #[error("this wants the role {}", .0.as_str())]
    Role(Role),
    #[error(
        "step `{finish}` finished the run before {prevented}; name every step that is to run, or `{finish}` itself"
    )]
    Finished { finish: String, prevented: String },
    #[error(
        "another run that shares the effect of step `{0}` has compensated it; retry from that step with `reissue`, or run \
         it again with `rerun`"
    )]
    Undone(String),
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
        parent: start.parent,
        source: start.source,
        descent: start.descent,
        keys: start.keys,
        lineage: start.lineage.caused_by(cause),
        started_at: moment.now(),
        deadline: None,
        status: Status::Running,
        status_by: None,
        standing: None,
        steps: Steps::pending(workflow.steps.len()),
        output: None,
        error: None,
        ended_at: None,
        begun_at: None,
        continuation: None,
    };
    let mut plan = Plan::new(setting, functions, run, start.directive_id.into(), moment);
    plan.first(start.queue);
    plan.carry(start.carried);
    plan.advance();
    plan.decision()
}

/// `cause` is the directive that asks for it, where one does.
pub fn decide(
    setting: Setting<'_>,
    functions: &dyn Functions,
    mut run: Run,
    input: Input,
    cause: Option<RecordId>,
    moment: &mut Moment,
) -> Result<Decision, Illegal> {
    let reopens = matches!(input, Input::Retry { .. } | Input::ChildRetried { .. } | Input::Compensate { .. });
    if run.status.has_ended() && !reopens {
        return Err(Illegal::Ended(run.status));
    }
    let cause = cause.unwrap_or(run.id.into());
    let continuation = run.continuation.take();
    let mut plan = Plan::new(setting, functions, run, cause, moment);
    if let Some(continuation) = &continuation {
        plan.continue_from(continuation);
    }
    plan.take(input, continuation.is_some())?;
    if let Some(continuation) = &continuation {
        plan.caused_by_before(continuation);
    }
    plan.advance();
    Ok(plan.decision())
}

/// The effects of a run whose outcomes were never recorded: what to deliver again after a restart.
pub fn effects_in_flight(setting: Setting<'_>, run: &Run) -> Vec<Effect> {
    run.places().filter_map(|place| effect_in_flight(setting, run, place)).collect()
}

/// The effect of one place of a run, while its outcome is not recorded.
pub fn effect_in_flight(setting: Setting<'_>, run: &Run, place: Place) -> Option<Effect> {
    let step = run.at(place).filter(|step| step.status == StepStatus::Running)?;
    let view = View { setting, run, fixed: &Fixed::default(), place: Some(place), event: None };
    begin::attempt_effect(&view, place, step.attempt)?.ok()
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
    changed: Vec<Place>,
    /// Of the run's outputs when this decision began, and of what was rendered since.
    bytes: usize,
    todo: VecDeque<Todo>,
    /// What the whole decision follows from: the first signal of the run, or the run itself.
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
        Self {
            setting,
            functions,
            moment,
            fixed: Fixed::default(),
            bytes: run.steps.bytes(),
            run,
            signals: Vec::new(),
            effects: Vec::new(),
            changed: Vec::new(),
            todo: VecDeque::new(),
            origin: cause,
            cause,
        }
    }

    fn decision(mut self) -> Decision {
        self.changed.sort_unstable();
        self.changed.dedup();
        Decision { run: self.run, signals: self.signals, effects: self.effects, changed: self.changed }
    }

    /// The first signal of the run says all that is known about it.
    fn first(&mut self, queue: Option<Queue>) {
        let change = if queue.is_some() { RunChange::Queued } else { RunChange::Started };
        let deadline = if queue.is_some() { None } else { self.deadline() };
        let record = RunRecord {
            signal_id: self.run.signal_id,
            directive_id: Some(self.run.directive_id),
            input: self.run.input.clone(),
            parent: self.run.parent,
            source: self.run.source,
            descent: self.run.descent.clone(),
            keys: self.run.keys.clone(),
            queue,
            deadline,
            ..self.run_record()
        };
        self.origin = self.emit_run(change, record).into();
        self.cause = self.origin;
        self.check_all();
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.setting.workflow.timeout.map(|timeout| self.moment.now() + timeout)
    }

    fn take(&mut self, input: Input, continues: bool) -> Result<(), Illegal> {
        match input {
            Input::Begin => self.begin_run(),
            Input::Queue(queue) => self.queue_again(queue),
            Input::Outcome { place, attempt, result, execution, logs } => {
                self.outcome(place, attempt, result, execution, logs)
            }
            Input::Settled { place, directive, by, result, reused } => {
                self.settled(place, directive, by, result, reused)
            }
            Input::Attached { place, asked, directive } => self.attached(place, asked, directive),
            Input::Event { place, signal } => self.event(place, &signal),
            Input::Answered { place, by, answer } => self.answered(place, by, answer),
            Input::ChildEnded { place, run, by, result, compensable } => {
                self.child_ended(place, run, by, result, compensable)
            }
            Input::ChildRetried { place, run, by, undone } => self.child_retried(place, run, by, &undone),
            Input::ChildUndone { place } => self.child_undone(place),
            Input::UndoSkipped { place, reason } => self.undo_skipped(place, reason),
            Input::Granted { place } => self.granted(place),
            Input::Due => self.due(continues),
            Input::Pause { by, reason } => self.pause(by, reason),
            Input::Resume { by, reason } => self.resume(by, reason),
            Input::Cancel { by, reason, compensate } => self.cancel(by, reason, compensate),
            Input::Compensate { by, reason } => self.compensate(by, reason),
            Input::Retry { by, reason, from, reissue, undone } => self.retry(by, reason, from, reissue, &undone),
            Input::Skip { place, by, role, reason } => self.skip_place(place, by, role, reason),
            Input::Complete { place, by, role, reason, output } => self.complete_place(place, by, role, reason, output),
        }
    }

    fn begin_run(&mut self) -> Result<(), Illegal> {
        if self.run.status != Status::Queued {
            return Err(Illegal::Status(self.run.status, "only a queued run begins"));
        }
        let record = RunRecord { deadline: self.deadline(), ..self.run_record() };
        self.cause = self.run.status_by.map_or(self.cause, RecordId::from);
        self.origin = self.emit_run(RunChange::Started, record).into();
        self.check_all();
        Ok(())
    }

    fn queue_again(&mut self, queue: Queue) -> Result<(), Illegal> {
        if self.run.status != Status::Queued {
            return Err(Illegal::Status(self.run.status, "only a queued run waits for its turn"));
        }
        let record = RunRecord { queue: Some(queue), ..self.run_record() };
        self.cause = self.run.status_by.map_or(self.cause, RecordId::from);
        self.emit_run(RunChange::Queued, record);
        Ok(())
    }

    fn check_all(&mut self) {
        self.todo.push_back(Todo::Check(0, self.run.steps.len()));
    }
}
