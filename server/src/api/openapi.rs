//! The OpenAPI 3.1 document. Paths and shapes come from the handlers and the wire types; here is
//! what is true for all of them: who may ask, and which problems any answer may be.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fleetprompt_client::wire;
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

const DESCRIPTION: &str = "\
FleetPrompt runs workflows that start from facts and act only through recorded intents.

**Signals** are facts: immutable, deduplicated, on disk before they are acknowledged. A signal starts a **run** of \
every active **workflow** that listens to its name. Steps call **agents** and **functions**, and request \
**directives**, the only road to a side effect, each idempotent by its key. Every move of a run is itself a signal, \
so what happened and why can always be read.

Every request but those of operations carries `Authorization: Bearer fp_…`. The key says which tenant is meant; \
another tenant's records do not exist for it. Ids sort by time and begin with their type. Lists are read by page: \
pass `next_cursor` as `cursor` until there is none. Unknown fields and parameters are refused.

Whatever goes wrong is answered as `application/problem+json` (RFC 9457) with a stable `code`.";

const TAGS: [(&str, &str); 8] = [
    ("signals", "Facts: emitted, listed, followed, replayed."),
    ("directives", "Intents and their types."),
    ("workflows", "Definitions and their versions, and the functions that steps call."),
    ("agents", "Prompt, model and limits under a name."),
    ("schedules", "What emits signals when a time has come."),
    ("runs", "Executions of workflows: their steps, their record, their causes."),
    ("tenants", "Tenants and the keys that speak for them."),
    ("operations", "For load balancers and monitoring; no key is needed."),
];

/// The problems that answers may be: status, name, when.
const PROBLEMS: [(&str, &str, &str); 12] = [
    ("400", "BadRequest", "The request cannot be read: `malformed_json`, `invalid_request`, `not_utf8`, `too_deep`."),
    ("401", "Unauthorized", "`unauthorized`: there is no key, or it is unknown, expired or revoked."),
    ("403", "Forbidden", "`forbidden`, `role_missing`: the key does not allow it."),
    ("404", "NotFound", "`not_found`: this tenant has no such thing."),
    ("408", "RequestTimeout", "`body_too_slow`: the body did not arrive in time."),
    ("409", "Conflict", "It does not fit what is there now; the code says how."),
    ("413", "ContentTooLarge", "`body_too_large`."),
    ("415", "UnsupportedMediaType", "`unsupported_media_type`."),
    ("422", "Unprocessable", "It can be read and cannot be meant; the code says why, `diagnostics` where."),
    ("429", "Busy", "`busy`: too much is waiting already. Nothing was accepted; see `Retry-After`."),
    ("500", "Internal", "`internal`: a fault of the server, which its log explains."),
    (
        "503",
        "Unavailable",
        "`unavailable`: nothing was accepted; see `Retry-After`. `outcome_unknown`: it may have been accepted; make the same request again with the same key.",
    ),
];

/// The whole document, as it is served and as `docs/openapi.json` has it.
pub fn document() -> OpenApi {
    complete(super::described().into_openapi())
}

/// What the document holds before any path is added.
pub fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("FleetPrompt")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build();
    let tags = TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    OpenApiBuilder::new().info(info).tags(Some(tags)).components(Some(Components::new())).build()
}

/// Adds what every operation has: its security, and the problems that it may answer with.
pub fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("fp_…");
    let bearer = bearer.description(Some("An API key. It belongs to one tenant and has one role.")).build();
    components.security_schemes.insert("key".into(), RefOr::T(SecurityScheme::Http(bearer)));
    components.schemas.insert(wire::Problem::name().into(), wire::Problem::schema());
    let mut shapes = Vec::new();
    wire::Problem::schemas(&mut shapes);
    components.schemas.extend(shapes);
    for (_, name, text) in PROBLEMS {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(wire::Problem::name()))).build();
        let response = ResponseBuilder::new().description(text).content("application/problem+json", content).build();
        components.responses.insert(name.into(), RefOr::T(response));
    }
    for (path, item) in &mut document.paths.paths {
        let reads = [&mut item.get].into_iter().flatten().map(|operation| (operation, false));
        let changes = [&mut item.post, &mut item.patch, &mut item.delete]
            .into_iter()
            .flatten()
            .map(|operation| (operation, true));
        for (operation, is_change) in reads.chain(changes) {
            finish(path, operation, is_change && !path.ends_with("/validate"));
        }
    }
    document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    document
}

fn finish(path: &str, operation: &mut Operation, is_change: bool) {
    let is_open = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    // It may name a tenant that does not exist.
    let names_a_tenant = path == "/v1/keys";
    let may_be = |status: &str| match status {
        "400" => has_body || has_parameters,
        // A worker's key may take and report attempts and nothing else.
        "401" | "403" => !is_open,
        "404" => path.contains('{') || names_a_tenant,
        "408" | "413" | "415" => has_body,
        "409" | "422" => is_change,
        "429" => is_change || !is_open,
        "500" => true,
        "503" => !is_open || path == "/readyz",
        _ => false,
    };
    for (status, name, _) in PROBLEMS.iter().filter(|(status, ..)| may_be(status)) {
        let response = RefOr::Ref(Ref::from_response_name(*name));
        operation.responses.responses.entry((*status).to_owned()).or_insert(response);
    }
}

pub fn text(document: OpenApi) -> Bytes {
    let text = document.to_json().expect("the document is made of strings, numbers and lists");
    text.into()
}

pub async fn serve(document: Bytes) -> Response {
    let mut response = document.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub fn workflow_example() -> Value {
    json!({"workflow": {
        "name": "Forum new-thread triage",
        "version": "1.0.0",
        "trigger": {"signal": "forum.thread.created"},
        "steps": [
            {
                "id": "summarize",
                "type": "agent",
                "agent_ref": {"slug": "forum_summary_agent"},
                "input": {"from_signal": true}
            },
            {
                "id": "post_summary",
                "type": "directive",
                "directive": "forum.post.create",
                "payload": {
                    "thread_id": "${signal.subject.id}",
                    "content": "${steps.summarize.output.summary}"
                }
            }
        ]
    }})
}

pub fn agent_example() -> Value {
    json!({"agent": {
        "name": "Forum summary",
        "slug": "forum_summary_agent",
        "model": {"provider": "auto"},
        "instructions": "Summarize the thread in one sentence.",
        "output_schema": {
            "type": "object",
            "required": ["summary"],
            "properties": {"summary": {"type": "string"}}
        }
    }})
}

pub fn schedule_example() -> Value {
    json!({"schedule": {
        "slug": "nightly-digest",
        "cron": "0 7 * * MON-FRI",
        "time_zone": "Europe/Berlin",
        "overlap": "skip",
        "catch_up": "last",
        "signal": "digest.due",
        "payload": {"list": "all"}
    }})
}
