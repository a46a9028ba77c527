//! Edges that say nothing new: `a → c` where `a → b → c` says it already. A step that reads what came
//! long before it would otherwise draw a line across the whole picture.

use crate::workflow::{Edge, EdgeKind, Join, Step};

/// For each step, the edges into it that are worth drawing.
pub fn drawn(steps: &[Step]) -> Vec<Vec<&Edge>> {
    let order = Ahead::of(steps, |edge| matches!(edge.kind, EdgeKind::Needs | EdgeKind::Order));
    let needs = Ahead::of(steps, |edge| matches!(edge.kind, EdgeKind::Needs));
    let is_news = |step: &Step, edge: &Edge| {
        let others = || step.after.iter().filter(|other| other.from != edge.from);
        match edge.kind {
            EdgeKind::Transition { .. } => true,
            // It is counted, so each one is.
            _ if step.join != Join::All => true,
            EdgeKind::Order => !others().any(|other| order.has(other.from, edge.from)),
            EdgeKind::Needs => {
                !others().any(|other| matches!(other.kind, EdgeKind::Needs) && needs.has(other.from, edge.from))
            }
        }
    };
    steps.iter().map(|step| step.after.iter().filter(|edge| is_news(step, edge)).collect()).collect()
}

/// Which steps are certain to be ahead of which: a row of bits for each.
struct Ahead {
    words: usize,
    rows: Vec<u64>,
}

impl Ahead {
    fn of(steps: &[Step], counts: impl Fn(&Edge) -> bool) -> Self {
        let words = steps.len().div_ceil(64);
        let mut ahead = Self { words, rows: vec![0; words * steps.len()] };
        for at in in_order(steps) {
            if steps[at].join != Join::All {
                continue;
            }
            for edge in steps[at].after.iter().filter(|edge| counts(edge)) {
                ahead.add(at, edge.from);
            }
        }
        ahead
    }

    /// `from`, and all that is ahead of it.
    fn add(&mut self, at: usize, from: usize) {
        for word in 0..self.words {
            let ahead_of_it = self.rows[from * self.words + word];
            self.rows[at * self.words + word] |= ahead_of_it;
        }
        self.rows[at * self.words + from / 64] |= 1 << (from % 64);
    }

    fn has(&self, at: usize, from: usize) -> bool {
        self.rows[at * self.words + from / 64] & (1 << (from % 64)) != 0
    }
}

/// Each step after those that lead to it.
fn in_order(steps: &[Step]) -> Vec<usize> {
    let mut waits: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
    let mut order: Vec<usize> = (0..steps.len()).filter(|&at| waits[at] == 0).collect();
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        next += 1;
        for &then in &steps[at].before {
            waits[then] -= steps[then].after.iter().filter(|edge| edge.from == at).count();
            if waits[then] == 0 {
                order.push(then);
            }
        }
    }
    order
}
