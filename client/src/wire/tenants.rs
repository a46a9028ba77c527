//! Tenants, and the keys that speak for them.

use fleetprompt_core::performs::Performs;
use fleetprompt_core::tenant::{Role, Weight};
use fleetprompt_core::{KeyId, Slug, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use super::schema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenant {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::TenantId))]
    pub id: TenantId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    pub name: String,
    /// How much it gets beside others, when all of them want more than there is: with 200 twice as much as with 100,
    /// which is usual.
    #[cfg_attr(feature = "openapi", schema(value_type = u16, minimum = 1, maximum = 10_000))]
    pub weight: Weight,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub slug: Slug,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub name: Option<String>,
}

/// What is to become of a tenant; what is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub name: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u16>, minimum = 1, maximum = 10_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
}

/// A new tenant and its first key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedTenant {
    pub tenant: Tenant,
    pub key: Key,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub name: String,
    /// `member` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Role>))]
    pub role: Option<Role>,
    /// For a key that is made for workers, and may do nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Performs>))]
    pub performs: Option<Performs>,
    /// Of the caller's own tenant unless given; another's needs an owner's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Slug>))]
    pub tenant: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Key {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::KeyId))]
    pub id: KeyId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Slug))]
    pub tenant: Slug,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Role))]
    pub role: Role,
    /// It is for workers: it takes and reports this, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Performs>))]
    pub performs: Option<Performs>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub revoked_at: Option<Timestamp>,
    /// Only in the answer to the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// On whose behalf a key speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Whoami {
    pub tenant: Tenant,
    pub key: Key,
}
