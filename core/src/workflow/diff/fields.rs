//! Two values, field by field.

use serde::Serialize;
use serde_json::Value;

/// One field that differs. It is absent where a side has none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Like `input.labels[0]`.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

pub fn changes(from: &Value, to: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(from), Some(to), &mut changes);
    changes
}

/// What both sides have is looked into; what one side has is told as a whole. So are lists of
/// another length: which entry was put in where is not for us to guess.
fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, changes: &mut Vec<Change>) {
    match (from, to) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (name, value) in old {
                compare(&below(path, name), Some(value), new.get(name), changes);
            }
            for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                compare(&below(path, name), None, Some(value), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{at}]"), Some(old), Some(new), changes);
            }
        }
        (from, to) if from == to => {}
        (from, to) => changes.push(Change { path: path.to_owned(), from: from.cloned(), to: to.cloned() }),
    }
}

fn below(path: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path, is_plain) {
        ("", true) => name.to_owned(),
        (path, true) => format!("{path}.{name}"),
        (path, false) => format!("{path}[{}]", Value::from(name)),
    }
}
