//! Transport to a provider: one POST of JSON, and what each way of failing means.
//!
//! The key is put into the request here and must come out nowhere else: not in errors, even where
//! the provider quotes it.

use std::error::Error;
use std::sync::Once;
use std::time::{Duration, Instant};

use fleetprompt_core::Failure;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Endpoint, Prompt, not_configured};

const BODY_BYTES_MAX: usize = 4 << 20;
/// A provider that asks for more patience than this is out of order.
const RETRY_AFTER_MS_MAX: i64 = 24 * 3_600_000;

/// How every client here begins: no redirects, TLS by ring.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Somebody else in the process may have chosen one before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        // Nothing here decodes what others compress.
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
        .user_agent(concat!("fleetprompt/", env!("CARGO_PKG_VERSION")))
}

/// A client for calls to providers.
pub fn http_client() -> Result<Client, reqwest::Error> {
    client_builder().build()
}

/// The body of a successful answer, and what the log wants to know about the call.
pub(super) struct Reply {
    pub body: Value,
    pub request_id: Option<String>,
    pub elapsed: Duration,
}

/// What a provider's API wants to see around the body.
pub(super) struct Dialect {
    pub path: &'static str,
    /// The header for the key, and what stands before the key in it.
    pub key_header: (&'static str, &'static str),
    pub headers: &'static [(&'static str, &'static str)],
}

pub(super) async fn post(
    client: &Client,
    endpoint: &Endpoint<'_>,
    dialect: &Dialect,
    body: &Value,
    prompt: &Prompt<'_>,
) -> Result<Reply, Failure> {
    let started = Instant::now();
    let url = format!("{}{}", endpoint.base_url.trim_end_matches('/'), dialect.path);
    let headers = headers(endpoint, dialect, prompt)?;
    let request = client.post(url).headers(headers).json(body).timeout(prompt.timeout);
    let response = request.send().await.map_err(|error| failed(endpoint, error))?;

    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = read(endpoint, response).await?;
    let coding = coding(&headers);
    if !status.is_success() {
        let explained = if coding.is_some() { &[] } else { &bytes[..] };
        return Err(refused(endpoint, status, &headers, explained));
    }
    if let Some(coding) = coding {
        let message = format!(
            "{} answered {status} with `Content-Encoding: {coding}`, though the request accepts `identity` only; look for \
             a proxy that compresses",
            endpoint.provider
        );
        return Err(Failure::retry("response_invalid", message));
    }
    let body = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::retry("response_invalid", format!("{} answered what is not JSON: {error}", endpoint.provider))
    })?;
    let request_id = ["request-id", "x-request-id"].iter().find_map(|name| headers.get(*name)?.to_str().ok());
    Ok(Reply { body, request_id: request_id.map(|id| id.chars().take(100).collect()), elapsed: started.elapsed() })
}

