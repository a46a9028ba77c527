//! What must work before there is a key to ask a server with: the first tenant and its keys, made
//! straight in the place where everything is kept, by the same engine that a server runs.

use std::time::Duration;

use fleetprompt_client::wire;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Party, Slug};
use fleetprompt_engine::{Engine, NewKey};

use crate::node::start_engine;
use crate::place::Place;
use crate::settings::Settings;

/// A tenant, and an owner's key in it when it is the first of all.
pub async fn tenant_create(place: &Place, slug: Slug, name: String) -> anyhow::Result<wire::CreatedTenant> {
    with_engine(place, async |engine| {
        let first = engine.directory().tenants().next().is_none();
        let role = if first { Role::Owner } else { Role::Admin };
        let (tenant, created) = engine.tenant_create(operator(), slug, name, role).await?;
        let key = wire_key(&tenant.slug, created.key, Some(created.secret));
        Ok(wire::CreatedTenant { tenant: wire_tenant(tenant), key })
    })
    .await
}

pub async fn key_create(place: &Place, tenant: &Slug, new: NewKey) -> anyhow::Result<wire::Key> {
    with_engine(place, async |engine| {
        let directory = engine.directory();
        let known = directory.tenant_by_slug(tenant.as_str());
        let known = known.ok_or_else(|| anyhow::anyhow!("there is no tenant `{tenant}` in {place}"))?;
        let created = engine.key_create(operator(), known.tenant.id, new).await?;
        Ok(wire_key(tenant, created.key, Some(created.secret)))
    })
    .await
}

async fn with_engine<T>(place: &Place, act: impl AsyncFnOnce(&Engine) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let opened = place.open(Duration::from_secs(10), false)?;
    // Its settings are not the server's: what an endpoint or a model is to do waits for that.
    let engine = start_engine(&opened, &Settings::default(), false)?;
    let done = act(&engine).await;
    engine.stop().await;
    done
}

/// Whoever may write to the place.
fn operator() -> Party {
    Party::new("operator", "command line")
}

fn wire_tenant(tenant: fleetprompt_core::tenant::Tenant) -> wire::Tenant {
    wire::Tenant { id: tenant.id, slug: tenant.slug, name: tenant.name, created_at: tenant.created_at }
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
