//! How core's types look in the OpenAPI document. Core knows nothing of HTTP, so their shapes stand
//! here; only `ToSchema` is ever asked of these types. Enumerations list what core lists.

use std::borrow::Cow;

use fleetprompt_core::{directive, registration, run, schedule, signal, tenant};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

macro_rules! texts {
    ($($name:ident $pattern:literal $length_max:literal $example:literal $description:literal;)*) => {$(
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some($pattern))
                    .max_length(Some($length_max))
                    .examples([$example])
                    .description(Some($description))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

texts! {
    Name r"^[a-z0-9_]+(\.[a-z0-9_]+)+$" 255 "forum.thread.created"
        "The name of a signal or directive: segments of `a-z`, `0-9` and `_` joined by dots, two at least.";
    Slug "^[a-z0-9][a-z0-9_-]{0,99}$" 100 "forum-new-thread-triage" "How one thing of a tenant is addressed.";
    TenantId "^tnt_[0-7][0-9a-hjkmnp-tv-z]{25}$" 30 "tnt_01h455vb4pex5vsknk084sn02q" "A tenant's id.";
    KeyId "^key_[0-7][0-9a-hjkmnp-tv-z]{25}$" 30 "key_01h455vb4pex5vsknk084sn02q" "An API key's id; never its secret.";
    ModuleDigest "^sha256:[0-9a-f]{64}$" 71
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        "The digest of a module's bytes, by which functions name it.";
    SignalId "^sig_[0-7][0-9a-hjkmnp-tv-z]{25}$" 30 "sig_01h455vb4pex5vsknk084sn02q" "A signal's id.";
    DirectiveId "^dir_[0-7][0-9a-hjkmnp-tv-z]{25}$" 30 "dir_01h455vb4pex5vsknk084sn02q" "A directive's id.";
    RunId "^run_[0-7][0-9a-hjkmnp-tv-z]{25}$" 30 "run_01h455vb4pex5vsknk084sn02q" "A run's id.";
    RecordId "^(sig|dir|run)_[0-7][0-9a-hjkmnp-tv-z]{25}$" 30 "sig_01h455vb4pex5vsknk084sn02q"
        "The id of a signal, directive or run.";
}

macro_rules! choices {
    ($($name:ident $core:path, $description:literal;)*) => {$(
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .enum_values(Some(<$core>::ALL.map(|one| one.as_str())))
                    .description(Some($description))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

choices! {
    DirectiveStatus directive::Status, "`requested → running → succeeded | failed | canceled`.";
    HandlerKind directive::HandlerKind,
        "Who carries it out: FleetPrompt itself, an HTTP endpoint, or an outside system that reports.";
    RunStatus run::Status,
        "A run goes on until it is `completed`, `failed` or `canceled`; `paused` and `parked` runs wait for somebody.";
    QueueReason run::QueueReason, "Which rule of the workflow's flow control does not let it begin yet.";
    StepStatus run::StepStatus, "Where a step of a run stands.";
    DispositionKind signal::DispositionKind, "What became of a signal for one workflow.";
    WorkflowStatus registration::WorkflowStatus, "`draft → active ⇄ paused → archived`.";
    ScheduleStatus schedule::Status, "`active ⇄ paused → archived`.";
    Role tenant::Role, "What a key may do; each role may do what those before it may.";
}

pub struct Timestamp;

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-11-22T09:30:00.000000Z"])
            .description(Some(
                "RFC 3339, in the years 0 to 9999. Responses are in UTC with microseconds: further digits are cut off, and \
                 the second 60 of a leap second is read as the second 59 before it.",
            ))
            .into()
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Timestamp".into()
    }
}

pub struct Json;

impl PartialSchema for Json {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "Any JSON, at most 64 levels deep, in which no object has a key twice. It is kept as it was written.",
            ))
            .into()
    }
}

impl ToSchema for Json {
    fn name() -> Cow<'static, str> {
        "Json".into()
    }
}

/// What is no text.
pub struct Bytes;

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Bytes {
    fn name() -> Cow<'static, str> {
        "Bytes".into()
    }
}

