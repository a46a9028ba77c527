//! Attempts on their way to workers: inputs beyond a budget are not kept in memory, and workers get them all the same.
//! Where a worker waits already, nothing is read from the store.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::performs::{Labels, Pattern};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, KeyId, Party, Scope, TenantId};
use fleetprompt_engine::workers::{Taker, Worker, WorkerId};
use fleetprompt_engine::{Bounds, ByHand, Config, Engine, ManualTime, PerformBounds};
use fleetprompt_store::counting::{CountingStore, Counts};
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};
use support::{NOW, signal};

const LEASE: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(20);

/// Of each order a worker's function counts something, and a worker's directive ships something.
fn workflows() -> [String; 2] {
    let workflow = |name: &str, step: Value| {
        let trigger = json!({"signal": "order.placed"});
        json!({"workflow": {"name": name, "version": "1.0.0", "trigger": trigger, "steps": [step]}}).to_string()
    };
    let counted =
        json!({"id": "count", "type": "function", "function": "work.count", "input": {"counted": "${signal.payload}"}});
    let shipped = json!({"id": "ship", "type": "directive", "directive": "work.ship", "payload": {"shipped": "${signal.payload}"}});
    [workflow("Count", counted), workflow("Ship", shipped)]
}

fn function() -> Json {
    json!({"function": {"name": "work.count", "handler": {"type": "worker"}}}).into()
}

fn directive_type() -> Json {
    json!({"directive_type": {"name": "work.ship", "handler": {"type": "worker"}}}).into()
}

fn worker(tenant: TenantId) -> Worker {
    let id = WorkerId { key: KeyId(uuid::Uuid::from_u128(7)), name: "w".into() };
    Worker { id, version: None, taker: Taker::new(Some(tenant), vec![Pattern::Any], Labels::new()), slots: 100 }
}

/// An engine that keeps so many bytes of inputs for workers, and nearly nothing else.
struct World {
    store: Arc<CountingStore>,
    engine: ByHand,
    tenant: TenantId,
}

impl World {
    fn new(runs: usize, input_bytes: usize) -> Self {
        let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
        let mut engine = Self::start(&store, input_bytes);
        let (tenant, _) = engine.tenant_create("acme".parse().unwrap(), Role::Owner).unwrap();
        let scope = Scope { tenant: tenant.id, actor: Party::engine() };
        engine.function_apply(&scope, function()).unwrap();
        engine.directive_type_apply(&scope, directive_type()).unwrap();
        for text in workflows() {
            engine.workflow_apply(&scope, &text, Format::Json).unwrap();
        }
        for run in 0..runs {
            let payload = json!({"run": run, "text": "x".repeat(1_000)});
            engine.emit(&scope, vec![signal("order.placed", payload)]).unwrap().remove(0).unwrap();
        }
        Self { store, engine, tenant: tenant.id }
    }

    fn start(store: &Arc<CountingStore>, input_bytes: usize) -> ByHand {
        let performs = Some(PerformBounds { effects_max: 256, lease: LEASE, input_bytes });
        let bounds = Bounds { cache_bytes: Some(4 << 10), performs, ..Bounds::default() };
        ByHand::start_with_bounds(bounds, store.clone(), ManualTime::new(NOW, Duration::ZERO), 1).unwrap()
    }

    /// As after a crash, once nobody has said that they are at an attempt.
    fn restart(&mut self, input_bytes: usize) {
        self.engine = Self::start(&self.store, input_bytes);
        self.engine.set_time(NOW + fleetprompt_core::Span(LEASE.as_micros() as i64));
    }

    /// Takes all attempts, and returns how many inputs of functions and directives were those of each run.
    fn take_all(&mut self, together: usize) -> (BTreeMap<u64, usize>, Counts) {
        let (worker, mut inputs) = (worker(self.tenant), BTreeMap::new());
        self.store.take_counts();
        loop {
            let taken = self.engine.attempts_take(&worker, together, &[]).unwrap().attempts;
            if taken.is_empty() {
                return (inputs, self.store.take_counts());
            }
            for delivered in taken {
                let field = if &*delivered.attempt.name == "work.count" { "counted" } else { "shipped" };
                let payload = &delivered.input.value()[field];
                assert_eq!(payload["text"].as_str().map(str::len), Some(1_000), "{}", delivered.input.text());
                *inputs.entry(payload["run"].as_u64().unwrap()).or_default() += 1;
            }
        }
    }
}

