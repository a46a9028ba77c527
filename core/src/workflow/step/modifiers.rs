//! Reads what changes how a step is done: for each item, again and again, one at a time, and undone.

use super::expressions::Expressions;
use super::retry;
use crate::Name;
use crate::diagnostic::{Diagnostic, codes, shown};
use crate::document::{Known, Node, NodeValue, Reader};
use crate::expression::Template;
use crate::workflow::sight::Sight;
use crate::workflow::{Compensate, ForEach, Join, Repeat, Tolerate};

const FOR_EACH: Known = Known {
    what: "`for_each`",
    path: "for_each.",
    fields: &["items", "max_parallel", "tolerate", "at_least"],
    later: &[],
};

const REPEAT: Known = Known { what: "`repeat`", path: "repeat.", fields: &["while", "max", "delay"], later: &[] };

const COMPENSATE: Known = Known {
    what: "`compensate`",
    path: "compensate.",
    fields: &["directive", "payload", "retry", "timeout"],
    later: &[],
};

const JOIN: Known = Known { what: "`join`", path: "join.", fields: &["at_least"], later: &[] };

const ITEMS_MAX: u32 = ForEach::ITEMS_MAX as u32;

/// Either the list alone, or an object that has it as `items`.
pub fn for_each<'n>(reader: &mut Reader<'_>, node: &'n Node, expressions: &mut Expressions<'n>) -> Option<ForEach> {
    let NodeValue::Object(_) = &node.value else {
        let items = items(reader, node, expressions)?;
        return Some(ForEach {
            items,
            max_parallel: ForEach::MAX_PARALLEL_DEFAULT,
            tolerate: Tolerate::default(),
            at_least: None,
        });
    };
    let fields = reader.fields(node, &FOR_EACH)?;
    let list = fields.need("items", reader);
    let items = list.and_then(|node| items(reader, node, expressions));
    let max_parallel = fields.optional("max_parallel", |node| reader.whole(node, 1..=ITEMS_MAX));
    let tolerate = fields.optional("tolerate", |node| tolerate(reader, node));
    let at_least = fields.optional("at_least", |node| reader.whole(node, 1..=ITEMS_MAX));
    if let (Some(NodeValue::Array(list)), Some(Some(wanted))) = (list.map(|node| &node.value), at_least)
        && wanted as usize > list.len()
    {
        let message = format!("`at_least` is {wanted}, and there are {} items", list.len());
        reader.error(codes::WRONG_VALUE, fields.get("at_least")?, message);
    }
    Some(ForEach {
        items: items?,
        max_parallel: max_parallel?.unwrap_or(ForEach::MAX_PARALLEL_DEFAULT),
        tolerate: tolerate?.unwrap_or_default(),
        at_least: at_least?,
    })
}

fn items<'n>(reader: &mut Reader<'_>, node: &'n Node, expressions: &mut Expressions<'n>) -> Option<Template> {
    const UNSEEN: &str = "this is what gives the items";
    let sight = Sight::step("the list of `for_each`", Err(UNSEEN), Err("it is asked once, before the step is done"));
    match &node.value {
        NodeValue::Array(_) => _ = reader.list(node, ForEach::ITEMS_MAX)?,
        NodeValue::String(_) => {}
        _ => {
            reader.wrong_type(node, "a list, or an expression that gives one, like \"${signal.payload.items}\"");
            return None;
        }
    }
    let template = expressions.list(reader, node, sight)?;
    if matches!(node.value, NodeValue::String(_)) && !template.is_expression() {
        let message = "this is text, where one expression is expected that gives a list";
        let help = "like \"${signal.payload.items}\", without text around it".to_owned();
        reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(node.span.clone()).help(Some(help)));
        return None;
    }
    Some(template)
}

/// A count of items, or a part of them like "10%".
fn tolerate(reader: &mut Reader<'_>, node: &Node) -> Option<Tolerate> {
    let NodeValue::String(text) = &node.value else {
        return reader.whole(node, 0..=ITEMS_MAX).map(Tolerate::Count);
    };
    let plain = |number: &str| number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.strip_suffix('%').filter(|number| plain(number)).and_then(|number| number.parse().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Some(Tolerate::Percent(percent)),
        _ => {
            let message = format!("`{}` is not a part from \"0%\" to \"100%\"", shown(text));
            let help = "write a number for a count of items".to_owned();
            reader.report(Diagnostic::error(codes::WRONG_VALUE, message).at(node.span.clone()).help(Some(help)));
            None
        }
    }
}

pub fn repeat<'n>(reader: &mut Reader<'_>, node: &'n Node, expressions: &mut Expressions<'n>) -> Option<Repeat> {
    let fields = reader.fields(node, &REPEAT)?;
    let again = fields.optional("while", |node| {
        let sight = expressions.sight("the `while` of `repeat`");
        expressions.condition(reader, node, sight)
    });
    let max = fields.need("max", reader).and_then(|node| reader.whole(node, 1..=Repeat::MAX));
    let delay = fields.optional("delay", |node| reader.duration(node));
    Some(Repeat { again: again?, max: max?, delay: delay?.unwrap_or_default() })
}

/// What undoes the step, and where its directive is named.
pub fn compensate<'n>(
    reader: &mut Reader<'_>,
    node: &'n Node,
    expressions: &mut Expressions<'n>,
) -> Option<(Compensate, &'n Node)> {
    let fields = reader.fields(node, &COMPENSATE)?;
    let named = fields.need("directive", reader);
    let directive = named.and_then(|node| reader.named::<Name>(node));
    let sight = expressions.sight_of_item("a `compensate`");
    let payload = match fields.get("payload") {
        Some(node) => expressions.undo(reader, node, sight),
        None => Some(super::kind::nothing()),
    };
    let retry = fields.optional("retry", |node| retry::read(reader, node));
    let timeout = fields.optional("timeout", |node| reader.duration(node));
    Some((Compensate { directive: directive?, payload: payload?, retry: retry?, timeout: timeout? }, named?))
}

/// `"all"`, `"any"`, or `{"at_least": n}`.
pub fn join(reader: &mut Reader<'_>, node: &Node) -> Option<Join> {
    if let NodeValue::Object(_) = &node.value {
        let fields = reader.fields(node, &JOIN)?;
        let wanted = fields.need("at_least", reader)?;
        return reader.whole(wanted, 1..=u32::MAX).map(Join::AtLeast);
    }
    match reader.choice(node, "join", &["all", "any"], &[])? {
        "any" => Some(Join::AtLeast(1)),
        _ => Some(Join::All),
    }
}
