//! Records as the engine would write them: what a row points at is in the log, and a run is what core
//! makes of its log.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, HandlerKind, Origin};
use fleetprompt_core::document::Format;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{
    self, Awaited, EarlyAnswer, Ending, FlowKeys, Place, Run, RunChange, RunRecord, Status, Step, StepChange,
    StepRecord, Waiting,
};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::tenant::{Tenant, Weight};
use fleetprompt_core::workflow::{self, Catalog, Workflow};
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RunId, Signal, SignalId, Slug, Span, TenantId, Timestamp,
};
use fleetprompt_store::{Batch, RunWrite};
use serde_json::json;

pub struct Samples {
    pub moment: Moment,
    workflows: HashMap<(String, usize), Arc<Workflow>>,
    /// What each run recorded so far.
    logs: HashMap<RunId, (Arc<Workflow>, Vec<Signal>)>,
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn slug(text: &str) -> Slug {
    text.parse().expect("a slug")
}

impl Samples {
    pub fn new() -> Self {
        let mut moment = Moment::new(42);
        moment.advance(Timestamp(1_800_000_000_000_000));
        Self { moment, workflows: HashMap::new(), logs: HashMap::new() }
    }

    pub fn wait(&mut self, span: Span) {
        let now = self.moment.now();
        self.moment.advance(now + span);
    }

    pub fn tenant(&mut self, slug_text: &str) -> Tenant {
        Tenant {
            id: TenantId(self.moment.uuid()),
            slug: slug(slug_text),
            name: slug_text.to_uppercase(),
            weight: Weight::default(),
            created_at: self.moment.now(),
        }
    }

    /// A fact that begins its own group.
    pub fn fact(&mut self, tenant: TenantId, signal_name: &str) -> Signal {
        let id = SignalId(self.moment.uuid());
        Signal {
            id,
            tenant,
            name: name(signal_name),
            subject: Some(Party::new("thread", "42")),
            actor: Some(Party::new("key", "forum")),
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage: Lineage::root(id.to_string()),
            run_id: None,
            directive_id: None,
            occurred_at: self.moment.now(),
            recorded_at: self.moment.now(),
            payload: json!({"title": "Ünïcode ✓", "n": 1.5}).into(),
        }
    }

    pub fn request(&mut self, tenant: TenantId, directive_name: &str, key: &str) -> directive::Request {
        directive::Request {
            id: DirectiveId(self.moment.uuid()),
            tenant,
            name: name(directive_name),
            payload: json!({"to": "somebody"}).into(),
            idempotency_key: key.to_owned(),
            handler: HandlerKind::Http,
            retry: RetryPolicy::default(),
            timeout: None,
            heartbeat: None,
            origin: None,
            actor: Party::engine(),
            lineage: Lineage::root("requested by hand"),
        }
    }

    /// Requested, with the signal that says so.
    pub fn requested(&mut self, request: directive::Request) -> (Directive, Vec<Signal>) {
        let decision = directive::request(request, &mut self.moment);
        (decision.directive, decision.signals)
    }

    pub fn moved(&mut self, directive: Directive, input: directive::Input) -> (Directive, Vec<Signal>) {
        let decision = directive::decide(directive, input, &mut self.moment).expect("a legal move");
        (decision.directive, decision.signals)
    }

    /// The key and place of a step's directive.
    pub fn request_of_step(&mut self, run: &Run, place: Place, directive_name: &str) -> directive::Request {
        let key = run::step_key(run.id, &format!("step_{}", place.step), place, 0, 0);
        let origin = Some(Origin { run_id: run.id, place });
        let lineage = run.lineage.caused_by(run.id);
        directive::Request { origin, lineage, ..self.request(run.tenant, directive_name, &key) }
    }

    pub fn run(&mut self, tenant: TenantId, workflow: &str, steps: usize, cause: &Signal) -> (Run, Signal) {
        self.run_with(tenant, workflow, steps, Some(cause), |_| {})
    }

