//! The store as an engine sees it that may have lost it: once another has begun, it writes nothing any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::{DirectiveId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{
    Batch, DirectiveFilter, Directory, Error, OpenWork, Page, Result, RunFilter, SignalFilter, Store, WaitingFilter,
};

pub struct Fenced {
    store: Arc<MemoryStore>,
    /// Of whoever may write.
    epoch: Arc<AtomicU64>,
    own: u64,
}

impl Fenced {
    /// From now on nobody else writes.
    pub fn take(store: Arc<MemoryStore>, epoch: &Arc<AtomicU64>) -> Self {
        let own = epoch.fetch_add(1, Ordering::SeqCst) + 1;
        Self { store, epoch: epoch.clone(), own }
    }
}

/// Each question goes to the store as it is.
macro_rules! asks_the_store {
    ($($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($value: $kind),*) -> Result<$answer> {
            self.store.$name($($value),*)
        })*
    };
}

impl Store for Fenced {
    fn commit(&self, batch: &Batch) -> Result<()> {
        match self.epoch.load(Ordering::SeqCst) == self.own {
            true => self.store.commit(batch),
            false => Err(Error::Lost { why: "another engine has begun" }),
        }
    }

    asks_the_store! {
        directory() -> Directory;
        open_work() -> OpenWork;
        last_signal_id() -> Option<SignalId>;
        deduplicate(keys: &[(TenantId, DedupeKey)]) -> Vec<Option<SignalId>>;
        directives_by_key(keys: &[(TenantId, String)]) -> Vec<Option<Directive>>;
        begun_since(tenant: TenantId, workflow: &Slug, since: Timestamp, limit: usize)
            -> Vec<(Arc<str>, Timestamp, RunId)>;
        signal(tenant: TenantId, id: SignalId) -> Option<Signal>;
        directive(tenant: TenantId, id: DirectiveId) -> Option<Directive>;
        run(tenant: TenantId, id: RunId) -> Option<Run>;
        workflow_version(tenant: TenantId, slug: &Slug, version: &str) -> Option<WorkflowVersion>;
        module(tenant: TenantId, digest: &ModuleDigest) -> Option<Vec<u8>>;
        signals(tenant: TenantId, filter: &SignalFilter, page: Page) -> Vec<Signal>;
        dispositions(tenant: TenantId, signal: SignalId) -> Vec<Disposition>;
        directives(tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Vec<Directive>;
        runs(tenant: TenantId, filter: &RunFilter, page: Page) -> Vec<Run>;
        waiting(tenant: TenantId, filter: &WaitingFilter, page: Page) -> Vec<(RunId, Place, Step)>;
        runs_in_flight(tenant: TenantId, slug: &Slug) -> Vec<(String, Status, u64)>;
        workflow_versions(tenant: TenantId, slug: &Slug) -> Vec<WorkflowVersion>;
    }
}
