//! Answers for the world outside, as the test says; remembers who was asked, since an answer that
//! nobody asks for is as much of a mistake as a question that nobody answers.

use fleetprompt_core::Json;
use fleetprompt_core::workflow::{StepKind, Workflow};

use super::{Answer, Answers, Asked, At, Case, Expect, Problem, Scripted, Suite, Whom};

pub(super) struct Script<'c> {
    parts: Vec<Part<'c>>,
}

struct Part<'c> {
    scripted: &'c Scripted,
    /// Of the whole file: not every case has to ask.
    is_shared: bool,
    /// The case expects that nobody asks, and says what would be answered.
    is_unwanted: bool,
    asked: usize,
}

/// Somebody outside is asked.
pub(super) struct Question<'a> {
    pub kind: Asked,
    /// By a step of the workflow that is tried.
    pub at: Option<At>,
    pub name: &'a str,
    pub input: &'a Json,
}

impl<'c> Script<'c> {
    pub fn new(suite: &'c Suite, case: &'c Case) -> Self {
        let part = |is_shared| {
            move |scripted| Part { scripted, is_shared, is_unwanted: is_unwanted(suite, case, scripted), asked: 0 }
        };
        let own = case.given.iter().map(part(false));
        Self { parts: own.chain(suite.given.iter().map(part(true))).collect() }
    }

    /// None: nothing is scripted for it.
    pub fn answer(&mut self, question: &Question<'_>) -> Option<Result<Answer, Problem>> {
        let fitting = self.parts.iter_mut().filter_map(|part| Some((part.fits(question)?, part)));
        let (_, part) = fitting.min_by_key(|(rank, _)| *rank)?;
        part.asked += 1;
        match &part.scripted.answers {
            Answers::Always(answer) => Some(Ok(answer.clone())),
            Answers::Each(answers) => Some(answers.get(part.asked - 1).cloned().ok_or_else(|| {
                let what = format!("{} is asked a {} time", question.said(), nth(part.asked));
                let count = answers.len();
                let plural = if count == 1 { "answer is" } else { "answers are" };
                Problem::said(format!("{what}, and {count} {plural} scripted")).help(
                    "a failure that may be tried again is asked again; an answer outside a list is given every time",
                )
            })),
        }
    }

    pub fn unused(&self) -> impl Iterator<Item = Problem> {
        self.parts.iter().filter(|part| !part.is_shared && !part.is_unwanted).filter_map(|part| {
            let left = match &part.scripted.answers {
                Answers::Always(_) if part.asked == 0 => "was never asked".to_owned(),
                Answers::Each(answers) if part.asked < answers.len() => {
                    format!("was asked {} of {} times", part.asked, answers.len())
                }
                Answers::Always(_) | Answers::Each(_) => return None,
            };
            let whom = &part.scripted.whom;
            let help = "a failure is only tried again when it is `retryable`, or its code is among those that are";
            Some(Problem::said(format!("{} `{whom}` has an answer and {left}", part.scripted.kind.word())).help(help))
        })
    }
}

/// Whether an answer is that of a directive that is not to be requested.
fn is_unwanted(suite: &Suite, case: &Case, scripted: &Scripted) -> bool {
    let name = match &scripted.whom {
        _ if scripted.kind != Asked::Directive => None,
        Whom::Named(name) => Some(name.as_str()),
        Whom::Step(at) => directive_of(&suite.definitions.workflow, at),
    };
    let expected = match &case.expect {
        Expect::First(expected) => std::slice::from_ref(&**expected),
        Expect::Runs(all) => all.as_slice(),
    };
    let mut not_requested = expected.iter().flat_map(|expected| &expected.not_requested);
    name.is_some_and(|name| not_requested.any(|unwanted| unwanted.as_str() == name))
}

fn directive_of<'w>(workflow: &'w Workflow, at: &At) -> Option<&'w str> {
    let step = &workflow.steps[*workflow.index.get(&at.step)?];
    match &step.kind {
        _ if at.undo => step.compensate.as_ref().map(|compensate| compensate.directive.as_str()),
        StepKind::Directive { directive, .. } => Some(directive.as_str()),
        _ => None,
    }
}

impl Part<'_> {
    /// The less, the closer: what the case says of an item, of a step, of a name; then the same of the file.
    fn fits(&self, question: &Question<'_>) -> Option<(bool, u8)> {
        if self.scripted.kind != question.kind {
            return None;
        }
        let rank = match (&self.scripted.whom, &question.at) {
            (Whom::Step(whom), Some(at)) if whom == at => 0,
            (Whom::Step(whom), Some(at)) if *whom == (At { item: None, ..at.clone() }) => 1,
            (Whom::Named(name), _) if name == question.name => 2,
            _ => return None,
        };
        Some((self.is_shared, rank))
    }
}

impl Question<'_> {
    fn said(&self) -> String {
        let by = self.at.as_ref().map(|at| format!(" of step `{at}`")).unwrap_or_default();
        format!("{} `{}`{by}", self.kind.word(), self.name)
    }

    /// That nobody answers, with what to add.
    pub fn unanswered(&self) -> Problem {
        let key = self.at.as_ref().map_or(self.name.to_owned(), At::to_string);
        let field = self.kind.field();
        let help = format!(
            "add what it answers: \"given\": {{\"{field}\": {{\"{key}\": …}}}}; it was given {}",
            super::story::short(self.input.text())
        );
        Problem::said(format!("{} is asked, and the case does not say what it answers", self.said())).help(help)
    }
}

impl Asked {
    pub const ALL: [Self; 4] = [Self::Agent, Self::Function, Self::Directive, Self::Workflow];

    fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Function => "function",
            Self::Directive => "directive",
            Self::Workflow => "workflow",
        }
    }

    pub fn field(self) -> &'static str {
        match self {
            Self::Agent => "agents",
            Self::Function => "functions",
            Self::Directive => "directives",
            Self::Workflow => "workflows",
        }
    }
}

impl std::fmt::Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(at) => at.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

fn nth(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
