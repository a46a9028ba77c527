//! What functions do with values of any kind: measure, look inside, compare, write in one way.
//!
//! Everything here is linear in its input, or says what it is.

use std::cmp::Ordering;
use std::fmt::Write;

use fleetprompt_core::{Failure, Json};
use serde_json::Value;

/// The most that goes into a function, and the most that comes out.
pub const BYTES_MAX: usize = 1 << 20;

/// The most that goes into a function which only reads it.
pub const READ_BYTES_MAX: usize = 16 << 20;

/// About how many bytes of JSON a value takes. `None` when it is more than `max`, or nests too
/// deep: then nobody has walked further than that.
pub fn measure(value: &Value, max: usize) -> Option<usize> {
    let mut bytes = 0usize;
    let mut rest = vec![(value, 1usize)];
    while let Some((value, depth)) = rest.pop() {
        bytes += match value {
            Value::String(text) => text.len() + 2,
            Value::Object(entries) => entries.keys().map(|key| key.len() + 4).sum::<usize>() + 2,
            Value::Array(items) => items.len() + 2,
            _ => 4,
        };
        if bytes > max || depth > Json::DEPTH_MAX {
            return None;
        }
        match value {
            Value::Array(items) => rest.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(entries) => rest.extend(entries.values().map(|entry| (entry, depth + 1))),
            _ => {}
        }
    }
    Some(bytes)
}

pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Looks inside by path: `thread.tags.0`, or a JSON pointer (`/thread/tags/0`) for keys with dots.
/// The empty path is the value itself.
pub fn look_up<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() || path.starts_with('/') {
        return value.pointer(path);
    }
    path.split('.').try_fold(value, |inside, segment| match inside {
        Value::Object(entries) => entries.get(segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

/// What a text, or a number, or … reads like inside a text.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => canonical(other),
    }
}

/// JSON with sorted keys and no spaces, so that equal values are equal texts.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    let separated = |text: &mut String, index: usize| {
        if index > 0 {
            text.push(',');
        }
    };
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separated(text, index);
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(_) => {
            text.push('{');
            for (index, (key, entry)) in sorted_entries(value).into_iter().enumerate() {
                separated(text, index);
                write_canonical(&Value::from(key.as_str()), text);
                text.push(':');
                write_canonical(entry, text);
            }
            text.push('}');
        }
        scalar => write!(text, "{scalar}").expect("a text takes what is written"),
    }
}

fn sorted_entries(value: &Value) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = value.as_object().into_iter().flatten().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// A total order over all values: null, false, true, numbers, texts, lists, objects.
/// Numbers are equal when they mean the same, however they were written.
#[derive(Clone, Copy)]
pub struct Ordered<'a>(pub &'a Value);

impl Ord for Ordered<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Number(a), Value::Number(b)) => order_of_numbers(a, b),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.iter().map(Ordered).cmp(b.iter().map(Ordered)),
            (a @ Value::Object(_), b @ Value::Object(_)) => {
                let entries = |value| sorted_entries(value).into_iter().map(|(key, entry)| (key, Ordered(entry)));
                entries(a).cmp(entries(b))
            }
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

impl PartialOrd for Ordered<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered<'_> {}

pub fn same(a: &Value, b: &Value) -> bool {
    Ordered(a) == Ordered(b)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// As doubles, and where those cannot tell two large integers apart, exactly. Mapping every number
/// to one pair keeps the order total, which sorting relies on.
fn order_of_numbers(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    let key = |number: &serde_json::Number| {
        let float = number.as_f64().unwrap_or(f64::MAX) + 0.0;
        let exact = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
        (float, exact.unwrap_or(float as i128))
    };
    let ((a, a_exact), (b, b_exact)) = (key(a), key(b));
    a.total_cmp(&b).then(a_exact.cmp(&b_exact))
}

/// A text that refuses to grow past the most that may come out.
#[derive(Default)]
pub struct Growing(String);

impl Growing {
    pub fn push(&mut self, part: &str) -> Result<(), Failure> {
        if self.0.len() + part.len() > BYTES_MAX {
            return Err(too_large());
        }
        self.0.push_str(part);
        Ok(())
    }

    pub fn finish(self) -> String {
        self.0
    }
}

pub fn too_large() -> Failure {
    Failure::fatal("output_too_large", "the output would be larger than 1 MiB, or nest deeper than 64 levels")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_and_pointers_look_inside() {
        let value = json!({"thread": {"tags": ["a", {"b": 1}], "x.y": 2}});
        assert_eq!(look_up(&value, "thread.tags.1.b"), Some(&json!(1)));
        assert_eq!(look_up(&value, "/thread/x.y"), Some(&json!(2)));
        assert_eq!(look_up(&value, "thread.tags.9"), None);
        assert_eq!(look_up(&value, ""), Some(&value));
    }

    #[test]
    fn numbers_are_ordered_by_what_they_mean() {
        assert!(same(&json!(1), &json!(1.0)));
        assert!(same(&json!(-0.0), &json!(0)));
        assert!(Ordered(&json!(9_007_199_254_740_993_i64)) > Ordered(&json!(9_007_199_254_740_992_i64)));
        assert!(Ordered(&json!(null)) < Ordered(&json!(false)));
    }

    #[test]
    fn what_nests_too_deep_has_no_measure() {
        let deep = (0..64).fold(json!(1), |inside, _| json!([inside]));
        assert_eq!(measure(&deep, BYTES_MAX), None);
        assert_eq!(measure(&json!("aaaa"), 5), None);
    }
}
