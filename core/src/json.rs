//! A JSON value that is kept as it was written and read when somebody looks inside.
//!
//! Facts must not change by being stored: a number with more digits than a double holds stays as
//! the caller wrote it. Cloning is a reference count.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Clone)]
pub struct Json(Arc<Inner>);

struct Inner {
    text: Box<RawValue>,
    value: OnceLock<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    #[error("{0}")]
    Syntax(String),
    #[error("nested deeper than {max} levels")]
    TooDeep { max: usize },
}

impl Json {
    /// Deeper than any document people write, and shallow enough for every reader's stack.
    pub const DEPTH_MAX: usize = 64;

    /// Reads and checks a stranger's text.
    pub fn parse(text: &str) -> Result<Self, InvalidJson> {
        if depth(text) > Self::DEPTH_MAX {
            return Err(InvalidJson::TooDeep { max: Self::DEPTH_MAX });
        }
        let value: Value = serde_json::from_str(text).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        let text =
            RawValue::from_string(text.trim().to_owned()).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        Ok(Self(Arc::new(Inner { text, value: OnceLock::from(value) })))
    }

    /// Takes text that this process, or the store, wrote.
    pub fn from_stored(text: String) -> Result<Self, InvalidJson> {
        let text = RawValue::from_string(text).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        Ok(Self(Arc::new(Inner { text, value: OnceLock::new() })))
    }

    /// Writes one of our own records down.
    pub fn of(record: &impl Serialize) -> Self {
        let text = serde_json::value::to_raw_value(record).expect("our records have string keys and finite numbers");
        Self(Arc::new(Inner { text, value: OnceLock::new() }))
    }

    /// Takes the text of a list of values of this kind.
    pub(crate) fn gathered(text: String) -> Self {
        Self::from_stored(text).expect("a list of JSON values is JSON")
    }

    pub fn null() -> Self {
        Value::Null.into()
    }

    pub fn text(&self) -> &str {
        self.0.text.get()
    }

    pub fn value(&self) -> &Value {
        self.0.value.get_or_init(|| serde_json::from_str(self.text()).expect("checked when it was read"))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        let text = serde_json::value::to_raw_value(&value).expect("a value can be written");
        Self(Arc::new(Inner { text, value: OnceLock::from(value) }))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.text() == other.text() || self.value() == other.value()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(serde::de::Error::custom)
    }
}

/// For fields `Option<Json>` of a record, with `default`: a null that was recorded is a value, and
/// not the same as nothing.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// How deep the brackets of a text nest, without reading it: a recursive reader may trust it then.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_were_written() {
        let json = Json::parse(r#" {"n": 12345678901234567890123, "x": 1.10} "#).expect("JSON");
        assert_eq!(json.text(), r#"{"n": 12345678901234567890123, "x": 1.10}"#);
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert_eq!(depth(r#"{"a": ["]]]", "\"[["]}"#), 2);
        assert_eq!(depth(&"[".repeat(10_000)), 10_000);
    }

    #[test]
    fn what_nests_too_deep_is_refused_before_it_is_read() {
        let text = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(Json::parse(&text), Err(InvalidJson::TooDeep { max: 64 }));
    }
}
