//! The proof that steps do not wait for each other in a circle, or the circles.

use super::graph::Graph;
use super::step::Draft;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::Reader;

/// The steps, each after those that it waits for. None: there are circles.
pub fn order(graph: &Graph) -> Option<Vec<usize>> {
    let steps = graph.into.len();
    let mut waits_for = vec![0usize; steps];
    for &next in graph.before.iter().flatten() {
        waits_for[next] += 1;
    }
    let mut order: Vec<usize> = (0..steps).filter(|step| waits_for[*step] == 0).collect();
    let mut at = 0;
    while let Some(&step) = order.get(at) {
        at += 1;
        for &next in &graph.before[step] {
            waits_for[next] -= 1;
            if waits_for[next] == 0 {
                order.push(next);
            }
        }
    }
    (order.len() == steps).then_some(order)
}

pub fn report(reader: &mut Reader<'_>, drafts: &[Draft<'_>], graph: &Graph) {
    const REPORTED_MAX: usize = 10;
    for cycle in cycles(graph, REPORTED_MAX) {
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
fn cycles(graph: &Graph, max: usize) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let mut marks = vec![Mark::New; graph.before.len()];
    let mut cycles = Vec::new();
    for root in 0..marks.len() {
        if marks[root] != Mark::New {
            continue;
        }
        // The path from the root, each with how many of its successors are already seen.
        let mut path = vec![(root, 0)];
        marks[root] = Mark::OnPath;
        while let Some((step, seen)) = path.last_mut() {
            let Some(&next) = graph.before[*step].get(*seen) else {
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
