//! The processes that are at work on a database, and who of them writes for which partition.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fleetprompt_core::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::database::{ANSWER_MAX, CONNECT_MAX, Database, ask_on, partition};
use super::fault::Result as FaultResult;
use super::{PostgresStore, columns};
use crate::{Error, Result};

/// A process, as its row knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeEntry {
    pub id: Uuid,
    pub name: String,
    pub version: String,
    pub started_at: Timestamp,
    /// Since it last said that it lives.
    pub silent_for: Duration,
    pub is_alive: bool,
    /// It gives its partitions away and takes none.
    pub is_draining: bool,
}

/// How things stand, as of one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cluster {
    /// Oldest first, those among them that have lately died.
    pub nodes: Vec<NodeEntry>,
    /// Which node writes for it, by partition.
    pub partitions: Vec<Option<Uuid>>,
}

/// What waits in a partition to be taken up by whoever writes for it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Waiting {
    pub requests: u64,
    pub oldest: Duration,
}

const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Cluster {
    pub fn node(&self, id: Uuid) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// What people know it by; empty when it is gone.
    fn name_of_owner(&self, partition: u16) -> String {
        let owner = self.partitions.get(usize::from(partition)).copied().flatten();
        owner.and_then(|owner| self.node(owner)).map(|node| node.name.clone()).unwrap_or_default()
    }

    /// Of nobody who lives.
    pub fn is_free(&self, partition: u16) -> bool {
        let owner = self.partitions.get(usize::from(partition)).copied().flatten();
        !owner.and_then(|owner| self.node(owner)).is_some_and(|node| node.is_alive)
    }
}

impl Database {
    /// Begins the lease of this node. There is none yet that could end meanwhile.
    pub async fn join(&self) -> Result<()> {
        self.beat_within(ANSWER_MAX).await
    }

    /// Renews the lease of this node, or fails within a sixth of it.
    pub async fn beat(&self) -> Result<()> {
        self.beat_within(self.options.beat_max()).await
    }

