//! Random valid batches through memory and a database: whatever is asked afterwards, they answer alike.

mod op;

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, HandlerKind, Input, Request};
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowStatus,
    WorkflowVersion,
};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{
    Awaited, AwaitedSignal, FlowKeys, Parent, Place, Queue, QueueReason, Run, RunChange, Status, StepChange,
    StepStatus, Waiting,
};
use fleetprompt_core::schedule;
use fleetprompt_core::signal::{DedupeKey, Disposition, DispositionKind};
use fleetprompt_core::tenant::{Key, KeyHash, Role, Tenant};
use fleetprompt_core::workflow::LanguageRevision;
use fleetprompt_core::{
    Failure, Json, KeyId, Party, RunId, Signal, SignalId, Span, TenantId, Timestamp, WorkflowVersionId,
};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::postgres::PostgresStore;
use fleetprompt_store::sqlite::SqliteStore;
use fleetprompt_store::{
    Batch, DirectiveFilter, Order, Page, RunFilter, RunWrite, SignalFilter, StepRange, Store, WaitingFilter,
};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use self::op::{First, Op, Said, op};
use crate::samples::{Samples, changed, every_place, name, slug, started_by, whole};

const SIGNAL_NAMES: [&str; 3] = ["forum.thread.created", "a.b", "c.d"];
const DIRECTIVE_NAMES: [&str; 3] = ["workflow.run.start", "mail.send", "forum.post.create"];
const DIGESTS: [u8; 2] = [1, 2];
const SLUGS: [&str; 3] = ["triage", "audit", "z"];
const THROTTLES: [&str; 2] = ["all", "a\0b"];
const GROUPS: [&str; 2] = ["a conversation", "ümlaut"];

fn of(digest: u8) -> ModuleDigest {
    ModuleDigest::of_sha256([digest; 32])
}

/// What was decided, and what of it is not yet committed.
struct World {
    samples: Samples,
    tenants: Vec<Tenant>,
    now: Told,
    committed: Told,
    batch: Batch,
}

#[derive(Clone, Default)]
struct Told {
    facts: Vec<Signal>,
    keys: Vec<(TenantId, DedupeKey)>,
    directives: Vec<Directive>,
    runs: Vec<Run>,
    /// How far their records go.
    logs: HashMap<RunId, usize>,
}

impl World {
    fn new() -> Self {
        let mut samples = Samples::new();
        // The last one is never written.
        let tenants: Vec<_> = ["two", "one", "nobody"].map(|slug| samples.tenant(slug)).to_vec();
        let batch = Batch { tenants: vec![tenants[1].clone(), tenants[0].clone()], ..Batch::default() };
        Self { samples, tenants, now: Told::default(), committed: Told::default(), batch }
    }

    fn apply(&mut self, op: Op) {
        self.samples.wait(Span::from_millis(250));
        match op {
            Op::Fact { tenant, name, text, group, key, early } => self.fact(tenant, name, text, group, key, early),
            Op::Dispose { fact, workflow, kind } => self.dispose(fact, workflow, kind),
            Op::Request { tenant, name, handler, run, item, terms } => {
                self.request(tenant, name, handler, run.zip(Some(item)), terms);
            }
            Op::Move { directive, input } => self.move_directive(directive, input),
            Op::Start { fact, workflow, steps, first } => self.start(fact, workflow, steps, first),
            Op::Step { run, place, change, said } => self.step(run, place, change, said),
            Op::Change { run, change } => self.change(run, change),
            Op::Register { tenant, slug, what, text } => self.register(tenant, slug, what, text),
            Op::Repeat { .. } | Op::Commit => {}
        }
    }

    fn tenant(&self, index: Index) -> TenantId {
        self.tenants[index.index(2)].id
    }

    fn tell(&mut self, signals: impl IntoIterator<Item = Signal>) {
        self.batch.signals.extend(signals.into_iter().map(Arc::new));
    }

