//! What is read is there, on every way to where it is read; or somebody asks first.

use std::collections::{BTreeSet, HashSet};

use super::certain::{Certain, End};
use super::graph::{Graph, Plan, Way, WayKind};
use super::step::Draft;
use super::step::expressions::Read;
use super::transition::Transition;
use super::{Finish, Join, On, OnError, StepKind, ways};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::Reader;
use crate::expression::StepField;

pub fn check(reader: &mut Reader<'_>, plan: &Plan<'_, '_>, graph: &Graph, order: &[usize]) {
    let checks = Checks::of(plan, graph, order);
    for step in 0..plan.drafts.len() {
        checks.step(reader, step);
        checks.list(reader, step);
        checks.never_runs(reader, step);
        for way in &graph.into[step] {
            if let Some((index, on)) = way.transition() {
                checks.transition(reader, &plan.transitions[index], *way, on);
            }
        }
    }
    checks.output(reader, order);
}

struct Checks<'a, 'n> {
    plan: &'a Plan<'a, 'n>,
    graph: &'a Graph,
    completed: Certain,
    failed: Certain,
    settled: Certain,
}

/// The steps about which something has to be certain.
#[derive(Default)]
struct Asked {
    completed: BTreeSet<usize>,
    failed: BTreeSet<usize>,
    settled: BTreeSet<usize>,
}

impl Asked {
    fn take_step(&mut self, plan: &Plan<'_, '_>, graph: &Graph, step: usize) {
        let draft = &plan.drafts[step];
        let has_alternatives = graph.has_alternatives(step, draft.join);
        self.take_reads(plan, draft.reads.iter().filter(|read| has_alternatives || read.field == StepField::Error));
        let lists = draft.reads.iter().filter(|read| read.is_list && draft.join != Join::All);
        self.settled.extend(lists.filter_map(|read| plan.found(read)));
        for way in &graph.into[step] {
            let Some((index, on)) = way.transition() else { continue };
            self.take_reads(plan, plan.transitions[index].reads.iter());
            self.settled.extend(plan.transitions[index].reads.iter().filter_map(|read| plan.found(read)));
            if on == On::Failed {
                self.completed.insert(way.from);
            }
        }
    }

    fn take_reads<'r, 'n: 'r>(&mut self, plan: &Plan<'_, '_>, reads: impl Iterator<Item = &'r Read<'n>>) {
        for read in reads.filter(|read| !read.guarded) {
            let Some(step) = plan.found(read) else { continue };
            match read.field {
                StepField::Output => _ = self.completed.insert(step),
                StepField::Error => _ = self.failed.insert(step),
                StepField::Status => {}
            }
        }
    }
}

impl Plan<'_, '_> {
    fn found(&self, read: &Read<'_>) -> Option<usize> {
        self.ids.get(read.step.as_str()).copied()
    }
}

impl<'a, 'n> Checks<'a, 'n> {
    fn of(plan: &'a Plan<'a, 'n>, graph: &'a Graph, order: &[usize]) -> Self {
        let mut asked = Asked::default();
        (0..plan.drafts.len()).for_each(|step| asked.take_step(plan, graph, step));
        asked.take_reads(plan, plan.output.iter());
        let certain = |end, asked: &BTreeSet<usize>| Certain::of(end, asked, plan, graph, order);
        let completed = certain(End::Completed, &asked.completed);
        let failed = certain(End::Failed, &asked.failed);
        let settled = certain(End::Settled, &asked.settled);
        Self { plan, graph, completed, failed, settled }
    }

    fn step(&self, reader: &mut Reader<'_>, at: usize) {
        let draft = &self.plan.drafts[at];
        let mut seen = HashSet::new();
        for read in draft.reads.iter().filter(|read| !read.guarded) {
            let Some(step) = self.plan.found(read) else { continue };
            let is_own_output = read.is_undo && step == at && read.field == StepField::Output;
            if is_own_output || draft.asks_for(&read.step, read.field) || !seen.insert((step, read.field)) {
                continue;
            }
            match read.field {
                StepField::Output => self.output_in_step(reader, at, step, read),
                StepField::Error if !self.failed.holds(step, at) => not_failed(reader, read),
                StepField::Error | StepField::Status => {}
            }
        }
    }

