//! Fair shares: what one tenant causes delays the input of another by a bounded number of units, however much it is.

use std::collections::BTreeMap;

use fleetprompt_core::TenantId;
use fleetprompt_engine::{Backlog, Decided};

use super::{Held, hold};

/// Inputs that wait, and what was decided before them.
pub struct FairShares {
    /// Units of the largest input.
    units_max: usize,
    waiting: Vec<Waiting>,
}

struct Waiting {
    partition: usize,
    tenant: TenantId,
    /// Units of its own tenant until it is decided, its own among them.
    left: usize,
    /// What its tenant has had: how far it was ahead, what was decided since, and what was charged for that.
    own: usize,
    /// Units of each other tenant that were decided since it waits.
    others: BTreeMap<Option<TenantId>, usize>,
}

impl FairShares {
    pub fn new(units_max: usize) -> Self {
        Self { units_max, waiting: Vec::new() }
    }

    /// An input waits behind the rest of this backlog.
    pub fn enqueued(&mut self, partition: usize, tenant: TenantId, backlog: Backlog) {
        let Backlog { units: left, lead: own } = backlog;
        if left > 0 {
            self.waiting.push(Waiting { partition, tenant, left, own, others: BTreeMap::new() });
        }
    }

    /// All tenants have the same weight here, so each may have as much as the one that waits, and besides the rest of
    /// an input that was begun before and one more.
    pub fn decided(&mut self, partition: usize, batches: &[Decided]) -> Held {
        for batch in batches {
            batch.units.iter().try_for_each(|(tenant, units)| self.count(partition, *tenant, *units))?;
            for (tenant, units) in &batch.charged {
                let own = self.waiting.iter_mut().filter(|waiting| waiting.partition == partition);
                own.filter(|waiting| *tenant == Some(waiting.tenant)).for_each(|waiting| waiting.own += units);
            }
        }
        Ok(())
    }

    fn count(&mut self, partition: usize, tenant: Option<TenantId>, units: usize) -> Held {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.partition == partition) {
            if tenant == Some(waiting.tenant) {
                waiting.own += units;
                waiting.left = waiting.left.saturating_sub(units);
                continue;
            }
            let other = waiting.others.entry(tenant).or_default();
            *other += units;
            hold(*other <= waiting.own + 2 * self.units_max, || {
                let (own, other) = (waiting.own, *other);
                format!("{own} units of {} were decided while it waited, and {other} of another", waiting.tenant)
            })?;
        }
        self.waiting.retain(|waiting| waiting.left > 0);
        Ok(())
    }

    /// What waited for an engine that is gone.
    pub fn forget(&mut self, partition: usize) {
        self.waiting.retain(|waiting| waiting.partition != partition);
    }
}
