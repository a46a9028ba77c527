//! A line in which what is more urgent comes first. Each fourth time it is whoever waits longest, so that nothing waits for
//! ever.

use std::collections::VecDeque;

use fleetprompt_core::workflow::Priority;

/// One of so many is taken by how long it waits.
pub(crate) const LONGEST_OF: u64 = 4;

pub(crate) struct ByPriority<T> {
    classes: [VecDeque<(u64, T)>; Priority::ALL.len()],
    pushed: u64,
    popped: u64,
}

impl<T> Default for ByPriority<T> {
    fn default() -> Self {
        Self { classes: Default::default(), pushed: 0, popped: 0 }
    }
}

impl<T> ByPriority<T> {
    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }

    pub fn push(&mut self, priority: Priority, one: T) {
        self.pushed += 1;
        self.classes[priority as usize].push_back((self.pushed, one));
    }

    pub fn pop(&mut self) -> Option<T> {
        let by_age = self.popped % LONGEST_OF == LONGEST_OF - 1;
        let heads = self.classes.iter_mut().filter(|class| !class.is_empty());
        let class = heads.min_by_key(|class| class.front().filter(|_| by_age).map(|(order, _)| *order))?;
        self.popped += 1;
        class.pop_front().map(|(_, one)| one)
    }
}