    /// What a list is made of has settled where it is made: it is made again after a restart.
    fn list(&self, reader: &mut Reader<'_>, at: usize) {
        let draft = &self.plan.drafts[at];
        for read in draft.reads.iter().filter(|read| read.is_list && draft.join != Join::All) {
            let Some(step) = self.plan.found(read).filter(|step| !self.settled.holds(*step, at)) else { continue };
            let (id, own) = (shown(&read.step), self.id(step));
            let message = format!("`{own}` need not have settled when the list of this `for_each` is made");
            let help = format!("make the list in a step of its own that waits for `{id}`, or take the `join` away");
            let place = reader.place_of_step(read.node, &read.step);
            reader.report(Diagnostic::error(codes::LIST_NOT_CERTAIN, message).at(place).help(Some(help)));
        }
    }

    fn output_in_step(&self, reader: &mut Reader<'_>, at: usize, step: usize, read: &Read<'_>) {
        let draft = &self.plan.drafts[at];
        if self.graph.has_alternatives(at, draft.join) && !self.completed.holds(step, at) {
            let without = self.way_without(at, step);
            let mut problem = not_completed(reader, read, without.map(|way| self.id(way.from)));
            if let Some(way) = without {
                problem = problem.also(ways::place_of(reader, self.plan, at, way), "this leads here without it");
            }
            let id = shown(&read.step);
            let need = if draft.join == Join::All { format!(", or add `{id}` to `needs`") } else { String::new() };
            reader.report(problem.help(Some(format!("ask first, with `has(steps.{id}.output)`{need}"))));
        } else if self.plan.drafts[step].on_error == OnError::Continue {
            may_be_missing(reader, read, "may have failed, because it has `on_error: continue`");
        }
    }

    /// The first way to `at` on which `step` need not have completed.
    fn way_without(&self, at: usize, step: usize) -> Option<Way> {
        let is_all = self.plan.drafts[at].join == Join::All;
        let mut ways = self.graph.into[at].iter().copied();
        ways.find(|way| {
            let is_alternative = if is_all { way.transition().is_some() } else { way.is_counted() };
            is_alternative && !self.completed.holds_by(step, *way, self.plan)
        })
    }

    /// A transition is asked when its `from` has ended as it says, and nothing after that has begun.
    fn transition(&self, reader: &mut Reader<'_>, transition: &Transition<'_>, way: Way, on: On) {
        let from = &self.plan.drafts[way.from];
        for read in &transition.reads {
            let Some(step) = self.plan.found(read) else { continue };
            if step != way.from && !self.settled.holds(step, way.from) {
                not_before(reader, read, from);
                continue;
            }
            let (is_completed, is_failed) = match step == way.from {
                true => (on == On::Completed, on == On::Failed),
                false => (self.completed.holds(step, way.from), self.failed.holds(step, way.from)),
            };
            if read.guarded || step != way.from && from.asks_for(&read.step, read.field) {
                continue;
            }
            match read.field {
                StepField::Output if !is_completed => {
                    let problem = not_completed(reader, read, None);
                    reader.report(
                        problem.help(Some(format!("ask first, with `has(steps.{}.output)`", shown(&read.step)))),
                    );
                }
                StepField::Error if !is_failed => not_failed(reader, read),
                StepField::Output | StepField::Error | StepField::Status => {}
            }
        }
    }

    /// Every transition to it waits for a failure of what it needs.
    fn never_runs(&self, reader: &mut Reader<'_>, at: usize) {
        let draft = &self.plan.drafts[at];
        let (transitions, needs): (Vec<Way>, Vec<Way>) =
            self.graph.into[at].iter().filter(|way| way.is_counted()).partition(|way| way.transition().is_some());
        let is_closed = |way: &Way| {
            let is_needed = |need: &Way| need.from == way.from || self.completed.holds(way.from, need.from);
            matches!(way.kind, WayKind::Transition(_, On::Failed)) && needs.iter().any(is_needed)
        };
        if draft.join != Join::All || transitions.is_empty() || !transitions.iter().all(is_closed) {
            return;
        }
        let from = self.id(transitions[0].from);
        let message = format!("`{}` can never run: it needs `{from}` to complete and to fail", self.id(at));
        let problem = Diagnostic::error(codes::NEVER_RUNS, message)
            .at(draft.place(reader, "needs"))
            .also(ways::place_of(reader, self.plan, at, transitions[0]), "taken only when it failed");
        reader.report(problem.help(Some("take one of the two away".to_owned())));
    }

