//! Tenants: made and listed by owners.

use axum::extract::State;
use fleetprompt_client::wire::{self, schema};
use fleetprompt_core::Slug;
use fleetprompt_core::tenant::{Role, Tenant};
use fleetprompt_engine::TenantChange;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::Sent;
use super::request::{Asked, At};
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

/// Change a tenant
///
/// Its name, or how much it gets beside others. Takes the role `owner`.
#[utoipa::path(
    patch, path = "/v1/tenants/{slug}", tag = "tenants",
    params(("slug" = schema::Slug, Path, description = "The tenant's slug.")),
    request_body(content = wire::UpdateTenant, example = json!({"weight": 200})),
    responses((status = 200, description = "The tenant as it is now.", body = wire::Tenant)),
)]
pub async fn tenant_update(
    State(api): State<Api>,
    caller: Caller,
    At(slug): At<Slug>,
    Sent(request): Sent<wire::UpdateTenant>,
) -> Answer {
    caller.must_be(Role::Owner)?;
    caller.must_be_here(&api, &slug)?;
    let change = TenantChange { name: request.name, weight: request.weight };
    ok(&view::tenant(&api.engine().tenant_update(caller.scope.actor, slug, change).await?))
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
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), |tenant| Ok(view::tenant(tenant)))?)
}
