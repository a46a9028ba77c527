//! Looks at each edge by itself: whether it can ever be taken, and whether it fits the step that it
//! leads to.

use std::ops::Range;

use super::graph::{Graph, Plan, Way, WayKind};
use super::step::Draft;
use super::{Join, On, OnError};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::Reader;

/// So many entries may the lists have that `cancel_rest` makes: they are kept with the workflow.
const CANCELS_MAX: usize = 200_000;

pub fn check(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, graph: &mut Graph) {
    for step in 0..plan.drafts.len() {
        check_join(reader, &plan.drafts[step], &graph.into[step]);
        check_finish(reader, plan, graph, step);
    }
    check_on_error(reader, plan, graph);
    find_cancels(reader, plan, graph);
}

fn check_join(reader: &mut Reader<'_>, draft: &Draft<'_>, ways: &[Way]) {
    let counted = ways.iter().filter(|way| way.is_counted()).count();
    let (field, message, help) = match draft.join {
        Join::All if draft.cancel_rest => {
            let message = "`cancel_rest` withdraws what is unfinished, and this step waits for all".to_owned();
            ("cancel_rest", message, "add `\"join\": \"any\"` or `\"join\": {\"at_least\": n}`".to_owned())
        }
        Join::AtLeast(wanted) if wanted as usize > counted => {
            let message = match counted {
                0 => "`join` counts `needs` and transitions, and this step has none".to_owned(),
                _ => format!("`join` waits for {wanted} of {counted}"),
            };
            ("join", message, "what is only read, or follows in the list, is not counted".to_owned())
        }
        Join::All | Join::AtLeast(_) => return,
    };
    let problem = Diagnostic::error(codes::JOIN_DOES_NOT_FIT, message);
    reader.report(problem.at(draft.place(reader, field)).help(Some(help)));
}

/// A `finish` ends the run or is skipped; it never completes while others go on.
fn check_finish(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, graph: &Graph, step: usize) {
    let draft = &plan.drafts[step];
    for way in graph.into[step].iter().filter(|way| plan.drafts[way.from].is_finish()) {
        let waits = way.is_counted() || draft.join == Join::All && always_ends(plan, graph, way.from);
        if !waits {
            continue;
        }
        let finish = shown(plan.drafts[way.from].id.unwrap_or_default());
        let message = format!("`{finish}` ends the run, so nothing comes after it");
        let help = match way.kind {
            WayKind::Order => format!("give `{finish}` a `when`, or put it behind what is to be done"),
            WayKind::Needs | WayKind::Transition(..) => format!("let this wait for what comes before `{finish}`"),
        };
        let problem = Diagnostic::error(codes::AFTER_FINISH, message).at(place_of(reader, plan, step, *way));
        reader.report(problem.help(Some(help)));
    }
}

/// Whether it runs whatever became of those before it.
fn always_ends(plan: &Plan<'_, '_>, graph: &Graph, finish: usize) -> bool {
    let draft = &plan.drafts[finish];
    draft.when.is_none() && draft.join == Join::All && graph.into[finish].iter().all(|way| !way.is_counted())
}

/// Where the definition says that there is this way.
pub fn place_of(reader: &Reader<'_>, plan: &Plan<'_, '_>, step: usize, way: Way) -> Range<usize> {
    if let Some((index, _)) = way.transition() {
        return reader.place(plan.transitions[index].node);
    }
    let draft = &plan.drafts[step];
    let from = plan.drafts[way.from].id.unwrap_or_default();
    let need = draft.needs.iter().flatten().find(|need| need.step == from);
    let read = || draft.reads.iter().find(|read| read.step == from);
    match (need, way.kind) {
        (Some(need), _) => need.node.span.clone(),
        (None, WayKind::Needs) => {
            read().map_or(draft.place(reader, "id"), |read| reader.place_of_step(read.node, &read.step))
        }
        (None, WayKind::Order | WayKind::Transition(..)) => draft.place(reader, "id"),
    }
}

/// `on_error` and a transition may both say what becomes of a failure; they must not say two things.
fn check_on_error(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, graph: &Graph) {
    let mut reported = vec![false; plan.drafts.len()];
    for way in graph.into.iter().flatten() {
        let Some((index, on)) = way.transition() else { continue };
        let draft = &plan.drafts[way.from];
        let contradicts = match (draft.on_error, on) {
            (OnError::Fail, On::Failed | On::Settled) => draft.node.get("on_error").is_some(),
            (OnError::Continue, On::Failed) => true,
            (_, On::Completed) | (OnError::Continue, On::Settled) => false,
        };
        if !contradicts || std::mem::replace(&mut reported[way.from], true) {
            continue;
        }
        let (says, help) = match draft.on_error {
            OnError::Fail => {
                ("fails the run", "leave `on_error` out: a failure that no transition takes fails the run")
            }
            OnError::Continue => ("has nothing to take up", "leave `on_error` out, or use `\"on\": \"settled\"`"),
        };
        let id = shown(draft.id.unwrap_or_default());
        let message = format!("what `{id}` says of its failure {says}, and a transition takes it up");
        let problem = Diagnostic::error(codes::FAILURE_TWICE, message)
            .at(draft.place(reader, "on_error"))
            .also(reader.place(plan.transitions[index].node), "taken up here");
        reader.report(problem.help(Some(help.to_owned())));
    }
}

/// For each step with `cancel_rest`, the steps that lead nowhere but to it.
fn find_cancels(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, graph: &mut Graph) {
    let mut left = CANCELS_MAX;
    let mut inside = Inside { of: vec![usize::MAX; plan.drafts.len()], successors: vec![0; plan.drafts.len()] };
    for (step, draft) in plan.drafts.iter().enumerate() {
        if !draft.cancel_rest || draft.join == Join::All {
            continue;
        }
        match inside.leading_only_to(step, graph, left) {
            Some(found) => {
                left -= found.len();
                graph.cancels[step] = found;
            }
            None => {
                let message = format!("all `cancel_rest` together would withdraw more than {CANCELS_MAX} steps");
                let place = draft.place(reader, "cancel_rest");
                reader.report(Diagnostic::error(codes::TOO_MANY, message).at(place));
                return;
            }
        }
    }
}

/// For each step how many of its successors are in the region, and of which step that region is.
struct Inside {
    of: Vec<usize>,
    successors: Vec<usize>,
}

impl Inside {
    /// None: more than `max`.
    fn leading_only_to(&mut self, step: usize, graph: &Graph, max: usize) -> Option<Vec<usize>> {
        let mut region = Vec::new();
        let mut open = vec![step];
        while let Some(next) = open.pop() {
            let mut sources: Vec<usize> = graph.into[next].iter().map(|way| way.from).collect();
            sources.sort_unstable();
            sources.dedup();
            for from in sources {
                if self.count(step, from) == graph.before[from].len() && from != step {
                    region.push(from);
                    open.push(from);
                }
            }
            if region.len() > max {
                return None;
            }
        }
        region.sort_unstable();
        Some(region)
    }

    /// One more successor of `from` is in the region of `step`.
    fn count(&mut self, step: usize, from: usize) -> usize {
        if std::mem::replace(&mut self.of[from], step) != step {
            self.successors[from] = 0;
        }
        self.successors[from] += 1;
        self.successors[from]
    }
}
