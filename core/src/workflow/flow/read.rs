//! Reads how many runs there may be, and how fast they may come.

use super::{Concurrency, Debounce, OnLimit, Throttle};
use crate::diagnostic::{Diagnostic, codes};
use crate::document::{Fields, Known, Node, Reader};
use crate::expression::Template;
use crate::workflow::sight::Sight;
use crate::workflow::step::expressions::text;

const CONCURRENCY: Known =
    Known { what: "`concurrency`", path: "concurrency.", fields: &["limit", "key", "on_limit"], later: &[] };

const SINGLETON: Known = Known { what: "`singleton`", path: "singleton.", fields: &["key", "on_conflict"], later: &[] };

const THROTTLE: Known = Known { what: "`throttle`", path: "throttle.", fields: &["limit", "per", "key"], later: &[] };

const DEBOUNCE: Known = Known { what: "`debounce`", path: "debounce.", fields: &["period", "max", "key"], later: &[] };

/// None: what is given is wrong.
pub struct Flow {
    pub concurrency: Option<Option<Concurrency>>,
    pub throttle: Option<Option<Throttle>>,
    pub debounce: Option<Option<Debounce>>,
}

/// From the fields of the workflow.
pub fn read(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Flow {
    if let (Some(key), Some(_)) = (fields.key("singleton"), fields.get("concurrency")) {
        let message = "a workflow has either `concurrency` or `singleton`, which is one of 1";
        reader.report(Diagnostic::error(codes::GIVEN_TWICE, message).at(key.span.clone()));
    }
    let concurrency = match fields.get("singleton") {
        Some(node) => singleton(reader, node).map(Some),
        None => fields.optional("concurrency", |node| concurrency(reader, node)),
    };
    Flow {
        concurrency,
        throttle: fields.optional("throttle", |node| throttle(reader, node)),
        debounce: fields.optional("debounce", |node| debounce(reader, node)),
    }
}

fn concurrency(reader: &mut Reader<'_>, node: &Node) -> Option<Concurrency> {
    let fields = reader.fields(node, &CONCURRENCY)?;
    let limit = fields.need("limit", reader).and_then(|node| reader.whole(node, 1..=Concurrency::LIMIT_MAX));
    let key = key(reader, &fields, "the `key` of `concurrency`");
    let on_limit = on_limit(reader, &fields, "on_limit", OnLimit::Queue);
    Some(Concurrency { limit: limit?, key: key?, on_limit: on_limit? })
}

/// A concurrency of one.
fn singleton(reader: &mut Reader<'_>, node: &Node) -> Option<Concurrency> {
    let fields = reader.fields(node, &SINGLETON)?;
    let key = key(reader, &fields, "the `key` of `singleton`");
    let on_limit = on_limit(reader, &fields, "on_conflict", OnLimit::Drop);
    Some(Concurrency { limit: 1, key: key?, on_limit: on_limit? })
}

fn throttle(reader: &mut Reader<'_>, node: &Node) -> Option<Throttle> {
    let fields = reader.fields(node, &THROTTLE)?;
    let limit = fields.need("limit", reader).and_then(|node| reader.whole(node, 1..=Throttle::LIMIT_MAX));
    let per = fields.need("per", reader).and_then(|node| reader.duration(node));
    let key = key(reader, &fields, "the `key` of `throttle`");
    Some(Throttle { limit: limit?, per: per?, key: key? })
}

fn debounce(reader: &mut Reader<'_>, node: &Node) -> Option<Debounce> {
    let fields = reader.fields(node, &DEBOUNCE)?;
    let period = fields.need("period", reader).and_then(|node| reader.duration(node));
    let max = fields.optional("max", |node| reader.duration(node));
    let key = key(reader, &fields, "the `key` of `debounce`");
    if let (Some(period), Some(Some(max)), Some(node)) = (period, max, fields.get("max"))
        && max < period
    {
        reader.error(codes::WRONG_VALUE, node, format!("`max` is {max}, less than `period`, which is {period}"));
    }
    Some(Debounce { period: period?, max: max?, key: key? })
}

fn key(reader: &mut Reader<'_>, fields: &Fields<'_>, what: &'static str) -> Option<Option<Template>> {
    fields.optional("key", |node| {
        text(reader, node)?;
        let template = reader.template(node)?;
        Sight::key(what).check(reader, node, template.roots_used());
        Some(template)
    })
}

fn on_limit(reader: &mut Reader<'_>, fields: &Fields<'_>, field: &str, default: OnLimit) -> Option<OnLimit> {
    let given = fields.optional(field, |node| reader.choice(node, field, &["queue", "drop", "cancel_oldest"], &[]))?;
    Some(match given {
        Some("queue") => OnLimit::Queue,
        Some("drop") => OnLimit::Drop,
        Some("cancel_oldest") => OnLimit::CancelOldest,
        _ => default,
    })
}
