//! From a definition's text to a workflow that is ready to run, or to all of its problems.
//!
//! This file reads what belongs to the workflow as a whole; `step` reads one step, `transition` one
//! edge, `check` holds the names against each other and against the catalog, `graph` makes the edges.

use std::str::FromStr;

use super::graph::{self, Graph, Plan};
use super::sight::Sight;
use super::step::expressions::Expressions;
use super::step::{self, Draft};
use super::transition::{self, Transition};
use super::{OnRunError, Priority, Step, Trigger, Workflow, check, flow};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{self, Fields, Format, Known, Node, Outcome, Reader};
use crate::{Json, Name, Slug};

pub const STEPS_MAX: usize = 10_000;
pub const TRIGGER_SIGNALS_MAX: usize = 64;
pub const NAME_CHARS_MAX: usize = 200;
pub const DESCRIPTION_CHARS_MAX: usize = 10_000;
const DIRECTIVES_MAX: usize = 1_000;

/// What exists where the workflow is to run. None: not known here, so not checked.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The engine's own, which are part of a decision.
    pub functions: Option<Vec<String>>,
    /// Those that workers perform. None: any name outside the families of the engine's own may be one.
    pub worker_functions: Option<Vec<Name>>,
    pub directives: Option<Vec<Name>>,
    pub agents: Option<Vec<Slug>>,
    pub workflows: Option<Vec<Slug>>,
}

/// The workflow and the warnings about it, or all of its problems.
pub fn read(text: &str, format: Format, catalog: &Catalog) -> Outcome<Workflow> {
    let document = document::parse(text, format)?;
    let mut reader = Reader::new(text);
    let workflow = workflow(&mut reader, &document, catalog);
    reader.finish(workflow)
}

const DOCUMENT: Known = Known { what: "the document", path: "", fields: &["workflow", "$schema"], later: &[] };

const WORKFLOW: Known = Known {
    what: "the workflow",
    path: "",
    fields: &[
        "name",
        "slug",
        "version",
        "description",
        "trigger",
        "input_schema",
        "may_request_directives",
        "timeout",
        "priority",
        "on_error",
        "concurrency",
        "singleton",
        "throttle",
        "debounce",
        "output",
        "steps",
        "transitions",
    ],
    later: &[],
};

const TRIGGER: Known = Known {
    what: "the trigger",
    path: "trigger.",
    fields: &["signal", "signals", "when", "allow_recursion"],
    later: &[],
};

fn workflow(reader: &mut Reader<'_>, document: &Node, catalog: &Catalog) -> Option<Workflow> {
    let node = reader.envelope(document, &DOCUMENT, "workflow")?;
    let fields = reader.fields(node, &WORKFLOW)?;

    let name = fields.need("name", reader).and_then(|node| reader.text(node, NAME_CHARS_MAX));
    let slug = slug(reader, &fields, name.as_deref());
    let version = fields.need("version", reader).and_then(|node| version(reader, node));
    let description = fields.get("description").and_then(|node| reader.text(node, DESCRIPTION_CHARS_MAX));
    let trigger = fields.get("trigger").and_then(|node| trigger(reader, node));
    let input_schema = fields.get("input_schema").and_then(|node| reader.schema(node));
    let may_request = fields.get("may_request_directives").and_then(|node| directives(reader, node));
    let timeout = fields.get("timeout").and_then(|node| reader.duration(node));
    let priority = fields.get("priority").map_or(Priority::Normal, |node| priority(reader, node));
    let on_error = fields.get("on_error").map_or(OnRunError::Fail, |node| on_error(reader, node));
    let flow = flow::read::read(reader, &fields);
    let mut expressions = Expressions::default();
    let output = fields.optional("output", |node| expressions.template(reader, node, Sight::OUTPUT));
    let drafts = fields.need("steps", reader).map_or(Vec::new(), |node| steps(reader, node));
    let transitions = fields.get("transitions").map(|node| transition::read(reader, node));
    let is_chain = transitions.is_none() && drafts.iter().all(|draft| draft.needs.is_none());
    let transitions = transitions.unwrap_or_default();

    let ids = check::ids(reader, &drafts);
    check::names(reader, &drafts, slug.as_ref(), may_request.as_deref(), catalog);
    check::compensations(reader, &drafts, on_error);
    check::unknown_reads(reader, &expressions.reads, &ids);
    let plan = Plan { drafts: &drafts, transitions: &transitions, ids: &ids, output: &expressions.reads };
    let graph = graph::graph(reader, &plan, is_chain);
    let index = ids.into_iter().map(|(id, index)| (id.to_owned(), index)).collect();

    let document = Json::from(document.to_value());
    Some(Workflow {
        slug: slug?,
        name: name?,
        description,
        version: version?,
        trigger,
        input_schema,
        may_request_directives: may_request.map(|names| names.into_iter().map(|(name, _)| name).collect()),
        timeout,
        priority,
        concurrency: flow.concurrency?,
        throttle: flow.throttle?,
        debounce: flow.debounce?,
        on_error,
        steps: compiled(drafts, transitions, graph)?,
        index,
        output: output?,
        digest: blake3::hash(document.text().as_bytes()).to_hex().to_string(),
        document,
    })
}

