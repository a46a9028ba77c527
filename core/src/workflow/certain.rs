//! What is certain wherever a step runs: which steps have completed, failed or settled by then,
//! whichever way it was reached.
//!
//! In a graph without circles, one pass in its order is the greatest fixpoint: what is certain is what
//! comes with anything that is needed, and with every one of the alternatives. A set has a bit only
//! for those steps that somebody asks about.

use std::collections::{BTreeSet, HashMap};

use super::graph::{Graph, Plan, Way, WayKind};
use super::{Join, On};
use crate::expression::{Expression, StepField};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Completed,
    Failed,
    /// Also by being skipped.
    Settled,
}

pub struct Certain {
    end: End,
    columns: HashMap<usize, usize>,
    words: usize,
    /// What is certain where a step is decided, for one step after the other.
    sets: Vec<u64>,
}

impl Certain {
    /// About the steps `asked`, in a graph whose steps are in `order`.
    pub fn of(end: End, asked: &BTreeSet<usize>, plan: &Plan<'_, '_>, graph: &Graph, order: &[usize]) -> Self {
        let columns: HashMap<_, _> = asked.iter().enumerate().map(|(column, step)| (*step, column)).collect();
        let words = columns.len().div_ceil(64);
        let mut certain = Self { end, columns, words, sets: vec![0; words * order.len()] };
        if words > 0 {
            let mut scratch = Scratch { all: vec![0; words], one: vec![0; words] };
            for &step in order {
                certain.decide(step, plan, graph, &mut scratch);
            }
        }
        certain
    }

    /// Whether it is certain for `step` where `at` is decided.
    pub fn holds(&self, step: usize, at: usize) -> bool {
        let column = self.columns.get(&step);
        column.is_some_and(|&column| is_set(&self.sets[at * self.words..][..self.words], column))
    }

    /// Whether it is certain for `step` where that way is taken.
    pub fn holds_by(&self, step: usize, way: Way, plan: &Plan<'_, '_>) -> bool {
        let mut set = vec![0; self.words];
        self.take_way(way, plan, &mut set);
        self.columns.get(&step).is_some_and(|&column| is_set(&set, column))
    }

    fn decide(&mut self, step: usize, plan: &Plan<'_, '_>, graph: &Graph, scratch: &mut Scratch) {
        let ways = &graph.into[step];
        let mut set = std::mem::take(&mut scratch.all);
        set.fill(0);
        let counted = ways.iter().filter(|way| way.is_counted()).count();
        match plan.drafts[step].join {
            Join::AtLeast(wanted) if (wanted as usize) < counted || self.end == End::Settled => {
                self.take_alternatives(ways.iter().filter(|way| way.is_counted()), plan, &mut set, &mut scratch.one);
            }
            _ => {
                let (alternatives, all): (Vec<&Way>, Vec<&Way>) =
                    ways.iter().partition(|way| self.is_alternative(way, plan.drafts[step].join));
                self.take_alternatives(alternatives.into_iter(), plan, &mut set, &mut scratch.one);
                for way in all {
                    self.take_way(*way, plan, &mut set);
                }
            }
        }
        self.sets[step * self.words..][..self.words].copy_from_slice(&set);
        scratch.all = set;
    }

    /// Whether the step goes on by one of its kind. All of them settle, so of that all is certain.
    fn is_alternative(&self, way: &Way, join: Join) -> bool {
        way.transition().is_some() && join == Join::All && self.end != End::Settled
    }

    /// What comes with each of the ways.
    fn take_alternatives<'w>(
        &self,
        ways: impl Iterator<Item = &'w Way>,
        plan: &Plan<'_, '_>,
        set: &mut [u64],
        scratch: &mut Vec<u64>,
    ) {
        let mut one = std::mem::take(scratch);
        let mut common: Option<Vec<u64>> = None;
        for way in ways {
            one.fill(0);
            self.take_way(*way, plan, &mut one);
            match &mut common {
                Some(common) => common.iter_mut().zip(&one).for_each(|(word, other)| *word &= other),
                None => common = Some(one.clone()),
            }
        }
        for (word, other) in set.iter_mut().zip(common.unwrap_or_default()) {
            *word |= other;
        }
        *scratch = one;
    }

    /// Adds what is certain once this way is taken.
    fn take_way(&self, way: Way, plan: &Plan<'_, '_>, set: &mut [u64]) {
        if way.kind == WayKind::Order && self.end != End::Settled {
            return;
        }
        let from = &self.sets[way.from * self.words..][..self.words];
        set.iter_mut().zip(from).for_each(|(word, other)| *word |= other);
        if self.is_end(way.kind) {
            self.set(way.from, set);
        }
        self.take_asked(plan.drafts[way.from].when.as_ref(), plan, set);
        if let Some((index, _)) = way.transition() {
            self.take_asked(plan.transitions[index].when.as_ref(), plan, set);
        }
    }

    fn is_end(&self, kind: WayKind) -> bool {
        match self.end {
            End::Completed => matches!(kind, WayKind::Needs | WayKind::Transition(_, On::Completed)),
            End::Failed => matches!(kind, WayKind::Transition(_, On::Failed)),
            End::Settled => true,
        }
    }

    /// What a condition that held has asked for.
    fn take_asked(&self, when: Option<&Expression>, plan: &Plan<'_, '_>, set: &mut [u64]) {
        let field = match self.end {
            End::Completed => StepField::Output,
            End::Failed => StepField::Error,
            End::Settled => return,
        };
        let present = when.map_or(&[][..], Expression::present_if_true);
        for (step, _) in present.iter().filter(|(_, known)| *known == field) {
            if let Some(&step) = plan.ids.get(step.as_str()) {
                self.set(step, set);
            }
        }
    }

    fn set(&self, step: usize, set: &mut [u64]) {
        if let Some(&column) = self.columns.get(&step) {
            set[column / 64] |= 1 << (column % 64);
        }
    }
}

struct Scratch {
    all: Vec<u64>,
    one: Vec<u64>,
}

fn is_set(set: &[u64], column: usize) -> bool {
    set[column / 64] & (1 << (column % 64)) != 0
}
