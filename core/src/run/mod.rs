//! Runs: one durable execution of one workflow version.
//!
//! `record` says what the signals `workflow.run.*` and `workflow.step.*` hold and what they make of a
//! run; `decide` says which of them come next; `context` is what the run's expressions see.

mod context;
mod decide;
mod descent;
mod place;
mod record;
mod steps;
mod waiting;

use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use context::{Setting, TriggerView};
pub use decide::{
    Answer, Carried, Continuation, Decision, Effect, Functions, INPUT_BYTES_MAX, Illegal, Input, Start, awaits, decide,
    effect_in_flight, effects_in_flight, is_compensable, start,
};
pub use descent::{Ancestry, Descendants, Descent};
pub use place::Place;
pub use record::{Ending, RunChange, RunRecord, StepChange, StepRecord, fold, run_change_of, step_change_of};
pub use steps::Steps;
pub use waiting::{Awaited, AwaitedSignal, EarlyAnswer, Waiting};

use crate::{DirectiveId, Failure, Json, Lineage, RunId, SignalId, Slug, TenantId, Timestamp};

#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub tenant: TenantId,
    pub workflow: Slug,
    pub version: Arc<str>,
    /// The signal that triggered it; none when a directive asked for it by itself.
    pub signal_id: Option<SignalId>,
    /// The directive `workflow.run.start` that started it.
    pub directive_id: DirectiveId,
    /// What `workflow.run.start` gave; none when the trigger's payload is the input.
    pub input: Option<Json>,
    /// The step of another run that started it.
    pub parent: Option<Parent>,
    /// The run that this one does again: what its directives came to is taken over.
    pub source: Option<RunId>,
    /// Position among the descendants of its root. `None` if a root started it.
    pub descent: Option<Arc<Descent>>,
    /// What its flow control counts it under.
    pub keys: FlowKeys,
    /// `causation_id` is the triggering signal, or else the directive.
    pub lineage: Lineage,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it began; none while it is queued.
    pub begun_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub status: Status,
    /// The signal that made the status what it is; none when it has run since it began. The output or
    /// failure of a run that has ended is kept there.
    pub status_by: Option<SignalId>,
    /// What that signal says, while it neither just runs nor has ended.
    pub standing: Option<Arc<RunRecord>>,
    /// In the order of the workflow's steps.
    pub steps: Steps,
    pub output: Option<Json>,
    pub error: Option<Failure>,
    pub ended_at: Option<Timestamp>,
    /// What the last decision left to the next one because its budget was spent. It is in the row alone, and not
    /// in the log: nothing has happened yet.
    pub continuation: Option<Arc<Continuation>>,
}

/// Where a run was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub run_id: RunId,
    #[serde(flatten)]
    pub place: Place,
    /// Whether that step ends when this run does.
    pub waits: bool,
}

/// Each is the rendered key of one rule of the workflow; none: there is no such rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlowKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Arc<str>>,
}

impl FlowKeys {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a run has not begun, and until when at the latest, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    pub reason: QueueReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Debounced: when the first of the signals came for which it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueReason {
    Concurrency,
    Throttle,
    Debounce,
}

impl QueueReason {
    pub const ALL: [Self; 3] = [Self::Concurrency, Self::Throttle, Self::Debounce];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Throttle => "throttle",
            Self::Debounce => "debounce",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Flow control does not let it begin yet.
    Queued,
    Running,
    /// Somebody stopped it for a while: what is under way ends, and nothing begins.
    Paused,
    /// As paused, by a failure that an operator is to decide about.
    Parked,
    /// It is to end, and what is under way has not.
    Stopping,
    /// What its steps did is being undone.
    Compensating,
    Completed,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Parked,
        Self::Stopping,
        Self::Compensating,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Parked => "parked",
            Self::Stopping => "stopping",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Paused | Self::Parked | Self::Stopping | Self::Compensating => false,
            Self::Completed | Self::Failed | Self::Canceled => true,
        }
    }
}

