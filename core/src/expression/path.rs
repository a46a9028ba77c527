//! Plain paths: `signal.payload.title`, `steps.a.output.items[0]["x y"]`. They are most of what
//! people write, so they are walked on the stored JSON, and say precisely what is not there.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::near::{listed, nearest};
use super::{Context, Root, StepField, failed};
use crate::Failure;

/// Which of them are there depends on the place; a reader refuses the others.
pub const ROOTS: [&str; 8] = ["event", "index", "item", "repeat", "run", "signal", "steps", "tenant"];
/// A loop may give its variable one of these names, as CEL has it: they are the names of things that
/// are only there in some places.
pub const ROOTS_SHADOWED: [&str; 4] = ["event", "index", "item", "repeat"];
pub const STEP_FIELDS: [&str; 3] = ["error", "output", "status"];
const REPEAT_FIELDS: [&str; 2] = ["iteration", "output"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub start: Start,
    pub segments: Vec<Segment>,
}

/// An owned [`Root`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Signal,
    SignalPayload,
    Run,
    Tenant,
    StepStatus(String),
    StepOutput(String),
    StepError(String),
    Item,
    Index,
    Repeat,
    Event,
    EventPayload,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Name(String),
    Index(u64),
}

/// Why a text that looks like a path is none.
pub struct NoPath {
    pub message: String,
    pub help: String,
}

impl Path {
    /// What `root.rest…` means.
    pub fn new(root: &str, mut rest: Vec<Segment>) -> Result<Self, NoPath> {
        let start = match root {
            "run" => Start::Run,
            "tenant" => Start::Tenant,
            "signal" if takes_payload(&mut rest) => Start::SignalPayload,
            "signal" => Start::Signal,
            "event" if takes_payload(&mut rest) => Start::EventPayload,
            "event" => Start::Event,
            "item" => Start::Item,
            "index" => Start::Index,
            "repeat" => {
                check_repeat(rest.first())?;
                Start::Repeat
            }
            "steps" => step_start(&mut rest)?,
            _ => return Err(unknown_root(root)),
        };
        Ok(Self { start, segments: rest })
    }

    pub fn step(&self) -> Option<&str> {
        self.step_field().map(|(step, _)| step)
    }

    pub fn step_field(&self) -> Option<(&str, StepField)> {
        match &self.start {
            Start::StepStatus(step) => Some((step, StepField::Status)),
            Start::StepOutput(step) => Some((step, StepField::Output)),
            Start::StepError(step) => Some((step, StepField::Error)),
            Start::Signal | Start::SignalPayload | Start::Run | Start::Tenant => None,
            Start::Item | Start::Index | Start::Repeat | Start::Event | Start::EventPayload => None,
        }
    }

    pub fn root(&self) -> &'static str {
        match &self.start {
            Start::Signal | Start::SignalPayload => "signal",
            Start::Run => "run",
            Start::Tenant => "tenant",
            Start::StepStatus(_) | Start::StepOutput(_) | Start::StepError(_) => "steps",
            Start::Item => "item",
            Start::Index => "index",
            Start::Repeat => "repeat",
            Start::Event | Start::EventPayload => "event",
        }
    }

    /// The root, with the input told apart from the rest of the run: it is there before the run is.
    pub fn reads(&self) -> &'static str {
        match (&self.start, self.segments.first()) {
            (Start::Run, Some(Segment::Name(name))) if name == "input" => "run.input",
            _ => self.root(),
        }
    }

    pub fn find<'c>(&self, context: &'c dyn Context) -> Result<Cow<'c, Value>, Failure> {
        match context.resolve(self.start.as_root()) {
            Some(Cow::Borrowed(value)) => self.walk(value).map(Cow::Borrowed),
            Some(Cow::Owned(value)) if self.segments.is_empty() => Ok(Cow::Owned(value)),
            Some(Cow::Owned(value)) => self.walk(&value).cloned().map(Cow::Owned),
            None => Err(self.absent(context)),
        }
        .map_err(failed)
    }

    /// From the value of the root to the value that is meant.
    pub fn walk<'v>(&self, root: &'v Value) -> Result<&'v Value, String> {
        let mut value = root;
        for (at, segment) in self.segments.iter().enumerate() {
            let next = match (segment, value) {
                (Segment::Name(name), Value::Object(fields)) => fields.get(name),
                (Segment::Index(index), Value::Array(items)) => {
                    usize::try_from(*index).ok().and_then(|index| items.get(index))
                }
                _ => None,
            };
            value = next.ok_or_else(|| self.missing(at, value))?;
        }
        Ok(value)
    }

    /// `has(…)`: whether the last segment is there. Like CEL's, it needs everything before it; a
    /// step that gave no output simply has none.
    pub fn is_present(&self, root: Option<&Value>) -> Result<bool, ()> {
        let Some(root) = root else { return if self.step().is_some() { Ok(false) } else { Err(()) } };
        let Some(last) = self.segments.last() else { return Ok(true) };
        match (last, self.parent().walk(root).map_err(drop)?) {
            (Segment::Name(name), Value::Object(fields)) => Ok(fields.contains_key(name)),
            _ => Err(()),
        }
    }

    /// Without the last segment.
    pub fn parent(&self) -> Self {
        let before = self.segments.len().saturating_sub(1);
        Self { start: self.start.clone(), segments: self.segments[..before].to_vec() }
    }

    /// Why there is nothing at the root of this path.
    pub fn absent(&self, context: &dyn Context) -> String {
        let Some(step) = self.step() else {
            return match &self.start {
                Start::Signal | Start::SignalPayload => format!("`{self}`: the run was not started by a signal"),
                _ => format!("`{self}`: there is no `{}` here", self.root()),
            };
        };
        let status = context.resolve(Root::StepStatus(step));
        let status = status.as_deref().and_then(Value::as_str).unwrap_or("undecided");
        match &self.start {
            Start::StepError(_) => format!("`{self}`: step `{step}` is {status}: it has no error"),
            _ => format!("`{self}`: step `{step}` is {status}: it has no output"),
        }
    }

    /// Why the segment at `at` cannot be followed from `value`.
    fn missing(&self, at: usize, value: &Value) -> String {
        let parent = Prefix { path: self, segments: at };
        match (&self.segments[at], value) {
            (Segment::Name(name), Value::Object(fields)) => {
                let names = || fields.keys().map(String::as_str);
                let near = nearest(name, names()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                format!("`{self}`: no field `{name}` in `{parent}` (it has {}){near}", listed(names()))
            }
            (Segment::Index(index), Value::Array(items)) => {
                format!("`{self}`: no item {index} in `{parent}` (it has {})", items.len())
            }
            (Segment::Name(name), other) => {
                format!("`{self}`: `{parent}` is {}: it has no field `{name}`", kind(other))
            }
            (Segment::Index(_), other) => format!("`{self}`: `{parent}` is {}, not a list", kind(other)),
        }
    }
}

