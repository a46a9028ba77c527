//! Intents as they are stated, carried out and reported, and the types there are.

use fleetprompt_core::{DirectiveId, Failure, Json, Name, Party, RecordId, RunId, Timestamp, directive};
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "openapi")]
use super::schema;

/// An intent. The key may stand here or in the header `Idempotency-Key`; without one it is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestDirective {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    /// Any JSON up to 1 MiB and 64 levels; `{}` unless given. `null` is a payload as well.
    #[serde(default, deserialize_with = "fleetprompt_core::json::present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub payload: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub idempotency_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Directive {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::DirectiveId))]
    pub id: DirectiveId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::DirectiveStatus))]
    pub status: directive::Status,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::HandlerKind))]
    pub handler: directive::HandlerKind,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json))]
    pub payload: Json,
    pub idempotency_key: String,
    pub attempt: u32,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Party))]
    pub actor: Party,
    /// The run whose step asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RunId>))]
    pub run_id: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Of a step that goes over a list, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// It undoes what the step did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub compensates: bool,
    pub correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::RecordId>))]
    pub causation_id: Option<RecordId>,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Timestamp))]
    pub requested_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub settled_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub output: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Failure>))]
    pub error: Option<Failure>,
}

/// The answer to a request; `replayed` when the same intent was known already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Requested {
    pub directive: Directive,
    pub replayed: bool,
}

/// How a `manual` directive ended: `{"status": "succeeded", "output": …}` or
/// `{"status": "failed", "error": {"code", "message"}}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Report {
    Succeeded {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
        output: Option<Json>,
    },
    Failed {
        error: ReportedFailure,
    },
}

/// By hand, because serde reads a tagged enum by way of a copy in which numbers lose their digits.
impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Status {
            Succeeded,
            Failed,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            status: Status,
            #[serde(default)]
            output: Option<Json>,
            #[serde(default)]
            error: Option<ReportedFailure>,
        }

        let fields = Fields::deserialize(deserializer)?;
        match (fields.status, fields.output, fields.error) {
            (Status::Succeeded, output, None) => Ok(Self::Succeeded { output }),
            (Status::Failed, None, Some(error)) => Ok(Self::Failed { error }),
            (Status::Succeeded, _, Some(_)) => Err(serde::de::Error::custom("what succeeded has no `error`")),
            (Status::Failed, Some(_), _) => Err(serde::de::Error::custom("what failed has no `output`")),
            (Status::Failed, None, None) => Err(serde::de::Error::missing_field("error")),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReportedFailure {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 255))]
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DirectiveType {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Name))]
    pub name: Name,
    pub description: String,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::HandlerKind))]
    pub handler: directive::HandlerKind,
    /// Origin and path of the endpoint: its user, password and query are used and not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = schema::Json, required = false))]
    pub payload_schema: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::Timestamp>))]
    pub updated_at: Option<Timestamp>,
    /// The signing secret, only in the answer to the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}
