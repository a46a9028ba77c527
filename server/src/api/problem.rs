//! The only place where problems are made: RFC 9457 `application/problem+json` with a stable code.
//!
//! A detail says what was being done, on what, and what to do instead; it never says more than the
//! caller may know. What is our own fault is logged here in full and told in one sentence.

use std::any::Any;
use std::fmt::{Display, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use fleetprompt_client::wire;
use fleetprompt_core::Failure;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_engine::memory::Exhausted;
use fleetprompt_engine::{Error, Refusal, RefusalKind};
use serde::{Deserialize, Serialize};

use super::PassedOn;
use crate::listen::Interrupted;

pub const TYPE_BASE: &str = "https://fleetprompt.dev/problems/";
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Boxed, since it travels in every `Result`.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    body: wire::Problem,
    retry_after: Option<Duration>,
    elsewhere: Option<Elsewhere>,
}

/// Another partition is to answer, and this one vouches for who asks. Never sent to a caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Elsewhere {
    pub partition: u16,
    pub by: PassedOn,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let body = wire::Problem {
            kind: format!("{TYPE_BASE}{code}"),
            title: title(code),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            diagnostics: Vec::new(),
        };
        Self(Box::new(Inner { body, retry_after: None, elsewhere: None }))
    }

    pub fn elsewhere(elsewhere: Elsewhere) -> Self {
        let mut problem = Self::unavailable("another node decides for this tenant");
        problem.0.elsewhere = Some(elsewhere);
        problem
    }

    pub fn key_unknown() -> Self {
        Self::unauthorized("this key is unknown, expired or revoked")
    }

    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub fn role_missing(has: Role, needs: Role) -> Self {
        let (has, needs) = (has.as_str(), needs.as_str());
        Self::forbidden(format!("this key has the role `{has}`; this takes the role `{needs}` or a higher one"))
    }

    /// `what` is the word for the thing, like `run`. Unknown and another tenant's read the same.
    pub fn not_found(what: &str, id: impl Display) -> Self {
        Refusal::not_found(what, id).into()
    }

    pub fn malformed_json(error: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", format!("the body cannot be read as JSON: {error}"))
    }

    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub fn too_deep(levels_max: usize) -> Self {
        let detail = format!("the body nests deeper than {levels_max} levels: carry what is deeper as text");
        Self::new(StatusCode::BAD_REQUEST, "too_deep", detail)
    }

    pub fn not_utf8(byte: usize) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not_utf8", format!("the body is not UTF-8: see its byte {}", byte + 1))
    }

    pub fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("the body has more than the {bytes_max} bytes that are read here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    pub fn body_broken(error: axum::Error) -> Self {
        let errors = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        match errors.filter_map(|error| error.downcast_ref()).next() {
            Some(why @ Interrupted::Stalled(_)) => Self::body_too_slow(why.to_string()),
            Some(why @ Interrupted::Stopping) => Self::unavailable(why.to_string()),
            None => Self::invalid_request(format!("the body did not arrive whole: {error}")),
        }
    }

    pub fn body_late(limit: Duration) -> Self {
        Self::body_too_slow(format!("the body did not arrive within {} seconds", limit.as_secs()))
    }

    fn body_too_slow(detail: String) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    }

    pub fn unsupported_media_type(given: &str, accepted: &str) -> Self {
        let given = fleetprompt_core::diagnostic::shown(given);
        let detail = format!("the body's content type is `{given}`; here it may be {accepted}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub fn unsupported_encoding(given: &str) -> Self {
        let given = fleetprompt_core::diagnostic::shown(given);
        let detail =
            format!("the body's content encoding is `{given}`; here bodies are read without any: do not compress it");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding_unsupported", detail)
    }

    pub fn busy(detail: &str, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).retry_after(retry_after)
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(RETRY_AFTER)
    }

    pub fn outcome_unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", detail).retry_after(RETRY_AFTER)
    }

    pub fn internal(doing: &str, error: &dyn Display) -> Self {
        tracing::error!(doing, %error, "a request failed by our own fault");
        let detail = format!("the server could not {doing}; its log says why");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A built-in directive that was carried out and failed: the request does not fit what is there.
    pub fn of_failure(failure: &Failure) -> Self {
        let status = match failure.code.as_str() {
            "not_found" => StatusCode::NOT_FOUND,
            "role_missing" => StatusCode::FORBIDDEN,
            "input_invalid" | "payload_invalid" => StatusCode::UNPROCESSABLE_ENTITY,
            // `run_ended`, `run_status`, `step_status`, `reissue_needed`, `throttled` and what may come.
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, &failure.code, failure.message.clone())
    }

    /// The same, with the directive that records it: its idempotency key stands for the failure.
    pub fn of_failed(directive: &Directive, failure: &Failure) -> Self {
        let mut problem = Self::of_failure(failure);
        let _ = write!(
            problem.0.body.detail,
            "; {} records the failure under this idempotency key, so send the next attempt under another one",
            directive.id
        );
        problem
    }

    /// It was refused for its size, and its sender may be in the middle of sending.
    pub fn is_of_size(&self) -> bool {
        matches!(self.0.body.status, 413 | 429 | 503)
    }

    /// As one item's result among many.
    pub fn into_wire(self) -> wire::Problem {
        self.0.body
    }

    pub fn text(&self) -> String {
        serde_json::to_string(&self.0.body).expect("a problem is strings and numbers")
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
        };
        let mut problem = Self::new(status, refusal.code, refusal.message);
        problem.0.body.diagnostics = refusal.diagnostics;
        problem
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy { retry_after } => Self::busy(&error.to_string(), retry_after),
            Error::Unavailable(_) => Self::unavailable(error.to_string()),
            Error::OutcomeUnknown(_) => Self::outcome_unknown(error.to_string()),
            Error::Refused(refusal) => Self::from(*refusal),
        }
    }
}