    fn fact(&mut self, tenant: Index, place: Index, text: String, group: Option<Index>, key: Option<u8>, early: bool) {
        let mut fact = self.samples.fact(self.tenant(tenant), one_of(&SIGNAL_NAMES, place));
        fact.payload = json!({"text": text, "null": null}).into();
        if let Some(group) = group {
            fact.lineage.correlation_id = one_of(&GROUPS, group).into();
        }
        if early {
            fact.occurred_at = Timestamp(-5);
            fact.subject = None;
            fact.source = Some(text);
        }
        let key = key.map(|key| (fact.tenant, DedupeKey(format!("key:{key}"))));
        if let Some(key) = key.filter(|key| !self.now.keys.contains(key)) {
            self.batch.dedupe_keys.push((key.0, key.1.clone(), fact.id));
            self.now.keys.push(key);
        }
        self.now.facts.push(fact.clone());
        self.tell([fact]);
    }

    fn dispose(&mut self, fact: Index, workflow: Index, kind: Index) {
        let Some(fact) = pick(&self.now.facts, fact) else { return };
        let workflow = slug(one_of(&SLUGS, workflow));
        let is_taken = self.now.runs.iter().any(|run| run.signal_id == Some(fact.id) && run.workflow == workflow);
        let kind = one_of(&DispositionKind::ALL, kind);
        let waiter = self.now.runs.last().map(|run| run.id).filter(|_| kind == DispositionKind::Advanced);
        if is_taken != waiter.is_some() {
            return;
        }
        self.batch.dispositions.push(Disposition {
            tenant: fact.tenant,
            signal_id: fact.id,
            workflow,
            kind,
            run_id: waiter,
            reason: Some("because".into()),
            at: self.samples.moment.now(),
        });
    }

    fn request(
        &mut self,
        tenant: Index,
        place: Index,
        handler: Index,
        origin: Option<(Index, Option<u8>)>,
        terms: bool,
    ) {
        let directive_name = one_of(&DIRECTIVE_NAMES, place);
        let key = format!("key {}", self.now.directives.len());
        let origin = origin.and_then(|(run, item)| Some((pick(&self.now.runs, run)?, item)));
        let request = match &origin {
            Some((run, item)) => {
                let step = Place::step(1);
                let place = item.map_or(step.undo(), |item| step.item(item.into()));
                self.samples.request_of_step(run, place, directive_name)
            }
            None => self.samples.request(self.tenant(tenant), directive_name, &key),
        };
        let handler = one_of(&HandlerKind::ALL, handler);
        let retry = RetryPolicy { max_attempts: 2, factor: 1.25, initial: Span(1_001), ..RetryPolicy::default() };
        let retry = if terms { retry } else { RetryPolicy::default() };
        let (timeout, heartbeat) = (terms.then_some(Span(1_000_001)), terms.then_some(Span(2_000_003)));
        let request = Request { handler, retry, timeout, heartbeat, idempotency_key: key, ..request };
        let (directive, signals) = self.samples.requested(request);
        self.tell(signals);
        self.put_directive(directive);
    }

    fn move_directive(&mut self, place: Index, input: u8) {
        let Some(directive) = pick(&self.now.directives, place) else { return };
        let attempt = directive.attempt;
        let by = Party::new("key", "operator");
        let input = match input {
            0 => Input::Begin,
            1 => Input::Outcome { attempt, result: Ok(Json::null()), execution: None, logs: vec!["log".into()] },
            2 => Input::Outcome {
                attempt,
                result: Err(Failure::retry("timeout", "late")),
                execution: None,
                logs: vec![],
            },
            3 => Input::Report { by, result: Ok(json!({"ok": [1, "ü"]}).into()) },
            4 => Input::Due,
            5 => Input::Heartbeat,
            6 => Input::Reopen { by },
            _ => Input::Cancel { by, reason: "enough".into(), is_unsent: false },
        };
        if let Ok(decision) = directive::decide(directive, input, &mut self.samples.moment) {
            self.tell(decision.signals);
            self.put_directive(decision.directive);
        }
    }

    fn put_directive(&mut self, directive: Directive) {
        put(&mut self.now.directives, directive.clone(), |one| one.id.0);
        self.batch.directives.retain(|one| one.id != directive.id);
        self.batch.directives.push(Arc::new(directive));
    }

