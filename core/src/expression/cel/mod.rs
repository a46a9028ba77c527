//! The one place that knows which CEL library is used, so that it can be replaced.
//!
//! A source is parsed, checked and rewritten: each path that it reads becomes a variable of its
//! own, so that an evaluation converts only the values it needs. CEL's own rules (short circuits,
//! equality, errors) are left to the library.

mod convert;
mod cost;
mod explain;
mod functions;
mod rewrite;

use std::borrow::Cow;

use ::cel::Value as CelValue;
use ::cel::common::ast::{Expr, IdedExpr};
use ::cel::common::value::Val;
use ::cel::parser::{ParseErrors, PrattParser};
use regex::Regex;
use serde_json::Value;

use super::budget::Budget;
use super::path::{Path, Start, kind};
use super::{Context, Invalid, Reference, StepField, scan};
use crate::Failure;
use cost::Extent;

/// A checked expression whose paths are variables.
#[derive(Debug)]
pub struct Program {
    root: IdedExpr,
    /// The variable `@i` stands for the i-th of these.
    reads: Vec<Read>,
    /// The function `@matches_i` asks the i-th of these.
    patterns: Vec<Regex>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Value(Path),
    /// `has(path)`.
    Presence(Path),
    /// `size(path)`: told without looking inside.
    Size(Path),
}

pub struct Compiled {
    pub program: Program,
    pub references: Vec<Reference>,
    pub roots: Vec<&'static str>,
    /// What must be there of which steps wherever this holds.
    pub present: Vec<(String, StepField)>,
}

pub fn compile(source: &str) -> Result<Compiled, Invalid> {
    scan::check_nesting(source)?;
    // The recursion limit is beyond what the scan lets through: it is a second lock.
    let parser = PrattParser::new().enable_ident_escape_syntax(true).max_recursion_depth(96);
    let root = parser.parse(source).map_err(|errors| syntax(source, errors))?;
    rewrite::rewrite(source, root)
}

fn syntax(source: &str, errors: ParseErrors) -> Invalid {
    let Some(first) = errors.errors.first() else {
        return Invalid::new("this is not CEL", None, 0..source.len());
    };
    let line_start: usize = match usize::try_from(first.pos.0 - 1) {
        Ok(lines) => source.split_inclusive('\n').take(lines).map(str::len).sum(),
        Err(_) => return Invalid::new(first.msg.clone(), None, 0..source.len()),
    };
    let column = usize::try_from(first.pos.1 - 1).unwrap_or(0);
    let start = floor_char_boundary(source, line_start + column);
    let end = source[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    let message = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg).to_owned();
    Invalid::new(message, None, start..end)
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The name of the variable that stands for the i-th read; no source can spell it.
fn variable(index: usize) -> String {
    format!("@{index}")
}

fn variable_index(name: &str) -> Option<usize> {
    name.strip_prefix('@')?.parse().ok()
}

/// The roots that reads begin at, each resolved once.
struct Roots<'c>(Vec<(&'c Start, Option<Cow<'c, Value>>)>);

impl<'c> Roots<'c> {
    fn resolve(reads: &'c [Read], context: &'c dyn Context) -> Self {
        let mut roots: Vec<(&Start, Option<Cow<'_, Value>>)> = Vec::new();
        // What is only counted need not be written out.
        let is_counted = |read: &&Read| {
            matches!(read, Read::Size(path) if path.segments.is_empty())
                && context.list_len(read.path().start.as_root()).is_some()
        };
        for start in reads.iter().filter(|read| !is_counted(read)).map(|read| &read.path().start) {
            if !roots.iter().any(|(known, _)| *known == start) {
                roots.push((start, context.resolve(start.as_root())));
            }
        }
        Self(roots)
    }

    fn of(&self, path: &Path) -> Option<&Value> {
        self.0.iter().find(|(start, _)| **start == path.start).and_then(|(_, value)| value.as_deref())
    }
}

impl Read {
    fn path(&self) -> &Path {
        match self {
            Self::Value(path) | Self::Presence(path) | Self::Size(path) => path,
        }
    }

    /// The variable's value. None leaves it unbound: whether that is an error is for CEL to say,
    /// which knows whether it is ever reached.
    fn bind<'v>(&self, roots: &'v Roots<'_>, context: &dyn Context) -> Option<(Box<dyn Val + 'v>, Extent)> {
        if let Self::Size(path) = self
            && path.segments.is_empty()
            && let Some(len) = context.list_len(path.start.as_root())
        {
            return Some((convert::length(len), Extent::SCALAR));
        }
        let root = roots.of(self.path());
        match self {
            Self::Value(path) => path.walk(root?).ok().map(convert::from_json),
            Self::Presence(path) => {
                let present = path.is_present(root).ok()?;
                Some((convert::boolean(present), Extent::SCALAR))
            }
            Self::Size(path) => match path.walk(root?).ok()? {
                Value::Array(items) => Some((convert::length(items.len()), Extent::SCALAR)),
                Value::Object(fields) => Some((convert::length(fields.len()), Extent::SCALAR)),
                Value::String(text) => {
                    context.meter().charge_bytes(text.len());
                    Some((convert::length(text.chars().count()), Extent::SCALAR))
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => None,
            },
        }
    }

    /// Why it is unbound.
    fn problem(&self, roots: &Roots<'_>, context: &dyn Context) -> String {
        let path = match self {
            Self::Value(path) | Self::Size(path) => Cow::Borrowed(path),
            Self::Presence(path) => Cow::Owned(path.parent()),
        };
        match roots.of(&path) {
            None => path.absent(context),
            Some(root) => match (path.walk(root), self) {
                (Err(problem), _) => problem,
                (Ok(value), Self::Size(_)) => format!("`{path}` is {}: it has no size", kind(value)),
                (Ok(_), _) => format!("`{path}` is not an object"),
            },
        }
    }
}

impl Program {
    /// The path, if the program is nothing else.
    pub fn into_path(self) -> Result<Path, Self> {
        match (&self.root.expr, self.reads.as_slice()) {
            (Expr::Ident(name), [Read::Value(path)]) if *name == variable(0) => Ok(path.clone()),
            _ => Err(self),
        }
    }

    pub fn evaluate(
        &self,
        source: &str,
        context: &dyn Context,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Value, Failure> {
        let roots = Roots::resolve(&self.reads, context);
        let mut extents = Vec::with_capacity(self.reads.len());
        let mut variables = functions::context(&self.patterns);
        for (index, read) in self.reads.iter().enumerate() {
            let (value, extent) = read.bind(&roots, context).unzip();
            extents.push(extent.unwrap_or(Extent::SCALAR));
            if let Some(value) = value {
                variables.add_variable_as_val(variable(index), value);
            }
        }
        let work = cost::check(&self.root, &extents, source);
        // What was read to learn that it is too much was work as well.
        let read = || context.meter().charge(extents.iter().map(|extent| extent.nodes).sum());
        context.meter().charge_evaluation(work.inspect_err(|_| read())?)?;
        let unbound = |name: &str| Some(self.reads.get(variable_index(name)?)?.problem(&roots, context));
        let value =
            CelValue::resolve_val(&self.root, &variables).map_err(|error| explain::failure(source, &error, unbound))?;
        convert::to_json(&*value, source, budget, depth)
    }
}
