//! A store that counts what is asked of it, for tests of cost: calls of each method, and the rows and bytes that were
//! returned or written. "A restart reads each run once" is such a test; so is "eight times the work costs at most ten
//! times as much" (`assert_linear`).

use std::collections::BTreeMap;
use std::ops::Add;
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::{DirectiveId, Json, RecordId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use parking_lot::Mutex;

use crate::{
    Batch, DirectiveFilter, Directory, OpenWork, Page, Result, RootUsage, RunFilter, RunPart, SignalFilter, StepRange,
    Store, TriggeredRun, WaitingFilter,
};

pub struct CountingStore {
    store: Arc<dyn Store>,
    counts: Mutex<Counts>,
}

/// Calls of one method or of several, and the size of their answers; for `commit`, the size of the batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub calls: u64,
    /// A run counts as one row and one for each place of it that has begun.
    pub rows: u64,
    /// Bytes of documents: payloads, inputs, outputs, definitions, modules.
    pub bytes: u64,
}

/// The counts of each method that was called, by its name in `Store`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, Count>);

impl CountingStore {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, counts: Mutex::default() }
    }

    pub fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }

    /// Returns the counts since the last call of this method, or since the start.
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock())
    }

    fn count(&self, method: &'static str, (rows, bytes): (u64, u64)) {
        let mut counts = self.counts.lock();
        let count = counts.0.entry(method).or_default();
        *count = *count + Count { calls: 1, rows, bytes };
    }
}

impl Counts {
    /// Returns zeros for a method that was not called.
    pub fn of(&self, method: &str) -> Count {
        self.0.get(method).copied().unwrap_or_default()
    }

    pub fn total(&self) -> Count {
        self.0.values().fold(Count::default(), |total, count| total + *count)
    }

    /// Panics when the calls, rows or bytes of eight times the work are more than ten times those of the work.
    pub fn assert_linear(&self, eightfold: &Self, what: &str) {
        let (once, eight) = (self.total(), eightfold.total());
        for (unit, once, eight) in
            [("calls", once.calls, eight.calls), ("rows", once.rows, eight.rows), ("bytes", once.bytes, eight.bytes)]
        {
            assert!(is_linear(once, eight), "{what}: {once} {unit} grew to {eight}\nn: {self:#?}\n8 n: {eightfold:#?}");
        }
    }
}

/// Panics when eight times the work costs more than ten times as much, in whatever unit a test counts.
pub fn assert_linear(what: &str, once: u64, eightfold: u64) {
    assert!(
        is_linear(once, eightfold),
        "{what}: the cost grew from {once} to {eightfold} when the work grew eightfold"
    );
}

fn is_linear(once: u64, eightfold: u64) -> bool {
    eightfold <= 10 * once
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (calls, rows, bytes) = (self.calls + other.calls, self.rows + other.rows, self.bytes + other.bytes);
        Self { calls, rows, bytes }
    }
}

