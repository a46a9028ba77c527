//! What is checked before a process uses a database: what would make a node fail later for a reason that nobody could tell
//! from its errors, and settings with which commits do not survive a crash.

use deadpool_postgres::{Client, Pool};
use tokio_postgres::SimpleQueryMessage;

use super::fault::{Fault, Result};

/// A node keeps prepared statements, settings and notifications in its sessions. A pooler in transaction mode gives the
/// session of one connection to another between two transactions: then two open connections have one session in turn.
pub async fn refuse_transaction_pooling(pool: &Pool) -> Result<()> {
    let (one, other) = (pool.get().await?, pool.get().await?);
    let before = session_of(&one).await?;
    other.batch_execute("BEGIN").await?;
    let is_shared = session_of(&other).await? == before || session_of(&one).await? != before;
    other.batch_execute("ROLLBACK").await?;
    match is_shared {
        false => Ok(()),
        true => Err(Fault::Away(
            "the address leads to a connection pooler in transaction mode, such as pgbouncer with `pool_mode = \
             transaction`, and a node needs sessions of its own: set `pool_mode = session`, or connect to PostgreSQL \
             directly"
                .to_owned(),
        )),
    }
}

/// Without a prepared statement, which might already go to another session.
async fn session_of(client: &Client) -> Result<Option<String>> {
    let answer = client.simple_query("SELECT pg_backend_pid()").await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

/// Logs settings with which a node runs, and not as its operator expects.
pub async fn warn_of_settings(client: &Client, connections: usize) -> Result<()> {
    let sql = "SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
          least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
            nullif((SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user), -1),
            nullif((SELECT datconnlimit FROM pg_database WHERE datname = current_database()), -1))";
    let row = client.query_one(sql, &[]).await?;
    let (syncs, writes_pages, allowed): (bool, bool, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !syncs {
        tracing::warn!(target: "store", "PostgreSQL runs with fsync = off: a crash of its machine loses commits that were \
            acknowledged and may damage the database; set fsync = on");
    }
    if !writes_pages {
        tracing::warn!(target: "store", "PostgreSQL runs with full_page_writes = off: a crash of its machine may damage \
            the database; set full_page_writes = on");
    }
    if usize::try_from(allowed).is_ok_and(|allowed| allowed < connections) {
        tracing::warn!(target: "store", allowed, needed = connections, "PostgreSQL allows fewer connections than one node \
            opens: reads are answered with 503 when they run out; raise max_connections, or the limit of the role or the \
            database");
    }
    Ok(())
}
