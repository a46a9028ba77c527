//! How many effects are performed at once, in all and for one tenant. Endpoints that never answer can
//! hold all that a tenant may have, and the others go on.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Slots {
    all: Arc<Semaphore>,
    of_tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    of_one: usize,
}

/// Given back when dropped.
pub(crate) struct Slot {
    _of_tenant: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub fn new(all: usize) -> Self {
        let of_one = (all - all / 4).max(1);
        Self { all: Arc::new(Semaphore::new(all)), of_tenants: Mutex::default(), of_one }
    }

    /// The tenant's own first: who waits for that keeps nobody else waiting.
    pub async fn take(&self, tenant: TenantId) -> Slot {
        let make = || Arc::new(Semaphore::new(self.of_one));
        let of_tenant = self.of_tenants.lock().entry(tenant).or_insert_with(make).clone();
        // They are never closed, so there is always one to wait for.
        Slot { _of_tenant: of_tenant.acquire_owned().await.ok(), _of_all: self.all.clone().acquire_owned().await.ok() }
    }
}
