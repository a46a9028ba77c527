//! A workflow: a versioned DAG of steps, read from JSON or YAML, checked once, and then run many
//! times. What is in memory here is the compiled form; the document it came from is what is stored.

mod certain;
mod check;
mod cycles;
pub mod diff;
mod does;
mod flow;
mod graph;
mod language;
mod read;
mod reads;
mod sight;
mod step;
mod transition;
mod wait;
mod ways;

use std::collections::HashMap;

use crate::expression::{Expression, Template};
use crate::retry::RetryPolicy;
use crate::schema::Schema;
use crate::tenant::Role;
use crate::{Json, Name, Slug, Span};

pub use flow::{Concurrency, Debounce, OnLimit, Throttle};
pub use language::LanguageRevision;
pub use read::{Catalog, read};
pub use wait::{Escalation, EventMatch, Lookback, Wait};

/// One version of a workflow, ready to run.
#[derive(Debug)]
pub struct Workflow {
    pub slug: Slug,
    pub name: String,
    pub description: Option<String>,
    /// Semantic version; content under one version never changes once it is active.
    pub version: String,
    /// None: the workflow only starts by a directive.
    pub trigger: Option<Trigger>,
    /// What the payload of the trigger, or the input of `workflow.run.start`, must look like.
    pub input_schema: Option<Schema>,
    /// When given, the only directives that its steps may name.
    pub may_request_directives: Option<Vec<Name>>,
    pub timeout: Option<Span>,
    pub priority: Priority,
    /// `singleton` is read as a concurrency of one.
    pub concurrency: Option<Concurrency>,
    pub throttle: Option<Throttle>,
    pub debounce: Option<Debounce>,
    pub on_error: OnRunError,
    pub steps: Vec<Step>,
    /// Where in `steps` each id stands.
    pub index: HashMap<String, usize>,
    pub output: Option<Template>,
    /// The document as JSON, whatever it was spelled in.
    pub document: Json,
    /// BLAKE3 of `document`, in hex.
    pub digest: String,
}

#[derive(Debug)]
pub struct Trigger {
    pub signals: Vec<Name>,
    pub when: Option<Expression>,
    /// Whether a run that descends from this workflow may start it again when it records a signal.
    pub allow_recursion: bool,
}

/// Another definition that a workflow refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    Function(&'a str),
    Agent(&'a Slug),
    Directive(&'a Name),
    Workflow(&'a Slug),
}

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Function(name) => write!(f, "function `{name}`"),
            Self::Agent(slug) => write!(f, "agent `{slug}`"),
            Self::Directive(name) => write!(f, "directive `{name}`"),
            Self::Workflow(slug) => write!(f, "workflow `{slug}`"),
        }
    }
}

impl Workflow {
    /// What its steps refer to, as often as they do.
    pub fn names(&self) -> impl Iterator<Item = Named<'_>> {
        let allowed = self.may_request_directives.iter().flatten().map(Named::Directive);
        let of_steps = self.steps.iter().flat_map(|step| {
            let named = match &step.kind {
                StepKind::Agent { agent, .. } => Some(Named::Agent(agent)),
                StepKind::Function { function, .. } => Some(Named::Function(function)),
                StepKind::Directive { directive, .. } => Some(Named::Directive(directive)),
                StepKind::Workflow { workflow, .. } => Some(Named::Workflow(workflow)),
                StepKind::Wait(_) | StepKind::Finish(_) => None,
            };
            named.into_iter().chain(step.compensate.as_ref().map(|undo| Named::Directive(&undo.directive)))
        });
        allowed.chain(of_steps)
    }
}

/// What of a tenant's comes first, where it must wait for a worker or for a place to be performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];
}

/// What becomes of a run whose step failed, when nothing in the definition takes the failure up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRunError {
    #[default]
    Fail,
    /// What completed steps did is undone, newest first, and then it fails.
    Compensate,
    /// It stands still until an operator says how it goes on.
    Park,
}

