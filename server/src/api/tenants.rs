//! Tenants: made and listed by owners.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::tenant::{Role, Tenant};

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::Sent;
use super::request::Asked;
use super::workflows::RegisteredQuery;
use super::{Api, page, view};

/// Create a tenant
///
/// With its first key, of the role `admin`, whose secret is shown in this answer alone. Takes the
/// role `owner`.
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants",
    request_body(content = wire::CreateTenant, example = json!({"slug": "acme", "name": "Acme Inc."})),
    responses((status = 201, description = "The tenant and its first key.", body = wire::CreatedTenant)),
)]
pub async fn tenant_create(State(api): State<Api>, caller: Caller, Sent(request): Sent<wire::CreateTenant>) -> Answer {
    caller.must_be(Role::Owner)?;
    caller.must_be_here(&api, &request.slug)?;
    let name = request.name.unwrap_or_else(|| request.slug.to_string());
    let created = api.engine().tenant_create(caller.scope.actor, request.slug, name, Role::Admin).await?;
    let (tenant, created) = created;
    let key = view::key(&created.key, &tenant.slug, Some(created.secret));
    made(true, &wire::CreatedTenant { tenant: view::tenant(&tenant), key })
}

/// List tenants
///
/// By slug. Takes the role `owner`.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", params(RegisteredQuery),
    responses((status = 200, description = "A page of tenants.", body = wire::Page<wire::Tenant>)),
)]
pub async fn tenant_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    caller.must_be(Role::Owner)?;
    let tenants = match api.among() {
        Some(among) => among.database.tenants().await.map_err(fleetprompt_engine::Error::from)?,
        None => caller.directory.tenants().map(|tenant| Tenant::clone(&tenant.tenant)).collect(),
    };
    let all = tenants.iter().map(|tenant| (tenant.slug.as_str(), tenant));
    let (tenants, next_cursor) = page::of_registered(all, query.limit, query.cursor.as_deref())?;
    ok(&wire::Page { items: tenants.into_iter().map(view::tenant).collect(), next_cursor })
}
