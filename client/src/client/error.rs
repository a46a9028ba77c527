//! What can go wrong between here and the server.

use crate::wire::Problem;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not the URL of a server: expected one like `http://127.0.0.1:7070`")]
    InvalidUrl(String),

    /// Nothing of the key is shown.
    #[error("the key is not one: expected `fp_` and plain letters and digits, without spaces or line breaks")]
    InvalidKey,

    /// The server understood, and refused.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),

    #[error("cannot reach {url}: {reason}\nis the server running at {url}? start it with `fleetprompt dev`")]
    Connection { url: String, reason: String },

    /// Somebody answered who does not speak this API, or the answer broke off.
    #[error("cannot {doing}: {why}")]
    Unexpected { doing: String, why: String },
}

impl Error {
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::InvalidUrl(_) | Self::InvalidKey | Self::Connection { .. } | Self::Unexpected { .. } => None,
        }
    }

    /// Whether asking again would be answered the same.
    pub fn is_final(&self) -> bool {
        match self {
            Self::InvalidUrl(_) | Self::InvalidKey => true,
            Self::Refused(problem) => (400..500).contains(&problem.status) && ![408, 429].contains(&problem.status),
            Self::Connection { .. } | Self::Unexpected { .. } => false,
        }
    }

    pub(super) fn connection(url: &str, error: &reqwest::Error) -> Self {
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
        Self::Connection { url: url.to_owned(), reason }
    }
}

/// The root cause: the layers above only say that there is one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
