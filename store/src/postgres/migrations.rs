//! How the schema came to be, one step after the other, taken by one node at a time. A step that was applied never
//! changes: its text is checked by its BLAKE3 on every open.

use deadpool_postgres::{Client, Object, Pool};

use super::fault::{Fault, Result as FaultResult};
use crate::{Error, Result};

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// The version of a migration is its place here, from 1.
const MIGRATIONS: [Migration; 8] = [
    Migration { name: "initial", sql: include_str!("migrations/0001_initial.sql") },
    Migration { name: "weights", sql: include_str!("migrations/0002_weights.sql") },
    Migration { name: "descent", sql: include_str!("migrations/0003_descent.sql") },
    Migration { name: "continuations", sql: include_str!("migrations/0004_continuations.sql") },
    Migration { name: "dedupe by name", sql: include_str!("migrations/0005_dedupe_by_name.sql") },
    Migration { name: "revisions", sql: include_str!("migrations/0006_revisions.sql") },
    Migration { name: "versions by id", sql: include_str!("migrations/0007_versions_by_id.sql") },
    Migration { name: "digests", sql: include_str!("migrations/0008_digests.sql") },
];

/// The newest version of the schema.
pub const KNOWN: i64 = MIGRATIONS.len() as i64;

/// "Flee": of the advisory lock under which the schema is changed.
const LOCK: i64 = 0x466c_6565;

/// Checks what was applied, and applies the rest. A new database gets so many partitions; says how many there are.
pub async fn apply(pool: &Pool, partitions: u16) -> Result<u16> {
    let client = pool.get().await.map_err(|error| Fault::from(error).while_("connect"))?;
    let applied = locked(&client, partitions).await;
    // The lock ends with the connection.
    drop(Object::take(client));
    applied
}

async fn locked(client: &Client, partitions: u16) -> Result<u16> {
    let prepare = async {
        // Another node may be at a long step.
        client.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0").await?;
        client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
        check_encoding(client).await?;
        applied(client).await
    };
    let applied = prepare.await.map_err(|fault| fault.while_("read the schema version"))?;
    check(&applied)?;
    let there = async {
        apply_from(client, applied.len()).await?;
        parted(client, partitions).await
    };
    there.await.map_err(|fault| fault.while_("bring the schema up to date"))
}

/// The schema must be the newest, and stays as it is. Says how many partitions there are.
pub async fn check_current(client: &Client) -> Result<u16> {
    let applied = applied(client).await.map_err(|fault| fault.while_("read the schema version"))?;
    check(&applied)?;
    let lacking = match applied.len() {
        0 => "it is empty".to_owned(),
        there if there < MIGRATIONS.len() => format!(
            "its schema is version {there}, and this program knows {KNOWN}: let a node of this version start, which \
             brings it up to date, or use the older fleetprompt"
        ),
        _ => return partitions(client).await.map_err(|fault| fault.while_("count the partitions")),
    };
    Err(Error::Unavailable { doing: "read the database", cause: lacking })
}

/// Which tenant is of which partition depends on their number, so it never changes.
async fn parted(client: &Client, count: u16) -> FaultResult<u16> {
    let sql = "INSERT INTO partitions (number) SELECT generate_series(0, $1::int - 1)
        WHERE NOT EXISTS (SELECT FROM partitions)";
    client.execute(sql, &[&i32::from(count)]).await?;
    partitions(client).await
}

async fn partitions(client: &Client) -> FaultResult<u16> {
    let there: i64 = client.query_one("SELECT count(*) FROM partitions", &[]).await?.try_get(0)?;
    u16::try_from(there).map_err(|_| Fault::damaged("the partitions", format!("there are {there}")))
}

async fn check_encoding(client: &Client) -> FaultResult<()> {
    let encoding: String = client.query_one("SHOW server_encoding", &[]).await?.try_get(0)?;
    match encoding.as_str() {
        "UTF8" => Ok(()),
        other => Err(Fault::Away(format!("its encoding is {other}: create it with `ENCODING 'UTF8'`"))),
    }
}

type Applied = (i64, String, String);

async fn applied(client: &Client) -> FaultResult<Vec<Applied>> {
    let is_there = client.query_one("SELECT to_regclass('migrations') IS NOT NULL", &[]).await?;
    if !is_there.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let rows = client.query("SELECT version, name, checksum FROM migrations ORDER BY version", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

fn check(applied: &[Applied]) -> Result<()> {
    if let Some((found, ..)) = applied.last().filter(|(version, ..)| *version > KNOWN) {
        return Err(Error::Newer { path: "the database".to_owned(), found: *found, known: KNOWN });
    }
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

async fn apply_from(client: &Client, first: usize) -> FaultResult<()> {
    for (place, migration) in MIGRATIONS.iter().enumerate().skip(first) {
        client.batch_execute("BEGIN").await?;
        if place == 0 {
            client
                .batch_execute(
                    "CREATE TABLE migrations (version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                       applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
                )
                .await?;
        }
        client.batch_execute(migration.sql).await?;
        let record = "INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)";
        client.execute(record, &[&(place as i64 + 1), &migration.name, &migration.checksum()]).await?;
        client.batch_execute("COMMIT").await?;
    }
    Ok(())
}

/// The tables and indexes that the migrations create, with what each is.
pub fn objects() -> Vec<(&'static str, &'static str)> {
    let mut objects = Vec::new();
    for line in MIGRATIONS.iter().flat_map(|migration| migration.sql.lines()) {
        let created =
            line.strip_prefix("CREATE ").map(|rest| rest.trim_start_matches("UNLOGGED ").trim_start_matches("UNIQUE "));
        let Some((kind, rest)) = created.and_then(|rest| rest.split_once(' ')) else { continue };
        let name = rest.split([' ', '(']).next().unwrap_or_default();
        match kind {
            "TABLE" => objects.push(("table", name)),
            "INDEX" => objects.push(("index", name)),
            _ => {}
        }
    }
    objects
}

impl Migration {
    fn checksum(&self) -> String {
        blake3::hash(self.sql.as_bytes()).to_hex().to_string()
    }
}
