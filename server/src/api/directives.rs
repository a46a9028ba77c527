//! Directives: intents, requested under a key, so that asking twice is asking once.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fleetprompt_client::wire;
use fleetprompt_core::directive::HandlerKind;
use fleetprompt_core::signal::is_plain_text;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{DirectiveId, Failure, Json, Name, RunId, directive};
use fleetprompt_engine::NewDirective;
use fleetprompt_store::{DirectiveFilter, Page};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::{Sent, SentOrNot};
use super::page::Reading;
use super::request::{Asked, At, IdempotencyKey, caller_trace, correlation, idempotency_key};
use super::{Api, Problem, page, view};

/// Request a directive
///
/// Records an intent, and lets its handler carry it out. The idempotency key, in the body or the
/// header, makes it one intent however often it is asked for: the same request again answers 200
/// with the same directive, and another request under the same key is refused. A directive that is built in is carried
/// out at once: if it fails, the response is the problem that it failed with, and another attempt needs another key.
#[utoipa::path(
    post, path = "/v1/directives", tag = "directives",
    params(IdempotencyKey),
    request_body(
        content = wire::RequestDirective,
        example = json!({
            "name": "forum.post.create",
            "idempotency_key": "thread-42-welcome",
            "payload": {"thread_id": "42", "content": "Welcome!"}
        }),
    ),
    responses(
        (status = 201, description = "It is on record.", body = wire::Requested),
        (status = 200, description = "It was asked for before.", body = wire::Requested),
    ),
)]
pub async fn directive_request(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Sent(request): Sent<wire::RequestDirective>,
) -> Answer {
    caller.must_be(Role::Member)?;
    let directive = NewDirective {
        name: request.name,
        payload: request.payload.unwrap_or_else(|| json!({}).into()),
        idempotency_key: one_key(idempotency_key(&headers)?, request.idempotency_key)?,
        correlation_id: correlation(request.correlation_id, request.causation_id, caller_trace(&headers)),
        causation_id: request.causation_id,
    };
    let requested = api.engine().request(&caller.scope, directive).await?;
    // What is built in is carried out with the request that records it, and so is its failure.
    if let Some(error) =
        requested.directive.error.as_ref().filter(|_| requested.directive.handler == HandlerKind::BuiltIn)
    {
        return Err(Problem::of_failed(&requested.directive, error));
    }
    let directive = view::directive(&requested.directive);
    made(!requested.replayed, &wire::Requested { directive, replayed: requested.replayed })
}

fn one_key(header: Option<&str>, body: Option<String>) -> Result<String, Problem> {
    match (header, body) {
        (Some(header), Some(body)) if header != body => {
            let detail = "the header `Idempotency-Key` and the field `idempotency_key` differ: send one, or the same";
            Err(Problem::invalid_request(detail))
        }
        (_, Some(key)) => Ok(key),
        (Some(key), None) => Ok(key.to_owned()),
        (None, None) => {
            let detail = "a directive needs an idempotency key: send the field `idempotency_key` or the header \
                          `Idempotency-Key`, with a text that is the same whenever the same is meant";
            Err(Problem::new(StatusCode::BAD_REQUEST, "idempotency_key_missing", detail))
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DirectiveQuery {
    /// Only directives of this name.
    #[param(value_type = Option<schema::Name>)]
    name: Option<Name>,
    #[param(value_type = Option<schema::DirectiveStatus>)]
    status: Option<directive::Status>,
    /// Only what the steps of this run asked for.
    #[param(value_type = Option<schema::RunId>)]
    run_id: Option<RunId>,
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List directives
///
/// Newest first.
#[utoipa::path(
    get, path = "/v1/directives", tag = "directives", params(DirectiveQuery),
    responses((status = 200, description = "A page of directives.", body = wire::Page<wire::Directive>)),
)]
pub async fn directive_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<DirectiveQuery>) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<DirectiveId> = page::cursor(query.cursor.as_deref())?;
    let filter = DirectiveFilter { name: query.name, status: query.status, run_id: query.run_id };
    let (tenant, page) = (caller.tenant(), Page::before(cursor.map(|id| id.0), limit));
    let read = api.read(move |store| {
        let list = |page| Ok(store.directives(tenant, &filter, page)?);
        Reading::new(page, list, |directive| directive.id.into())
            .read(|directive| Ok(Some(view::directive(&directive))))
    });
    ok(&read.await?)
}

