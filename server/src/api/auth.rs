//! Who asks. The tenant and the actor come from the key alone, never from the request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request};
use fleetprompt_core::tenant::{Key, Role};
use fleetprompt_core::{Party, Scope, Slug, TenantId};
use fleetprompt_engine::{Directory, TenantDirectory};

use super::{Api, Problem, now};

#[derive(Debug, Clone)]
pub struct Caller {
    pub scope: Scope,
    pub role: Role,
    pub key: Arc<Key>,
    /// What was registered when the request came in.
    pub directory: Arc<Directory>,
}

impl Caller {
    pub fn tenant(&self) -> TenantId {
        self.scope.tenant
    }

    /// The caller needs this role, or a higher one.
    pub fn must_be(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role { Ok(()) } else { Err(Problem::role_missing(self.role, role)) }
    }

    /// What the caller's tenant has registered.
    pub fn registered(&self) -> Result<&Arc<TenantDirectory>, Problem> {
        let found = self.directory.tenant(self.tenant());
        found.ok_or_else(|| Problem::unavailable("the tenant of this key is not loaded yet"))
    }

    /// The tenant that is meant: the caller's own, or one that an owner names.
    pub fn tenant_named(&self, slug: Option<&Slug>) -> Result<&Arc<TenantDirectory>, Problem> {
        let own = self.registered()?;
        match slug {
            None => Ok(own),
            Some(slug) if *slug == own.tenant.slug => Ok(own),
            Some(slug) => {
                // Asked first, so that nobody else learns which tenants there are.
                self.must_be(Role::Owner)?;
                let other = self.directory.tenant_by_slug(slug.as_str());
                other.ok_or_else(|| Problem::not_found("tenant", slug))
            }
        }
    }

    /// Whether the key may still be used; asked now and then by what goes on for long.
    pub fn is_live(&self, directory: &Directory) -> bool {
        directory.keys_of(self.tenant()).iter().any(|key| key.id == self.key.id && key.is_live(now()))
    }
}

/// Whoever may take attempts and report them: a key that was made for workers, or somebody with the role
/// `member`.
#[derive(Debug, Clone)]
pub struct Performer(Caller);

impl Performer {
    pub fn caller(&self) -> &Caller {
        &self.0
    }
}

impl FromRequestParts<Api> for Performer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Caller::read(parts, api)?;
        if caller.key.performs.is_none() {
            caller.must_be(Role::Member)?;
        }
        Ok(Self(caller))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Self::read(parts, api)?;
        match &caller.key.performs {
            None => Ok(caller),
            Some(_) => Err(Problem::forbidden("this key was made for workers: it takes, keeps and reports attempts")),
        }
    }
}

impl Caller {
    fn read(parts: &request::Parts, api: &Api) -> Result<Self, Problem> {
        let secret = secret(&parts.headers)?;
        let directory = api.engine().directory();
        let key = directory.key(secret, now()).cloned();
        let key = key.ok_or_else(|| Problem::unauthorized("this key is unknown, expired or revoked"))?;
        let scope = Scope { tenant: key.tenant, actor: Party::new("key", key.id) };
        Ok(Self { scope, role: key.role, key, directory })
    }
}

fn secret(headers: &HeaderMap) -> Result<&str, Problem> {
    let expected = || Problem::unauthorized("send the header `Authorization: Bearer fp_…` with an API key");
    let text = headers.get(header::AUTHORIZATION).ok_or_else(expected)?.to_str().map_err(|_| expected())?;
    let (scheme, secret) = text.split_once(' ').ok_or_else(expected)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(secret.trim()) } else { Err(expected()) }
}
