//! Values that the store cannot hold: whose input they follow from is refused or recorded as a failure, its neighbors
//! in the same batch are recorded, and nothing is tried forever.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::run::{Run, Status, StepStatus};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Party, RunId, Scope, Timestamp};
use fleetprompt_engine::{AttemptReport, ByHand, Emitted, Task, verify};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Page, SignalFilter, Store};
use serde_json::{Value, json};
use support::{House, codes_of, refusal, shipper, shipping, signal};

/// No value with this text can be written.
const UNSTORABLE: &str = "UNSTORABLE";

struct World {
    store: Arc<MemoryStore>,
    engine: ByHand,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        store.refuse_values_with(UNSTORABLE);
        let engine = ByHand::start(store.clone(), Timestamp(1_800_000_000_000_000), 7).unwrap();
        Self { store, engine }
    }

    fn tenant(&mut self, slug: &str) -> Scope {
        let (tenant, _) = self.engine.tenant_create(slug.parse().unwrap(), Role::Owner).unwrap();
        Scope { tenant: tenant.id, actor: Party::engine() }
    }

    /// Runs whose first step an agent performs.
    fn asking(&mut self, scope: &Scope, then: &Value) {
        let agent = json!({"agent": {"slug": "clerk", "name": "Clerk", "model": {"provider": "scripted"},
            "instructions": "Answer.", "script": [{"output": {}}]}});
        self.engine.agent_apply(scope, &agent.to_string(), Format::Json).unwrap();
        let mut steps = vec![json!({"id": "ask", "type": "agent", "agent_ref": {"slug": "clerk"}, "input": {},
            "on_error": "continue"})];
        steps.extend(then.as_array().unwrap().iter().cloned());
        let workflow = json!({"workflow": {"name": "Asking", "version": "1.0.0",
            "trigger": {"signal": "order.placed"}, "steps": steps}});
        self.engine.workflow_apply(scope, &workflow.to_string(), Format::Json).unwrap();
    }

    fn started(&mut self, scope: &Scope) -> (RunId, Task) {
        let emitted = self.engine.emit(scope, vec![signal("order.placed", json!({}))]).unwrap().remove(0).unwrap();
        (run_of(&emitted), self.engine.take_tasks().remove(0))
    }

    fn run(&self, scope: &Scope, id: RunId) -> Run {
        self.store.run(scope.tenant, id).unwrap().unwrap()
    }

    /// What is recorded is what the log says, and what a new engine reads.
    fn check(&self) {
        assert_eq!(verify(self.store.as_ref()).unwrap().problems, Vec::<String>::new());
        assert_eq!(self.engine.memory_differs().unwrap(), None);
    }
}

fn run_of(emitted: &Emitted) -> RunId {
    emitted.dispositions[0].run_id.unwrap()
}

/// A step whose output cannot be written, made of parts that can.
fn joins() -> Value {
    json!({"id": "join", "type": "function", "function": "text.upper", "input": {"text": "unstorable"}})
}

#[test]
fn in_one_batch_of_many_tenants_the_others_are_recorded_after_a_few_commits() {
    let mut world = World::new();
    let scopes: Vec<Scope> = (0..64).map(|number| world.tenant(&format!("tenant-{number}"))).collect();
    let floods = &scopes[13];
    let flood = (0..200).map(|_| (floods.clone(), signal("order.placed", json!({"text": UNSTORABLE}))));
    let others = scopes.iter().filter(|scope| scope.tenant != floods.tenant);
    let others = others.map(|scope| (scope.clone(), signal("order.placed", json!({"text": "fine"}))));
    let mut answers = world.engine.emit_each(flood.chain(others).collect());
    for answer in answers.split_off(200) {
        answer.unwrap();
    }
    for answer in answers {
        assert_eq!(refusal(answer).code, "unstorable");
    }
    let placed = |scope: &Scope| {
        let filter = SignalFilter { name: Some("order.placed".parse().unwrap()), ..SignalFilter::default() };
        world.store.signals(scope.tenant, &filter, Page::newest(10)).unwrap().len()
    };
    assert_eq!(scopes.iter().map(placed).sum::<usize>(), 63);
    // The whole, and one half of 64, 32, 16, 8, 4 and 2 tenants.
    assert!(world.store.refused_before_commit() <= 7, "{}", world.store.refused_before_commit());
    assert!(world.store.commits_refused() <= 7 + 2 * 200, "{}", world.store.commits_refused());
    world.check();
}