    /// A run whose first signal says more. With a `queue` it has not begun.
    pub fn run_with(
        &mut self,
        tenant: TenantId,
        workflow: &str,
        steps: usize,
        cause: Option<&Signal>,
        say: impl FnOnce(&mut RunRecord),
    ) -> (Run, Signal) {
        let directive_id = DirectiveId(self.moment.uuid());
        let lineage = cause.map_or(Lineage::root("by hand"), |cause| cause.lineage.caused_by(cause.id));
        self.run_by(tenant, (workflow, steps), directive_id, cause.map(|cause| cause.id), lineage, say)
    }

    fn run_by(
        &mut self,
        tenant: TenantId,
        (workflow, steps): (&str, usize),
        directive_id: DirectiveId,
        signal_id: Option<SignalId>,
        lineage: Lineage,
        say: impl FnOnce(&mut RunRecord),
    ) -> (Run, Signal) {
        let mut record = RunRecord {
            signal_id,
            directive_id: Some(directive_id),
            input: signal_id.is_none().then(|| json!({"given": true}).into()),
            ..run_record(slug(workflow))
        };
        say(&mut record);
        let change = if record.queue.is_some() { RunChange::Queued } else { RunChange::Started };
        let id = RunId(self.moment.uuid());
        let signal = self.record(tenant, id, lineage, change.signal_name(), Json::of(&record));
        let workflow = self.workflow(workflow, steps);
        let run = run::fold(&workflow, [&signal]).expect("the log of a run");
        self.logs.insert(id, (workflow, vec![signal.clone()]));
        (run, signal)
    }

    fn workflow(&mut self, slug: &str, steps: usize) -> Arc<Workflow> {
        let key = (slug.to_owned(), steps);
        self.workflows.entry(key).or_insert_with(|| Arc::new(definition(slug, steps))).clone()
    }

    /// One move of a step, with what it says most of the time.
    pub fn step(&mut self, run: &mut Run, index: usize, change: StepChange) -> Signal {
        self.place(run, Place::step(index), change, |_| {})
    }

    pub fn place(
        &mut self,
        run: &mut Run,
        place: Place,
        change: StepChange,
        say: impl FnOnce(&mut StepRecord),
    ) -> Signal {
        let mut record = self.step_record(run, place, change);
        say(&mut record);
        let signal = self.record_of(run, change.signal_name(), Json::of(&record));
        self.take(run, [signal.clone()]);
        signal
    }

    /// The same move of many places.
    pub fn places(
        &mut self,
        run: &mut Run,
        places: impl IntoIterator<Item = Place>,
        change: StepChange,
    ) -> Vec<Signal> {
        let one = |place: Place| {
            let record = self.step_record(run, place, change);
            self.record_of(run, change.signal_name(), Json::of(&record))
        };
        let signals: Vec<Signal> = places.into_iter().map(one).collect();
        self.take(run, signals.clone());
        signals
    }

    fn step_record(&self, run: &Run, place: Place, change: StepChange) -> StepRecord {
        let place = Place { undo: change.is_undo(), ..place };
        let attempt = run.at(place).map_or(1, |step| step.attempt.max(1));
        let record = StepRecord {
            step: format!("step_{}", place.step),
            kind: "agent".into(),
            item: place.item,
            attempt,
            ..StepRecord::default()
        };
        let output = Some(json!({"step": place.step, "item": place.item, "n": null}).into());
        let soon = Some(self.moment.now() + Span::from_secs(1));
        match change {
            StepChange::Completed => StepRecord { output, consumed: run.signal_id, ..record },
            StepChange::Compensated => StepRecord { output, ..record },
            StepChange::Repeating => StepRecord { output, iteration: 1, due_at: soon, ..record },
            StepChange::Failed | StepChange::CompensationFailed => {
                StepRecord { error: Some(Failure::fatal("http_status", "404")), ..record }
            }
            StepChange::Retrying => {
                StepRecord { error: Some(Failure::retry("timeout", "no answer")), due_at: soon, ..record }
            }
            StepChange::Waiting | StepChange::Heartbeat | StepChange::Escalated => {
                let waiting = Waiting::new(Awaited::Callback { key: "k".into() });
                StepRecord { waiting: Some(waiting.into()), ..record }
            }
            StepChange::AnsweredEarly => {
                let early = EarlyAnswer::new(Ok(json!({"n": 1.50}).into()), Party::new("key", "k"));
                StepRecord { early_answer: Some(early.into()), ..record }
            }
            StepChange::Started
            | StepChange::Skipped
            | StepChange::Canceling
            | StepChange::Canceled
            | StepChange::Reset
            | StepChange::Compensating
            | StepChange::CompensationSkipped => record,
        }
    }

