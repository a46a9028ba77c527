//! A tenant, a clock and pure functions: what a run needs around it, and nothing that waits.
//!
//! After every decision the world checks what must always hold, so each test of it is one of the
//! invariants, too: they stand in `invariants`. What a script may say stands in `script`.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod invariants;
mod script;

use std::collections::HashSet;
use std::sync::LazyLock;

use fleetprompt_core::document::Format;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{self, Awaited, Decision, Effect, Functions, Illegal, Input, Place, Run, Setting, Start};
use fleetprompt_core::tenant::{Tenant, Weight};
use fleetprompt_core::workflow::{self, Catalog, StepKind, Workflow};
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Meter, Moment, Name, Party, RecordId, RunId, Signal, SignalId, Span, TenantId,
    Timestamp,
};
use serde_json::{Value, json};

pub const BEGINNING: Timestamp = Timestamp(1_767_225_600_000_000);
pub const SEED: u64 = 42;

/// `echo` gives its input, `null` gives null, `fail` and `busy` fail for ever and for now; `next` counts
/// up from what it is given, and `odd` fails for what is even. `long` takes longer than a decision may wait. `away` is performed by workers, who take
/// anything but `false`.
pub struct Pure;

static OF_AWAY: LazyLock<RetryPolicy> = LazyLock::new(|| RetryPolicy { max_attempts: 2, ..RetryPolicy::default() });

impl Functions for Pure {
    fn call(&self, function: &str, input: &Value) -> Result<Option<Json>, Failure> {
        match function {
            "long" => Ok(None),
            "echo" => Ok(Some(input.clone().into())),
            "null" => Ok(Some(Json::null())),
            "fail" => Err(broken()),
            "busy" => Err(busy()),
            "next" => Ok(Some(json!(input.as_i64().unwrap_or(0) + 1).into())),
            "odd" if input.as_i64().is_some_and(|number| number % 2 == 0) => Err(broken()),
            "odd" => Ok(Some(input.clone().into())),
            other => panic!("the world has no function `{other}`"),
        }
    }

    fn performed_elsewhere(&self, function: &str) -> Option<&RetryPolicy> {
        (function == "away").then(|| &*OF_AWAY)
    }

    fn check_input(&self, _: &str, input: &Value) -> Result<(), Failure> {
        if *input == json!(false) { Err(Failure::fatal("input_invalid", "it may not be false")) } else { Ok(()) }
    }

    fn check_output(&self, function: &str, output: &Value) -> Result<(), Failure> {
        let is_wrong = function == "away" && *output == json!(false);
        if is_wrong { Err(Failure::retry("output_invalid", "it may not be false")) } else { Ok(()) }
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
    let text = document(fields);
    match workflow::read(&text, Format::Json, &Catalog::default()) {
        Ok((workflow, _)) => workflow,
        Err(problems) => panic!("not a valid workflow: {problems:?}\n{text}"),
    }
}

pub fn is_valid(fields: Value) -> bool {
    workflow::read(&document(fields), Format::Json, &Catalog::default()).is_ok()
}

fn document(fields: Value) -> String {
    let mut document = json!({"name": "Test", "version": "1.0.0"});
    let object = document.as_object_mut().expect("an object");
    object.extend(fields.as_object().expect("fields").clone());
    for step in object["steps"].as_array_mut().expect("steps") {
        complete(step);
    }
    json!({"workflow": document}).to_string()
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
        "directive" => _ = step.entry("directive").or_insert_with(|| "mail.send".into()),
        "workflow" => _ = step.entry("workflow_ref").or_insert_with(|| json!({"slug": "child"})),
        _ => {}
    }
}

pub fn tenant() -> Tenant {
    Tenant {
        id: TenantId(Moment::new(1).uuid()),
        slug: "acme".parse().expect("a slug"),
        name: "Acme".into(),
        weight: Weight::default(),
        created_at: BEGINNING,
    }
}

pub fn fact(moment: &mut Moment, payload: Value) -> Signal {
    signal(moment, "forum.thread.created", payload)
}

