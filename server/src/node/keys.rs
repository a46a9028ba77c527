//! Which partition a key belongs to. Where no tenant of this node has the key, the database is asked: for all that wait
//! at the same time in one query, and not again soon for one that it does not know. So callers who send secrets that
//! exist nowhere cost a bounded number of queries, and those who find too many waiting are told to come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetprompt_core::TenantId;
use fleetprompt_core::tenant::{Key, KeyHash};
use fleetprompt_engine::Metrics;
use fleetprompt_store::postgres::Database;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use crate::api::Problem;

/// Keys whose partition is remembered: it never changes.
const KNOWN_MAX: usize = 100_000;
/// Secrets that are remembered as those of no key, and for how long.
const UNKNOWN_MAX: usize = 16_384;
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
/// Requests that wait for the database to know their key.
const WAITING_MAX: usize = 1_024;
/// Keys of one query.
const ASKED_MAX: usize = 256;

pub struct KeyLookups {
    database: Arc<Database>,
    metrics: Arc<Metrics>,
    known: Cache<KeyHash, KeyPartition>,
    unknown: Cache<KeyHash, Instant>,
    unknown_for: Duration,
    waiting: Mutex<Waiting>,
}

/// Where a key belongs.
#[derive(Debug, Clone, Copy)]
pub struct KeyPartition {
    pub partition: u16,
    pub tenant: TenantId,
    /// It performs for all tenants.
    pub is_of_all: bool,
}

type Found = Result<Option<(Key, u16)>, Problem>;

#[derive(Default)]
struct Waiting {
    callers: HashMap<KeyHash, Vec<oneshot::Sender<Found>>>,
    count: usize,
    is_asking: bool,
}

impl KeyPartition {
    pub fn of(key: &Key, partition: u16) -> Self {
        Self {
            partition,
            tenant: key.tenant,
            is_of_all: key.performs.as_ref().is_some_and(|performs| performs.all_tenants),
        }
    }
}

impl KeyLookups {
    pub fn new(database: Arc<Database>, metrics: Arc<Metrics>) -> Arc<Self> {
        Self::remembering(database, metrics, UNKNOWN_FOR)
    }

    fn remembering(database: Arc<Database>, metrics: Arc<Metrics>, unknown_for: Duration) -> Arc<Self> {
        Arc::new(Self {
            database,
            metrics,
            known: Cache::new(KNOWN_MAX),
            unknown: Cache::new(UNKNOWN_MAX),
            unknown_for,
            waiting: Mutex::default(),
        })
    }

    /// Returns `None` for a secret that no key has. `here` looks among the tenants of this node, so that a key that was
    /// just created here works at once.
    pub async fn partition_of(
        self: &Arc<Self>,
        hash: KeyHash,
        here: impl FnOnce() -> Option<KeyPartition>,
    ) -> Result<Option<KeyPartition>, Problem> {
        if let Some(known) = self.known.get(&hash) {
            return Ok(Some(known));
        }
        if let Some(of) = here() {
            self.known.insert(hash, of);
            return Ok(Some(of));
        }
        let is_fresh = |since: Instant| since.elapsed() < self.unknown_for;
        if self.unknown.get(&hash).is_some_and(is_fresh) {
            return Ok(None);
        }
        let found = self.find(hash).await?;
        let of = found.map(|(key, partition)| KeyPartition::of(&key, partition));
        match of {
            Some(of) => self.known.insert(hash, of),
            None => self.unknown.insert(hash, Instant::now()),
        }
        Ok(of)
    }

    /// As the database has it now.
    pub async fn find(self: &Arc<Self>, hash: KeyHash) -> Found {
        let (told, is_first) = self.expect(hash)?;
        if is_first {
            // It goes on when the caller does not wait: others wait for it as well.
            tokio::spawn(self.clone().ask());
        }
        told.await.unwrap_or_else(|_| Err(Problem::unavailable("the database does not answer")))
    }

    /// Takes a place among those that wait for an answer. Returns `true` if nobody asks the database yet.
    fn expect(&self, hash: KeyHash) -> Result<(oneshot::Receiver<Found>, bool), Problem> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.count >= WAITING_MAX {
            self.metrics.key_lookup_refused();
            return Err(Problem::busy("too many keys are being looked up already", Duration::from_secs(1)));
        }
        waiting.count += 1;
        waiting.callers.entry(hash).or_default().push(tell);
        Ok((told, !std::mem::replace(&mut waiting.is_asking, true)))
    }

    /// Until nobody waits any more.
    async fn ask(self: Arc<Self>) {
        let database = self.database.clone();
        let query = |hashes: Vec<KeyHash>| {
            let database = database.clone();
            async move { database.keys(&hashes).await }
        };
        self.ask_by(query).await;
    }

    async fn ask_by<F>(&self, query: impl Fn(Vec<KeyHash>) -> F)
    where
        F: Future<Output = Result<Vec<(Key, u16)>, fleetprompt_store::Error>>,
    {
        let mut asking = Asking { waiting: &self.waiting, has_ended: false };
        while let Some(asked) = asking.next() {
            self.metrics.key_lookup();
            let found = query(asked.keys().copied().collect()).await;
            self.waiting.lock().count -= asked.values().map(Vec::len).sum::<usize>();
            answer(asked, found);
        }
    }
}

