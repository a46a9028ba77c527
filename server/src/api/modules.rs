//! Modules of WebAssembly that functions are called in.

use axum::extract::State;
use fleetprompt_client::wire;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::ModuleEntry;
use fleetprompt_core::tenant::Role;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::SentModule;
use super::request::{Asked, At};
use super::workflows::RegisteredQuery;
use super::{Api, page};

/// Add a module
///
/// A module of WebAssembly, of at most 1 MiB. It exports its `memory`, `alloc` and `call`, and imports nothing. A
/// function with the handler `wasm` names it by its digest.
#[utoipa::path(
    post, path = "/v1/modules", tag = "workers",
    request_body(content = schema::Bytes, content_type = "application/wasm", description = "The module's bytes."),
    responses(
        (status = 201, description = "It is kept.", body = wire::Module),
        (status = 200, description = "It was there already.", body = wire::Module),
    ),
)]
pub async fn module_add(State(api): State<Api>, caller: Caller, SentModule(bytes): SentModule) -> Answer {
    caller.must_be(Role::Member)?;
    let added = api.engine().module_add(&caller.scope, bytes.into()).await?;
    made(added.changed, &view(&added.entry))
}

/// List modules
///
/// All of the tenant's, by digest.
#[utoipa::path(
    get, path = "/v1/modules", tag = "workers", params(RegisteredQuery),
    responses((status = 200, description = "A page of modules.", body = wire::Page<wire::Module>)),
)]
pub async fn module_list(caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let all = caller.registered()?.modules.iter().map(|(digest, module)| (digest.as_str(), module));
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), |module| Ok(view(module)))?)
}

/// Remove a module
///
/// One that no function names any more.
#[utoipa::path(
    delete, path = "/v1/modules/{digest}", tag = "workers",
    params(("digest" = schema::ModuleDigest, Path, description = "The module's digest.")),
    responses((status = 200, description = "The module as it was.", body = wire::Module)),
)]
pub async fn module_remove(State(api): State<Api>, caller: Caller, At(digest): At<ModuleDigest>) -> Answer {
    caller.must_be(Role::Member)?;
    ok(&view(&api.engine().module_remove(&caller.scope, digest).await?))
}

fn view(module: &ModuleEntry) -> wire::Module {
    wire::Module { digest: module.digest.to_string(), size: module.size, created_at: module.created_at }
}
