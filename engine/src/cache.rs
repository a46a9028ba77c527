//! Open runs, directives in flight and compiled versions, as the engines of a process hold them in memory between
//! batches. The cache is filled by what is committed and by what is read, and evicts by weight.
//!
//! An entry is never stale: only its engine writes the row, and puts it here once the commit has held. So a commit that
//! fails leaves nothing to forget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleetprompt_core::directive::Directive;
use fleetprompt_core::document::Format;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::Run;
use fleetprompt_core::workflow::{self, Catalog, Workflow};
use fleetprompt_core::{DirectiveId, RunId, Signal, Slug, TenantId};
use fleetprompt_store::{Error, Result, Store, TriggeredRun};
use quick_cache::sync::{Cache as Weighted, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::modules::Modules;

/// A run, and what about it does not change.
#[derive(Debug, Clone)]
pub(crate) struct OpenRun {
    pub run: Arc<Run>,
    pub workflow: Arc<Workflow>,
    pub signal: Option<Arc<Signal>>,
}

/// The entries of one engine, and the store that has those that are not here.
pub(crate) struct Cache {
    records: Records,
    /// These have limits of their own, and never change.
    pub modules: Arc<Modules>,
}

/// The same for other threads than the one that decides. Nothing here adds a run or a directive to the cache: its row may
/// have changed since it was read.
#[derive(Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
    shared: SharedCache,
    /// A partition may come back to this process after another node had it: the entries of the engine that wrote for it
    /// before are not those of the next one.
    engine: u64,
}

/// The entries of all engines of a process, with one bound: however many runs there are, and however large tenants make
/// them.
#[derive(Clone)]
pub(crate) struct SharedCache(Arc<Weighted<(u64, Key), Entry, Weight>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Run(RunId),
    Directive(DirectiveId),
    Version(TenantId, Slug, Arc<str>),
}

#[derive(Clone)]
enum Entry {
    Run(OpenRun),
    Directive(Arc<Directive>),
    Version(Arc<Workflow>),
}

static ENGINES: AtomicU64 = AtomicU64::new(0);

const BYTES_MAX: usize = 64 << 20;
/// A run or a directive without what tenants put into it.
const RECORD_BYTES: usize = 2 << 10;
/// A compiled definition takes many times its text.
const COMPILED: usize = 16;
/// One step of a run without its output.
const STEP_BYTES: usize = 256;
/// How many records are read at once.
pub(crate) const READ_TOGETHER: usize = 500;

impl SharedCache {
    pub fn new(bytes_max: usize) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(bytes_max / RECORD_BYTES)
            .weight_capacity(bytes_max as u64)
            // Each shard would have a part of the bytes, and a large run needs them all.
            .shards(1)
            .build()
            .expect("both capacities are given");
        let weight = Weight { max: bytes_max as u64 / 2 };
        let lifecycle = DefaultLifecycle::default();
        Self(Arc::new(Weighted::with_options(options, weight, DefaultHashBuilder::default(), lifecycle)))
    }
}

impl Default for SharedCache {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}

impl Cache {
    pub fn new(store: Arc<dyn Store>, modules: Arc<Modules>, shared: SharedCache) -> Self {
        let engine = ENGINES.fetch_add(1, Ordering::Relaxed);
        Self { modules, records: Records { store, shared, engine } }
    }

    pub fn records(&self) -> &Records {
        &self.records
    }

    // What was committed

    /// What has ended is not needed again.
    pub fn put_run(&self, open: OpenRun) {
        let key = Key::Run(open.run.id);
        if open.run.status.has_ended() { self.records.remove(key) } else { self.records.put(key, Entry::Run(open)) }
    }

    pub fn put_directive(&self, directive: Arc<Directive>) {
        let key = Key::Directive(directive.id);
        if directive.status.is_settled() {
            self.records.remove(key);
        } else {
            self.records.put(key, Entry::Directive(directive));
        }
    }

    pub fn put_version(&self, tenant: TenantId, workflow: Arc<Workflow>) {
        self.records.put_version(tenant, workflow);
    }

    // What is read

    pub fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<OpenRun>> {
        Ok(self.runs(&[(tenant, id)], |_| None)?.pop().flatten())
    }

