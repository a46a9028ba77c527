//! Directive types: what a tenant has registered, and how each is carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::StrictJson;
use crate::name::RESERVED;
use crate::performs::{Labels, check_labels};
use crate::retry::RetryPolicy;
use crate::schema::Schema;
use crate::signature::is_secret;
use crate::{Json, Name, Span};

pub const MAX_TYPE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub struct DirectiveType {
    pub name: Name,
    pub description: String,
    pub handler: Handler,
    pub payload_schema: Option<Schema>,
    pub retry: RetryPolicy,
    /// The longest that one attempt may take; for `manual`, the wait for the report.
    pub timeout: Option<Span>,
    /// The longest that an endpoint may take to call back once it has answered by 202.
    pub callback_timeout: Option<Span>,
    /// The document it was read from, as it is stored.
    pub document: Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Handler {
    /// POSTed to an endpoint, signed by Standard Webhooks, with `Idempotency-Key`.
    Http {
        url: String,
        /// `whsec_` and base64. Made when the type is registered without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// Nothing is sent: an outside system sees it and reports how it ended.
    Manual {},
    /// A worker takes it and reports how it ended.
    Worker {
        /// Only workers with all of these take it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: Arc<Labels>,
    },
}

/// Fixed on a directive when it is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerKind {
    /// Writes our own store, in the commit that requests it.
    BuiltIn,
    Http,
    Manual,
    Worker,
}

impl HandlerKind {
    pub const ALL: [Self; 4] = [Self::BuiltIn, Self::Http, Self::Manual, Self::Worker];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built_in",
            Self::Http => "http",
            Self::Manual => "manual",
            Self::Worker => "worker",
        }
    }

    /// Attempts are made outside, and each comes back with an outcome.
    pub fn has_attempts(self) -> bool {
        match self {
            Self::Http | Self::Worker => true,
            Self::BuiltIn | Self::Manual => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidType {
    #[error("{0}")]
    Shape(String),
    #[error("`{0}` is reserved: names that begin with one of {list} are the engine's", list = RESERVED.join(", "))]
    Reserved(Name),
    #[error("payload_schema: {0}")]
    Schema(String),
    #[error("handler.url: {0}")]
    Url(String),
    #[error("handler.labels: {0}")]
    Labels(String),
    #[error(
        "handler.secret: expected `whsec_` and the base64 of 24 to 64 bytes, in the standard alphabet (`+` and `/`) and \
         padded with `=`; leave it out to have one made"
    )]
    Secret,
    #[error("the document has {0} bytes; at most {MAX_TYPE_BYTES} are allowed")]
    TooLarge(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    directive_type: Fields,
    /// For editors.
    #[serde(default, rename = "$schema")]
    _schema: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Name,
    #[serde(default)]
    description: String,
    handler: Handler,
    #[serde(default)]
    payload_schema: Option<Value>,
    #[serde(default)]
    retry: Option<RetryPolicy>,
    #[serde(default)]
    timeout: Option<Span>,
    #[serde(default)]
    callback_timeout: Option<Span>,
}

impl DirectiveType {
    /// Reads a document that is new, whatever its name is: one that is registered already may keep it. One that is stored
    /// may be of a time when arrays were accepted for objects.
    pub fn read_new(document: &Json) -> Result<Self, InvalidType> {
        let shape = Document::deserialize(StrictJson(document.text()));
        shape.map_err(|error| InvalidType::Shape(error.to_string()))?;
        let of_type = Self::read_stored(document)?;
        of_type.check_secret()?;
        Ok(of_type)
    }

    /// Reads `{"directive_type": {"name", "description", "handler", "payload_schema", "retry", "timeout",
    /// "callback_timeout"}}`.
    pub fn read(document: &Json) -> Result<Self, InvalidType> {
        let of_type = Self::read_stored(document)?;
        if of_type.name.is_reserved() {
            return Err(InvalidType::Reserved(of_type.name));
        }
        of_type.check_secret()?;
        Ok(of_type)
    }

    /// Checks that a secret which is given can sign.
    pub fn check_secret(&self) -> Result<(), InvalidType> {
        match &self.handler {
            Handler::Http { secret: Some(secret), .. } if !is_secret(secret) => Err(InvalidType::Secret),
            _ => Ok(()),
        }
    }

    /// Reads a type that was registered before: it keeps a name that was reserved since then. A secret that is none is
    /// refused when it is to sign.
    pub fn read_stored(document: &Json) -> Result<Self, InvalidType> {
        let bytes = document.text().len();
        if bytes > MAX_TYPE_BYTES {
            return Err(InvalidType::TooLarge(bytes));
        }
        let fields = serde_json::from_str::<Document>(document.text())
            .map_err(|error| InvalidType::Shape(error.to_string()))?
            .directive_type;
        check_handler(&fields.handler)?;
        let payload_schema = fields.payload_schema.as_ref().map(Schema::compile).transpose();
        let retry = fields.retry.unwrap_or_default();
        retry.check().map_err(InvalidType::Shape)?;
        Ok(Self {
            name: fields.name,
            description: fields.description,
            handler: fields.handler,
            payload_schema: payload_schema.map_err(InvalidType::Schema)?,
            retry,
            timeout: fields.timeout,
            callback_timeout: fields.callback_timeout,
            document: document.clone(),
        })
    }

    pub fn kind(&self) -> HandlerKind {
        match self.handler {
            Handler::Http { .. } => HandlerKind::Http,
            Handler::Manual {} => HandlerKind::Manual,
            Handler::Worker { .. } => HandlerKind::Worker,
        }
    }
}

fn check_handler(handler: &Handler) -> Result<(), InvalidType> {
    if let Handler::Worker { labels } = handler {
        return check_labels(labels).map_err(InvalidType::Labels);
    }
    let Handler::Http { url, .. } = handler else { return Ok(()) };
    if url.len() > 2_000 || !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(InvalidType::Url("expected `http://` or `https://` and at most 2000 characters".into()));
    }
    Ok(())
}
