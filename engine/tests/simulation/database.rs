//! What all engines of a world share: one store, whose tenants are parted; who may write for each part; and
//! a journal of who did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::{Signal, Slug, TenantId};
use fleetprompt_engine::ManualTime;
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Error, Result};
use parking_lot::{Mutex, MutexGuard};

pub struct Database {
    pub store: Arc<MemoryStore>,
    ownership: Mutex<Ownership>,
    read_faults: Mutex<ReadFaults>,
    refused: Mutex<Option<String>>,
}

/// What happens to the reads of all engines for now.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadFaults {
    /// Number of reads that succeed before the next ones fail.
    pub succeed: usize,
    pub fail: usize,
    /// How long each read takes.
    pub delay: Duration,
}

#[derive(Default)]
pub struct Ownership {
    /// Of whoever may write, for each partition.
    pub epochs: Vec<u64>,
    pub tenants: BTreeMap<TenantId, usize>,
    pub journal: Vec<Entry>,
    /// How many commits there are still to be until somebody takes the partition of the one after them.
    pub taken_after: Option<usize>,
}

/// In the order in which it happened.
pub enum Entry {
    Begun { partition: usize, epoch: u64 },
    Wrote { partition: usize, epoch: u64, tenants: Vec<TenantId>, signals: Vec<Arc<Signal>> },
}

impl Database {
    pub fn of(partitions: usize) -> Self {
        let ownership = Ownership { epochs: vec![0; partitions], ..Ownership::default() };
        Self {
            store: Arc::default(),
            ownership: Mutex::new(ownership),
            read_faults: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    pub fn ownership(&self) -> MutexGuard<'_, Ownership> {
        self.ownership.lock()
    }

    /// From now on nobody else writes for a partition.
    pub fn take(&self, partition: usize) -> u64 {
        let mut ownership = self.ownership();
        ownership.epochs[partition] += 1;
        let epoch = ownership.epochs[partition];
        ownership.journal.push(Entry::Begun { partition, epoch });
        epoch
    }

    /// In the midst of what an engine does, another node may take what it has.
    pub fn before_commit(&self, partition: usize) {
        let taken_after = self.ownership().taken_after;
        self.ownership().taken_after = taken_after.and_then(|commits| commits.checked_sub(1));
        if taken_after == Some(0) {
            self.take(partition);
        }
    }

    /// What a commit was refused for that no attempt would write, if there was one.
    pub fn refused(&self) -> Option<String> {
        self.refused.lock().clone()
    }

    pub fn note_refused(&self, error: &Error) {
        if error.is_unstorable() {
            *self.refused.lock() = Some(error.to_string());
        }
    }

    /// Returns the faults that were set before.
    pub fn set_read_faults(&self, faults: ReadFaults) -> ReadFaults {
        std::mem::replace(&mut self.read_faults.lock(), faults)
    }

    pub fn before_read(&self, time: &ManualTime) -> Result<()> {
        let mut faults = self.read_faults.lock();
        time.advance(faults.delay);
        match (faults.fail, faults.succeed) {
            (0, _) => Ok(()),
            (_, 0) => {
                faults.fail -= 1;
                Err(Error::Unavailable { doing: "read", cause: "the database does not respond".into() })
            }
            _ => {
                faults.succeed -= 1;
                Ok(())
            }
        }
    }

    pub fn is_over(&self, partition: usize, epoch: u64) -> bool {
        self.ownership().epochs[partition] != epoch
    }

    /// What happened since this was asked last.
    pub fn take_journal(&self) -> Vec<Entry> {
        std::mem::take(&mut self.ownership().journal)
    }
}

impl Ownership {
    /// Slugs end in a number.
    pub fn partition_of(&self, slug: &Slug) -> usize {
        let number = slug.as_str().bytes().last().map_or(0, |digit| usize::from(digit - b'0'));
        number % self.epochs.len()
    }
}
