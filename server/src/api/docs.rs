//! The API's documentation for people: one page around RapiDoc, which is part of the binary. The
//! page asks nobody but this server for anything, and its policy forbids it to.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::Api;

const PAGE: &str = include_str!("docs.html");
const RAPIDOC: &[u8] = include_bytes!("../../vendor/rapidoc/rapidoc-min.js");
const RAPIDOC_VERSION: &str = "9.3.8";

/// RapiDoc writes styles into its page, and asks this server when somebody tries an endpoint.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn router() -> Router<Api> {
    Router::new()
        .route("/", get(async || Redirect::temporary("/docs")))
        .route("/docs", get(page))
        .route("/docs/rapidoc.js", get(rapidoc))
}

async fn page() -> Response {
    let page = PAGE.replace("{rapidoc_version}", RAPIDOC_VERSION);
    let mut response = page.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Asked for with its version, so it may be kept for ever.
async fn rapidoc() -> Response {
    let mut response = RAPIDOC.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}
