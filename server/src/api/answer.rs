//! Answers, written straight into bytes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Problem;

pub type Answer = Result<Response, Problem>;

pub fn ok(body: &impl Serialize) -> Answer {
    json(StatusCode::OK, body)
}

/// 201 for what is new, 200 for what was there already.
pub fn made(is_new: bool, body: &impl Serialize) -> Answer {
    json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, body)
}

pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(body).map_err(|error| Problem::internal("write the answer", &error))?;
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Some have secrets, and all have what is a tenant's own.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
