//! Holds the names in a definition against each other and against what exists.

use std::collections::{HashMap, HashSet};

use super::read::Catalog;
use super::step::Draft;
use super::step::expressions::Read;
use super::{OnRunError, StepKind};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Node, NodeValue, Reader};
use crate::{Name, Slug};

/// Which step, by index, an id names: the first, where two have the same.
pub type Ids<'n> = HashMap<&'n str, usize>;

pub fn ids<'n>(reader: &mut Reader<'_>, drafts: &[Draft<'n>]) -> Ids<'n> {
    let mut ids = Ids::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let Some(id) = draft.id else { continue };
        match ids.get(id) {
            None => _ = ids.insert(id, index),
            Some(&first) => duplicate_step(reader, id, draft, &drafts[first]),
        }
    }
    ids
}

fn duplicate_step(reader: &mut Reader<'_>, id: &str, draft: &Draft<'_>, first: &Draft<'_>) {
    let place = |draft: &Draft<'_>| reader.place(draft.node.get("id").unwrap_or(draft.node));
    let problem = Diagnostic::error(codes::DUPLICATE_STEP, format!("two steps have the id `{}`", shown(id)))
        .at(place(draft))
        .label("given again here")
        .also(place(first), "first given here");
    reader.report(problem);
}

/// What steps name, held against what there is and what the workflow allows itself.
pub fn names(
    reader: &mut Reader<'_>,
    drafts: &[Draft<'_>],
    own: Option<&Slug>,
    may: MayRequest<'_>,
    catalog: &Catalog,
) {
    let known = Names::of(catalog, own, may);
    for (name, node) in may.unwrap_or_default() {
        known.directive_exists(reader, node, name);
    }
    for draft in drafts {
        if let Some((compensate, node)) = &draft.compensate {
            known.directive(reader, node, &compensate.directive);
        }
        let (Some(kind), Some(node)) = (&draft.kind, draft.named) else { continue };
        match kind {
            StepKind::Agent { agent, .. } => {
                known_in(reader, node, agent.as_str(), &known.agents, codes::UNKNOWN_AGENT, "agent");
            }
            StepKind::Function { function, .. } => known.function(reader, draft, node, function),
            StepKind::Directive { directive, .. } => known.directive(reader, node, directive),
            StepKind::Workflow { workflow, .. } => {
                known_in(reader, node, workflow.as_str(), &known.workflows, codes::UNKNOWN_WORKFLOW, "workflow");
            }
            StepKind::Wait(_) | StepKind::Finish(_) => {}
        }
    }
}

/// What `may_request_directives` lists, each with its place.
pub type MayRequest<'a> = Option<&'a [(Name, &'a Node)]>;

/// What may be named. None: anything.
struct Names<'a> {
    /// Of the engine itself; and all, where those of workers are known.
    built_in: Option<HashSet<&'a str>>,
    functions: Option<HashSet<&'a str>>,
    workers: Option<&'a [Name]>,
    directives: Option<HashSet<&'a str>>,
    agents: Option<HashSet<&'a str>>,
    workflows: Option<HashSet<&'a str>>,
    allowed: Option<HashSet<&'a str>>,
}

impl<'a> Names<'a> {
    fn of(catalog: &'a Catalog, own: Option<&'a Slug>, may: MayRequest<'a>) -> Self {
        let slugs = |slugs: &'a Option<Vec<Slug>>| slugs.as_ref().map(|slugs| slugs.iter().map(Slug::as_str).collect());
        // A workflow may start itself, though it is only there once it has been applied.
        let mut workflows: Option<HashSet<&str>> = slugs(&catalog.workflows);
        if let Some(workflows) = &mut workflows {
            workflows.extend(own.map(Slug::as_str));
        }
        let built_in: Option<HashSet<&str>> =
            catalog.functions.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let of_workers = catalog.worker_functions.as_ref();
        let functions = built_in.as_ref().zip(of_workers).map(|(built_in, of_workers)| {
            built_in.iter().copied().chain(of_workers.iter().map(Name::as_str)).collect()
        });
        Self {
            built_in,
            functions,
            workers: of_workers.map(Vec::as_slice),
            directives: catalog.directives.as_ref().map(|names| names.iter().map(Name::as_str).collect()),
            agents: slugs(&catalog.agents),
            workflows,
            allowed: may.map(|names| names.iter().map(|(name, _)| name.as_str()).collect()),
        }
    }

    fn function(&self, reader: &mut Reader<'_>, draft: &Draft<'_>, node: &Node, function: &str) {
        let Some(built_in) = &self.built_in else { return };
        if built_in.contains(function) && !self.is_workers(function) {
            return refuse_modifiers_of_workers(reader, draft, function);
        }
        let family = |name: &str| name.split('.').next().map(str::to_owned);
        let is_like_ours = built_in.iter().any(|known| family(known) == family(function));
        if self.functions.is_none() && !is_like_ours && function.parse::<Name>().is_ok() {
            return;
        }
        let known = self.functions.as_ref().or(self.built_in.as_ref()).cloned();
        known_in(reader, node, function, &known, codes::UNKNOWN_FUNCTION, "function");
    }

    /// What a tenant registered counts over what the engine came to know later under the same name.
    fn is_workers(&self, function: &str) -> bool {
        self.workers.is_some_and(|names| names.iter().any(|name| name.as_str() == function))
    }

    fn directive(&self, reader: &mut Reader<'_>, node: &Node, directive: &Name) {
        let exists = self.directive_exists(reader, node, directive);
        if exists && self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(directive.as_str())) {
            directive_not_allowed(reader, node, directive);
        }
    }

    fn directive_exists(&self, reader: &mut Reader<'_>, node: &Node, directive: &Name) -> bool {
        known_in(reader, node, directive.as_str(), &self.directives, codes::UNKNOWN_DIRECTIVE, "directive")
    }
}

fn known_in(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    known: &Option<HashSet<&str>>,
    code: &'static str,
    what: &str,
) -> bool {
    let Some(known) = known.as_ref().filter(|known| !known.contains(name)) else { return true };
    let mut names: Vec<&str> = known.iter().copied().collect();
    names.sort_unstable();
    let help = match (reader.near(name, names.iter().copied()), names.len()) {
        (Some(near), _) => Some(format!("did you mean `{near}`?")),
        (None, 0) => None,
        (None, 1..=12) => Some(format!("there are: {}", names.join(", "))),
        (None, count) => Some(format!("there are {count}: {} …", names[..12].join(", "))),
    };
    let problem = Diagnostic::error(code, format!("there is no {what} `{}`", shown(name)));
    reader.report(problem.at(node.span.clone()).help(help));
    false
}

/// A function of the engine is called within a decision: nothing of it can be late, lost or tried again.
fn refuse_modifiers_of_workers(reader: &mut Reader<'_>, draft: &Draft<'_>, function: &str) {
    for field in ["retry", "timeout", "heartbeat", "lock"] {
        let Some(node) = draft.node.get(field) else { continue };
        let message = format!("`{}` is a function of the engine, which has no `{field}`", shown(function));
        let help = "it is called in the moment in which it is decided; take the field away".to_owned();
        reader.report(Diagnostic::error(codes::BUILT_IN_FUNCTION, message).at(node.span.clone()).help(Some(help)));
    }
}

fn directive_not_allowed(reader: &mut Reader<'_>, node: &Node, directive: &Name) {
    let message = format!("`{directive}` is not among the workflow's `may_request_directives`");
    let help = format!("add \"{directive}\" to `may_request_directives`, if the workflow is to do this");
    let problem = Diagnostic::error(codes::DIRECTIVE_NOT_ALLOWED, message);
    reader.report(problem.at(node.span.clone()).help(Some(help)));
}

/// Each step that is read and does not exist, once.
pub fn unknown_reads(reader: &mut Reader<'_>, reads: &[Read<'_>], ids: &Ids<'_>) {
    let mut reported = HashSet::new();
    for read in reads {
        let step = read.step.as_str();
        if !ids.contains_key(step) && reported.insert(step) {
            reader.unknown_step(reader.place_of_step(read.node, step), step, ids.keys().copied());
        }
    }
}

