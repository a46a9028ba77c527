//! The database that nodes share: the way there, and what is asked of all of it rather than of one partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Hook, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use fleetprompt_core::tenant::{Key, KeyHash, Tenant};
use fleetprompt_core::{Slug, TenantId};
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::ownership::{self, NOBODYS};
use super::{PostgresStore, View, address, columns, fault, migrations, preflight, probe, registrations};
use crate::postgres::fault::Fault;
use crate::{Error, Result};

/// How a process takes part.
#[derive(Debug, Clone)]
pub struct Options {
    /// What people know the node by.
    pub node: String,
    /// How long after its last sign of life others may take its partitions.
    pub lease: Duration,
    /// How many partitions a new database gets. Tenants are parted among them for good.
    pub partitions: u16,
}

impl Options {
    pub const PARTITIONS: u16 = 16;
    pub const PARTITIONS_MAX: u16 = 256;

    /// The pause between a heartbeat and the next one.
    pub(super) fn beat_pause(&self) -> Duration {
        self.lease / 5
    }

    /// The pause before a heartbeat that failed is tried again.
    pub(super) fn beat_pause_after_failure(&self) -> Duration {
        self.lease / 24
    }

    /// The longest time of one heartbeat. After one that was lost, another two end within the lease, even if each of them,
    /// and the last one that succeeded, took as long as this.
    pub(super) fn beat_max(&self) -> Duration {
        self.lease / 6
    }
}

pub struct Database {
    pub(super) connections: Connections,
    pub(super) node: Uuid,
    pub(super) options: Options,
    partitions: u16,
    /// It does not answer, and we ask until it does.
    is_away: AtomicBool,
    /// The last read got no connection.
    lacks_readers: AtomicBool,
    /// The process is no node that serves.
    pub(super) is_alone: AtomicBool,
    /// Somebody says for it that it lives.
    pub(super) is_kept: AtomicBool,
}

/// Pools of connections, and a runtime for those who ask without having one.
pub(super) struct Connections {
    pub readers: Pool,
    /// Each partition's own.
    pub writers: Pool,
    /// For what nodes say of themselves and to each other: no reader can keep them waiting. They see all tenants.
    pub of_nodes: Pool,
    /// For heartbeats alone: no message can keep them waiting.
    pub heartbeat: Pool,
    config: Config,
    tls: MakeRustlsConnect,
    /// Taken when it ends, which may be on a thread of another runtime.
    runtime: Option<Runtime>,
}

const READERS_MAX: usize = 8;
/// Beside one for each partition: who takes it anew does not wait for whoever had it.
const WRITERS_SPARE: usize = 2;
const OF_NODES_MAX: usize = 4;
const HEARTBEAT_AND_NOTICES: usize = 2;
/// Until the next transaction says otherwise: each read of a tenant's does.
const OF_ALL_TENANTS: &str = "SET fleetprompt.tenant = '*'";
/// Nothing takes as long as this, unless the database is gone without a word.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(45);
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Every question has its index, also while the statistics of a young table say that it is empty.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning; SET jit = off;
    SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

impl Database {
    /// Connects, and brings the schema up to date.
    pub fn open(url: &str, options: Options) -> Result<Arc<Self>> {
        let connections = Connections::open(url, options.beat_max())?;
        let checking = preflight::refuse_transaction_pooling(&connections.writers);
        connections.wait(bounded(checking)).map_err(|fault| fault.while_("connect"))?;
        let partitions = connections.wait(migrations::apply(&connections.writers, options.partitions))?;
        let writers = WRITERS_SPARE + usize::from(partitions);
        connections.writers.resize(writers);
        let checking = async {
            let client = connections.of_nodes.get().await?;
            preflight::warn_of_settings(&client, READERS_MAX + writers + OF_NODES_MAX + HEARTBEAT_AND_NOTICES).await?;
            probe::check_rights(&client).await
        };
        connections.wait(bounded(checking)).map_err(|fault| fault.while_("check the rights of its role"))?;
        Ok(Self::new(connections, options, partitions))
    }

    pub(super) fn new(connections: Connections, options: Options, partitions: u16) -> Arc<Self> {
        Arc::new(Self {
            connections,
            node: Uuid::now_v7(),
            options,
            partitions,
            is_away: AtomicBool::new(false),
            lacks_readers: AtomicBool::new(false),
            is_alone: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
        })
    }

