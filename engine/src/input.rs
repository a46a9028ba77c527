//! What comes in: requests from callers, outcomes from effects, and the passing of time.

use std::fmt;
use std::sync::Arc;

use fleetprompt_core::agent::Agent;
use fleetprompt_core::diagnostic::Located;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::performs::Performs;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowStatus,
    WorkflowVersion,
};
use fleetprompt_core::run::Place;
use fleetprompt_core::schedule::Schedule;
use fleetprompt_core::signal::{Disposition, NewSignal};
use fleetprompt_core::tenant::{Key, Role, Tenant, Weight};
use fleetprompt_core::{
    DirectiveId, Failure, Json, KeyId, Name, Party, RecordId, RunId, Scope, Signal, SignalId, Slug, TenantId, Timestamp,
};
use tokio::sync::oneshot;

use crate::Error;
use crate::compile::{Compiled, CompiledWorkflow};
use crate::memory::{self, Held};
use crate::perform::OutcomeHold;
use crate::workers::Refused;

/// A signal on record, and what became of it.
#[derive(Debug, Clone)]
pub struct Emitted {
    pub signal: Arc<Signal>,
    /// The fact was known already; `signal` is the one that was recorded first.
    pub deduplicated: bool,
    pub dispositions: Vec<Disposition>,
}

/// An intent as a caller states it.
#[derive(Debug, Clone)]
pub struct NewDirective {
    pub name: Name,
    pub payload: Json,
    pub idempotency_key: String,
    pub correlation_id: Option<String>,
    pub causation_id: Option<RecordId>,
}

#[derive(Debug, Clone)]
pub struct Requested {
    pub directive: Arc<Directive>,
    /// The same intent was known already.
    pub replayed: bool,
}

#[derive(Debug, Clone)]
pub struct AppliedWorkflow {
    pub entry: WorkflowEntry,
    pub version: WorkflowVersion,
    pub changed: bool,
    pub warnings: Vec<Located>,
}

#[derive(Debug, Clone)]
pub struct AppliedAgent {
    pub entry: AgentEntry,
    pub changed: bool,
    pub warnings: Vec<Located>,
}

#[derive(Debug, Clone)]
pub struct AppliedDirectiveType {
    pub entry: DirectiveTypeEntry,
    pub changed: bool,
    /// The signing secret, when this request made it.
    pub secret: Option<String>,
}

#[derive(Debug, Clone)]
pub struct AppliedSchedule {
    pub entry: Arc<ScheduleEntry>,
    pub changed: bool,
    pub warnings: Vec<Located>,
}

/// What somebody wants of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleOrder {
    Pause,
    Resume,
    /// Fire now.
    Trigger,
    /// Fire what was due from `from` to `to` and has not fired.
    Backfill {
        from: Timestamp,
        to: Timestamp,
    },
    Archive,
}

#[derive(Debug, Clone)]
pub struct OrderedSchedule {
    pub entry: Arc<ScheduleEntry>,
    /// What it came to at once, in the order of due times.
    pub fires: Vec<Fired>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    pub signal_id: SignalId,
    pub due_at: Timestamp,
    /// This due time had fired before; the signal is that one.
    pub deduplicated: bool,
}

#[derive(Debug, Clone)]
pub struct AppliedFunction {
    pub entry: FunctionEntry,
    pub changed: bool,
}

#[derive(Debug, Clone)]
pub struct AddedModule {
    pub entry: ModuleEntry,
    /// False: it was there already.
    pub changed: bool,
}

/// What is to become of a tenant; what is not named stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    pub name: Option<String>,
    pub weight: Option<Weight>,
}

/// A key as somebody asks for it.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    pub role: Role,
    /// Made for workers: it takes and reports this, and its role gives it nothing else.
    pub performs: Option<Performs>,
    pub expires_at: Option<Timestamp>,
}

impl NewKey {
    pub fn of_role(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, performs: None, expires_at: None }
    }
}

#[derive(Debug, Clone)]
pub struct CreatedKey {
    pub key: Key,
    pub secret: String,
}

/// Where the answer goes once it is durable.
pub(crate) struct Reply<T> {
    answer: oneshot::Sender<Result<T, Error>>,
    /// Memory of the request: it is taken until the answer is sent, whether or not the caller still waits for it.
    _held: Option<Held>,
}

impl<T> Reply<T> {
    pub fn new(answer: oneshot::Sender<Result<T, Error>>) -> Self {
        Self { answer, _held: memory::held() }
    }

    pub fn send(self, answer: Result<T, Error>) -> Result<(), Result<T, Error>> {
        self.answer.send(answer)
    }
}

