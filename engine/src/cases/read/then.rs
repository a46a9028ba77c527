//! Reads what happens while a case goes on.

use fleetprompt_core::diagnostic::{Diagnostic, codes};
use fleetprompt_core::document::{Fields, Known, Node, NodeValue, Reader};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::Workflow;
use serde_json::{Map, Value, json};

use super::{at_of, failure, json_of, role, signal};
use crate::cases::{Act, Said, Then, To};

const ACTS_MAX: usize = 1_000;

const THEN: Known = Known {
    what: "what happens then",
    path: "then.",
    fields: &[
        "after", "signal", "answer", "report", "cancel", "pause", "resume", "retry", "skip", "complete", "refused",
    ],
    later: &[],
};

const ANSWER: Known = Known { what: "`answer`", path: "then.answer.", fields: &["step", "value", "role"], later: &[] };

const REPORT: Known = Known {
    what: "`report`",
    path: "then.report.",
    fields: &["step", "directive", "output", "error", "heartbeat"],
    later: &[],
};

const CANCEL: Known =
    Known { what: "`cancel`", path: "then.cancel.", fields: &["reason", "compensate", "role"], later: &[] };
const PAUSE: Known = Known { what: "`pause`", path: "then.pause.", fields: &["reason", "role"], later: &[] };
const RESUME: Known = Known { what: "`resume`", path: "then.resume.", fields: &["reason", "role"], later: &[] };
const RETRY: Known =
    Known { what: "`retry`", path: "then.retry.", fields: &["reason", "from", "reissue", "role"], later: &[] };
const SKIP: Known = Known { what: "`skip`", path: "then.skip.", fields: &["step", "reason", "role"], later: &[] };
const COMPLETE: Known =
    Known { what: "`complete`", path: "then.complete.", fields: &["step", "output", "reason", "role"], later: &[] };

/// What people do to a run: the field, what it may have, the directive, and who may at least.
const OPERATIONS: [(&str, &Known, &str, Role); 6] = [
    ("cancel", &CANCEL, "workflow.run.cancel", Role::Member),
    ("pause", &PAUSE, "workflow.run.pause", Role::Member),
    ("resume", &RESUME, "workflow.run.resume", Role::Member),
    ("retry", &RETRY, "workflow.run.retry", Role::Operator),
    ("skip", &SKIP, "workflow.step.skip", Role::Operator),
    ("complete", &COMPLETE, "workflow.step.complete", Role::Operator),
];

pub fn read(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Vec<Then> {
    let items = reader.list(node, ACTS_MAX).unwrap_or_default();
    items.iter().filter_map(|item| then(reader, item, workflow)).collect()
}

fn then(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<Then> {
    let fields = reader.fields(node, &THEN)?;
    let acts: Vec<&str> =
        THEN.fields.iter().copied().filter(|field| *field != "refused" && fields.get(field).is_some()).collect();
    let [field] = acts[..] else {
        let message = "expected one thing that happens; the next is another entry of the list";
        let known = THEN.fields[..THEN.fields.len() - 1].join(", ");
        let place = reader.place(node);
        reader.report(
            Diagnostic::error(codes::WRONG_VALUE, message).at(place).help(Some(format!("known here: {known}"))),
        );
        return None;
    };
    let refused = fields.optional("refused", |node| reader.string(node).map(str::to_owned))?;
    let given = fields.get(field)?;
    let act = match field {
        "after" => Act::After(reader.duration(given)?),
        "signal" => Act::Signal(signal(reader, given)?),
        "answer" => answer(reader, given, workflow)?,
        "report" => report(reader, given, workflow)?,
        operation => operate(reader, given, operation, workflow)?,
    };
    if refused.is_some()
        && matches!(act, Act::After(_))
        && let Some(key) = fields.key("refused")
    {
        let message = "nobody can refuse that time passes";
        reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(key.span.clone()));
    }
    Some(Then { act, refused })
}

fn answer(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<Act> {
    let fields = reader.fields(node, &ANSWER)?;
    let at = fields.need("step", reader).and_then(|node| at_of(reader, node, workflow));
    let value = fields.need("value", reader).map(json_of);
    let role = fields.optional("role", |node| role(reader, node))?;
    Some(Act::Answer { at: at?, value: value?, role: role.unwrap_or(Role::Member) })
}

fn report(reader: &mut Reader<'_>, node: &Node, workflow: &Workflow) -> Option<Act> {
    let fields = reader.fields(node, &REPORT)?;
    let to = match (fields.get("step"), fields.get("directive")) {
        (Some(step), None) => To::Step(at_of(reader, step, workflow)?),
        (None, Some(directive)) => To::Directive(reader.named(directive)?),
        _ => return one_of(reader, node, "a report names either a `step` or a `directive`"),
    };
    let said = match (fields.get("output"), fields.get("error"), fields.get("heartbeat")) {
        (Some(output), None, None) => Said::Ended(Ok(json_of(output))),
        (None, Some(error), None) => Said::Ended(Err(failure(reader, error)?)),
        (None, None, Some(_)) => Said::Heartbeat,
        _ => return one_of(reader, node, "a report says one of `output`, `error` or `\"heartbeat\": true`"),
    };
    Some(Act::Report { to, said })
}

fn one_of(reader: &mut Reader<'_>, node: &Node, message: &str) -> Option<Act> {
    reader.error(codes::WRONG_VALUE, node, message);
    None
}

/// The payload of its directive, but for the run; the reason is only asked of people.
fn operate(reader: &mut Reader<'_>, node: &Node, field: &str, workflow: &Workflow) -> Option<Act> {
    let (_, known, directive, least) = *OPERATIONS.iter().find(|(name, ..)| *name == field)?;
    let fields = reader.fields(node, known)?;
    let mut payload = Map::new();
    let reason = fields.optional("reason", |node| reader.string(node))?;
    payload.insert("reason".into(), json!(reason.unwrap_or("the test says so")));
    if known.fields.contains(&"step") {
        let at = fields.need("step", reader).and_then(|node| at_of(reader, node, workflow))?;
        payload.insert("step".into(), json!(at.step));
        payload.extend(at.item.map(|item| ("item".into(), json!(item))));
    }
    if known.fields.contains(&"output") {
        payload.insert("output".into(), fields.need("output", reader)?.to_value());
    }
    for flag in ["compensate", "reissue"] {
        let set = fields.optional(flag, |node| reader.boolean(node))?;
        payload.extend(set.map(|set| (flag.into(), Value::Bool(set))));
    }
    payload.extend(from(reader, &fields, workflow)?.map(|from| ("from".into(), from)));
    let role = fields.optional("role", |node| role(reader, node))?.unwrap_or(least);
    Some(Act::Operate { directive, payload: Value::Object(payload), role })
}

/// One step, or a list of them.
fn from(reader: &mut Reader<'_>, fields: &Fields<'_>, workflow: &Workflow) -> Option<Option<Value>> {
    let Some(node) = fields.get("from") else { return Some(None) };
    let nodes = match &node.value {
        NodeValue::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let steps: Option<Vec<String>> = nodes.iter().map(|node| Some(at_of(reader, node, workflow)?.step)).collect();
    Some(Some(json!(steps?)))
}
