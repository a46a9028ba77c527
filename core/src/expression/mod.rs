//! Expressions: CEL inside `${…}`, compiled when a definition is applied and evaluated many times.
//!
//! They are total: no text and no data makes them panic, loop or grow without bound. They read
//! what a [`Context`] shows them and nothing else, so the same facts always give the same value.
//! A plain path such as `signal.payload.title` never reaches CEL: it is walked on the stored JSON.

mod budget;
mod cel;
mod near;
mod path;
mod scan;
mod template;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use crate::{Failure, Meter};
use budget::Budget;
use path::Path;

pub use template::Template;

/// The longest expression, in bytes.
pub const SOURCE_BYTES_MAX: usize = 4 * 1024;

/// One CEL expression, e.g. the inside of `${…}` or a `when`.
#[derive(Debug)]
pub struct Expression {
    source: String,
    form: Form,
    references: Vec<Reference>,
    roots: Vec<&'static str>,
    present: Vec<(String, StepField)>,
}

#[derive(Debug)]
enum Form {
    Path(Path),
    Program(Box<cel::Program>),
}

/// `steps.x.output` was referenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub step: String,
    pub field: StepField,
    /// Only ever inside `has(…)`, or behind a `has()` or a status that says it is there: it implies
    /// order only.
    pub guarded: bool,
}

/// What of a step is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepField {
    /// There when it completed.
    Output,
    /// There when it failed.
    Error,
    /// Always there.
    Status,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    pub message: String,
    pub help: Option<String>,
    /// Bytes inside the text that was compiled; for templates, inside that one string.
    pub span: Range<usize>,
}

/// What an expression can see; resolved lazily, so that nothing is copied which is not referenced.
pub trait Context {
    /// None: there is none, like the output of a step that was skipped.
    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>>;

    /// How many items a list has, where that is known without writing it out.
    fn list_len(&self, _root: Root<'_>) -> Option<usize> {
        None
    }

    /// What evaluations are charged to.
    fn meter(&self) -> &Meter;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'a> {
    Signal,
    /// Faster than going through `Signal`.
    SignalPayload,
    Run,
    Tenant,
    StepStatus(&'a str),
    StepOutput(&'a str),
    StepError(&'a str),
    /// Of `for_each`.
    Item,
    Index,
    /// `{"iteration", "output"}`, of `repeat`.
    Repeat,
    /// The signal that is offered to a wait.
    Event,
    /// Faster than going through `Event`.
    EventPayload,
}

impl Expression {
    /// `text` is either the bare CEL or exactly one `${…}`.
    pub fn compile(text: &str) -> Result<Self, Invalid> {
        let inside = scan::unwrapped(text)?;
        Self::compile_bare(&text[inside.clone()]).map_err(|invalid| invalid.shifted(inside.start))
    }

    fn compile_bare(text: &str) -> Result<Self, Invalid> {
        let source = text.trim();
        let start = text.len() - text.trim_start().len();
        let compiled = check_source(source).and_then(|()| cel::compile(source));
        let compiled = compiled.map_err(|invalid| invalid.shifted(start))?;
        let form = match compiled.program.into_path() {
            Ok(path) => Form::Path(path),
            Err(program) => Form::Program(Box::new(program)),
        };
        let (references, roots, present) = (compiled.references, compiled.roots, compiled.present);
        Ok(Self { source: source.to_owned(), form, references, roots, present })
    }

    /// What this reads of which steps, each once, in the order of their names.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Which roots this reads, in the order of their names. Of a run, `run.input` alone is told apart.
    pub fn roots_used(&self) -> &[&'static str] {
        &self.roots
    }

    /// What must be there of which steps wherever this holds: it asks for it.
    pub fn present_if_true(&self) -> &[(String, StepField)] {
        &self.present
    }

    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, Failure> {
        self.evaluate_within(context, &mut Budget::new(), 0)
    }

    /// The value itself, where it is only read and not made.
    fn borrow<'c>(&self, context: &'c dyn Context) -> Option<Result<Cow<'c, Value>, Failure>> {
        match &self.form {
            Form::Path(path) => Some(path.find(context)),
            Form::Program(_) => None,
        }
    }

    /// As part of a larger value, `depth` containers deep.
    fn evaluate_within(&self, context: &dyn Context, budget: &mut Budget, depth: usize) -> Result<Value, Failure> {
        match &self.form {
            Form::Path(path) => {
                let left = budget.bytes_left();
                let found = budget.copied_at(path.find(context)?, depth);
                context.meter().charge_bytes(left - budget.bytes_left());
                found
            }
            Form::Program(program) => program.evaluate(&self.source, context, budget, depth),
        }
    }

    /// Whether the condition holds; anything but a boolean is a failure.
    pub fn holds(&self, context: &dyn Context) -> Result<bool, Failure> {
        match self.evaluate(context)? {
            Value::Bool(holds) => Ok(holds),
            other => {
                let kind = path::kind(&other);
                Err(failed(format!("`{}` is {kind}, where true or false is expected", excerpt(&self.source))))
            }
        }
    }

    /// The CEL, without `${` and `}`.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl Invalid {
    fn new(message: impl Into<String>, help: Option<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), help, span }
    }

    fn shifted(mut self, by: usize) -> Self {
        self.span = self.span.start + by..self.span.end + by;
        self
    }
}

fn check_source(source: &str) -> Result<(), Invalid> {
    let whole = 0..source.len();
    if source.is_empty() {
        let help = "write a path such as `signal.payload.title`".to_owned();
        return Err(Invalid::new("the expression is empty", Some(help), whole));
    }
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the expression has {} bytes; at most {SOURCE_BYTES_MAX} are allowed", source.len());
        return Err(Invalid::new(message, Some("compute it in a function step instead".to_owned()), whole));
    }
    Ok(())
}

fn failed(message: impl Into<String>) -> Failure {
    Failure::fatal("expression_failed", message)
}

/// So much of a source as a message has room for.
fn excerpt(source: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 120;
    match source.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &source[..end])),
        None => Cow::Borrowed(source),
    }
}

#[cfg(test)]
mod tests;
