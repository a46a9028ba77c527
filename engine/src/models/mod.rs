//! Calling a model: one question, one answer, for one attempt of an agent's step.
//!
//! A provider is a file here: it writes the question in its API's words and reads the answer. What
//! is true for all of them is kept out of those files: transport in `http.rs`, what makes an answer
//! acceptable in `answer.rs`. Nothing is retried here; a failure says whether trying again may help.
//! A crash during a call means that the call is made again, with the same idempotency key.

mod answer;
mod anthropic;
pub(crate) mod http;
mod openai;
mod scripted;

use std::sync::OnceLock;
use std::time::Duration;

use fleetprompt_core::agent::Agent;
use fleetprompt_core::{Failure, Json};
pub use http::http_client;
use secrecy::SecretString;
use serde_json::Value;

/// What is asked, on behalf of one attempt of a step.
pub struct Prompt<'a> {
    pub agent: &'a Agent,
    pub input: &'a Json,
    /// Sent on as idempotency key where the provider takes one. The same for every attempt.
    pub idempotency_key: &'a str,
    /// For the whole call, until the last byte.
    pub timeout: Duration,
}

/// An answer that fits the agent's `output_schema`; without a schema it is `{"text": "…"}`, or what
/// the agent's script says.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    pub output: Value,
    /// The model that answered, in the provider's words.
    pub model: String,
    pub provider: &'static str,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// Lines for the step's log.
    pub logs: Vec<String>,
}

/// Who may be asked, and with which key. A provider without a key is not configured, except an
/// OpenAI-compatible server under its own base URL, which may need none.
#[derive(Debug, Clone, Default)]
pub struct ModelsConfig {
    pub openai_api_key: Option<SecretString>,
    /// With its version, like `https://api.openai.com/v1`.
    pub openai_base_url: Option<String>,
    /// For agents that name no model.
    pub openai_model: Option<String>,
    pub anthropic_api_key: Option<SecretString>,
    /// Without a version, like `https://api.anthropic.com`.
    pub anthropic_base_url: Option<String>,
    /// For agents that name no model.
    pub anthropic_model: Option<String>,
    /// Must not follow redirects: they would carry the key along. [`http_client`] unless given.
    pub http: Option<reqwest::Client>,
}

impl ModelsConfig {
    /// Reads `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL` and the same of `ANTHROPIC`. Empty
    /// variables count as absent.
    pub fn from_env() -> Self {
        let text =
            |name: &str| std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let secret = |name: &str| text(name).map(SecretString::from);
        Self {
            openai_api_key: secret("OPENAI_API_KEY"),
            openai_base_url: text("OPENAI_BASE_URL"),
            openai_model: text("OPENAI_MODEL"),
            anthropic_api_key: secret("ANTHROPIC_API_KEY"),
            anthropic_base_url: text("ANTHROPIC_BASE_URL"),
            anthropic_model: text("ANTHROPIC_MODEL"),
            http: None,
        }
    }
}

/// What an agent's own script answers, whatever its provider.
pub(crate) fn answer_by_script(agent: &Agent, input: &Json) -> Result<Value, Failure> {
    let prompt = Prompt { agent, input, idempotency_key: "", timeout: Duration::ZERO };
    Ok(scripted::complete(&prompt)?.output)
}

/// Whether an agent can have answered this.
pub(crate) fn check_answer(agent: &Agent, output: &Value) -> Result<(), Failure> {
    answer::check(agent, output)
}

/// All models that agents can be run on.
pub struct Models {
    config: ModelsConfig,
    /// Made when a model is first called: who only runs scripted agents needs no TLS roots.
    http: OnceLock<Result<reqwest::Client, String>>,
}

/// Who answers for an agent.
enum Route<'a> {
    Scripted,
    OpenAi(Endpoint<'a>),
    Anthropic(Endpoint<'a>),
}

/// One provider's API, and the model to ask there.
struct Endpoint<'a> {
    provider: &'static str,
    base_url: &'a str,
    key: Option<&'a SecretString>,
    model: &'a str,
}

impl Models {
    pub fn new(config: ModelsConfig) -> Self {
        Self { config, http: OnceLock::new() }
    }

    /// Asks, and checks the answer against the agent's `output_schema`.
    pub async fn complete(&self, prompt: Prompt<'_>) -> Result<Completion, Failure> {
        let completion = match self.route(prompt.agent)? {
            Route::Scripted => scripted::complete(&prompt)?,
            Route::OpenAi(endpoint) => openai::complete(self.http()?, &endpoint, &prompt).await?,
            Route::Anthropic(endpoint) => anthropic::complete(self.http()?, &endpoint, &prompt).await?,
        };
        answer::check(prompt.agent, &completion.output)?;
        Ok(completion)
    }

