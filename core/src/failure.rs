//! What went wrong in an effect, as data: recorded, shown, and readable by expressions as
//! `steps.<id>.error`.

use serde::{Deserialize, Serialize};

/// `Retry` or not is the one distinction that policy needs; `code` is for people and expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable and lower case, like `timeout`, `http_status` or `output_invalid`.
    pub code: String,
    pub message: String,
    /// Whether doing the same again may end better.
    #[serde(default)]
    pub retryable: bool,
    /// The least delay before the next attempt, when the other side named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<i64>,
}

impl Failure {
    /// Longer messages come from the outside world, which does not get to fill the log.
    pub const MESSAGE_CHARS_MAX: usize = 2_000;

    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, message.into(), true)
    }

    pub fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, message.into(), false)
    }

    fn new(code: &str, message: String, retryable: bool) -> Self {
        let message = match message.char_indices().nth(Self::MESSAGE_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message,
        };
        Self { code: code.to_owned(), message, retryable, retry_after_ms: None }
    }

    /// The same failure of what has this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { message: format!("`{name}`: {}", self.message), ..self }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
