//! A PostgreSQL database that nodes share: tenants are parted among them, one node writes for each part, and whoever is
//! asked reads beside it.
//!
//! The contract is blocking, and whoever asks is a thread that may wait; it is answered on a small runtime of the
//! database's own. Every read sees one commit whole. A commit is fenced: see `ownership`.

mod address;
mod bulk;
mod columns;
mod commit;
mod database;
mod descent;
mod directives;
mod examine;
mod fault;
mod integrity;
mod mail;
mod migrations;
mod nodes;
mod ownership;
mod page;
mod places;
mod preflight;
mod probe;
mod registrations;
mod runs;
mod signals;
mod snapshot;
mod work;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Client;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

pub use self::database::{Database, Options};
use self::database::{Whose, bounded};
pub use self::examine::{Examination, examine};
use self::fault::Fault;
pub use self::mail::{Answer, Notices, Request};
pub use self::nodes::{Cluster, NodeEntry, Waiting};
use self::ownership::Writer;
use self::snapshot::Held;
use crate::{
    Batch, DirectiveFilter, Directory, Integrity, OpenWork, Page, Result, RootUsage, RunFilter, RunPart, SignalFilter,
    StepRange, Store, TriggeredRun, WaitingFilter, WithDigest,
};

/// One partition of a database, as the node that writes for it knows it; or all of it, to be read.
pub struct PostgresStore {
    /// One moment, of which everything is read.
    held: Option<Held>,
    database: Arc<Database>,
    /// None: all tenants.
    partition: Option<u16>,
    writer: Mutex<Writer>,
    tenants: Mutex<HashSet<TenantId>>,
    is_over: AtomicBool,
    /// The process is a node for as long as this is open.
    leaves: bool,
}

/// What a read is given: a snapshot.
struct View<'a> {
    client: &'a Client,
}

impl PostgresStore {
    /// A partition that no tenant is of.
    pub const NOBODYS: u16 = ownership::NOBODYS;

    /// The only partition of a database that no other node uses.
    pub fn open(url: &str, options: Options) -> Result<Self> {
        Database::open(url, Options { partitions: 1, ..options })?.alone(0)
    }

    fn new(database: Arc<Database>, partition: Option<u16>, writer: Writer) -> Self {
        Self {
            held: None,
            database,
            partition,
            is_over: AtomicBool::new(false),
            writer: Mutex::new(writer),
            tenants: Mutex::default(),
            leaves: false,
        }
    }

    fn that_leaves(mut self) -> Self {
        self.leaves = true;
        self
    }

    fn read<T>(
        &self,
        doing: &'static str,
        whose: Whose,
        read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>,
    ) -> Result<T> {
        let connections = &self.database.connections;
        let answer = match &self.held {
            Some(held) => held.read(connections, whose, read),
            None => connections.wait(database::snapshot(&connections.readers, whose, read)),
        };
        match &answer {
            Ok(_) => self.database.answers_reads(true),
            Err(Fault::Away(_)) => self.database.answers_reads(false),
            Err(_) => {}
        }
        answer.map_err(|fault| fault.while_(doing))
    }

    /// Reads for the engine, which is about to write, on the connection that writes.
    fn read_ahead<T>(&self, doing: &'static str, read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>) -> Result<T> {
        if self.held.is_some() {
            return self.read(doing, Whose::Everybodys, read);
        }
        let mut writer = self.writer.lock();
        let connections = &self.database.connections;
        let reading = bounded(writer.read(&connections.writers, read));
        connections.wait(reading).map_err(|fault| {
            writer.disconnect();
            fault.while_(doing)
        })
    }

    /// Records of a tenant that nobody wrote would never be found, and those of another partition are another's to write.
    fn check_tenants(&self, batch: &Batch) -> Result<()> {
        let is_elsewhere = |slug: &Slug| self.partition != Some(self.database.partition_of(slug));
        if let Some(tenant) = batch.tenants.iter().find(|tenant| is_elsewhere(&tenant.slug)) {
            return Err(Fault::TenantElsewhere(tenant.slug.clone()).while_("commit"));
        }
        let mut known = self.tenants.lock();
        let is_fresh = |tenant: &TenantId| batch.tenants.iter().any(|fresh| fresh.id == *tenant);
        let unknown = |known: &HashSet<TenantId>| {
            batch.tenants_named().find(|tenant| !known.contains(tenant) && !is_fresh(tenant))
        };
        if unknown(&known).is_some() {
            known.extend(self.directory()?.tenants.iter().map(|tenant| tenant.id));
        }
        match unknown(&known) {
            Some(tenant) => Err(Fault::TenantUnknown(tenant).while_("commit")),
            None => Ok(()),
        }
    }