    async fn beat_within(&self, within: Duration) -> Result<()> {
        let sql = "INSERT INTO nodes (id, name, version, expires_at, is_draining)
            VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5)
            ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at";
        let Self { node, options, .. } = self;
        let takes_nothing = self.is_alone.load(Ordering::Relaxed);
        let version = env!("CARGO_PKG_VERSION");
        let beating = ask_on(&self.connections.heartbeat, within, async |client| {
            let statement = client.prepare_cached(sql).await?;
            client
                .execute(&statement, &[node, &options.node, &version, &options.lease.as_secs_f64(), &takes_nothing])
                .await?;
            Ok(())
        });
        match beating.await {
            Ok(()) => {
                self.answers(true);
                Ok(())
            }
            Err(fault) => {
                self.answers(false);
                Err(fault.while_("say that this node lives"))
            }
        }
    }

    /// Who lives, and who writes for what.
    pub async fn cluster(&self) -> Result<Cluster> {
        let lease = self.options.lease.as_secs_f64();
        let nodes = "SELECT id, name, version, (extract(epoch FROM started_at) * 1000000)::bigint,
              greatest(0, $1::float8 - extract(epoch FROM expires_at - clock_timestamp())::float8),
              expires_at > clock_timestamp(), is_draining
            FROM nodes ORDER BY started_at, id";
        let read = self.ask(async |client| {
            let (nodes, partitions) = (
                client.prepare_cached(nodes).await?,
                client.prepare_cached("SELECT node FROM partitions ORDER BY number").await?,
            );
            let of_lease: [&(dyn ToSql + Sync); 1] = [&lease];
            let (nodes, partitions) =
                tokio::try_join!(client.query(&nodes, &of_lease), client.query(&partitions, &[]))?;
            Ok(Cluster {
                nodes: nodes.iter().map(node_entry).collect::<FaultResult<_>>()?,
                partitions: partitions.iter().map(|row| columns::id_if_any(row, 0)).collect::<FaultResult<_>>()?,
            })
        });
        read.await.map_err(|fault| fault.while_("see who is at work"))
    }

    /// Gives a partition free that this node has, and that nobody in it writes for.
    pub async fn let_go(&self, partition: u16) -> Result<()> {
        let sql = "UPDATE partitions SET node = NULL, claim = NULL WHERE number = $1 AND node = $2";
        let let_go = self.ask(async |client| {
            client.execute(sql, &[&i32::from(partition), &self.node]).await?;
            Ok(())
        });
        let_go.await.map_err(|fault| fault.while_("let a partition go"))
    }

    /// Any that lives: it is waited until it says so again, or has not for longer than its lease.
    pub fn node_at_work(&self) -> Result<Option<String>> {
        let mut before = Cluster::default();
        loop {
            let cluster = self.connections.wait(self.cluster())?;
            let mut living = cluster.nodes.iter().filter(|node| node.is_alive).peekable();
            if living.peek().is_none() {
                return Ok(None);
            }
            let has_beaten =
                |node: &&NodeEntry| before.node(node.id).is_some_and(|then| node.silent_for < then.silent_for);
            if let Some(node) = living.find(has_beaten) {
                return Ok(Some(node.name.clone()));
            }
            before = cluster;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What waits, by partition.
    pub async fn waiting(&self) -> Result<Vec<Waiting>> {
        let sql = "SELECT partition, count(*), max(extract(epoch FROM clock_timestamp() - sent_at))::float8
            FROM requests GROUP BY partition";
        let mut all = vec![Waiting::default(); usize::from(self.partitions())];
        let found = self.ask(async |client| Ok(client.query(sql, &[]).await?)).await;
        for row in found.map_err(|fault| fault.while_("count what waits"))? {
            let read = || -> FaultResult<_> {
                let oldest = Duration::try_from_secs_f64(columns::get::<f64>(&row, 2)?).unwrap_or_default();
                Ok((partition(&row, 0)?, Waiting { requests: columns::number(&row, 1)?, oldest }))
            };
            let (partition, waiting) = read().map_err(|fault| fault.while_("count what waits"))?;
            if let Some(slot) = all.get_mut(usize::from(partition)) {
                *slot = waiting;
            }
        }
        Ok(all)
    }

    /// From now on the node gives its partitions away, or takes its share again. False: there is no such node.
    pub async fn drain(&self, node: Uuid, is_draining: bool) -> Result<bool> {
        let sql = "UPDATE nodes SET is_draining = $2 WHERE id = $1 AND expires_at > clock_timestamp()";
        let changed = self.ask(async |client| Ok(client.execute(sql, &[&node, &is_draining]).await? > 0)).await;
        let changed = changed.map_err(|fault| fault.while_("drain a node"))?;
        if changed {
            self.notify_nodes().await?;
        }
        Ok(changed)
    }

    /// This node is gone, and so is its claim on whatever it had.
    pub async fn leave(&self) -> Result<()> {
        let left = self.ask(async |client| {
            client.execute("UPDATE partitions SET node = NULL, claim = NULL WHERE node = $1", &[&self.node]).await?;
            client.execute("DELETE FROM nodes WHERE id = $1", &[&self.node]).await?;
            client.execute("DELETE FROM answers WHERE asker = $1", &[&self.node]).await?;
            Ok(())
        });
        left.await.map_err(|fault| fault.while_("leave"))?;
        self.notify_nodes().await
    }

    /// Writes for a partition without being a node that serves, while this is held. Refused while one is at work on it.
    pub fn alone(self: &Arc<Self>, partition: u16) -> Result<PostgresStore> {
        self.is_alone.store(true, Ordering::Relaxed);
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            let keeping = keep(Arc::downgrade(self), self.options.beat_pause());
            self.connections.runtime().spawn(keeping);
        }
        self.connections.wait(self.join())?;
        let taken = self.take(partition).and_then(|taken| match taken {
            Some(store) => Ok(store.that_leaves()),
            None => Err(Error::InUse { node: self.connections.wait(self.cluster())?.name_of_owner(partition) }),
        });
        if taken.is_err() {
            self.leave_now();
        }
        taken
    }

    /// What this does not get to, the end of the lease does.
    pub fn leave_now(&self) {
        self.is_alone.store(false, Ordering::Relaxed);
        let leaving = async { tokio::time::timeout(CONNECT_MAX, self.leave()).await };
        if !matches!(self.connections.wait(leaving), Ok(Ok(()))) {
            tracing::warn!(target: "store", "nobody heard that this node ends; the next ones wait until its lease does");
        }
    }
}

/// For as long as the database is held, where it is alone.
async fn keep(database: Weak<Database>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(database) = database.upgrade() else { return };
        if database.is_alone.load(Ordering::Relaxed)
            && let Err(error) = database.beat().await
        {
            tracing::warn!(target: "store", %error, "the database does not answer");
        }
        // The last one to hold it may not end it on a thread of its own.
        let runtime = tokio::runtime::Handle::current();
        runtime.spawn_blocking(move || drop(database));
    }
}

fn node_entry(row: &Row) -> FaultResult<NodeEntry> {
    let silent: f64 = columns::get(row, 4)?;
    Ok(NodeEntry {
        id: columns::id(row, 0)?,
        name: columns::get(row, 1)?,
        version: columns::get(row, 2)?,
        started_at: columns::time(row, 3)?,
        silent_for: Duration::try_from_secs_f64(silent).unwrap_or_default(),
        is_alive: columns::get(row, 5)?,
        is_draining: columns::get(row, 6)?,
    })
}
