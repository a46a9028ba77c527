//! Edges between steps: from `needs`, from transitions, from references, or from the order of the
//! list. What is wrong with them is found here, in `cycles`, `ways` and `reads`. The work is proportional
//! to the number of edges, but for the sets of `certain`.

use std::collections::HashMap;

use super::check::{self, Ids};
use super::step::Draft;
use super::step::expressions::Read;
use super::transition::{self, Ends, Transition};
use super::{Edge, EdgeKind, Join, On, cycles, reads, ways};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Node, Reader};
use crate::expression::StepField;

/// The definition as the edges are drawn in it.
pub struct Plan<'a, 'n> {
    pub drafts: &'a [Draft<'n>],
    pub transitions: &'a [Transition<'n>],
    pub ids: &'a Ids<'n>,
    /// What the workflow's `output` reads.
    pub output: &'a [Read<'n>],
}

#[derive(Default)]
pub struct Graph {
    /// For each step the ways into it: those that are no transitions in the order of the list, one from
    /// each step, and then the transitions.
    pub into: Vec<Vec<Way>>,
    /// For each step those that have an edge from it, without repetition.
    pub before: Vec<Vec<usize>>,
    /// For each step what its `cancel_rest` withdraws.
    pub cancels: Vec<Vec<usize>>,
}

/// An edge, before the definition is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub from: usize,
    pub kind: WayKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayKind {
    Needs,
    Order,
    /// By its place in the list of transitions.
    Transition(usize, On),
}

pub fn graph(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, is_chain: bool) -> Graph {
    let into = edges(reader, plan, is_chain);
    let before = reversed(&into);
    let mut graph = Graph { cancels: vec![Vec::new(); into.len()], into, before };
    ways::check(reader, plan, &mut graph);
    match cycles::order(&graph) {
        Some(order) => reads::check(reader, plan, &graph, &order),
        None => cycles::report(reader, plan.drafts, &graph),
    }
    graph
}

impl Graph {
    /// What of it a run needs.
    pub fn into_edges(self, transitions: Vec<Transition<'_>>) -> Vec<(Vec<Edge>, Vec<usize>, Vec<usize>)> {
        let mut whens: Vec<_> = transitions.into_iter().map(|transition| transition.when).collect();
        let mut edge = |way: Way| {
            let kind = match way.kind {
                WayKind::Needs => EdgeKind::Needs,
                WayKind::Order => EdgeKind::Order,
                WayKind::Transition(index, on) => EdgeKind::Transition { on, when: whens[index].take() },
            };
            Edge { from: way.from, kind }
        };
        let mut after: Vec<Vec<Edge>> = Vec::with_capacity(self.into.len());
        after.extend(self.into.into_iter().map(|ways| ways.into_iter().map(&mut edge).collect()));
        let steps = after.into_iter().zip(self.before).zip(self.cancels);
        steps.map(|((after, before), cancels)| (after, before, cancels)).collect()
    }

    /// Whether a step may begin though something that is read in it did not complete: there are several
    /// ways to it, of which it takes one.
    pub fn has_alternatives(&self, step: usize, join: Join) -> bool {
        join != Join::All || self.into[step].iter().any(|way| way.transition().is_some())
    }
}

impl Way {
    pub fn transition(self) -> Option<(usize, On)> {
        match self.kind {
            WayKind::Transition(index, on) => Some((index, on)),
            WayKind::Needs | WayKind::Order => None,
        }
    }

    /// Whether it counts for a join.
    pub fn is_counted(self) -> bool {
        self.kind != WayKind::Order
    }
}

