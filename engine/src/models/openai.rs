//! The provider `openai`: the Chat Completions API, which many other servers speak as well (vLLM,
//! Ollama, OpenRouter). Shapes: <https://platform.openai.com/docs/api-reference/chat>.

use fleetprompt_core::Failure;
use reqwest::Client;
use serde_json::{Value, json};

use super::http::{Dialect, Reply, post};
use super::{Completion, Endpoint, Prompt, answer};

pub const BASE_URL: &str = "https://api.openai.com/v1";
/// For agents and configurations that name none.
pub const MODEL: &str = "gpt-4.1-mini";

const DIALECT: Dialect = Dialect { path: "/chat/completions", key_header: ("authorization", "Bearer "), headers: &[] };
const SCHEMA_NAME_BYTES_MAX: usize = 64;

pub async fn complete(client: &Client, endpoint: &Endpoint<'_>, prompt: &Prompt<'_>) -> Result<Completion, Failure> {
    let body = request(endpoint, prompt);
    let reply = post(client, endpoint, &DIALECT, &body, prompt).await?;
    completion(endpoint, prompt, reply)
}

fn request(endpoint: &Endpoint<'_>, prompt: &Prompt<'_>) -> Value {
    let agent = prompt.agent;
    let mut body = json!({
        "model": endpoint.model,
        "messages": [
            {"role": "system", "content": agent.instructions},
            {"role": "user", "content": prompt.input.text()},
        ],
    });
    if let Some(max) = agent.max_output_tokens {
        // OpenAI's newer models refuse the old name; other servers may not know the new one.
        let name = if endpoint.base_url == BASE_URL { "max_completion_tokens" } else { "max_tokens" };
        body[name] = max.into();
    }
    if let Some(temperature) = agent.temperature {
        body["temperature"] = temperature.into();
    }
    if let Some(schema) = &agent.output_schema {
        let schema = answer::object_schema(schema.document());
        let slug = agent.slug.as_str();
        let name = &slug[..slug.len().min(SCHEMA_NAME_BYTES_MAX)];
        let strict = can_be_strict(&schema);
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": name, "strict": strict, "schema": schema}});
    }
    body
}

/// The API enforces a schema only if every object lists all of its fields as required and allows no
/// others, and only these keywords are used; it refuses to be strict about any other schema.
fn can_be_strict(schema: &Value) -> bool {
    const KEYWORDS: [&str; 9] =
        ["type", "title", "description", "enum", "const", "items", "properties", "required", "additionalProperties"];
    let Some(keywords) = schema.as_object() else { return false };
    let is_closed = || {
        let properties = keywords.get("properties").and_then(Value::as_object)?;
        let required = keywords.get("required").and_then(Value::as_array)?;
        let complete = properties.keys().all(|name| required.iter().any(|required| required == name));
        Some(
            complete
                && properties.values().all(can_be_strict)
                && keywords.get("additionalProperties") == Some(&false.into()),
        )
    };
    keywords.keys().all(|keyword| KEYWORDS.contains(&keyword.as_str()))
        && (schema["type"] != "object" || is_closed() == Some(true))
        && (schema["type"] != "array" || keywords.get("items").is_some_and(can_be_strict))
        && ["type", "enum", "const"].iter().any(|keyword| keywords.contains_key(*keyword))
}

fn completion(endpoint: &Endpoint<'_>, prompt: &Prompt<'_>, reply: Reply) -> Result<Completion, Failure> {
    let Reply { body, .. } = &reply;
    let choice = &body["choices"][0];
    let message = &choice["message"];
    if let Some(refusal) = message["refusal"].as_str() {
        return Err(answer::declined(endpoint.provider, refusal));
    }
    match choice["finish_reason"].as_str() {
        Some("length") => return Err(answer::cut_short()),
        Some("content_filter") => return Err(answer::declined(endpoint.provider, "its content filter spoke up")),
        _ => {}
    }
    let text = message["content"].as_str().ok_or_else(|| answer::invalid("the response holds no answer"))?;
    let output = answer::from_text(prompt.agent, text)?;
    let tokens = |name: &str| body["usage"][name].as_u64();
    Ok(Completion {
        output,
        ..Completion::of_reply(endpoint, &reply, tokens("prompt_tokens"), tokens("completion_tokens"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_closed_and_complete_schemas_can_be_strict() {
        let closed = |properties: Value, required: Value| {
            let open = json!({"type": "object", "properties": properties, "required": required});
            assert!(!can_be_strict(&open));
            let mut closed = open;
            closed["additionalProperties"] = json!(false);
            closed
        };
        assert!(can_be_strict(&closed(json!({"a": {"type": "string"}}), json!(["a"]))));
        assert!(can_be_strict(&closed(json!({"a": {"type": "array", "items": {"enum": ["x"]}}}), json!(["a"]))));
        assert!(!can_be_strict(&closed(json!({"a": {"type": "string"}}), json!([]))));
        assert!(!can_be_strict(&closed(json!({"a": {"type": "string", "maxLength": 3}}), json!(["a"]))));
        assert!(!can_be_strict(&closed(json!({"a": {"type": "object"}}), json!(["a"]))));
        assert!(!can_be_strict(&json!({"type": "object"})));
        assert!(!can_be_strict(&json!(true)));
    }
}
