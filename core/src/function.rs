//! Functions that a tenant registered: what they are called, and who or what performs them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::StrictJson;
use crate::performs::{Labels, check_labels};
use crate::retry::RetryPolicy;
use crate::schema::Schema;
use crate::{Json, Name, Span};

pub const FUNCTION_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub struct Function {
    pub name: Name,
    pub description: String,
    pub handler: Handler,
    pub input_schema: Option<Schema>,
    pub output_schema: Option<Schema>,
    pub retry: RetryPolicy,
    /// The longest that one attempt may take once it was taken.
    pub timeout: Option<Span>,
    /// The document it was read from, as it is stored.
    pub document: Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Handler {
    /// A worker takes each call and reports what it came to.
    Worker {
        /// Only workers with all of these take it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: Arc<Labels>,
    },
    /// A module that the tenant uploaded is called in a sandbox, in the middle of the decision.
    Wasm { module: ModuleDigest },
}

impl Handler {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Worker { .. } => "worker",
            Self::Wasm { .. } => "wasm",
        }
    }
}

/// The SHA-256 of a module, as `sha256:` and 64 hexadecimal digits: other bytes are another module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleDigest(String);

impl ModuleDigest {
    pub fn of_sha256(hash: [u8; 32]) -> Self {
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{digits}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest of a module: that is `sha256:` and 64 hexadecimal digits in lower case")]
pub struct InvalidDigest(String);

impl FromStr for ModuleDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        match text.strip_prefix("sha256:") {
            Some(digits) if digits.len() == 64 && digits.bytes().all(is_digit) => Ok(Self(text.to_owned())),
            _ => Err(InvalidDigest(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for ModuleDigest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<ModuleDigest> for String {
    fn from(digest: ModuleDigest) -> Self {
        digest.0
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFunction {
    #[error("{0}")]
    Shape(String),
    #[error("{field}: {message}")]
    Schema { field: &'static str, message: String },
    #[error("handler.labels: {0}")]
    Labels(String),
    #[error("{0}: what is called in the middle of a decision fails alike each time, and is not waited for")]
    Wasm(&'static str),
    #[error("the document has {0} bytes; at most {FUNCTION_BYTES_MAX} are allowed")]
    TooLarge(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    function: Fields,
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
    input_schema: Option<Value>,
    #[serde(default)]
    output_schema: Option<Value>,
    #[serde(default)]
    retry: Option<RetryPolicy>,
    #[serde(default)]
    timeout: Option<Span>,
}

impl Function {
    /// Reads a document that is new. One that is stored may be of a time when arrays were accepted for objects.
    pub fn read_new(document: &Json) -> Result<Self, InvalidFunction> {
        let shape = Document::deserialize(StrictJson(document.text()));
        shape.map_err(|error| InvalidFunction::Shape(error.to_string()))?;
        Self::read(document)
    }

    /// Reads `{"function": {"name", "description", "handler", "input_schema", "output_schema", "retry", "timeout"}}`.
    pub fn read(document: &Json) -> Result<Self, InvalidFunction> {
        let bytes = document.text().len();
        if bytes > FUNCTION_BYTES_MAX {
            return Err(InvalidFunction::TooLarge(bytes));
        }
        let fields = serde_json::from_str::<Document>(document.text())
            .map_err(|error| InvalidFunction::Shape(error.to_string()))?
            .function;
        match &fields.handler {
            Handler::Worker { labels } => check_labels(labels).map_err(InvalidFunction::Labels)?,
            Handler::Wasm { .. } if fields.retry.is_some() => return Err(InvalidFunction::Wasm("retry")),
            Handler::Wasm { .. } if fields.timeout.is_some() => return Err(InvalidFunction::Wasm("timeout")),
            Handler::Wasm { .. } => {}
        }
        let retry = fields.retry.unwrap_or_default();
        retry.check().map_err(InvalidFunction::Shape)?;
        Ok(Self {
            name: fields.name,
            description: fields.description,
            handler: fields.handler,
            input_schema: schema("input_schema", fields.input_schema)?,
            output_schema: schema("output_schema", fields.output_schema)?,
            retry,
            timeout: fields.timeout,
            document: document.clone(),
        })
    }

    /// The labels that a worker must have, if workers perform it.
    pub fn of_workers(&self) -> Option<&Arc<Labels>> {
        match &self.handler {
            Handler::Worker { labels } => Some(labels),
            Handler::Wasm { .. } => None,
        }
    }

    /// The module that it is called in, if it is called here.
    pub fn module(&self) -> Option<&ModuleDigest> {
        match &self.handler {
            Handler::Worker { .. } => None,
            Handler::Wasm { module } => Some(module),
        }
    }
}

fn schema(field: &'static str, value: Option<Value>) -> Result<Option<Schema>, InvalidFunction> {
    let compiled = value.as_ref().map(Schema::compile).transpose();
    compiled.map_err(|message| InvalidFunction::Schema { field, message })
}
