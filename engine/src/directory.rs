//! Everything that is registered, in memory and compiled: who may speak for which tenant, and what
//! each tenant's signals start. Replaced as a whole by the engine when something is registered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use fleetprompt_core::agent::Agent;
use fleetprompt_core::directive::DirectiveType;
use fleetprompt_core::function::{Function, ModuleDigest};
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowStatus,
};
use fleetprompt_core::schedule::Schedule;
use fleetprompt_core::tenant::{Key, KeyHash, Tenant};
use fleetprompt_core::workflow::{Catalog, Named, Workflow};
use fleetprompt_core::{KeyId, Name, Slug, TenantId, Timestamp};
use tokio::sync::watch;

use crate::cascade::ScheduleRow;
use crate::{directives, functions};

#[derive(Debug, Clone, Default)]
pub struct Directory {
    tenants: HashMap<TenantId, Arc<TenantDirectory>>,
    by_slug: BTreeMap<Slug, TenantId>,
    keys: HashMap<KeyHash, Arc<Key>>,
    /// Counts the changes; all versions of a directory share it.
    changes: Arc<watch::Sender<u64>>,
}

/// What one tenant has registered.
#[derive(Debug, Clone)]
pub struct TenantDirectory {
    pub tenant: Arc<Tenant>,
    pub workflows: BTreeMap<Slug, Workflows>,
    pub agents: BTreeMap<Slug, (AgentEntry, Arc<Agent>)>,
    pub directive_types: BTreeMap<Name, (DirectiveTypeEntry, Arc<DirectiveType>)>,
    pub functions: BTreeMap<Name, (FunctionEntry, Arc<Function>)>,
    pub modules: BTreeMap<ModuleDigest, ModuleEntry>,
    pub schedules: BTreeMap<Slug, Scheduled>,
    /// The workflows that a signal of this name may start.
    subscriptions: HashMap<Name, Vec<Slug>>,
}

/// One workflow, and its version that signals start.
#[derive(Debug, Clone)]
pub struct Workflows {
    pub entry: WorkflowEntry,
    pub active: Option<Arc<Workflow>>,
}

/// A schedule, and where it stands as of the last commit. That changes with every fire, so it has a
/// place of its own, which all copies of a directory share.
#[derive(Debug, Clone)]
pub struct Scheduled {
    pub schedule: Arc<Schedule>,
    entry: Arc<ArcSwap<ScheduleEntry>>,
}

impl Scheduled {
    pub fn entry(&self) -> Arc<ScheduleEntry> {
        self.entry.load_full()
    }

    pub(crate) fn row(&self) -> ScheduleRow {
        ScheduleRow { entry: self.entry(), schedule: self.schedule.clone() }
    }

    pub(crate) fn set(&self, entry: Arc<ScheduleEntry>) {
        self.entry.store(entry);
    }
}

impl Directory {
    /// Changes whenever another version of this directory was published.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Has everybody who waits for changes look at the version that was just published.
    pub(crate) fn announce(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The key of this secret, also if it has expired or was revoked.
    pub fn key_of_secret(&self, hash: &KeyHash) -> Option<&Arc<Key>> {
        self.keys.get(hash)
    }

    /// The key of this secret, if it may be used now.
    pub fn key(&self, hash: &KeyHash, now: Timestamp) -> Option<&Arc<Key>> {
        self.keys.get(hash).filter(|key| key.is_live(now))
    }

    pub fn tenant(&self, id: TenantId) -> Option<&Arc<TenantDirectory>> {
        self.tenants.get(&id)
    }

    pub fn tenant_by_slug(&self, slug: &str) -> Option<&Arc<TenantDirectory>> {
        self.tenants.get(self.by_slug.get(slug)?)
    }

    /// By slug.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<TenantDirectory>> {
        self.by_slug.values().filter_map(|id| self.tenants.get(id))
    }

    /// Live, expired and revoked ones, oldest first.
    pub fn keys_of(&self, tenant: TenantId) -> Vec<Arc<Key>> {
        let mut keys: Vec<_> = self.keys.values().filter(|key| key.tenant == tenant).cloned().collect();
        keys.sort_by_key(|key| key.id);
        keys
    }

    pub(crate) fn key_by_id(&self, tenant: TenantId, id: KeyId) -> Option<&Arc<Key>> {
        self.keys.values().find(|key| key.tenant == tenant && key.id == id)
    }

