//! What a decision leaves to the next one once its budget is spent: what may follow, in its order, so that a run
//! comes to the same end however often it is cut.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::{Place, Status, StepStatus};
use super::Plan;
use crate::{RecordId, Timestamp};

/// What may follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Todo {
    /// These steps, from the first to before the second, may have become ready.
    Check(usize, usize),
    /// The next attempt or iteration at this place is to begin, or its time has come.
    Act(Place),
    /// Items of this step have ended: others may begin, or the step ends. With the number of an item: those up to it
    /// are to begin.
    Items(usize, Option<u32>),
}

impl Todo {
    /// Where an attempt is to begin, or a time has come.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Self::Act(place) => Some(*place),
            Self::Check(..) | Self::Items(..) => None,
        }
    }
}

/// The rest of a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    since: Timestamp,
    origin: RecordId,
    cause: RecordId,
    todo: VecDeque<Todo>,
}

impl Continuation {
    /// When it was left.
    pub fn since(&self) -> Timestamp {
        self.since
    }
}

impl Plan<'_> {
    /// Takes up what the decision before this one left.
    pub(super) fn continue_from(&mut self, continuation: &Continuation) {
        self.origin = continuation.origin;
        self.todo = continuation.todo.clone();
    }

    /// What comes first follows from what it would have followed from, and not from the input.
    pub(super) fn caused_by_before(&mut self, continuation: &Continuation) {
        self.cause = continuation.cause;
    }

    /// Whether the budget is spent and work is left; what needs none is dropped on the way.
    pub(super) fn is_cut(&mut self) -> bool {
        if self.run.status != Status::Running || !self.setting.meter.is_spent() {
            return false;
        }
        while let Some(Todo::Check(index, _)) = self.todo.front()
            && self.run.steps[*index].status != StepStatus::Pending
        {
            self.next_todo();
        }
        !self.todo.is_empty() || self.run.steps.all_settled()
    }

    pub(super) fn leave_rest(&mut self) {
        let (since, origin, cause) = (self.moment.now(), self.origin, self.cause);
        let todo = std::mem::take(&mut self.todo);
        self.run.continuation = Some(Continuation { since, origin, cause, todo }.into());
    }

    /// Steps are checked one by one.
    pub(super) fn next_todo(&mut self) -> Option<Todo> {
        match self.todo.front_mut()? {
            Todo::Check(index, end) if *index + 1 < *end => {
                let first = *index;
                *index += 1;
                Some(Todo::Check(first, first + 1))
            }
            _ => self.todo.pop_front(),
        }
    }

    pub(super) fn check_later(&mut self, index: usize) {
        match self.todo.back_mut() {
            Some(Todo::Check(_, end)) if *end == index => *end += 1,
            _ => self.todo.push_back(Todo::Check(index, index + 1)),
        }
    }
}
