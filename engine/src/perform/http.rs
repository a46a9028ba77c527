//! A directive delivered to an HTTP endpoint: signed by Standard Webhooks, under the same
//! `Idempotency-Key` each time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use fleetprompt_core::directive::{Directive, DirectiveType, Handler};
use fleetprompt_core::signature::sign;
use fleetprompt_core::trace::{SpanId, Trace};
use fleetprompt_core::{Failure, Json};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde::Serialize;
use serde_json::Value;

use super::endpoint_url::EndpointUrl;
use super::{Ended, Performed, address};
use crate::Directory;
use crate::memory::{self, RequestMemory};
use crate::models::http::{causes, client_builder, coding, retry_after_ms};
use crate::workers::AttemptId;

/// More than this of an answer is not an outcome.
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct Endpoints {
    client: reqwest::Client,
    allow_private: bool,
    memory: Arc<RequestMemory>,
}

/// What an endpoint is sent.
#[derive(Serialize)]
struct Delivery<'a> {
    id: fleetprompt_core::DirectiveId,
    directive: &'a fleetprompt_core::Name,
    payload: &'a Json,
    idempotency_key: &'a str,
    attempt: u32,
    /// What it is called back under, when it is answered by 202.
    callback: String,
    tenant: &'a fleetprompt_core::Slug,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<fleetprompt_core::RunId>,
    correlation_id: &'a str,
    causation_id: Option<fleetprompt_core::RecordId>,
    requested_at: fleetprompt_core::Timestamp,
}

impl Endpoints {
    pub fn new(allow_private: bool, memory: Arc<RequestMemory>) -> Self {
        let builder = client_builder().no_proxy();
        let builder = if allow_private { builder } else { builder.dns_resolver(Arc::new(address::PublicOnly)) };
        let client = builder.build().expect("the settings are our own");
        Self { client, allow_private, memory }
    }

    pub async fn deliver(&self, directory: &Directory, directive: &Directive, callback: &AttemptId) -> Performed {
        let mut logs = Vec::new();
        let (ended, answer) = match self.attempt(directory, directive, callback, &mut logs).await {
            Ok(Some(body)) => {
                // What an endpoint answers is taken, whatever it is; while much of it waits, callers are refused.
                let bytes = body.len() * 2 + memory::parsed_bytes(&body);
                let answer = self.memory.reserve_always(directive.tenant, bytes);
                (Ended::Now(Ok(output(&body))), Some(answer))
            }
            Ok(None) => (Ended::Later, None),
            Err(failure) => (Ended::Now(Err(failure)), None),
        };
        Performed { ended, execution: None, logs, answer }
    }