#[tokio::test]
async fn of_many_signals_of_one_request_each_is_answered_by_itself() {
    let house = House::new().await;
    house.store.refuse_values_with(UNSTORABLE);
    let is_at_fault = |number: usize| number == 7 || number == 20;
    let text = |number| if is_at_fault(number) { UNSTORABLE } else { "fine" };
    let many = (0..40).map(|number| signal("order.placed", json!({"text": text(number)}))).collect();
    let answers = house.engine.emit(&house.scope, many).await.unwrap();
    for (number, answer) in answers.into_iter().enumerate() {
        match is_at_fault(number) {
            true => assert_eq!(refusal(answer).code, "unstorable"),
            false => drop(answer.unwrap()),
        }
    }
    assert!(house.engine.is_ready(), "the store is well");
    house.verified();
}

#[tokio::test]
async fn a_flood_that_cannot_be_written_ends_and_another_tenant_is_answered() {
    let house = House::new().await;
    let other = support::tenant(&house.engine, "other").await;
    house.store.refuse_values_with(UNSTORABLE);
    // Both have asked for something lately, so batches are bounded in their extra commits.
    house.emit(signal("order.placed", json!({}))).await.unwrap();
    house.engine.emit(&other, vec![signal("order.placed", json!({}))]).await.unwrap();
    let unstorable = || vec![signal("order.placed", json!({"text": UNSTORABLE}))];
    let flood = futures_util::future::join_all((0..300).map(|_| house.engine.emit(&house.scope, unstorable())));
    let quiet = house.engine.emit(&other, vec![signal("order.placed", json!({}))]);
    let (flood, quiet) = tokio::join!(flood, quiet);
    drop(quiet.unwrap().remove(0).unwrap());
    for answer in flood {
        assert_eq!(refusal(answer).code, "unstorable");
    }
    house.verified();
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_refused_and_another_one_is_taken() {
    let house = House::new().await;
    house.store.refuse_values_with(UNSTORABLE);
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    let id = run_of(&house.emit(signal("order.placed", json!({}))).await.unwrap());
    let directive = house.run(id).steps[0].directive_id.unwrap();
    let report = |text: &str| {
        let parcel = Json::from(json!({"parcel": text}));
        house.engine.directive_report(&house.scope, directive, Ok(parcel))
    };
    assert_eq!(refusal(report(UNSTORABLE).await).code, "unstorable");
    assert_eq!(house.run(id).status, Status::Running);
    report("P1").await.unwrap();
    assert_eq!(house.run(id).status, Status::Completed);
    house.verified();
}

#[tokio::test]
async fn a_definition_that_cannot_be_written_is_refused_and_registers_nothing() {
    let house = House::new().await;
    house.store.refuse_values_with(UNSTORABLE);
    let workflow = |text: &str| {
        let mut workflow = support::greeting();
        workflow["description"] = text.into();
        house.engine.workflow_apply(&house.scope, json!({"workflow": workflow}).to_string(), Format::Json, true)
    };
    assert_eq!(refusal(workflow(UNSTORABLE).await).code, "unstorable");
    assert_eq!(house.engine.directory().tenant(house.scope.tenant).unwrap().workflows.len(), 0);
    assert_eq!(workflow("fine").await.unwrap().entry.status, WorkflowStatus::Active);
    house.verified();
}

#[test]
fn an_outcome_that_cannot_be_written_fails_its_step_and_neighbors_go_on() {
    let mut world = World::new();
    let (ours, other) = (world.tenant("ours"), world.tenant("other"));
    for scope in [&ours, &other] {
        world.asking(scope, &json!([]));
    }
    let ((first, at_fault), (second, fine)) = (world.started(&ours), world.started(&ours));
    let (third, of_other) = world.started(&other);
    let ended = vec![
        (fine, Ok(Json::from(json!("fine")))),
        (at_fault, Ok(Json::from(json!(UNSTORABLE)))),
        (of_other, Ok(Json::from(json!("fine")))),
    ];
    let emitted = world.engine.emit_and_end(&ours, vec![signal("order.placed", json!({}))], ended).unwrap();
    assert!(emitted[0].is_ok());
    let step = world.run(&ours, first).steps[0].clone();
    assert_eq!((step.status, step.error.unwrap().code.as_str()), (StepStatus::Failed, "unstorable_outcome"));
    assert_eq!(world.run(&ours, second).steps[0].status, StepStatus::Completed);
    assert_eq!(world.run(&other, third).steps[0].status, StepStatus::Completed);
    world.check();

    let refused = world.store.commits_refused();
    world.engine.set_time(Timestamp(1_800_000_100_000_000));
    assert_eq!(world.store.commits_refused(), refused, "it is not tried again");
}

#[test]
fn where_what_follows_from_the_failure_cannot_be_written_either_the_run_is_paused() {
    let mut world = World::new();
    let scope = world.tenant("ours");
    world.asking(&scope, &json!([joins()]));
    let (id, task) = world.started(&scope);
    world.engine.end(&task, Ok(Json::from(json!("fine"))));
    let run = world.run(&scope, id);
    assert_eq!((run.status, run.steps[0].status), (Status::Paused, StepStatus::Failed));
    assert_eq!(run.steps[0].error.as_ref().unwrap().code, "unstorable_outcome");
    world.check();
    let cancel = support::directive("workflow.run.cancel", "cancel", json!({"run_id": id, "reason": "a test"}));
    world.engine.request(&scope, cancel).unwrap();
    assert_eq!(world.run(&scope, id).status, Status::Canceled);
    world.check();
}

#[test]
fn a_run_that_is_due_and_cannot_be_written_is_paused_and_the_others_go_on() {
    let mut world = World::new();
    let scope = world.tenant("ours");
    for (name, steps) in [
        ("At fault", json!([{"id": "wait", "type": "wait", "for": "1h"}, joins()])),
        ("Fine", json!([{"id": "wait", "type": "wait", "for": "1h"}])),
    ] {
        let workflow = json!({"workflow": {"name": name, "version": "1.0.0",
            "trigger": {"signal": "order.placed"}, "steps": steps}});
        world.engine.workflow_apply(&scope, &workflow.to_string(), Format::Json).unwrap();
    }
    let emitted = world.engine.emit(&scope, vec![signal("order.placed", json!({}))]).unwrap().remove(0).unwrap();
    let runs: Vec<RunId> = emitted.dispositions.iter().map(|disposition| disposition.run_id.unwrap()).collect();
    let after = |seconds: i64| Timestamp(1_800_000_000_000_000 + seconds * 1_000_000);
    world.engine.set_time(after(3_700));
    let statuses: Vec<Status> = runs.iter().map(|run| world.run(&scope, *run).status).collect();
    assert_eq!(statuses, [Status::Paused, Status::Completed]);
    world.check();
    let refused = world.store.commits_refused();
    world.engine.set_time(after(10_000));
    assert_eq!(world.store.commits_refused(), refused, "it is not tried again");

    // A process that begins before an operator has looked at it finds it paused as well.
    let mut next = ByHand::start(world.store.clone(), after(20_000), 8).unwrap();
    next.set_time(after(20_001));
    assert_eq!(world.store.commits_refused(), refused);
}

#[tokio::test]
async fn a_schedule_whose_fire_cannot_be_written_is_paused() {
    let house = House::new().await;
    house.store.refuse_values_with(UNSTORABLE);
    let schedule = json!({"schedule": {"slug": "often", "every": "1s", "signal": "order.placed",
        "payload": {"text": UNSTORABLE}}});
    house.engine.schedule_apply(&house.scope, schedule.to_string(), Format::Json).await.unwrap();
    let mut commits = house.engine.commits();
    let state = || house.store.directory().unwrap().schedules[0].state.clone();
    while state().status.as_str() != "paused" {
        tokio::time::timeout(std::time::Duration::from_secs(20), commits.changed()).await.unwrap().unwrap();
    }
    assert!(state().reason.unwrap().contains("declared unstorable"));
    house.verified();
}

#[tokio::test]
async fn of_what_a_worker_reports_the_outcome_at_fault_is_refused_and_fails_its_step() {
    let house = House::new().await;
    house.store.refuse_values_with(UNSTORABLE);
    house.directive_type(json!({"name": "parcel.ship", "handler": {"type": "worker"}})).await;
    house.workflow(shipping()).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(run_of(&house.emit(signal("order.placed", json!({}))).await.unwrap()));
    }
    let worker = shipper(&house);
    let attempts = house.take_attempts(&worker, 3).await;
    let reports = attempts.iter().enumerate().map(|(number, delivered)| {
        let text = if number == 1 { UNSTORABLE } else { "fine" };
        AttemptReport { id: delivered.id, result: Ok(Json::from(json!({"parcel": text}))), logs: Vec::new() }
    });
    let reports: Vec<AttemptReport> = reports.collect();
    let answers = house.engine.attempts_report(&worker, &Json::null(), reports.clone()).await;
    assert_eq!(codes_of(&answers), [None, Some("unstorable_outcome"), None]);
    let statuses: Vec<Status> = runs.iter().map(|run| house.run(*run).status).collect();
    assert_eq!(statuses, [Status::Completed, Status::Failed, Status::Completed]);
    assert_eq!(house.run(runs[1]).error.unwrap().code, "unstorable_outcome");
    let again = house.engine.attempts_report(&worker, &Json::null(), reports).await;
    assert_eq!(again, answers, "what is reported twice is recorded once, and answered alike");
    house.verified();
}