    fn start(&mut self, fact: Index, workflow: Index, steps: usize, first: First) {
        let Some(fact) = pick(&self.now.facts, fact) else { return };
        let workflow = one_of(&SLUGS, workflow);
        if self.now.runs.iter().any(|run| run.signal_id == Some(fact.id) && run.workflow.as_str() == workflow) {
            return;
        }
        let later = self.samples.moment.now() + Span::from_secs(60);
        let kin = |index: Option<Index>| index.and_then(|index| pick(&self.now.runs, index)).map(|run| run.id);
        let (parent, source) = (kin(first.parent), kin(first.source));
        let key = |rule: usize| first.keys[rule].then(|| THROTTLES[steps % 2].into());
        let (run, started) = self.samples.run_with(fact.tenant, workflow, steps, Some(&fact), |record| {
            record.version = ["1.0.0", "2.0.0"][usize::from(first.version)].into();
            record.deadline = (first.deadline && first.queued.is_none()).then_some(later);
            record.keys = FlowKeys { concurrency: key(0), throttle: key(1), debounce: key(2) };
            record.parent = parent.map(|run_id| Parent {
                run_id,
                place: Place::step(2).item(steps as u32).undo(),
                waits: first.deadline,
            });
            record.source = source;
            let reasons = [QueueReason::Concurrency, QueueReason::Throttle, QueueReason::Debounce];
            record.queue = first.queued.map(|reason| Queue {
                reason: one_of(&reasons, reason),
                until: first.deadline.then_some(later),
                since: first.version.then_some(Timestamp(-1)),
            });
        });
        self.batch.dispositions.push(started_by(&fact, &run));
        self.tell([started]);
        self.put_run(None, run);
    }

    fn step(&mut self, run: Index, place: Index, change: Index, said: Said) {
        let Some(mut run) = pick(&self.now.runs, run) else { return };
        if run.status.has_ended() {
            return;
        }
        let (before, change) = (run.clone(), one_of(&StepChange::ALL, change));
        let places: Vec<Place> = every_place(&run).into_iter().filter(|place| !place.undo).collect();
        let place = one_of(&places, place);
        let directive_id = self.now.directives.first().filter(|_| said.directive).map(|one| one.id);
        let key = [("payload.id".to_owned(), json!({"n": [null, 1]}))].to_vec();
        let awaited = [
            Awaited::Time { until: Timestamp(17) },
            Awaited::Signal { events: vec![AwaitedSignal { name: name("a.b"), matches: key }], since: None },
            Awaited::Input { prompt: None, role: Role::ALL[0] },
            Awaited::Callback { key: "ü".into() },
            Awaited::Run { run_id: run.id },
            Awaited::Lock { name: "lock".into() },
        ];
        let signal = self.samples.place(&mut run, place, change, |record| {
            record.directive_id = directive_id;
            if let Some(waiting) = &mut record.waiting {
                *waiting = Waiting::new(awaited[said.awaits.index(awaited.len())].clone()).into();
            }
            let goes_over = matches!(change, StepChange::Started | StepChange::Reset) && place.item.is_none();
            record.items = said.items.filter(|_| goes_over);
            record.lock = ["l/1", "l/2"].map(Into::into).into_iter().nth(place.index()).filter(|_| said.lock);
            if change == StepChange::Reset {
                (record.issue, record.lock, record.directive_id) = (u32::from(said.directive), None, None);
            }
            // What is still pending holds no lock.
            if change == StepChange::AnsweredEarly {
                record.lock = None;
            }
        });
        self.tell([signal]);
        self.put_run(Some(&before), run);
    }

    fn change(&mut self, run: Index, change: Index) {
        let Some(mut run) = pick(&self.now.runs, run) else { return };
        let (before, change) = (run.clone(), one_of(&RunChange::ALL, change));
        let goes_on = matches!(change, RunChange::Retried | RunChange::Resumed);
        if (run.status.has_ended() && !goes_on) || (run.begun_at.is_some() && change == RunChange::Queued) {
            return;
        }
        let signal = self.samples.change(&mut run, change);
        self.tell([signal]);
        self.put_run(Some(&before), run);
    }

    fn put_run(&mut self, before: Option<&Run>, run: Run) {
        put(&mut self.now.runs, run.clone(), |one| one.id.0);
        let write = before.map_or_else(|| whole(&run), |before| changed(before, &run));
        let earlier = self.batch.runs.iter().position(|write| write.run.id == run.id);
        let mut places = earlier.map(|place| self.batch.runs.remove(place).places).unwrap_or_default();
        places.extend(write.places);
        self.batch.runs.push(RunWrite { places, ..write });
    }

