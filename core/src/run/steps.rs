//! The steps of a run, or the items of a step: thousands of them, of which a decision changes a few.
//! They are shared in chunks between the run as it was and as it is, and what is asked of all of them
//! is counted as they change.

use std::ops::Index;
use std::sync::Arc;

use super::{Derived, Place, Step, StepStatus};
use crate::{SignalId, Timestamp};

const CHUNK: usize = 64;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Steps {
    chunks: Vec<Arc<Vec<Step>>>,
    len: usize,
    tally: [u32; StepStatus::ALL.len()],
    /// Of the outputs.
    bytes: usize,
    /// How many items they have.
    items: usize,
    /// When the first step of each chunk must be looked at again.
    due: Vec<Option<Timestamp>>,
    /// Of each chunk, how many have not begun.
    open: Vec<u8>,
    /// Signals that their waits consumed, without those of their items; sorted.
    consumed: Vec<SignalId>,
    /// What a run that is being compensated has to undo, in that order.
    undo_order: Derived<Vec<Place>>,
}

impl Steps {
    /// So many that have not begun.
    pub fn pending(len: usize) -> Self {
        std::iter::repeat_n(Step::default(), len).collect()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, index: usize) -> Option<&Step> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Step> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub fn count(&self, status: StepStatus) -> usize {
        self.tally[status as usize] as usize
    }

    /// How many have begun and not settled.
    pub fn in_flight(&self) -> usize {
        let settled = StepStatus::ALL.into_iter().filter(|status| status.is_settled());
        self.len - self.count(StepStatus::Pending) - settled.map(|status| self.count(status)).sum::<usize>()
    }

    /// Those that have not begun, in their order.
    pub(super) fn not_begun(&self) -> impl Iterator<Item = usize> {
        let open = self.chunks.iter().zip(&self.open).enumerate().filter(|(_, (_, open))| **open > 0);
        open.flat_map(|(at, (chunk, _))| {
            let steps = chunk.iter().enumerate().filter(|(_, step)| step.status == StepStatus::Pending);
            steps.map(move |(index, _)| at * CHUNK + index)
        })
    }

    pub fn all_settled(&self) -> bool {
        self.in_flight() == 0 && self.count(StepStatus::Pending) == 0
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of items that these steps go over.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Returns `true` if a wait of one of them, or of their items, has consumed this signal.
    pub fn has_consumed(&self, signal: SignalId) -> bool {
        let of_items = |step: &Step| step.items.as_ref().is_some_and(|items| items.steps.has_consumed(signal));
        self.consumed.binary_search(&signal).is_ok() || self.items > 0 && self.iter().any(of_items)
    }

    /// The soonest time at which one of them must be looked at again.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.due.iter().flatten().min().copied()
    }

    /// Those that must be looked at by now, in their order.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = (usize, &Step)> {
        let is_due = move |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let chunks = self.chunks.iter().zip(&self.due).enumerate().filter(move |(_, (_, due))| is_due(**due));
        chunks.flat_map(move |(at, (chunk, _))| {
            let steps = chunk.iter().enumerate().filter(move |(_, step)| is_due(step.wake_at()));
            steps.map(move |(index, step)| (at * CHUNK + index, step))
        })
    }

    /// What is to be undone, in that order. Until it is forgotten, only compensations may change.
    pub(super) fn undo_order(&self, make: impl FnOnce() -> Vec<Place>) -> &[Place] {
        self.undo_order.get_or_init(make)
    }

    pub(super) fn known_undo_order(&self) -> Option<&[Place]> {
        self.undo_order.get().map(Vec::as_slice)
    }

    pub(super) fn forget_undo_order(&mut self) {
        self.undo_order.forget();
    }

    /// Changes one; what is counted stays true.
    pub fn change<T>(&mut self, index: usize, change: impl FnOnce(&mut Step) -> T) -> Option<T> {
        let chunk = Arc::make_mut(self.chunks.get_mut(index / CHUNK)?);
        let step = chunk.get_mut(index % CHUNK)?;
        self.tally[step.status as usize] -= 1;
        self.open[index / CHUNK] -= u8::from(step.status == StepStatus::Pending);
        self.bytes -= step.bytes();
        self.items -= step.items_len();
        let (due, consumed) = (step.wake_at(), step.consumed);
        let changed = change(step);
        self.tally[step.status as usize] += 1;
        self.open[index / CHUNK] += u8::from(step.status == StepStatus::Pending);
        self.bytes += step.bytes();
        self.items += step.items_len();
        if step.consumed != consumed {
            let earlier = consumed.and_then(|id| self.consumed.binary_search(&id).ok());
            earlier.into_iter().for_each(|at| _ = self.consumed.remove(at));
            step.consumed.into_iter().for_each(|id| insert(&mut self.consumed, id));
        }
        if step.wake_at() != due {
            self.due[index / CHUNK] = chunk.iter().filter_map(Step::wake_at).min();
        }
        Some(changed)
    }
}

impl FromIterator<Step> for Steps {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        let mut all = Self::default();
        let mut chunk = Vec::new();
        for step in steps {
            if chunk.is_empty() {
                all.open.push(0);
                all.due.push(None);
            }
            all.open[all.len / CHUNK] += u8::from(step.status == StepStatus::Pending);
            all.len += 1;
            all.tally[step.status as usize] += 1;
            all.bytes += step.bytes();
            all.items += step.items_len();
            step.consumed.into_iter().for_each(|id| insert(&mut all.consumed, id));
            let due = &mut all.due[(all.len - 1) / CHUNK];
            *due = due.iter().copied().chain(step.wake_at()).min();
            chunk.push(step);
            if chunk.len() == CHUNK {
                all.chunks.push(Arc::new(std::mem::take(&mut chunk)));
            }
        }
        if !chunk.is_empty() {
            all.chunks.push(Arc::new(chunk));
        }
        all
    }
}

fn insert(sorted: &mut Vec<SignalId>, id: SignalId) {
    let at = sorted.partition_point(|known| *known < id);
    sorted.insert(at, id);
}

impl Index<usize> for Steps {
    type Output = Step;

    fn index(&self, index: usize) -> &Step {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}
