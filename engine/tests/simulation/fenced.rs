//! The store as an engine sees it: one partition of it. It takes nothing that belongs to another, and nothing at
//! all any more once another engine has begun.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_engine::ManualTime;
use fleetprompt_store::{
    Batch, DirectiveFilter, Directory, Error, OpenWork, Page, Result, RootUsage, RunFilter, RunPart, SignalFilter,
    StepRange, Store, TriggeredRun, WaitingFilter,
};

use crate::database::{Database, Entry};

pub struct Fenced {
    database: Arc<Database>,
    partition: usize,
    pub epoch: u64,
    has_failed: AtomicBool,
    time: ManualTime,
}

impl Fenced {
    /// From now on nobody else writes.
    pub fn take(database: Arc<Database>, partition: usize, time: ManualTime) -> Self {
        let epoch = database.take(partition);
        Self { database, partition, epoch, has_failed: AtomicBool::new(false), time }
    }

    pub fn is_over(&self) -> bool {
        self.database.is_over(self.partition, self.epoch)
    }

    /// The end of the log of its tenants.
    pub fn last(&self) -> Option<SignalId> {
        let newest = |tenant| self.database.store.signals(tenant, &SignalFilter::default(), Page::newest(1));
        let newest = self.tenants().into_iter().map(newest);
        newest.filter_map(|found| Some(found.expect("a store in memory can be read").first()?.id)).max()
    }

    /// Returns whether a commit failed since this was asked last.
    pub fn forget_failure(&self) -> bool {
        self.has_failed.swap(false, Ordering::Relaxed)
    }

    fn tenants(&self) -> BTreeSet<TenantId> {
        let ownership = self.database.ownership();
        ownership.tenants.iter().filter(|(_, of)| **of == self.partition).map(|(tenant, _)| *tenant).collect()
    }

    fn check_tenants(&self, batch: &Batch) -> Result<()> {
        let ownership = self.database.ownership();
        let is_elsewhere = |tenant: &TenantId| ownership.tenants.get(tenant).is_some_and(|of| *of != self.partition);
        let begins_elsewhere = |slug: &Slug| ownership.partition_of(slug) != self.partition;
        let is_ours = !tenants_of(batch).any(|tenant| is_elsewhere(&tenant))
            && !batch.tenants.iter().any(|tenant| begins_elsewhere(&tenant.slug));
        match is_ours {
            true => Ok(()),
            false => Err(Error::Unavailable { doing: "commit", cause: "a tenant is of another partition".into() }),
        }
    }

    fn check_epoch(&self) -> Result<()> {
        match self.is_over() {
            true => Err(Error::Lost { why: "another engine has begun" }),
            false => Ok(()),
        }
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.check_tenants(batch)?;
        self.database.store.commit(batch).inspect_err(|error| self.database.note_refused(error))?;
        let mut ownership = self.database.ownership();
        ownership.tenants.extend(batch.tenants.iter().map(|tenant| (tenant.id, self.partition)));
        let (partition, epoch) = (self.partition, self.epoch);
        let (tenants, signals) = (tenants_of(batch).collect(), batch.signals.clone());
        ownership.journal.push(Entry::Wrote { partition, epoch, tenants, signals });
        Ok(())
    }
}

/// Whose facts and rows these are. What is registered comes with a fact that says so.
fn tenants_of(batch: &Batch) -> impl Iterator<Item = TenantId> {
    let of_facts = batch.signals.iter().map(|signal| signal.tenant);
    let of_facts = of_facts.chain(batch.dedupe_keys.iter().map(|(tenant, ..)| *tenant));
    let of_facts = of_facts.chain(batch.dispositions.iter().map(|disposition| disposition.tenant));
    let of_rows = batch.directives.iter().map(|directive| directive.tenant);
    of_facts.chain(of_rows).chain(batch.runs.iter().map(|write| write.run.tenant))
}

/// Each question goes to the store as it is.
macro_rules! asks_the_store {
    ($($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($value: $kind),*) -> Result<$answer> {
            self.database.before_read(&self.time)?;
            self.database.store.$name($($value),*)
        })*
    };
}

impl Store for Fenced {
    fn commit(&self, batch: &Batch) -> Result<()> {
        if !self.is_over() {
            self.database.before_commit(self.partition);
        }
        let written = self.check_epoch().and_then(|()| self.write(batch));
        self.has_failed.fetch_or(written.is_err(), Ordering::Relaxed);
        written
    }

