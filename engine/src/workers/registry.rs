//! The workers that were heard of lately: who they are, what they perform and what they have. One that is silent for
//! longer is forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetprompt_core::TenantId;

use super::attempt::{Attempt, AttemptOf};
use super::state::{Worker, WorkerId};
use super::taker::TakerIndex;

/// After so long without a word a worker does not count any more.
pub const GONE_AFTER: Duration = Duration::from_secs(60);
/// The ones that were silent longest are forgotten first, of the tenant that has too many.
const WORKERS_MAX: usize = 10_000;
const WORKERS_OF_TENANT_MAX: usize = 2_000;
/// Names that these workers perform.
const NAMES_MAX: usize = 250_000;
const NAMES_OF_TENANT_MAX: usize = 100_000;

#[derive(Debug, Clone)]
pub struct Seen {
    pub worker: Arc<Worker>,
    pub first_at: Instant,
    pub last_at: Instant,
    pub taken: BTreeSet<AttemptOf>,
    /// Requests of it that wait for work.
    pub waiting: usize,
    number: u64,
    /// When it was last heard of, or last found to be silent and kept.
    ordered_at: Instant,
    is_there: bool,
}

/// The workers of one tenant, or those of all tenants.
#[derive(Debug, Default)]
struct Scope {
    order: BTreeSet<(Instant, u64)>,
    names: usize,
}

#[derive(Default)]
pub struct Registry {
    workers: HashMap<WorkerId, Seen>,
    ids: HashMap<u64, WorkerId>,
    /// By how long they have been silent, the longest first.
    order: BTreeSet<(Instant, u64)>,
    scopes: HashMap<Option<TenantId>, Scope>,
    names: usize,
    /// Those that are there, by what they perform.
    by_name: TakerIndex,
    last_number: u64,
    pub there: usize,
}

impl Registry {
    pub fn get_mut(&mut self, id: &WorkerId) -> Option<&mut Seen> {
        self.workers.get_mut(id)
    }

    /// It asks for work, and says what it performs.
    pub fn see(&mut self, worker: &Arc<Worker>, now: Instant) {
        match self.workers.get_mut(&worker.id) {
            Some(seen) if seen.worker.taker == worker.taker => seen.worker = worker.clone(),
            Some(_) => {
                let before = self.forget(&worker.id);
                self.add(worker.clone(), now);
                if let (Some(before), Some(seen)) = (before, self.workers.get_mut(&worker.id)) {
                    (seen.first_at, seen.taken, seen.waiting) = (before.first_at, before.taken, before.waiting);
                }
            }
            None => self.add(worker.clone(), now),
        }
        self.hear(&worker.id, now);
    }

    /// It keeps or reports something, and does not say what it performs.
    pub fn hear(&mut self, id: &WorkerId, now: Instant) {
        let Some(seen) = self.workers.get_mut(id) else { return };
        seen.last_at = now;
        if !seen.is_there {
            seen.is_there = true;
            self.there += 1;
            self.by_name.insert(&seen.worker.taker, seen.number);
        }
        self.reorder(id, now);
    }