fn headers(endpoint: &Endpoint<'_>, dialect: &Dialect, prompt: &Prompt<'_>) -> Result<HeaderMap, Failure> {
    let fixed =
        dialect.headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let mut headers: HeaderMap = fixed.collect();
    if let Some(key) = endpoint.key {
        let (name, before) = dialect.key_header;
        let value = HeaderValue::from_str(&format!("{before}{}", key.expose_secret()));
        let mut value = value.map_err(|_| {
            not_configured(format!("the key of {} holds characters that no header can carry", endpoint.provider))
        })?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    // Keys of steps are plain ASCII; of any other the digest is as good a key.
    let key = HeaderValue::from_str(prompt.idempotency_key);
    let key = key.or_else(|_| HeaderValue::from_str(&blake3::hash(prompt.idempotency_key.as_bytes()).to_hex()));
    headers.insert("idempotency-key", key.expect("hexadecimal digits can stand in a header"));
    Ok(headers)
}

async fn read(endpoint: &Endpoint<'_>, mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(endpoint, error))? {
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            let message = format!("{} answered more than 4 MiB", endpoint.provider);
            return Err(Failure::fatal("response_too_large", message));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// No answer at all.
fn failed(endpoint: &Endpoint<'_>, error: reqwest::Error) -> Failure {
    let provider = endpoint.provider;
    if error.is_builder() {
        let base_url = format!("{}_BASE_URL", provider.to_uppercase());
        return not_configured(format!("the request to {provider} cannot be made; is {base_url} an address?"));
    }
    if error.is_timeout() {
        return Failure::retry("timeout", format!("{provider} did not answer in time"));
    }
    let causes = without_key(&causes(&error.without_url()), endpoint.key);
    Failure::retry("network", format!("{provider} could not be reached: {causes}"))
}

/// An answer that is not a success.
fn refused(endpoint: &Endpoint<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let provider = endpoint.provider;
    let message = match status {
        // Providers quote the key, or parts of it, when they do not know it.
        StatusCode::UNAUTHORIZED => {
            format!("{provider} answered {status}: it does not accept the key in {}_API_KEY", provider.to_uppercase())
        }
        _ => format!("{provider} answered {status}: {}", without_key(&explanation(body), endpoint.key)),
    };
    if !is_passing(status) {
        return Failure::fatal("http_status", message);
    }
    let mut failure = Failure::retry("http_status", message);
    failure.retry_after_ms = retry_after_ms(headers, jiff::Timestamp::now());
    failure
}

/// Whether the same request may be answered later.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 425 | 429 | 500..=599)
}

/// `Retry-After` in either of its spellings: seconds, or a date.
pub(crate) fn retry_after_ms(headers: &HeaderMap, now: jiff::Timestamp) -> Option<i64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let millis = match value.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => (seconds * 1_000.0).ceil() as i64,
        _ => {
            let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            then.as_millisecond().saturating_sub(now.as_millisecond())
        }
    };
    Some(millis.clamp(0, RETRY_AFTER_MS_MAX))
}

/// The coding of a body, unless it is sent as it is.
pub(crate) fn coding(headers: &HeaderMap) -> Option<String> {
    let coding = headers.get(CONTENT_ENCODING)?.to_str().unwrap_or("unreadable").trim();
    let is_plain = coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    (!is_plain).then(|| coding.chars().filter(|char| !char.is_control()).take(100).collect())
}

/// Both APIs explain themselves as `{"error": {"message": …}}`; proxies before them do not.
fn explanation(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.pointer("/error/message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(&body[..body.len().min(2_000)]), Into::into);
    let text: String = text.trim().chars().take(500).collect();
    if text.is_empty() { "no explanation".to_owned() } else { text }
}

fn without_key(text: &str, key: Option<&SecretString>) -> String {
    match key.map(ExposeSecret::expose_secret) {
        Some(key) if !key.is_empty() => text.replace(key, "[key]"),
        _ => text.to_owned(),
    }
}

/// An error and what led to it, which is where reqwest keeps the interesting part.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(value: &'static str) -> Option<i64> {
        let now = "2026-11-22T08:30:00Z".parse().expect("a time");
        retry_after_ms(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]), now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("20"), Some(20_000));
        assert_eq!(retry_after("0.5"), Some(500));
        assert_eq!(retry_after("Sun, 22 Nov 2026 08:31:00 GMT"), Some(60_000));
        assert_eq!(retry_after("Sun, 22 Nov 2026 08:29:00 GMT"), Some(0));
        assert_eq!(retry_after("99999999999999999999"), Some(RETRY_AFTER_MS_MAX));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn what_passes_is_retried_and_what_does_not_is_not() {
        let passing = |status| StatusCode::from_u16(status).is_ok_and(is_passing);
        assert!([408, 409, 425, 429, 500, 502, 503, 529].into_iter().all(passing));
        assert!(![301, 307, 400, 401, 403, 404, 413, 422].into_iter().any(passing));
    }

    #[test]
    fn an_explanation_never_holds_the_key() {
        let key = SecretString::from("sk-secret");
        assert_eq!(without_key("bad key sk-secret!", Some(&key)), "bad key [key]!");
    }
}
