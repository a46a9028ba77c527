//! Endpoints of tenants and keys: who may do what.

use fleetprompt_core::{KeyId, Slug};
use reqwest::Method;

use super::call::Repeat;
use super::query::add;
use super::{Client, Error, PageQuery};
use crate::wire::{CreateKey, CreateTenant, CreatedTenant, Key, Page, Tenant, UpdateTenant, Whoami};

impl Client {
    /// Needs an owner's key. The answer holds the tenant's first key, shown this once.
    pub async fn tenant_create(&self, create: &CreateTenant) -> Result<CreatedTenant, Error> {
        self.post(self.endpoint(&["v1", "tenants"]), create, Repeat::Never).await
    }

    pub async fn tenant_list(&self, page: &PageQuery) -> Result<Page<Tenant>, Error> {
        let mut url = self.endpoint(&["v1", "tenants"]);
        page.write(&mut url);
        self.get(url).await
    }

    /// Needs an owner's key.
    pub async fn tenant_update(&self, tenant: &Slug, change: &UpdateTenant) -> Result<Tenant, Error> {
        let request = self.request(Method::PATCH, self.endpoint(&["v1", "tenants", tenant.as_str()]));
        self.answer(request.json(change), Repeat::Safe).await
    }

    /// The answer holds the secret, shown this once.
    pub async fn key_create(&self, create: &CreateKey) -> Result<Key, Error> {
        self.post(self.endpoint(&["v1", "keys"]), create, Repeat::Never).await
    }

    pub async fn key_list(&self, tenant: Option<&Slug>, page: &PageQuery) -> Result<Page<Key>, Error> {
        let mut url = self.endpoint(&["v1", "keys"]);
        add(&mut url, "tenant", &tenant);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn key_revoke(&self, id: KeyId) -> Result<Key, Error> {
        let url = self.endpoint(&["v1", "keys", &id.to_string()]);
        self.answer(self.request(Method::DELETE, url), Repeat::Safe).await
    }

    pub async fn whoami(&self) -> Result<Whoami, Error> {
        self.get(self.endpoint(&["v1", "whoami"])).await
    }
}
