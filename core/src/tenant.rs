//! Tenants, and the keys that speak for them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::performs::Performs;
use crate::{KeyId, Slug, TenantId, Timestamp};

/// An organization's isolated scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    pub slug: Slug,
    pub name: String,
    pub weight: Weight,
    pub created_at: Timestamp,
}

/// How much a tenant gets beside others, when all of them want more than there is: with 200 twice as much as with 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a weight is from 1 to {max}; 100 is usual", max = Weight::MAX)]
pub struct InvalidWeight;

impl Weight {
    pub const MAX: u16 = 10_000;

    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u16> for Weight {
    type Error = InvalidWeight;

    fn try_from(weight: u16) -> Result<Self, InvalidWeight> {
        if (1..=Self::MAX).contains(&weight) { Ok(Self(weight)) } else { Err(InvalidWeight) }
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl FromStr for Weight {
    type Err = InvalidWeight;

    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        text.parse::<u16>().map_err(|_| InvalidWeight)?.try_into()
    }
}

/// What a key may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything of its tenant.
    Viewer,
    /// Emits signals, requests directives, applies workflows.
    Member,
    /// Steps in where a run does not go as it should: retries, skips, supplies what is missing.
    Operator,
    /// Makes and revokes its tenant's keys.
    Admin,
    /// Makes tenants, and keys of every tenant.
    Owner,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Member, Self::Operator, Self::Admin, Self::Owner];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// A key as it is kept: never its secret, only the secret's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub tenant: TenantId,
    pub name: String,
    pub role: Role,
    /// Made for workers: it takes and reports what is said here, and nothing else.
    pub performs: Option<Performs>,
    pub hash: KeyHash,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// BLAKE3 of the whole secret. The secret is 32 random bytes, so a fast hash is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    pub fn of(secret: &str) -> Self {
        Self(*blake3::hash(secret.as_bytes()).as_bytes())
    }
}
