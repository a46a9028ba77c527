//! The checks of SQLite itself, and whether the tables and indexes are those of the migrations.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::fault::Result;
use super::migrations;
use crate::Integrity;

const PROBLEMS_MAX: usize = 100;

/// Reads the whole file, in a transaction that does not keep a server from writing.
pub fn check(sql: &Connection) -> Result<Integrity> {
    let mut problems = damage(sql)?;
    let (found, known) = (schema(sql)?, schema(&migrations::blank()?)?);
    for (name, wanted) in &known {
        match found.get(name) {
            None => problems.push(format!("{name} is missing")),
            Some(other) if other != wanted => problems.push(format!("{name} is not as the migrations made it")),
            Some(_) => {}
        }
    }
    let strange = found.keys().filter(|name| !known.contains_key(*name));
    problems.extend(strange.map(|name| format!("{name} is not part of the schema")));
    Ok(Integrity { problems, notes: Vec::new() })
}

fn damage(sql: &Connection) -> Result<Vec<String>> {
    let mut statement = sql.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let lines = found.iter().flat_map(|text| text.lines()).filter(|line| *line != "ok");
    Ok(lines.map(|line| format!("SQLite: {line}")).collect())
}

/// Columns of tables and keys of indexes, by their names: the text of a table that was altered depends on who altered it.
fn schema(sql: &Connection) -> Result<BTreeMap<String, String>> {
    let mut statement = sql.prepare(
        "SELECT s.type || ' ' || s.name, CASE s.type
             WHEN 'table' THEN (SELECT group_concat(concat_ws(' ', c.name, c.type, c.\"notnull\", c.dflt_value, c.pk), ', ')
               FROM pragma_table_info(s.name) c)
             ELSE s.sql END
         FROM sqlite_schema s WHERE s.name NOT LIKE 'sqlite_%'",
    )?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default())))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
