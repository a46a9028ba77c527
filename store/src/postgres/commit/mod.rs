//! One batch, one transaction, sent in one go: what is recorded of a kind is one statement, with its columns as
//! arrays.

mod records;
mod registrations;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;

use super::fault::Result;
use crate::Batch;

/// A statement and its values.
pub struct Write<'a> {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + 'a>>,
}

type Writes<'a> = Vec<Write<'a>>;

pub fn writes(batch: &Batch, partition: i32) -> Result<Vec<Write<'_>>> {
    let mut writes = Vec::new();
    registrations::registrations(batch, partition, &mut writes);
    records::records(batch, &mut writes)?;
    Ok(writes)
}

/// Which commit of a partition it is, under which epoch.
#[derive(Debug, Clone, Copy)]
pub struct Fence {
    pub partition: i32,
    pub epoch: i64,
    pub number: i64,
}

pub async fn commit(client: &Client, writes: &[Write<'_>], at: Fence) -> Result<()> {
    let fence = client.prepare_cached("SELECT fence($1, $2, $3)").await?;
    let mut prepared = Vec::with_capacity(writes.len());
    for write in writes {
        prepared.push(client.prepare_cached(&write.sql).await?);
    }
    let fence_values: [&(dyn ToSql + Sync); 3] = [&at.partition, &at.epoch, &at.number];
    let values: Vec<Vec<&(dyn ToSql + Sync)>> = writes.iter().map(Write::values).collect();

    let mut sent: Vec<Sent<'_>> = vec![Box::pin(client.batch_execute("BEGIN"))];
    sent.push(Box::pin(async { client.execute(&fence, &fence_values).await.map(drop) }));
    for (statement, values) in prepared.iter().zip(&values) {
        sent.push(Box::pin(async move { client.execute(statement, values).await.map(drop) }));
    }
    // After a statement that failed this is a rollback.
    sent.push(Box::pin(client.batch_execute("COMMIT")));
    Ok(in_order(sent).await?)
}

type Sent<'a> = Pin<Box<dyn Future<Output = std::result::Result<(), tokio_postgres::Error>> + 'a>>;

/// Sends all of them, one after the other and without waiting for an answer; the first that fails is the answer. What
/// comes after one that could not be sent is not sent either: the last of them is the `COMMIT`.
async fn in_order(sent: Vec<Sent<'_>>) -> std::result::Result<(), tokio_postgres::Error> {
    let mut left: Vec<Option<Sent<'_>>> = sent.into_iter().map(Some).collect();
    let (mut failed, mut is_sent) = (None, false);
    poll_fn(move |context| {
        for slot in &mut left {
            let Some(one) = slot else { continue };
            if let Poll::Ready(answer) = one.as_mut().poll(context) {
                *slot = None;
                if failed.is_none() {
                    failed = answer.err();
                }
                if let Some(error) = failed.take_if(|_| !is_sent) {
                    return Poll::Ready(Err(error));
                }
            }
        }
        is_sent = true;
        match left.iter().all(Option::is_none) {
            true => Poll::Ready(failed.take().map_or(Ok(()), Err)),
            false => Poll::Pending,
        }
    })
    .await
}

impl<'a> Write<'a> {
    fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    fn with(mut self, value: impl ToSql + Sync + 'a) -> Self {
        self.values.push(Box::new(value));
        self
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

/// Rows of one table, column by column.
struct Columns<'r, 'a, R> {
    rows: &'r [R],
    kinds: Vec<&'static str>,
    values: Vec<Box<dyn ToSql + Sync + 'a>>,
}

impl<'r, 'a, R> Columns<'r, 'a, R> {
    fn of(rows: &'r [R]) -> Self {
        Self { rows, kinds: Vec::new(), values: Vec::new() }
    }

    fn with<T: ToSql + Sync + 'a>(mut self, kind: &'static str, of: impl Fn(&'r R) -> T) -> Self {
        self.kinds.push(kind);
        self.values.push(Box::new(self.rows.iter().map(of).collect::<Vec<T>>()));
        self
    }

    /// None without rows.
    fn insert(self, into: &str, on_conflict: &str) -> Option<Write<'a>> {
        self.write(|given| format!("INSERT INTO {into} SELECT * FROM {given} {on_conflict}"))
    }

    /// `sql` is told what the rows are in it.
    fn write(self, sql: impl FnOnce(&str) -> String) -> Option<Write<'a>> {
        if self.rows.is_empty() {
            return None;
        }
        let places = self.kinds.iter().enumerate().map(|(place, kind)| format!("${}::{kind}[]", place + 1));
        let given = format!("unnest({})", places.collect::<Vec<_>>().join(", "));
        Some(Write { sql: sql(&given), values: self.values })
    }
}
