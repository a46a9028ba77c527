//! API keys. A key never gives more rights than the key that made it had.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{KeyId, Slug};
use fleetprompt_engine::NewKey;
use serde::Deserialize;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::Sent;
use super::request::{Asked, At};
use super::{Api, Problem, page, view};

/// Create a key
///
/// Its secret is shown in this answer alone. Takes the role `admin`, and for another tenant `owner`. With
/// `performs` it is for workers, and takes and reports that alone.
#[utoipa::path(
    post, path = "/v1/keys", tag = "tenants",
    request_body(content = wire::CreateKey, example = json!({"name": "forum webhook", "role": "member"})),
    responses((status = 201, description = "The key with its secret.", body = wire::Key)),
)]
pub async fn key_create(State(api): State<Api>, caller: Caller, Sent(request): Sent<wire::CreateKey>) -> Answer {
    caller.must_be(Role::Admin)?;
    let role = match (&request.performs, request.role) {
        // What it performs is all that it may.
        (Some(_), None) => Role::Viewer,
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_request("a key has a `role`, or else `performs`, when it is for workers"));
        }
        (None, role) => role.unwrap_or(Role::Member),
    };
    caller.must_be(role)?;
    if request.performs.as_ref().is_some_and(|performs| performs.all_tenants) {
        caller.must_be(Role::Owner)?;
    }
    let tenant = caller.tenant_named(&api, request.tenant.as_ref())?.tenant.clone();
    let actor = caller.scope.actor.clone();
    let new = NewKey { name: request.name, role, performs: request.performs, expires_at: request.expires_at };
    let created = api.engine().key_create(actor, tenant.id, new).await?;
    made(true, &view::key(&created.key, &tenant.slug, Some(created.secret)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyListQuery {
    /// Another tenant's keys, for owners.
    #[param(value_type = Option<schema::Slug>)]
    tenant: Option<Slug>,
    /// 1 to 1,000; 1,000 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List keys
///
/// Oldest first, expired and revoked ones among them, never with secrets. Takes the role `admin`.
#[utoipa::path(
    get, path = "/v1/keys", tag = "tenants", params(KeyListQuery),
    responses((status = 200, description = "A page of keys.", body = wire::Page<wire::Key>)),
)]
pub async fn key_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<KeyListQuery>) -> Answer {
    caller.must_be(Role::Admin)?;
    let tenant = &caller.tenant_named(&api, query.tenant.as_ref())?.tenant;
    let keys: Vec<_> = caller.directory.keys_of(tenant.id).into_iter().map(|key| (key.id.to_string(), key)).collect();
    let all = keys.iter().map(|(id, key)| (id.as_str(), key));
    let page =
        page::of_registered(all, query.limit, query.cursor.as_deref(), |key| Ok(view::key(key, &tenant.slug, None)));
    ok(&page?)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyQuery {
    /// The key's tenant, for owners; the caller's own unless given.
    #[param(value_type = Option<schema::Slug>)]
    tenant: Option<Slug>,
}

/// Revoke a key
///
/// It may not be used from now on, and every request that is open under it ends. Takes the role `admin`, and never less
/// than the key itself has.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "tenants",
    params(("id" = schema::KeyId, Path, description = "The key's id."), KeyQuery),
    responses((status = 200, description = "The key as it is now.", body = wire::Key)),
)]
pub async fn key_revoke(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<KeyId>,
    Asked(query): Asked<KeyQuery>,
) -> Answer {
    caller.must_be(Role::Admin)?;
    let tenant = caller.tenant_named(&api, query.tenant.as_ref())?.tenant.clone();
    let keys = caller.directory.keys_of(tenant.id);
    let key = keys.iter().find(|key| key.id == id).ok_or_else(|| Problem::not_found("key", id))?;
    caller.must_be(key.role)?;
    let key = api.engine().key_revoke(caller.scope.actor.clone(), tenant.id, id).await?;
    if let Some(among) = api.among() {
        // Requests under it may be open on other nodes, which look by themselves every few seconds.
        if let Err(error) = among.database.notify_nodes().await {
            tracing::warn!(target: "nodes", %error, "the other nodes were not told that a key was revoked");
        }
    }
    ok(&view::key(&key, &tenant.slug, None))
}

/// Say who the caller is
///
/// The tenant and the key that the request was made with.
#[utoipa::path(
    get, path = "/v1/whoami", tag = "tenants",
    responses((status = 200, description = "The caller's tenant and key.", body = wire::Whoami)),
)]
pub async fn whoami(caller: Caller) -> Answer {
    let tenant = &caller.registered()?.tenant;
    ok(&wire::Whoami { tenant: view::tenant(tenant), key: view::key(&caller.key, &tenant.slug, None) })
}