fn edges(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, is_chain: bool) -> Vec<Vec<Way>> {
    let ends = transition::resolve(reader, plan.transitions, plan.ids);
    let mut transitions: Vec<Vec<Way>> = vec![Vec::new(); plan.drafts.len()];
    for (index, (transition, ends)) in plan.transitions.iter().zip(ends).enumerate() {
        let Some(Ends { from, to }) = ends else { continue };
        transitions[to].push(Way { from, kind: WayKind::Transition(index, transition.on) });
    }
    let mut edges = Vec::with_capacity(plan.drafts.len());
    for ((index, draft), transitions) in plan.drafts.iter().enumerate().zip(transitions) {
        let has_alternatives = draft.join != Join::All || !transitions.is_empty();
        let mut into = Into { index, is_chain, has_alternatives, ids: plan.ids, needed: HashMap::new() };
        if is_chain && index > 0 {
            into.follow(index - 1);
        }
        into.take_needs(reader, draft);
        into.take_reads(reader, draft);
        let mut ways = into.sorted();
        ways.extend(transitions);
        edges.push(ways);
    }
    edges
}

/// The edges into one step while they are gathered, but for transitions.
struct Into<'a> {
    index: usize,
    is_chain: bool,
    has_alternatives: bool,
    ids: &'a Ids<'a>,
    needed: HashMap<usize, bool>,
}

impl Into<'_> {
    /// In a chain a step waits for the one before it. It does not need it: a step that is skipped by
    /// its own `when` does not take the rest of the list with it, unless they read its output.
    fn follow(&mut self, from: usize) {
        self.add(from, false);
    }

    fn take_needs(&mut self, reader: &mut Reader<'_>, draft: &Draft<'_>) {
        let needs = draft.needs.as_deref().unwrap_or_default();
        for need in needs {
            match self.ids.get(need.step) {
                None => reader.unknown_step(need.node.span.clone(), need.step, self.ids.keys().copied()),
                Some(&from) if from == self.index => check::self_reference(reader, need.node, need.step),
                Some(from) if self.needed.contains_key(from) => check::listed_twice(reader, need.node),
                Some(&from) => self.add(from, true),
            }
        }
    }

    /// Reading an output needs it, unless each read asks first whether it is there. Where there are
    /// several ways to the step a read adds no need, which would close all of them but one: there the
    /// output has to be certain anyway.
    fn take_reads(&mut self, reader: &mut Reader<'_>, draft: &Draft<'_>) {
        let mut reported = Vec::new();
        for read in &draft.reads {
            let step = read.step.as_str();
            let found = self.ids.get(step).copied();
            let is_needed = read.field == StepField::Output && !read.guarded && !self.has_alternatives;
            match found {
                Some(_) if read.is_undo && (found == Some(self.index) || !is_needed) => {}
                Some(from) if from != self.index && (!self.is_chain || from < self.index) => self.add(from, is_needed),
                _ if reported.contains(&step) => {}
                _ => {
                    self.refuse(reader, found, step, read.node);
                    reported.push(step);
                }
            }
        }
    }

    fn refuse(&self, reader: &mut Reader<'_>, found: Option<usize>, step: &str, node: &Node) {
        let place = reader.place_of_step(node, step);
        match found {
            None => reader.unknown_step(place, step, self.ids.keys().copied()),
            Some(from) if from == self.index => check::self_reference(reader, node, step),
            Some(_) => {
                let message = format!("`{}` runs later than this step", shown(step));
                let help = "without `needs`, steps run in the order of the list: put it before this one";
                let problem = Diagnostic::error(codes::LATER_STEP, message);
                reader.report(problem.at(place).help(Some(help.to_owned())));
            }
        }
    }

    fn add(&mut self, from: usize, needed: bool) {
        *self.needed.entry(from).or_default() |= needed;
    }

    fn sorted(self) -> Vec<Way> {
        let kind = |needed| if needed { WayKind::Needs } else { WayKind::Order };
        let mut ways: Vec<_> = self.needed.into_iter().map(|(from, needed)| Way { from, kind: kind(needed) }).collect();
        ways.sort_unstable_by_key(|way| way.from);
        ways
    }
}

fn reversed(into: &[Vec<Way>]) -> Vec<Vec<usize>> {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); into.len()];
    for (index, ways) in into.iter().enumerate() {
        for way in ways {
            // Steps come in order, so that one which is here already is the last.
            if before[way.from].last() != Some(&index) {
                before[way.from].push(index);
            }
        }
    }
    before
}
