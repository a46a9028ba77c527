//! Lines that take turns: who was served least comes next, of these who has waited longest, and who has just
//! come is not owed what it did not ask for.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use fleetprompt_core::tenant::Weight;

pub(crate) struct Turns<K, L> {
    lines: HashMap<K, (Turn, L)>,
    turns: BTreeSet<(Turn, K)>,
    now: u64,
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
        Self { lines: HashMap::new(), turns: BTreeSet::new(), now: 0, count: 0 }
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
            let turn = (self.now, self.count);
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

    /// Adds to what the line has been served, as if its last turn had cost more. A line that is gone owes nothing.
    pub fn charge(&mut self, key: &K, price: u64) {
        if let Some(turn) = self.turn(key) {
            self.restore(key, (turn.0 + price, turn.1));
        }
    }

    /// It had its turn, at this price; an empty line goes.
    pub fn served(&mut self, key: &K, price: u64, is_empty: impl Fn(&L) -> bool) {
        let Some((turn, line)) = self.lines.get_mut(key) else { return };
        self.turns.remove(&(*turn, key.clone()));
        self.now = self.now.max(turn.0);
        if is_empty(line) {
            self.lines.remove(key);
        } else {
            self.count += 1;
            *turn = (turn.0 + price, self.count);
            self.turns.insert((*turn, key.clone()));
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
