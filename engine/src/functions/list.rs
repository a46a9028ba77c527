//! `list.*`: choosing, cutting and counting. What orders or groups is in `list_order.rs`.

use std::collections::BTreeSet;

use fleetprompt_core::Failure;
use serde_json::{Map, Value, json};

use super::field::{Input, Kind, invalid, may, need, number};
use super::value::{Ordered, look_up, same};
use super::{Example, Function};

pub static LENGTH: Function = Function {
    name: "list.length",
    summary: "How many items a list has.",
    input: &[need("list", Kind::List, "what to count")],
    output: "a whole number",
    example: Example { input: r#"{"list": ["a", "b"]}"#, output: "2" },
    call: |input| Ok(input.list("list").len().into()),
};

pub static FIRST: Function = Function {
    name: "list.first",
    summary: "The first item. An empty list is an error, unless `otherwise` is given.",
    input: &[
        need("list", Kind::List, "where to take from"),
        may("otherwise", Kind::Any, "the answer when the list is empty"),
    ],
    output: "any JSON",
    example: Example { input: r#"{"list": ["a", "b"]}"#, output: r#""a""# },
    call: |input| {
        let first = input.list("list").first().or(input.whole().get("otherwise"));
        first.cloned().ok_or_else(|| invalid("`list` is empty"))
    },
};

pub static SLICE: Function = Function {
    name: "list.slice",
    summary: "A part of a list. Negative places count from the end.",
    input: &[
        need("list", Kind::List, "where to take from"),
        may("from", Kind::Integer, "the first place, 0 unless given"),
        may("to", Kind::Integer, "the place after the last, the end unless given"),
    ],
    output: "a list",
    example: Example { input: r#"{"list": [1, 2, 3, 4], "from": 1, "to": -1}"#, output: "[2, 3]" },
    call: |input| {
        let list = input.list("list");
        let count = |places: u64| usize::try_from(places).map_or(list.len(), |places| places.min(list.len()));
        let place = |name, otherwise: usize| match input.integer(name) {
            None => otherwise,
            Some(place) if place < 0 => list.len() - count(place.unsigned_abs()),
            Some(place) => count(place.unsigned_abs()),
        };
        let (from, to) = (place("from", 0), place("to", list.len()));
        Ok(list.get(from..to).unwrap_or(&[]).into())
    },
};

pub static CHUNK: Function = Function {
    name: "list.chunk",
    summary: "A list cut into lists of at most `size`, like for a `for_each` over batches.",
    input: &[need("list", Kind::List, "what to cut"), need("size", Kind::Integer, "how many items in each")],
    output: "a list of lists",
    example: Example { input: r#"{"list": [1, 2, 3], "size": 2}"#, output: "[[1, 2], [3]]" },
    call: |input| {
        let size = input.count_or("size", 1, 1)?;
        Ok(input.list("list").chunks(size).map(Value::from).collect::<Vec<_>>().into())
    },
};

pub static FLATTEN: Function = Function {
    name: "list.flatten",
    summary: "The items of the lists in a list, one level deep; what is not a list stays.",
    input: &[need("list", Kind::List, "lists and other items")],
    output: "a list",
    example: Example { input: r#"{"list": [[1, 2], 3, [[4]]]}"#, output: "[1, 2, 3, [4]]" },
    call: |input| {
        let flat = input.list("list").iter().flat_map(|item| match item {
            Value::Array(inner) => inner.as_slice(),
            other => std::slice::from_ref(other),
        });
        Ok(flat.cloned().collect())
    },
};

pub static PLUCK: Function = Function {
    name: "list.pluck",
    summary: "What each item has at a path; items without it give null.",
    input: &[need("list", Kind::List, "where to look"), need("field", Kind::Text, "a path, like `author.name`")],
    output: "a list of the same length",
    example: Example { input: r#"{"list": [{"id": 1}, {"id": 2}, {}], "field": "id"}"#, output: "[1, 2, null]" },
    call: |input| {
        let field = input.text("field");
        Ok(input.list("list").iter().map(|item| look_up(item, field).cloned().unwrap_or_default()).collect())
    },
};

pub static SUM: Function = Function {
    name: "list.sum",
    summary: "Adds up numbers: the items, or what they have at a path. Whole numbers are added exactly.",
    input: &[
        need("list", Kind::List, "numbers, or items with numbers"),
        may("field", Kind::Text, "a path to the number"),
    ],
    output: "{sum, count, mean, least, most}; of no numbers the last three are null",
    example: Example {
        input: r#"{"list": [{"votes": 3}, {"votes": 4}], "field": "votes"}"#,
        output: r#"{"sum": 7, "count": 2, "mean": 3.5, "least": 3, "most": 4}"#,
    },
    call: sum,
};

pub static FILTER: Function = Function {
    name: "list.filter",
    summary: "The items for which every given condition holds, of themselves or of what they have at a path.",
    input: &[
        need("list", Kind::List, "what to choose from"),
        may("field", Kind::Text, "a path into each item; the item itself unless given"),
        may("equals", Kind::Any, "keep what is this"),
        may("not_equals", Kind::Any, "keep what is not this"),
        may("one_of", Kind::List, "keep what is one of these"),
        may("contains", Kind::Text, "keep texts with this inside, and lists with this as an item"),
        may("at_least", Kind::Number, "keep numbers from here on"),
        may("at_most", Kind::Number, "keep numbers up to here"),
        may("exists", Kind::Bool, "keep items that have something there, or (false) that have nothing or null"),
    ],
    output: "a list",
    example: Example {
        input: r#"{"list": [{"id": 1, "open": true}, {"id": 2, "open": false}], "field": "open", "equals": true}"#,
        output: r#"[{"id": 1, "open": true}]"#,
    },
    call: |input| {
        let conditions = Conditions::read(input)?;
        let field = input.text("field");
        Ok(input.list("list").iter().filter(|item| conditions.hold(look_up(item, field))).cloned().collect())
    },
};

fn sum(input: &Input<'_>) -> Result<Value, Failure> {
    let field = input.text("field");
    let mut numbers = Vec::new();
    for (index, item) in input.list("list").iter().enumerate() {
        let found = look_up(item, field).filter(|found| number(found).is_some());
        numbers.push(found.ok_or_else(|| invalid(format!("`list.{index}` has no number there")))?);
    }
    let count = numbers.len();
    let float: f64 = numbers.iter().filter_map(|value| number(value)).sum();
    if !float.is_finite() {
        return Err(invalid("the sum is too large for a number"));
    }
    let exact = numbers.iter().try_fold(0i64, |sum, value| sum.checked_add(value.as_i64()?));
    let mean = (count > 0).then(|| float / count as f64);
    let (least, most) = (numbers.iter().min_by_key(|n| Ordered(n)), numbers.iter().max_by_key(|n| Ordered(n)));
    Ok(json!({
        "sum": exact.map_or(Value::from(float), Value::from), "count": count, "mean": mean,
        "least": least, "most": most,
    }))
}

struct Conditions<'a> {
    given: &'a Map<String, Value>,
    one_of: Option<BTreeSet<Ordered<'a>>>,
}

impl<'a> Conditions<'a> {
    fn read(input: &Input<'a>) -> Result<Self, Failure> {
        let given = input.whole().as_object().ok_or_else(|| invalid("expected an object"))?;
        if given.keys().all(|key| matches!(key.as_str(), "list" | "field")) {
            return Err(invalid(
                "no condition: give `equals`, `not_equals`, `one_of`, `contains`, `at_least`, `at_most` \
                 or `exists`",
            ));
        }
        let one_of = input.get("one_of").map(|_| input.list("one_of").iter().map(Ordered).collect());
        Ok(Self { given, one_of })
    }

    fn hold(&self, found: Option<&Value>) -> bool {
        let value = found.unwrap_or(&Value::Null);
        let float = number(value);
        // Null is a value to compare with, but no bound, no list and no text.
        self.given.iter().all(|(condition, wanted)| match condition.as_str() {
            "equals" => same(value, wanted),
            "not_equals" => !same(value, wanted),
            _ if wanted.is_null() => true,
            "one_of" => self.one_of.as_ref().is_some_and(|set| set.contains(&Ordered(value))),
            "contains" => contains(value, wanted),
            "at_least" => float.zip(number(wanted)).is_some_and(|(float, bound)| float >= bound),
            "at_most" => float.zip(number(wanted)).is_some_and(|(float, bound)| float <= bound),
            "exists" => wanted.as_bool() == Some(!value.is_null()),
            _ => true,
        })
    }
}

fn contains(value: &Value, wanted: &Value) -> bool {
    match value {
        Value::String(text) => wanted.as_str().is_some_and(|wanted| text.contains(wanted)),
        Value::Array(items) => items.contains(wanted),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_given_conditions_must_hold() {
        let kept = |conditions: Value| {
            let list = json!([{"n": 1, "t": "red fox"}, {"n": 5, "t": "fox"}, {"n": null}]);
            let mut input = json!({"list": list});
            input.as_object_mut().expect("an object").extend(conditions.as_object().expect("an object").clone());
            let kept = super::super::call(&FILTER, &input).map(|kept| kept.value().as_array().map_or(0, Vec::len));
            kept.map_err(|failure| failure.code)
        };
        assert_eq!(kept(json!({"field": "n", "at_least": 1, "at_most": 3})), Ok(1));
        assert_eq!(kept(json!({"field": "t", "contains": "fox"})), Ok(2));
        assert_eq!(kept(json!({"field": "n", "one_of": [1.0, 5]})), Ok(2));
        assert_eq!(kept(json!({"field": "n", "equals": null})), Ok(1));
        assert_eq!(kept(json!({"field": "n", "exists": false})), Ok(1));
        assert_eq!(kept(json!({})), Err("input_invalid".into()));
    }
}
