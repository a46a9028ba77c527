//! What a step of a run waits for, as it is on record: expressions have become values, and durations
//! times, so that anybody can see it and nothing depends on when it is looked at.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::present;
use crate::tenant::Role;
use crate::{Failure, Json, Name, Party, RunId, Timestamp};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    #[serde(flatten)]
    pub what: Awaited,
    /// When the wait fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_at: Option<Timestamp>,
    /// When silence makes it fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<Timestamp>,
    /// When others are asked as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_at: Option<Timestamp>,
    /// How often that has happened.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub escalated: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Awaited {
    Time {
        until: Timestamp,
    },
    Signal {
        /// As the definition lists them.
        events: Vec<AwaitedSignal>,
        /// Signals from before the wait began count as well, from here on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
    Input {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<String>,
        /// Who may answer: this role and those above it.
        role: Role,
    },
    Callback {
        key: String,
    },
    Run {
        run_id: RunId,
    },
    Lock {
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AwaitedSignal {
    pub name: Name,
    /// What must stand at each path.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<(String, Value)>,
}

/// What somebody answered or reported before the wait for it began. It ends the wait as soon as that begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyAnswer {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// The failure that was reported, instead of an output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    pub by: Party,
}

impl EarlyAnswer {
    pub fn new(result: Result<Json, Failure>, by: Party) -> Self {
        match result {
            Ok(output) => Self { output: Some(output), error: None, by },
            Err(error) => Self { output: None, error: Some(error), by },
        }
    }

    pub fn result(&self) -> Result<Json, Failure> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(self.output.clone().unwrap_or_else(Json::null)),
        }
    }
}

impl Awaited {
    pub const WORDS: [&str; 6] = ["time", "signal", "input", "callback", "run", "lock"];

    /// As it stands in records.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Time { .. } => "time",
            Self::Signal { .. } => "signal",
            Self::Input { .. } => "input",
            Self::Callback { .. } => "callback",
            Self::Run { .. } => "run",
            Self::Lock { .. } => "lock",
        }
    }
}

impl Waiting {
    pub fn new(what: Awaited) -> Self {
        Self { what, timeout_at: None, heartbeat_at: None, escalate_at: None, escalated: 0 }
    }

    /// The soonest of the times that matter to it.
    pub fn due_at(&self) -> Option<Timestamp> {
        let until = match self.what {
            Awaited::Time { until } => Some(until),
            _ => None,
        };
        [until, self.timeout_at, self.heartbeat_at, self.escalate_at].into_iter().flatten().min()
    }

    /// In a word, for people.
    pub fn reason(&self) -> &'static str {
        match self.what {
            Awaited::Time { .. } => "a time",
            Awaited::Signal { .. } => "a signal",
            Awaited::Input { .. } => "somebody's answer",
            Awaited::Callback { .. } => "a report from outside",
            Awaited::Run { .. } => "another run",
            Awaited::Lock { .. } => "a lock",
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
