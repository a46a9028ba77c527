//! A tenant, a clock and pure functions: what a run needs around it, and nothing that waits.
//!
//! After every decision the world checks what must always hold, so each test of it is one of the
//! invariants, too.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::HashSet;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::{self, Decision, Effect, Functions, Illegal, Input, Run, Setting, Start, StepStatus};
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::workflow::{self, Catalog, StepKind, Workflow};
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RecordId, RunId, Signal, SignalId, Span, TenantId,
    Timestamp,
};
use serde_json::{Value, json};

pub const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000);
pub const SEED: u64 = 42;

/// `echo` gives its input, `null` gives null, `fail` and `busy` fail for ever and for now.
pub struct Pure;

impl Functions for Pure {
    fn call(&self, function: &str, input: &Value) -> Result<Json, Failure> {
        match function {
            "echo" => Ok(input.clone().into()),
            "null" => Ok(Json::null()),
            "fail" => Err(broken()),
            "busy" => Err(busy()),
            other => panic!("the world has no function `{other}`"),
        }
    }
}

pub fn busy() -> Failure {
    Failure::retry("busy", "come back later")
}

pub fn broken() -> Failure {
    Failure::fatal("broken", "it is broken")
}

pub fn somebody() -> Party {
    Party::new("user", "ada")
}

/// A workflow of `fields`, whose steps may leave out what does not matter: without a type it is a
/// function step that calls `echo`.
pub fn workflow(fields: Value) -> Workflow {
    let mut document = json!({"name": "Test", "version": "1.0.0"});
    let object = document.as_object_mut().expect("an object");
    object.extend(fields.as_object().expect("fields").clone());
    for step in object["steps"].as_array_mut().expect("steps") {
        complete(step);
    }
    let text = json!({"workflow": document}).to_string();
    let (workflow, _) = workflow::read(&text, Format::Json, &Catalog::default()).expect("a valid workflow");
    workflow
}

fn complete(step: &mut Value) {
    let kind = step["type"].as_str().unwrap_or("function").to_owned();
    let step = step.as_object_mut().expect("a step");
    step.entry("type").or_insert_with(|| kind.as_str().into());
    match kind.as_str() {
        "agent" => {
            step.entry("agent_ref").or_insert_with(|| json!({"slug": "writer"}));
            step.entry("input").or_insert_with(|| json!({}));
        }
        "function" => _ = step.entry("function").or_insert_with(|| "echo".into()),
        _ => _ = step.entry("directive").or_insert_with(|| "mail.send".into()),
    }
}

pub fn tenant() -> Tenant {
    Tenant {
        id: TenantId(Moment::new(1).uuid()),
        slug: "acme".parse().expect("a slug"),
        name: "Acme".into(),
        created_at: BEGINNING,
    }
}

pub fn fact(moment: &mut Moment, payload: Value) -> Signal {
    let id = SignalId(moment.uuid());
    Signal {
        id,
        tenant: tenant().id,
        name: Name::known("forum.thread.created"),
        subject: Some(Party::new("thread", "42")),
        actor: None,
        source: None,
        source_event_id: None,
        dedupe_key: None,
        lineage: Lineage::root(id.to_string()),
        run_id: None,
        directive_id: None,
        occurred_at: moment.now(),
        recorded_at: moment.now(),
        payload: payload.into(),
    }
}

/// One run and everything that was ever decided about it.
pub struct World {
    pub workflow: Workflow,
    pub tenant: Tenant,
    pub trigger: Signal,
    pub moment: Moment,
    pub run: Run,
    pub log: Vec<Signal>,
    /// Of all decisions, in their order.
    pub effects: Vec<Effect>,
    /// The signals that settled directives; they are not in the run's log.
    pub heard: HashSet<SignalId>,
}

impl World {
    pub fn new(fields: Value) -> Self {
        Self::triggered(fields, json!({"title": "No login", "yes": true, "no": false}), SEED)
    }

    /// A workflow of nothing but these steps.
    pub fn of(steps: Value) -> Self {
        Self::new(json!({"steps": steps}))
    }

    pub fn triggered(fields: Value, payload: Value, seed: u64) -> Self {
        let (workflow, tenant) = (workflow(fields), tenant());
        let mut moment = Moment::new(seed);
        moment.advance(BEGINNING);
        let trigger = fact(&mut moment, payload);
        let directive_id = DirectiveId(moment.uuid());
        let start = Start {
            id: RunId(moment.uuid()),
            directive_id,
            input: None,
            lineage: trigger.lineage.caused_by(trigger.id),
        };
        let setting = Setting { workflow: &workflow, tenant: &tenant, signal: Some(&trigger) };
        let Decision { run, signals, effects, .. } = run::start(setting, &Pure, start, &mut moment);
        let world = Self { workflow, tenant, trigger, moment, run, log: signals, effects, heard: HashSet::new() };
        world.check();
        world
    }