pub(crate) enum Input {
    Emit {
        scope: Scope,
        signals: Vec<NewSignal>,
        reply: Reply<Vec<Result<Emitted, Error>>>,
    },
    Request {
        scope: Scope,
        directive: NewDirective,
        reply: Reply<Requested>,
    },
    CancelDirective {
        scope: Scope,
        id: DirectiveId,
        reason: String,
        reply: Reply<Arc<Directive>>,
    },
    Report {
        scope: Scope,
        id: DirectiveId,
        result: Result<Json, Failure>,
        reply: Reply<Arc<Directive>>,
    },
    Heartbeat {
        scope: Scope,
        id: DirectiveId,
        reply: Reply<Arc<Directive>>,
    },
    /// From a worker.
    Outcome {
        outcome: Outcome,
        reply: Reply<Result<(), Refused>>,
    },
    Register(Registration),
}

/// Changes of what is registered; rare, and each audited by a signal.
pub(crate) enum Registration {
    Workflow {
        scope: Scope,
        compiled: CompiledWorkflow,
        activate: bool,
        reply: Reply<AppliedWorkflow>,
    },
    WorkflowStatus {
        scope: Scope,
        slug: Slug,
        to: WorkflowStatus,
        /// The version to activate.
        compiled: Option<CompiledWorkflow>,
        reply: Reply<WorkflowEntry>,
    },
    Agent {
        scope: Scope,
        compiled: Box<Compiled<Agent>>,
        reply: Reply<AppliedAgent>,
    },
    Schedule {
        scope: Scope,
        compiled: Box<Compiled<Schedule>>,
        reply: Reply<AppliedSchedule>,
    },
    ScheduleOrder {
        scope: Scope,
        slug: Slug,
        order: ScheduleOrder,
        reason: Option<String>,
        reply: Reply<OrderedSchedule>,
    },
    DirectiveType {
        scope: Scope,
        document: Json,
        reply: Reply<AppliedDirectiveType>,
    },
    Function {
        scope: Scope,
        document: Json,
        reply: Reply<AppliedFunction>,
    },
    Module {
        scope: Scope,
        bytes: Arc<[u8]>,
        reply: Reply<AddedModule>,
    },
    RemoveModule {
        scope: Scope,
        digest: ModuleDigest,
        reply: Reply<ModuleEntry>,
    },
    Tenant {
        actor: Party,
        slug: Slug,
        name: String,
        role: Role,
        reply: Reply<(Tenant, CreatedKey)>,
    },
    TenantChange {
        actor: Party,
        slug: Slug,
        change: TenantChange,
        reply: Reply<Tenant>,
    },
    Key {
        actor: Party,
        tenant: TenantId,
        new: NewKey,
        reply: Reply<CreatedKey>,
    },
    RevokeKey {
        actor: Party,
        tenant: TenantId,
        id: KeyId,
        reply: Reply<Key>,
    },
}

/// How an effect ended. It is never lost: when a commit fails, it is decided again.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Step {
        tenant: TenantId,
        run: RunId,
        place: Place,
        attempt: u32,
        /// The signal that began it: a step that is done again begins with its first attempt anew.
        begun: Option<SignalId>,
        result: Result<Json, Failure>,
        execution: Option<Json>,
        logs: Vec<String>,
        hold: OutcomeHold,
    },
    Directive {
        tenant: TenantId,
        id: DirectiveId,
        attempt: u32,
        result: Result<Json, Failure>,
        /// Which worker made it, where one did.
        execution: Option<Json>,
        logs: Vec<String>,
        hold: OutcomeHold,
    },
    RunDue {
        tenant: TenantId,
        id: RunId,
    },
    DirectiveDue {
        tenant: TenantId,
        id: DirectiveId,
    },
    ScheduleDue {
        tenant: TenantId,
        slug: Slug,
    },
    /// A built-in directive that an earlier commit left for later.
    DirectiveDeferred {
        tenant: TenantId,
        id: DirectiveId,
    },
}

impl Input {
    /// How much there is to decide.
    pub fn cost(&self) -> usize {
        match self {
            Self::Emit { signals, .. } => signals.len(),
            Self::Request { .. } | Self::CancelDirective { .. } | Self::Outcome { .. } => 1,
            Self::Report { .. } | Self::Heartbeat { .. } | Self::Register(_) => 1,
        }
    }

    /// Whether it stops something: an operator who wants to end a flood must not wait behind it.
    pub fn is_control(&self) -> bool {
        match self {
            Self::CancelDirective { .. } => true,
            Self::Request { directive, .. } => {
                matches!(directive.name.as_str(), "workflow.run.cancel" | "workflow.run.pause")
            }
            Self::Register(registration) => registration.is_control(),
            Self::Emit { .. } | Self::Report { .. } | Self::Heartbeat { .. } | Self::Outcome { .. } => false,
        }
    }