impl From<Exhausted> for Problem {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::Tenant { .. } | Exhausted::Responses { .. } => Self::busy(&exhausted.to_string(), RETRY_AFTER),
            Exhausted::Total { .. } => Self::unavailable(exhausted.to_string()),
            Exhausted::Request { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", exhausted.to_string())
            }
        }
    }
}

impl From<fleetprompt_store::Error> for Problem {
    fn from(error: fleetprompt_store::Error) -> Self {
        match error {
            fleetprompt_store::Error::Unavailable { doing, .. } => {
                tracing::warn!(%error, "the store did not answer");
                Self::unavailable(format!("the store could not {doing}; try again"))
            }
            fleetprompt_store::Error::Unstorable { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unstorable", error.to_string())
            }
            fleetprompt_store::Error::Lost { .. }
            | fleetprompt_store::Error::OutcomeUnknown { .. }
            | fleetprompt_store::Error::InUse { .. } => {
                Self::unavailable("this node is about to end; ask another, or try again")
            }
            fleetprompt_store::Error::Newer { .. } | fleetprompt_store::Error::Damaged(_) => {
                Self::internal("read what is stored", &error)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { body, retry_after, elsewhere } = *self.0;
        let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_vec(&body).expect("a problem is strings and numbers");
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = retry_after {
            // Whole seconds, and never zero: a client that takes it literally must not spin.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs_f64().ceil().max(1.0) as u64));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(elsewhere) = elsewhere {
            response.extensions_mut().insert(elsewhere);
        }
        response
    }
}

pub async fn nothing_here(uri: Uri) -> Problem {
    let path = fleetprompt_core::diagnostic::shown(uri.path());
    let detail = format!("there is nothing at `{path}`; /openapi.json lists what there is");
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

pub async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let path = fleetprompt_core::diagnostic::shown(uri.path());
    let detail = format!("`{method}` means nothing at `{path}`; the header `Allow` lists what does");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

pub fn of_panic(panic: Box<dyn Any + Send>) -> Response<Body> {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
    Problem::internal("carry out the request", &said).into_response()
}

/// `idempotency_key_reused` is titled `Idempotency key reused`.
fn title(code: &str) -> String {
    let mut title = code.replace(['_', '.'], " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_as_an_internal_problem_without_its_words() {
        let response = of_panic(Box::new("the secret of another tenant"));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem::internal("carry out the request", &"the secret of another tenant");
        assert!(!problem.text().contains("secret"), "{}", problem.text());
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        let busy = Problem::from(Error::Busy { retry_after: Duration::from_millis(500) }).into_response();
        assert_eq!((busy.status().as_u16(), &busy.headers()[header::RETRY_AFTER]), (429, &HeaderValue::from(1)));
        let unavailable = Problem::from(Error::Unavailable("the disk is full".into())).into_response();
        assert_eq!(unavailable.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(unavailable.headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn titles_are_codes_for_people() {
        assert_eq!(title("idempotency_key_reused"), "Idempotency key reused");
        assert_eq!(title(""), "");
    }
}