#[test]
fn inputs_beyond_the_budget_are_read_again_also_after_a_restart() {
    let each_twice = |runs: u64| (0..runs).map(|run| (run, 2)).collect::<BTreeMap<_, _>>();
    for is_restarted in [false, true] {
        // Room for none, for some, and for all of them.
        let reads = [0, 40_000, 1 << 20].map(|input_bytes| {
            let mut world = World::new(30, input_bytes);
            if is_restarted {
                world.restart(input_bytes);
            }
            let (inputs, cost) = world.take_all(10);
            assert_eq!(inputs, each_twice(30));
            cost.total().rows
        });
        assert!(reads[0] > reads[1] && reads[1] > 0 && reads[2] == 0, "{reads:?}");
    }
    let costs = [100, 800].map(|runs| {
        let (inputs, cost) = World::new(runs, 0).take_all(100);
        assert_eq!(inputs, each_twice(runs as u64));
        let of_runs = cost.of("runs_by_id").calls + cost.of("directives_by_id").calls;
        assert!(of_runs <= 2 * (2 * runs as u64).div_ceil(100), "one read of each kind for a request: {cost:#?}");
        cost
    });
    costs[0].assert_linear(&costs[1], "inputs that are read again");
}

async fn house() -> (Arc<CountingStore>, Engine, Scope) {
    let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
    let config = Config { grace: Duration::from_millis(100), ..Config::default() };
    let engine = Engine::start(store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    let scope = support::tenant(&engine, "acme").await;
    engine.function_apply(&scope, function()).await.unwrap();
    engine.directive_type_apply(&scope, directive_type()).await.unwrap();
    for text in workflows() {
        engine.workflow_apply(&scope, text, Format::Json, true).await.unwrap();
    }
    (store, engine, scope)
}

fn inputs_kept(engine: &Engine) -> usize {
    let text = engine.metrics().render();
    let kept = text.lines().find_map(|line| line.strip_prefix("fleetprompt_attempt_inputs_bytes "));
    kept.unwrap().parse().unwrap()
}

fn is_pending(future: Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// A permit that cannot be given back before the sender is dropped.
struct Stuck(mpsc::Receiver<()>);

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.0.recv();
    }
}

#[tokio::test]
async fn a_worker_that_waits_gets_its_input_without_a_read() {
    let (store, engine, scope) = house().await;
    let worker = Arc::new(worker(scope.tenant));
    store.take_counts();
    let mut taken = pin!(engine.attempts_take(worker.clone(), 10, Vec::new(), WAIT));
    assert!(is_pending(taken.as_mut()), "it waits");
    let payload = json!({"text": "x".repeat(1_000_000)});
    engine.emit(&scope, vec![signal("order.placed", payload)]).await.unwrap().remove(0).unwrap();
    let mut taken = taken.await.unwrap();
    let mut inputs = Vec::new();
    loop {
        assert!(taken.has_inputs());
        inputs.extend(taken.complete(()).await.unwrap().attempts.into_iter().map(|delivered| delivered.input));
        if inputs.len() == 2 {
            break;
        }
        taken = engine.attempts_take(worker.clone(), 10, Vec::new(), WAIT).await.unwrap();
    }
    assert!(inputs.iter().all(|input| input.text().len() > 1_000_000));
    let counts = store.take_counts();
    let reads = ["runs_by_id", "directives_by_id", "run", "directive"].map(|method| counts.of(method).calls);
    assert_eq!((reads, inputs_kept(&engine)), ([0; 4], 0));
    engine.stop().await;
}

#[tokio::test]
async fn attempts_that_wait_keep_a_bounded_part_of_their_inputs_and_a_request_that_ends_gives_them_back() {
    const MIB: usize = 1 << 20;
    let (_, engine, scope) = house().await;
    for _ in 0..12 {
        let payload = json!({"text": "x".repeat(MIB - 1_000)});
        engine.emit(&scope, vec![signal("order.placed", payload)]).await.unwrap().remove(0).unwrap();
    }
    // The answer comes before the effect: once another request is answered, those before have been offered.
    engine.emit(&scope, vec![signal("nothing.follows", json!({}))]).await.unwrap().remove(0).unwrap();
    assert!((7 * MIB..=8 * MIB).contains(&inputs_kept(&engine)), "{}", inputs_kept(&engine));

    let worker = Arc::new(worker(scope.tenant));
    let take = async || engine.attempts_take(worker.clone(), 100, Vec::new(), Duration::ZERO).await.unwrap();
    let (first, second) = (take().await, take().await);
    assert!(first.has_inputs() && !second.has_inputs());
    let (stuck, permit) = mpsc::channel();
    let mut completing = Box::pin(second.complete(Stuck(permit)));
    assert!(is_pending(completing.as_mut()), "the store is being read");
    drop((completing, first, stuck));

    let (mut attempts, mut first_deliveries) = (0, 0);
    loop {
        let taken = take().await;
        if !taken.has_attempts() {
            break;
        }
        assert!(taken.input_bytes() <= 5 * MIB, "{}", taken.input_bytes());
        for delivered in taken.complete(()).await.unwrap().attempts {
            assert!(delivered.input.text().len() > MIB - 1_000);
            attempts += 1;
            first_deliveries += usize::from(delivered.deliveries == 1);
        }
    }
    assert_eq!((attempts, first_deliveries), (24, 24));
    assert_eq!(inputs_kept(&engine), 0);
    engine.stop().await;
}