    fn probe(&self) -> Result<()> {
        self.check_epoch().and_then(|()| self.database.store.probe())
    }

    fn directory(&self) -> Result<Directory> {
        self.database.before_read(&self.time)?;
        let (mut directory, tenants) = (self.database.store.directory()?, self.tenants());
        directory.tenants.retain(|tenant| tenants.contains(&tenant.id));
        directory.keys.retain(|key| tenants.contains(&key.tenant));
        directory.workflows.retain(|workflow| tenants.contains(&workflow.tenant));
        directory.active_versions.retain(|version| tenants.contains(&version.tenant));
        directory.agents.retain(|agent| tenants.contains(&agent.tenant));
        directory.directive_types.retain(|kind| tenants.contains(&kind.tenant));
        directory.functions.retain(|function| tenants.contains(&function.tenant));
        directory.modules.retain(|module| tenants.contains(&module.tenant));
        directory.schedules.retain(|schedule| tenants.contains(&schedule.tenant));
        Ok(directory)
    }

    fn open_work(&self) -> Result<OpenWork> {
        self.database.before_read(&self.time)?;
        let (mut work, tenants) = (self.database.store.open_work()?, self.tenants());
        work.runs_due.retain(|(_, tenant, _)| tenants.contains(tenant));
        work.directives_due.retain(|(_, tenant, _)| tenants.contains(tenant));
        work.directives_requested.retain(|(tenant, _)| tenants.contains(tenant));
        work.directives_in_flight.retain(|(tenant, ..)| tenants.contains(tenant));
        work.runs_in_flight.retain(|(tenant, _)| tenants.contains(tenant));
        work.waits.retain(|(tenant, ..)| tenants.contains(tenant));
        work.locks.retain(|(tenant, ..)| tenants.contains(tenant));
        work.flows.retain(|run| tenants.contains(&run.tenant));
        Ok(work)
    }

    fn last_signal_id(&self) -> Result<Option<SignalId>> {
        self.database.before_read(&self.time)?;
        Ok(self.last())
    }

    asks_the_store! {
        runs_by_id(ids: &[(TenantId, RunId)]) -> Vec<Option<TriggeredRun>>;
        directives_by_id(ids: &[(TenantId, DirectiveId)]) -> Vec<Option<Directive>>;
        signals_by_id(ids: &[(TenantId, SignalId)]) -> Vec<Option<Signal>>;
        deduplicate(keys: &[(TenantId, DedupeKey)]) -> Vec<Option<SignalId>>;
        directives_by_key(keys: &[(TenantId, String)]) -> Vec<Option<Directive>>;
        begun_since(tenant: TenantId, workflow: &Slug, since: Timestamp, limit: usize)
            -> Vec<(Arc<str>, Timestamp, RunId)>;
        root_usage(tenant: TenantId, root: RecordId, since: Timestamp) -> RootUsage;
        signal(tenant: TenantId, id: SignalId) -> Option<Signal>;
        directive(tenant: TenantId, id: DirectiveId) -> Option<Directive>;
        run(tenant: TenantId, id: RunId) -> Option<Run>;
        run_head(tenant: TenantId, id: RunId) -> Option<Run>;
        run_steps(tenant: TenantId, id: RunId, steps: StepRange) -> Option<RunPart>;
        steps_with(tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Vec<usize>;
        workflow_version(tenant: TenantId, slug: &Slug, version: &str) -> Option<WorkflowVersion>;
        module(tenant: TenantId, digest: &ModuleDigest) -> Option<Vec<u8>>;
        signals(tenant: TenantId, filter: &SignalFilter, page: Page) -> Vec<Signal>;
        dispositions(tenant: TenantId, signal: SignalId, limit: usize) -> Vec<Disposition>;
        refusals(tenant: TenantId, workflow: &Slug, limit: usize) -> Vec<Disposition>;
        directives(tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Vec<Directive>;
        runs(tenant: TenantId, filter: &RunFilter, page: Page) -> Vec<Run>;
        waiting(tenant: TenantId, filter: &WaitingFilter, page: Page) -> Vec<(RunId, Place, Step)>;
        runs_in_flight(tenant: TenantId, slug: &Slug) -> Vec<(String, Status, u64)>;
        workflow_versions(tenant: TenantId, slug: &Slug, page: Page) -> Vec<WorkflowVersion>;
    }
}
