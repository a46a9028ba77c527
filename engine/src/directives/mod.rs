//! The built-in directives: they write our own store, so they happen exactly once, in the commit
//! that records them. One file each; this is their list.

mod operation;
mod signal_emit;
pub(crate) mod signal_offer;
mod signal_replay;
mod workflow_run_cancel;
mod workflow_run_pause;
mod workflow_run_rerun;
mod workflow_run_resume;
mod workflow_run_retry;
pub(crate) mod workflow_run_start;
mod workflow_step_answer;
mod workflow_step_complete;
mod workflow_step_report;
mod workflow_step_skip;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::json::StrictJson;
use fleetprompt_core::name::nearest;
use fleetprompt_core::{Failure, Json, Name};

use crate::cascade::{Cascade, Decided, StartRun};
use crate::{Error, Refusal};

use self::workflow_run_start::StartBySignal;

/// The built-in directives that callers and steps may request, by name.
const REQUESTABLE: &[&dyn BuiltIn] = &[
    &signal_emit::SignalEmit,
    &signal_replay::SignalReplay,
    &operation::Operation::<workflow_run_cancel::Cancel>::NEW,
    &operation::Operation::<workflow_run_pause::Pause>::NEW,
    &workflow_run_rerun::WorkflowRunRerun,
    &operation::Operation::<workflow_run_resume::Resume>::NEW,
    &operation::Operation::<workflow_run_retry::Retry>::NEW,
    &workflow_run_start::WorkflowRunStart,
    &operation::Operation::<workflow_step_answer::Answer>::NEW,
    &operation::Operation::<workflow_step_complete::Complete>::NEW,
    &operation::Operation::<workflow_step_report::Report>::NEW,
    &operation::Operation::<workflow_step_skip::Skip>::NEW,
];

/// The built-in directives that only the engine requests: their handlers trust the payload.
const INTERNAL: &[&dyn BuiltIn] = &[&signal_offer::SignalOffer];

pub(crate) trait BuiltIn: Sync {
    fn name(&self) -> &'static str;
    /// One line for people.
    fn summary(&self) -> &'static str;
    /// What is wrong with a payload, before the intent is recorded.
    fn check(&self, payload: &Json) -> Result<(), String>;
    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable>;
}

/// What a handler did, and what is to follow in the same commit.
pub(crate) struct Handled {
    pub output: Json,
    pub start: Option<StartRun>,
    /// What becomes of a run that is there already.
    pub decided: Option<Box<Decided>>,
}

impl Handled {
    fn with(output: Json) -> Self {
        Self { output, start: None, decided: None }
    }
}

pub(crate) enum Unable {
    /// The directive fails, and says why.
    Failed(Failure),
    /// Nothing was decided.
    Error(Error),
}

impl From<Failure> for Unable {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Unable {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::Failed(Failure::fatal(refusal.code, refusal.message)),
            Error::Busy { .. } | Error::Unavailable(_) | Error::OutcomeUnknown(_) => Self::Error(error),
        }
    }
}

/// The handler of a directive that was requested.
pub(crate) fn find(name: &Name) -> Option<&'static dyn BuiltIn> {
    find_requestable(name).or_else(|| find_among(INTERNAL, name))
}

/// The same if callers and steps may request it.
pub(crate) fn find_requestable(name: &Name) -> Option<&'static dyn BuiltIn> {
    find_among(REQUESTABLE, name)
}

fn find_among(built_in: &'static [&'static dyn BuiltIn], name: &Name) -> Option<&'static dyn BuiltIn> {
    built_in.iter().find(|built_in| built_in.name() == name.as_str()).copied()
}

/// The names and summaries of the built-in directives that can be requested.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
    REQUESTABLE.iter().map(|built_in| (built_in.name(), built_in.summary()))
}

/// Returns whether only the engine requests and settles a directive: what it has recorded follows from it, such as the
/// disposition of a signal which started a run.
pub(crate) fn is_internal(directive: &Directive) -> bool {
    find_among(INTERNAL, &directive.name).is_some() || StartBySignal::of(directive).is_some()
}

pub(crate) fn unknown<'a>(name: &Name, registered: impl Iterator<Item = &'a Name>) -> Refusal {
    let known: Vec<&str> = registered.map(Name::as_str).chain(built_in().map(|(name, _)| name)).collect();
    let near = nearest(name.as_str(), known.iter().copied());
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let some: Vec<String> = known.iter().take(20).map(|name| format!("`{name}`")).collect();
    let message = format!("there is no directive `{name}`{hint} Known here: {}", some.join(", "));
    Refusal::invalid("directive_unknown", message)
}

/// Reads a payload of a built-in directive.
fn read<T: serde::de::DeserializeOwned>(name: &str, payload: &Json) -> Result<T, String> {
    T::deserialize(StrictJson(payload.text())).map_err(|error| format!("the payload of `{name}`: {error}"))
}