    /// When which schedule must be looked at.
    pub(crate) fn schedules_due(&self) -> Vec<(TenantId, Slug, Timestamp)> {
        let all = self.tenants.values().flat_map(|tenant| tenant.schedules.values().map(Scheduled::row));
        all.filter_map(|row| Some((row.entry.tenant, row.entry.slug.clone(), row.wake_at()?))).collect()
    }

    pub(crate) fn put_tenant(&mut self, tenant: Tenant) {
        self.by_slug.insert(tenant.slug.clone(), tenant.id);
        self.tenants.insert(tenant.id, Arc::new(TenantDirectory::new(tenant)));
    }

    pub(crate) fn put_key(&mut self, key: Key) {
        self.keys.insert(key.hash, Arc::new(key));
    }

    pub(crate) fn tenant_mut(&mut self, id: TenantId) -> Option<&mut TenantDirectory> {
        self.tenants.get_mut(&id).map(Arc::make_mut)
    }
}

impl TenantDirectory {
    fn new(tenant: Tenant) -> Self {
        Self {
            tenant: Arc::new(tenant),
            workflows: BTreeMap::new(),
            agents: BTreeMap::new(),
            directive_types: BTreeMap::new(),
            functions: BTreeMap::new(),
            modules: BTreeMap::new(),
            schedules: BTreeMap::new(),
            subscriptions: HashMap::new(),
        }
    }

    /// What the steps of a workflow may name here.
    pub fn catalog(&self) -> Catalog {
        let built_in = directives::built_in().map(|(name, _)| Name::known(name));
        let registered = || self.functions.values().map(|(_, function)| function);
        let performed = registered().filter(|function| function.of_workers().is_some()).map(|one| one.name.clone());
        let called = registered().filter(|function| function.module().is_some()).map(|one| one.name.to_string());
        let ours = functions::all().iter().map(|function| function.name.to_owned());
        Catalog {
            functions: Some(ours.chain(called).collect()),
            worker_functions: Some(performed.collect()),
            directives: Some(self.directive_types.keys().cloned().chain(built_in).collect()),
            agents: Some(self.agents.keys().cloned().collect()),
            workflows: Some(self.workflows.keys().cloned().collect()),
        }
    }

    /// Whether a step of the workflow `own` may name this here.
    pub(crate) fn has(&self, own: &Slug, named: Named<'_>) -> bool {
        match named {
            Named::Function(name) => functions::find(name).is_some() || self.functions.contains_key(name),
            Named::Agent(slug) => self.agents.contains_key(slug),
            Named::Directive(name) => {
                directives::find_requestable(name).is_some() || self.directive_types.contains_key(name)
            }
            Named::Workflow(slug) => slug == own || self.workflows.contains_key(slug),
        }
    }

    pub(crate) fn is_heard(&self, signal: &Name) -> bool {
        self.subscriptions.get(signal).is_some_and(|slugs| !slugs.is_empty())
    }

    /// The workflows that a signal of this name is offered to, paused ones among them.
    pub fn subscribers(&self, signal: &Name) -> impl Iterator<Item = &Workflows> {
        let slugs = self.subscriptions.get(signal);
        slugs.into_iter().flatten().filter_map(|slug| self.workflows.get(slug))
    }

    pub(crate) fn put_schedule(&mut self, row: ScheduleRow) {
        let entry = Arc::new(ArcSwap::new(row.entry.clone()));
        self.schedules.insert(row.entry.slug.clone(), Scheduled { schedule: row.schedule, entry });
    }

    pub(crate) fn put_workflow(&mut self, entry: WorkflowEntry, active: Option<Arc<Workflow>>) {
        for slugs in self.subscriptions.values_mut() {
            slugs.retain(|slug| *slug != entry.slug);
        }
        let listens = matches!(entry.status, WorkflowStatus::Active | WorkflowStatus::Paused);
        let trigger = active.as_ref().filter(|_| listens).and_then(|workflow| workflow.trigger.as_ref());
        for signal in trigger.into_iter().flat_map(|trigger| &trigger.signals) {
            let slugs = self.subscriptions.entry(signal.clone()).or_default();
            slugs.push(entry.slug.clone());
            // The order of dispositions does not depend on the order of registration.
            slugs.sort();
        }
        self.workflows.insert(entry.slug.clone(), Workflows { entry, active });
    }
}
