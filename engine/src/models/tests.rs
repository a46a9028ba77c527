//! Both APIs as they answer in public, served by a local server.

use fleetprompt_core::document::Format;
use rstest::rstest;
use serde_json::json;
use wiremock::matchers::{any, body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const KEY: &str = "sk-test-123";

fn agent(fields: Value) -> Agent {
    let mut agent = json!({
        "slug": "summary_agent", "instructions": "Summarize.", "model": {"provider": "scripted"},
        "script": [{"output": {}}],
    });
    let fields = fields.as_object().expect("an object").clone();
    if fields.get("model").is_some_and(|model| model["provider"] != "scripted" && model["provider"] != "auto") {
        agent.as_object_mut().expect("an object").remove("script");
    }
    agent.as_object_mut().expect("an object").extend(fields);
    let document = json!({"agent": agent}).to_string();
    let read = fleetprompt_core::agent::read(&document, Format::Json);
    read.map(|(agent, _)| agent).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["summary"],
        "properties": {"summary": {"type": "string"}},
    })
}

fn openai_agent() -> Agent {
    agent(json!({
        "model": {"provider": "openai", "name": "gpt-4.1", "temperature": 0.2}, "limits": {"max_output_tokens": 300},
        "output_schema": schema(),
    }))
}

fn anthropic_agent() -> Agent {
    agent(json!({"model": {"provider": "anthropic", "name": "claude-sonnet-4-5"}, "output_schema": schema()}))
}

/// Both providers at one local address.
fn models(uri: &str) -> Models {
    Models::new(ModelsConfig {
        openai_api_key: Some(KEY.into()),
        openai_base_url: Some(format!("{uri}/v1/")),
        anthropic_api_key: Some(KEY.into()),
        anthropic_base_url: Some(uri.to_owned()),
        ..ModelsConfig::default()
    })
}

async fn ask(models: &Models, agent: &Agent) -> Result<Completion, Failure> {
    let input = Json::from(json!({"body": "It is broken. Please help me soon."}));
    let timeout = Duration::from_millis(2_000);
    models.complete(Prompt { agent, input: &input, idempotency_key: "run_1:summarize", timeout }).await
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    server
}

fn chat_completion(message: Value, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1741569952,
        "model": "gpt-4.1-2025-04-14", "system_fingerprint": "fp_44709d6fcb", "service_tier": "default",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        },
    })
}

fn message(content: Value, stop_reason: &str) -> Value {
    json!({
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-5-20250929", "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {
            "input_tokens": 400, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 12, "output_tokens": 33,
        },
    })
}

#[tokio::test]
async fn openai_is_asked_for_the_schema_and_its_answer_is_read() {
    let server = MockServer::start().await;
    let content =
        json!({"role": "assistant", "content": "{\"summary\": \"Broken.\"}", "refusal": null, "annotations": []});
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {KEY}")))
        .and(header("idempotency-key", "run_1:summarize"))
        .and(body_partial_json(json!({
            "model": "gpt-4.1", "temperature": 0.2, "max_tokens": 300,
            "messages": [
                {"role": "system", "content": "Summarize."},
                {"role": "user", "content": "{\"body\":\"It is broken. Please help me soon.\"}"},
            ],
            "response_format": {
                "type": "json_schema", "json_schema": {"name": "summary_agent", "strict": true, "schema": schema()},
            },
        })))
        .respond_with(
            ResponseTemplate::new(200)
                .insert_header("x-request-id", "req_7")
                .set_body_json(chat_completion(content, "stop")),
        )
        .expect(1)
        .mount(&server)
        .await;

    let completion = ask(&models(&server.uri()), &openai_agent()).await.expect("an answer");
    assert_eq!(completion.output, json!({"summary": "Broken."}));
    assert_eq!((completion.provider, completion.model.as_str()), ("openai", "gpt-4.1-2025-04-14"));
    assert_eq!((completion.input_tokens, completion.output_tokens), (Some(19), Some(10)));
    assert!(completion.logs[0].ends_with("19 tokens in, 10 out, request req_7"), "{}", completion.logs[0]);
}

#[tokio::test]
async fn anthropic_is_made_to_answer_by_a_tool() {
    let server = MockServer::start().await;
    let content = json!([
        {"type": "text", "text": "Here is the summary."},
        {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "answer", "input": {"summary": "Broken."}},
    ]);
    Mock::given(method("POST"))
        .and(path("/v1/messages"))
        .and(header("x-api-key", KEY))
        .and(header("anthropic-version", "2023-06-01"))
        .and(body_partial_json(json!({
            "model": "claude-sonnet-4-5", "max_tokens": 4096, "system": "Summarize.",
            "messages": [{"role": "user", "content": "{\"body\":\"It is broken. Please help me soon.\"}"}],
            "tools": [{"name": "answer", "input_schema": schema()}],
            "tool_choice": {"type": "tool", "name": "answer"},
        })))
        .respond_with(ResponseTemplate::new(200).set_body_json(message(content, "tool_use")))
        .expect(1)
        .mount(&server)
        .await;

    let completion = ask(&models(&server.uri()), &anthropic_agent()).await.expect("an answer");
    assert_eq!(completion.output, json!({"summary": "Broken."}));
    assert_eq!((completion.provider, completion.model.as_str()), ("anthropic", "claude-sonnet-4-5-20250929"));
    assert_eq!((completion.input_tokens, completion.output_tokens), (Some(412), Some(33)));
}

