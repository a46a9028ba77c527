//! Reads one step, as far as it can be read without knowing the others.

pub mod expressions;
pub mod kind;
mod modifiers;
pub mod retry;

use super::read::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, STEPS_MAX};
use super::sight::Sight;
use super::{Compensate, Edge, ForEach, Join, OnError, Repeat, Step, StepKind};
use crate::Span;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Fields, Known, Node, Reader};
use crate::expression::{Expression, StepField, Template};
use crate::retry::RetryPolicy;
use crate::schema::Schema;
use expressions::{Expressions, Read};

pub const ID_BYTES_MAX: usize = 64;

/// In the order in which people look for them.
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
        "workflow_ref",
        "input",
        "payload",
        "for",
        "until",
        "signal",
        "signals",
        "lookback",
        "consume",
        "callback",
        "wait",
        "on_cancel",
        "status",
        "output",
        "error",
        "needs",
        "when",
        "for_each",
        "repeat",
        "lock",
        "retry",
        "timeout",
        "heartbeat",
        "on_error",
        "compensate",
        "output_schema",
        "join",
        "cancel_rest",
    ],
    later: &[],
};

/// A step that may still turn out to be wrong.
#[derive(Debug)]
pub struct Draft<'n> {
    pub node: &'n Node,
    pub id: Option<&'n str>,
    pub kind: Option<StepKind>,
    /// Where the agent, function, directive or workflow is named.
    pub named: Option<&'n Node>,
    /// None: the step has no `needs`, which is not the same as an empty list.
    pub needs: Option<Vec<Need<'n>>>,
    pub reads: Vec<Read<'n>>,
    pub when: Option<Expression>,
    pub join: Join,
    pub cancel_rest: bool,
    pub on_error: OnError,
    /// What undoes it, and where its directive is named.
    pub compensate: Option<(Compensate, &'n Node)>,
    name: Option<String>,
    for_each: Option<ForEach>,
    repeat: Option<Repeat>,
    lock: Option<Template>,
    retry: Option<RetryPolicy>,
    timeout: Option<Span>,
    heartbeat: Option<Span>,
    output_schema: Option<Schema>,
}

#[derive(Debug)]
pub struct Need<'n> {
    pub step: &'n str,
    pub node: &'n Node,
}

pub fn read<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<Draft<'n>> {
    let fields = reader.fields(node, &STEP)?;
    let kind = fields.need("type", reader).and_then(|node| reader.choice(node, "type", &StepKind::NAMES, &[]));
    if let Some(kind) = kind {
        refuse_fields_of_others(reader, &fields, kind);
    }
    let mut expressions = Expressions {
        has_items: fields.get("for_each").is_some(),
        has_iterations: fields.get("repeat").is_some(),
        reads: Vec::new(),
    };
    let mut draft = Draft::plain(reader, node, &fields);
    draft.read_order(reader, &fields, &mut expressions);
    draft.read_modifiers(reader, &fields, &mut expressions);
    if let Some(kind) = kind {
        (draft.kind, draft.named) = kind::read(reader, node, &fields, kind, &mut expressions);
        draft.retry = draft.retry.or_else(|| (!may_be_retried(kind)).then(RetryPolicy::once));
    }
    draft.reads = expressions.reads;
    Some(draft)
}

/// What is tried again has a policy even where none is given; nothing else ever is.
fn may_be_retried(kind: &str) -> bool {
    kind::FIELDS.iter().any(|(field, kinds)| *field == "retry" && kinds.contains(&kind))
}

impl<'n> Draft<'n> {
    /// With the fields that neither see anything nor change the order.
    fn plain(reader: &mut Reader<'_>, node: &'n Node, fields: &Fields<'n>) -> Self {
        let id = fields.need("id", reader).and_then(|node| id(reader, node));
        if let Some(node) = fields.get("description") {
            reader.text(node, DESCRIPTION_CHARS_MAX);
        }
        Self {
            node,
            id,
            kind: None,
            named: None,
            needs: None,
            reads: Vec::new(),
            when: None,
            join: Join::All,
            cancel_rest: false,
            on_error: fields.get("on_error").map_or(OnError::Fail, |node| on_error(reader, node)),
            compensate: None,
            name: fields.get("name").and_then(|node| reader.text(node, NAME_CHARS_MAX)),
            for_each: None,
            repeat: None,
            lock: None,
            retry: fields.get("retry").and_then(|node| retry::read(reader, node)),
            timeout: fields.get("timeout").and_then(|node| reader.duration(node)),
            heartbeat: fields.get("heartbeat").and_then(|node| reader.duration(node)),
            output_schema: fields.get("output_schema").and_then(|node| reader.schema(node)),
        }
    }

