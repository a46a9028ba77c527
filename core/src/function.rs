//! Functions that a tenant registered: what they are called, and who performs them.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
        labels: Labels,
    },
}

impl Handler {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Worker { .. } => "worker",
        }
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
    /// Reads `{"function": {"name", "description", "handler", "input_schema", "output_schema", "retry", "timeout"}}`.
    pub fn read(document: &Json) -> Result<Self, InvalidFunction> {
        let bytes = document.text().len();
        if bytes > FUNCTION_BYTES_MAX {
            return Err(InvalidFunction::TooLarge(bytes));
        }
        let fields = serde_json::from_str::<Document>(document.text())
            .map_err(|error| InvalidFunction::Shape(error.to_string()))?
            .function;
        let Handler::Worker { labels } = &fields.handler;
        check_labels(labels).map_err(InvalidFunction::Labels)?;
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

    pub fn labels(&self) -> &Labels {
        let Handler::Worker { labels } = &self.handler;
        labels
    }
}

fn schema(field: &'static str, value: Option<Value>) -> Result<Option<Schema>, InvalidFunction> {
    let compiled = value.as_ref().map(Schema::compile).transpose();
    compiled.map_err(|message| InvalidFunction::Schema { field, message })
}
