//! JSON Schema (draft 2020-12 unless `$schema` says otherwise): what payloads, inputs and outputs
//! must look like. A schema stands alone: it cannot fetch anything, and its patterns run in
//! linear time.

mod work;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::json;

#[derive(Debug)]
pub struct Schema {
    document: Value,
    validator: Validator,
}

impl Schema {
    pub const BYTES_MAX: usize = 64 * 1024;
    /// Of a validation, only so many are worth reading.
    const ERRORS_MAX: usize = 3;
    const PATTERN_BYTES_MAX: usize = 256 * 1024;

    pub fn compile(document: &Value) -> Result<Self, String> {
        check_document(document)?;
        let patterns =
            PatternOptions::regex().size_limit(Self::PATTERN_BYTES_MAX).dfa_size_limit(2 * Self::PATTERN_BYTES_MAX);
        let validator =
            jsonschema::options().offline().with_pattern_options(patterns).build(document).map_err(|error| {
                // Where it breaks the rules for schemas, or else the keyword that cannot be used.
                let (place, keyword) = (error.instance_path().as_str(), error.schema_path().as_str());
                located("schema", if place.is_empty() { keyword } else { place }, &error.to_string())
            })?;
        work::check(document)?;
        Ok(Self { document: document.clone(), validator })
    }

    /// The first few things that are wrong, each with where it is as a JSON pointer.
    pub fn validate(&self, value: &Value) -> Result<(), String> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let errors = self.validator.iter_errors(value).take(Self::ERRORS_MAX + 1);
        let mut messages: Vec<String> =
            errors.map(|error| located("", error.instance_path().as_str(), &error.masked().to_string())).collect();
        if messages.len() > Self::ERRORS_MAX {
            messages.truncate(Self::ERRORS_MAX);
            messages.push("and more".to_owned());
        }
        Err(messages.join("; "))
    }

    pub fn document(&self) -> &Value {
        &self.document
    }
}

fn check_document(document: &Value) -> Result<(), String> {
    if !matches!(document, Value::Object(_) | Value::Bool(_)) {
        return Err("a schema is an object, or true or false".to_owned());
    }
    let text = document.to_string();
    if text.len() > Schema::BYTES_MAX {
        return Err(format!("the schema has {} bytes; at most {} are allowed", text.len(), Schema::BYTES_MAX));
    }
    let depth = json::depth(&text);
    if depth > json::Json::DEPTH_MAX {
        return Err(format!("the schema nests {depth} levels deep; at most {} are allowed", json::Json::DEPTH_MAX));
    }
    match remote_reference(document, &mut String::new()) {
        Some((at, target)) => Err(format!("{at}: `{target}` is not in this document: a schema cannot fetch others")),
        None => Ok(()),
    }
}

/// The first reference that leaves the document, and where it is.
fn remote_reference(schema: &Value, at: &mut String) -> Option<(String, String)> {
    let length = at.len();
    let mut below = |token: &str, value: &Value| {
        at.push('/');
        at.push_str(&token.replace('~', "~0").replace('/', "~1"));
        let found = match (token, value) {
            // It would give `#` another meaning below it.
            ("$id", Value::String(id)) if length > 0 => Some((at.clone(), id.chars().take(80).collect())),
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) if !target.starts_with('#') => {
                Some((at.clone(), target.chars().take(80).collect()))
            }
            _ => remote_reference(value, at),
        };
        at.truncate(length);
        found
    };
    match schema {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| below(name, value)),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| below(&index.to_string(), item)),
        _ => None,
    }
}

