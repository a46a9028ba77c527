//! What rows say in the same way in every database.

use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::json::present;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{EarlyAnswer, Step, StepStatus, Waiting};
use fleetprompt_core::{Failure, Json, SignalId, Span};
use serde::{Deserialize, Serialize};

use crate::{READ_BYTES_MAX, TriggeredRun};

/// What the payload of the signal that ended something says of its end.
#[derive(Deserialize, Default)]
pub struct End {
    /// An output may be `null`, which is not the same as none.
    #[serde(default, deserialize_with = "present")]
    pub output: Option<Json>,
    #[serde(default)]
    pub error: Option<Failure>,
}

/// Of a `StepRecord`, what stands in no column.
#[derive(Deserialize, Default)]
pub struct Said {
    #[serde(default, deserialize_with = "present")]
    pub output: Option<Json>,
    #[serde(default)]
    pub error: Option<Failure>,
    #[serde(default)]
    pub waiting: Option<Arc<Waiting>>,
    #[serde(default)]
    pub lock: Option<Arc<str>>,
    #[serde(default)]
    pub early_answer: Option<Arc<EarlyAnswer>>,
    #[serde(default)]
    pub consumed: Option<SignalId>,
    #[serde(default)]
    pub compensable: bool,
}

/// A place of a run in memory, without its documents.
pub const ROW_BYTES: usize = 256;

/// Counts what a bulk read has read so far.
#[derive(Default)]
pub struct ReadBudget {
    bytes: usize,
}

impl ReadBudget {
    pub fn is_spent(&self) -> bool {
        self.bytes >= READ_BYTES_MAX
    }

    pub fn spend(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}

/// Bytes of a run with its trigger, without its places.
pub fn bytes_of_run((run, signal): &TriggeredRun) -> usize {
    let text = |document: Option<&Json>| document.map_or(0, |document| document.text().len());
    text(run.input.as_ref()) + text(signal.as_ref().map(|signal| &signal.payload))
}

pub fn bytes_of_directive(directive: &Directive) -> usize {
    directive.payload.text().len() + directive.output.as_ref().map_or(0, |output| output.text().len())
}

/// What has not begun and never was anything has no row.
pub fn has_row(step: &Step) -> bool {
    step.status != StepStatus::Pending || step.signal_id.is_some() || step.issue > 0
}

/// The word of what it waits for, while it does.
pub fn awaits(step: &Step) -> Option<&'static str> {
    step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting).map(|waiting| waiting.what.word())
}

/// How a directive is carried out, as text in one column: in microseconds, so nothing is rounded.
#[derive(Serialize, Deserialize)]
pub struct Policy {
    max_attempts: u32,
    initial_us: i64,
    factor: f64,
    max_us: i64,
    jitter: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeat_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    on: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_elapsed_us: Option<i64>,
}

/// The retry, the timeout and the heartbeat.
pub type Terms = (RetryPolicy, Option<Span>, Option<Span>);

impl Policy {
    /// None for what nobody said anything about.
    pub fn text_of(retry: &RetryPolicy, timeout: Option<Span>, heartbeat: Option<Span>) -> Option<String> {
        if timeout.is_none() && heartbeat.is_none() && *retry == RetryPolicy::default() {
            return None;
        }
        let policy = Self {
            max_attempts: retry.max_attempts,
            initial_us: retry.initial.0,
            factor: retry.factor,
            max_us: retry.max.0,
            jitter: retry.jitter,
            timeout_us: timeout.map(|timeout| timeout.0),
            heartbeat_us: heartbeat.map(|heartbeat| heartbeat.0),
            on: retry.on.clone(),
            max_elapsed_us: retry.max_elapsed.map(|elapsed| elapsed.0),
        };
        Some(serde_json::to_string(&policy).expect("numbers can be written"))
    }

    pub fn read(text: &str) -> serde_json::Result<Terms> {
        let policy: Self = serde_json::from_str(text)?;
        let retry = RetryPolicy {
            max_attempts: policy.max_attempts,
            initial: Span(policy.initial_us),
            factor: policy.factor,
            max: Span(policy.max_us),
            jitter: policy.jitter,
            on: policy.on,
            max_elapsed: policy.max_elapsed_us.map(Span),
        };
        Ok((retry, policy.timeout_us.map(Span), policy.heartbeat_us.map(Span)))
    }
}