    /// The workflow's output is rendered when everything has settled, or where a `finish` says so.
    fn output(&self, reader: &mut Reader<'_>, order: &[usize]) {
        let mut sure: Option<Vec<bool>> = None;
        let mut seen = HashSet::new();
        for read in self.plan.output.iter().filter(|read| !read.guarded) {
            let Some(step) = self.plan.found(read).filter(|step| seen.insert((*step, read.field))) else { continue };
            match read.field {
                StepField::Output => {
                    let sure = sure.get_or_insert_with(|| sure_to_complete(self.plan, self.graph, order));
                    if !sure[step] || !self.is_behind_each_finish(step) {
                        may_be_missing(reader, read, "may not have completed when the run ends");
                    }
                }
                StepField::Error => may_be_missing(reader, read, "may not have failed when the run ends"),
                StepField::Status => {}
            }
        }
    }

    fn is_behind_each_finish(&self, step: usize) -> bool {
        let mut finishes = self
            .plan
            .drafts
            .iter()
            .enumerate()
            .filter(|(_, draft)| matches!(draft.kind, Some(StepKind::Finish(Finish::Completed { output: None }))));
        let id = self.plan.drafts[step].id.unwrap_or_default();
        finishes.all(|(at, finish)| self.completed.holds(step, at) || finish.asks_for(id, StepField::Output))
    }

    fn id(&self, step: usize) -> String {
        shown(self.plan.drafts[step].id.unwrap_or_default())
    }
}

/// Which steps have completed in every run that has come to its end by itself.
fn sure_to_complete(plan: &Plan<'_, '_>, graph: &Graph, order: &[usize]) -> Vec<bool> {
    let mut sure = vec![true; plan.drafts.len()];
    for way in graph.into.iter().flatten() {
        if way.transition().is_some_and(|(index, _)| plan.transitions[index].takes_up_failures()) {
            sure[way.from] = false;
        }
    }
    graph.cancels.iter().flatten().for_each(|step| sure[*step] = false);
    for &step in order {
        let draft = &plan.drafts[step];
        let is_taken = |way: &&Way| match way.kind {
            WayKind::Needs => sure[way.from],
            WayKind::Order => false,
            WayKind::Transition(index, on) => {
                sure[way.from] && on != On::Failed && plan.transitions[index].when.is_none()
            }
        };
        let ways = &graph.into[step];
        let begins = match draft.join {
            Join::AtLeast(wanted) => ways.iter().filter(is_taken).count() >= wanted as usize,
            Join::All => {
                let mut transitions = ways.iter().filter(|way| way.transition().is_some()).peekable();
                let is_led_to = transitions.peek().is_none() || transitions.any(|way| is_taken(&way));
                is_led_to && ways.iter().filter(|way| way.kind == WayKind::Needs).all(|way| is_taken(&way))
            }
        };
        let goes_on = draft.on_error == OnError::Continue || draft.is_finish();
        sure[step] &= begins && draft.when.is_none() && !goes_on;
    }
    sure
}

fn not_completed(reader: &Reader<'_>, read: &Read<'_>, way: Option<String>) -> Diagnostic {
    let why = way.map_or(String::new(), |from| format!(": not on the way from `{from}`"));
    let message = format!("`{}` need not have completed where its output is read{why}", shown(&read.step));
    Diagnostic::error(codes::OUTPUT_NOT_CERTAIN, message).at(reader.place_of_step(read.node, &read.step))
}

fn not_failed(reader: &mut Reader<'_>, read: &Read<'_>) {
    let id = shown(&read.step);
    let message = format!("`{id}` need not have failed where its error is read");
    let help = format!("ask first, with `has(steps.{id}.error)`, or come here by a transition `\"on\": \"failed\"`");
    let place = reader.place_of_step(read.node, &read.step);
    reader.report(Diagnostic::error(codes::ERROR_NOT_CERTAIN, message).at(place).help(Some(help)));
}

fn not_before(reader: &mut Reader<'_>, read: &Read<'_>, from: &Draft<'_>) {
    let (id, from) = (shown(&read.step), shown(from.id.unwrap_or_default()));
    let message = format!("`{id}` need not have settled when `{from}` has, and the transition is asked then");
    let help = format!("read `{from}`, or what `{from}` waits for");
    let place = reader.place_of_step(read.node, &read.step);
    reader.report(Diagnostic::error(codes::NOT_SETTLED_YET, message).at(place).help(Some(help)));
}

fn may_be_missing(reader: &mut Reader<'_>, read: &Read<'_>, why: &str) {
    let id = shown(&read.step);
    let field = if read.field == StepField::Error { "error" } else { "output" };
    let help = format!("ask first: `has(steps.{id}.{field}) ? steps.{id}.{field} : null`");
    let place = reader.place_of_step(read.node, &read.step);
    let problem = Diagnostic::warning(codes::MAY_BE_MISSING, format!("`{id}` {why}; reading its {field} fails then"));
    reader.report(problem.at(place).help(Some(help)));
}