    pub fn setting(&self) -> Setting<'_> {
        Setting { workflow: &self.workflow, tenant: &self.tenant, signal: Some(&self.trigger) }
    }

    /// Decides one input; a refused one leaves the world as it was. Gives the new effects.
    pub fn tell(&mut self, input: Input) -> Result<Vec<Effect>, Illegal> {
        let setting = Setting { workflow: &self.workflow, tenant: &self.tenant, signal: Some(&self.trigger) };
        let before = self.run.clone();
        let decision = run::decide(setting, &Pure, before.clone(), input, &mut self.moment)?;
        let moved = (0..before.steps.len()).filter(|&index| before.steps[index] != decision.run.steps[index]);
        assert_eq!(decision.changed, moved.collect::<Vec<_>>(), "`changed` lists the steps that changed");
        self.run = decision.run;
        self.log.extend(decision.signals);
        self.effects.extend(decision.effects.iter().cloned());
        self.check();
        Ok(decision.effects)
    }

    /// What holds after every decision.
    fn check(&self) {
        assert_eq!(run::fold(&self.workflow, &self.log).as_ref(), Some(&self.run), "the log gives the run");
        assert!(self.log.is_sorted_by(|a, b| a.id < b.id), "ids strictly rise");
        let mut known: HashSet<RecordId> = [self.trigger.id.into(), self.run.directive_id.into()].into();
        known.insert(self.run.id.into());
        known.extend(self.heard.iter().map(|id| RecordId::from(*id)));
        for signal in &self.log {
            let cause = signal.lineage.causation_id.expect("no signal of a run is a root fact");
            assert!(known.contains(&cause), "{} has a cause that is on record before it", signal.name);
            assert_eq!(signal.lineage.correlation_id, self.run.lineage.correlation_id);
            assert_eq!((signal.run_id, signal.tenant), (Some(self.run.id), self.run.tenant));
            known.insert(signal.id.into());
        }
        let open = |status: StepStatus| matches!(status, StepStatus::Running | StepStatus::Retrying);
        if self.run.status.has_ended() {
            assert!(!self.run.steps.iter().any(|step| open(step.status)), "what was begun ends with the run");
            assert_eq!(self.run.wake_at(), None);
            assert_eq!(self.run.ended_by, self.log.last().map(|signal| signal.id), "the end is the last word");
        } else {
            assert!(self.run.reason_to_wake().is_some(), "a run that has not ended has a reason to wake");
        }
    }

    pub fn index(&self, step: &str) -> usize {
        self.workflow.index[step]
    }

    pub fn step(&self, step: &str) -> &run::Step {
        &self.run.steps[self.index(step)]
    }

    /// How the attempt of an agent, or the directive, that this step is at ends.
    pub fn end(&mut self, step: &str, result: Result<Json, Failure>) -> Result<Vec<Effect>, Illegal> {
        let index = self.index(step);
        match self.workflow.steps[index].kind {
            StepKind::Directive { .. } => {
                let by = SignalId(self.moment.uuid());
                self.heard.insert(by);
                let directive = self.run.steps[index].directive_id.expect("it was requested");
                self.tell(Input::Settled { step: index, directive, by: Some(by), result })
            }
            _ => self.outcome(step, self.run.steps[index].attempt, result),
        }
    }

    pub fn outcome(&mut self, step: &str, attempt: u32, result: Result<Json, Failure>) -> Result<Vec<Effect>, Illegal> {
        self.tell(Input::Outcome { step: self.index(step), attempt, result, execution: None, logs: Vec::new() })
    }

    /// `due`, `cancel`, `wait 5s`, or the end of a step's attempt: `a ok`, `a ok {"x": 1}`, `a busy`,
    /// `a broken`; `a refused` when its directive may not be requested.
    pub fn play(&mut self, script: &str) {
        let words: Vec<&str> = script.splitn(3, ' ').collect();
        let told = match words[..] {
            ["due"] => {
                self.moment.advance(self.run.wake_at().expect("something is due some day"));
                self.tell(Input::Due)
            }
            ["cancel"] => self.tell(Input::Cancel { by: somebody(), reason: "changed my mind".into() }),
            ["wait", span] => {
                self.wait(span);
                return;
            }
            [step, "ok"] => self.end(step, Ok(json!({}).into())),
            [step, "ok", output] => self.end(step, Ok(Json::parse(output).expect("JSON"))),
            [step, "busy"] => self.end(step, Err(busy())),
            [step, "broken"] => self.end(step, Err(broken())),
            [step, "refused"] => {
                let index = self.index(step);
                let directive = self.run.steps[index].directive_id.expect("it was requested");
                let failure = Failure::fatal("unknown_directive", "nobody registered it");
                self.tell(Input::Settled { step: index, directive, by: None, result: Err(failure) })
            }
            _ => panic!("the world does not understand `{script}`"),
        };
        told.unwrap_or_else(|illegal| panic!("`{script}`: {illegal}"));
    }

    pub fn wait(&mut self, span: &str) {
        let span: Span = span.parse().expect("a duration");
        self.moment.advance(self.moment.now() + span);
    }

    /// `run started, a started, a completed, run completed`.
    pub fn timeline(&self) -> String {
        let words: Vec<String> = self.log.iter().map(words).collect();
        words.join(", ")
    }

    /// `a completed ← a started`, for each signal of the log.
    pub fn causes(&self) -> Vec<String> {
        let cause = |signal: &Signal| match signal.lineage.causation_id {
            Some(RecordId::Signal(id)) if id == self.trigger.id => "the trigger".to_owned(),
            Some(RecordId::Signal(id)) => {
                let found = self.log.iter().find(|signal| signal.id == id);
                found.map_or("the directive's end".to_owned(), words)
            }
            Some(RecordId::Directive(_)) => "the directive".to_owned(),
            Some(RecordId::Run(_)) => "the run".to_owned(),
            None => "nothing".to_owned(),
        };
        self.log.iter().map(|signal| format!("{} ← {}", words(signal), cause(signal))).collect()
    }
}

/// `a completed`, or `run completed`.
fn words(signal: &Signal) -> String {
    let payload = signal.payload.value();
    let what = payload["step"].as_str().unwrap_or("run");
    let change = signal.name.as_str().rsplit('.').next().expect("a name has segments");
    format!("{what} {change}")
}