    /// Forgets those that have been silent for too long, unless they wait or have something.
    pub fn expire(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let Some(id) = self.next_silent().filter(|at| *at <= now).and_then(|_| self.first_of(&self.order)) else {
                return;
            };
            let Some(seen) = self.workers.get_mut(&id) else { return };
            if seen.waiting == 0 && seen.taken.is_empty() {
                self.forget(&id);
                continue;
            }
            if seen.waiting == 0 && seen.is_there {
                seen.is_there = false;
                self.there -= 1;
                self.by_name.remove(&seen.worker.taker, seen.number);
            }
            self.reorder(&id, now);
        }
    }

    /// When the next one will have been silent for too long.
    pub fn next_silent(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at + GONE_AFTER)
    }

    /// Whether some worker that is there could take it.
    pub fn has_worker_for(&self, attempt: &Attempt, now: Instant) -> bool {
        let seen = |number: &u64| self.workers.get(self.ids.get(number)?);
        let mut found = self.by_name.find(attempt.tenant, &attempt.name).flatten().filter_map(seen);
        found.any(|seen| seen.is_there(now) && seen.worker.taker.has(&attempt.labels))
    }

    /// Those that are there and take attempts of a tenant.
    pub fn of_tenant(&self, tenant: TenantId, now: Instant) -> impl Iterator<Item = &Seen> {
        let scopes = [Some(tenant), None].into_iter().filter_map(|scope| self.scopes.get(&scope));
        let numbers = scopes.flat_map(|scope| scope.order.iter().map(|(_, number)| number));
        let all = numbers.filter_map(|number| self.workers.get(self.ids.get(number)?));
        all.filter(move |seen| seen.is_there(now))
    }

    fn add(&mut self, worker: Arc<Worker>, now: Instant) {
        let (tenant, names) = (worker.taker.tenant, worker.taker.nodes.len());
        self.make_room(tenant, names);
        self.last_number += 1;
        let number = self.last_number;
        let scope = self.scopes.entry(tenant).or_default();
        scope.order.insert((now, number));
        scope.names += names;
        self.names += names;
        self.order.insert((now, number));
        self.ids.insert(number, worker.id.clone());
        let seen = Seen {
            first_at: now,
            last_at: now,
            taken: BTreeSet::new(),
            waiting: 0,
            number,
            ordered_at: now,
            is_there: false,
            worker,
        };
        self.workers.insert(seen.worker.id.clone(), seen);
    }

    fn make_room(&mut self, tenant: Option<TenantId>, names: usize) {
        while tenant.is_some()
            && let Some(scope) = self.scopes.get(&tenant)
            && (scope.order.len() >= WORKERS_OF_TENANT_MAX || scope.names + names > NAMES_OF_TENANT_MAX)
            && let Some(silent) = self.first_of(&scope.order)
        {
            self.forget(&silent);
        }
        while (self.workers.len() >= WORKERS_MAX || self.names + names > NAMES_MAX)
            && let Some(silent) = self.first_of(&self.order)
        {
            self.forget(&silent);
        }
    }

    fn first_of(&self, order: &BTreeSet<(Instant, u64)>) -> Option<WorkerId> {
        self.ids.get(&order.first()?.1).cloned()
    }

    fn reorder(&mut self, id: &WorkerId, now: Instant) {
        let Some(seen) = self.workers.get_mut(id) else { return };
        let (before, after) = ((seen.ordered_at, seen.number), (now, seen.number));
        seen.ordered_at = now;
        let scope = self.scopes.get_mut(&seen.worker.taker.tenant).map(|scope| &mut scope.order);
        for order in scope.into_iter().chain([&mut self.order]) {
            order.remove(&before);
            order.insert(after);
        }
    }

    fn forget(&mut self, id: &WorkerId) -> Option<Seen> {
        let seen = self.workers.remove(id)?;
        let taker = &seen.worker.taker;
        if seen.is_there {
            self.there -= 1;
            self.by_name.remove(taker, seen.number);
        }
        self.ids.remove(&seen.number);
        let entry = (seen.ordered_at, seen.number);
        self.order.remove(&entry);
        self.names -= taker.nodes.len();
        if let Some(scope) = self.scopes.get_mut(&taker.tenant) {
            scope.order.remove(&entry);
            scope.names -= taker.nodes.len();
            if scope.order.is_empty() {
                self.scopes.remove(&taker.tenant);
            }
        }
        Some(seen)
    }

    #[cfg(test)]
    pub fn ids(&self) -> BTreeSet<&WorkerId> {
        self.workers.keys().collect()
    }
}

impl Seen {
    fn is_there(&self, now: Instant) -> bool {
        self.waiting > 0 || now.saturating_duration_since(self.last_at) < GONE_AFTER
    }
}