/// A step, an item of one, or what undoes either.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    pub status: StepStatus,
    /// The last attempt that was begun; 0 before the first.
    pub attempt: u32,
    /// How many iterations of `repeat` have completed before this one.
    pub iteration: u32,
    /// How often an operator had its effect asked for anew.
    pub issue: u32,
    /// When it must be looked at: the next attempt, the next iteration, or what its wait says.
    pub due_at: Option<Timestamp>,
    pub directive_id: Option<DirectiveId>,
    pub waiting: Option<Arc<Waiting>>,
    /// The lock that it holds, or waits for.
    pub lock: Option<Arc<str>>,
    /// An answer or a report that came before its wait began.
    pub early_answer: Option<Arc<EarlyAnswer>>,
    /// The signal that its wait consumed.
    pub consumed: Option<SignalId>,
    /// Of the last iteration, while it repeats.
    pub output: Option<Json>,
    /// The signal that holds the output.
    pub output_by: Option<SignalId>,
    pub error: Option<Failure>,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The signal that made it what it is.
    pub signal_id: Option<SignalId>,
    /// Whether a run that a step of type `workflow` started had something to compensate when it ended.
    pub compensable: bool,
    pub items: Option<Box<Items>>,
    pub undo: Option<Box<Step>>,
}

/// What `for_each` made of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Items {
    pub steps: Steps,
    /// What it goes over, written out when it is needed first.
    list: Derived<Value>,
    output: Derived<Json>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    #[default]
    Pending,
    /// An attempt is under way, or its directive is, or its items are.
    Running,
    /// For what it waits for.
    Waiting,
    /// Between two attempts.
    Retrying,
    /// Between two iterations.
    Repeating,
    /// It is no longer wanted; what it has under way has not ended.
    Canceling,
    Completed,
    Failed,
    Skipped,
    Canceled,
}

