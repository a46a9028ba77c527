//! A PostgreSQL database: one node writes, under a lease that it renews, and whoever is asked reads beside it.
//!
//! The contract is blocking, and whoever asks is a thread that may wait; the connections themselves live on a small
//! runtime of the store's own. Every read sees one commit whole. A commit is fenced: see `ownership`.

mod address;
mod columns;
mod commit;
mod directives;
mod fault;
mod migrations;
mod ownership;
mod page;
mod places;
mod registrations;
mod runs;
mod signals;
mod work;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Hook, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::{DirectiveId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::fault::Fault;
use self::ownership::{Owner, Writer};
use crate::{
    Batch, DirectiveFilter, Directory, Error, OpenWork, Page, Result, RunFilter, SignalFilter, Store, WaitingFilter,
};

/// How a node takes part.
#[derive(Debug, Clone)]
pub struct Options {
    /// What people know the node by.
    pub node: String,
    /// How long after its last sign of life another node may take over.
    pub lease: Duration,
    /// While another node is at work: wait until it no longer is, or refuse.
    pub waits: bool,
}

pub struct PostgresStore {
    writer: Mutex<Writer>,
    tenants: Mutex<HashSet<TenantId>>,
    owner: Arc<Owner>,
    connections: Connections,
}

/// The pool, and the runtime that its connections live on.
struct Connections {
    pool: Pool,
    /// Taken when it ends, which may be on a thread of another runtime.
    runtime: Option<Runtime>,
}

/// What a read is given: a snapshot.
struct View<'a> {
    client: &'a Client,
}

const CONNECTIONS_MAX: usize = 8;
/// Nothing takes as long as this, unless the database is gone without a word.
const ANSWER_MAX: Duration = Duration::from_secs(45);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Every question has its index, also while the statistics of a young table say that it is empty.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; SET jit = off;
    SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

impl PostgresStore {
    /// Connects, brings the schema up to date, and becomes the node that writes.
    pub fn open(url: &str, options: &Options) -> Result<Self> {
        let connections = Connections::open(url)?;
        let (writer, owner) = connections.wait(async {
            migrations::apply(&connections.pool).await?;
            ownership::take(&connections.pool, options).await
        })?;
        let keeping = owner.clone().keep(connections.pool.clone());
        connections.runtime().spawn(keeping);
        Ok(Self { writer: Mutex::new(writer), tenants: Mutex::default(), owner, connections })
    }

    fn read<T>(
        &self,
        doing: &'static str,
        whose: Whose,
        read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>,
    ) -> Result<T> {
        let pool = &self.connections.pool;
        self.connections.wait(snapshot(pool, whose, read)).map_err(|fault| fault.while_(doing))
    }

    /// Reads for the engine, which is about to write, on the connection that writes.
    fn read_ahead<T>(&self, doing: &'static str, read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>) -> Result<T> {
        let mut writer = self.writer.lock();
        let reading = bounded(writer.read(&self.connections.pool, read));
        self.connections.wait(reading).map_err(|fault| {
            writer.disconnect();
            fault.while_(doing)
        })
    }

    /// Records of a tenant that nobody wrote would never be found.
    fn check_tenants(&self, batch: &Batch) -> Result<()> {
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
}

/// Whose rows a read may see.
enum Whose {
    Everybodys,
    Tenants(TenantId),
}

async fn snapshot<T>(
    pool: &Pool,
    whose: Whose,
    read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>,
) -> fault::Result<T> {
    let tenant = match whose {
        Whose::Everybodys => "*".to_owned(),
        Whose::Tenants(tenant) => tenant.0.to_string(),
    };
    let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL fleetprompt.tenant = '{tenant}'");
    let client = pool.get().await?;
    let answer = async {
        client.batch_execute(&begin).await?;
        let answer = read(&View { client: &client }).await?;
        client.batch_execute("COMMIT").await?;
        Ok(answer)
    };
    match bounded(answer).await {
        Ok(answer) => Ok(answer),
        Err(fault) => {
            // What state it is in, nobody knows.
            drop(Object::take(client));
            Err(fault)
        }
    }
}

async fn bounded<T>(answer: impl Future<Output = fault::Result<T>>) -> fault::Result<T> {
    let late = |_| Err(Fault::Away(format!("it did not answer within {} s", ANSWER_MAX.as_secs())));
    tokio::time::timeout(ANSWER_MAX, answer).await.unwrap_or_else(late)
}

impl Connections {
    fn open(url: &str) -> Result<Self> {
        let (config, tls) = address::read(url)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable { doing: "start", cause: error.to_string() })?;
        let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(ANSWER_MAX))
            .create_timeout(Some(CONNECT_MAX * 2))
            .recycle_timeout(Some(CONNECT_MAX))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(
                    async move { client.batch_execute(SESSION).await.map_err(deadpool_postgres::HookError::Backend) },
                )
            }))
            .build()
            .expect("it has a runtime");
        Ok(Self { pool, runtime: Some(runtime) })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the end")
    }

    /// On any thread, also within a task of another runtime, whose budget would never be renewed here.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let _entered = self.runtime().enter();
        futures_executor::block_on(tokio::task::unconstrained(answer))
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.close();
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
        let writes = commit::writes(batch).map_err(|fault| fault.while_("commit"))?;
        let mut writer = self.writer.lock();
        let written = self.connections.wait(writer.commit(&self.connections.pool, &self.owner, &writes));
        written.map_err(|fault| fault.while_("commit"))?;
        self.tenants.lock().extend(batch.tenants.iter().map(|tenant| tenant.id));
        Ok(())
    }

    fn is_reachable(&self) -> bool {
        self.owner.is_reachable()
    }

    /// What this does not get to, the end of the lease does.
    fn close(&self) {
        if !self.owner.is_reachable() {
            return;
        }
        let releasing = async { tokio::time::timeout(CONNECT_MAX, self.owner.release(&self.connections.pool)).await };
        if !matches!(self.connections.wait(releasing), Ok(Ok(()))) {
            tracing::warn!(target: "store", "the database was not handed on; the next node waits until the lease ends");
        }
    }

    fn directory(&self) -> Result<Directory> {
        self.read("read what is registered", Whose::Everybodys, async |view| registrations::directory(view).await)
    }

    fn open_work(&self) -> Result<OpenWork> {
        self.read("read the open work", Whose::Everybodys, async |view| work::open_work(view).await)
    }

    fn last_signal_id(&self) -> Result<Option<SignalId>> {
        self.read("read the end of the log", Whose::Everybodys, async |view| signals::last_id(view).await)
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

    fn signal(&self, tenant: TenantId, id: SignalId) -> Result<Option<Signal>> {
        self.read("read a signal", Whose::Tenants(tenant), async |view| signals::one(view, tenant, id).await)
    }

    fn directive(&self, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>> {
        self.read("read a directive", Whose::Tenants(tenant), async |view| directives::one(view, tenant, id).await)
    }

    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        self.read("read a run", Whose::Tenants(tenant), async |view| runs::one(view, tenant, id).await)
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

    fn dispositions(&self, tenant: TenantId, signal: SignalId) -> Result<Vec<Disposition>> {
        self.read("list dispositions", Whose::Tenants(tenant), async |view| {
            signals::dispositions(view, tenant, signal).await
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

    fn workflow_versions(&self, tenant: TenantId, slug: &Slug) -> Result<Vec<WorkflowVersion>> {
        self.read("list workflow versions", Whose::Tenants(tenant), async |view| {
            registrations::versions(view, tenant, slug).await
        })
    }
}
