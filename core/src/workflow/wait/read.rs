//! Reads what a step of type `wait` waits for: exactly one thing.

use super::{Escalation, EventMatch, Lookback, Wait};
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Fields, Known, Node, NodeValue, Reader};
use crate::expression::Template;
use crate::tenant::Role;
use crate::workflow::INPUT_ROLE_DEFAULT;
use crate::workflow::step::expressions::Expressions;
use crate::workflow::step::kind::text_or;
use crate::{Name, Timestamp};

const KINDS: [&str; 6] = ["for", "until", "signal", "signals", "input", "callback"];
const PATH_BYTES_MAX: usize = 512;

const EVENT: Known =
    Known { what: "a signal to wait for", path: "signal.", fields: &["name", "match", "when"], later: &[] };

const INPUT: Known =
    Known { what: "`input`", path: "input.", fields: &["prompt", "role", "schema", "escalate"], later: &[] };

const ESCALATION: Known =
    Known { what: "an entry of `escalate`", path: "input.escalate.", fields: &["after", "role"], later: &[] };

const CALLBACK: Known = Known { what: "`callback`", path: "callback.", fields: &["schema"], later: &[] };

/// The fields at which a signal can be told from another.
const SIGNAL_FIELDS: [&str; 10] = [
    "id",
    "name",
    "subject",
    "actor",
    "source",
    "source_event_id",
    "correlation_id",
    "causation_id",
    "occurred_at",
    "payload",
];

/// A viewer only reads, so nobody waits for one.
const ROLES: [Role; 4] = [Role::Member, Role::Operator, Role::Admin, Role::Owner];

pub fn read<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    fields: &Fields<'n>,
    expressions: &mut Expressions<'n>,
) -> Option<Wait> {
    let kind = kind(reader, node, fields)?;
    refuse_fields_of_others(reader, fields, kind);
    let given = fields.get(kind)?;
    match kind {
        "for" => {
            text_or(reader, given, "`for`", expressions, |reader, node| reader.duration(node).is_some()).map(Wait::For)
        }
        "until" => text_or(reader, given, "`until`", expressions, is_time).map(Wait::Until),
        "signal" => signals(reader, fields, std::slice::from_ref(given), expressions),
        "signals" => {
            let items = reader.list(given, Wait::EVENTS_MAX)?;
            if items.is_empty() {
                reader.error(codes::WRONG_VALUE, given, "a wait has at least one signal");
            }
            signals(reader, fields, items, expressions)
        }
        "input" => input(reader, given, expressions),
        _ => callback(reader, given),
    }
}

/// The one thing that is waited for.
fn kind(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>) -> Option<&'static str> {
    let mut given = KINDS.into_iter().filter(|kind| fields.get(kind).is_some());
    let Some(first) = given.next() else {
        let place = reader.place(node);
        let problem = Diagnostic::error(codes::MISSING_FIELD, "a step of type `wait` says nothing to wait for");
        reader.report(problem.at(place).help(Some(format!("add one of {}", KINDS.join(", ")))));
        return None;
    };
    for second in given.filter_map(|kind| fields.key(kind)) {
        let message = format!("a wait has one thing to wait for, and here are `{first}` and `{}`", second.text);
        let help = "wait in two steps, and join them with `\"join\": \"any\"`".to_owned();
        let problem = Diagnostic::error(codes::GIVEN_TWICE, message);
        reader.report(problem.at(second.span.clone()).help(Some(help)));
    }
    Some(first)
}

fn refuse_fields_of_others(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) {
    let signals = &["signal", "signals"][..];
    for (field, owners) in [("lookback", signals), ("consume", signals), ("heartbeat", &["callback"])] {
        let Some(key) = fields.key(field).filter(|_| !owners.contains(&kind)) else { continue };
        let message = format!("`{field}` does not belong to a wait with `{kind}`");
        let help = format!("it belongs to one with `{}`", owners.join("` or `"));
        reader.report(Diagnostic::error(codes::FIELD_OF_OTHER_TYPE, message).at(key.span.clone()).help(Some(help)));
    }
}

fn is_time(reader: &mut Reader<'_>, node: &Node) -> bool {
    let Some(text) = reader.string(node) else { return false };
    if let Err(error) = text.parse::<Timestamp>() {
        reader.error(codes::WRONG_VALUE, node, format!("`{}` is {error}", shown(text)));
        return false;
    }
    true
}

fn signals<'n>(
    reader: &mut Reader<'_>,
    fields: &Fields<'n>,
    items: &'n [Node],
    expressions: &mut Expressions<'n>,
) -> Option<Wait> {
    let events: Vec<_> = items.iter().map(|node| event(reader, node, expressions)).collect();
    let lookback = fields.optional("lookback", |node| lookback(reader, node));
    let consumes = fields.optional("consume", |node| reader.boolean(node));
    Some(Wait::Signal {
        events: events.into_iter().collect::<Option<_>>()?,
        lookback: lookback?,
        consumes: consumes?.unwrap_or(true),
    })
}

