//! Who may write for a partition. Its row says which node does, under which epoch, and how many commits there were.
//!
//! A node says that it lives, as long as it does (`nodes`); when it has not for so long, others take its partitions and
//! begin new epochs. So does a node whose connection broke: the transaction that it had sent might still be on its
//! way, and may not arrive after we have looked whether it did. Each commit says its epoch and its number, so that it
//! fails when its epoch is over, and so that afterwards it can be told whether it held.

use std::time::{Duration, Instant};

use deadpool_postgres::{Client, Object, Pool};
use uuid::Uuid;

use super::View;
use super::commit::{self, Fence, Write};
use super::database::{Database, bounded, writing};
use super::fault::{Fault, Result};

/// The connection that writes.
pub struct Writer {
    client: Option<Client>,
    at: Fence,
    /// Ours among those of this node: the row has it until somebody takes the partition anew.
    claim: Uuid,
    /// Another node has taken over, or this one never wrote.
    pub is_over: bool,
}

/// No tenant is of it.
pub const NOBODYS: u16 = u16::MAX;

/// How long a node asks whether its last commit held. One that cannot know must begin anew.
const IN_DOUBT_MAX: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Nobody's, our own, or that of a node that has fallen silent.
/// One that comes back in this very moment may lose it: that is what epochs are for.
const TAKE: &str = "UPDATE partitions SET epoch = epoch + 1, node = $2, claim = $3
    WHERE number = $1 AND (node IS NULL OR node = $2 OR NOT EXISTS (
      SELECT FROM nodes n WHERE n.id = partitions.node AND n.expires_at > clock_timestamp()))
    RETURNING epoch, commits";

/// Becomes the node that writes, when no other is.
pub async fn take(pool: &Pool, node: Uuid, partition: u16) -> Result<Option<Writer>> {
    let client = bounded(writing(pool)).await?;
    let partition = i32::from(partition);
    let claim = Uuid::now_v7();
    let taken = bounded(async { Ok(client.query_opt(TAKE, &[&partition, &node, &claim]).await?) }).await;
    match taken {
        Ok(Some(row)) => {
            let at = Fence { partition, epoch: row.try_get(0)?, number: row.try_get(1)? };
            Ok(Some(Writer { client: Some(client), at, claim, is_over: false }))
        }
        taken => {
            drop(Object::take(client));
            taken.map(|_| None)
        }
    }
}

impl Writer {
    pub fn none(partition: u16) -> Self {
        let at = Fence { partition: i32::from(partition), epoch: 0, number: 0 };
        Self { client: None, at, claim: Uuid::nil(), is_over: true }
    }

    /// An error means that it is not written and never will be, unless the error is `InDoubt`.
    pub async fn commit(&mut self, database: &Database, writes: &[Write<'_>]) -> Result<()> {
        if self.is_over {
            return Err(Fault::Lost);
        }
        // Nothing of this was sent to a connection that was closed before, so nothing of it is in doubt.
        if self.client.as_ref().is_some_and(|client| client.is_closed()) {
            self.disconnect();
        }
        if self.client.is_none() {
            bounded(self.reconnect(database)).await?;
        }
        let client = self.client.as_ref().expect("it was made just now");
        let next = Fence { number: self.at.number + 1, ..self.at };
        let sent = bounded(commit::commit(client, writes, next)).await;
        let fault = match sent {
            Ok(()) => {
                self.at = next;
                return Ok(());
            }
            Err(fault) => fault,
        };
        // Nothing is in doubt when the database refuses a value, and the connection is good for the next commit.
        if fault.is_of_value() && bounded(async { Ok(client.batch_execute("ROLLBACK").await?) }).await.is_ok() {
            return Err(fault);
        }
        self.disconnect();
        if fault.is_refusal() {
            self.is_over |= matches!(fault, Fault::Lost);
            return Err(fault);
        }
        match self.resolve(database).await {
            Ok(()) if self.at.number == next.number => Ok(()),
            Ok(()) => Err(fault),
            // The number of the partition's commits counts those of its next owner as well.
            Err(unresolved) => {
                self.is_over = true;
                Err(unresolved)
            }
        }
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

    /// Nothing is written any more, and the next node may begin.
    pub async fn release(&mut self, database: &Database) -> Result<()> {
        self.is_over = true;
        self.disconnect();
        let sql = "UPDATE partitions SET node = NULL, claim = NULL WHERE number = $1 AND claim = $2";
        database
            .ask(async |client| {
                client.execute(sql, &[&self.at.partition, &self.claim]).await?;
                Ok(())
            })
            .await
    }

    /// In a new epoch: what the last connection sent is written by now, or never will be.
    async fn reconnect(&mut self, database: &Database) -> Result<()> {
        let client = writing(&database.connections.writers).await?;
        let sql = "UPDATE partitions SET epoch = epoch + 1 WHERE number = $1 AND claim = $2 RETURNING epoch, commits";
        let Some(row) = client.query_opt(sql, &[&self.at.partition, &self.claim]).await? else {
            self.is_over = true;
            return Err(Fault::Lost);
        };
        (self.at.epoch, self.at.number) = (row.try_get(0)?, row.try_get(1)?);
        self.client = Some(client);
        Ok(())
    }

    /// Asks until the database says how many commits there were.
    async fn resolve(&mut self, database: &Database) -> Result<()> {
        let begun = Instant::now();
        loop {
            let fault = match bounded(self.reconnect(database)).await {
                Ok(()) => {
                    database.answers(true);
                    return Ok(());
                }
                Err(Fault::Lost) => {
                    let cause = "another node took over before the database said whether it was";
                    return Err(Fault::InDoubt(cause.to_owned()));
                }
                Err(fault) => fault,
            };
            if begun.elapsed() > IN_DOUBT_MAX {
                let cause = format!("the database did not answer for {} s", IN_DOUBT_MAX.as_secs());
                return Err(Fault::InDoubt(cause));
            }
            if database.answers(false) {
                let error = fault.while_("ask whether the last commit held");
                tracing::warn!(target: "store", %error, "the database does not answer; nothing is decided until it does");
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}