    /// This process, among the nodes.
    pub fn node(&self) -> Uuid {
        self.node
    }

    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The pause before the next heartbeat of this node.
    pub fn beat_pause(&self, has_failed: bool) -> Duration {
        if has_failed { self.options.beat_pause_after_failure() } else { self.options.beat_pause() }
    }

    /// Which partition a tenant is of.
    pub fn partition_of(&self, slug: &Slug) -> u16 {
        let hash = blake3::hash(slug.as_str().as_bytes());
        let [one, two, three, four, ..] = *hash.as_bytes();
        let place = u32::from_be_bytes([one, two, three, four]) % u32::from(self.partitions.max(1));
        u16::try_from(place).unwrap_or_default()
    }

    /// To write for a partition, under a new epoch; none when another node does.
    pub fn take(self: &Arc<Self>, partition: u16) -> Result<Option<PostgresStore>> {
        let taking = ownership::take(&self.connections.writers, self.node, partition);
        let writer = self.connections.wait(taking).map_err(|fault| fault.while_("take a partition"))?;
        Ok(writer.map(|writer| PostgresStore::new(self.clone(), Some(partition), writer)))
    }

    /// A store of no partition at all: there is no tenant in it, and it writes nothing.
    pub fn nothing(self: &Arc<Self>) -> PostgresStore {
        PostgresStore::new(self.clone(), Some(NOBODYS), ownership::Writer::none(NOBODYS))
    }

    /// Everything, to be read: it writes nothing.
    pub fn whole(self: &Arc<Self>) -> PostgresStore {
        PostgresStore::new(self.clone(), None, ownership::Writer::none(NOBODYS))
    }

    /// Whether it is known to answer.
    pub fn is_reachable(&self) -> bool {
        !self.is_away.load(Ordering::Relaxed)
    }

    /// Returns `false` after a read that got no connection, until one gets it.
    pub(super) fn has_readers(&self) -> bool {
        !self.lacks_readers.load(Ordering::Relaxed)
    }

    pub(super) fn answers_reads(&self, answers: bool) {
        if self.lacks_readers.load(Ordering::Relaxed) == answers {
            self.lacks_readers.store(!answers, Ordering::Relaxed);
        }
    }

    /// After a read that got no connection, tries another one: a node that is not ready is asked for none.
    pub async fn retry_read(&self) {
        if !self.has_readers() && self.tenants().await.is_ok() {
            self.answers_reads(true);
        }
    }

    /// It was just found to answer, or not to. Says whether it was thought to.
    pub(super) fn answers(&self, answers: bool) -> bool {
        !self.is_away.swap(!answers, Ordering::Relaxed)
    }

    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let read =
            snapshot(&self.connections.readers, Whose::Everybodys, async |view| registrations::tenants(view).await);
        read.await.map_err(|fault| fault.while_("read the tenants"))
    }

    /// The keys of these secrets, whether they may be used or not, and the partitions of their tenants: one query.
    pub async fn keys(&self, hashes: &[KeyHash]) -> Result<Vec<(Key, u16)>> {
        let read = snapshot(&self.connections.readers, Whose::Everybodys, async |view| {
            registrations::keys_by_hash(view, hashes).await
        });
        read.await.map_err(|fault| fault.while_("look for a key"))
    }

    /// Asks on a connection that sees what is everybody's.
    pub(super) async fn ask<T>(&self, ask: impl AsyncFnOnce(&Client) -> fault::Result<T>) -> fault::Result<T> {
        ask_on(&self.connections.of_nodes, ANSWER_MAX, ask).await
    }

    /// Of its own, for as long as somebody listens.
    pub(super) fn way_there(&self) -> (Config, MakeRustlsConnect) {
        (self.connections.config.clone(), self.connections.tls.clone())
    }
}

pub(super) fn partition(row: &tokio_postgres::Row, column: usize) -> fault::Result<u16> {
    let number: i32 = columns::get(row, column)?;
    u16::try_from(number).map_err(|_| Fault::damaged("a partition", number))
}

/// A connection that sees the rows of all tenants, and belongs to whoever asked.
pub(super) async fn writing(pool: &Pool) -> fault::Result<Client> {
    let client = pool.get().await?;
    client.batch_execute(OF_ALL_TENANTS).await?;
    Ok(client)
}

/// Whose rows a read may see.
pub(super) enum Whose {
    Everybodys,
    Tenants(TenantId),
}