fn lookback(reader: &mut Reader<'_>, node: &Node) -> Option<Lookback> {
    match &node.value {
        NodeValue::String(text) if text == "run" => Some(Lookback::Run),
        _ => reader.duration(node).map(Lookback::For),
    }
}

/// Either the signal's name alone, or an object that has it.
fn event<'n>(reader: &mut Reader<'_>, node: &'n Node, expressions: &mut Expressions<'n>) -> Option<EventMatch> {
    let NodeValue::Object(_) = &node.value else {
        let name = reader.named::<Name>(node)?;
        return Some(EventMatch { name, matches: Vec::new(), when: None });
    };
    let fields = reader.fields(node, &EVENT)?;
    let name = fields.need("name", reader).and_then(|node| reader.named(node));
    let matches = fields.optional("match", |node| matches(reader, node, expressions));
    let when = fields.optional("when", |node| {
        let sight = expressions.sight("the `when` of a wait's signal").of_event();
        expressions.condition(reader, node, sight)
    });
    Some(EventMatch { name: name?, matches: matches?.unwrap_or_default(), when: when? })
}

fn matches<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    expressions: &mut Expressions<'n>,
) -> Option<Vec<(Vec<String>, Template)>> {
    let NodeValue::Object(entries) = &node.value else {
        reader.wrong_type(node, "an object");
        return None;
    };
    if entries.len() > Wait::MATCHES_MAX {
        let message = format!("{} entries where at most {} are allowed", entries.len(), Wait::MATCHES_MAX);
        reader.error(codes::TOO_MANY, node, message);
        return None;
    }
    let sight = expressions.sight("a value of `match`");
    let entry = |(key, value): &'n (_, Node)| {
        let path = path(reader, key);
        let value = expressions.template(reader, value, sight);
        path.zip(value)
    };
    let entries: Vec<_> = entries.iter().map(entry).collect();
    entries.into_iter().collect()
}

/// `payload.order_id`: where in the signal.
fn path(reader: &mut Reader<'_>, key: &crate::document::Key) -> Option<Vec<String>> {
    let segments: Vec<String> = key.text.split('.').map(str::to_owned).collect();
    let is_path = key.text.len() <= PATH_BYTES_MAX && segments.iter().all(|segment| !segment.is_empty());
    if is_path && SIGNAL_FIELDS.contains(&segments[0].as_str()) {
        return Some(segments);
    }
    let message = format!("`{}` is not a place in a signal", shown(&key.text));
    let help = format!("like `payload.order_id`; a signal has {}", SIGNAL_FIELDS.join(", "));
    reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(key.span.clone()).help(Some(help)));
    None
}

fn input<'n>(reader: &mut Reader<'_>, node: &'n Node, expressions: &mut Expressions<'n>) -> Option<Wait> {
    let fields = reader.fields(node, &INPUT)?;
    let sight = expressions.sight("a `prompt`");
    let prompt = fields.optional("prompt", |node| expressions.text(reader, node, sight));
    let role = fields.optional("role", |node| role(reader, node));
    let schema = fields.optional("schema", |node| reader.schema(node));
    let escalations = fields.optional("escalate", |node| escalations(reader, node));
    Some(Wait::Input {
        prompt: prompt?,
        role: role?.unwrap_or(INPUT_ROLE_DEFAULT),
        schema: schema?,
        escalations: escalations?.unwrap_or_default(),
    })
}

fn role(reader: &mut Reader<'_>, node: &Node) -> Option<Role> {
    let text = reader.choice(node, "role", &ROLES.map(Role::as_str), &[])?;
    ROLES.into_iter().find(|role| role.as_str() == text)
}

fn escalations(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Escalation>> {
    let items = reader.list(node, Wait::ESCALATIONS_MAX)?;
    let entries: Vec<_> = items.iter().map(|node| escalation(reader, node)).collect();
    let mut escalations: Vec<Escalation> = entries.into_iter().collect::<Option<_>>()?;
    escalations.sort_by_key(|escalation| escalation.after);
    Some(escalations)
}

fn escalation(reader: &mut Reader<'_>, node: &Node) -> Option<Escalation> {
    let fields = reader.fields(node, &ESCALATION)?;
    let after = fields.need("after", reader).and_then(|node| reader.duration(node));
    let role = fields.need("role", reader).and_then(|node| role(reader, node));
    Some(Escalation { after: after?, role: role? })
}

/// Either `true`, or an object.
fn callback(reader: &mut Reader<'_>, node: &Node) -> Option<Wait> {
    match &node.value {
        NodeValue::Bool(true) => Some(Wait::Callback { schema: None }),
        NodeValue::Bool(false) => {
            reader.error(codes::WRONG_VALUE, node, "expected true, or an object with a `schema`");
            None
        }
        _ => {
            let fields = reader.fields(node, &CALLBACK)?;
            let schema = fields.optional("schema", |node| reader.schema(node));
            Some(Wait::Callback { schema: schema? })
        }
    }
}