    /// A later move of the run itself, with what it says most of the time.
    pub fn change(&mut self, run: &mut Run, change: RunChange) -> Signal {
        let mut record = run_record(run.workflow.clone());
        let late = Failure::fatal("timeout", "too late");
        let ending = Ending {
            error: Some(late.clone()),
            output: None,
            status: Status::Failed,
            by: None,
            reason: None,
            compensate: true,
        };
        match change {
            RunChange::Completed => record.output = Some(json!(null).into()),
            RunChange::Failed => record.error = Some(late),
            RunChange::Stopping | RunChange::Compensating => record.ending = Some(ending),
            RunChange::Parked => record.error = Some(late),
            RunChange::Started | RunChange::Resumed | RunChange::Retried => {
                record.deadline = Some(self.moment.now() + Span::from_secs(600));
            }
            RunChange::Queued => {
                let until = Some(self.moment.now() + Span::from_secs(5));
                record.queue = Some(run::Queue { reason: run::QueueReason::Throttle, until, since: None });
            }
            RunChange::Paused | RunChange::Canceled => record.reason = Some("enough".into()),
        }
        let signal = self.record_of(run, change.signal_name(), Json::of(&record));
        self.take(run, [signal.clone()]);
        signal
    }

    /// How far each run's record goes.
    pub fn mark(&self) -> HashMap<RunId, usize> {
        self.logs.iter().map(|(id, (_, log))| (*id, log.len())).collect()
    }

    /// What was recorded since was never committed.
    pub fn roll_back(&mut self, to: &HashMap<RunId, usize>) {
        self.logs.retain(|id, (_, log)| {
            to.get(id).is_some_and(|len| {
                log.truncate(*len);
                true
            })
        });
    }

    /// What core makes of the run with these.
    fn take(&mut self, run: &mut Run, signals: impl IntoIterator<Item = Signal>) {
        let (workflow, log) = self.logs.get_mut(&run.id).expect("a run of ours");
        log.extend(signals);
        *run = run::fold(workflow, log.iter()).expect("the log of a run");
    }

    /// A fact, and the whole of the run that it started: what one commit holds when nothing waits.
    pub fn cascade(&mut self, tenant: TenantId, workflow: &str, steps: usize) -> (Run, Batch) {
        let fact = self.fact(tenant, "forum.thread.created");
        let key = format!("{workflow}:{}", fact.id);
        let mut request = self.request(tenant, "workflow.run.start", &key);
        request.handler = HandlerKind::BuiltIn;
        request.lineage = fact.lineage.caused_by(fact.id);
        let (directive, requested) = self.requested(request);
        let lineage = directive.lineage.clone();
        let (mut run, started) = self.run_by(tenant, (workflow, steps), directive.id, Some(fact.id), lineage, |_| {});
        let outcome = directive::Input::Outcome {
            attempt: 0,
            result: Ok(json!({"run_id": run.id}).into()),
            execution: None,
            logs: vec![],
        };
        let (directive, succeeded) = self.moved(directive, outcome);
        let mut batch = Batch::default();
        batch.dispositions.push(started_by(&fact, &run));
        batch.signals.extend([fact].into_iter().chain(requested).chain(succeeded).chain([started]).map(Arc::new));
        for step in 0..steps {
            batch.signals.push(Arc::new(self.step(&mut run, step, StepChange::Completed)));
        }
        batch.signals.push(Arc::new(self.change(&mut run, RunChange::Completed)));
        batch.directives.push(Arc::new(directive));
        batch.runs.push(whole(&run));
        self.logs.remove(&run.id);
        (run, batch)
    }

