//! Reads what a step does: the fields of its type.

use serde_json::json;

use super::expressions::{Expressions, is_from_signal, text};
use super::retry;
use crate::diagnostic::{Diagnostic, codes};
use crate::document::{Fields, Known, Node, NodeValue, Reader};
use crate::expression::Template;
use crate::workflow::read::{NAME_CHARS_MAX, version};
use crate::workflow::{Finish, StepKind, wait};

const AGENT_REF: Known = Known { what: "`agent_ref`", path: "agent_ref.", fields: &["slug"], later: &["version"] };

const WORKFLOW_REF: Known =
    Known { what: "`workflow_ref`", path: "workflow_ref.", fields: &["slug", "version"], later: &[] };

const ERROR: Known = Known { what: "`error`", path: "error.", fields: &["code", "message"], later: &[] };

/// Which types of step have a field. The others that a step may have belong to every type.
pub const FIELDS: [(&str, &[&str]); 27] = [
    ("agent_ref", &["agent"]),
    ("function", &["function"]),
    ("directive", &["directive"]),
    ("payload", &["directive"]),
    ("for", &["wait"]),
    ("until", &["wait"]),
    ("signal", &["wait"]),
    ("signals", &["wait"]),
    ("lookback", &["wait"]),
    ("consume", &["wait"]),
    ("callback", &["wait"]),
    ("workflow_ref", &["workflow"]),
    ("wait", &["workflow"]),
    ("on_cancel", &["workflow"]),
    ("status", &["finish"]),
    ("output", &["finish"]),
    ("error", &["finish"]),
    ("input", &["agent", "function", "wait", "workflow"]),
    ("for_each", &["agent", "function", "directive", "wait", "workflow"]),
    ("repeat", &["agent", "function", "directive", "workflow"]),
    ("lock", &["agent", "function", "directive", "wait", "workflow"]),
    ("retry", &["agent", "function", "directive"]),
    ("timeout", &["agent", "function", "directive", "wait", "workflow"]),
    ("heartbeat", &["function", "directive", "wait"]),
    ("on_error", &["agent", "function", "directive", "wait", "workflow"]),
    ("compensate", &["agent", "directive", "workflow"]),
    ("output_schema", &["agent", "function", "directive", "workflow"]),
];

/// What the step does, and where the agent, function, directive or workflow is named.
pub type Read<'n> = (Option<StepKind>, Option<&'n Node>);

pub fn read<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    fields: &Fields<'n>,
    kind: &str,
    expressions: &mut Expressions<'n>,
) -> Read<'n> {
    match kind {
        "agent" => agent(reader, fields, expressions),
        "function" => function(reader, fields, expressions),
        "directive" => directive(reader, fields, expressions),
        "wait" => (wait::read::read(reader, node, fields, expressions).map(StepKind::Wait), None),
        "workflow" => workflow(reader, fields, expressions),
        "finish" => (finish(reader, fields, expressions).map(StepKind::Finish), None),
        _ => (None, None),
    }
}

fn agent<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) -> Read<'n> {
    let agent_ref = fields.need("agent_ref", reader).and_then(|node| reader.fields(node, &AGENT_REF));
    let named = agent_ref.and_then(|agent_ref| agent_ref.need("slug", reader));
    let agent = named.and_then(|node| reader.named(node));
    let input = given(reader, fields, "input", "`input`", expressions, Template::from_signal);
    let kind = agent.map(|agent| StepKind::Agent { agent, input });
    (kind, named)
}

fn function<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) -> Read<'n> {
    let named = fields.need("function", reader);
    let function = named.and_then(|node| reader.text(node, NAME_CHARS_MAX));
    let input = given(reader, fields, "input", "`input`", expressions, nothing);
    let kind = function.map(|function| StepKind::Function { function, input });
    (kind, named)
}

fn directive<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) -> Read<'n> {
    let named = fields.need("directive", reader);
    let directive = named.and_then(|node| reader.named(node));
    let payload = given(reader, fields, "payload", "`payload`", expressions, nothing);
    let kind = directive.map(|directive| StepKind::Directive { directive, payload });
    (kind, named)
}

fn workflow<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) -> Read<'n> {
    let workflow_ref = fields.need("workflow_ref", reader).and_then(|node| reader.fields(node, &WORKFLOW_REF));
    let named = workflow_ref.as_ref().and_then(|workflow_ref| workflow_ref.need("slug", reader));
    let slug = named.and_then(|node| reader.named(node));
    let version = workflow_ref.and_then(|fields| fields.optional("version", |node| version(reader, node)));
    let input = given(reader, fields, "input", "`input`", expressions, nothing);
    let waits = fields.optional("wait", |node| reader.boolean(node));
    let on_cancel = fields.optional("on_cancel", |node| reader.choice(node, "on_cancel", &["cancel", "abandon"], &[]));
    let kind = || {
        Some(StepKind::Workflow {
            workflow: slug?,
            version: version?,
            input,
            waits: waits?.unwrap_or(true),
            abandons: on_cancel? == Some("abandon"),
        })
    };
    (kind(), named)
}

fn finish<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) -> Option<Finish> {
    let choices = ["completed", "failed"];
    let status = fields.optional("status", |node| reader.choice(node, "status", &choices, &[]))?;
    let sight = expressions.sight("a step of type `finish`");
    if status == Some("failed") {
        refuse(reader, fields, "output", "a step that finishes as failed has an `error` and no `output`");
        let error = fields.need("error", reader)?;
        let fields = reader.fields(error, &ERROR)?;
        let code = fields.need("code", reader).and_then(|node| retry::code(reader, node, false));
        let message = fields.need("message", reader).and_then(|node| expressions.text(reader, node, sight));
        return Some(Finish::Failed { code: code?, message: message? });
    }
    refuse(reader, fields, "error", "an `error` goes with `\"status\": \"failed\"`");
    let output = fields.optional("output", |node| expressions.template(reader, node, sight))?;
    Some(Finish::Completed { output })
}

fn refuse(reader: &mut Reader<'_>, fields: &Fields<'_>, field: &str, message: &str) {
    if let Some(key) = fields.key(field) {
        reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(key.span.clone()));
    }
}

/// What is wrong is reported; the default then stands in for it, so that the names that belong to it are
/// looked at as well.
fn given<'n>(
    reader: &mut Reader<'_>,
    fields: &Fields<'n>,
    field: &str,
    what: &'static str,
    expressions: &mut Expressions<'n>,
    default: impl Fn() -> Template,
) -> Template {
    match fields.get(field) {
        None => default(),
        Some(node) if is_from_signal(node) => Template::from_signal(),
        Some(node) => {
            let sight = expressions.sight(what);
            expressions.template(reader, node, sight).unwrap_or_else(default)
        }
    }
}

pub fn nothing() -> Template {
    Template::compile(&json!({})).expect("an empty object has no expressions")
}

/// A literal string, one without expressions in it.
pub fn literal(node: &Node) -> Option<&str> {
    match &node.value {
        NodeValue::String(written) if !written.contains("${") => Some(written),
        _ => None,
    }
}

/// Some text with expressions in it, or a literal that `is_right` has looked at.
pub fn text_or<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    what: &'static str,
    expressions: &mut Expressions<'n>,
    is_right: impl FnOnce(&mut Reader<'_>, &'n Node) -> bool,
) -> Option<Template> {
    if matches!(node.value, NodeValue::String(_)) && literal(node).is_none() {
        let sight = expressions.sight(what);
        return expressions.text(reader, node, sight);
    }
    if !is_right(reader, node) {
        return None;
    }
    text(reader, node)?;
    reader.template(node)
}
