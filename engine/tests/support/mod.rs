//! An engine over the in-memory store, with one tenant in it.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::Run;
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, KeyId, Party, RunId, Scope, TenantId, Timestamp};
use fleetprompt_engine::workers::{Taker, Worker, WorkerId};
use fleetprompt_engine::{Config, Delivered, Emitted, Engine, Error, NewDirective, Refusal, verify};
use fleetprompt_store::Store;
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};

pub const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

pub struct House {
    pub store: Arc<MemoryStore>,
    pub engine: Engine,
    pub scope: Scope,
}

impl House {
    pub async fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let engine = start(&store);
        let scope = tenant(&engine, "acme").await;
        Self { store, engine, scope }
    }

    /// As after a crash: a new engine over what was committed.
    pub fn restarted(&self) -> Self {
        Self { store: self.store.clone(), engine: start(&self.store), scope: self.scope.clone() }
    }

    pub async fn workflow(&self, workflow: Value) {
        let text = json!({"workflow": workflow}).to_string();
        self.engine.workflow_apply(&self.scope, text, Format::Json, true).await.unwrap();
    }

    pub async fn agent(&self, agent: Value) {
        let text = json!({"agent": agent}).to_string();
        self.engine.agent_apply(&self.scope, text, Format::Json).await.unwrap();
    }

    pub async fn directive_type(&self, of_type: Value) {
        let document = Json::from(json!({"directive_type": of_type}));
        self.engine.directive_type_apply(&self.scope, document).await.unwrap();
    }

    pub async fn manual(&self, name: &str) {
        self.directive_type(json!({"name": name, "handler": {"type": "manual"}})).await;
    }

    pub async fn emit(&self, signal: NewSignal) -> Result<Emitted, Error> {
        self.engine.emit(&self.scope, vec![signal]).await.unwrap().remove(0)
    }

    pub async fn request(&self, name: &str, key: &str, payload: Value) -> Result<fleetprompt_engine::Requested, Error> {
        self.engine.request(&self.scope, directive(name, key, payload)).await
    }

    pub fn run(&self, id: RunId) -> Run {
        self.store.run(self.scope.tenant, id).unwrap().unwrap()
    }

    /// The run once it satisfies, which must be soon.
    pub async fn until(&self, id: RunId, holds: impl Fn(&Run) -> bool) -> Run {
        let mut commits = self.engine.commits();
        let waited = async {
            loop {
                let run = self.run(id);
                if holds(&run) {
                    return run;
                }
                commits.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waited).await;
        waited.unwrap_or_else(|_| panic!("it never came to that: {:#?}", self.run(id)))
    }

    pub async fn ended(&self, id: RunId) -> Run {
        self.until(id, |run| run.status.has_ended()).await
    }

    /// Takes so many attempts, once they are there.
    pub async fn take_attempts(&self, worker: &Arc<Worker>, count: usize) -> Vec<Delivered> {
        let mut taken = Vec::<Delivered>::new();
        while taken.len() < count {
            let holding = taken.iter().map(|delivered| delivered.id).collect();
            let more = self.engine.attempts_take(worker.clone(), count, holding, Duration::from_secs(20)).await;
            taken.extend(more.unwrap().complete(()).await.unwrap().attempts);
        }
        taken
    }

    /// Every row is what the log says.
    pub fn verified(&self) {
        let report = verify(self.store.as_ref()).unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
    }
}

pub fn start(store: &Arc<MemoryStore>) -> Engine {
    let config = Config { allow_private_endpoints: true, grace: Duration::from_millis(100), ..Config::default() };
    Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap()
}

pub async fn tenant(engine: &Engine, slug: &str) -> Scope {
    let actor = Party::new("operator", "test");
    let created = engine.tenant_create(actor.clone(), slug.parse().unwrap(), slug.into(), Role::Owner).await;
    Scope { tenant: created.unwrap().0.id, actor }
}

pub fn worker_of(tenant: TenantId, performs: &str) -> Arc<Worker> {
    let taker = Taker::new(Some(tenant), vec![performs.parse().unwrap()], Default::default());
    let id = WorkerId { key: KeyId(tenant.0), name: "mailer".into() };
    Arc::new(Worker { id, version: None, taker, slots: 10 })
}

/// A worker for the step of `shipping`.
pub fn shipper(house: &House) -> Arc<Worker> {
    worker_of(house.scope.tenant, "parcel.ship")
}

/// The codes of what was refused.
pub fn codes_of(answers: &[Result<(), Error>]) -> Vec<Option<&'static str>> {
    let code = |answer: &Result<(), Error>| match answer {
        Ok(()) => None,
        Err(Error::Refused(refusal)) => Some(refusal.code),
        Err(other) => panic!("not refused: {other:?}"),
    };
    answers.iter().map(code).collect()
}

pub fn signal(name: &str, payload: Value) -> NewSignal {
    NewSignal {
        name: name.parse().unwrap(),
        subject: Some(Party::new("order", "7")),
        actor: None,
        source: None,
        source_event_id: None,
        dedupe_key: None,
        correlation_id: None,
        causation_id: None,
        occurred_at: None,
        payload: payload.into(),
    }
}

pub fn directive(name: &str, key: &str, payload: Value) -> NewDirective {
    NewDirective {
        name: name.parse().unwrap(),
        payload: payload.into(),
        idempotency_key: key.into(),
        correlation_id: None,
        causation_id: None,
    }
}

pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// A workflow of two pure steps.
pub fn greeting() -> Value {
    json!({
        "name": "Greeting", "version": "1.0.0", "trigger": {"signal": "order.placed"},
        "steps": [
            {"id": "loud", "type": "function", "function": "text.upper", "input": {"text": "${signal.payload.name}"}},
            {"id": "whole", "type": "function", "function": "json.identity", "input": {"greeting": "Hello ${steps.loud.output}"}}
        ],
        "output": {"said": "${steps.whole.output.greeting}"}
    })
}

/// A workflow whose one step waits for somebody to report.
pub fn shipping() -> Value {
    json!({
        "name": "Shipping", "version": "1.0.0", "trigger": {"signal": "order.placed"},
        "steps": [{"id": "ship", "type": "directive", "directive": "parcel.ship", "payload": {"order": "${signal.subject.id}"}}],
        "output": {"parcel": "${steps.ship.output.parcel}"}
    })
}