    fn record_of(&mut self, run: &Run, signal_name: &'static str, payload: Json) -> Signal {
        self.record(run.tenant, run.id, run.lineage.caused_by(run.id), signal_name, payload)
    }

    fn record(
        &mut self,
        tenant: TenantId,
        run: RunId,
        lineage: Lineage,
        signal_name: &'static str,
        payload: Json,
    ) -> Signal {
        Signal {
            id: SignalId(self.moment.uuid()),
            tenant,
            name: Name::known(signal_name),
            subject: None,
            actor: None,
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage,
            run_id: Some(run),
            directive_id: None,
            occurred_at: self.moment.now(),
            recorded_at: self.moment.now(),
            payload,
        }
    }
}

pub fn started_by(fact: &Signal, run: &Run) -> Disposition {
    Disposition {
        tenant: fact.tenant,
        signal_id: fact.id,
        workflow: run.workflow.clone(),
        kind: DispositionKind::Started,
        run_id: Some(run.id),
        reason: None,
        at: fact.recorded_at,
    }
}

/// A run with everything in it.
pub fn whole(run: &Run) -> RunWrite {
    let mut places = every_place(run);
    places.retain(|place| run.at(*place).is_some_and(|step| *step != Step::default()));
    RunWrite { run: Arc::new(run.clone()), places }
}

/// A run with what is no longer as it was, and nothing else.
pub fn changed(before: &Run, run: &Run) -> RunWrite {
    let mut places = every_place(before);
    places.extend(every_place(run));
    places.sort_unstable();
    places.dedup();
    places.retain(|place| before.at(*place).map(bare) != run.at(*place).map(bare));
    RunWrite { run: Arc::new(run.clone()), places }
}

/// Where anything is, or could begin.
pub fn every_place(run: &Run) -> Vec<Place> {
    let of_step = |(index, step): (usize, &Step)| {
        let items = step.items.as_ref().map_or(0, |items| items.steps.len() as u32);
        std::iter::once(Place::step(index)).chain((0..items).map(move |item| Place::step(index).item(item)))
    };
    run.steps.iter().enumerate().flat_map(of_step).flat_map(|place| [place, place.undo()]).collect()
}

/// A step without what has a place of its own.
fn bare(step: &Step) -> (Step, Option<usize>) {
    (Step { items: None, undo: None, ..step.clone() }, step.items.as_ref().map(|items| items.steps.len()))
}

pub fn facts(signals: impl IntoIterator<Item = Signal>) -> Batch {
    Batch { signals: signals.into_iter().map(Arc::new).collect(), ..Batch::default() }
}

pub fn tenants(tenants: &[&Tenant]) -> Batch {
    Batch { tenants: tenants.iter().copied().cloned().collect(), ..Batch::default() }
}

fn run_record(workflow: Slug) -> RunRecord {
    RunRecord {
        workflow,
        version: "1.0.0".into(),
        signal_id: None,
        directive_id: None,
        input: None,
        parent: None,
        source: None,
        descent: None,
        keys: FlowKeys::default(),
        queue: None,
        deadline: None,
        output: None,
        error: None,
        by: None,
        reason: None,
        ending: None,
        from: Vec::new(),
    }
}

/// What the steps are does not matter to what is recorded of them.
fn definition(slug: &str, steps: usize) -> Workflow {
    let step = |index: usize| json!({"id": format!("step_{index}"), "type": "agent", "agent_ref": {"slug": "a"}});
    let steps: Vec<_> = (0..steps).map(step).collect();
    let document = json!({"workflow": {"name": slug, "slug": slug, "version": "1.0.0", "steps": steps}});
    let read = workflow::read(&document.to_string(), Format::Json, &Catalog::default());
    read.expect("a valid definition").0
}