    fn register(&mut self, tenant: Index, place: Index, what: u8, text: String) {
        let (tenant, slug, now) = (self.tenant(tenant), slug(one_of(&SLUGS, place)), self.samples.moment.now());
        let document: Json = json!({"document": text}).into();
        let id = self.samples.moment.uuid();
        match what {
            0 => self.batch.keys.push(Key {
                id: KeyId(id),
                tenant,
                name: text,
                role: one_of(&Role::ALL, place),
                performs: None,
                hash: KeyHash::of("secret"),
                created_at: now,
                expires_at: None,
                revoked_at: Some(now),
            }),
            1 => self.batch.workflows.push(WorkflowEntry {
                tenant,
                slug,
                status: one_of(&WorkflowStatus::ALL, place),
                active_version: Some("1.0.0".into()),
                updated_at: now,
            }),
            2 | 3 => self.batch.workflow_versions.push(WorkflowVersion {
                id: WorkflowVersionId(id),
                tenant,
                slug,
                version: ["1.0.0", "2.0.0"][usize::from(what - 2)].into(),
                document,
                digest: text,
                created_at: now,
                language: LanguageRevision(what.into()),
            }),
            4 => self.batch.agents.push(AgentEntry { tenant, slug, document, digest: text, updated_at: now }),
            5 => {
                let state = schedule::State {
                    status: one_of(&schedule::Status::ALL, place),
                    anchor_at: now,
                    next_at: Some(now),
                    last_at: None,
                    last_signal: Some(SignalId(id)),
                    queued_at: None,
                    reason: Some(text.clone()),
                    updated_at: now,
                };
                self.batch.schedules.push(ScheduleEntry { tenant, slug, document, digest: text, state });
            }
            6 => {
                let name = name(one_of(&DIRECTIVE_NAMES, place));
                self.batch.functions.push(FunctionEntry { tenant, name, document, updated_at: now });
            }
            7 => {
                let digest = one_of(&DIGESTS, place);
                let entry = ModuleEntry { tenant, digest: of(digest), size: text.len() as u64, created_at: now };
                self.batch.modules.push((entry, text.as_bytes().into()));
            }
            8 => self.batch.modules_removed.push((tenant, of(one_of(&DIGESTS, place)))),
            _ => {
                let name = name(one_of(&DIRECTIVE_NAMES, place));
                self.batch.directive_types.push(DirectiveTypeEntry { tenant, name, document, updated_at: now });
            }
        }
    }

    /// The same batch to both, which must take it or leave it alike.
    fn commit(&mut self, stores: [&dyn Store; 2], repeated: Option<Index>) {
        let mut batch = std::mem::take(&mut self.batch);
        let repeated = repeated.and_then(|fact| pick(&self.committed.facts, fact));
        let broken = repeated.is_some();
        batch.signals.extend(repeated.map(Arc::new));
        for store in stores {
            let answer = store.commit(&batch);
            assert_eq!(answer.is_err(), broken, "{answer:?}");
        }
        if broken {
            self.now = self.committed.clone();
            self.samples.roll_back(&self.now.logs);
            self.batch.tenants = batch.tenants;
        } else {
            self.now.logs = self.samples.mark();
            self.committed = self.now.clone();
        }
    }