impl StepStatus {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Retrying,
        Self::Repeating,
        Self::Canceling,
        Self::Completed,
        Self::Failed,
        Self::Skipped,
        Self::Canceled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Repeating => "repeating",
            Self::Canceling => "canceling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
        }
    }

    pub fn is_settled(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Waiting | Self::Retrying | Self::Repeating | Self::Canceling => false,
            Self::Completed | Self::Failed | Self::Skipped | Self::Canceled => true,
        }
    }

    pub fn is_in_flight(self) -> bool {
        self != Self::Pending && !self.is_settled()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Run {
    pub fn at(&self, place: Place) -> Option<&Step> {
        let step = self.steps.get(place.index())?;
        let step = match place.item {
            Some(item) => step.items.as_ref()?.steps.get(item as usize)?,
            None => step,
        };
        if place.undo { step.undo.as_deref() } else { Some(step) }
    }

    /// Returns `true` if a wait of the run has consumed this signal.
    pub fn has_consumed(&self, signal: SignalId) -> bool {
        self.steps.has_consumed(signal)
    }

    /// Changes what is at a place; nothing when there is no such place.
    pub(crate) fn change(&mut self, place: Place, change: impl FnOnce(&mut Step)) {
        let undone = |step: &mut Step| match place.undo {
            true => change(step.undo.get_or_insert_default()),
            false => change(step),
        };
        self.steps.change(place.index(), |step| match place.item {
            Some(item) => {
                let items = step.items.get_or_insert_default();
                items.output.forget();
                items.steps.change(item as usize, undone);
            }
            None => undone(step),
        });
    }

    /// Puts a row back into its place, as it was read.
    pub fn restore(&mut self, place: Place, restored: Step) {
        self.change(place, |step| {
            let (items, undo) = (step.items.take(), step.undo.take());
            // The items that are there are kept, if it is still so many.
            let count = |items: &Items| items.steps.len();
            let kept = items.filter(|items| restored.items.as_deref().map(count) == Some(count(items)));
            *step = Step { items: kept.or(restored.items), undo: undo.or(restored.undo), ..restored };
        });
    }

    /// Takes a row away from its place, as it was found gone.
    pub fn clear(&mut self, place: Place) {
        if self.at(place.done()).is_some() {
            self.change(place.done(), |step| match place.undo {
                true => step.undo = None,
                false => *step = Step::default(),
            });
        }
    }

    /// When it must be looked at again though nothing happened.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self.status {
            Status::Queued => self.standing.as_ref()?.queue.as_ref()?.until,
            Status::Running => {
                let continues_at = self.continuation.as_ref().map(|continuation| continuation.since());
                self.steps.wake_at().into_iter().chain(self.deadline).chain(continues_at).min()
            }
            // What is due meanwhile is due when it goes on.
            Status::Paused | Status::Parked | Status::Stopping | Status::Compensating => None,
            Status::Completed | Status::Failed | Status::Canceled => None,
        }
    }

    /// Why a run that has not ended is not stuck. `None` is a broken invariant.
    pub fn reason_to_wake(&self) -> Option<&'static str> {
        let any = |status| self.steps.count(status) > 0;
        match self.status {
            Status::Queued => Some("its turn has not come"),
            Status::Paused => Some("somebody paused it"),
            Status::Parked => Some("an operator is to decide"),
            Status::Compensating => self.undoing().map(|_| "a compensation is in flight"),
            Status::Stopping => (self.steps.in_flight() > 0).then_some("what was begun has not ended"),
            Status::Running if self.continuation.is_some() => Some("the rest of its work is decided next"),
            Status::Running if any(StepStatus::Running) => Some("a step is in flight"),
            Status::Running if any(StepStatus::Waiting) => Some("a step waits"),
            Status::Running if any(StepStatus::Retrying) => Some("a step waits for its next attempt"),
            Status::Running if any(StepStatus::Repeating) => Some("a step waits for its next iteration"),
            Status::Running if any(StepStatus::Canceling) => Some("a withdrawn step has not ended"),
            Status::Running | Status::Completed | Status::Failed | Status::Canceled => None,
        }
    }

    /// How often the effect of a place was asked for anew: itself, or its step as a whole.
    pub fn issue_of(&self, place: Place) -> u32 {
        let own = self.at(place).map_or(0, |unit| unit.issue);
        let of_step = self.steps[place.index()].issue;
        if place.item.is_some() || place.undo { own + of_step } else { own }
    }

    /// The steps and items that must be looked at by now.
    pub(crate) fn places_due(&self, now: Timestamp) -> impl Iterator<Item = Place> {
        let is_due = move |step: &Step| step.due_at.is_some_and(|due| due <= now);
        self.steps.due(now).flat_map(move |(index, step)| {
            let place = Place::step(index);
            let items = step.items.iter().flat_map(move |items| items.steps.due(now));
            let items = items.filter(move |(_, item)| is_due(item)).map(move |(item, _)| place.item(item as u32));
            is_due(step).then_some(place).into_iter().chain(items)
        })
    }

    /// The compensation that is under way.
    pub fn undoing(&self) -> Option<Place> {
        let is_under_way = |place: &Place| self.at(*place).is_some_and(|undo| undo.status.is_in_flight());
        match self.steps.known_undo_order() {
            Some(order) => {
                let is_undone = |place: &Place| self.at(*place).is_some_and(Step::is_undone);
                order.get(order.partition_point(is_undone)).map(|place| place.undo()).filter(is_under_way)
            }
            None => self.places().find(|place| place.undo && is_under_way(place)),
        }
    }

    /// Everything in it that is more than a step that has not begun: steps, items, compensations.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.units().flat_map(|(place, step)| {
            let begun = (step.status != StepStatus::Pending).then_some(place);
            begun.into_iter().chain(step.undo.is_some().then(|| place.undo()))
        })
    }

    /// Every step and item, whether it has begun or not.
    fn units(&self) -> impl Iterator<Item = (Place, &Step)> {
        self.steps.iter().enumerate().flat_map(|(index, step)| {
            let items = step.items.iter().flat_map(|items| items.steps.iter().enumerate());
            let items = items.map(move |(item, step)| (Place::step(index).item(item as u32), step));
            std::iter::once((Place::step(index), step)).chain(items)
        })
    }
}

impl Step {
    /// What expressions see of it: of all items, where there are some.
    pub fn output(&self) -> Option<&Json> {
        match &self.items {
            // One that was supplied by hand counts instead.
            Some(items) if self.status == StepStatus::Completed && self.output.is_none() => Some(items.output()),
            _ => self.output.as_ref(),
        }
    }

