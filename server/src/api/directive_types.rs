//! Directive types: what may be requested here, and who carries it out.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::directive::{DirectiveType, HandlerKind};
use fleetprompt_core::registration::DirectiveTypeEntry;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Name};
use fleetprompt_engine::built_in;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::Sent;
use super::request::{Asked, At};
use super::workflows::RegisteredQuery;
use super::{Api, Problem, page, view};

/// Apply a directive type
///
/// An `http` handler gets each directive POSTed to its URL, signed by Standard Webhooks; when no
/// `secret` is given one is made, and shown in this answer alone. With a `manual` handler nothing is
/// sent: an outside system reports how each ended.
#[utoipa::path(
    post, path = "/v1/directive-types", tag = "directives",
    request_body(
        content = serde_json::Value,
        description = "The definition, as JSON.",
        example = json!({"directive_type": {
            "name": "forum.post.create",
            "description": "Posts a reply in a thread",
            "handler": {"type": "http", "url": "https://forum.example.com/hooks/fleetprompt"},
            "payload_schema": {
                "type": "object",
                "required": ["thread_id", "content"],
                "properties": {"thread_id": {"type": "string"}, "content": {"type": "string"}}
            },
            "retry": {"max_attempts": 5},
            "timeout": "20s"
        }}),
    ),
    responses(
        (status = 201, description = "It is kept.", body = wire::DirectiveType),
        (status = 200, description = "It was there already.", body = wire::DirectiveType),
    ),
)]
pub async fn directive_type_apply(State(api): State<Api>, caller: Caller, Sent(document): Sent<Json>) -> Answer {
    caller.must_be(Role::Member)?;
    let applied = api.engine().directive_type_apply(&caller.scope, document).await?;
    let kind = DirectiveType::read_stored(&applied.entry.document);
    let kind = kind.map_err(|error| Problem::internal("read the directive type that was kept", &error))?;
    let answer = wire::DirectiveType { secret: applied.secret, ..view::directive_type(&applied.entry, &kind) };
    made(applied.changed, &answer)
}

/// List directive types
///
/// By name, the built-in ones among them.
#[utoipa::path(
    get, path = "/v1/directive-types", tag = "directives", params(RegisteredQuery),
    responses((status = 200, description = "A page of directive types.", body = wire::Page<wire::DirectiveType>)),
)]
pub async fn directive_type_list(caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let registered = caller.registered()?.directive_types.values();
    let mut all: Vec<_> = registered.map(|(entry, kind)| shown(entry, kind)).chain(of_ours()).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let all = all.iter().map(|kind| (kind.name.as_str(), kind));
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), Ok)?)
}

/// Get a directive type
#[utoipa::path(
    get, path = "/v1/directive-types/{name}", tag = "directives",
    params(("name" = schema::Name, Path, description = "The directive's name.")),
    responses((status = 200, description = "The directive type.", body = wire::DirectiveType)),
)]
pub async fn directive_type_get(caller: Caller, At(name): At<Name>) -> Answer {
    let registered = caller.registered()?.directive_types.get(&name);
    let found = registered.map(|(entry, kind)| shown(entry, kind)).or_else(|| of_ours().find(|kind| kind.name == name));
    ok(&found.ok_or_else(|| Problem::not_found("directive type", &name))?)
}

fn shown(entry: &DirectiveTypeEntry, kind: &DirectiveType) -> wire::DirectiveType {
    view::directive_type(entry, kind)
}

/// The built-in ones, which every tenant has.
fn of_ours() -> impl Iterator<Item = wire::DirectiveType> {
    built_in().map(|(name, summary)| wire::DirectiveType {
        name: Name::known(name),
        description: summary.to_owned(),
        handler: HandlerKind::BuiltIn,
        url: None,
        payload_schema: None,
        updated_at: None,
        secret: None,
    })
}
