//! What can go wrong below the contract, before it is known what was being done.

use rusqlite::ErrorCode;

use crate::Error;

#[derive(Debug)]
pub enum Fault {
    Sqlite(rusqlite::Error),
    /// `COMMIT` failed after it may have written all of its frames to the write-ahead log.
    InDoubt(rusqlite::Error),
    /// The files that are open are not those at the path any more.
    Detached(String),
    /// The disk fails to read them.
    Unreadable(String),
    /// A row that we cannot have written.
    Damaged(String),
    /// A record of a tenant that nobody wrote.
    TenantUnknown(fleetprompt_core::TenantId),
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn damaged(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("{what}: {why}"))
    }

    /// A `COMMIT` that failed. A full disk ends it before its last frame, which has the commit mark; a failed sync does
    /// not.
    pub fn of_commit(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) => Self::InDoubt(error),
            _ => Self::Sqlite(error),
        }
    }

    /// Returns `true` if SQLite calls the file damaged, which it also does if the disk fails to read it.
    pub fn is_corrupt(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
    }

    /// The error of the contract: `while_("read a run")`.
    pub fn while_(self, doing: &'static str) -> Error {
        match self {
            Self::Damaged(what) => Error::Damaged(what),
            Self::Sqlite(error) if is_damage(&error) => Error::Damaged(format!("could not {doing}: {error}")),
            Self::Sqlite(error) if is_of_value(&error) => Error::Unstorable { doing, cause: error.to_string() },
            Self::Sqlite(error) => Error::Unavailable { doing, cause: error.to_string() },
            Self::InDoubt(error) => Error::OutcomeUnknown { cause: error.to_string(), is_lost: false },
            Self::Detached(cause) | Self::Unreadable(cause) => Error::Unavailable { doing, cause },
            Self::TenantUnknown(id) => Error::Unstorable { doing, cause: format!("there is no tenant {id}") },
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// Returns `true` if a value is at fault, and not the file, the disk or another process.
fn is_of_value(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(failure.code, ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        }
        rusqlite::Error::ToSqlConversionFailure(_) => true,
        _ => false,
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