    fn lost(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.close();
        if self.leaves && self.database.is_reachable() {
            self.database.leave_now();
        }
    }
}

/// Of one partition, or all of them.
async fn tenants(view: &View<'_>, partition: Option<u16>) -> fault::Result<Vec<Uuid>> {
    let read = |row: &Row| columns::id(row, 0);
    match partition {
        None => view.rows("SELECT tenant_id FROM tenants", &[], read).await,
        Some(partition) => {
            let sql = "SELECT tenant_id FROM tenants WHERE partition = $1";
            view.rows(sql, &[&i32::from(partition)], read).await
        }
    }
}

impl View<'_> {
    async fn rows<T>(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        read: impl FnMut(&Row) -> fault::Result<T>,
    ) -> fault::Result<Vec<T>> {
        let statement = self.client.prepare_cached(sql).await?;
        self.client.query(&statement, values).await?.iter().map(read).collect()
    }

    /// Passes rows to `read` as they arrive, until it returns `false`.
    async fn rows_while(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        mut read: impl FnMut(&Row) -> fault::Result<bool>,
    ) -> fault::Result<()> {
        let statement = self.client.prepare_cached(sql).await?;
        let mut rows = pin!(self.client.query_raw(&statement, values.iter().copied()).await?);
        while let Some(row) = rows.try_next().await? {
            if !read(&row)? {
                break;
            }
        }
        Ok(())
    }

    async fn row<T>(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
        read: impl FnMut(&Row) -> fault::Result<T>,
    ) -> fault::Result<Option<T>> {
        Ok(self.rows(sql, values, read).await?.into_iter().next())
    }
}