/// The one task that asks the database. If it ends early, because it panicked or was dropped, all callers are told that
/// there is no answer, and the next caller starts another one.
struct Asking<'a> {
    waiting: &'a Mutex<Waiting>,
    has_ended: bool,
}

impl Asking<'_> {
    /// Takes the callers of the next query. `None` if there are none: from then on another task may ask.
    fn next(&mut self) -> Option<HashMap<KeyHash, Vec<oneshot::Sender<Found>>>> {
        let mut waiting = self.waiting.lock();
        let hashes: Vec<KeyHash> = waiting.callers.keys().take(ASKED_MAX).copied().collect();
        waiting.is_asking = !hashes.is_empty();
        self.has_ended = hashes.is_empty();
        let take = |hash| waiting.callers.remove_entry(&hash);
        (!self.has_ended).then(|| hashes.into_iter().filter_map(take).collect())
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            *self.waiting.lock() = Waiting::default();
        }
    }
}

fn answer(
    asked: HashMap<KeyHash, Vec<oneshot::Sender<Found>>>,
    found: Result<Vec<(Key, u16)>, fleetprompt_store::Error>,
) {
    let found = found.map(|found| found.into_iter().map(|one| (one.0.hash, one)).collect::<HashMap<_, _>>());
    for (hash, callers) in asked {
        for caller in callers {
            let answer = match &found {
                Ok(found) => Ok(found.get(&hash).cloned()),
                Err(error) => Err(Problem::from(fleetprompt_engine::Error::from(error))),
            };
            let _ = caller.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetprompt_store::postgres::Options;
    use fleetprompt_testing::Postgres;

    use super::*;

    fn lookups(server: &Postgres, unknown_for: Duration) -> Arc<KeyLookups> {
        let options = Options { node: "a".to_owned(), lease: Duration::from_secs(10), partitions: 1 };
        let database = Database::open(&server.database(), options).expect("a database");
        KeyLookups::remembering(database, Arc::default(), unknown_for)
    }

    fn hash(number: usize) -> KeyHash {
        KeyHash::of(&format!("fp_nobody_{number}"))
    }

    async fn ask_all(lookups: &Arc<KeyLookups>, count: usize) -> (usize, usize) {
        let all = (0..count).map(|number| lookups.partition_of(hash(number), || None));
        let answers = futures_util::future::join_all(all).await;
        let unknown = answers.iter().filter(|answer| matches!(answer, Ok(None))).count();
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        (unknown, refused)
    }

    #[tokio::test]
    async fn unknown_keys_cost_a_bounded_number_of_queries_and_places() {
        let server = Postgres::start();
        let lookups = lookups(&server, Duration::from_secs(600));
        assert_eq!(ask_all(&lookups, WAITING_MAX * 8).await, (WAITING_MAX, WAITING_MAX * 7));
        let queries = lookups.metrics.key_lookups();
        assert!(queries <= (WAITING_MAX / ASKED_MAX) as u64 + 1, "{queries}");
        assert_eq!(lookups.waiting.lock().count, 0);

        assert_eq!(ask_all(&lookups, WAITING_MAX).await, (WAITING_MAX, 0));
        assert_eq!(lookups.metrics.key_lookups(), queries, "what nobody has is not asked for again");
        for some in 0..40 {
            let all = (0..WAITING_MAX).map(|number| lookups.partition_of(hash(some * WAITING_MAX + number), || None));
            futures_util::future::join_all(all).await;
        }
        assert!(lookups.unknown.len() <= UNKNOWN_MAX);

        // A key that this node has created since.
        let of = KeyPartition { partition: 0, tenant: TenantId(uuid::Uuid::nil()), is_of_all: false };
        let known = lookups.partition_of(hash(1), || Some(of)).await.ok().flatten();
        assert_eq!(known.map(|known| known.partition), Some(0));
    }

    #[tokio::test]
    async fn lookups_that_are_interrupted_end_and_later_ones_are_answered() {
        let server = Postgres::start();
        let lookups = lookups(&server, Duration::ZERO);
        // More callers than one query asks for, and a task that asks for them.
        let callers: Vec<_> = (0..ASKED_MAX * 2).map(|number| lookups.expect(hash(number))).collect();
        assert!(callers.iter().flatten().any(|(_, starts)| *starts));
        let asking = lookups.clone();
        let query = |_| std::future::poll_fn(|_| panic!("the query panicked"));
        let interrupted = tokio::spawn(async move { asking.ask_by(query).await }).await;
        assert!(interrupted.is_err_and(|error| error.is_panic()));
        for caller in callers {
            assert!(caller.expect("a place").0.await.is_err(), "it waits no longer");
        }
        assert_eq!(lookups.waiting.lock().count, 0);
        assert_eq!(ask_all(&lookups, 3).await, (3, 0));
    }

    #[tokio::test]
    async fn a_key_that_another_node_creates_is_found_once_the_time_is_over() {
        let server = Postgres::start();
        let lookups = lookups(&server, Duration::ZERO);
        assert_eq!(ask_all(&lookups, 1).await, (1, 0));
        let queries = lookups.metrics.key_lookups();
        assert_eq!(ask_all(&lookups, 1).await, (1, 0));
        assert_eq!(lookups.metrics.key_lookups(), queries + 1);
    }
}