    /// The tenant in whose queue it waits.
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Emit { scope, .. } | Self::Request { scope, .. } | Self::CancelDirective { scope, .. } => {
                Some(scope.tenant)
            }
            Self::Report { scope, .. } | Self::Heartbeat { scope, .. } => Some(scope.tenant),
            Self::Outcome { outcome, .. } => Some(outcome.tenant()),
            Self::Register(registration) => registration.tenant(),
        }
    }

    /// Answers without having decided anything.
    pub fn refuse(self, error: Error) {
        match self {
            Self::Emit { reply, .. } => drop(reply.send(Err(error))),
            Self::Request { reply, .. } => drop(reply.send(Err(error))),
            Self::Outcome { reply, .. } => drop(reply.send(Err(error))),
            Self::CancelDirective { reply, .. } | Self::Report { reply, .. } | Self::Heartbeat { reply, .. } => {
                drop(reply.send(Err(error)));
            }
            Self::Register(registration) => registration.refuse(error),
        }
    }
}

impl Outcome {
    /// Gives back what the outcome holds, when it will wait for long.
    pub fn release(&mut self) {
        if let Self::Step { hold, .. } | Self::Directive { hold, .. } = self {
            *hold = OutcomeHold::default();
        }
    }

    /// Whoever comes next would not find it in the store.
    pub fn is_told_once(&self) -> bool {
        matches!(self, Self::Step { .. } | Self::Directive { .. })
    }

    pub fn tenant(&self) -> TenantId {
        match self {
            Self::Step { tenant, .. } | Self::Directive { tenant, .. } | Self::RunDue { tenant, .. } => *tenant,
            Self::DirectiveDue { tenant, .. } | Self::ScheduleDue { tenant, .. } => *tenant,
            Self::DirectiveDeferred { tenant, .. } => *tenant,
        }
    }
}

/// For logs: what ended or is due, without what it says.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { run, place, attempt, .. } => write!(f, "step {} of {run}, attempt {attempt}", place.step),
            Self::Directive { id, attempt, .. } => write!(f, "{id}, attempt {attempt}"),
            Self::RunDue { id, .. } => write!(f, "{id}, which is due"),
            Self::DirectiveDue { id, .. } => write!(f, "{id}, which is due"),
            Self::ScheduleDue { slug, .. } => write!(f, "the schedule `{slug}`, which is due"),
            Self::DirectiveDeferred { id, .. } => write!(f, "{id}, which was requested"),
        }
    }
}

impl Registration {
    fn is_control(&self) -> bool {
        match self {
            Self::WorkflowStatus { to, .. } => matches!(to, WorkflowStatus::Paused | WorkflowStatus::Archived),
            Self::ScheduleOrder { order, .. } => matches!(order, ScheduleOrder::Pause | ScheduleOrder::Archive),
            Self::RevokeKey { .. } | Self::TenantChange { .. } => true,
            Self::Workflow { .. } | Self::Agent { .. } | Self::Schedule { .. } | Self::DirectiveType { .. } => false,
            Self::Function { .. } | Self::Module { .. } | Self::RemoveModule { .. } => false,
            Self::Tenant { .. } | Self::Key { .. } => false,
        }
    }

    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Workflow { scope, .. } | Self::WorkflowStatus { scope, .. } | Self::Agent { scope, .. } => {
                Some(scope.tenant)
            }
            Self::Schedule { scope, .. } | Self::ScheduleOrder { scope, .. } => Some(scope.tenant),
            Self::DirectiveType { scope, .. } | Self::Function { scope, .. } => Some(scope.tenant),
            Self::Module { scope, .. } | Self::RemoveModule { scope, .. } => Some(scope.tenant),
            Self::Tenant { .. } | Self::TenantChange { .. } => None,
            Self::Key { tenant, .. } | Self::RevokeKey { tenant, .. } => Some(*tenant),
        }
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Workflow { reply, .. } => drop(reply.send(Err(error))),
            Self::WorkflowStatus { reply, .. } => drop(reply.send(Err(error))),
            Self::Agent { reply, .. } => drop(reply.send(Err(error))),
            Self::Schedule { reply, .. } => drop(reply.send(Err(error))),
            Self::ScheduleOrder { reply, .. } => drop(reply.send(Err(error))),
            Self::DirectiveType { reply, .. } => drop(reply.send(Err(error))),
            Self::Function { reply, .. } => drop(reply.send(Err(error))),
            Self::Module { reply, .. } => drop(reply.send(Err(error))),
            Self::RemoveModule { reply, .. } => drop(reply.send(Err(error))),
            Self::Tenant { reply, .. } => drop(reply.send(Err(error))),
            Self::TenantChange { reply, .. } => drop(reply.send(Err(error))),
            Self::Key { reply, .. } => drop(reply.send(Err(error))),
            Self::RevokeKey { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}
