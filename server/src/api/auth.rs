//! Who asks. The tenant and the actor come from the key alone, never from the request.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::{Extensions, HeaderMap, header, request};
use fleetprompt_core::performs::Performs;
use fleetprompt_core::tenant::{Key, KeyHash, Role};
use fleetprompt_core::{KeyId, Party, Scope, Slug, TenantId, Timestamp};
use fleetprompt_engine::{Directory, TenantDirectory};
use serde::{Deserialize, Serialize};

use super::body::Authenticated;
use super::refused_keys::KeyRefusal;
use super::request_log::RequestKey;
use super::{Api, Elsewhere, Problem, now};

#[derive(Debug, Clone)]
pub struct Caller {
    pub scope: Scope,
    pub role: Role,
    pub key: Arc<Key>,
    /// What was registered when the request came in.
    pub directory: Arc<Directory>,
    /// The key belongs to another partition, and is watched by the node that looked it up.
    is_vouched_for: bool,
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
    pub(super) fn tenant_named(&self, api: &Api, slug: Option<&Slug>) -> Result<&Arc<TenantDirectory>, Problem> {
        let Some(slug) = slug else { return self.registered() };
        let found = self.directory.tenant_by_slug(slug.as_str());
        if let Some(own) = found.filter(|found| found.tenant.id == self.tenant()) {
            return Ok(own);
        }
        // Asked first, so that nobody else learns which tenants there are.
        self.must_be(Role::Owner)?;
        self.must_be_here(api, slug)?;
        found.ok_or_else(|| Problem::not_found("tenant", slug))
    }

    /// Whoever decides for the tenant that an owner names.
    pub(super) fn must_be_here(&self, api: &Api, slug: &Slug) -> Result<(), Problem> {
        let Some(among) = api.among() else { return Ok(()) };
        let partition = among.database.partition_of(slug);
        if partition == among.partition {
            return Ok(());
        }
        Err(Problem::elsewhere(Elsewhere { partition, by: PassedOn::vouched(&self.key) }))
    }

    /// Returns `false` once the key was revoked or has expired.
    pub fn is_live(&self, api: &Api) -> bool {
        self.is_vouched_for || api.engine().directory().key(&self.key.hash, now()).is_some()
    }

    /// Resolves once the key was revoked or has expired: what is open under it ends then.
    pub fn until_key_ends(&self, api: &Api) -> impl Future<Output = ()> + Send + use<> {
        let (caller, api) = (self.clone(), api.clone());
        async move {
            let mut changes = caller.directory.changes();
            while caller.is_live(&api) {
                tokio::select! {
                    () = until_expiry(caller.key.expires_at) => {}
                    changed = changes.changed() => if changed.is_err() { std::future::pending().await },
                }
            }
        }
    }
}

/// Resolves at this time by the system's clock, which may be set in the meantime; never if there is none.
pub async fn until_expiry(expires_at: Option<Timestamp>) {
    const LOOK_EVERY: Duration = Duration::from_secs(60);
    let Some(end) = expires_at else { return std::future::pending().await };
    loop {
        let left = end.0.saturating_sub(now().0);
        if left <= 0 {
            return;
        }
        tokio::time::sleep(Duration::from_micros(left.unsigned_abs()).min(LOOK_EVERY)).await;
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
        let caller = Caller::authenticated(parts, api)?;
        if caller.key.performs.is_none() {
            caller.must_be(Role::Member)?;
        }
        Ok(Self(caller))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Self::authenticated(parts, api)?;
        match &caller.key.performs {
            None => Ok(caller),
            Some(_) => Err(Problem::forbidden("this key was made for workers: it takes, keeps and reports attempts")),
        }
    }
}

/// What is said of the sender of a request that another node, or another partition, passes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum PassedOn {
    /// The secret that it sent, as it is kept.
    Key(Vec<u8>),
    /// Its key was looked at where it belongs.
    Vouched(Vouched),
}

/// A key that the directory of whoever answers does not have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Vouched {
    tenant: TenantId,
    key: KeyId,
    role: Role,
    performs: Option<Performs>,
}

impl PassedOn {
    /// `None` if it sends no secret.
    pub fn by(headers: &HeaderMap) -> Option<(Self, KeyHash)> {
        let hash = KeyHash::of(secret(headers)?);
        Some((Self::Key(hash.0.to_vec()), hash))
    }

    /// Whoever says this has looked at the key.
    pub fn vouched(key: &Key) -> Self {
        Self::Vouched(Vouched { tenant: key.tenant, key: key.id, role: key.role, performs: key.performs.clone() })
    }
}

impl Vouched {
    fn caller(&self, directory: Arc<Directory>) -> Caller {
        let Self { tenant, key, role, ref performs } = *self;
        let key = Key {
            id: key,
            tenant,
            name: String::new(),
            role,
            performs: performs.clone(),
            hash: KeyHash([0; 32]),
            created_at: now(),
            expires_at: None,
            revoked_at: None,
        };
        Caller {
            scope: Scope { tenant, actor: Party::new("key", key.id) },
            role,
            key: Arc::new(key),
            directory,
            is_vouched_for: true,
        }
    }
}

impl Caller {
    /// The tenant whose key the request has, if it is a good one.
    pub fn tenant_of(request: &Request, api: &Api) -> Option<TenantId> {
        Some(Self::read(request.headers(), request.extensions(), api).ok()?.tenant())
    }

    /// The caller of a request that is being answered. A refusal is counted.
    fn authenticated(parts: &mut request::Parts, api: &Api) -> Result<Self, Problem> {
        let read = Self::read(&parts.headers, &parts.extensions, api);
        let caller = read.map_err(|refusal| {
            api.config().counted.refused_keys.count(refusal);
            match refusal {
                KeyRefusal::Missing => {
                    Problem::unauthorized("send the header `Authorization: Bearer fp_…` with an API key")
                }
                KeyRefusal::Unknown | KeyRefusal::Expired(_) | KeyRefusal::Revoked(_) => Problem::key_unknown(),
            }
        })?;
        if let Some(RequestKey(key)) = parts.extensions.get() {
            let _ = key.set(caller.key.id);
        }
        parts.extensions.insert(Authenticated(caller.tenant()));
        Ok(caller)
    }

    fn read(headers: &HeaderMap, extensions: &Extensions, api: &Api) -> Result<Self, KeyRefusal> {
        let directory = api.engine().directory();
        let hash = match extensions.get::<PassedOn>() {
            Some(PassedOn::Vouched(by)) => return Ok(by.caller(directory)),
            Some(PassedOn::Key(hash)) => hash.as_slice().try_into().map(KeyHash).ok(),
            None => Some(KeyHash::of(secret(headers).ok_or(KeyRefusal::Missing)?)),
        };
        let known = hash.and_then(|hash| directory.key_of_secret(&hash));
        let key = known.filter(|key| key.is_live(now())).cloned();
        let key = key.ok_or_else(|| KeyRefusal::of(known.map(|key| &**key)))?;
        let scope = Scope { tenant: key.tenant, actor: Party::new("key", key.id) };
        Ok(Self { scope, role: key.role, key, directory, is_vouched_for: false })
    }
}

fn secret(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
