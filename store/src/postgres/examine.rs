//! A look at a database from outside: nothing is changed.

use std::time::{Duration, Instant};

use fleetprompt_core::Timestamp;

use super::database::{Connections, bounded};
use super::fault::Result as FaultResult;
use super::{columns, migrations, preflight, probe};
use crate::Result;

/// What somebody needs to know who is about to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    /// As PostgreSQL counts: 150_004 is 15.4.
    pub version: i32,
    pub encoding: String,
    pub is_superuser: bool,
    /// Its role may create tables, as the first start and the first start of a newer version do.
    pub may_create: bool,
    /// What it may not write, if the schema is there.
    pub lacks_rights: Option<String>,
    /// Commits that were answered survive a crash.
    pub syncs: bool,
    pub connections_max: i32,
    /// Of the schema; none: it is empty.
    pub schema: Option<i64>,
    pub schema_known: i64,
    pub partitions: Option<u16>,
    pub nodes: Vec<String>,
    pub round_trip: Duration,
    /// Its time, and ours at the same moment.
    pub clocks: (Timestamp, Timestamp),
}

pub fn examine(url: &str) -> Result<Examination> {
    let connections = Connections::open(url, Duration::ZERO)?;
    connections.wait(bounded(look(&connections))).map_err(|fault| fault.while_("look at the database"))
}

async fn look(connections: &Connections) -> FaultResult<Examination> {
    preflight::refuse_transaction_pooling(&connections.writers).await?;
    let client = connections.of_nodes.get().await?;
    let begun = (Instant::now(), now());
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
          current_setting('is_superuser') = 'on', current_setting('fsync') = 'on',
          current_setting('max_connections')::int,
          to_regclass('migrations') IS NOT NULL, to_regclass('nodes') IS NOT NULL,
          (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
          coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let statement = client.prepare(sql).await?;
    let asked = Instant::now();
    let row = client.query_one(&statement, &[]).await?;
    let round_trip = asked.elapsed();
    // Half of the way there, at most as wrong as the way takes.
    let ours = Timestamp(begun.1.0 + i64::try_from(begun.0.elapsed().as_micros()).unwrap_or_default());
    let mut found = Examination {
        version: columns::get(&row, 0)?,
        encoding: columns::get(&row, 1)?,
        is_superuser: columns::get(&row, 2)?,
        may_create: columns::get(&row, 8)?,
        lacks_rights: None,
        syncs: columns::get(&row, 3)?,
        connections_max: columns::get(&row, 4)?,
        schema: None,
        schema_known: migrations::KNOWN,
        partitions: None,
        nodes: Vec::new(),
        round_trip,
        clocks: (columns::time(&row, 7)?, ours),
    };
    if columns::get(&row, 5)? {
        found.schema = client.query_one("SELECT max(version) FROM migrations", &[]).await?.try_get(0)?;
    }
    if found.schema == Some(found.schema_known) {
        found.lacks_rights = probe::check_rights(&client).await.err().map(|fault| fault.while_("write").to_string());
    }
    if columns::get(&row, 6)? {
        let count: i64 = client.query_one("SELECT count(*) FROM partitions", &[]).await?.try_get(0)?;
        found.partitions = u16::try_from(count).ok();
        let living = "SELECT name FROM nodes WHERE expires_at > clock_timestamp() ORDER BY started_at";
        found.nodes =
            client.query(living, &[]).await?.iter().map(|row| columns::get(row, 0)).collect::<FaultResult<_>>()?;
    }
    Ok(found)
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