    /// What was answered; nothing, where the endpoint calls back.
    async fn attempt(
        &self,
        directory: &Directory,
        directive: &Directive,
        callback: &AttemptId,
        logs: &mut Vec<String>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let tenant = directory.tenant(directive.tenant);
        let registered = tenant.and_then(|tenant| Some((tenant, tenant.directive_types.get(&directive.name)?)));
        let Some((tenant, (_, of_type))) = registered else {
            return Err(Failure::retry(
                "directive_unknown",
                format!("`{}` is not registered any more", directive.name),
            ));
        };
        let Handler::Http { url, secret } = &of_type.handler else {
            return Err(Failure::fatal("handler_changed", format!("`{}` has no endpoint any more", directive.name)));
        };
        let url = EndpointUrl::read(url)?;
        self.check(&url)?;
        let delivery = Delivery {
            id: directive.id,
            directive: &directive.name,
            payload: &directive.payload,
            idempotency_key: &directive.idempotency_key,
            attempt: directive.attempt,
            callback: callback.to_string(),
            tenant: &tenant.tenant.slug,
            run_id: directive.origin.map(|origin| origin.run_id),
            correlation_id: &directive.lineage.correlation_id,
            causation_id: directive.lineage.causation_id,
            requested_at: directive.requested_at,
        };
        let body = serde_json::to_vec(&delivery).expect("our own record can be written");
        let request = self.request(&url, secret.as_deref(), directive, body)?;
        logs.push(format!("POST {}", url.shown));
        let timeout = directive.timeout.unwrap_or(DirectiveType::TIMEOUT_DEFAULT).to_std();
        match tokio::time::timeout(timeout, answer(&url, request, logs)).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("{} did not answer within {} s", url.shown, timeout.as_secs_f64());
                Err(Failure::retry("timeout", message))
            }
        }
    }

    /// A literal address never meets the resolver, so it is looked at here.
    fn check(&self, url: &EndpointUrl) -> Result<(), Failure> {
        let literal = match url.url.host() {
            Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(url::Host::Domain(_)) | None => None,
        };
        if !self.allow_private && literal.is_some_and(|address| !address::is_public(address)) {
            let message = format!(
                "{} is not on the public internet; start the server with --allow-private-endpoints to allow it",
                url.shown
            );
            return Err(Failure::fatal("address_refused", message));
        }
        Ok(())
    }

    fn request(
        &self,
        url: &EndpointUrl,
        secret: Option<&str>,
        directive: &Directive,
        body: Vec<u8>,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        // Standard Webhooks: the same for every attempt, so that receivers can tell what they had already.
        let id = directive.id.to_string();
        let timestamp = (crate::clock::system().0 / 1_000_000).to_string();
        let trace = Trace::of(directive.tenant, &directive.lineage.correlation_id);
        // Never without one: the endpoint relies on it.
        let signature =
            secret.and_then(|secret| sign(secret, &id, &timestamp, &body)).ok_or_else(|| unsigned(directive))?;
        let request = self
            .client
            .post(url.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", key_header(&directive.idempotency_key))
            .header("traceparent", trace.parent(SpanId::of(directive.id)))
            .header("webhook-id", &id)
            .header("webhook-timestamp", &timestamp)
            .header("fleetprompt-attempt", directive.attempt)
            .header("webhook-signature", signature);
        Ok(request.body(body))
    }
}

fn unsigned(directive: &Directive) -> Failure {
    let message = format!(
        "the delivery was not sent, because the secret of `{}` cannot sign it: apply the directive type again with a \
         `handler.secret` of `whsec_` and padded base64",
        directive.name
    );
    Failure::retry("secret_invalid", message)
}

/// Keys of steps are plain ASCII; of any other the digest is as good a key, and the body has it in full.
fn key_header(key: &str) -> HeaderValue {
    let digest = |_| HeaderValue::from_str(&blake3::hash(key.as_bytes()).to_hex());
    HeaderValue::from_str(key).or_else(digest).expect("hexadecimal digits can stand in a header")
}

async fn answer(
    url: &EndpointUrl,
    request: reqwest::RequestBuilder,
    logs: &mut Vec<String>,
) -> Result<Option<Vec<u8>>, Failure> {
    let begun = Instant::now();
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after_ms = retry_after_ms(response.headers(), jiff::Timestamp::now());
    let coding = coding(response.headers());
    let body = read(response).await?;
    logs.push(format!("answered {status}, {} bytes, after {} ms", body.len(), begun.elapsed().as_millis()));
    if status == StatusCode::ACCEPTED {
        return Ok(None);
    }
    let coding = coding.filter(|_| !body.is_empty());
    if status.is_success() {
        return match coding {
            None => Ok(Some(body)),
            Some(coding) => Err(Failure::fatal(
                "answer_encoded",
                format!(
                    "the endpoint answered {status} with `Content-Encoding: {coding}`, which is not decoded, so its output \
                     is unknown; let it answer without, as the request's `Accept-Encoding: identity` asks"
                ),
            )),
        };
    }
    let text = match coding {
        None => String::from_utf8_lossy(&body),
        Some(coding) => format!("a body with `Content-Encoding: {coding}`, which is not decoded").into(),
    };
    let message = format!("the endpoint answered {status}: {}", url.hide_secrets(text.trim()));
    let again = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let failure = if again { Failure::retry("http_status", message) } else { Failure::fatal("http_status", message) };
    Err(Failure { retry_after_ms, ..failure })
}

fn unreachable(error: reqwest::Error) -> Failure {
    Failure::retry("unreachable", causes(&error.without_url()))
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::fatal("answer_too_large", "the endpoint's answer is larger than 1 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The effect has happened, so whatever was answered is its output: JSON, or else text.
fn output(body: &[u8]) -> Json {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => Json::null(),
        text => Json::parse(text).unwrap_or_else(|_| Value::from(text).into()),
    }
}

#[cfg(test)]
mod tests;
