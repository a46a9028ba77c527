//! The connection that writes, and what it owes to callers whose commit failed.
//!
//! When the sync of a commit fails, its frames are in the write-ahead log together with their commit mark: a process that
//! starts after a crash would find them and record them. Frames of the next commit overwrite them, and the checksums of
//! frames are chained, so one small commit removes the batch for good. Until that commit is durable, the batch is in doubt.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::checkpoints::Checkpoints;
use super::fault::{Fault, Result as FaultResult};
use super::files::OpenFiles;
use super::intern::Interned;
use super::{commit, connection};
use crate::{Batch, Result};

pub struct Writer {
    pub sql: Connection,
    /// `None` if this only reads.
    checkpoints: Option<Checkpoints>,
    files: Arc<OpenFiles>,
    /// A commit failed, and its frames may still be in the log.
    is_in_doubt: bool,
    overwrites: i32,
}

impl Writer {
    pub fn new(mut sql: Connection, path: &Path, files: Arc<OpenFiles>) -> Result<Self> {
        let checkpoints = Some(Checkpoints::of(&mut sql, path)?);
        Ok(Self { sql, checkpoints, files, is_in_doubt: false, overwrites: 0 })
    }

    /// Each commit fails.
    pub fn read_only(sql: Connection, files: Arc<OpenFiles>) -> Self {
        Self { sql, checkpoints: None, files, is_in_doubt: false, overwrites: 0 }
    }

    pub fn commit(&mut self, interned: &Interned, batch: &Batch) -> FaultResult<()> {
        self.files.check()?;
        self.resolve_doubt()?;
        match commit::commit(&mut self.sql, interned, batch) {
            Ok(()) => {
                if let Some(checkpoints) = &mut self.checkpoints {
                    checkpoints.after_commit(&self.sql);
                }
                Ok(())
            }
            Err(Fault::InDoubt(error)) => {
                self.is_in_doubt = true;
                // The caller learns the cause, whether or not the frames could be overwritten.
                Err(if self.resolve_doubt().is_ok() { Fault::Sqlite(error) } else { Fault::InDoubt(error) })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Commits something of no meaning, as a check that the disk accepts writes.
    pub fn probe(&mut self) -> FaultResult<()> {
        self.files.check()?;
        self.overwrite()
    }

    pub fn close(&mut self) {
        let Some(checkpoints) = &mut self.checkpoints else { return };
        checkpoints.close();
        if let Err(error) = connection::checkpoint(&self.sql) {
            tracing::warn!(%error, "the write-ahead log could not be checkpointed; the next start does it");
        }
    }

    fn resolve_doubt(&mut self) -> FaultResult<()> {
        if self.is_in_doubt { self.overwrite() } else { Ok(()) }
    }

    /// Overwrites what a failed commit left in the log: the pragma changes the first page, which nothing of ours reads.
    fn overwrite(&mut self) -> FaultResult<()> {
        self.overwrites = self.overwrites.wrapping_add(1);
        self.sql.pragma_update(None, "user_version", self.overwrites)?;
        self.is_in_doubt = false;
        Ok(())
    }
}
