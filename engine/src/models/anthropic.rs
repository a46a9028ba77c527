//! The provider `anthropic`: the Messages API. An agent with an `output_schema` is made to call the
//! tool `answer`, whose input is the answer. Shapes: <https://docs.anthropic.com/en/api/messages>.

use fleetprompt_core::Failure;
use reqwest::Client;
use serde_json::{Value, json};

use super::http::{Dialect, Reply, post};
use super::{Completion, Endpoint, Prompt, answer};

pub const BASE_URL: &str = "https://api.anthropic.com";
/// For agents and configurations that name none.
pub const MODEL: &str = "claude-haiku-4-5";

const DIALECT: Dialect =
    Dialect { path: "/v1/messages", key_header: ("x-api-key", ""), headers: &[("anthropic-version", "2023-06-01")] };
/// The API requires a limit; agents do not.
const OUTPUT_TOKENS_MAX: u32 = 4_096;
const TOOL: &str = "answer";

pub async fn complete(client: &Client, endpoint: &Endpoint<'_>, prompt: &Prompt<'_>) -> Result<Completion, Failure> {
    let body = request(endpoint, prompt);
    let reply = post(client, endpoint, &DIALECT, &body, prompt).await?;
    completion(endpoint, prompt, reply)
}

fn request(endpoint: &Endpoint<'_>, prompt: &Prompt<'_>) -> Value {
    let agent = prompt.agent;
    let mut body = json!({
        "model": endpoint.model,
        "max_tokens": agent.max_output_tokens.unwrap_or(OUTPUT_TOKENS_MAX),
        "messages": [{"role": "user", "content": prompt.input.text()}],
    });
    // The API refuses an empty system prompt.
    if !agent.instructions.trim().is_empty() {
        body["system"] = agent.instructions.as_str().into();
    }
    if let Some(temperature) = agent.temperature {
        body["temperature"] = temperature.into();
    }
    if let Some(schema) = &agent.output_schema {
        let schema = answer::object_schema(schema.document());
        body["tools"] = json!([{"name": TOOL, "description": "Gives the final answer.", "input_schema": schema}]);
        body["tool_choice"] = json!({"type": "tool", "name": TOOL, "disable_parallel_tool_use": true});
    }
    body
}

fn completion(endpoint: &Endpoint<'_>, prompt: &Prompt<'_>, reply: Reply) -> Result<Completion, Failure> {
    let Reply { body, .. } = &reply;
    match body["stop_reason"].as_str() {
        Some("max_tokens" | "model_context_window_exceeded") => return Err(answer::cut_short()),
        Some("refusal") => return Err(answer::declined(endpoint.provider, "its safety filter spoke up")),
        _ => {}
    }
    let blocks = body["content"].as_array().ok_or_else(|| answer::invalid("the response holds no answer"))?;
    let output = match &prompt.agent.output_schema {
        Some(schema) => {
            let call = blocks.iter().find(|block| block["type"] == "tool_use" && block["name"] == TOOL);
            let call = call.ok_or_else(|| answer::invalid("the model did not call the tool `answer`"))?;
            answer::from_object(schema.document(), call["input"].clone())
        }
        None => answer::from_text(prompt.agent, &text(blocks))?,
    };
    let tokens = |name: &str| body["usage"][name].as_u64();
    // Tokens of the prompt that came from or went to the cache are counted apart.
    let input_tokens = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
        .iter()
        .filter_map(|name| tokens(name))
        .reduce(u64::saturating_add);
    Ok(Completion { output, ..Completion::of_reply(endpoint, &reply, input_tokens, tokens("output_tokens")) })
}

fn text(blocks: &[Value]) -> String {
    blocks.iter().filter(|block| block["type"] == "text").filter_map(|block| block["text"].as_str()).collect()
}