/// What a record is about, or who caused it.
#[derive(ToSchema)]
#[schema(examples(json!({"type": "thread", "id": "42"})))]
pub struct Party {
    #[schema(rename = "type", min_length = 1, max_length = 255)]
    pub kind: String,
    #[schema(min_length = 1, max_length = 255)]
    pub id: String,
}

/// What a key that is made for workers takes and reports.
#[derive(ToSchema)]
#[schema(examples(json!({"names": ["mail.*", "lead.score"]})))]
pub struct Performs {
    /// Names of functions and directives: `mail.send`, `mail.*` or `*`.
    #[schema(min_items = 1, max_items = 1000)]
    pub names: Vec<String>,
    /// The work of every tenant, and not only of the key's own.
    #[schema(required = false)]
    pub all_tenants: bool,
}

/// Each is the rendered key of one rule of the workflow's flow control, where it has that rule.
#[derive(ToSchema)]
pub struct FlowKeys {
    pub concurrency: Option<String>,
    pub throttle: Option<String>,
    pub debounce: Option<String>,
}

/// What a step waits for.
#[derive(ToSchema)]
#[schema(examples(json!({"for": "input", "prompt": "Is this refund right?", "role": "operator"})))]
pub struct Waiting {
    #[schema(rename = "for")]
    pub what: Awaited,
    /// `time`: when the wait is over.
    #[schema(value_type = Option<Timestamp>)]
    pub until: Option<Timestamp>,
    /// `signal`: any of these ends it.
    pub events: Option<Vec<AwaitedSignal>>,
    /// `signal`: those that came before the wait began count from here on.
    #[schema(value_type = Option<Timestamp>)]
    pub since: Option<Timestamp>,
    /// `input`: what is asked.
    pub prompt: Option<String>,
    /// `input`: who may answer, this role and those above it.
    #[schema(value_type = Option<Role>)]
    pub role: Option<Role>,
    /// `callback`: the key to report under, by the directive `workflow.step.report`.
    pub key: Option<String>,
    /// `run`: that it waits for.
    #[schema(value_type = Option<RunId>)]
    pub run_id: Option<RunId>,
    /// `lock`: its name.
    pub name: Option<String>,
    /// When the wait fails.
    #[schema(value_type = Option<Timestamp>)]
    pub timeout_at: Option<Timestamp>,
    /// When silence makes it fail.
    #[schema(value_type = Option<Timestamp>)]
    pub heartbeat_at: Option<Timestamp>,
    /// When others are asked as well.
    #[schema(value_type = Option<Timestamp>)]
    pub escalate_at: Option<Timestamp>,
    /// How often that has happened.
    pub escalated: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Awaited {
    Time,
    Signal,
    Input,
    Callback,
    Run,
    Lock,
}

#[derive(ToSchema)]
pub struct AwaitedSignal {
    #[schema(value_type = Name)]
    pub name: Name,
    /// Pairs of a path in the signal and the value that must stand there.
    #[schema(rename = "match", value_type = Option<Vec<Json>>)]
    pub matches: Option<Vec<Json>>,
}

/// Why an effect failed.
#[derive(ToSchema)]
#[schema(examples(json!({"code": "http_status", "message": "the endpoint answered 503", "retryable": true})))]
pub struct Failure {
    /// Stable and lower case, like `timeout` or `http_status`.
    pub code: String,
    pub message: String,
    /// Whether doing the same again may end better.
    pub retryable: bool,
    /// The least delay before the next attempt, when the other side named one.
    pub retry_after_ms: Option<i64>,
}

/// One problem of a document and its place; lines and columns count from 1.
#[derive(ToSchema)]
pub struct Located {
    /// Stable; `fleetprompt explain CODE` says more.
    #[schema(example = "FP0104")]
    pub code: String,
    pub severity: Severity,
    pub message: String,
    pub line: u32,
    pub column: u32,
    pub end_line: u32,
    pub end_column: u32,
    /// What would be right.
    pub help: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}