/// Get a directive
#[utoipa::path(
    get, path = "/v1/directives/{id}", tag = "directives",
    params(("id" = schema::DirectiveId, Path, description = "The directive's id.")),
    responses((status = 200, description = "The directive.", body = wire::Directive)),
)]
pub async fn directive_get(State(api): State<Api>, caller: Caller, At(id): At<DirectiveId>) -> Answer {
    let tenant = caller.tenant();
    let read = api.read(move |store| store.directive(tenant, id)?.ok_or_else(|| Problem::not_found("directive", id)));
    ok(&view::directive(&read.await?))
}

/// Cancel a directive
///
/// One that is being carried out at this moment keeps its outcome, whichever it will be.
#[utoipa::path(
    post, path = "/v1/directives/{id}/cancel", tag = "directives",
    params(("id" = schema::DirectiveId, Path, description = "The directive's id.")),
    request_body(content = Option<wire::Cancel>, example = json!({"reason": "asked for by mistake"})),
    responses((status = 200, description = "The directive as it is now.", body = wire::Directive)),
)]
pub async fn directive_cancel(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<DirectiveId>,
    SentOrNot(cancel): SentOrNot<wire::Cancel>,
) -> Answer {
    caller.must_be(Role::Member)?;
    let reason = reason(cancel)?;
    let directive = api.engine().directive_cancel(&caller.scope, id, reason).await?;
    ok(&view::directive(&directive))
}

/// Report on a directive
///
/// How a directive with the handler `manual` ended, from the system that carried it out.
#[utoipa::path(
    post, path = "/v1/directives/{id}/report", tag = "directives",
    params(("id" = schema::DirectiveId, Path, description = "The directive's id.")),
    request_body(content = wire::Report, example = json!({"status": "succeeded", "output": {"post_id": "p_9"}})),
    responses((status = 200, description = "The directive as it is now.", body = wire::Directive)),
)]
pub async fn directive_report(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<DirectiveId>,
    Sent(report): Sent<wire::Report>,
) -> Answer {
    caller.must_be(Role::Member)?;
    let directive = api.engine().directive_report(&caller.scope, id, outcome(report)?).await?;
    ok(&view::directive(&directive))
}

/// Say that a directive is being worked on
///
/// From the system that carries out a directive with the handler `manual`, before its `heartbeat` is
/// over: silence longer than that makes it fail.
#[utoipa::path(
    post, path = "/v1/directives/{id}/heartbeat", tag = "directives",
    params(("id" = schema::DirectiveId, Path, description = "The directive's id.")),
    responses((status = 200, description = "The directive as it is now.", body = wire::Directive)),
)]
pub async fn directive_heartbeat(State(api): State<Api>, caller: Caller, At(id): At<DirectiveId>) -> Answer {
    caller.must_be(Role::Member)?;
    let directive = api.engine().directive_heartbeat(&caller.scope, id).await?;
    ok(&view::directive(&directive))
}

fn outcome(report: wire::Report) -> Result<Result<Json, Failure>, Problem> {
    match report {
        wire::Report::Succeeded { output } => Ok(Ok(output.unwrap_or_else(|| json!({}).into()))),
        wire::Report::Failed { error } if is_plain_text(&error.code) => {
            Ok(Err(Failure::fatal(&error.code, error.message)))
        }
        wire::Report::Failed { .. } => {
            Err(Problem::invalid_request("`error.code` must have 1 to 255 characters and no control characters"))
        }
    }
}

/// Why something is to be canceled, in words that fit into the record.
fn reason(cancel: wire::Cancel) -> Result<String, Problem> {
    let reason = cancel.reason.unwrap_or_default();
    if reason.len() > Failure::MESSAGE_CHARS_MAX || reason.contains('\0') {
        let detail = format!("`reason` may have at most {} characters", Failure::MESSAGE_CHARS_MAX);
        return Err(Problem::invalid_request(detail));
    }
    Ok(reason)
}
