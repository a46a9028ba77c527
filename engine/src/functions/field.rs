//! What a function takes: its declared fields, the check of an input against them, and reading
//! them afterwards.
//!
//! Declaration and check are one, so a function's documentation cannot drift from what it accepts,
//! and its body never meets a value of the wrong type.

use fleetprompt_core::{Failure, Timestamp};
use serde_json::{Map, Value};

use super::value::kind_of;

/// One field of a function's input.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub what: &'static str,
}

/// What a field may hold. `null` in an optional field counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Texts,
    Integer,
    Number,
    Bool,
    List,
    Numbers,
    Objects,
    Object,
    /// RFC 3339, like `2026-11-22T09:30:00Z`.
    Time,
    OneOf(&'static [&'static str]),
    Any,
}

pub const fn need(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, required: true, what }
}

pub const fn may(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, required: false, what }
}

/// Stands for the whole input, whatever it is; a function that declares it declares nothing else.
pub const ANYTHING: &[Field] = &[need("*", Kind::Any, "any JSON at all")];

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Texts => "a list of texts",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::List => "a list",
            Self::Numbers => "a list of numbers",
            Self::Objects => "a list of objects",
            Self::Object => "an object",
            Self::Time => "a time like `2026-11-22T09:30:00Z`",
            Self::OneOf(choices) => return write!(f, "one of {}", quoted(choices.iter().copied())),
            Self::Any => "any JSON",
        })
    }
}

impl Kind {
    fn admits(self, value: &Value) -> bool {
        let all = |holds: fn(&Value) -> bool| value.as_array().is_some_and(|items| items.iter().all(holds));
        match self {
            Self::Text => value.is_string(),
            Self::Texts => all(Value::is_string),
            Self::Integer => integer(value).is_some(),
            Self::Number => number(value).is_some(),
            Self::Bool => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Numbers => all(|item| number(item).is_some()),
            Self::Objects => all(Value::is_object),
            Self::Object => value.is_object(),
            Self::Time => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
            Self::OneOf(choices) => value.as_str().is_some_and(|text| choices.contains(&text)),
            Self::Any => true,
        }
    }
}

/// An input that was checked against its function's fields.
pub struct Input<'a>(&'a Value);

impl<'a> Input<'a> {
    pub fn check(fields: &[Field], value: &'a Value) -> Result<Self, Failure> {
        if fields.first().is_some_and(|field| field.name == "*") {
            return Ok(Self(value));
        }
        let known = quoted(fields.iter().map(|field| field.name));
        let Some(object) = value.as_object() else {
            return Err(invalid(format!("expected an object with {known}, got {}", kind_of(value))));
        };
        if let Some(unknown) = object.keys().find(|key| fields.iter().all(|field| field.name != *key)) {
            let unknown: String = unknown.chars().take(80).collect();
            return Err(invalid(format!("unknown field `{unknown}`; known are {known}")));
        }
        fields.iter().try_for_each(|field| field.check(object))?;
        Ok(Self(value))
    }

    pub fn whole(&self) -> &'a Value {
        self.0
    }

    /// The field as it is; an absent one is `None`, and so is `null`.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A required field that may be anything, `null` included.
    pub fn any(&self, name: &str) -> &'a Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    pub fn text(&self, name: &str) -> &'a str {
        self.text_or(name, "")
    }

    pub fn text_or(&self, name: &str, otherwise: &'a str) -> &'a str {
        self.get(name).and_then(Value::as_str).unwrap_or(otherwise)
    }

    pub fn texts(&self, name: &str) -> Vec<&'a str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    pub fn list(&self, name: &str) -> &'a [Value] {
        self.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub fn object(&self, name: &str) -> Option<&'a Map<String, Value>> {
        self.get(name).and_then(Value::as_object)
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(integer)
    }

    /// A count: what is below `least` is refused.
    pub fn count_or(&self, name: &str, otherwise: usize, least: usize) -> Result<usize, Failure> {
        match self.integer(name) {
            None => Ok(otherwise),
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|count| *count >= least)
                .ok_or_else(|| invalid(format!("`{name}` must be at least {least}, not {count}"))),
        }
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(number)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub fn time(&self, name: &str) -> Timestamp {
        self.text(name).parse().unwrap_or_default()
    }
}

impl Field {
    fn check(&self, object: &Map<String, Value>) -> Result<(), Failure> {
        let Self { name, kind, required, .. } = self;
        match object.get(*name) {
            None if *required => Err(invalid(format!("`{name}` is missing: expected {kind}"))),
            Some(Value::Null) if !required => Ok(()),
            Some(value) if !kind.admits(value) => {
                Err(invalid(format!("`{name}` must be {kind}, not {}", kind_of(value))))
            }
            _ => Ok(()),
        }
    }
}

pub fn invalid(message: impl Into<String>) -> Failure {
    Failure::fatal("input_invalid", message)
}

/// Whole numbers, however they were written: `3` and `3.0`.
pub fn integer(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT).map(|float| float as i64)
    })
}

pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|float| float.is_finite())
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] =
        &[need("text", Kind::Text, "what to change"), may("max", Kind::Integer, "how much is kept")];

    #[test]
    fn a_refusal_names_the_field_and_what_was_expected() {
        let refusal = |input: Value| Input::check(FIELDS, &input).map(|_| ()).expect_err("refused").message;
        assert_eq!(refusal(json!(1)), "expected an object with `text`, `max`, got a number");
        assert_eq!(refusal(json!({})), "`text` is missing: expected text");
        assert_eq!(refusal(json!({"text": null})), "`text` must be text, not null");
        assert_eq!(refusal(json!({"text": "", "max": 1.5})), "`max` must be a whole number, not a number");
        assert_eq!(refusal(json!({"text": "", "txt": 1})), "unknown field `txt`; known are `text`, `max`");
    }

    #[test]
    fn null_in_an_optional_field_counts_as_absent() {
        let input = json!({"text": "a", "max": null});
        assert!(Input::check(FIELDS, &input).is_ok_and(|input| input.integer("max").is_none()));
    }
}