    fn compare(&self, [memory, database]: [&dyn Store; 2], pages: &[Page]) {
        macro_rules! alike {
            ($call:ident ( $($argument:expr),* )) => {
                assert_eq!(
                    memory.$call($($argument),*).expect("memory"),
                    database.$call($($argument),*).expect("database"),
                    "{}{:?}", stringify!($call), ($(&$argument,)*)
                );
            };
        }
        alike!(directory());
        alike!(open_work());
        alike!(last_signal_id());
        let keys: Vec<_> =
            self.tenants.iter().flat_map(|one| (0..4).map(|key| (one.id, DedupeKey(format!("key:{key}"))))).collect();
        alike!(deduplicate(&keys));
        let keys: Vec<_> =
            self.tenants.iter().flat_map(|one| (0..9).map(|key| (one.id, format!("key {key}")))).collect();
        alike!(directives_by_key(&keys));
        let of_all = |tenant: &Tenant| {
            let (runs, directives) = (&self.now.runs, &self.now.directives);
            let runs: Vec<_> = runs.iter().map(|run| (tenant.id, run.id)).collect();
            (runs, directives.iter().map(|one| (tenant.id, one.id)).collect::<Vec<_>>())
        };
        let (runs, directives): (Vec<_>, Vec<_>) = self.tenants.iter().map(of_all).unzip();
        alike!(runs_by_id(&runs.concat()));
        alike!(directives_by_id(&directives.concat()));
        let of_all = |tenant: &Tenant| self.now.facts.iter().map(|fact| (tenant.id, fact.id)).collect::<Vec<_>>();
        alike!(signals_by_id(&self.tenants.iter().flat_map(of_all).collect::<Vec<_>>()));
        for tenant in self.tenants.iter().map(|tenant| tenant.id) {
            for fact in &self.now.facts {
                alike!(signal(tenant, fact.id));
                alike!(dispositions(tenant, fact.id, usize::MAX));
            }
            for directive in &self.now.directives {
                alike!(directive(tenant, directive.id));
            }
            for run in &self.now.runs {
                alike!(run(tenant, run.id));
                alike!(run_head(tenant, run.id));
                for (bytes, items, item_bytes) in
                    [(60, (1, 3), usize::MAX), (600, StepRange::ALL_ITEMS, 200), (usize::MAX, (0, 3), 0)]
                {
                    let steps = StepRange { from: 0, limit: 2, bytes, items, item_bytes };
                    alike!(run_steps(tenant, run.id, steps));
                }
                alike!(steps_with(tenant, run.id, &[StepStatus::Running, StepStatus::Waiting]));
            }
            for run in self.committed.runs.iter().filter(|run| run.tenant == tenant) {
                assert_eq!(memory.run(tenant, run.id).expect("memory").as_ref(), Some(run));
            }
            for slug in SLUGS.map(slug) {
                alike!(runs_in_flight(tenant, &slug));
                for at in [Timestamp(-7), self.samples.moment.now() + Span::from_secs(-2)] {
                    alike!(begun_since(tenant, &slug, at, 3));
                }
                alike!(workflow_versions(tenant, &slug, Page::newest(9)));
                alike!(workflow_version(tenant, &slug, "1.0.0"));
            }
            for digest in DIGESTS.map(of) {
                alike!(module(tenant, &digest));
            }
            for page in pages.iter().copied() {
                for filter in self.signal_filters() {
                    alike!(signals(tenant, &filter, page));
                }
                for filter in self.directive_filters() {
                    alike!(directives(tenant, &filter, page));
                }
                for filter in self.run_filters() {
                    alike!(runs(tenant, &filter, page));
                }
                for filter in self.waiting_filters() {
                    alike!(waiting(tenant, &filter, page));
                }
            }
        }
    }

    fn signal_filters(&self) -> Vec<SignalFilter> {
        let groups = self.now.facts.iter().take(3).map(|fact| fact.lineage.correlation_id.to_string());
        let groups: Vec<_> = groups.chain(GROUPS.map(str::to_owned)).map(Some).chain([None]).collect();
        let runs: Vec<_> = self.now.runs.iter().take(2).map(|run| Some(run.id)).chain([None]).collect();
        let names = SIGNAL_NAMES.into_iter().chain(["workflow.step.completed", "directive.canceled", "no.such"]);
        let mut filters = Vec::new();
        for name in names.map(name).map(Some).chain([None]) {
            for correlation_id in groups.clone() {
                for run_id in runs.clone() {
                    let filter = SignalFilter {
                        name: name.clone(),
                        correlation_id: correlation_id.clone(),
                        run_id,
                        ..SignalFilter::default()
                    };
                    let since = self.now.facts.first().map(|fact| fact.recorded_at);
                    let names = SIGNAL_NAMES[1..].iter().copied().map(crate::samples::name).collect();
                    if name.is_none() {
                        filters.push(SignalFilter { names, since, ..filter.clone() });
                    }
                    filters.push(filter);
                }
            }
        }
        filters
    }