    fn read_order(&mut self, reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) {
        const BEFORE: &str = "it is asked once, before `for_each`";
        const ONCE: &str = "it is asked once, before the step is done";
        self.needs = fields.get("needs").map(|node| needs(reader, node));
        let item = if expressions.has_items { BEFORE } else { "the step has no `for_each`" };
        let sight = Sight::step("a step's `when`", Err(item), Err(ONCE));
        self.when = fields.get("when").and_then(|node| expressions.condition(reader, node, sight));
        self.join = fields.get("join").and_then(|node| modifiers::join(reader, node)).unwrap_or_default();
        self.cancel_rest = fields.get("cancel_rest").and_then(|node| reader.boolean(node)).unwrap_or_default();
    }

    fn read_modifiers(&mut self, reader: &mut Reader<'_>, fields: &Fields<'n>, expressions: &mut Expressions<'n>) {
        self.for_each = fields.get("for_each").and_then(|node| modifiers::for_each(reader, node, expressions));
        self.repeat = fields.get("repeat").and_then(|node| modifiers::repeat(reader, node, expressions));
        self.lock = fields.get("lock").and_then(|node| {
            let sight = expressions.sight_of_item("a `lock`");
            expressions.text(reader, node, sight)
        });
        self.compensate = fields.get("compensate").and_then(|node| modifiers::compensate(reader, node, expressions));
    }

    pub fn is_finish(&self) -> bool {
        matches!(self.kind, Some(StepKind::Finish(_)))
    }

    /// Whether its own `when` says that this is there where it runs.
    pub fn asks_for(&self, step: &str, field: StepField) -> bool {
        let present = self.when.as_ref().map_or(&[][..], Expression::present_if_true);
        present.iter().any(|(known, has)| known == step && *has == field)
    }

    /// Where a field of the step is given, or else the step's id.
    pub fn place(&self, reader: &Reader<'_>, field: &str) -> std::ops::Range<usize> {
        let node = self.node.get(field).or_else(|| self.node.get("id")).unwrap_or(self.node);
        reader.place(node)
    }

    pub fn into_step(self, after: Vec<Edge>, before: Vec<usize>, cancels: Vec<usize>) -> Option<Step> {
        Some(Step {
            id: self.id?.to_owned(),
            name: self.name,
            kind: self.kind?,
            when: self.when,
            after,
            before,
            join: self.join,
            cancels,
            for_each: self.for_each,
            repeat: self.repeat,
            lock: self.lock,
            retry: self.retry,
            timeout: self.timeout,
            heartbeat: self.heartbeat,
            on_error: self.on_error,
            compensate: self.compensate.map(|(compensate, _)| compensate),
            output_schema: self.output_schema,
        })
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

fn needs<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Vec<Need<'n>> {
    let items = reader.list(node, STEPS_MAX).unwrap_or_default();
    items.iter().filter_map(|node| Some(Need { step: reader.string(node)?, node })).collect()
}

fn on_error(reader: &mut Reader<'_>, node: &Node) -> OnError {
    match reader.choice(node, "on_error", &["fail", "continue"], &[]) {
        Some("continue") => OnError::Continue,
        _ => OnError::Fail,
    }
}

fn refuse_fields_of_others(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: &str) {
    let of_others = kind::FIELDS.iter().filter(|(_, kinds)| !kinds.contains(&kind));
    for (key, kinds) in of_others.filter_map(|(field, kinds)| Some((fields.key(field)?, kinds))) {
        let own = kind::FIELDS.iter().filter(|(_, kinds)| kinds.contains(&kind)).map(|(field, _)| *field);
        let message = format!("`{}` does not belong to a step of type `{kind}`", key.text);
        let help = format!(
            "it belongs to the type{} `{}`; beside what every step has, a step of type `{kind}` has `{}`",
            if kinds.len() == 1 { "" } else { "s" },
            kinds.join("`, `"),
            own.collect::<Vec<_>>().join("`, `")
        );
        reader.report(Diagnostic::error(codes::FIELD_OF_OTHER_TYPE, message).at(key.span.clone()).help(Some(help)));
    }
}
