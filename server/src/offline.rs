//! What must work before there is a key to ask a server with: the first tenant and its keys, made
//! straight in the place where everything is kept, by the same engine that a server runs.

use std::sync::Arc;

use fleetprompt_client::wire;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Party, Slug};
use fleetprompt_engine::{Engine, NewKey};
use fleetprompt_store::Store;

use crate::api::view;
use crate::node::start_engine;
use crate::place::{Opened, Place};
use crate::settings::Settings;

/// A tenant, and an owner's key in it when it is the first of all.
pub async fn tenant_create(place: &Place, slug: Slug, name: String) -> anyhow::Result<wire::CreatedTenant> {
    let wanted = slug.clone();
    with_engine(place, &wanted, async |engine, first| {
        let role = if first { Role::Owner } else { Role::Admin };
        let (tenant, created) = engine.tenant_create(operator(), slug, name, role).await?;
        let key = wire_key(&tenant.slug, created.key, Some(created.secret));
        Ok(wire::CreatedTenant { tenant: view::tenant(&tenant), key })
    })
    .await
}

pub async fn key_create(place: &Place, tenant: &Slug, new: NewKey) -> anyhow::Result<wire::Key> {
    with_engine(place, tenant, async |engine, _| {
        let directory = engine.directory();
        let known = directory.tenant_by_slug(tenant.as_str());
        let known = known.ok_or_else(|| anyhow::anyhow!("there is no tenant `{tenant}` in {place}"))?;
        let created = engine.key_create(operator(), known.tenant.id, new).await?;
        Ok(wire_key(tenant, created.key, Some(created.secret)))
    })
    .await
}

/// The engine that decides for this tenant, and whether there is none at all so far.
async fn with_engine<T>(
    place: &Place,
    tenant: &Slug,
    act: impl AsyncFnOnce(&Engine, bool) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // Its settings are not the server's: what an endpoint or a model is to do waits for that.
    let settings = Settings::default();
    let opened = place.open(&settings)?;
    let (store, is_first): (Arc<dyn Store>, Option<bool>) = match &opened {
        Opened::Folder(folder) => (folder.store.clone(), None),
        Opened::Database(database) => {
            let is_first = database.tenants().await?.is_empty();
            (Arc::new(database.alone(database.partition_of(tenant))?), Some(is_first))
        }
    };
    let engine = start_engine(store, &settings, false)?;
    let is_first = is_first.unwrap_or_else(|| engine.directory().tenants().next().is_none());
    let done = act(&engine, is_first).await;
    engine.stop().await;
    done
}

/// Whoever may write to the place.
fn operator() -> Party {
    Party::new("operator", "command line")
}

fn wire_key(tenant: &Slug, key: fleetprompt_core::tenant::Key, secret: Option<String>) -> wire::Key {
    wire::Key {
        id: key.id,
        tenant: tenant.clone(),
        name: key.name,
        role: key.role,
        performs: key.performs,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        secret,
    }
}
