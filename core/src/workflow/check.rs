//! Holds the names in a definition against each other and against what exists.

use std::collections::{HashMap, HashSet};

use super::StepKind;
use super::read::Catalog;
use super::step::Draft;
use crate::Name;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Node, NodeValue, Reader};
use crate::expression::{Expression, Template};

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

/// Agents, functions and directives that steps name.
pub fn names(reader: &mut Reader<'_>, drafts: &[Draft<'_>], may_request: Option<&[(Name, &Node)]>, catalog: &Catalog) {
    let functions: Option<HashSet<&str>> =
        catalog.functions.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let directives: Option<HashSet<&str>> =
        catalog.directives.as_ref().map(|names| names.iter().map(Name::as_str).collect());
    let agents: Option<HashSet<&str>> =
        catalog.agents.as_ref().map(|slugs| slugs.iter().map(|slug| slug.as_str()).collect());
    let allowed: Option<HashSet<&str>> = may_request.map(|names| names.iter().map(|(name, _)| name.as_str()).collect());

    for (name, node) in may_request.unwrap_or_default() {
        known(reader, node, name.as_str(), directives.as_ref(), codes::UNKNOWN_DIRECTIVE, "directive");
    }
    for draft in drafts {
        let (Some(kind), Some(node)) = (&draft.kind, draft.named) else { continue };
        match kind {
            StepKind::Agent { agent, .. } => {
                known(reader, node, agent.as_str(), agents.as_ref(), codes::UNKNOWN_AGENT, "agent");
            }
            StepKind::Function { function, .. } => {
                known(reader, node, function, functions.as_ref(), codes::UNKNOWN_FUNCTION, "function");
            }
            StepKind::Directive { directive, .. } => {
                let exists =
                    known(reader, node, directive.as_str(), directives.as_ref(), codes::UNKNOWN_DIRECTIVE, "directive");
                if exists && allowed.as_ref().is_some_and(|allowed| !allowed.contains(directive.as_str())) {
                    directive_not_allowed(reader, node, directive);
                }
            }
        }
    }
}

fn known(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    known: Option<&HashSet<&str>>,
    code: &'static str,
    what: &str,
) -> bool {
    let Some(known) = known.filter(|known| !known.contains(name)) else { return true };
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

fn directive_not_allowed(reader: &mut Reader<'_>, node: &Node, directive: &Name) {
    let message = format!("`{directive}` is not among the workflow's `may_request_directives`");
    let help = format!("add \"{directive}\" to `may_request_directives`, if the workflow is to do this");
    let problem = Diagnostic::error(codes::DIRECTIVE_NOT_ALLOWED, message);
    reader.report(problem.at(node.span.clone()).help(Some(help)));
}

/// The workflow's output is made at the end, so any step may be read.
pub fn output(reader: &mut Reader<'_>, node: &Node, template: &Template, ids: &Ids<'_>) {
    let mut reported = HashSet::new();
    for reference in template.references() {
        let step = reference.step.as_str();
        if !ids.contains_key(step) && reported.insert(step) {
            reader.unknown_step(reader.place_of_step(node, step), step, ids.keys().copied());
        }
    }
}

/// When a trigger is asked, there is a signal and a tenant, and nothing else yet.
pub fn trigger_roots(reader: &mut Reader<'_>, node: &Node, when: &Expression) {
    const AVAILABLE: [&str; 2] = ["signal", "tenant"];
    for root in when.roots_used() {
        let root: &str = root;
        if !AVAILABLE.contains(&root) {
            let message = format!("a trigger's `when` cannot read `{root}`: there is no run yet");
            let help = "it can read `signal` and `tenant`".to_owned();
            let problem = Diagnostic::error(codes::ROOT_NOT_AVAILABLE, message);
            reader.report(problem.at(node.span.clone()).help(Some(help)));
        }
    }
}

pub fn listed_twice(reader: &mut Reader<'_>, node: &Node) {
    let text = match &node.value {
        NodeValue::String(text) => text.as_str(),
        _ => "this",
    };
    let message = format!("`{}` is listed twice", shown(text));
    reader.report(Diagnostic::warning(codes::LISTED_TWICE, message).at(node.span.clone()));
}