fn priority(reader: &mut Reader<'_>, node: &Node) -> Priority {
    match reader.choice(node, "priority", &["high", "normal", "low"], &[]) {
        Some("high") => Priority::High,
        Some("low") => Priority::Low,
        _ => Priority::Normal,
    }
}

fn on_error(reader: &mut Reader<'_>, node: &Node) -> OnRunError {
    match reader.choice(node, "on_error", &["fail", "compensate", "park"], &[]) {
        Some("compensate") => OnRunError::Compensate,
        Some("park") => OnRunError::Park,
        _ => OnRunError::Fail,
    }
}

fn slug(reader: &mut Reader<'_>, fields: &Fields<'_>, name: Option<&str>) -> Option<Slug> {
    if let Some(node) = fields.get("slug") {
        return reader.named(node);
    }
    let slug = Slug::from_title(name?);
    if slug.is_none() {
        let node = fields.get("name")?;
        let message = "the workflow lacks the field `slug`, and its name gives none";
        let help = "add a slug like `forum-new-thread-triage`".to_owned();
        reader.report(Diagnostic::error(codes::MISSING_FIELD, message).at(node.span.clone()).help(Some(help)));
    }
    slug
}

pub(super) fn version(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.string(node)?;
    if is_semantic_version(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is not a semantic version like `1.0.0` or `2.0.0-rc.1`", shown(text));
    reader.error(codes::NOT_A_VERSION, node, message);
    None
}

/// Semantic Versioning 2.0.0, at most 64 bytes.
fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let no_leading_zero = |part: &str| part.len() == 1 || !part.starts_with('0');
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.len() <= 64
        && core.split('.').count() == 3
        && core.split('.').all(|part| digits(part) && no_leading_zero(part))
        && pre.is_none_or(|pre| pre.split('.').all(|part| word(part) && (!digits(part) || no_leading_zero(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn trigger(reader: &mut Reader<'_>, node: &Node) -> Option<Trigger> {
    let fields = reader.fields(node, &TRIGGER)?;
    let signals = match (fields.key("signals"), fields.get("signals")) {
        (Some(key), Some(_)) if fields.get("signal").is_some() => {
            let problem = Diagnostic::error(codes::GIVEN_TWICE, "a trigger has either `signal` or `signals`, not both");
            reader.report(problem.at(key.span.clone()));
            None
        }
        (_, Some(list)) => signals(reader, list),
        _ => fields.need("signal", reader).and_then(|node| reader.named(node)).map(|name| vec![name]),
    };
    let when = fields.get("when").and_then(|node| {
        let when = reader.condition(node)?;
        Sight::TRIGGER.check(reader, node, when.roots_used());
        Some(when)
    });
    let allow_recursion = fields.get("allow_recursion").is_some_and(|node| reader.boolean(node) == Some(true));
    Some(Trigger { signals: signals?, when, allow_recursion })
}

fn signals(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Name>> {
    let items = reader.list(node, TRIGGER_SIGNALS_MAX)?;
    if items.is_empty() {
        reader.error(codes::WRONG_VALUE, node, "a trigger has at least one signal");
    }
    Some(names(reader, items).into_iter().map(|(name, _)| name).collect())
}

fn directives<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<Vec<(Name, &'n Node)>> {
    let items = reader.list(node, DIRECTIVES_MAX)?;
    Some(names(reader, items))
}

/// A list of names without repetition, each with its place.
fn names<'n, T: FromStr<Err: std::fmt::Display> + Eq + std::hash::Hash + Clone>(
    reader: &mut Reader<'_>,
    items: &'n [Node],
) -> Vec<(T, &'n Node)> {
    let mut seen = std::collections::HashSet::new();
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let Some(name) = reader.named::<T>(item) else { continue };
        if seen.insert(name.clone()) {
            names.push((name, item));
        } else {
            check::listed_twice(reader, item);
        }
    }
    names
}

fn steps<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Vec<Draft<'n>> {
    let Some(items) = reader.list(node, STEPS_MAX) else { return Vec::new() };
    if items.is_empty() {
        reader.error(codes::WRONG_VALUE, node, "a workflow has at least one step");
    }
    items.iter().filter_map(|item| step::read(reader, item)).collect()
}

fn compiled(drafts: Vec<Draft<'_>>, transitions: Vec<Transition<'_>>, graph: Graph) -> Option<Vec<Step>> {
    let edges = graph.into_edges(transitions);
    drafts
        .into_iter()
        .zip(edges)
        .map(|(draft, (after, before, cancels))| draft.into_step(after, before, cancels))
        .collect()
}

#[cfg(test)]
mod tests;
