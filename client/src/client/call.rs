//! One request and its answer. What is safe to repeat is repeated a few times; what is not is sent
//! once, unless the server says by 429 that it took nothing.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::chain;
use super::{ANSWER_MAX, Client, Error};
use crate::wire::Problem;

/// Whether sending a request twice does what sending it once does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Safe,
    Never,
}

const ATTEMPTS_MAX: u32 = 4;
const DELAY_FIRST: Duration = Duration::from_millis(100);
/// A server that asks for more is down for longer than a caller wants to wait unasked.
const DELAY_MAX: Duration = Duration::from_secs(10);

pub(super) const JSON: &str = "application/json";

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        self.answer(self.request(Method::GET, url), Repeat::Safe).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        url: Url,
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).expect("what travels has string keys and finite numbers");
        self.post_bytes(url, body, JSON, repeat).await
    }

    pub(super) async fn post_bytes<T: DeserializeOwned>(
        &self,
        url: Url,
        body: Vec<u8>,
        content_type: &str,
        repeat: Repeat,
    ) -> Result<T, Error> {
        let request = self.request(Method::POST, url).header(CONTENT_TYPE, content_type).body(body);
        self.answer(request, repeat).await
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        repeat: Repeat,
    ) -> Result<T, Error> {
        read(self.sent(request, repeat).await?).await
    }

    pub(super) async fn answer_text(&self, request: RequestBuilder, repeat: Repeat) -> Result<String, Error> {
        text(self.sent(request, repeat).await?).await
    }

    /// Sends until there is an answer that another attempt would not change.
    async fn sent(&self, request: RequestBuilder, repeat: Repeat) -> Result<Response, Error> {
        for attempt in 1.. {
            let this = request.try_clone().expect("bodies are kept in memory").timeout(ANSWER_MAX);
            let sent = this.send().await;
            match delay_before_next(&sent, attempt, repeat) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return self.arrived(sent),
            }
        }
        unreachable!("the last attempt returns")
    }

    pub(super) fn arrived(&self, sent: reqwest::Result<Response>) -> Result<Response, Error> {
        sent.map_err(|error| Error::connection(self.url(), &error))
    }
}

fn delay_before_next(sent: &reqwest::Result<Response>, attempt: u32, repeat: Repeat) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX {
        return None;
    }
    let backoff = DELAY_FIRST * 2u32.pow(attempt - 1);
    match sent {
        Ok(response) if is_worth_repeating(response.status(), repeat) => {
            let asked = retry_after(response.headers());
            (asked.unwrap_or_default() <= DELAY_MAX).then(|| asked.unwrap_or(backoff))
        }
        Ok(_) => None,
        Err(error) => (error.is_connect() && repeat == Repeat::Safe).then_some(backoff),
    }
}

/// 429 is said before anything is accepted.
fn is_worth_repeating(status: StatusCode, repeat: Repeat) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => repeat == Repeat::Safe,
        _ => false,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let doing = format!("read the answer of {}", response.url());
    let body = text(response).await?;
    serde_json::from_str(&body).map_err(|error| unexpected(&doing, error.to_string()))
}

async fn text(response: Response) -> Result<String, Error> {
    let response = accepted(response).await?;
    let doing = format!("read the answer of {}", response.url());
    response.text().await.map_err(|error| unexpected(&doing, chain(&error)))
}

/// The response, if its status says success; else what the server says is wrong.
pub(super) async fn accepted(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let doing = format!("use the answer of {}", response.url());
    let body = response.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(Error::Refused(Box::new(problem))),
        Err(_) => Err(unexpected(&doing, format!("HTTP {status}, and not from a FleetPrompt server"))),
    }
}

pub(super) fn unexpected(doing: &str, why: String) -> Error {
    Error::Unexpected { doing: doing.to_owned(), why }
}