/// A `compensate` that nobody will ever ask for is worse than none.
pub fn compensations(reader: &mut Reader<'_>, drafts: &[Draft<'_>], on_error: OnRunError) {
    if on_error == OnRunError::Compensate {
        return;
    }
    for draft in drafts.iter().filter(|draft| draft.compensate.is_some()) {
        let place = draft.place(reader, "compensate");
        let problem = Diagnostic::warning(codes::COMPENSATE_UNUSED, "this `compensate` is never requested");
        let help = "add `\"on_error\": \"compensate\"` to the workflow".to_owned();
        reader.report(problem.at(place).help(Some(help)));
    }
}

pub fn self_reference(reader: &mut Reader<'_>, node: &Node, step: &str) {
    let place = reader.place_of_step(node, step);
    let message = format!("the step `{}` refers to itself", shown(step));
    reader.report(Diagnostic::error(codes::SELF_REFERENCE, message).at(place));
}

pub fn listed_twice(reader: &mut Reader<'_>, node: &Node) {
    let text = match &node.value {
        NodeValue::String(text) => text.as_str(),
        _ => "this",
    };
    let message = format!("`{}` is listed twice", shown(text));
    reader.report(Diagnostic::warning(codes::LISTED_TWICE, message).at(node.span.clone()));
}
