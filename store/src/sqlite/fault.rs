//! What can go wrong below the contract, before it is known what was being done.

use rusqlite::ErrorCode;

use crate::Error;

#[derive(Debug)]
pub enum Fault {
    Sqlite(rusqlite::Error),
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

    /// The error of the contract: `while_("read a run")`.
    pub fn while_(self, doing: &'static str) -> Error {
        match self {
            Self::Damaged(what) => Error::Damaged(what),
            Self::Sqlite(error) if is_damage(&error) => Error::Damaged(format!("could not {doing}: {error}")),
            Self::Sqlite(error) if is_of_value(&error) => Error::Unstorable { doing, cause: error.to_string() },
            Self::Sqlite(error) => Error::Unavailable { doing, cause: error.to_string() },
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
