//! Cases: what a workflow is expected to do, written down and tried. A test file scripts what agents,
//! endpoints and people answer; the engine itself is the real one, driven by hand over a store in
//! memory, with a clock that jumps to whatever is due next. So a wait of a week takes no time.
//!
//! `read` takes a test file apart, `files` what it names; `play` lets a case happen, `script` answers
//! for the world outside, `act` does what people do; `judge` compares, `story` tells what happened.

mod act;
mod files;
mod judge;
mod play;
mod read;
mod script;
mod story;
mod world;

use std::time::Instant;

use fleetprompt_core::run::{self, StepStatus};
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Failure, Json, Name, Span, Timestamp};
use serde::Serialize;
use serde_json::Value;

pub use files::Definitions;
pub use read::{Unreadable, read};

/// A test file, with everything that it names.
#[derive(Debug)]
pub struct Suite {
    definitions: Definitions,
    /// What answers in every case that does not say it otherwise.
    given: Vec<Scripted>,
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    name: String,
    /// When it begins.
    now: Timestamp,
    start: Start,
    given: Vec<Scripted>,
    then: Vec<Then>,
    expect: Expect,
}

#[derive(Debug)]
enum Start {
    Signal(Box<NewSignal>),
    /// Of the directive `workflow.run.start`.
    Input(Json),
}

/// What somebody outside is scripted to answer.
#[derive(Debug, Clone)]
struct Scripted {
    kind: Asked,
    whom: Whom,
    answers: Answers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Agent,
    Function,
    Directive,
    Workflow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    /// `STEP`, `STEP:ITEM` or `STEP:undo`.
    Step(At),
    /// An agent's or workflow's slug, a directive's name.
    Named(String),
}

/// A place in a run, by the names that people use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct At {
    step: String,
    item: Option<u32>,
    undo: bool,
}

#[derive(Debug, Clone)]
enum Answers {
    /// Whenever it is asked.
    Always(Answer),
    /// One a time.
    Each(Vec<Answer>),
}

#[derive(Debug, Clone)]
struct Answer {
    /// None: it never comes.
    result: Option<Result<Json, Failure>>,
    after: Span,
}

/// What happens next, in the order of the file.
#[derive(Debug)]
struct Then {
    act: Act,
    /// The code with which it is to be refused.
    refused: Option<String>,
}

#[derive(Debug)]
enum Act {
    After(Span),
    Signal(NewSignal),
    /// Somebody answers a wait for input.
    Answer {
        at: At,
        value: Json,
        role: Role,
    },
    Report {
        to: To,
        said: Said,
    },
    /// An operation on the run: the directive, and its payload but for `run_id`.
    Operate {
        directive: &'static str,
        payload: Value,
        role: Role,
    },
}

/// Whose outcome is reported.
#[derive(Debug)]
enum To {
    /// A wait for a callback, or the manual directive of a step.
    Step(At),
    Directive(Name),
}

#[derive(Debug, Clone)]
enum Said {
    Ended(Result<Json, Failure>),
    Heartbeat,
}

#[derive(Debug)]
enum Expect {
    /// Of the first run.
    First(Box<Expected>),
    /// Exactly these runs, the oldest first.
    Runs(Vec<Expected>),
}

/// What a run came to. What is not given may be anything.
#[derive(Debug, Default)]
struct Expected {
    status: Option<run::Status>,
    output: Option<Value>,
    error: Option<ExpectedError>,
    steps: Vec<(At, ExpectedStep)>,
    directives: Option<Vec<ExpectedDirective>>,
    any_order: bool,
    not_requested: Vec<Name>,
    signals: Vec<Name>,
    took: Option<String>,
}

#[derive(Debug)]
struct ExpectedError {
    code: Option<String>,
    /// Some part of the message.
    message: Option<String>,
}

#[derive(Debug, Default)]
struct ExpectedStep {
    status: Option<StepStatus>,
    output: Option<Value>,
    error: Option<ExpectedError>,
}

#[derive(Debug)]
struct ExpectedDirective {
    name: Name,
    payload: Option<Value>,
    step: Option<At>,
    status: Option<fleetprompt_core::directive::Status>,
}

/// How a case went.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    pub name: String,
    pub passed: bool,
    pub ms: f64,
    pub problems: Vec<Problem>,
    /// Everything that happened, when it did not pass.
    pub timeline: Vec<Line>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// A path like `steps.approve.status`, or a sentence.
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Since the case began.
    pub after: Span,
    /// A step, a directive, a fact; `run` for the run itself.
    pub what: String,
    pub became: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Suite {
    pub fn case_names(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().map(|case| case.name.as_str())
    }

    /// Tries the cases whose names hold `filter`.
    pub fn run(&self, filter: Option<&str>) -> Vec<Tried> {
        let chosen = self.cases.iter().filter(|case| filter.is_none_or(|filter| case.name.contains(filter)));
        chosen.map(|case| self.run_case(case)).collect()
    }

    fn run_case(&self, case: &Case) -> Tried {
        let begun = Instant::now();
        let (problems, timeline) = match play::play(self, case) {
            Ok(played) => (judge::judge(case, &played), story::tell(&played)),
            Err(problem) => (vec![problem], Vec::new()),
        };
        let passed = problems.is_empty();
        let timeline = if passed { Vec::new() } else { timeline };
        Tried { name: case.name.clone(), passed, ms: begun.elapsed().as_secs_f64() * 1_000.0, problems, timeline }
    }
}

impl Problem {
    fn said(what: impl Into<String>) -> Self {
        Self { what: what.into(), expected: None, actual: None, help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn differs(what: impl Into<String>, expected: Value, actual: Value) -> Self {
        Self { what: what.into(), expected: Some(expected), actual: Some(actual), help: None }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.step)?;
        if let Some(item) = self.item {
            write!(f, ":{item}")?;
        }
        f.write_str(if self.undo { ":undo" } else { "" })
    }
}

#[cfg(test)]
mod tests;