#[derive(Debug)]
pub struct Step {
    pub id: String,
    /// For people; the id where none is given.
    pub name: Option<String>,
    pub kind: StepKind,
    pub when: Option<Expression>,
    /// Edges into this step: at most one that is not a transition from each other step, in the order
    /// of the list, and then the transitions in theirs.
    pub after: Vec<Edge>,
    /// The steps that have an edge from this one, without repetition.
    pub before: Vec<usize>,
    pub join: Join,
    /// With `cancel_rest`: the steps that lead only here, which are withdrawn when this one begins.
    pub cancels: Vec<usize>,
    pub for_each: Option<ForEach>,
    pub repeat: Option<Repeat>,
    /// The name of the lock that is held while this step is under way; no other step of any run of the
    /// tenant holds it meanwhile.
    pub lock: Option<Template>,
    /// None: the directive's type says, or `RetryPolicy::default()` for an agent.
    pub retry: Option<RetryPolicy>,
    /// The longest that one attempt, or the wait, may take.
    pub timeout: Option<Span>,
    /// The longest that whoever carries it out may be silent.
    pub heartbeat: Option<Span>,
    pub on_error: OnError,
    pub compensate: Option<Compensate>,
    pub output_schema: Option<Schema>,
}

#[derive(Debug)]
pub enum StepKind {
    Agent {
        agent: Slug,
        input: Template,
    },
    Function {
        function: String,
        input: Template,
    },
    Directive {
        directive: Name,
        payload: Template,
    },
    Wait(Wait),
    /// A run of another workflow, by the directive `workflow.run.start`.
    Workflow {
        workflow: Slug,
        version: Option<String>,
        input: Template,
        /// Whether the step ends when that run does, and not as soon as it is there.
        waits: bool,
        /// Whether that run goes on when this step is withdrawn.
        abandons: bool,
    },
    /// Ends the run now.
    Finish(Finish),
}

#[derive(Debug)]
pub enum Finish {
    /// None: the workflow's `output`.
    Completed {
        output: Option<Template>,
    },
    Failed {
        code: String,
        message: Template,
    },
}

impl StepKind {
    pub const NAMES: [&str; 6] = ["agent", "function", "directive", "wait", "workflow", "finish"];

    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Function { .. } => "function",
            Self::Directive { .. } => "directive",
            Self::Wait(_) => "wait",
            Self::Workflow { .. } => "workflow",
            Self::Finish(_) => "finish",
        }
    }
}

#[derive(Debug)]
pub struct Edge {
    pub from: usize,
    pub kind: EdgeKind,
}

#[derive(Debug)]
pub enum EdgeKind {
    /// Runs only if `from` completed, or failed with `on_error: continue`.
    Needs,
    /// Only waits until `from` has settled, whichever way.
    Order,
    Transition {
        on: On,
        when: Option<Expression>,
    },
}

/// How a step must have ended for a transition from it to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum On {
    #[default]
    Completed,
    Failed,
    /// Completed or failed; not skipped.
    Settled,
}

/// How many of the edges into a step must be taken. `Order` edges are not counted, and only `All`
/// waits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// Every edge settles; every `Needs` is satisfied and, where there are transitions, one is taken.
    #[default]
    All,
    /// As soon as so many are satisfied or taken; `any` is one.
    AtLeast(u32),
}

#[derive(Debug)]
pub struct ForEach {
    /// Gives the list.
    pub items: Template,
    pub max_parallel: u32,
    pub tolerate: Tolerate,
    /// Complete as soon as so many items are, and withdraw the rest.
    pub at_least: Option<u32>,
}

impl ForEach {
    pub const ITEMS_MAX: usize = 10_000;
    pub const MAX_PARALLEL_DEFAULT: u32 = 100;
}

/// How many items may fail before the step does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerate {
    Count(u32),
    /// Of all items, 0 to 100.
    Percent(f64),
}

impl Default for Tolerate {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl Tolerate {
    pub fn allows(self, failed: usize, items: usize) -> bool {
        match self {
            Self::Count(count) => failed <= count as usize,
            Self::Percent(percent) => failed as f64 * 100.0 <= percent * items as f64,
        }
    }
}

#[derive(Debug)]
pub struct Repeat {
    /// Asked after each iteration; none: `max` times.
    pub again: Option<Expression>,
    pub max: u32,
    pub delay: Span,
}

impl Repeat {
    pub const MAX: u32 = 10_000;
}

/// What undoes a completed step.
#[derive(Debug)]
pub struct Compensate {
    pub directive: Name,
    pub payload: Template,
    pub retry: Option<RetryPolicy>,
    pub timeout: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// A transition `on: failed` or `on: settled` that is taken takes it up, or else the run fails.
    Fail,
    Continue,
}

impl Step {
    /// How the step is called when people are told about it.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// The role that may answer an input when the definition names none.
pub const INPUT_ROLE_DEFAULT: Role = Role::Member;
