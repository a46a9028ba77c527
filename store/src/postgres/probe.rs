//! Writes that change nothing: they find out whether the database would refuse a commit.

use deadpool_postgres::Client;

use self::Right::{Delete, Insert, Update};
use super::fault::Result;

/// What commits write, and the rights that this takes: nothing of a log is ever changed or deleted.
const TABLES: [(&str, &[Right]); 16] = [
    ("tenants", &[Insert, Update]),
    ("keys", &[Insert, Update]),
    ("workflows", &[Insert, Update]),
    ("workflow_versions", &[Insert, Update]),
    ("agents", &[Insert, Update]),
    ("directive_types", &[Insert, Update]),
    ("functions", &[Insert, Update]),
    ("modules", &[Insert, Delete]),
    ("schedules", &[Insert, Update]),
    ("schedule_states", &[Insert, Update]),
    ("signals", &[Insert]),
    ("dedupe_keys", &[Insert]),
    ("dispositions", &[Insert, Update]),
    ("directives", &[Insert, Update]),
    ("runs", &[Insert, Update]),
    ("places", &[Insert, Update, Delete]),
];

#[derive(Clone, Copy)]
enum Right {
    Insert,
    Update,
    Delete,
}

impl Right {
    /// A statement that takes this right and is about no row.
    fn statement(self, table: &str) -> String {
        match self {
            Insert => format!("INSERT INTO {table} SELECT * FROM {table} WHERE false;"),
            Update => format!("SELECT FROM {table} WHERE false FOR UPDATE;"),
            Delete => format!("DELETE FROM {table} WHERE false;"),
        }
    }
}

/// About 250 KiB that do not compress, so that the table has to grow: a full disk refuses that.
const ROW: &str = "INSERT INTO requests (id, partition, asker, message)
    SELECT '00000000-0000-0000-0000-000000000000', -1, '00000000-0000-0000-0000-000000000000',
      convert_to((SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 7000)), 'UTF8');
    DELETE FROM requests WHERE id = '00000000-0000-0000-0000-000000000000'";

/// Fails if this role may not write what commits write. Reads no row and takes no lock of one.
pub async fn check_rights(client: &Client) -> Result<()> {
    Ok(client.batch_execute(&rights()).await?)
}

/// Fails if the database refuses what commits write, or has no room for it.
pub async fn write(client: &Client) -> Result<()> {
    let sql = format!("BEGIN; {} {ROW}; UPDATE partitions SET commits = commits WHERE number = -1; COMMIT", rights());
    Ok(client.batch_execute(&sql).await?)
}

fn rights() -> String {
    let of_table =
        |(table, rights): &(&str, &[Right])| -> String { rights.iter().map(|right| right.statement(table)).collect() };
    TABLES.iter().map(of_table).collect()
}
