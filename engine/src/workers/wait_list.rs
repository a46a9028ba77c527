//! Requests of workers that wait for work, found by the name of an attempt and by the attempts that a worker has. To find
//! one costs the same however many others wait.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fleetprompt_core::TenantId;
use fleetprompt_core::performs::Labels;
use tokio::sync::oneshot;

use super::attempt::{AttemptId, AttemptOf};
use super::state::{Handed, Worker};
use super::taker::TakerIndex;

/// Requests that wait for work, and how many of them for that of one tenant.
const WAITERS_MAX: usize = 10_000;
const WAITERS_OF_TENANT_MAX: usize = 2_000;
/// Names and attempts that these requests list.
const ENTRIES_MAX: usize = 250_000;
const ENTRIES_OF_TENANT_MAX: usize = 100_000;

/// A worker that has nothing to do, and waits.
pub struct Waiter {
    pub number: u64,
    pub worker: Arc<Worker>,
    pub limit: usize,
    pub holding: Vec<AttemptId>,
    pub tell: oneshot::Sender<Handed>,
}

/// Why a worker cannot wait for work now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    #[error("too many workers wait for work already: {WAITERS_OF_TENANT_MAX} of one tenant may")]
    Workers,
    #[error(
        "the workers that wait for work list too many names and attempts: together {ENTRIES_OF_TENANT_MAX} of one tenant \
        may wait; a pattern like `mail.*` counts as one"
    )]
    Entries,
}

/// What the requests of one tenant, or of workers of all tenants, take up.
#[derive(Debug, Default, Clone, Copy)]
struct Use {
    waiters: usize,
    entries: usize,
}

#[derive(Default)]
pub struct WaitList {
    waiters: HashMap<u64, Waiter>,
    by_name: TakerIndex,
    by_attempt: HashMap<AttemptOf, BTreeSet<u64>>,
    uses: HashMap<Option<TenantId>, Use>,
    entries: usize,
    /// Requests and entries that were looked at.
    pub work: Cell<u64>,
}

impl WaitList {
    pub fn add(&mut self, waiter: Waiter) -> Result<(), Crowded> {
        let entries = waiter.entries();
        self.check_room(waiter.worker.taker.tenant, entries)?;
        let used = self.uses.entry(waiter.worker.taker.tenant).or_default();
        used.waiters += 1;
        used.entries += entries;
        self.entries += entries;
        // Who has no room for more is only told what is not wanted any more.
        if waiter.limit > 0 {
            self.by_name.insert(&waiter.worker.taker, waiter.number);
        }
        for id in &waiter.holding {
            self.by_attempt.entry(id.of).or_default().insert(waiter.number);
        }
        self.waiters.insert(waiter.number, waiter);
        Ok(())
    }

    /// Where all room is taken, each tenant may still have its share.
    fn check_room(&self, tenant: Option<TenantId>, entries: usize) -> Result<(), Crowded> {
        let used = self.uses.get(&tenant).copied().unwrap_or_default();
        let sharers = self.uses.len() + 1;
        let fits = |all: usize, own: usize, max: usize, max_of_tenant: usize| {
            let is_within_own = tenant.is_none() || own <= max_of_tenant;
            is_within_own && (all <= max || own <= max / sharers)
        };
        if !fits(self.waiters.len() + 1, used.waiters + 1, WAITERS_MAX, WAITERS_OF_TENANT_MAX) {
            return Err(Crowded::Workers);
        }
        if !fits(self.entries + entries, used.entries + entries, ENTRIES_MAX, ENTRIES_OF_TENANT_MAX) {
            return Err(Crowded::Entries);
        }
        Ok(())
    }

    pub fn remove(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        let (tenant, entries) = (waiter.worker.taker.tenant, waiter.entries());
        self.work.set(self.work.get() + entries as u64);
        if waiter.limit > 0 {
            self.by_name.remove(&waiter.worker.taker, number);
        }
        for id in &waiter.holding {
            if let Some(numbers) = self.by_attempt.get_mut(&id.of) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_attempt.remove(&id.of);
                }
            }
        }
        self.entries -= entries;
        if let Some(used) = self.uses.get_mut(&tenant) {
            used.waiters -= 1;
            used.entries -= entries;
            if used.waiters == 0 {
                self.uses.remove(&tenant);
            }
        }
        Some(waiter)
    }

    /// The request that has waited longest of those that may take attempts of this tenant, name and labels.
    pub fn find_first(&self, tenant: TenantId, name: &str, wanted: &Labels) -> Option<u64> {
        let has = |number: &&u64| {
            self.work.set(self.work.get() + 1);
            self.waiters.get(number).is_some_and(|waiter| waiter.worker.taker.has(wanted))
        };
        self.by_name.find(tenant, name).filter_map(|numbers| numbers.iter().find(has)).min().copied()
    }

    /// The request that has waited longest of those whose worker has this attempt.
    pub fn find_holder(&self, of: &AttemptOf) -> Option<u64> {
        self.by_attempt.get(of)?.first().copied()
    }

    /// Ends all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Waiter {
    fn entries(&self) -> usize {
        self.worker.taker.nodes.len() + self.holding.len()
    }
}