fn step_start(rest: &mut Vec<Segment>) -> Result<Start, NoPath> {
    let help = || "write `steps.<id>.output`, `steps.<id>.status` or `steps.<id>.error`".to_owned();
    let Some(Segment::Name(step)) = rest.first().cloned() else {
        return Err(NoPath { message: "`steps` must name one step".to_owned(), help: help() });
    };
    let field = match rest.get(1) {
        Some(Segment::Name(field)) => field.as_str(),
        _ => return Err(NoPath { message: format!("`steps.{step}` needs a field"), help: help() }),
    };
    let start = match field {
        "status" => Start::StepStatus(step),
        "output" => Start::StepOutput(step),
        "error" => Start::StepError(step),
        other => {
            let help = match nearest(other, STEP_FIELDS) {
                Some(near) => format!("did you mean `{near}`? {}", help()),
                None => format!("did you mean `steps.{step}.output.{other}`? {}", help()),
            };
            return Err(NoPath { message: format!("a step has no `{other}`"), help });
        }
    };
    rest.drain(..2);
    Ok(start)
}

pub fn unknown_root(name: &str) -> NoPath {
    let near = nearest(name, ROOTS).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    NoPath {
        message: format!("unknown name `{name}`"),
        help: format!("{near}expressions can read `signal`, `steps.<id>`, `run` and `tenant`"),
    }
}

/// The payload is asked for most, and found without making the rest of a signal.
fn takes_payload(rest: &mut Vec<Segment>) -> bool {
    let is_payload = matches!(rest.first(), Some(Segment::Name(name)) if name == "payload");
    if is_payload {
        rest.remove(0);
    }
    is_payload
}

fn check_repeat(field: Option<&Segment>) -> Result<(), NoPath> {
    let Some(Segment::Name(field)) = field else { return Ok(()) };
    if REPEAT_FIELDS.contains(&field.as_str()) {
        return Ok(());
    }
    let near = nearest(field, REPEAT_FIELDS).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let help = format!("{near}write `repeat.iteration` or `repeat.output`");
    Err(NoPath { message: format!("`repeat` has no `{field}`"), help })
}

impl Start {
    pub fn as_root(&self) -> Root<'_> {
        match self {
            Self::Signal => Root::Signal,
            Self::SignalPayload => Root::SignalPayload,
            Self::Run => Root::Run,
            Self::Tenant => Root::Tenant,
            Self::StepStatus(step) => Root::StepStatus(step),
            Self::StepOutput(step) => Root::StepOutput(step),
            Self::StepError(step) => Root::StepError(step),
            Self::Item => Root::Item,
            Self::Index => Root::Index,
            Self::Repeat => Root::Repeat,
            Self::Event => Root::Event,
            Self::EventPayload => Root::EventPayload,
        }
    }
}

/// With its article, as messages need it.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The first segments of a path, as one writes them.
struct Prefix<'a> {
    path: &'a Path,
    segments: usize,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Prefix { path: self, segments: self.segments.len() }.fmt(f)
    }
}

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.root())?;
        let step_field = match &self.path.start {
            Start::StepStatus(_) => Some("status"),
            Start::StepOutput(_) => Some("output"),
            Start::StepError(_) => Some("error"),
            Start::SignalPayload | Start::EventPayload => Some("payload"),
            Start::Signal | Start::Run | Start::Tenant => None,
            Start::Item | Start::Index | Start::Repeat | Start::Event => None,
        };
        for name in self.path.step().into_iter().chain(step_field) {
            write_name(f, name)?;
        }
        for segment in &self.path.segments[..self.segments] {
            match segment {
                Segment::Name(name) => write_name(f, name)?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(plain) {
        write!(f, ".{name}")
    } else {
        write!(f, "[{name:?}]")
    }
}
