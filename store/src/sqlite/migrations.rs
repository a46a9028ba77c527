//! How the schema came to be, one step after the other. A step that was applied never changes:
//! its text is checked by its BLAKE3 on every open.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::connection::APPLICATION_ID;
use super::fault::{Fault, Result as FaultResult};
use crate::{Error, Result};

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// The version of a migration is its place here, from 1.
const MIGRATIONS: [Migration; 12] = [
    Migration { name: "initial", sql: include_str!("migrations/0001_initial.sql") },
    Migration { name: "language", sql: include_str!("migrations/0002_language.sql") },
    Migration { name: "schedules", sql: include_str!("migrations/0003_schedules.sql") },
    Migration { name: "workers", sql: include_str!("migrations/0004_workers.sql") },
    Migration { name: "modules", sql: include_str!("migrations/0005_modules.sql") },
    Migration { name: "weights", sql: include_str!("migrations/0006_weights.sql") },
    Migration { name: "descent", sql: include_str!("migrations/0007_descent.sql") },
    Migration { name: "continuations", sql: include_str!("migrations/0008_continuations.sql") },
    Migration { name: "dedupe by name", sql: include_str!("migrations/0009_dedupe_by_name.sql") },
    Migration { name: "revisions", sql: include_str!("migrations/0010_revisions.sql") },
    Migration { name: "versions by id", sql: include_str!("migrations/0011_versions_by_id.sql") },
    Migration { name: "digests", sql: include_str!("migrations/0012_digests.sql") },
];

/// Checks what was applied, and applies the rest.
pub fn apply(writer: &mut Connection, path: &Path) -> Result<()> {
    let applied = known(writer, path)?;
    apply_from(writer, applied).map_err(|fault| fault.while_("bring the schema up to date"))
}

/// A database in memory with the newest schema and no rows.
pub fn blank() -> FaultResult<Connection> {
    let mut connection = Connection::open_in_memory()?;
    apply_from(&mut connection, 0)?;
    Ok(connection)
}

/// The schema must be the newest.
pub fn must_be_current(sql: &Connection, path: &Path) -> Result<()> {
    match known(sql, path)? {
        there if there == MIGRATIONS.len() => Ok(()),
        there => Err(Error::Unavailable {
            doing: "read the file",
            cause: format!(
                "its schema is version {there}, and this program knows {}: use the fleetprompt that wrote it, or let a \
                 server of this version start over a copy, which brings that up to date",
                MIGRATIONS.len()
            ),
        }),
    }
}

/// How many were applied; this program knows all of them.
pub fn known(sql: &Connection, path: &Path) -> Result<usize> {
    let applied = applied(sql).map_err(|fault| fault.while_("read the schema version"))?;
    let known = MIGRATIONS.len() as i64;
    if let Some((found, ..)) = applied.last().filter(|(version, ..)| *version > known) {
        return Err(Error::Newer { path: path.display().to_string(), found: *found, known });
    }
    check(&applied)?;
    Ok(applied.len())
}

type Applied = (i64, String, String);

fn applied(sql: &Connection) -> FaultResult<Vec<Applied>> {
    let table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
    if sql.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = sql.prepare("SELECT version, name, checksum FROM migrations ORDER BY version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn check(applied: &[Applied]) -> Result<()> {
    for (place, ((version, name, checksum), known)) in applied.iter().zip(&MIGRATIONS).enumerate() {
        if *version != place as i64 + 1 || name != known.name || *checksum != known.checksum() {
            return Err(Error::Damaged(format!(
                "migration {version} `{name}` is not the one that this program knows: it was changed after it was \
                 applied, so what the tables look like is unknown"
            )));
        }
    }
    Ok(())
}

fn apply_from(writer: &mut Connection, first: usize) -> FaultResult<()> {
    for (place, migration) in MIGRATIONS.iter().enumerate().skip(first) {
        let step = writer.transaction()?;
        if place == 0 {
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
            step.execute_batch(
                "CREATE TABLE migrations (
                   version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
                 ) STRICT",
            )?;
        }
        step.execute_batch(migration.sql)?;
        step.execute(
            "INSERT INTO migrations (version, name, checksum, applied_at)
             VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000000 AS INTEGER))",
            params![place as i64 + 1, migration.name, migration.checksum()],
        )?;
        step.commit().map_err(Fault::from)?;
    }
    Ok(())
}

impl Migration {
    fn checksum(&self) -> String {
        blake3::hash(self.sql.as_bytes()).to_hex().to_string()
    }
}
