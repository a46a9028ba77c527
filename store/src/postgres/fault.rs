//! What can go wrong below the contract, before it is known what was being done.

use tokio_postgres::error::SqlState;

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
    InDoubt,
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn damaged(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("{what}: {why}"))
    }

    /// The error of the contract: `while_("read a run")`.
    pub fn while_(self, doing: &'static str) -> Error {
        match self {
            Self::Damaged(what) => Error::Damaged(what),
            Self::Postgres(error) if is_damage(&error) => {
                Error::Damaged(format!("could not {doing}: {}", told(&error)))
            }
            Self::Postgres(error) => Error::Unavailable { doing, cause: told(&error) },
            Self::Away(cause) => Error::Unavailable { doing, cause },
            Self::TenantUnknown(id) => Error::Unavailable { doing, cause: format!("there is no tenant {id}") },
            Self::TenantElsewhere(slug) => {
                Error::Unavailable { doing, cause: format!("the tenant `{slug}` is of another partition") }
            }
            Self::Lost => Error::Lost { why: "another node has taken over" },
            Self::InDoubt => Error::Lost { why: "the database did not say whether the last commit held" },
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