    /// Who would answer for this agent, for people.
    pub fn describe(&self, agent: &Agent) -> String {
        match self.route(agent) {
            Ok(Route::Scripted) => "scripted (rules in the agent's file, no model is called)".to_owned(),
            Ok(Route::OpenAi(endpoint) | Route::Anthropic(endpoint)) => {
                format!("{} {}", endpoint.provider, endpoint.model)
            }
            Err(failure) => failure.message,
        }
    }

    fn route<'a>(&'a self, agent: &'a Agent) -> Result<Route<'a>, Failure> {
        match agent.model.provider.as_str() {
            "scripted" => Ok(Route::Scripted),
            "openai" => self.openai(agent).map(Route::OpenAi),
            "anthropic" => self.anthropic(agent).map(Route::Anthropic),
            "auto" => self.first_configured(agent),
            unknown => Err(not_configured(format!(
                "agent `{}` names the unknown provider `{unknown}`; known are `scripted`, `openai`, `anthropic` and \
                 `auto`",
                agent.slug
            ))),
        }
    }

    fn first_configured<'a>(&'a self, agent: &'a Agent) -> Result<Route<'a>, Failure> {
        if self.config.openai_api_key.is_some() {
            return self.openai(agent).map(Route::OpenAi);
        }
        if self.config.anthropic_api_key.is_some() {
            return self.anthropic(agent).map(Route::Anthropic);
        }
        if agent.script.is_empty() {
            return Err(not_configured(format!(
                "agent `{}` takes any provider, but none is configured: set OPENAI_API_KEY or ANTHROPIC_API_KEY, or \
                 give the agent a `script`",
                agent.slug
            )));
        }
        Ok(Route::Scripted)
    }

    fn openai<'a>(&'a self, agent: &'a Agent) -> Result<Endpoint<'a>, Failure> {
        let ModelsConfig { openai_api_key: key, openai_base_url: base_url, openai_model: model, .. } = &self.config;
        if key.is_none() && base_url.is_none() {
            return Err(not_configured(format!(
                "agent `{}` needs the provider `openai`: set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible \
                 server without keys",
                agent.slug
            )));
        }
        Ok(Endpoint {
            provider: "openai",
            base_url: base_url.as_deref().unwrap_or(openai::BASE_URL),
            key: key.as_ref(),
            model: agent.model.name.as_deref().or(model.as_deref()).unwrap_or(openai::MODEL),
        })
    }

    fn anthropic<'a>(&'a self, agent: &'a Agent) -> Result<Endpoint<'a>, Failure> {
        let ModelsConfig { anthropic_api_key, anthropic_base_url, anthropic_model, .. } = &self.config;
        let Some(key) = anthropic_api_key else {
            let message = format!("agent `{}` needs the provider `anthropic`: set ANTHROPIC_API_KEY", agent.slug);
            return Err(not_configured(message));
        };
        Ok(Endpoint {
            provider: "anthropic",
            base_url: anthropic_base_url.as_deref().unwrap_or(anthropic::BASE_URL),
            key: Some(key),
            model: agent.model.name.as_deref().or(anthropic_model.as_deref()).unwrap_or(anthropic::MODEL),
        })
    }

    fn http(&self) -> Result<&reqwest::Client, Failure> {
        let made = self.http.get_or_init(|| match &self.config.http {
            Some(client) => Ok(client.clone()),
            None => http_client().map_err(|error| http::causes(&error)),
        });
        made.as_ref().map_err(|error| not_configured(format!("no HTTPS client can be made here: {error}")))
    }
}

impl Completion {
    /// All but the output, as far as every provider's reply tells.
    fn of_reply(endpoint: &Endpoint<'_>, reply: &http::Reply, input: Option<u64>, output: Option<u64>) -> Self {
        let model = reply.body["model"].as_str().unwrap_or(endpoint.model).chars().take(200).collect::<String>();
        let count = |tokens: Option<u64>| tokens.map_or("?".to_owned(), |tokens| tokens.to_string());
        let request = reply.request_id.as_deref().map(|id| format!(", request {id}")).unwrap_or_default();
        let line = format!(
            "{} {model} answered in {} ms: {} tokens in, {} out{request}",
            endpoint.provider,
            reply.elapsed.as_millis(),
            count(input),
            count(output),
        );
        Self {
            output: Value::Null,
            model,
            provider: endpoint.provider,
            input_tokens: input,
            output_tokens: output,
            logs: vec![line],
        }
    }
}

fn not_configured(message: String) -> Failure {
    Failure::fatal("model_not_configured", message)
}

#[cfg(test)]
mod tests;