    /// Returns runs in the order of their ids, `None` where the tenant has no such run. What is neither `staged` nor
    /// here is read at once, as much as one read gives: the answer may end before the ids do, but has at least one entry
    /// when there is an id.
    pub fn runs(
        &self,
        ids: &[(TenantId, RunId)],
        staged: impl Fn(RunId) -> Option<OpenRun>,
    ) -> Result<Vec<Option<OpenRun>>> {
        let known = |(tenant, id): (TenantId, RunId)| {
            let open = staged(id).filter(|open| open.run.tenant == tenant);
            open.or_else(|| self.records.known_run(tenant, id))
        };
        read_missing(ids, known, |missing| {
            let read = self.records.store.runs_by_id(missing)?;
            read.into_iter().map(|run| run.map(|run| self.open(run)).transpose()).collect()
        })
    }

    pub fn directive(&self, tenant: TenantId, id: DirectiveId) -> Result<Option<Arc<Directive>>> {
        Ok(self.directives(&[(tenant, id)])?.pop().flatten())
    }

    /// Returns directives in the order of their ids, read as `runs` reads.
    pub fn directives(&self, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Arc<Directive>>>> {
        let known = |(tenant, id)| self.records.known_directive(tenant, id);
        let read = read_missing(ids, known, |missing| {
            let read = self.records.store.directives_by_id(missing)?;
            let put = |directive: Directive| {
                let directive = Arc::new(directive);
                if !directive.status.is_settled() {
                    self.records.put(Key::Directive(directive.id), Entry::Directive(directive.clone()));
                }
                directive
            };
            Ok(read.into_iter().map(|directive| directive.map(put)).collect())
        })?;
        Ok(read)
    }

    /// Reads in bulk what will be needed and is not here: these directives with the runs that asked for them, and these
    /// runs. It ends early where the records are so large that the cache might not hold all of them: these are read when
    /// they are needed.
    pub fn read_ahead(
        &self,
        mut runs: Vec<(TenantId, RunId)>,
        mut directives: Vec<(TenantId, DirectiveId)>,
    ) -> Result<()> {
        directives.sort_unstable();
        directives.dedup();
        for ids in directives.chunks(READ_TOGETHER) {
            let read = self.directives(ids)?;
            let origins =
                read.iter().flatten().filter_map(|directive| Some((directive.tenant, directive.origin?.run_id)));
            runs.extend(origins);
            if read.len() < ids.len() {
                break;
            }
        }
        runs.sort_unstable();
        runs.dedup();
        for ids in runs.chunks(READ_TOGETHER) {
            if self.runs(ids, |_| None)?.len() < ids.len() {
                break;
            }
        }
        Ok(())
    }

    pub fn version(&self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<Arc<Workflow>>> {
        self.records.version(tenant, slug, version)
    }

    fn open(&self, triggered: TriggeredRun) -> Result<OpenRun> {
        let open = self.records.open(triggered)?;
        if !open.run.status.has_ended() {
            self.records.put(Key::Run(open.run.id), Entry::Run(open.clone()));
        }
        Ok(open)
    }
}

impl Records {
    fn get(&self, key: Key) -> Option<Entry> {
        self.shared.0.get(&(self.engine, key))
    }

    fn put(&self, key: Key, entry: Entry) {
        self.shared.0.insert((self.engine, key), entry);
    }

    fn remove(&self, key: Key) {
        self.shared.0.remove(&(self.engine, key));
    }

    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Returns a run of the tenant if it is in the cache.
    pub fn known_run(&self, tenant: TenantId, id: RunId) -> Option<OpenRun> {
        match self.get(Key::Run(id)) {
            Some(Entry::Run(open)) if open.run.tenant == tenant => Some(open),
            _ => None,
        }
    }

    /// Returns a directive of the tenant if it is in the cache.
    pub fn known_directive(&self, tenant: TenantId, id: DirectiveId) -> Option<Arc<Directive>> {
        match self.get(Key::Directive(id)) {
            Some(Entry::Directive(directive)) if directive.tenant == tenant => Some(directive),
            _ => None,
        }
    }

    fn put_version(&self, tenant: TenantId, workflow: Arc<Workflow>) {
        let key = Key::Version(tenant, workflow.slug.clone(), workflow.version.as_str().into());
        self.put(key, Entry::Version(workflow));
    }

    fn version(&self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<Arc<Workflow>>> {
        if let Some(Entry::Version(workflow)) = self.get(Key::Version(tenant, slug.clone(), version.into())) {
            return Ok(Some(workflow));
        }
        let Some(stored) = self.store.workflow_version(tenant, slug, version)? else { return Ok(None) };
        let workflow = compile_stored(&stored)?;
        self.put_version(tenant, workflow.clone());
        Ok(Some(workflow))
    }

    /// Completes a run that the store returned by what does not change about it.
    pub fn open(&self, (run, signal): TriggeredRun) -> Result<OpenRun> {
        let workflow = self.version(run.tenant, &run.workflow, &run.version)?;
        let workflow = workflow.ok_or_else(|| {
            Error::Damaged(format!("run {} is of {} {}, which is not stored", run.id, run.workflow, run.version))
        })?;
        Ok(OpenRun { run: Arc::new(run), workflow, signal: signal.map(Arc::new) })
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let Records { shared, engine: own, .. } = &self.records;
        shared.0.retain(|(engine, _), _| engine != own);
    }
}

/// What is known of the first of these ids, and one read of what is not. The answer ends where that read does.
fn read_missing<I: Copy, T>(
    ids: &[I],
    known: impl Fn(I) -> Option<T>,
    read: impl FnOnce(&[I]) -> Result<Vec<Option<T>>>,
) -> Result<Vec<Option<T>>> {
    let ids = &ids[..ids.len().min(READ_TOGETHER)];
    let mut found: Vec<Option<T>> = ids.iter().map(|id| known(*id)).collect();
    let missing: Vec<usize> = (0..ids.len()).filter(|at| found[*at].is_none()).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let asked: Vec<I> = missing.iter().map(|at| ids[*at]).collect();
    let read = read(&asked)?;
    let unread = missing.get(read.len()).copied();
    for (at, record) in missing.into_iter().zip(read) {
        found[at] = record;
    }
    found.truncate(unread.unwrap_or(ids.len()));
    Ok(found)
}

/// Bytes of an entry, about.
#[derive(Clone)]
struct Weight {
    /// A run that weighs more than all that may be here would be read again for each of its decisions; so one is kept,
    /// and counts as half of everything.
    max: u64,
}

impl Weighter<(u64, Key), Entry> for Weight {
    fn weight(&self, _: &(u64, Key), entry: &Entry) -> u64 {
        let bytes = match entry {
            Entry::Run(open) => bytes_of_run(open),
            Entry::Directive(directive) => RECORD_BYTES + directive.payload.text().len(),
            Entry::Version(workflow) => workflow.document.text().len() * COMPILED,
        };
        (bytes as u64).clamp(1, self.max)
    }
}

fn bytes_of_run(open: &OpenRun) -> usize {
    let signal = open.signal.as_ref().map_or(0, |signal| signal.payload.text().len());
    let input = open.run.input.as_ref().map_or(0, |input| input.text().len());
    let places = open.run.steps.len() + open.run.steps.items();
    RECORD_BYTES + signal + input + places * STEP_BYTES + open.run.steps.bytes()
}

/// A definition that was checked when it was applied.
pub(crate) fn compile_stored(version: &WorkflowVersion) -> Result<Arc<Workflow>> {
    match workflow::read(version.document.text(), Format::Json, &Catalog::default()) {
        Ok((workflow, _)) => Ok(Arc::new(workflow.in_revision(version.language))),
        Err(diagnostics) => {
            let first = diagnostics.first().map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
            Err(Error::Damaged(format!("a stored definition cannot be read: {first}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetprompt_core::directive::{HandlerKind, Request, request};
    use fleetprompt_core::tenant::{Tenant, Weight};
    use fleetprompt_core::{Json, Lineage, Moment, Party, Timestamp};
    use fleetprompt_store::counting::CountingStore;
    use fleetprompt_store::memory::MemoryStore;
    use fleetprompt_store::{Batch, Store};
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));

    fn modules<S: Store + 'static>(store: &Arc<S>) -> Arc<Modules> {
        Arc::new(Modules::new(store.clone(), 0))
    }

    fn directive(number: u128, payload_bytes: usize) -> Arc<Directive> {
        let requested = Request {
            id: DirectiveId(Uuid::from_u128(number)),
            tenant: TENANT,
            name: "order.ship".parse().expect("a name"),
            payload: Json::of(&"x".repeat(payload_bytes)),
            idempotency_key: number.to_string(),
            handler: HandlerKind::Manual,
            retry: Default::default(),
            timeout: None,
            heartbeat: None,
            origin: None,
            actor: Party::engine(),
            lineage: Lineage::root("order"),
        };
        Arc::new(request(requested, &mut Moment::new(0)).directive)
    }

    fn workflow() -> Arc<Workflow> {
        let step = r#"{"id": "a", "type": "function", "function": "json.identity", "input": {}}"#;
        let workflow = format!(
            r#"{{"name": "W", "slug": "w", "version": "1.0.0", "trigger": {{"signal": "a.b"}}, "steps": [{step}]}}"#
        );
        let read = workflow::read(&format!(r#"{{"workflow": {workflow}}}"#), Format::Json, &Catalog::default());
        Arc::new(read.expect("a definition").0)
    }

    /// A store with so many directives, numbered from 1.
    fn store(directives: u128, payload_bytes: usize) -> Arc<CountingStore> {
        let (slug, created_at) = ("acme".parse().expect("a slug"), Timestamp(0));
        let tenant = Tenant { id: TENANT, slug, name: "Acme".into(), weight: Weight::default(), created_at };
        let directives = (1..=directives).map(|number| directive(number, payload_bytes)).collect();
        let store = MemoryStore::default();
        store.commit(&Batch { tenants: vec![tenant], directives, ..Batch::default() }).expect("committed");
        Arc::new(CountingStore::new(Arc::new(store)))
    }

    fn ids(numbers: std::ops::RangeInclusive<u128>) -> Vec<(TenantId, DirectiveId)> {
        numbers.map(|number| (TENANT, DirectiveId(Uuid::from_u128(number)))).collect()
    }

    #[test]
    fn what_was_read_once_is_not_read_again() {
        let store = store(1_200, 0);
        let cache = Cache::new(store.clone(), modules(&store), SharedCache::default());
        cache.read_ahead(Vec::new(), ids(1..=1_200)).expect("read");
        assert_eq!(store.take_counts().of("directives_by_id").calls, 3, "500 at a time");
        let read = cache.directives(&ids(1..=1_200)).expect("read");
        assert!(read.len() == READ_TOGETHER && read.iter().all(Option::is_some));
        assert!(cache.directive(TENANT, ids(7..=7)[0].1).expect("read").is_some());
        assert!(cache.directive(TenantId(Uuid::from_u128(2)), ids(7..=7)[0].1).expect("read").is_none());
        assert_eq!(store.take_counts().of("directives_by_id").rows, 0, "only the other tenant's question was asked");
    }

    #[test]
    fn an_answer_that_ends_early_ends_before_the_first_that_was_not_read() {
        let store = store(20, 1 << 20);
        let cache = Cache::new(store.clone(), modules(&store), SharedCache::default());
        // In between is one that is known: after the end of the read it does not count.
        cache.directive(TENANT, ids(18..=18)[0].1).expect("read");
        let (asked, mut found) = (ids(1..=20), Vec::new());
        while found.len() < asked.len() {
            let read = cache.directives(&asked[found.len()..]).expect("read");
            assert!(!read.is_empty() && read.len() <= 18, "16 MiB and what is known: {}", read.len());
            found.extend(read.into_iter().map(|directive| directive.expect("it is stored").id));
        }
        assert_eq!(found, asked.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    }

    #[test]
    fn all_caches_together_stay_below_their_bound_and_the_entries_of_one_that_ended_are_gone() {
        let bytes_max = 4 << 20;
        let shared = SharedCache::new(bytes_max);
        let store = Arc::new(MemoryStore::default());
        let [much, little] = [0; 2].map(|_| Cache::new(store.clone(), modules(&store), shared.clone()));
        little.put_version(TENANT, workflow());
        for number in 0..70 {
            little.version(TENANT, &workflow().slug, "1.0.0").expect("read").expect("what is used stays");
            much.put_directive(directive(number, 64 << 10));
            assert!(shared.0.weight() <= bytes_max as u64);
        }
        assert!((40..70).contains(&shared.0.len()), "{} are there", shared.0.len());
        assert!(much.version(TENANT, &workflow().slug, "1.0.0").expect("read").is_none(), "it is the other engine's");
        drop(much);
        assert_eq!(shared.0.len(), 1);
    }

    #[test]
    fn what_is_larger_than_the_whole_cache_is_kept_while_it_is_used() {
        let store = store(2, 4 << 20);
        let cache = Cache::new(store.clone(), modules(&store), SharedCache::new(1 << 20));
        for _ in 0..3 {
            cache.directive(TENANT, ids(1..=1)[0].1).expect("read").expect("it is stored");
        }
        assert_eq!(store.counts().of("directives_by_id").calls, 1);
    }
}
