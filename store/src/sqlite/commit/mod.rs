//! One batch, one transaction: all of it, or nothing.

mod records;
mod registrations;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::{Fault, Result};
use super::intern::{Interned, Numbering};
use crate::Batch;

pub fn commit(writer: &mut Connection, interned: &Interned, batch: &Batch) -> Result<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut write = Write { sql: &transaction, numbers: Numbering::new(&transaction, interned) };
    write.registrations(batch)?;
    write.records(batch)?;
    let fresh = write.numbers.fresh();
    transaction.commit().map_err(Fault::of_commit)?;
    interned.remember(fresh);
    Ok(())
}

/// A batch on its way into the tables.
struct Write<'a> {
    sql: &'a Connection,
    numbers: Numbering<'a>,
}