/// Passes each call on and counts its answer.
macro_rules! count_calls {
    ($($name:ident($($value:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($value: $kind),*) -> Result<$answer> {
            let answer = self.store.$name($($value),*);
            self.count(stringify!($name), answer.as_ref().map_or((0, 0), Measured::size));
            answer
        })*
    };
}

impl Store for CountingStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        self.count("commit", batch.size());
        self.store.commit(batch)
    }

    fn is_reachable(&self) -> bool {
        self.store.is_reachable()
    }

    fn probe(&self) -> Result<()> {
        self.store.probe()
    }

    fn close(&self) {
        self.store.close();
    }

    count_calls! {
        directory() -> Directory;
        open_work() -> OpenWork;
        last_signal_id() -> Option<SignalId>;
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

/// Rows and bytes of what a method returned.
trait Measured {
    fn size(&self) -> (u64, u64);
}

impl<T: Measured> Measured for Option<T> {
    fn size(&self) -> (u64, u64) {
        self.as_ref().map_or((0, 0), Measured::size)
    }
}

impl<T: Measured> Measured for Vec<T> {
    fn size(&self) -> (u64, u64) {
        self.iter().map(Measured::size).fold((0, 0), |(rows, bytes), (row, more)| (rows + row, bytes + more))
    }
}

impl Measured for u8 {
    fn size(&self) -> (u64, u64) {
        (0, 1)
    }
}

fn text(document: Option<&Json>) -> u64 {
    document.map_or(0, |document| document.text().len() as u64)
}

impl Measured for Signal {
    fn size(&self) -> (u64, u64) {
        (1, text(Some(&self.payload)))
    }
}

impl Measured for Directive {
    fn size(&self) -> (u64, u64) {
        (1, text(Some(&self.payload)) + text(self.output.as_ref()))
    }
}

impl Measured for Run {
    fn size(&self) -> (u64, u64) {
        let bytes = text(self.input.as_ref()) + text(self.output.as_ref()) + self.steps.bytes() as u64;
        (1 + self.places().count() as u64, bytes)
    }
}

impl Measured for RunPart {
    fn size(&self) -> (u64, u64) {
        self.run.size()
    }
}

impl Measured for TriggeredRun {
    fn size(&self) -> (u64, u64) {
        let (run, signal) = (self.0.size(), self.1.size());
        (run.0 + signal.0, run.1 + signal.1)
    }
}

impl Measured for (RunId, Place, Step) {
    fn size(&self) -> (u64, u64) {
        (1, text(self.2.output.as_ref()))
    }
}

impl Measured for WorkflowVersion {
    fn size(&self) -> (u64, u64) {
        (1, text(Some(&self.document)))
    }
}

/// Answers that hold no documents.
macro_rules! count_rows {
    ($($kind:ty),*) => {
        $(impl Measured for $kind {
            fn size(&self) -> (u64, u64) {
                (1, 0)
            }
        })*
    };
}

count_rows!(usize, SignalId, Disposition, RootUsage, (Arc<str>, Timestamp, RunId), (String, Status, u64));

impl Measured for Directory {
    fn size(&self) -> (u64, u64) {
        let entries = self.tenants.len() + self.keys.len() + self.workflows.len() + self.agents.len();
        let entries = entries + self.directive_types.len() + self.functions.len();
        let entries = entries + self.modules.len() + self.schedules.len();
        let (versions, bytes) = self.active_versions.size();
        (entries as u64 + versions, bytes)
    }
}

impl Measured for OpenWork {
    fn size(&self) -> (u64, u64) {
        let due = self.runs_due.len() + self.directives_due.len() + self.directives_requested.len();
        let in_flight = self.directives_in_flight.len() + self.runs_in_flight.len();
        ((due + in_flight + self.waits.len() + self.locks.len() + self.flows.len()) as u64, 0)
    }
}

impl Measured for Batch {
    fn size(&self) -> (u64, u64) {
        let records = self.signals.len() + self.dedupe_keys.len() + self.dispositions.len() + self.directives.len();
        let registered = self.tenants.len() + self.keys.len() + self.workflows.len() + self.workflow_versions.len();
        let registered = registered + self.agents.len() + self.directive_types.len() + self.functions.len();
        let registered = registered + self.modules.len() + self.modules_removed.len() + self.schedules.len();
        let runs: usize = self.runs.iter().map(|write| 1 + write.places.len()).sum();
        let payloads = self.signals.iter().map(|signal| signal.size().1);
        let intents = self.directives.iter().map(|directive| directive.size().1);
        let modules = self.modules.iter().map(|(_, bytes)| bytes.len() as u64);
        ((records + registered + runs) as u64, payloads.chain(intents).chain(modules).sum())
    }
}

#[cfg(test)]
mod tests {
    use fleetprompt_core::tenant::{Tenant, Weight};
    use fleetprompt_core::{Lineage, Party};
    use uuid::Uuid;

    use super::*;
    use crate::memory::MemoryStore;

    #[test]
    fn calls_rows_and_bytes_are_counted_by_method() {
        let store = CountingStore::new(Arc::new(MemoryStore::default()));
        let tenant = TenantId(Uuid::from_u128(1));
        let (slug, created_at) = ("acme".parse().expect("a slug"), Timestamp(0));
        let acme = Tenant { id: tenant, slug, name: "Acme".into(), weight: Weight::default(), created_at };
        store.commit(&Batch { tenants: vec![acme], ..Batch::default() }).expect("committed");
        assert_eq!(store.take_counts().of("commit"), Count { calls: 1, rows: 1, bytes: 0 });
        let signal = |number: u128| Signal {
            id: SignalId(Uuid::from_u128(number)),
            tenant,
            name: "order.placed".parse().expect("a name"),
            run_id: None,
            directive_id: None,
            lineage: Lineage::root("order"),
            subject: None,
            actor: Some(Party::engine()),
            source: None,
            source_event_id: None,
            dedupe_key: None,
            recorded_at: Timestamp(0),
            occurred_at: Timestamp(0),
            payload: Json::of(&"eight+2!"),
        };
        let signals = (1..=3).map(|number| Arc::new(signal(number))).collect();
        store.commit(&Batch { signals, ..Batch::default() }).expect("committed");
        store.signal(tenant, SignalId(Uuid::from_u128(9))).expect("read");
        store.signals(tenant, &SignalFilter::default(), Page::newest(2)).expect("read");
        let counts = store.take_counts();
        assert_eq!(counts.of("commit"), Count { calls: 1, rows: 3, bytes: 30 });
        assert_eq!(counts.of("signal"), Count { calls: 1, rows: 0, bytes: 0 });
        assert_eq!(counts.of("signals"), Count { calls: 1, rows: 2, bytes: 20 });
        assert_eq!(counts.total(), Count { calls: 3, rows: 5, bytes: 50 });
        assert_eq!(store.counts(), Counts::default());
    }

    #[test]
    fn growth_beyond_tenfold_is_refused() {
        assert_linear("rows", 100, 1_000);
        assert!(std::panic::catch_unwind(|| assert_linear("rows", 100, 1_001)).is_err());
    }
}
