//! Reads one step, as far as it can be read without knowing the others.

use std::ops::Range;

use serde_json::json;

use super::read::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, is_from_signal};
use super::{Edge, OnError, Step, StepKind};
use crate::Span;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Fields, Known, Node, NodeValue, Reader};
use crate::expression::{Expression, Reference, Template};
use crate::retry::RetryPolicy;
use crate::schema::Schema;

pub const ID_BYTES_MAX: usize = 64;
const FACTOR_MAX: f64 = 100.0;

const STEP: Known = Known {
    what: "a step",
    path: "",
    fields: &[
        "id",
        "type",
        "name",
        "description",
        "agent_ref",
        "function",
        "directive",
        "input",
        "payload",
        "needs",
        "when",
        "retry",
        "timeout",
        "on_error",
        "output_schema",
    ],
    later: &["compensate", "for_each", "repeat", "lock", "heartbeat", "join", "cancel_rest"],
};

const AGENT_REF: Known = Known { what: "`agent_ref`", path: "agent_ref.", fields: &["slug"], later: &["version"] };

const RETRY: Known = Known {
    what: "`retry`",
    path: "retry.",
    fields: &["max_attempts", "initial", "factor", "max", "jitter"],
    later: &["on", "max_elapsed"],
};

const TYPES: [&str; 3] = ["agent", "function", "directive"];
const TYPES_LATER: [&str; 3] = ["wait", "workflow", "finish"];

/// The fields that one type of step has and the others have not.
const OWN_FIELDS: [(&str, &[&str]); 3] = [
    ("agent", &["agent_ref", "input"]),
    ("function", &["function", "input"]),
    ("directive", &["directive", "payload"]),
];

/// A step that may still turn out to be wrong.
pub struct Draft<'n> {
    pub node: &'n Node,
    pub id: Option<&'n str>,
    pub kind: Option<StepKind>,
    /// Where the agent, function or directive is named.
    pub named: Option<&'n Node>,
    /// None: the step has no `needs`, which is not the same as an empty list.
    pub needs: Option<Vec<Need<'n>>>,
    pub reads: Vec<Read<'n>>,
    when: Option<Expression>,
    retry: Option<RetryPolicy>,
    timeout: Option<Span>,
    on_error: OnError,
    output_schema: Option<Schema>,
}

pub struct Need<'n> {
    pub step: &'n str,
    pub node: &'n Node,
}

/// A reference `${steps.x…}` somewhere in `node`.
pub struct Read<'n> {
    pub step: String,
    pub guarded: bool,
    pub node: &'n Node,
}

pub fn read<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<Draft<'n>> {
    if let Some((later, place)) = type_of_later_version(node) {
        // Its fields are of that version, too: to report each of them would help nobody.
        reader.not_supported_yet(&format!("type: {later}"), place);
        return None;
    }
    let fields = reader.fields(node, &STEP)?;
    let id = fields.need("id", reader).and_then(|node| id(reader, node));
    read_texts(reader, &fields);
    let mut draft = Draft {
        node,
        id,
        kind: None,
        named: None,
        needs: fields.get("needs").map(|node| needs(reader, node)),
        reads: Vec::new(),
        when: None,
        retry: None,
        timeout: fields.get("timeout").and_then(|node| reader.duration(node)),
        on_error: fields.get("on_error").map_or(OnError::Fail, |node| on_error(reader, node)),
        output_schema: fields.get("output_schema").and_then(|node| reader.schema(node)),
    };
    if let Some(node) = fields.get("when") {
        draft.when = reader.condition(node);
        draft.reads_of(node, draft.when.as_ref().map_or(Vec::new(), |when| copied(when.references())));
    }
    let kind = fields.need("type", reader).and_then(|node| reader.choice(node, "type", &TYPES, &TYPES_LATER));
    if let Some(kind) = kind {
        refuse_fields_of_others(reader, &fields, kind);
        draft.read_kind(reader, &fields, kind);
    }
    draft.retry = match fields.get("retry") {
        Some(node) => retry(reader, node),
        None => (kind == Some("function")).then(RetryPolicy::once),
    };
    Some(draft)
}

impl<'n> Draft<'n> {
    fn read_kind(&mut self, reader: &mut Reader<'_>, fields: &Fields<'n>, kind: &str) {
        let from_signal = |_: &mut Reader<'_>| Template::from_signal();
        self.kind = match kind {
            "agent" => {
                let agent_ref = fields.need("agent_ref", reader).and_then(|node| reader.fields(node, &AGENT_REF));
                self.named = agent_ref.and_then(|agent_ref| agent_ref.need("slug", reader));
                let agent = self.named.and_then(|node| reader.named(node));
                let input = self.template(reader, fields.get("input"), from_signal);
                agent.map(|agent| StepKind::Agent { agent, input })
            }
            "function" => {
                self.named = fields.need("function", reader);
                let function = self.named.and_then(|node| reader.text(node, NAME_CHARS_MAX));
                let input = self.template(reader, fields.get("input"), nothing);
                function.map(|function| StepKind::Function { function, input })
            }
            "directive" => {
                self.named = fields.need("directive", reader);
                let directive = self.named.and_then(|node| reader.named(node));
                let payload = self.template(reader, fields.get("payload"), nothing);
                directive.map(|directive| StepKind::Directive { directive, payload })
            }
            _ => None,
        };
    }

