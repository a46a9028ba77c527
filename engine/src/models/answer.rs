//! What makes an answer acceptable: it is JSON, it fits the agent's `output_schema`, and it is whole.
//!
//! Providers want a schema of an object at the top. Any other is put into one, under `value`, and
//! the answer is taken out again, so that agents may ask for a list or a number.

use fleetprompt_core::Failure;
use fleetprompt_core::agent::Agent;
use serde_json::{Map, Value, json};

use crate::functions::value::{BYTES_MAX, measure};

/// The last word on every answer, whoever gave it.
pub fn check(agent: &Agent, output: &Value) -> Result<(), Failure> {
    if measure(output, BYTES_MAX).is_none() {
        return Err(invalid("the answer is larger than 1 MiB, or nests deeper than 64 levels"));
    }
    match &agent.output_schema {
        Some(schema) => schema
            .validate(output)
            .map_err(|problem| invalid(format!("the answer does not fit `output_schema`: {problem}"))),
        None => Ok(()),
    }
}

/// The schema to show to a provider: the agent's own, or around it.
pub fn object_schema(schema: &Value) -> Value {
    if is_of_object(schema) {
        return schema.clone();
    }
    let mut inner = schema.clone();
    let mut outer = json!({"type": "object", "required": ["value"], "additionalProperties": false});
    // References lead from the top (`#/$defs/…`), so what they lead to has to move up.
    for shared in ["$defs", "definitions"] {
        if let Some(definitions) = inner.as_object_mut().and_then(|inner| inner.remove(shared)) {
            outer[shared] = definitions;
        }
    }
    outer["properties"] = json!({"value": inner});
    outer
}

/// Takes the answer out again, when it was asked for inside an object.
pub fn from_object(schema: &Value, mut answer: Value) -> Value {
    let taken_out = (!is_of_object(schema)).then(|| answer.as_object_mut()?.remove("value")).flatten();
    taken_out.unwrap_or(answer)
}

fn is_of_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

/// Reads a text as the agent's answer: JSON when it has a schema, else the text itself.
pub fn from_text(agent: &Agent, text: &str) -> Result<Value, Failure> {
    let Some(schema) = &agent.output_schema else {
        return Ok(Value::Object(Map::from_iter([("text".to_owned(), text.into())])));
    };
    let answer = serde_json::from_str(without_fence(text))
        .map_err(|error| invalid(format!("the answer is not JSON: {error}")))?;
    Ok(from_object(schema.document(), answer))
}

/// Models like to put JSON between ```` ```json ```` and ```` ``` ````.
fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inside.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside).trim())
}

/// A model may do better the next time.
pub fn invalid(message: impl Into<String>) -> Failure {
    Failure::retry("output_invalid", message)
}

/// The same limit would cut the next answer as well.
pub fn cut_short() -> Failure {
    Failure::fatal(
        "output_cut_short",
        "the answer was cut at the agent's `max_output_tokens`: allow more, or ask for less",
    )
}

pub fn declined(provider: &str, reason: &str) -> Failure {
    Failure::fatal("model_declined", format!("{provider} declined to answer: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_around_json_is_passed_over() {
        for text in ["{}", " {}\n", "```json\n{}\n```", "```\n{}\n```"] {
            assert_eq!(without_fence(text), "{}");
        }
        assert_eq!(without_fence("Here: {}"), "Here: {}");
    }

    #[test]
    fn what_is_not_an_object_is_asked_for_inside_one() {
        let schema = json!({"type": "array", "items": {"$ref": "#/$defs/tag"}, "$defs": {"tag": {"type": "string"}}});
        let shown = object_schema(&schema);
        assert_eq!(shown["properties"]["value"], json!({"type": "array", "items": {"$ref": "#/$defs/tag"}}));
        assert_eq!(shown["$defs"], json!({"tag": {"type": "string"}}));
        assert_eq!(from_object(&schema, json!({"value": ["a"]})), json!(["a"]));
        assert_eq!(from_object(&schema, json!(["a"])), json!(["a"]));
        assert_eq!(from_object(&json!({"type": "object"}), json!({"value": 1})), json!({"value": 1}));
    }
}
