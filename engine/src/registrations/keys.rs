//! Tenants, and the keys that speak for them. A secret is told once and kept only as its hash.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleetprompt_core::performs::Performs;
use fleetprompt_core::signal::is_plain_text;
use fleetprompt_core::tenant::{Key, KeyHash, Role, Tenant, Weight};
use fleetprompt_core::{KeyId, Party, Slug, TenantId};
use serde_json::json;

use super::{Change, load};
use crate::batch::Decider;
use crate::{CreatedKey, Error, NewKey, Refusal, TenantChange};

impl Decider {
    pub(super) fn tenant_create(
        &mut self,
        actor: &Party,
        slug: Slug,
        name: String,
        role: Role,
    ) -> Result<Change<(Tenant, CreatedKey)>, Error> {
        let (mut directory, mut open) = self.begin();
        if directory.tenant_by_slug(slug.as_str()).is_some() {
            return Err(Refusal::conflict("tenant_exists", format!("there is a tenant `{slug}` already")).into());
        }
        check_name(&name)?;
        let (id, weight) = (TenantId(self.moment.uuid()), Weight::default());
        let tenant = Tenant { id, slug, name, weight, created_at: self.moment.now() };
        let created = self.new_key(tenant.id, NewKey::of_role("first key", role));
        open.stage.registered.tenants.push(tenant.clone());
        open.stage.registered.keys.push(created.key.clone());
        let payload = json!({"tenant": tenant.slug, "name": tenant.name, "weight": tenant.weight});
        self.audit(&mut open, tenant.id, actor, "tenant.created", load::subject(&tenant), payload)?;
        self.audit(&mut open, tenant.id, actor, "key.created", subject(&created.key), about(&created.key))?;
        directory.put_tenant(tenant.clone());
        directory.put_key(created.key.clone());
        Ok(Change { open, directory, answer: (tenant, created) })
    }

    pub(super) fn tenant_update(
        &mut self,
        actor: &Party,
        slug: &Slug,
        change: TenantChange,
    ) -> Result<Change<Tenant>, Error> {
        let (mut directory, mut open) = self.begin();
        let known = directory.tenant_by_slug(slug.as_str()).ok_or_else(|| Refusal::not_found("tenant", slug))?;
        let mut tenant = Tenant::clone(&known.tenant);
        if let Some(name) = change.name {
            check_name(&name)?;
            tenant.name = name;
        }
        tenant.weight = change.weight.unwrap_or(tenant.weight);
        if tenant != *known.tenant {
            open.stage.registered.tenants.push(tenant.clone());
            let payload = json!({"tenant": tenant.slug, "name": tenant.name, "weight": tenant.weight});
            self.audit(&mut open, tenant.id, actor, "tenant.updated", load::subject(&tenant), payload)?;
            if let Some(known) = directory.tenant_mut(tenant.id) {
                known.tenant = Arc::new(tenant.clone());
            }
        }
        Ok(Change { open, directory, answer: tenant })
    }

    pub(super) fn key_create(
        &mut self,
        actor: &Party,
        tenant: TenantId,
        new: NewKey,
    ) -> Result<Change<CreatedKey>, Error> {
        let (mut directory, mut open) = self.begin();
        directory.tenant(tenant).ok_or_else(|| Refusal::not_found("tenant", tenant))?;
        check_name(&new.name)?;
        check_performs(new.performs.as_ref())?;
        if new.expires_at.is_some_and(|end| end <= self.moment.now()) {
            return Err(Refusal::invalid("expiry_past", "`expires_at` is in the past").into());
        }
        let created = self.new_key(tenant, new);
        open.stage.registered.keys.push(created.key.clone());
        self.audit(&mut open, tenant, actor, "key.created", subject(&created.key), about(&created.key))?;
        directory.put_key(created.key.clone());
        Ok(Change { open, directory, answer: created })
    }

    pub(super) fn key_revoke(&mut self, actor: &Party, tenant: TenantId, id: KeyId) -> Result<Change<Key>, Error> {
        let (mut directory, mut open) = self.begin();
        let known = directory.key_by_id(tenant, id).ok_or_else(|| Refusal::not_found("key", id))?;
        let mut key = Key::clone(known);
        if key.revoked_at.is_none() {
            key.revoked_at = Some(self.moment.now());
            open.stage.registered.keys.push(key.clone());
            self.audit(&mut open, tenant, actor, "key.revoked", subject(&key), about(&key))?;
            directory.put_key(key.clone());
        }
        Ok(Change { open, directory, answer: key })
    }

    fn new_key(&mut self, tenant: TenantId, new: NewKey) -> CreatedKey {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        let secret = format!("fp_{}", URL_SAFE_NO_PAD.encode(bytes));
        let key = Key {
            id: KeyId(self.moment.uuid()),
            tenant,
            name: new.name,
            role: new.role,
            performs: new.performs,
            hash: KeyHash::of(&secret),
            created_at: self.moment.now(),
            expires_at: new.expires_at,
            revoked_at: None,
        };
        CreatedKey { key, secret }
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    match is_plain_text(name) {
        true => Ok(()),
        false => {
            Err(Refusal::invalid("text_invalid", "`name` must have 1 to 255 characters and no control characters"))
        }
    }
}

fn check_performs(performs: Option<&Performs>) -> Result<(), Refusal> {
    const NAMES_MAX: usize = 1_000;
    match performs {
        Some(performs) if !(1..=NAMES_MAX).contains(&performs.names.len()) => {
            let message = format!("`performs` has 1 to {NAMES_MAX} names, like `mail.send` or `mail.*`");
            Err(Refusal::invalid("performs_invalid", message))
        }
        _ => Ok(()),
    }
}

fn about(key: &Key) -> serde_json::Value {
    let mut about = json!({"key": key.id, "name": key.name, "role": key.role, "expires_at": key.expires_at});
    if let Some(performs) = &key.performs {
        about["performs"] = json!(performs);
    }
    about
}

fn subject(key: &Key) -> Party {
    Party::new("key", key.id)
}
