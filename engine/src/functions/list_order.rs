//! `list.*` that order, group and find repetitions. Values of all kinds have one order: null, false,
//! true, numbers, texts, lists, objects.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::field::{Kind, may, need};
use super::value::{Ordered, look_up};
use super::{Example, Function};

static NOTHING: Value = Value::Null;

pub static SORT: Function = Function {
    name: "list.sort",
    summary: "A list in order; what is equal keeps its order.",
    input: &[
        need("list", Kind::List, "what to sort"),
        may("field", Kind::Text, "a path into each item; the item itself unless given"),
        may("descending", Kind::Bool, "largest first"),
    ],
    output: "a list of the same length",
    example: Example {
        input: r#"{"list": [{"n": 2}, {"n": 10}, {"n": 1}], "field": "n", "descending": true}"#,
        output: r#"[{"n": 10}, {"n": 2}, {"n": 1}]"#,
    },
    call: |input| {
        let field = input.text("field");
        let mut items: Vec<_> = input.list("list").iter().map(|item| (Ordered(at(item, field)), item)).collect();
        if input.flag("descending") {
            items.sort_by_key(|(key, _)| Reverse(*key));
        } else {
            items.sort_by_key(|(key, _)| *key);
        }
        Ok(items.into_iter().map(|(_, item)| item.clone()).collect())
    },
};

pub static UNIQUE: Function = Function {
    name: "list.unique",
    summary: "A list without repetitions; of what repeats, the first stays.",
    input: &[
        need("list", Kind::List, "what to look through"),
        may("field", Kind::Text, "a path: items that have the same there are repetitions"),
    ],
    output: "a list",
    example: Example { input: r#"{"list": ["b", "a", "b", 1, 1.0]}"#, output: r#"["b", "a", 1]"# },
    call: |input| {
        let field = input.text("field");
        let mut seen = BTreeSet::new();
        let first = input.list("list").iter().filter(|item| seen.insert(Ordered(at(item, field))));
        Ok(first.cloned().collect())
    },
};

pub static GROUP: Function = Function {
    name: "list.group",
    summary: "The items of a list by what they have at a path, groups in order of first appearance.",
    input: &[need("list", Kind::List, "what to group"), need("field", Kind::Text, "a path, like `author.name`")],
    output: "a list of {key, count, items}",
    example: Example {
        input: r#"{"list": [{"k": "a", "n": 1}, {"k": "b", "n": 2}, {"k": "a", "n": 3}], "field": "k"}"#,
        output: r#"[{"key": "a", "count": 2, "items": [{"k": "a", "n": 1}, {"k": "a", "n": 3}]},
                   {"key": "b", "count": 1, "items": [{"k": "b", "n": 2}]}]"#,
    },
    call: |input| {
        let field = input.text("field");
        let mut places = BTreeMap::new();
        let mut groups: Vec<(&Value, Vec<&Value>)> = Vec::new();
        for item in input.list("list") {
            let key = at(item, field);
            let place = *places.entry(Ordered(key)).or_insert(groups.len());
            if place == groups.len() {
                groups.push((key, Vec::new()));
            }
            groups[place].1.push(item);
        }
        let group = |(key, items): (&Value, Vec<&Value>)| json!({"key": key, "count": items.len(), "items": items});
        Ok(groups.into_iter().map(group).collect())
    },
};

fn at<'a>(item: &'a Value, field: &str) -> &'a Value {
    look_up(item, field).unwrap_or(&NOTHING)
}
