//! Edges between steps: from `needs`, from references, or from the order of the list; and the proof
//! that they form no circle. The work is proportional to the number of edges.

use std::collections::HashMap;

use super::Edge;
use super::check::{self, Ids};
use super::step::Draft;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Node, Reader};

#[derive(Default)]
pub struct Edges {
    /// For each step, the edges into it in the order of the list.
    pub after: Vec<Vec<Edge>>,
    pub before: Vec<Vec<usize>>,
}

pub fn edges(reader: &mut Reader<'_>, drafts: &[Draft<'_>], ids: &Ids<'_>) -> Edges {
    let is_chain = drafts.iter().all(|draft| draft.needs.is_none());
    let mut edges = Edges::default();
    for (index, draft) in drafts.iter().enumerate() {
        let mut into = Into { index, is_chain, ids, required: HashMap::new() };
        if is_chain && index > 0 {
            into.follow(index - 1);
        }
        into.take_needs(reader, draft);
        into.take_reads(reader, draft);
        edges.after.push(into.sorted());
    }
    edges.before = reversed(&edges.after);
    report_cycles(reader, drafts, &edges);
    edges
}

/// The edges into one step while they are gathered.
struct Into<'a> {
    index: usize,
    is_chain: bool,
    ids: &'a Ids<'a>,
    required: HashMap<usize, bool>,
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
                Some(&from) if from == self.index => self_reference(reader, need.node, need.step),
                Some(from) if self.required.contains_key(from) => check::listed_twice(reader, need.node),
                Some(&from) => self.add(from, true),
            }
        }
    }

    /// A read needs what it reads, unless each read of that step asks first whether it is there.
    fn take_reads(&mut self, reader: &mut Reader<'_>, draft: &Draft<'_>) {
        let mut reported = Vec::new();
        for read in &draft.reads {
            let step = read.step.as_str();
            let found = self.ids.get(step).copied();
            let is_fine = found.is_some_and(|from| from != self.index && (!self.is_chain || from < self.index));
            match found {
                Some(from) if is_fine => self.add(from, !read.guarded),
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
            Some(from) if from == self.index => self_reference(reader, node, step),
            Some(_) => {
                let message = format!("`{}` runs later than this step", shown(step));
                let help = "without `needs`, steps run in the order of the list: put it before this one";
                let problem = Diagnostic::error(codes::LATER_STEP, message);
                reader.report(problem.at(place).help(Some(help.to_owned())));
            }
        }
    }

    fn add(&mut self, from: usize, required: bool) {
        *self.required.entry(from).or_default() |= required;
    }

    fn sorted(self) -> Vec<Edge> {
        let mut edges: Vec<_> = self.required.into_iter().map(|(from, required)| Edge { from, required }).collect();
        edges.sort_unstable_by_key(|edge| edge.from);
        edges
    }
}

fn self_reference(reader: &mut Reader<'_>, node: &Node, step: &str) {
    let place = reader.place_of_step(node, step);
    let message = format!("the step `{}` refers to itself", shown(step));
    reader.report(Diagnostic::error(codes::SELF_REFERENCE, message).at(place));
}

fn reversed(after: &[Vec<Edge>]) -> Vec<Vec<usize>> {
    let mut before = vec![Vec::new(); after.len()];
    for (index, edges) in after.iter().enumerate() {
        for edge in edges {
            before[edge.from].push(index);
        }
    }
    before
}

fn report_cycles(reader: &mut Reader<'_>, drafts: &[Draft<'_>], edges: &Edges) {
    const REPORTED_MAX: usize = 10;
    for cycle in cycles(edges, REPORTED_MAX) {
        let id = |index: usize| shown(drafts[index].id.unwrap_or("?"));
        let problem = Diagnostic::error(codes::CYCLE, format!("steps wait for each other: {}", path(&cycle, id)));
        let first = drafts[cycle[0]].node;
        let place = reader.place(first.get("id").unwrap_or(first));
        let help = format!("let `{}` not wait for `{}`", id(cycle[0]), id(cycle[cycle.len() - 1]));
        reader.report(problem.at(place).label("part of the circle").help(Some(help)));
    }
}

/// `a → b → a`, with the middle left out when it is long.
fn path(cycle: &[usize], id: impl Fn(usize) -> String) -> String {
    const SHOWN_MAX: usize = 12;
    let mut ids: Vec<String> = cycle.iter().take(SHOWN_MAX).map(|&index| id(index)).collect();
    if cycle.len() > SHOWN_MAX {
        ids.push(format!("… {} more …", cycle.len() - SHOWN_MAX));
    }
    ids.push(id(cycle[0]));
    ids.join(" → ")
}

/// Circles among the steps, each in the order in which its steps would have to run. One that shares
/// steps with another may only be found after that one is gone.
fn cycles(edges: &Edges, max: usize) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let mut marks = vec![Mark::New; edges.before.len()];
    let mut cycles = Vec::new();
    for root in 0..marks.len() {
        if marks[root] != Mark::New {
            continue;
        }
        // The path from the root, each with how many of its successors are already seen.
        let mut path = vec![(root, 0)];
        marks[root] = Mark::OnPath;
        while let Some((step, seen)) = path.last_mut() {
            let Some(&next) = edges.before[*step].get(*seen) else {
                marks[*step] = Mark::Done;
                path.pop();
                continue;
            };
            *seen += 1;
            match marks[next] {
                Mark::New => {
                    marks[next] = Mark::OnPath;
                    path.push((next, 0));
                }
                Mark::OnPath if cycles.len() < max => {
                    let steps = path.iter().map(|(step, _)| *step);
                    cycles.push(steps.skip_while(|step| *step != next).collect());
                }
                Mark::OnPath | Mark::Done => {}
            }
        }
    }
    cycles
}