    fn template(
        &mut self,
        reader: &mut Reader<'_>,
        node: Option<&'n Node>,
        default: impl Fn(&mut Reader<'_>) -> Template,
    ) -> Template {
        match node {
            Some(node) if is_from_signal(node) => Template::from_signal(),
            Some(node) => match reader.template(node) {
                Some(template) => {
                    self.reads_of(node, copied(template.references()));
                    template
                }
                None => default(reader),
            },
            None => default(reader),
        }
    }

    fn reads_of(&mut self, node: &'n Node, references: Vec<(String, bool)>) {
        self.reads.extend(references.into_iter().map(|(step, guarded)| Read { step, guarded, node }));
    }

    pub fn into_step(self, after: Vec<Edge>, before: Vec<usize>) -> Option<Step> {
        Some(Step {
            id: self.id?.to_owned(),
            kind: self.kind?,
            when: self.when,
            after,
            before,
            retry: self.retry,
            timeout: self.timeout,
            on_error: self.on_error,
            output_schema: self.output_schema,
        })
    }
}

fn nothing(_: &mut Reader<'_>) -> Template {
    Template::compile(&json!({})).expect("an empty object has no expressions")
}

fn copied(references: &[Reference]) -> Vec<(String, bool)> {
    references.iter().map(|reference| (reference.step.clone(), reference.guarded)).collect()
}

fn type_of_later_version(node: &Node) -> Option<(&str, Range<usize>)> {
    let kind = node.get("type")?;
    match &kind.value {
        NodeValue::String(text) if TYPES_LATER.contains(&text.as_str()) => Some((text, kind.span.clone())),
        _ => None,
    }
}

fn id<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<&'n str> {
    let text = reader.string(node)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let is_valid =
        text.len() <= ID_BYTES_MAX && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(plain);
    if !is_valid {
        let message =
            format!("`{}` is not a step id: expected a letter and then a-z, 0-9 or _, at most 64", shown(text));
        let fit = |c: char| if c.is_ascii() && plain(c as u8) { c } else { '_' };
        let fixed: String = text.chars().map(fit).take(ID_BYTES_MAX).collect();
        let help = fixed.starts_with(|c: char| c.is_ascii_lowercase()).then(|| format!("like `{fixed}`"));
        reader.report(Diagnostic::error(codes::NOT_A_NAME, message).at(node.span.clone()).help(help));
    }
    // Still its id for those that refer to it, so that one mistake is not reported as many.
    Some(text)
}

/// Read for their problems alone: nothing runs by them, and the document keeps them.
fn read_texts(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    for (field, chars_max) in [("name", NAME_CHARS_MAX), ("description", DESCRIPTION_CHARS_MAX)] {
        if let Some(node) = fields.get(field) {
            reader.text(node, chars_max);
        }
    }
}

fn needs<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Vec<Need<'n>> {
    let items = reader.list(node, super::read::STEPS_MAX).unwrap_or_default();
    items.iter().filter_map(|node| Some(Need { step: reader.string(node)?, node })).collect()
}

fn on_error(reader: &mut Reader<'_>, node: &Node) -> OnError {
    match reader.choice(node, "on_error", &["fail", "continue"], &["compensate", "park"]) {
        Some("continue") => OnError::Continue,
        _ => OnError::Fail,
    }
}

fn refuse_fields_of_others(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) {
    let own = OWN_FIELDS.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, own)| own);
    let of_others = STEP
        .fields
        .iter()
        .filter(|field| OWN_FIELDS.iter().any(|(_, fields)| fields.contains(field)) && !own.contains(field));
    for key in of_others.filter_map(|field| fields.key(field)) {
        let message = format!("`{}` does not belong to a step of type `{kind}`", key.text);
        let help = format!("a step of type `{kind}` has `{}`", own.join("` and `"));
        reader.report(Diagnostic::error(codes::FIELD_OF_OTHER_TYPE, message).at(key.span.clone()).help(Some(help)));
    }
}

fn retry(reader: &mut Reader<'_>, node: &Node) -> Option<RetryPolicy> {
    let fields = reader.fields(node, &RETRY)?;
    let default = RetryPolicy::default();
    let attempts = fields.get("max_attempts").map(|node| reader.whole(node, 1..=RetryPolicy::ATTEMPTS_MAX));
    let factor = fields.get("factor").map(|node| reader.number(node, 1.0..=FACTOR_MAX));
    let jitter = fields.get("jitter").map(|node| reader.boolean(node));
    let initial = fields.get("initial").map_or(Some(default.initial), |node| reader.duration(node))?;
    let max = match fields.get("max") {
        Some(node) => {
            let max = reader.duration(node)?;
            if max < initial {
                let message = format!("`max` is {max}, less than `initial`, which is {initial}");
                reader.error(codes::WRONG_VALUE, node, message);
            }
            max
        }
        None => default.max.max(initial),
    };
    Some(RetryPolicy {
        max_attempts: attempts.unwrap_or(Some(default.max_attempts))?,
        initial,
        factor: factor.unwrap_or(Some(default.factor))?,
        max,
        jitter: jitter.unwrap_or(Some(default.jitter))?,
    })
}