#[tokio::test]
async fn without_a_schema_the_answer_is_a_text() {
    let content = json!({"role": "assistant", "content": "Broken."});
    let server = answering(ResponseTemplate::new(200).set_body_json(chat_completion(content, "stop"))).await;
    let openai = agent(json!({"model": {"provider": "openai", "name": "gpt-4.1"}}));
    let completion = ask(&models(&server.uri()), &openai).await;
    assert_eq!(completion.map(|completion| completion.output), Ok(json!({"text": "Broken."})));

    let content = json!([{"type": "text", "text": "Bro"}, {"type": "text", "text": "ken."}]);
    let server = answering(ResponseTemplate::new(200).set_body_json(message(content, "end_turn"))).await;
    let anthropic = agent(json!({"model": {"provider": "anthropic", "name": "claude-sonnet-4-5"}}));
    let completion = ask(&models(&server.uri()), &anthropic).await;
    assert_eq!(completion.map(|completion| completion.output), Ok(json!({"text": "Broken."})));
}

#[rstest]
#[case::not_json(json!({"content": "Sure! Broken."}), "stop", "output_invalid", true)]
#[case::not_of_the_schema(json!({"content": "{\"summary\": 1}"}), "stop", "output_invalid", true)]
#[case::nothing(json!({"content": null}), "stop", "output_invalid", true)]
#[case::declined(json!({"content": null, "refusal": "I can't help with that."}), "stop", "model_declined", false)]
#[case::filtered(json!({"content": ""}), "content_filter", "model_declined", false)]
#[case::cut(json!({"content": "{\"summ"}), "length", "output_cut_short", false)]
#[tokio::test]
async fn an_openai_answer_that_cannot_be_used_says_why(
    #[case] message: Value,
    #[case] finish_reason: &str,
    #[case] code: &str,
    #[case] retryable: bool,
) {
    let server = answering(ResponseTemplate::new(200).set_body_json(chat_completion(message, finish_reason))).await;
    let failure = ask(&models(&server.uri()), &openai_agent()).await.expect_err("no answer");
    assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure}");
}

#[rstest]
#[case::no_tool(json!([{"type": "text", "text": "Broken."}]), "end_turn", "output_invalid", true)]
#[case::no_fit(json!([{"type": "tool_use", "name": "answer", "input": {}}]), "tool_use", "output_invalid", true)]
#[case::declined(json!([]), "refusal", "model_declined", false)]
#[case::cut(json!([{"type": "tool_use", "name": "answer", "input": {}}]), "max_tokens", "output_cut_short", false)]
#[tokio::test]
async fn an_anthropic_answer_that_cannot_be_used_says_why(
    #[case] content: Value,
    #[case] stop_reason: &str,
    #[case] code: &str,
    #[case] retryable: bool,
) {
    let server = answering(ResponseTemplate::new(200).set_body_json(message(content, stop_reason))).await;
    let failure = ask(&models(&server.uri()), &anthropic_agent()).await.expect_err("no answer");
    assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure}");
}

#[tokio::test]
async fn a_limit_is_waited_for_as_long_as_the_provider_says() {
    let body = json!({"error": {
        "message": "Rate limit reached for gpt-4.1", "type": "tokens", "param": null, "code": "rate_limit_exceeded",
    }});
    let server = answering(ResponseTemplate::new(429).insert_header("retry-after", "7").set_body_json(body)).await;
    let failure = ask(&models(&server.uri()), &openai_agent()).await.expect_err("a refusal");
    assert_eq!((failure.code.as_str(), failure.retryable, failure.retry_after_ms), ("http_status", true, Some(7_000)));
    assert!(failure.message.contains("Rate limit reached"), "{failure}");

    let body =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"});
    let server = answering(ResponseTemplate::new(529).set_body_json(body)).await;
    let failure = ask(&models(&server.uri()), &anthropic_agent()).await.expect_err("a refusal");
    assert_eq!((failure.retryable, failure.retry_after_ms), (true, None));
    assert!(failure.message.ends_with(": Overloaded"), "{failure}");
}

#[rstest]
#[case::unknown_key(401)]
#[case::bad_request(400)]
#[case::redirect(302)]
#[tokio::test]
async fn a_final_refusal_is_fatal_and_never_shows_the_key(#[case] status: u16) {
    let body = json!({"error": {"message": format!("Incorrect API key provided: {KEY}. {}", "x".repeat(5_000))}});
    let response = ResponseTemplate::new(status).insert_header("location", "/elsewhere").set_body_json(body);
    let server = answering(response).await;
    for agent in [openai_agent(), anthropic_agent()] {
        let failure = ask(&models(&server.uri()), &agent).await.expect_err("a refusal");
        assert_eq!((failure.code.as_str(), failure.retryable), ("http_status", false), "{failure}");
        assert!(!failure.message.contains(KEY) && failure.message.len() < 700, "{failure}");
    }
    assert_eq!(server.received_requests().await.map(|requests| requests.len()), Some(2), "redirects are not followed");
}

