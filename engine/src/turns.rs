//! Lines that take turns: who was served least comes next, of these who has waited longest, and who has just
//! come is not owed what it did not ask for. Who was empty for a moment does not begin anew, either: it would come
//! before those who wait on, each time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use fleetprompt_core::tenant::Weight;

pub(crate) struct Turns<K, L> {
    lines: HashMap<K, (Turn, L)>,
    turns: BTreeSet<(Turn, K)>,
    /// Where lines that are empty now would go on, as long as that is ahead of the virtual time.
    ends: HashMap<K, u64>,
    ends_in_order: BTreeSet<(u64, K)>,
    /// The virtual time: where whoever comes next begins.
    now: u64,
    /// The same, when all that was taken in a batch counts.
    reached: u64,
    in_batch: bool,
    count: u64,
}

/// How much it was served, as it were, and since when it has stood so.
pub(crate) type Turn = (u64, u64);

/// What a line is charged for `cost` things: the less, the more weight it has.
pub(crate) fn price(cost: usize, weight: Weight) -> u64 {
    const SCALE: u64 = 1_000_000;
    cost as u64 * SCALE / u64::from(weight.get())
}

impl<K, L> Default for Turns<K, L> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            turns: BTreeSet::new(),
            ends: HashMap::new(),
            ends_in_order: BTreeSet::new(),
            now: 0,
            reached: 0,
            in_batch: false,
            count: 0,
        }
    }
}

impl<K: Clone + Ord + Hash, L: Default> Turns<K, L> {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn of(&mut self, key: K) -> &mut L {
        if !self.lines.contains_key(&key) {
            self.count += 1;
            let turn = (self.take_end(&key).map_or(self.now, |end| end.max(self.now)), self.count);
            self.turns.insert((turn, key.clone()));
            self.lines.insert(key.clone(), (turn, L::default()));
        }
        &mut self.lines.entry(key).or_default().1
    }

    pub fn peek(&self, key: &K) -> Option<&L> {
        self.lines.get(key).map(|(_, line)| line)
    }

    pub fn turn(&self, key: &K) -> Option<Turn> {
        self.lines.get(key).map(|(turn, _)| *turn)
    }

    /// How far a line is ahead of the virtual time.
    pub fn lead(&self, key: &K) -> u64 {
        self.turn(key).map_or(0, |(at, _)| at.saturating_sub(self.now))
    }

    pub fn next(&self) -> Option<K> {
        self.in_order().next().cloned()
    }

    pub fn in_order(&self) -> impl Iterator<Item = &K> {
        self.turns.iter().map(|(_, key)| key)
    }

    /// Its turn is this one, as it was before.
    pub fn restore(&mut self, key: &K, before: Turn) {
        if let Some((turn, _)) = self.lines.get_mut(key) {
            self.turns.remove(&(*turn, key.clone()));
            *turn = before;
            self.turns.insert((before, key.clone()));
        }
    }

    /// How much of what is taken next counts is not known yet: until then the virtual time stands still, so that who
    /// comes in the meantime does not wait for all of it.
    pub fn begin_batch(&mut self) {
        self.in_batch = true;
    }

    /// All that was taken counts, or only what came before this turn.
    pub fn end_batch(&mut self, next: Option<Turn>) {
        self.in_batch = false;
        self.advance(next.map_or(self.reached, |(at, _)| at));
        self.reached = self.now;
    }

    fn advance(&mut self, to: u64) {
        self.now = self.now.max(to);
        while let Some((_, key)) = self.ends_in_order.first().filter(|(end, _)| *end <= self.now).cloned() {
            self.take_end(&key);
        }
    }

    fn take_end(&mut self, key: &K) -> Option<u64> {
        let end = self.ends.remove(key)?;
        self.ends_in_order.remove(&(end, key.clone()));
        Some(end)
    }

    /// Adds to what a line has been served, as if its last turn had cost more; also for a line that is empty now.
    pub fn charge(&mut self, key: &K, price: u64) {
        if let Some(turn) = self.turn(key) {
            self.restore(key, (turn.0 + price, turn.1));
        } else {
            let end = self.take_end(key).map_or(self.now, |end| end.max(self.now));
            self.remember_end(key, end + price);
        }
    }

    fn remember_end(&mut self, key: &K, end: u64) {
        self.ends.insert(key.clone(), end);
        self.ends_in_order.insert((end, key.clone()));
    }

    /// It had its turn, at this price; an empty line goes.
    pub fn served(&mut self, key: &K, price: u64, is_empty: impl Fn(&L) -> bool) {
        let Some((turn, line)) = self.lines.get_mut(key) else { return };
        self.turns.remove(&(*turn, key.clone()));
        let (begin, end) = (turn.0, turn.0 + price);
        if is_empty(line) {
            self.lines.remove(key);
            self.remember_end(key, end);
        } else {
            self.count += 1;
            *turn = (end, self.count);
            self.turns.insert((*turn, key.clone()));
        }
        self.reached = self.reached.max(begin);
        if !self.in_batch {
            self.advance(self.reached);
        }
    }

    pub fn dropped(&mut self, key: &K, is_empty: impl Fn(&L) -> bool) {
        if let Some((turn, _)) = self.lines.get(key).filter(|(_, line)| is_empty(line)) {
            self.turns.remove(&(*turn, key.clone()));
            self.lines.remove(key);
        }
    }

    pub fn into_lines(self) -> impl Iterator<Item = L> {
        self.lines.into_values().map(|(_, line)| line)
    }
}