impl Whose {
    /// For the transaction that has begun.
    pub fn named(&self) -> String {
        let tenant = match self {
            Self::Everybodys => "*".to_owned(),
            Self::Tenants(tenant) => tenant.0.to_string(),
        };
        format!("SET LOCAL fleetprompt.tenant = '{tenant}'")
    }
}

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(super) async fn snapshot<T>(
    pool: &Pool,
    whose: Whose,
    read: impl AsyncFnOnce(&View<'_>) -> fault::Result<T>,
) -> fault::Result<T> {
    let begin = format!("{BEGIN}; {}", whose.named());
    let lent = Lent::from(pool).await?;
    let client = lent.client();
    let answer = async {
        client.batch_execute(&begin).await?;
        let answer = read(&View { client }).await?;
        client.batch_execute("COMMIT").await?;
        Ok(answer)
    };
    let answer = bounded(answer).await?;
    lent.give_back();
    Ok(answer)
}

/// A connection that is lent, mostly in a transaction. Whatever happens to it before it is given back, nobody gets it in that state: also
/// when whoever reads does not wait for the end.
pub(super) struct Lent(Option<Client>);

impl Lent {
    pub async fn from(pool: &Pool) -> fault::Result<Self> {
        Ok(Self(Some(pool.get().await?)))
    }

    pub fn client(&self) -> &Client {
        self.0.as_ref().expect("it is there until it is given back")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.take().map(Object::take);
    }
}

/// Asks on a connection of this pool. The time includes the wait for the connection. One that did not answer in time is
/// dropped: what was asked might still be answered on it.
pub(super) async fn ask_on<T>(
    pool: &Pool,
    within: Duration,
    ask: impl AsyncFnOnce(&Client) -> fault::Result<T>,
) -> fault::Result<T> {
    let asking = async {
        let lent = Lent::from(pool).await?;
        let answer = ask(lent.client()).await?;
        lent.give_back();
        Ok(answer)
    };
    bounded_by(within, asking).await
}

pub(super) async fn bounded<T>(answer: impl Future<Output = fault::Result<T>>) -> fault::Result<T> {
    bounded_by(ANSWER_MAX, answer).await
}

pub(super) async fn bounded_by<T>(
    within: Duration,
    answer: impl Future<Output = fault::Result<T>>,
) -> fault::Result<T> {
    let late = |_| Err(Fault::Away(format!("it did not answer within {} s", within.as_secs_f64())));
    tokio::time::timeout(within, answer).await.unwrap_or_else(late)
}

impl Connections {
    /// `beat_max` is how long the database may take over a heartbeat; zero: none are sent.
    pub fn open(url: &str, beat_max: Duration) -> Result<Self> {
        let (config, tls) = address::read(url)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable { doing: "start", cause: error.to_string() })?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = |size, session: String| {
            Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling.clone()))
                .max_size(size)
                .runtime(deadpool_postgres::Runtime::Tokio1)
                .wait_timeout(Some(ANSWER_MAX))
                .create_timeout(Some(CONNECT_MAX * 2))
                .recycle_timeout(Some(CONNECT_MAX))
                .post_create(Hook::async_fn(move |client, _| {
                    let session = session.clone();
                    Box::pin(async move {
                        client.batch_execute(&session).await.map_err(deadpool_postgres::HookError::Backend)
                    })
                }))
                .build()
                .expect("it has a runtime")
        };
        let (readers, writers) = (pool(READERS_MAX, SESSION.to_owned()), pool(WRITERS_SPARE, SESSION.to_owned()));
        let of_nodes = pool(OF_NODES_MAX, format!("{SESSION}; {OF_ALL_TENANTS}"));
        // What the database is still at when the time is over would keep the next heartbeat waiting.
        let late = format!("SET statement_timeout = {0}; SET lock_timeout = {0}", beat_max.as_millis());
        let heartbeat = pool(1, format!("{SESSION}; {OF_ALL_TENANTS}; {late}"));
        Ok(Self { readers, writers, of_nodes, heartbeat, config, tls, runtime: Some(runtime) })
    }

    pub fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the end")
    }

    /// On any thread, also within a task of another runtime, whose budget would never be renewed here.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_lost_heartbeat_another_two_end_within_the_lease_however_long_each_takes() {
        for lease_ms in [1_000, 10_000, 3_600_000] {
            let lease = Duration::from_millis(lease_ms);
            let options = Options { node: "a".to_owned(), lease, partitions: 1 };
            let (max, again) = (options.beat_max(), options.beat_pause_after_failure());
            // The lease may have begun with the start of the last heartbeat that succeeded.
            let last_that_succeeded = max + options.beat_pause();
            assert!(last_that_succeeded + (max + again) * 2 + max <= lease, "{lease_ms} ms");
        }
    }
}