#[tokio::test]
async fn silence_unreachability_and_floods_end_the_call() {
    let server = answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(30))).await;
    let failure = ask(&models(&server.uri()), &openai_agent()).await.expect_err("silence");
    assert_eq!((failure.code.as_str(), failure.retryable), ("timeout", true));

    let failure = ask(&models("http://127.0.0.1:1"), &openai_agent()).await.expect_err("nobody there");
    assert_eq!((failure.code.as_str(), failure.retryable), ("network", true), "{failure}");

    let server = answering(ResponseTemplate::new(200).set_body_bytes(vec![b' '; 5 << 20])).await;
    let failure = ask(&models(&server.uri()), &openai_agent()).await.expect_err("a flood");
    assert_eq!((failure.code.as_str(), failure.retryable), ("response_too_large", false));

    let failure = ask(&models("not an address"), &openai_agent()).await.expect_err("no address");
    assert_eq!((failure.code.as_str(), failure.retryable), ("model_not_configured", false), "{failure}");
}

#[tokio::test]
async fn a_provider_without_a_key_says_what_to_set() {
    let models = Models::new(ModelsConfig::default());
    for (agent, variable) in [(openai_agent(), "OPENAI_API_KEY"), (anthropic_agent(), "ANTHROPIC_API_KEY")] {
        let failure = ask(&models, &agent).await.expect_err("no key");
        assert_eq!((failure.code.as_str(), failure.retryable), ("model_not_configured", false));
        assert!(failure.message.contains(variable) && models.describe(&agent).contains(variable), "{failure}");
    }
}

#[test]
fn auto_takes_the_first_provider_with_a_key_and_then_the_script() {
    let agent = agent(json!({"model": {"provider": "auto"}, "script": [{"output": {}}]}));
    let describe = |config: ModelsConfig| Models::new(config).describe(&agent);
    let key = || Some(SecretString::from(KEY));
    let both = ModelsConfig { openai_api_key: key(), anthropic_api_key: key(), ..ModelsConfig::default() };
    assert_eq!(describe(both), format!("openai {}", openai::MODEL));
    let named = Some("claude-opus-4-1".to_owned());
    let one = ModelsConfig { anthropic_api_key: key(), anthropic_model: named, ..ModelsConfig::default() };
    assert_eq!(describe(one), "anthropic claude-opus-4-1");
    assert_eq!(describe(ModelsConfig::default()), "scripted (rules in the agent's file, no model is called)");
}

fn scripted() -> Agent {
    agent(json!({
        "output_schema": {"type": "object", "properties": {"summary": {"type": "string", "maxLength": 40}}},
        "script": [
            {"when": {"field": "body", "contains": ["REFUND", "charged"]}, "output": {"summary": "{{body}}"}},
            {"when": {"field": "body", "contains": ["broken"]}, "output": {
                "summary": "{{body | first_sentence}}", "words": "Begins: {{body | words 2}}", "input": "{{.}}"}},
            {"when": {"field": "tags", "contains": ["nowhere"]}, "output": {"summary": "{{title}}"}},
        ],
    }))
}

async fn ask_script(input: Value) -> Result<Completion, Failure> {
    let (agent, input) = (scripted(), Json::from(input));
    let prompt = Prompt { agent: &agent, input: &input, idempotency_key: "k", timeout: Duration::ZERO };
    Models::new(ModelsConfig::default()).complete(prompt).await
}

#[tokio::test]
async fn the_first_rule_that_matches_answers_from_the_input() {
    let input = json!({"body": "It is BROKEN. Please help."});
    let completion = ask_script(input.clone()).await.expect("an answer");
    let output = json!({"summary": "It is BROKEN.", "words": "Begins: It is…", "input": input});
    assert_eq!(completion.output, output);
    assert_eq!((completion.model.as_str(), completion.input_tokens), ("scripted", None));
    let line = "scripted: rule 2 of 3 answers, for `body` contains `broken`; no model was called";
    assert_eq!(completion.logs, [line]);
}

#[rstest]
#[case::no_rule(json!({"body": "Hello"}), "script_no_match", false)]
#[case::no_field(json!([1]), "script_no_match", false)]
#[case::nothing_to_put_in(json!({"tags": ["nowhere"]}), "script_invalid", false)]
#[case::not_of_the_schema(json!({"body": format!("refund {}", "x".repeat(60))}), "output_invalid", true)]
#[tokio::test]
async fn a_script_that_cannot_answer_says_why(#[case] input: Value, #[case] code: &str, #[case] retryable: bool) {
    let failure = ask_script(input).await.expect_err("no answer");
    assert_eq!((failure.code.as_str(), failure.retryable), (code, retryable), "{failure}");
}
