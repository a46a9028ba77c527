//! Threads for long computations that no decision waits for: compiling definitions and calling modules. How many run at
//! once is limited, of each tenant and of all.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fleetprompt_core::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::background::lower_priority;
use crate::{Error, Refusal};

const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Documents nest, and what reads them does as well; memory is only taken where it is used.
pub(crate) const STACK_BYTES: usize = 16 << 20;

/// Admits computations: one of each tenant at a time, and of all at most half as many as there are processors.
pub struct ComputeSlots {
    running: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, OfTenant>>,
    tenant_max: usize,
    all_max: usize,
}

struct OfTenant {
    /// Those that run and those that wait.
    count: usize,
    turn: Arc<Semaphore>,
}

/// Counts as one computation of its tenant until it is dropped.
struct Admission {
    slots: Arc<ComputeSlots>,
    tenant: TenantId,
    turn: Arc<Semaphore>,
}

impl ComputeSlots {
    /// At most so many of one tenant and of all run or wait; others are refused.
    pub fn new(tenant_max: usize, all_max: usize) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let running = Arc::new(Semaphore::new((processors / 2).max(1)));
        Self { running, tenants: Mutex::default(), tenant_max, all_max }
    }

    /// Runs `compute` on a thread of its own once it is its turn; `Busy` if too many wait already. When the caller
    /// leaves, what has begun still holds its place until it ends.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantId,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let admission = self.admit(tenant)?;
        let turn = acquire(admission.turn.clone()).await;
        let running = acquire(self.running.clone()).await;
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            lower_priority();
            let computed = compute();
            drop((turn, running, admission));
            drop(sender.send(computed));
        };
        let spawned = thread::Builder::new().name("compute".into()).stack_size(STACK_BYTES).spawn(work);
        spawned.map_err(|error| Error::Unavailable(format!("no thread could be started: {error}")))?;
        let broken = |_| Refusal::conflict("internal", "the computation panicked; it is a bug in FleetPrompt");
        Ok(receiver.await.map_err(broken)?)
    }

    fn admit(self: &Arc<Self>, tenant: TenantId) -> Result<Admission, Error> {
        let mut tenants = self.tenants.lock();
        let all: usize = tenants.values().map(|of_tenant| of_tenant.count).sum();
        let new = || OfTenant { count: 0, turn: Arc::new(Semaphore::new(1)) };
        let count = tenants.get(&tenant).map_or(0, |of_tenant| of_tenant.count);
        if count >= self.tenant_max || all >= self.all_max {
            return Err(Error::Busy { retry_after: RETRY_AFTER });
        }
        let of_tenant = tenants.entry(tenant).or_insert_with(new);
        of_tenant.count += 1;
        Ok(Admission { slots: self.clone(), tenant, turn: of_tenant.turn.clone() })
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("these semaphores are never closed")
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut tenants = self.slots.tenants.lock();
        let Some(of_tenant) = tenants.get_mut(&self.tenant) else { return };
        of_tenant.count -= 1;
        if of_tenant.count == 0 {
            tenants.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use uuid::Uuid;

    use super::*;

    const TENANT_MAX: usize = 4;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    /// One computation of the tenant that lasts until something is sent; gives that it has begun.
    async fn hold(slots: &Arc<ComputeSlots>, whose: TenantId) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
        let (release, held) = mpsc::channel();
        let (began, begun) = oneshot::channel();
        let slots = slots.clone();
        let task = tokio::spawn(async move {
            let compute = move || {
                let _ = began.send(());
                let _ = held.recv();
            };
            slots.run(whose, compute).await.expect("it is admitted");
        });
        begun.await.expect("it begins");
        (release, task)
    }

    #[tokio::test]
    async fn one_tenant_computes_one_at_a_time_and_is_refused_beyond_its_share() {
        let slots =
            Arc::new(ComputeSlots { running: Arc::new(Semaphore::new(2)), ..ComputeSlots::new(TENANT_MAX, 64) });
        let (release, first) = hold(&slots, tenant(1)).await;
        let waiting: Vec<_> = (1..TENANT_MAX)
            .map(|number| {
                let slots = slots.clone();
                tokio::spawn(async move { slots.run(tenant(1), move || number).await })
            })
            .collect();
        while slots.tenants.lock()[&tenant(1)].count < TENANT_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.run(tenant(1), || 0).await, Err(Error::Busy { retry_after: RETRY_AFTER }));
        assert_eq!(slots.run(tenant(2), || 7).await, Ok(7), "another tenant does not wait for it");
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop(release);
        first.await.expect("it ends");
        for (number, task) in (1..).zip(waiting) {
            assert_eq!(task.await.expect("it ends"), Ok(number));
        }
        assert!(slots.tenants.lock().is_empty());
    }

    #[tokio::test]
    async fn a_caller_who_leaves_frees_its_place_and_a_panic_is_a_refusal() {
        let slots =
            Arc::new(ComputeSlots { running: Arc::new(Semaphore::new(1)), ..ComputeSlots::new(TENANT_MAX, 64) });
        let (release, first) = hold(&slots, tenant(1)).await;
        let leaving = tokio::spawn({
            let slots = slots.clone();
            async move { slots.run(tenant(2), || ()).await }
        });
        while !slots.tenants.lock().contains_key(&tenant(2)) {
            tokio::task::yield_now().await;
        }
        leaving.abort();
        assert!(leaving.await.expect_err("it was aborted").is_cancelled());
        assert!(!slots.tenants.lock().contains_key(&tenant(2)));
        drop(release);
        first.await.expect("it ends");
        let broken = slots.run(tenant(1), || panic!("on purpose")).await;
        assert!(matches!(broken, Err(Error::Refused(refusal)) if refusal.code == "internal"));
        assert_eq!(slots.run(tenant(1), || 1).await, Ok(1));
    }
}
