//! Why the engine did not do what it was asked.

use std::time::Duration;

use fleetprompt_core::diagnostic::Located;
use fleetprompt_store::Error as StoreError;

use crate::workers::Refused;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The queue is full. Nothing was accepted; the same request may be made again.
    #[error("too much is waiting already; try again in {} ms", .retry_after.as_millis())]
    Busy { retry_after: Duration },
    /// The store could not commit, or the engine is stopping. Nothing was accepted.
    #[error("nothing was accepted: {0}")]
    Unavailable(String),
    /// It may have been accepted.
    #[error("it is unknown whether this was accepted: {0}; make the same request again with the same key")]
    OutcomeUnknown(String),
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
}

impl Error {
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }
}

/// The request itself is at fault, and changed nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// Stable, lower case: what programs compare.
    pub code: &'static str,
    /// What was being done, on what, and what to do instead.
    pub message: String,
    /// What is wrong in a document, all at once.
    pub diagnostics: Vec<Located>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// 422: it can be read, and cannot be meant.
    Invalid,
    /// 404: there is no such thing in this tenant.
    NotFound,
    /// 409: it does not fit what is there now.
    Conflict,
    /// 403: this key may not.
    Forbidden,
}

impl Refusal {
    pub fn new(kind: RefusalKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), diagnostics: Vec::new() }
    }

    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Invalid, code, message)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Conflict, code, message)
    }

    /// `what` is the word for the thing, like `run`.
    pub fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(RefusalKind::NotFound, "not_found", format!("there is no {what} `{id}`"))
    }

    pub fn with_diagnostics(self, diagnostics: Vec<Located>) -> Self {
        Self { diagnostics, ..self }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        if refused == Refused::TooManyMessages {
            return Self::Busy { retry_after: Duration::from_secs(60) };
        }
        let kind = if refused == Refused::NotYours { RefusalKind::Forbidden } else { RefusalKind::Conflict };
        Refusal::new(kind, refused.code(), refused.to_string()).into()
    }
}

impl From<&StoreError> for Error {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unstorable { .. } => {
                Refusal::invalid("unstorable", format!("nothing was changed: {error}")).into()
            }
            StoreError::OutcomeUnknown { cause, .. } => Self::OutcomeUnknown(cause.clone()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}