impl Store for PostgresStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.check_tenants(batch)?;
        let partition = self.partition.map_or(-1, i32::from);
        let writes = commit::writes(batch, partition).map_err(|fault| fault.while_("commit"))?;
        let mut writer = self.writer.lock();
        let written = self.database.connections.wait(writer.commit(&self.database, &writes));
        if writer.is_over {
            self.lost();
        }
        written.map_err(|fault| fault.while_("commit"))?;
        self.tenants.lock().extend(batch.tenants.iter().map(|tenant| tenant.id));
        Ok(())
    }

    fn is_reachable(&self) -> bool {
        self.database.is_reachable() && self.database.has_readers() && !self.is_over.load(Ordering::Relaxed)
    }

    fn probe(&self) -> Result<()> {
        let probing = self.database.ask(async |client| probe::write(client).await);
        self.database.connections.wait(probing).map_err(|fault| fault.while_("commit"))
    }

    /// What this does not get to, the end of the lease does.
    fn close(&self) {
        let mut writer = self.writer.lock();
        if writer.is_over || !self.database.is_reachable() {
            return;
        }
        self.lost();
        let releasing = async { tokio::time::timeout(database::CONNECT_MAX, writer.release(&self.database)).await };
        if !matches!(self.database.connections.wait(releasing), Ok(Ok(()))) {
            tracing::warn!(target: "store", "a partition was not handed on; the next node waits until the lease ends");
        }
    }

    fn directory(&self) -> Result<Directory> {
        self.read("read what is registered", Whose::Everybodys, async |view| {
            let tenants = tenants(view, self.partition).await?;
            registrations::directory(view, &tenants).await
        })
    }

    fn open_work(&self) -> Result<OpenWork> {
        self.read("read the open work", Whose::Everybodys, async |view| {
            let tenants = tenants(view, self.partition).await?;
            work::open_work(view, &tenants).await
        })
    }

    fn last_signal_id(&self) -> Result<Option<SignalId>> {
        self.read("read the end of the log", Whose::Everybodys, async |view| {
            let tenants = tenants(view, self.partition).await?;
            signals::last_id(view, &tenants).await
        })
    }

    fn runs_by_id(&self, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<TriggeredRun>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read("read runs", Whose::Everybodys, async |view| runs::by_id(view, ids).await)
    }

    fn directives_by_id(&self, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Directive>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read("read directives", Whose::Everybodys, async |view| directives::by_id(view, ids).await)
    }

    fn signals_by_id(&self, ids: &[(TenantId, SignalId)]) -> Result<Vec<Option<Signal>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read("read signals", Whose::Everybodys, async |view| signals::by_id(view, ids).await)
    }

    fn deduplicate(&self, keys: &[(TenantId, DedupeKey)]) -> Result<Vec<Option<SignalId>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.read_ahead("look for duplicates", async |view| signals::deduplicate(view, keys).await)
    }

    fn directives_by_key(&self, keys: &[(TenantId, String)]) -> Result<Vec<Option<Directive>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.read_ahead("look for directives by key", async |view| directives::by_key(view, keys).await)
    }

    fn begun_since(
        &self,
        tenant: TenantId,
        workflow: &Slug,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, Timestamp, RunId)>> {
        self.read("read when runs began", Whose::Tenants(tenant), async |view| {
            runs::begun_since(view, tenant, workflow, since, limit).await
        })
    }

    fn root_usage(&self, tenant: TenantId, root: RecordId, since: Timestamp) -> Result<RootUsage> {
        self.read("read what a root has led to", Whose::Tenants(tenant), async |view| {
            descent::root_usage(view, tenant, root, since).await
        })
    }

    fn signal(&self, tenant: TenantId, id: SignalId) -> Result<Option<Signal>> {
        self.read("read a signal", Whose::Tenants(tenant), async |view| signals::one(view, tenant, id).await)
    }

    fn directive(&self, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>> {
        self.read("read a directive", Whose::Tenants(tenant), async |view| directives::one(view, tenant, id).await)
    }

    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        self.read("read a run", Whose::Tenants(tenant), async |view| runs::one(view, tenant, id).await)
    }

    fn run_head(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        self.read("read a run", Whose::Tenants(tenant), async |view| runs::head(view, tenant, id).await)
    }

    fn run_steps(&self, tenant: TenantId, id: RunId, steps: StepRange) -> Result<Option<RunPart>> {
        self.read("read steps of a run", Whose::Tenants(tenant), async |view| runs::part(view, tenant, id, steps).await)
    }

    fn steps_with(&self, tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Result<Vec<usize>> {
        self.read("list steps of a run", Whose::Tenants(tenant), async |view| {
            places::steps_with(view, tenant, run, statuses).await
        })
    }

    fn workflow_version(&self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<WorkflowVersion>> {
        self.read("read a workflow version", Whose::Tenants(tenant), async |view| {
            registrations::version(view, tenant, slug, version).await
        })
    }

    fn module(&self, tenant: TenantId, digest: &ModuleDigest) -> Result<Option<Vec<u8>>> {
        self.read("read a module", Whose::Tenants(tenant), async |view| {
            registrations::module(view, tenant, digest).await
        })
    }

    fn signals(&self, tenant: TenantId, filter: &SignalFilter, page: Page) -> Result<Vec<Signal>> {
        self.read("list signals", Whose::Tenants(tenant), async |view| signals::list(view, tenant, filter, page).await)
    }

    fn dispositions(&self, tenant: TenantId, signal: SignalId, limit: usize) -> Result<Vec<Disposition>> {
        self.read("list dispositions", Whose::Tenants(tenant), async |view| {
            signals::dispositions(view, tenant, signal, limit).await
        })
    }

    fn refusals(&self, tenant: TenantId, workflow: &Slug, limit: usize) -> Result<Vec<Disposition>> {
        self.read("list refused signals", Whose::Tenants(tenant), async |view| {
            descent::refusals(view, tenant, workflow, limit).await
        })
    }

    fn directives(&self, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Result<Vec<Directive>> {
        self.read("list directives", Whose::Tenants(tenant), async |view| {
            directives::list(view, tenant, filter, page).await
        })
    }

    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
        self.read("list runs", Whose::Tenants(tenant), async |view| runs::list(view, tenant, filter, page).await)
    }

    fn waiting(&self, tenant: TenantId, filter: &WaitingFilter, page: Page) -> Result<Vec<(RunId, Place, Step)>> {
        self.read("list what waits", Whose::Tenants(tenant), async |view| {
            places::waiting(view, tenant, filter, page).await
        })
    }

    fn runs_in_flight(&self, tenant: TenantId, slug: &Slug) -> Result<Vec<(String, Status, u64)>> {
        self.read("count runs", Whose::Tenants(tenant), async |view| runs::in_flight(view, tenant, slug).await)
    }

    fn workflow_versions(&self, tenant: TenantId, slug: &Slug, page: Page) -> Result<Vec<WorkflowVersion>> {
        self.read("list workflow versions", Whose::Tenants(tenant), async |view| {
            registrations::versions(view, tenant, slug, page).await
        })
    }

    fn integrity(&self) -> Result<Integrity> {
        let connections = &self.database.connections;
        connections.wait(integrity::check(connections)).map_err(|fault| fault.while_("check the database"))
    }

    fn signals_with_digests(&self, tenant: TenantId, page: Page) -> Result<Vec<WithDigest<Signal>>> {
        self.read("read signals", Whose::Tenants(tenant), async |view| signals::with_digests(view, tenant, page).await)
    }

    fn directives_with_digests(
        &self,
        tenant: TenantId,
        ids: &[DirectiveId],
    ) -> Result<Vec<Option<WithDigest<Directive>>>> {
        self.read("read directives", Whose::Tenants(tenant), async |view| {
            directives::with_digests(view, tenant, ids).await
        })
    }
}