    fn directive_filters(&self) -> Vec<DirectiveFilter> {
        let runs: Vec<_> = self.now.runs.iter().take(2).map(|run| Some(run.id)).chain([None]).collect();
        let mut filters = Vec::new();
        for name in DIRECTIVE_NAMES.map(name).map(Some).into_iter().chain([None]) {
            for status in directive::Status::ALL.map(Some).into_iter().chain([None]) {
                for run_id in runs.clone() {
                    filters.push(DirectiveFilter { name: name.clone(), status, run_id });
                }
            }
        }
        filters
    }

    fn run_filters(&self) -> Vec<RunFilter> {
        let signals: Vec<_> = self.now.facts.iter().take(2).map(|fact| Some(fact.id)).chain([None]).collect();
        let mut filters = Vec::new();
        for workflow in SLUGS.map(slug).map(Some).into_iter().chain([None]) {
            for status in [Some(Status::Queued), Some(Status::Completed), Some(Status::Failed), None] {
                for signal_id in signals.clone() {
                    for correlation_id in [Some(GROUPS[0].to_owned()), None] {
                        let workflow = workflow.clone();
                        let filter = RunFilter { workflow, status, signal_id, correlation_id, ..RunFilter::default() };
                        if filter.signal_id.is_none() && filter.correlation_id.is_none() {
                            filters.extend(self.narrower(&filter));
                        }
                        filters.push(filter);
                    }
                }
            }
        }
        filters
    }

    fn narrower(&self, filter: &RunFilter) -> [RunFilter; 4] {
        let run = self.now.runs.first().map(|run| run.id);
        let since = self.now.runs.get(1).map(|run| run.started_at);
        [
            RunFilter { open: true, ..filter.clone() },
            RunFilter { open: true, version: Some("2.0.0".into()), since, ..filter.clone() },
            RunFilter { parent: run, until: Some(self.samples.moment.now()), ..filter.clone() },
            RunFilter { source: run, open: true, ..filter.clone() },
        ]
    }

    fn waiting_filters(&self) -> Vec<WaitingFilter> {
        let runs = self.now.runs.iter().take(2).map(|run| Some(run.id)).chain([None]);
        let words = || Awaited::WORDS.map(|word| Some(word.to_owned())).into_iter().chain([None]);
        runs.flat_map(|run_id| words().map(move |awaits| WaitingFilter { awaits, run_id })).collect()
    }
}

fn pick<T: Clone>(all: &[T], index: Index) -> Option<T> {
    (!all.is_empty()).then(|| index.get(all).clone())
}

fn one_of<T: Copy>(all: &[T], index: Index) -> T {
    all[index.index(all.len())]
}

fn put<T>(all: &mut Vec<T>, record: T, id: impl Fn(&T) -> uuid::Uuid) {
    all.retain(|one| id(one) != id(&record));
    all.push(record);
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_time: 20_000, ..ProptestConfig::default() }
}

fn answer_alike(database: &dyn Store, ops: Vec<Op>, cursor: Index) {
    let memory = MemoryStore::default();
    let stores: [&dyn Store; 2] = [&memory, database];
    let mut world = World::new();
    for op in ops.into_iter().chain([Op::Commit]) {
        match op {
            Op::Commit => world.commit(stores, None),
            Op::Repeat { fact } => world.commit(stores, Some(fact)),
            op => world.apply(op),
        }
    }
    let cursor = pick(&world.now.facts, cursor).map(|fact| fact.id.0);
    let pages = [Order::NewestFirst, Order::OldestFirst].map(|order| Page { order, cursor, limit: 5, bytes: 600 });
    world.compare(stores, &[Page::newest(100), pages[0], pages[1]]);
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn sqlite_answers_as_memory_does(ops in proptest::collection::vec(op(), 1..90), cursor in any::<Index>()) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        answer_alike(&SqliteStore::open(&folder.path().join("store.db")).expect("a new file"), ops, cursor);
    }
}

#[test]
fn postgres_answers_as_memory_does() {
    let server = fleetprompt_testing::Postgres::start();
    let mut runner = proptest::test_runner::TestRunner::new(config(16));
    let cases = (proptest::collection::vec(op(), 1..90), any::<Index>());
    let judged = runner.run(&cases, |(ops, cursor)| {
        let store = PostgresStore::open(&server.database(), crate::options("a")).expect("a new database");
        answer_alike(&store, ops, cursor);
        Ok(())
    });
    judged.unwrap_or_else(|why| panic!("{why}"));
}
