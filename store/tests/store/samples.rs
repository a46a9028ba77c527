//! Records as the engine would write them: what a row points at is in the log.

use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, HandlerKind, Origin};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{Run, RunChange, RunRecord, Status, Step, StepChange, StepRecord, StepStatus};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RecordId, RunId, Signal, SignalId, Slug, Span, TenantId,
    Timestamp,
};
use fleetprompt_store::{Batch, RunWrite};
use serde_json::json;

pub struct Samples {
    pub moment: Moment,
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
        Self { moment }
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
    pub fn request_of_step(&mut self, run: &Run, step: u32, directive_name: &str) -> directive::Request {
        let key = format!("{}:step-{step}", run.id);
        let origin = Some(Origin { run_id: run.id, step });
        let lineage = run.lineage.caused_by(run.id);
        directive::Request { origin, lineage, ..self.request(run.tenant, directive_name, &key) }
    }

    pub fn run(&mut self, tenant: TenantId, workflow: &str, steps: usize, cause: &Signal) -> (Run, Signal) {
        let directive_id = DirectiveId(self.moment.uuid());
        self.run_by(tenant, workflow, steps, directive_id, Some(cause.id), cause.lineage.caused_by(cause.id))
    }

    pub fn run_by(
        &mut self,
        tenant: TenantId,
        workflow: &str,
        steps: usize,
        directive_id: DirectiveId,
        signal_id: Option<SignalId>,
        lineage: Lineage,
    ) -> (Run, Signal) {
        let cause = signal_id.map_or(directive_id.into(), RecordId::from);
        let run = Run {
            id: RunId(self.moment.uuid()),
            tenant,
            workflow: slug(workflow),
            version: "1.0.0".into(),
            signal_id,
            directive_id,
            input: signal_id.is_none().then(|| json!({"given": true}).into()),
            lineage: lineage.caused_by(cause),
            started_at: self.moment.now(),
            deadline: None,
            status: Status::Running,
            steps: vec![Step::default(); steps],
            output: None,
            error: None,
            ended_at: None,
            ended_by: None,
        };
        let signal = self.record(&run, RunChange::Started.signal_name(), Json::of(&run_record(&run)));
        (run, signal)
    }

    /// One move of one step, as `core` folds it.
    pub fn step(&mut self, run: &mut Run, index: usize, change: StepChange) -> Signal {
        let at = self.moment.now();
        let mut record = StepRecord {
            step: format!("step-{index}"),
            kind: "agent".into(),
            attempt: run.steps[index].attempt.max(1),
            ..StepRecord::default()
        };
        match change {
            StepChange::Completed => record.output = Some(json!({"step": index, "n": null}).into()),
            StepChange::Failed => record.error = Some(Failure::fatal("http_status", "404")),
            StepChange::Retrying => {
                record.error = Some(Failure::retry("timeout", "no answer"));
                record.due_at = Some(at + Span::from_secs(1));
            }
            StepChange::Started | StepChange::Skipped | StepChange::Canceled => {}
        }
        let signal = self.record(run, change.signal_name(), Json::of(&record));
        let step = &mut run.steps[index];
        step.signal_id = Some(signal.id);
        step.due_at = record.due_at;
        step.output = record.output;
        step.error = record.error;
        step.attempt = record.attempt;
        step.status = match change {
            StepChange::Started => StepStatus::Running,
            StepChange::Retrying => StepStatus::Retrying,
            StepChange::Completed => StepStatus::Completed,
            StepChange::Failed => StepStatus::Failed,
            StepChange::Skipped => StepStatus::Skipped,
            StepChange::Canceled => StepStatus::Canceled,
        };
        if change == StepChange::Started {
            step.started_at = step.started_at.or(Some(at));
        }
        step.ended_at = step.status.is_settled().then_some(at);
        signal
    }

    pub fn end(&mut self, run: &mut Run, change: RunChange) -> Signal {
        let mut record = run_record(run);
        match change {
            RunChange::Completed => record.output = Some(json!(null).into()),
            RunChange::Failed => record.error = Some(Failure::fatal("timeout", "too late")),
            RunChange::Started | RunChange::Canceled => {}
        }
        let signal = self.record(run, change.signal_name(), Json::of(&record));
        run.status = match change {
            RunChange::Started => Status::Running,
            RunChange::Completed => Status::Completed,
            RunChange::Failed => Status::Failed,
            RunChange::Canceled => Status::Canceled,
        };
        run.output = record.output;
        run.error = record.error;
        run.ended_at = Some(signal.recorded_at);
        run.ended_by = Some(signal.id);
        signal
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
        let (mut run, started) = self.run_by(tenant, workflow, steps, directive.id, Some(fact.id), lineage);
        let outcome =
            directive::Input::Outcome { attempt: 0, result: Ok(json!({"run_id": run.id}).into()), logs: vec![] };
        let (directive, succeeded) = self.moved(directive, outcome);
        let mut batch = Batch::default();
        batch.dispositions.push(started_by(&fact, &run));
        batch.signals.extend([fact].into_iter().chain(requested).chain(succeeded).chain([started]).map(Arc::new));
        for step in 0..steps {
            batch.signals.push(Arc::new(self.step(&mut run, step, StepChange::Completed)));
        }
        batch.signals.push(Arc::new(self.end(&mut run, RunChange::Completed)));
        batch.directives.push(Arc::new(directive));
        batch.runs.push(whole(&run));
        (run, batch)
    }

    fn record(&mut self, run: &Run, signal_name: &'static str, payload: Json) -> Signal {
        Signal {
            id: SignalId(self.moment.uuid()),
            tenant: run.tenant,
            name: Name::known(signal_name),
            subject: None,
            actor: None,
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage: run.lineage.caused_by(run.id),
            run_id: Some(run.id),
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

/// A run with all its steps.
pub fn whole(run: &Run) -> RunWrite {
    RunWrite { run: Arc::new(run.clone()), steps: (0..run.steps.len()).collect() }
}

pub fn facts(signals: impl IntoIterator<Item = Signal>) -> Batch {
    Batch { signals: signals.into_iter().map(Arc::new).collect(), ..Batch::default() }
}

pub fn tenants(tenants: &[&Tenant]) -> Batch {
    Batch { tenants: tenants.iter().copied().cloned().collect(), ..Batch::default() }
}

fn run_record(run: &Run) -> RunRecord {
    RunRecord {
        workflow: run.workflow.clone(),
        version: run.version.clone(),
        signal_id: run.signal_id,
        directive_id: Some(run.directive_id),
        input: run.input.clone(),
        deadline: run.deadline,
        output: None,
        error: None,
        by: None,
        reason: None,
    }
}
