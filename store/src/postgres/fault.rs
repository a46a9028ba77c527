//! What can go wrong below the contract, before it is known what was being done.

use tokio_postgres::error::{Severity, SqlState};

use crate::Error;

#[derive(Debug)]
pub enum Fault {
    Postgres(tokio_postgres::Error),
    /// There is no connection to be had.
    Away(String),
    /// A row that we cannot have written.
    Damaged(String),
    /// A record of a tenant that nobody wrote.
    TenantUnknown(fleetprompt_core::TenantId),
    /// It is for another partition to write.
    TenantElsewhere(fleetprompt_core::Slug),
    /// Another node may write, and we may not.
    Lost,
    /// Whether what was sent is written is not known.
    InDoubt(String),
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn damaged(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("{what}: {why}"))
    }

    /// Returns `true` if a value is at fault: the database answered, and the connection can be used again.
    pub fn is_of_value(&self) -> bool {
        matches!(self, Self::Postgres(error) if is_of_value(error))
    }

    /// Returns `true` if nothing of a commit is written: the database refused it, or it was not sent. The end of a
    /// connection (`FATAL`) may come after the commit and says nothing about it.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Lost => true,
            Self::Postgres(error) => match error.as_db_error() {
                Some(db) => db.parsed_severity() == Some(Severity::Error),
                None => is_unsent(error),
            },
            _ => false,
        }
    }

    /// The error of the contract: `while_("read a run")`.
    pub fn while_(self, doing: &'static str) -> Error {
        match self {
            Self::Damaged(what) => Error::Damaged(what),
            Self::Postgres(error) if is_damage(&error) => {
                Error::Damaged(format!("could not {doing}: {}", told(&error)))
            }
            Self::Postgres(error) if is_of_value(&error) => Error::Unstorable { doing, cause: told(&error) },
            Self::Postgres(error) => Error::Unavailable { doing, cause: told(&error) },
            Self::Away(cause) => Error::Unavailable { doing, cause },
            Self::TenantUnknown(id) => Error::Unstorable { doing, cause: format!("there is no tenant {id}") },
            Self::TenantElsewhere(slug) => {
                Error::Unstorable { doing, cause: format!("the tenant `{slug}` is of another partition") }
            }
            Self::Lost => Error::Lost { why: "another node has taken over" },
            Self::InDoubt(cause) => Error::OutcomeUnknown { cause, is_lost: true },
        }
    }
}

fn is_damage(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED,
        // A column of another type than ours.
        None => std::error::Error::source(error).is_some_and(|cause| cause.is::<tokio_postgres::types::WrongType>()),
    }
}

/// Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded.
const OF_VALUE: [&str; 3] = ["22", "23", "54"];

fn is_of_value(error: &tokio_postgres::Error) -> bool {
    let Some(db) = error.as_db_error() else { return is_unsent(error) };
    let class = db.code().code().get(..2).unwrap_or_default();
    // The limit of 1 GB of an allocation has no code of its own.
    OF_VALUE.contains(&class)
        || *db.code() == SqlState::INTERNAL_ERROR && db.message().starts_with("invalid memory alloc request size")
}

/// Returns `true` if the driver could not encode a value, so that nothing was sent.
fn is_unsent(error: &tokio_postgres::Error) -> bool {
    let is_value = error.to_string().starts_with("error serializing parameter");
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    is_value || cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidInput)
}

/// With what the database says, which the error alone leaves out.
pub fn told(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            // Of the function `fence`.
            Some(code) if code.code() == "FP001" => Self::Lost,
            _ => Self::Postgres(error),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::Away(told(&error)),
            deadpool_postgres::PoolError::Timeout(_) => Self::Away("no connection came free in time".to_owned()),
            other => Self::Away(other.to_string()),
        }
    }
}