fn located(of: &str, pointer: &str, message: &str) -> String {
    const CHARS_MAX: usize = 300;
    let message: String = message.chars().take(CHARS_MAX).collect();
    let at = if pointer.is_empty() { "/" } else { pointer };
    if of.is_empty() { format!("{at}: {message}") } else { format!("{of} {at}: {message}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_say_where_and_what() {
        let schema = Schema::compile(&json!({
            "type": "object", "required": ["title"], "additionalProperties": false,
            "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}}
        }))
        .expect("a schema");
        assert_eq!(schema.validate(&json!({"title": "a", "tags": ["b"]})), Ok(()));
        let message = schema.validate(&json!({"title": 1, "tags": ["b", 2]})).expect_err("two errors");
        assert!(message.contains("/title: ") && message.contains("/tags/1: "), "{message}");
        let message = schema.validate(&json!({"tags": [1, 2, 3, 4]})).expect_err("many errors");
        assert!(message.ends_with("; and more") && message.matches("; ").count() == 3, "{message}");
    }

    #[test]
    fn messages_do_not_repeat_what_was_sent() {
        let schema = Schema::compile(&json!({"properties": {"key": {"type": "integer"}}})).expect("a schema");
        let message = schema.validate(&json!({"key": "secret-value"})).expect_err("not an integer");
        assert!(!message.contains("secret"), "{message}");
    }

    #[rstest::rstest]
    #[case::not_a_schema(json!([1]), "a schema is an object")]
    #[case::unknown_type(json!({"properties": {"a": {"type": "text"}}}), "schema /properties/a/type: ")]
    #[case::remote(json!({"properties": {"a": {"$ref": "https://example.com/s"}}}), "/properties/a/$ref: ")]
    #[case::file(json!({"$ref": "other.json"}), "/$ref: ")]
    #[case::dangling(json!({"$ref": "#/$defs/a"}), "schema ")]
    #[case::large(json!({"description": "x".repeat(70_000)}), "the schema has ")]
    #[case::lookahead(json!({"pattern": "(?=a)b"}), "schema /pattern: ")]
    #[case::huge_pattern(json!({"pattern": "(a{900}){900}"}), "schema /pattern: ")]
    fn what_cannot_be_a_schema_is_refused(#[case] document: Value, #[case] start: &str) {
        let message = Schema::compile(&document).expect_err("refused");
        assert!(message.starts_with(start), "{message}");
    }

    #[test]
    fn references_within_the_document_work() {
        let schema = Schema::compile(&json!({"$defs": {"a": {"type": "string"}}, "items": {"$ref": "#/$defs/a"}}));
        let schema = schema.expect("a schema");
        assert!(schema.validate(&json!(["x"])).is_ok());
        assert!(schema.validate(&json!([1])).is_err());
        assert!(Schema::compile(&json!({"properties": {"$ref": {"type": "string"}}})).is_ok());
    }

    #[rstest::rstest]
    #[case::in_place(|next: &Value| json!({"allOf": [next, next]}))]
    #[case::in_the_value(|next: &Value| json!({"anyOf": [{"items": next}, {"items": next}]}))]
    #[case::evaluated_again(|next: &Value| json!({"unevaluatedProperties": false, "allOf": [next]}))]
    #[case::chained(|next: &Value| next.clone())]
    fn what_multiplies_itself_is_refused(#[case] say: fn(&Value) -> Value) {
        let definitions = |n: usize| (format!("a{n}"), say(&json!({"$ref": format!("#/$defs/a{}", (n + 1) % 200)})));
        let all: serde_json::Map<_, _> = (0..200).map(definitions).collect();
        let message = Schema::compile(&json!({"$defs": all, "$ref": "#/$defs/a0"})).expect_err("refused");
        assert!(message.starts_with("its references multiply"), "{message}");
    }

    #[test]
    fn a_tree_of_records_may_refer_to_itself() {
        let node = json!({"type": "object", "required": ["children"], "properties": {
            "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}}});
        let schema = Schema::compile(&json!({"$defs": {"node": node}, "$ref": "#/$defs/node"})).expect("a schema");
        assert!(schema.validate(&json!({"children": [{"children": []}], "next": null})).is_ok());
    }

    #[test]
    fn patterns_take_linear_time() {
        let schema = Schema::compile(&json!({"pattern": "^(a+)+$"})).expect("a schema");
        let started = std::time::Instant::now();
        assert!(schema.validate(&json!("a".repeat(50_000) + "b")).is_err());
        assert!(started.elapsed().as_secs() < 2);
    }
}
