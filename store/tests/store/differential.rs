//! Random valid batches through both backends: whatever is asked afterwards, they answer alike.

use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, HandlerKind, Input, Request};
use fleetprompt_core::registration::{AgentEntry, DirectiveTypeEntry, WorkflowEntry, WorkflowStatus, WorkflowVersion};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{self, Run, RunChange, StepChange};
use fleetprompt_core::signal::{DedupeKey, Disposition, DispositionKind};
use fleetprompt_core::tenant::{Key, KeyHash, Role, Tenant};
use fleetprompt_core::{Failure, Json, KeyId, Party, Signal, Span, TenantId, Timestamp, WorkflowVersionId};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::sqlite::SqliteStore;
use fleetprompt_store::{Batch, DirectiveFilter, Order, Page, RunFilter, RunWrite, SignalFilter, Store};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::samples::{Samples, name, slug, started_by};

const SIGNAL_NAMES: [&str; 3] = ["forum.thread.created", "a.b", "c.d"];
const DIRECTIVE_NAMES: [&str; 3] = ["workflow.run.start", "mail.send", "forum.post.create"];
const SLUGS: [&str; 3] = ["triage", "audit", "z"];
const GROUPS: [&str; 2] = ["a conversation", "ümlaut"];

#[derive(Debug, Clone)]
enum Op {
    Fact {
        tenant: Index,
        name: Index,
        text: String,
        group: Option<Index>,
        key: Option<u8>,
        early: bool,
    },
    Dispose {
        fact: Index,
        workflow: Index,
        kind: Index,
    },
    Request {
        tenant: Index,
        name: Index,
        handler: Index,
        run: Option<Index>,
        terms: bool,
    },
    Move {
        directive: Index,
        input: u8,
    },
    Start {
        fact: Index,
        workflow: Index,
        steps: usize,
        deadline: bool,
    },
    Step {
        run: Index,
        step: Index,
        change: Index,
        directive: bool,
    },
    End {
        run: Index,
        change: Index,
    },
    Register {
        tenant: Index,
        slug: Index,
        what: u8,
        text: String,
    },
    /// Breaks the batch: both must refuse it whole.
    Repeat {
        fact: Index,
    },
    Commit,
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    let text = || "\\PC{0,12}";
    prop_oneof![
        4 => (index(), index(), text(), any::<Option<Index>>(), proptest::option::of(0..4u8), any::<bool>())
            .prop_map(|(tenant, name, text, group, key, early)| Op::Fact { tenant, name, text, group, key, early }),
        1 => (index(), index(), index()).prop_map(|(fact, workflow, kind)| Op::Dispose { fact, workflow, kind }),
        2 => (index(), index(), index(), any::<Option<Index>>(), any::<bool>()).prop_map(
            |(tenant, name, handler, run, terms)| Op::Request { tenant, name, handler, run, terms }),
        4 => (index(), 0..6u8).prop_map(|(directive, input)| Op::Move { directive, input }),
        3 => (index(), index(), 0..4usize, any::<bool>())
            .prop_map(|(fact, workflow, steps, deadline)| Op::Start { fact, workflow, steps, deadline }),
        4 => (index(), index(), index(), any::<bool>())
            .prop_map(|(run, step, change, directive)| Op::Step { run, step, change, directive }),
        1 => (index(), index()).prop_map(|(run, change)| Op::End { run, change }),
        1 => (index(), index(), 0..6u8, text())
            .prop_map(|(tenant, slug, what, text)| Op::Register { tenant, slug, what, text }),
        1 => index().prop_map(|fact| Op::Repeat { fact }),
        3 => Just(Op::Commit),
    ]
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
            Op::Request { tenant, name, handler, run, terms } => self.request(tenant, name, handler, run, terms),
            Op::Move { directive, input } => self.move_directive(directive, input),
            Op::Start { fact, workflow, steps, deadline } => self.start(fact, workflow, steps, deadline),
            Op::Step { run, step, change, directive } => self.step(run, step, change, directive),
            Op::End { run, change } => self.end(run, change),
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
        if self.now.runs.iter().any(|run| run.signal_id == Some(fact.id) && run.workflow == workflow) {
            return;
        }
        self.batch.dispositions.push(Disposition {
            tenant: fact.tenant,
            signal_id: fact.id,
            workflow,
            kind: one_of(&DispositionKind::ALL, kind),
            run_id: None,
            reason: Some("because".into()),
            at: self.samples.moment.now(),
        });
    }

    fn request(&mut self, tenant: Index, place: Index, handler: Index, run: Option<Index>, terms: bool) {
        let directive_name = one_of(&DIRECTIVE_NAMES, place);
        let key = format!("key {}", self.now.directives.len());
        let run = run.and_then(|run| pick(&self.now.runs, run));
        let request = match &run {
            Some(run) => self.samples.request_of_step(run, 1, directive_name),
            None => self.samples.request(self.tenant(tenant), directive_name, &key),
        };
        let handler = one_of(&HandlerKind::ALL, handler);
        let retry = RetryPolicy { max_attempts: 2, factor: 1.25, initial: Span(1_001), ..RetryPolicy::default() };
        let retry = if terms { retry } else { RetryPolicy::default() };
        let timeout = terms.then_some(Span(1_000_001));
        let request = Request { handler, retry, timeout, idempotency_key: key, ..request };
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
            1 => Input::Outcome { attempt, result: Ok(Json::null()), logs: vec!["log".into()] },
            2 => Input::Outcome { attempt, result: Err(Failure::retry("timeout", "late")), logs: vec![] },
            3 => Input::Report { by, result: Ok(json!({"ok": [1, "ü"]}).into()) },
            4 => Input::Due,
            _ => Input::Cancel { by, reason: "enough".into() },
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

    fn start(&mut self, fact: Index, workflow: Index, steps: usize, deadline: bool) {
        let Some(fact) = pick(&self.now.facts, fact) else { return };
        let workflow = one_of(&SLUGS, workflow);
        if self.now.runs.iter().any(|run| run.signal_id == Some(fact.id) && run.workflow.as_str() == workflow) {
            return;
        }
        let (mut run, started) = self.samples.run(fact.tenant, workflow, steps, &fact);
        run.deadline = deadline.then(|| run.started_at + Span::from_secs(60));
        self.batch.dispositions.push(started_by(&fact, &run));
        self.tell([started]);
        self.put_run(run, None);
    }

    fn step(&mut self, run: Index, step: Index, change: Index, directive: bool) {
        let Some(mut run) = pick(&self.now.runs, run) else { return };
        if run.steps.is_empty() || run.status.has_ended() {
            return;
        }
        let (index, change) = (step.index(run.steps.len()), one_of(&StepChange::ALL, change));
        let signal = self.samples.step(&mut run, index, change);
        run.steps[index].directive_id = self.now.directives.first().filter(|_| directive).map(|one| one.id);
        self.tell([signal]);
        self.put_run(run, Some(index));
    }

    fn end(&mut self, run: Index, change: Index) {
        let Some(mut run) = pick(&self.now.runs, run) else { return };
        let change = one_of(&RunChange::ALL[1..], change);
        if run.status.has_ended() {
            return;
        }
        let signal = self.samples.end(&mut run, change);
        self.tell([signal]);
        self.put_run(run, None);
    }

    fn put_run(&mut self, run: Run, step: Option<usize>) {
        put(&mut self.now.runs, run.clone(), |one| one.id.0);
        let before = self.batch.runs.iter().position(|write| write.run.id == run.id);
        let mut steps = before.map(|place| self.batch.runs.remove(place).steps).unwrap_or_default();
        steps.extend(step.filter(|step| !steps.contains(step)));
        self.batch.runs.push(RunWrite { run: Arc::new(run), steps });
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
            }),
            4 => self.batch.agents.push(AgentEntry { tenant, slug, document, digest: text, updated_at: now }),
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
            self.batch.tenants = batch.tenants;
        } else {
            self.committed = self.now.clone();
        }
    }

    fn compare(&self, [memory, sqlite]: [&dyn Store; 2], pages: &[Page]) {
        macro_rules! alike {
            ($call:ident ( $($argument:expr),* )) => {
                assert_eq!(
                    memory.$call($($argument),*).expect("memory"),
                    sqlite.$call($($argument),*).expect("sqlite"),
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
        for tenant in self.tenants.iter().map(|tenant| tenant.id) {
            for fact in &self.now.facts {
                alike!(signal(tenant, fact.id));
                alike!(dispositions(tenant, fact.id));
            }
            for directive in &self.now.directives {
                alike!(directive(tenant, directive.id));
            }
            for run in &self.now.runs {
                alike!(run(tenant, run.id));
            }
            for slug in SLUGS.map(slug) {
                alike!(workflow_versions(tenant, &slug));
                alike!(workflow_version(tenant, &slug, "1.0.0"));
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
                    filters.push(SignalFilter { name: name.clone(), correlation_id: correlation_id.clone(), run_id });
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
            for status in run::Status::ALL.map(Some).into_iter().chain([None]) {
                for signal_id in signals.clone() {
                    for correlation_id in [Some(GROUPS[0].to_owned()), None] {
                        filters.push(RunFilter { workflow: workflow.clone(), status, signal_id, correlation_id });
                    }
                }
            }
        }
        filters
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_time: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn both_backends_answer_alike(ops in proptest::collection::vec(op(), 1..60), cursor in any::<Index>()) {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let sqlite = SqliteStore::open(&folder.path().join("store.db")).expect("a new file");
        let memory = MemoryStore::default();
        let stores: [&dyn Store; 2] = [&memory, &sqlite];
        let mut world = World::new();
        for op in ops.into_iter().chain([Op::Commit]) {
            match op {
                Op::Commit => world.commit(stores, None),
                Op::Repeat { fact } => world.commit(stores, Some(fact)),
                op => world.apply(op),
            }
        }
        let cursor = pick(&world.now.facts, cursor).map(|fact| fact.id.0);
        let pages = [Order::NewestFirst, Order::OldestFirst].map(|order| Page { order, cursor, limit: 5 });
        world.compare(stores, &[Page::newest(100), pages[0], pages[1]]);
    }
}
