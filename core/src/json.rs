//! A JSON value that is kept as it was written and read when somebody looks inside.
//!
//! Facts must not change by being stored: a number with more digits than a double holds stays as
//! the caller wrote it. Cloning is a reference count.

mod canonical;
mod strict;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

pub use strict::StrictJson;

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
    #[error("an object has the key `{0}` twice: readers disagree about which of them counts")]
    RepeatedKey(String),
}

impl Json {
    /// Deeper than any document people write, and shallow enough for every reader's stack.
    pub const DEPTH_MAX: usize = 64;

    /// Reads and checks text of unknown origin.
    pub fn parse(text: &str) -> Result<Self, InvalidJson> {
        let text = RawValue::from_string(text.trim().to_owned());
        Self::with_value(text.map_err(|error| InvalidJson::Syntax(error.to_string()))?)
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

    /// Returns a copy that takes its text in memory and no more: the value is parsed again when it is needed.
    pub fn unparsed(&self) -> Self {
        Self(Arc::new(Inner { text: self.0.text.clone(), value: OnceLock::new() }))
    }

    pub fn text(&self) -> &str {
        self.0.text.get()
    }

    pub fn value(&self) -> &Value {
        self.0.value.get_or_init(|| serde_json::from_str(self.text()).expect("checked when it was read"))
    }

    fn with_value(text: Box<RawValue>) -> Result<Self, InvalidJson> {
        if depth(text.get()) > Self::DEPTH_MAX {
            return Err(InvalidJson::TooDeep { max: Self::DEPTH_MAX });
        }
        let value: Value = serde_json::from_str(text.get()).map_err(|error| InvalidJson::Syntax(error.to_string()))?;
        Ok(Self(Arc::new(Inner { text, value: OnceLock::from(value) })))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        let text = serde_json::value::to_raw_value(&value).expect("a value can be written");
        Self(Arc::new(Inner { text, value: OnceLock::from(value) }))
    }
}

/// Two texts of the same value are equal. No digit of a number is ignored.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        let same_text = || self.text() == other.text();
        let same_value = || canonical::canonical(self.text()) == canonical::canonical(other.text());
        Arc::ptr_eq(&self.0, &other.0) || same_text() || same_value()
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
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::with_value(text).map_err(serde::de::Error::custom)
    }
}

/// For fields `Option<Json>` of a record, with `default`: a null that was recorded is a value, and
/// not the same as nothing.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Checks what callers sent before it is read: that it does not nest deeper than `depth_max`, and that no object has a key
/// twice. What is no JSON at all is for the reader to refuse.
pub fn check(text: &str, depth_max: usize) -> Result<(), InvalidJson> {
    let (mut keys, mut open) = (Vec::<Cow<'_, str>>::new(), Vec::new());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = canonical::string_end(text, at);
                if bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':') {
                    let raw = &text[at..end];
                    keys.push(canonical::unescaped(raw).unwrap_or(Cow::Borrowed(raw)));
                }
                at = end;
                continue;
            }
            b'[' | b'{' if open.len() == depth_max => return Err(InvalidJson::TooDeep { max: depth_max }),
            b'[' | b'{' => open.push(keys.len()),
            b']' | b'}' => {
                let first = open.pop().unwrap_or_default();
                check_keys(&mut keys[first..])?;
                keys.truncate(first);
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

fn check_keys(keys: &mut [Cow<'_, str>]) -> Result<(), InvalidJson> {
    keys.sort_unstable();
    match keys.array_windows::<2>().find(|[one, next]| one == next) {
        Some([key, _]) => Err(InvalidJson::RepeatedKey(crate::diagnostic::shown(key))),
        None => Ok(()),
    }
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
    fn a_key_that_occurs_twice_in_one_object_is_found() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"[{"x": {"b": 1, "a": {"b": 2}, "b" : 3}}]"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"": 1, "": 2}"#,
        ] {
            assert!(matches!(check(text, 64), Err(InvalidJson::RepeatedKey(_))), "{text}");
        }
        for text in [
            r#"{"a": {"a": [{"a": 1}, {"a": 2}]}, "b": "a"}"#,
            r#"["a", "a", ":", "\":", "{\"a\":1,\"a\":2}"]"#,
            r#"{"a": "a", "b": "a"}"#,
            "\"unfinished",
            "\"\\",
            "]}",
        ] {
            assert_eq!(check(text, 64), Ok(()), "{text}");
        }
        assert_eq!(check("[[[]]]", 2), Err(InvalidJson::TooDeep { max: 2 }));
    }

    #[test]
    fn values_are_compared_to_the_last_digit_and_not_by_their_form() {
        let json = |text| Json::parse(text).expect("JSON");
        assert_eq!(json(r#"{"a": 1.0, "b": []}"#), json(r#"{"b":[],"a":1}"#));
        assert_ne!(json("12345678901234567890"), json("12345678901234567891"));
        assert_ne!(json("0.1"), json("0.1000000000000000000001"));
    }

    #[test]
    fn what_nests_too_deep_is_refused_before_it_is_read() {
        let text = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(Json::parse(&text), Err(InvalidJson::TooDeep { max: 64 }));
    }
}