    /// Whether its compensation, where there is one, succeeded or was skipped.
    fn is_undone(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| matches!(undo.status, StepStatus::Completed | StepStatus::Skipped))
    }

    /// Whether its output is that of its items.
    fn is_gathered(&self) -> bool {
        self.items.is_some() && self.status == StepStatus::Completed && self.output.is_none()
    }

    /// Whether that is written out already.
    fn has_gathered(&self) -> bool {
        self.items.as_ref().is_some_and(|items| items.output.is_known())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let items = self.items.as_ref().and_then(|items| items.steps.wake_at());
        self.due_at.into_iter().chain(items).min()
    }

    fn items_len(&self) -> usize {
        self.items.as_ref().map_or(0, |items| items.steps.len())
    }

    fn bytes(&self) -> usize {
        let own = self.output.as_ref().map_or(0, |output| output.text().len());
        let early = self.early_answer.as_ref().and_then(|early| early.output.as_ref());
        own + early.map_or(0, |output| output.text().len()) + self.items.as_ref().map_or(0, |items| items.steps.bytes())
    }
}

impl Items {
    pub fn pending(len: usize) -> Self {
        Self { steps: Steps::pending(len), ..Self::default() }
    }

    /// The outputs in the order of the items, `null` where there is none.
    fn output(&self) -> &Json {
        self.output.get_or_init(|| {
            let mut text = String::with_capacity(self.steps.bytes() + self.steps.len() + 2);
            text.push('[');
            for (index, step) in self.steps.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                let output = step.output.as_ref().filter(|_| step.status == StepStatus::Completed);
                text.push_str(output.map_or("null", Json::text));
            }
            text.push(']');
            Json::gathered(text)
        })
    }

    /// What it goes over: an item for each place.
    pub(crate) fn list(&self, make: impl FnOnce() -> Value) -> &Value {
        self.list.get_or_init(make)
    }
}

/// What can be worked out again at any time, and is kept so that it need not be.
#[derive(Debug)]
struct Derived<T>(OnceLock<Arc<T>>);

impl<T> Derived<T> {
    fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(|| Arc::new(make()))
    }

    fn get(&self) -> Option<&T> {
        self.0.get().map(|known| &**known)
    }

    fn is_known(&self) -> bool {
        self.get().is_some()
    }

    fn forget(&mut self) {
        self.0 = OnceLock::new();
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// It follows from the rest, which is compared.
impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The key of the directive `workflow.run.start` that a signal leads to: one run for each pair.
pub fn start_key(workflow: &Slug, signal: SignalId) -> String {
    format!("{workflow}:{signal}")
}

/// The key under which something in a run acts on the world: its place, never its attempt.
pub fn step_key(run: RunId, id: &str, place: Place, iteration: u32, issue: u32) -> String {
    let mut key = format!("{run}:{id}");
    if let Some(item) = place.item {
        let _ = write!(key, ":{item}");
    }
    if iteration > 0 {
        let _ = write!(key, ":r{iteration}");
    }
    if place.undo {
        key.push_str(":undo");
    }
    if issue > 0 {
        let _ = write!(key, ":again{issue}");
    }
    key
}

/// The key under which the effect of another key is compensated. Runs that share an effect share this key, so the
/// effect is compensated once, and each of them can see that it was.
pub fn compensation_key(key: &str) -> String {
    // The run and the step come first, and neither is the count of `reissue`.
    let place_end = key.match_indices(':').nth(1).map_or(key.len(), |(at, _)| at);
    let issue = key[place_end..].rfind(":again").map_or(key.len(), |at| place_end + at);
    format!("{}:undo{}", &key[..issue], &key[issue..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moment;

    #[test]
    fn the_key_of_a_compensation_follows_from_the_key_of_its_effect() {
        let run = RunId(Moment::new(1).uuid());
        for id in ["charge", "again1"] {
            for place in [Place::step(0), Place::step(0).item(7)] {
                for (iteration, issue) in [(0, 0), (2, 0), (0, 3), (4, 1)] {
                    let of_effect = step_key(run, id, place, iteration, issue);
                    let of_undo = step_key(run, id, place.undo(), iteration, issue);
                    assert_eq!(compensation_key(&of_effect), of_undo);
                }
            }
        }
    }
}
