//! Who may write. One row says which node does, until when, under which epoch, and how many commits there were.
//!
//! A node renews its lease as long as it lives; when it has not for so long, another takes over and begins a new
//! epoch. So does a node whose connection broke: the transaction that it had sent might still be on its way, and may
//! not arrive after we have looked whether it did. Each commit says its epoch and its number, so that it fails when
//! its epoch is over, and so that afterwards it can be told whether it held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Client, Object, Pool};
use uuid::Uuid;

use super::commit::{self, Write};
use super::fault::{Fault, Result};
use super::{Options, View, bounded};
use crate::Error;

/// This node, as its row knows it.
pub struct Owner {
    id: Uuid,
    lease: Duration,
    /// Another node has taken over.
    is_over: AtomicBool,
    /// The database does not answer, and we ask until it does.
    is_away: AtomicBool,
}

/// The connection that writes.
pub struct Writer {
    client: Option<Client>,
    epoch: i64,
    /// How many there were, of all epochs.
    commits: i64,
}

const OF_ALL_TENANTS: &str = "SET fleetprompt.tenant = '*'";
/// How long a node asks whether its last commit held. One that cannot know must begin anew.
const IN_DOUBT_MAX: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Becomes the node that writes, when no other is.
pub async fn take(pool: &Pool, options: &Options) -> std::result::Result<(Writer, Arc<Owner>), Error> {
    let owner = Owner {
        id: Uuid::now_v7(),
        lease: options.lease,
        is_over: AtomicBool::new(false),
        is_away: AtomicBool::new(false),
    };
    let mut told = None;
    loop {
        let taken = owner.take(pool, &options.node).await.map_err(|fault| fault.while_("take the database over"))?;
        match taken {
            Ok(writer) => return Ok((writer, Arc::new(owner))),
            Err(node) if options.waits => {
                if told.as_ref() != Some(&node) {
                    tracing::info!(target: "store", node, "another node is at work on the database; this one waits");
                    told = Some(node);
                }
                tokio::time::sleep(ASK_AGAIN.min(options.lease / 4)).await;
            }
            Err(node) => return Err(Error::InUse { node }),
        }
    }
}

impl Owner {
    /// The writer, or else the name of the node that is at work.
    async fn take(&self, pool: &Pool, name: &str) -> Result<std::result::Result<Writer, String>> {
        let client = pool.get().await?;
        let sql = "UPDATE ownership SET epoch = epoch + 1, node = $1, name = $2,
              expires_at = clock_timestamp() + make_interval(secs => $3)
            WHERE expires_at < clock_timestamp() RETURNING epoch, commits";
        let taken = client.query_opt(sql, &[&self.id, &name, &self.lease.as_secs_f64()]).await?;
        if let Some(row) = taken {
            client.batch_execute(OF_ALL_TENANTS).await?;
            return Ok(Ok(Writer { client: Some(client), epoch: row.try_get(0)?, commits: row.try_get(1)? }));
        }
        let row = client.query_one("SELECT coalesce(name, '') FROM ownership", &[]).await?;
        Ok(Err(row.try_get(0)?))
    }

    /// Renews the lease for as long as the store is there.
    pub async fn keep(self: Arc<Self>, pool: Pool) {
        let sql = "UPDATE ownership SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE node = $1";
        while !self.is_over() {
            tokio::time::sleep(self.lease / 3).await;
            let renewed = bounded(async {
                let client = pool.get().await?;
                Ok(client.execute(sql, &[&self.id, &self.lease.as_secs_f64()]).await?)
            });
            match renewed.await {
                Ok(0) => self.is_over.store(true, Ordering::Relaxed),
                Ok(_) => self.is_away.store(false, Ordering::Relaxed),
                Err(fault) => {
                    self.is_away.store(true, Ordering::Relaxed);
                    let error = fault.while_("renew the lease");
                    tracing::warn!(target: "store", %error, "the database does not answer");
                }
            }
        }
    }

    /// This node writes nothing any more.
    pub async fn release(&self, pool: &Pool) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let client = pool.get().await?;
        let sql = "UPDATE ownership SET node = NULL, expires_at = '-infinity' WHERE node = $1";
        client.execute(sql, &[&self.id]).await?;
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn is_reachable(&self) -> bool {
        !self.is_away.load(Ordering::Relaxed) && !self.is_over()
    }
}

impl Writer {
    /// When this says that it failed, it did not hold and never will.
    pub async fn commit(&mut self, pool: &Pool, owner: &Owner, writes: &[Write<'_>]) -> Result<()> {
        if owner.is_over() {
            return Err(Fault::Lost);
        }
        // Nothing of this was sent to a connection that was closed before, so nothing of it is in doubt.
        if self.client.as_ref().is_some_and(|client| client.is_closed()) {
            self.disconnect();
        }
        if self.client.is_none() {
            bounded(self.reconnect(pool, owner)).await?;
        }
        let client = self.client.as_ref().expect("it was made just now");
        let number = self.commits + 1;
        let sent = bounded(commit::commit(client, writes, self.epoch, number)).await;
        let fault = match sent {
            Ok(()) => {
                self.commits = number;
                return Ok(());
            }
            Err(fault) => fault,
        };
        self.disconnect();
        self.resolve(pool, owner).await?;
        if self.commits == number { Ok(()) } else { Err(fault) }
    }

    pub async fn read<T>(&mut self, pool: &Pool, read: impl AsyncFnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        match &self.client {
            Some(client) => read(&View { client }).await,
            // The next commit connects anew, and that alone says which epoch it is.
            None => {
                let client = writing(pool).await?;
                let answer = read(&View { client: &client }).await;
                drop(Object::take(client));
                answer
            }
        }
    }

    /// It is not given back: it sees the rows of all tenants, and nobody knows what state it is in.
    pub fn disconnect(&mut self) {
        self.client.take().map(Object::take);
    }

    /// In a new epoch: what the last connection sent is written by now, or never will be.
    async fn reconnect(&mut self, pool: &Pool, owner: &Owner) -> Result<()> {
        let client = writing(pool).await?;
        let sql = "UPDATE ownership SET epoch = epoch + 1, expires_at = clock_timestamp() + make_interval(secs => $2)
            WHERE node = $1 RETURNING epoch, commits";
        let Some(row) = client.query_opt(sql, &[&owner.id, &owner.lease.as_secs_f64()]).await? else {
            owner.is_over.store(true, Ordering::Relaxed);
            return Err(Fault::Lost);
        };
        (self.epoch, self.commits) = (row.try_get(0)?, row.try_get(1)?);
        self.client = Some(client);
        Ok(())
    }

    /// Asks until the database says how many commits there were.
    async fn resolve(&mut self, pool: &Pool, owner: &Owner) -> Result<()> {
        let begun = Instant::now();
        loop {
            let fault = match bounded(self.reconnect(pool, owner)).await {
                Ok(()) => {
                    owner.is_away.store(false, Ordering::Relaxed);
                    return Ok(());
                }
                Err(Fault::Lost) => return Err(Fault::Lost),
                Err(fault) => fault,
            };
            if begun.elapsed() > IN_DOUBT_MAX {
                return Err(Fault::InDoubt);
            }
            if !owner.is_away.swap(true, Ordering::Relaxed) {
                let error = fault.while_("ask whether the last commit held");
                tracing::warn!(target: "store", %error, "the database does not answer; nothing is decided until it does");
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// A connection that is nobody else's, and sees the rows of all tenants.
async fn writing(pool: &Pool) -> Result<Client> {
    let client = pool.get().await?;
    client.batch_execute(OF_ALL_TENANTS).await?;
    Ok(client)
}