pub fn signal(moment: &mut Moment, name: &'static str, payload: Value) -> Signal {
    let id = SignalId(moment.uuid());
    Signal {
        id,
        tenant: tenant().id,
        name: Name::known(name),
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
    /// The budget of each decision.
    pub units: u64,
    /// What a decision leaves is decided before anything else comes.
    pub goes_on_at_once: bool,
    meter: Meter,
    pub run: Run,
    pub log: Vec<Signal>,
    pub effects: Vec<Effect>,
    /// Signals of others that something of the run may follow from.
    pub heard: HashSet<SignalId>,
    /// Whether runs that it waited for leave something to compensate.
    pub children_act: bool,
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
        Self::started(fields, payload, seed, |_, _| {})
    }

    /// With a run that is not started as most are.
    pub fn started(fields: Value, payload: Value, seed: u64, change: impl FnOnce(&mut Start, &mut Moment)) -> Self {
        Self::started_within(u64::MAX, fields, payload, seed, change)
    }

    /// With decisions that have a budget.
    pub fn started_within(
        units: u64,
        fields: Value,
        payload: Value,
        seed: u64,
        change: impl FnOnce(&mut Start, &mut Moment),
    ) -> Self {
        let (workflow, tenant) = (workflow(fields), tenant());
        let mut moment = Moment::new(seed);
        moment.advance(BEGINNING);
        let trigger = fact(&mut moment, payload);
        let directive_id = DirectiveId(moment.uuid());
        let mut start = Start::new(RunId(moment.uuid()), directive_id, trigger.lineage.caused_by(trigger.id));
        change(&mut start, &mut moment);
        let meter = Meter::new(units);
        let setting = Setting { workflow: &workflow, tenant: &tenant, signal: Some(&trigger), meter: &meter };
        let Decision { run, signals, effects, .. } = run::start(setting, &Pure, start, &mut moment);
        let heard = HashSet::new();
        let world = Self {
            workflow,
            tenant,
            trigger,
            moment,
            units,
            goes_on_at_once: false,
            meter,
            run,
            log: signals,
            effects,
            heard,
            children_act: false,
        };
        world.check();
        world
    }

    pub fn play_all(fields: Value, script: &[&str]) -> Self {
        let mut world = Self::new(fields);
        script.iter().for_each(|line| world.play(line));
        world
    }

    pub fn setting(&self) -> Setting<'_> {
        let (workflow, tenant, signal) = (&self.workflow, &self.tenant, Some(&self.trigger));
        Setting { workflow, tenant, signal, meter: &self.meter }
    }

    /// Decides one input; a refused one leaves the world as it was. Gives the new effects.
    pub fn tell(&mut self, input: Input) -> Result<Vec<Effect>, Illegal> {
        let before = self.run.clone();
        let mut changed = self.tell_unchecked(input)?;
        assert_eq!(changed.0, invariants::differences(&before, &self.run), "`changed` lists the places that changed");
        self.check();
        if self.goes_on_at_once && self.run.continuation.is_some() {
            changed.1.extend(self.tell(Input::Due)?);
        }
        Ok(changed.1)
    }

    /// The same without the checks, which look at everything each time.
    pub fn tell_unchecked(&mut self, input: Input) -> Result<(Vec<Place>, Vec<Effect>), Illegal> {
        self.meter = Meter::new(self.units);
        let (workflow, tenant, signal) = (&self.workflow, &self.tenant, Some(&self.trigger));
        let setting = Setting { workflow, tenant, signal, meter: &self.meter };
        let decision = run::decide(setting, &Pure, self.run.clone(), input, None, &mut self.moment)?;
        self.run = decision.run;
        self.log.extend(decision.signals);
        self.effects.extend(decision.effects.iter().cloned());
        Ok((decision.changed, decision.effects))
    }

    /// The units of work of the last decision.
    pub fn used(&self) -> u64 {
        self.meter.used()
    }

    /// Decides what decisions have left, as the engine does next; how many decisions that took.
    pub fn go_on(&mut self) -> usize {
        let mut decisions = 0;
        while self.run.continuation.is_some() {
            self.tell_unchecked(Input::Due).expect("the rest is due at once");
            decisions += 1;
        }
        decisions
    }

    pub fn index(&self, step: &str) -> usize {
        self.workflow.index[step]
    }

    pub fn step(&self, step: &str) -> &run::Step {
        &self.run.steps[self.index(step)]
    }

    /// `a`, `a[0]` for an item, `undo:a` for what undoes it.
    pub fn place(&self, name: &str) -> Place {
        let (name, is_undo) = name.strip_prefix("undo:").map_or((name, false), |name| (name, true));
        let (step, item) = name.strip_suffix(']').and_then(|name| name.split_once('[')).unwrap_or((name, ""));
        let place = Place::step(self.index(step));
        let place = item.parse().map_or(place, |item| place.item(item));
        if is_undo { place.undo() } else { place }
    }

    pub fn at(&self, name: &str) -> &run::Step {
        self.run.at(self.place(name)).unwrap_or_else(|| panic!("there is no `{name}` in the run"))
    }

    /// The statuses of the items of a step, each by its first letters.
    pub fn items(&self, step: &str) -> String {
        let items = self.step(step).items.as_ref().expect("it goes over a list");
        let words: Vec<&str> = items.steps.iter().map(|item| item.status.as_str()).collect();
        words.join(" ")
    }

    /// A signal of somebody else that is on record.
    pub fn hear(&mut self) -> SignalId {
        let by = SignalId(self.moment.uuid());
        self.heard.insert(by);
        by
    }

    /// How what is under way at a place ends: an agent's attempt, a directive, a run.
    pub fn end(&mut self, name: &str, result: Result<Json, Failure>) -> Result<Vec<Effect>, Illegal> {
        let input = self.ending(self.place(name), result);
        self.tell(input)
    }

    pub fn ending(&mut self, place: Place, result: Result<Json, Failure>) -> Input {
        let unit = self.run.at(place).expect("the place is there").clone();
        if let Some(Awaited::Run { run_id }) = unit.waiting.as_ref().map(|waiting| &waiting.what) {
            let (by, compensable) = (Some(self.hear()), self.children_act);
            return Input::ChildEnded { place, run: *run_id, by, result, compensable };
        }
        if place.undo && unit.directive_id.is_none() {
            return Input::ChildUndone { place: place.done() };
        }
        let result = match (&self.workflow.steps[place.index()].kind, result) {
            (StepKind::Workflow { .. }, Ok(_)) if !place.undo => {
                Ok(json!({"run_id": RunId(self.moment.uuid())}).into())
            }
            (_, result) => result,
        };
        match unit.directive_id {
            Some(directive) => Input::Settled { place, directive, by: Some(self.hear()), result, reused: None },
            None => Input::Outcome { place, attempt: unit.attempt, result, execution: None, logs: Vec::new() },
        }
    }

    pub fn outcome(&mut self, name: &str, attempt: u32, result: Result<Json, Failure>) -> Result<Vec<Effect>, Illegal> {
        let place = self.place(name);
        self.tell(Input::Outcome { place, attempt, result, execution: None, logs: Vec::new() })
    }

    pub fn wait(&mut self, span: &str) {
        let span: Span = span.parse().expect("a duration");
        self.moment.advance(self.moment.now() + span);
    }

    /// `run started, a started, a[0] completed, run completed`.
    pub fn timeline(&self) -> String {
        let words: Vec<String> = self.log.iter().map(words).collect();
        words.join(", ")
    }

    /// The end of the timeline, from the nth signal on.
    pub fn since(&self, signals: usize) -> String {
        let words: Vec<String> = self.log[signals..].iter().map(words).collect();
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

    /// The keys under which directives were asked for, without the run's id.
    pub fn keys(&self) -> Vec<String> {
        let run = format!("{}:", self.run.id);
        let key = |effect: &Effect| match effect {
            Effect::Directive { key, .. } | Effect::Agent { key, .. } | Effect::Function { key, .. } => {
                Some(key.replace(&run, ""))
            }
            _ => None,
        };
        self.effects.iter().filter_map(key).collect()
    }

    /// What the last signal of the log says.
    pub fn last(&self) -> &Value {
        self.log.last().expect("a log").payload.value()
    }

    pub fn error(&self) -> &Failure {
        self.run.error.as_ref().expect("the run failed")
    }
}

/// `a completed`, `a[0] completed`, or `run completed`.
fn words(signal: &Signal) -> String {
    let payload = signal.payload.value();
    let mut what = payload["step"].as_str().unwrap_or("run").to_owned();
    if let Some(item) = payload["item"].as_u64() {
        what = format!("{what}[{item}]");
    }
    let change = signal.name.as_str().rsplit('.').next().expect("a name has segments");
    format!("{what} {change}")
}
