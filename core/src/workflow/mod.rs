//! A workflow: a versioned DAG of steps, read from JSON or YAML, checked once, and then run many
//! times. What is in memory here is the compiled form; the document it came from is what is stored.

mod check;
mod graph;
mod read;
mod step;

use std::collections::HashMap;

use crate::expression::{Expression, Template};
use crate::retry::RetryPolicy;
use crate::schema::Schema;
use crate::{Json, Name, Slug, Span};

pub use read::{Catalog, read};

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
}

#[derive(Debug)]
pub struct Step {
    pub id: String,
    pub kind: StepKind,
    pub when: Option<Expression>,
    /// Edges into this step, by index into `Workflow::steps`, without repetition.
    pub after: Vec<Edge>,
    /// The steps that have an edge from this one.
    pub before: Vec<usize>,
    /// None: the directive's type says, or `RetryPolicy::default()` for an agent.
    pub retry: Option<RetryPolicy>,
    /// The longest that one attempt may take.
    pub timeout: Option<Span>,
    pub on_error: OnError,
    pub output_schema: Option<Schema>,
}

#[derive(Debug)]
pub enum StepKind {
    Agent { agent: Slug, input: Template },
    Function { function: String, input: Template },
    Directive { directive: Name, payload: Template },
}

impl StepKind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Function { .. } => "function",
            Self::Directive { .. } => "directive",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    /// `true`: runs only if `from` completed (or failed with `on_error: continue`).
    /// `false`: only waits until `from` has settled, whichever way.
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    Fail,
    Continue,
}
