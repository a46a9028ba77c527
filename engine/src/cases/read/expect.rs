//! Reads what a run is expected to come to.

use fleetprompt_core::directive;
use fleetprompt_core::document::{Fields, Known, Node, NodeValue, Reader};
use fleetprompt_core::run::{Status, StepStatus};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{Name, Span};

use super::{at, at_of, entries};
use crate::cases::{Expect, Expected, ExpectedDirective, ExpectedError, ExpectedStep};

const RUNS_MAX: usize = 1_000;
const NAMES_MAX: usize = 10_000;

const EXPECT: Known = Known {
    what: "`expect`",
    path: "expect.",
    fields: &["status", "output", "error", "steps", "directives", "any_order", "not_requested", "signals", "took"],
    later: &[],
};

const ERROR: Known = Known { what: "an error", path: "expect.error.", fields: &["code", "message"], later: &[] };

const STEP: Known = Known { what: "a step", path: "expect.steps.", fields: &["status", "output", "error"], later: &[] };

const DIRECTIVE: Known = Known {
    what: "a directive",
    path: "expect.directives.",
    fields: &["name", "payload", "step", "status"],
    later: &[],
};

/// One run, or a list of all of them.
pub fn read(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<Expect> {
    if !matches!(node.value, NodeValue::Array(_)) {
        return expected(reader, node, workflow).map(|expected| Expect::First(Box::new(expected)));
    }
    let items = reader.list(node, RUNS_MAX)?;
    items.iter().map(|item| expected(reader, item, workflow)).collect::<Option<_>>().map(Expect::Runs)
}

fn expected(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<Expected> {
    let fields = reader.fields(node, &EXPECT)?;
    let status = fields.optional("status", |node| word(reader, node, &Status::ALL, Status::as_str));
    let error = fields.optional("error", |node| error(reader, node));
    let steps = fields.get("steps").map_or(Vec::new(), |node| steps(reader, node, workflow));
    let directives = fields.optional("directives", |node| directives(reader, node, workflow));
    let any_order = fields.optional("any_order", |node| reader.boolean(node));
    let took = fields.optional("took", |node| took(reader, node));
    Some(Expected {
        status: status?,
        output: fields.get("output").map(Node::to_value),
        error: error?,
        steps,
        directives: directives?,
        any_order: any_order?.unwrap_or(false),
        not_requested: names(reader, &fields, "not_requested"),
        signals: names(reader, &fields, "signals"),
        took: took?,
    })
}

/// As it is written, since that says how exactly it is meant; it may be nothing.
fn took(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    if let NodeValue::String(text) = &node.value
        && text.parse::<Span>().is_ok()
    {
        return Some(text.clone());
    }
    reader.duration(node).map(|span| span.to_string())
}

fn word<T: Copy, const N: usize>(
    reader: &mut Reader<'_>,
    node: &Node,
    all: &[T; N],
    as_str: fn(T) -> &'static str,
) -> Option<T> {
    let words = all.map(as_str);
    let word = reader.choice(node, "status", &words, &[])?;
    all.iter().copied().find(|one| as_str(*one) == word)
}

/// Its code, or what is known of it.
fn error(reader: &mut Reader<'_>, node: &Node) -> Option<ExpectedError> {
    if let NodeValue::String(code) = &node.value {
        return Some(ExpectedError { code: Some(code.clone()), message: None });
    }
    let fields = reader.fields(node, &ERROR)?;
    let mut text = |field| fields.optional(field, |node| reader.string(node).map(str::to_owned));
    Some(ExpectedError { code: text("code")?, message: text("message")? })
}

fn steps(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Vec<(crate::cases::At, ExpectedStep)> {
    let mut steps = Vec::new();
    for (key, node) in entries(reader, node) {
        let at = at(reader, &key.text, key.span.clone(), workflow);
        steps.extend(at.zip(step(reader, node)));
    }
    steps
}

/// A status, or more of it.
fn step(reader: &mut Reader<'_>, node: &Node) -> Option<ExpectedStep> {
    let status = |reader: &mut Reader<'_>, node| word(reader, node, &StepStatus::ALL, StepStatus::as_str);
    if matches!(node.value, NodeValue::String(_)) {
        return Some(ExpectedStep { status: Some(status(reader, node)?), ..ExpectedStep::default() });
    }
    let fields = reader.fields(node, &STEP)?;
    Some(ExpectedStep {
        status: fields.optional("status", |node| status(reader, node))?,
        output: fields.get("output").map(Node::to_value),
        error: fields.optional("error", |node| error(reader, node))?,
    })
}

fn directives(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<Vec<ExpectedDirective>> {
    let items = reader.list(node, NAMES_MAX)?;
    Some(items.iter().filter_map(|item| directive(reader, item, workflow)).collect())
}

/// A name, or more of it.
fn directive(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<ExpectedDirective> {
    if matches!(node.value, NodeValue::String(_)) {
        return Some(ExpectedDirective { name: reader.named(node)?, payload: None, step: None, status: None });
    }
    let fields = reader.fields(node, &DIRECTIVE)?;
    let name = fields.need("name", reader).and_then(|node| reader.named(node));
    let all = directive::Status::ALL;
    Some(ExpectedDirective {
        name: name?,
        payload: fields.get("payload").map(Node::to_value),
        step: fields.optional("step", |node| at_of(reader, node, workflow))?,
        status: fields.optional("status", |node| word(reader, node, &all, directive::Status::as_str))?,
    })
}

fn names(reader: &mut Reader<'_>, fields: &Fields<'_>, field: &str) -> Vec<Name> {
    let items = fields.get(field).and_then(|node| reader.list(node, NAMES_MAX)).unwrap_or_default();
    items.iter().filter_map(|item| reader.named(item)).collect()
}
