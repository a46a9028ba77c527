//! What stands in the address and the headers of a request.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::{HeaderMap, request};
use fleetprompt_client::wire::schema;
use fleetprompt_core::trace::Trace;
use fleetprompt_core::{RecordId, RunId, SignalId};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Api, Problem};

/// The one part of the path that varies, like `{id}`.
pub struct At<T>(pub T);

impl<T: FromStr<Err: Display>> FromRequestParts<Api> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, api).await;
        let Path(text) = path.map_err(|error| Problem::invalid_request(error.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| Problem::invalid_request(error.to_string()))
    }
}

/// The two parts of a path like `/v1/runs/{id}/steps/{step}`.
pub struct AtStep(pub RunId, pub String);

impl FromRequestParts<Api> for AtStep {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, api).await;
        let Path((id, step)) = path.map_err(|error| Problem::invalid_request(error.body_text()))?;
        let id = id.parse().map_err(|error| Problem::invalid_request(format!("{error}")))?;
        Ok(Self(id, step))
    }
}

/// The query. A type that denies unknown fields makes the refusal name those that are known.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &Api) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let refused = |error: axum::extract::rejection::QueryRejection| {
            let text = error.body_text();
            let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Problem::invalid_request(format!("the query: {why}"))
        };
        query.map(|Query(query)| Self(query)).map_err(refused)
    }
}

/// How the document shows the header that `idempotency_key` reads.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only its shape is asked for")]
pub struct IdempotencyKey {
    /// The directive's key. The same request under the same key is the same intent.
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// How the document shows the header by which a stream is resumed.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "only its shape is asked for")]
pub struct LastEventId {
    /// Where the last stream ended; it goes on behind that signal.
    #[param(rename = "Last-Event-ID", value_type = Option<schema::SignalId>)]
    id: Option<SignalId>,
}

/// The header `Idempotency-Key`, if there is one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let unreadable = || Problem::invalid_request("the header `Idempotency-Key` must be visible ASCII");
    match value.to_str() {
        Ok(text) if !text.is_empty() => Ok(Some(text)),
        _ => Err(unreadable()),
    }
}

/// The key of an intent that came without one: nobody can ask for the same again.
pub fn key_or_fresh(headers: &HeaderMap) -> Result<String, Problem> {
    let given = idempotency_key(headers)?;
    Ok(given.map_or_else(|| format!("once-{}", Uuid::now_v7()), str::to_owned))
}

/// Where the caller stands in a trace of its own. What cannot be read counts as not sent, as the standard says.
pub fn caller_trace(headers: &HeaderMap) -> Option<&str> {
    let trace = headers.get("traceparent")?.to_str().ok()?;
    Trace::from_traceparent(trace).map(|_| trace)
}

/// What says nothing of its own joins the caller's trace.
pub fn correlation(own: Option<String>, cause: Option<RecordId>, trace: Option<&str>) -> Option<String> {
    own.or_else(|| trace.filter(|_| cause.is_none()).map(str::to_owned))
}
