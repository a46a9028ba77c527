//! Large worlds: one run of thousands of items beside everything else. Few seeds have one, and some that no other test
//! reaches are lived through here.

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Party, Scope, TenantId};
use fleetprompt_engine::{Bounds, ByHand, ManualTime};
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::check::Held;
use crate::check::fair::FairShares;
use crate::moves::plain_signal;
use crate::world::{BEGINNING, World, go};
use crate::{on_deep_stack, schedule};

const ONE_IN: u64 = 1_000;
const FACT: &str = "fact.large";
/// As many signals of a request wait together.
const SIGNALS: usize = 16;

pub fn is_large(seed: u64) -> bool {
    seed.is_multiple_of(ONE_IN)
}

/// One house has a workflow with an item for each of a list, and is told of a long one.
pub fn grow(world: &mut World, chance: &mut Chance) -> Held {
    let house = chance.pick(&world.houses);
    let document = workflow(chance).to_string();
    let engine = world.engine(house.partition);
    engine
        .workflow_apply(&house.owner, &document, Format::Json)
        .map_err(|error| format!("a large workflow: {error}"))?;
    let list: Vec<usize> = (0..chance.between(1_000, 3_000)).collect();
    let payload = json!({"k": "a", "n": 1, "yes": true, "list": list, "span": "3s"});
    world.tell(&house.member, vec![plain_signal(FACT, payload)], Vec::new())
}

fn workflow(chance: &mut Chance) -> Value {
    let mut step = chance.pick(&[
        json!({"type": "directive", "directive": "job.http", "payload": {"n": "${item}"}}),
        json!({"type": "directive", "directive": "job.worker", "payload": {"n": "${item}"}}),
        json!({"type": "function", "function": "work.count", "input": {"n": "${item}"}}),
        json!({"type": "agent", "agent_ref": {"slug": "helper"}, "input": {"n": "${item}"}}),
        json!({"type": "function", "function": "json.identity", "input": {"n": "${item}"}}),
        json!({"type": "wait", "for": "20s"}),
    ]);
    step["id"] = "each".into();
    step["for_each"] = json!({"items": "${run.input.list}", "tolerate": "50%"});
    if chance.one_in(2) {
        step["for_each"]["max_parallel"] = 3_000.into();
    }
    json!({"workflow": {"name": "large", "version": "1.0.0", "trigger": {"signal": FACT}, "steps": [step]}})
}

#[test]
fn worlds_with_thousands_of_items_come_to_rest() {
    on_deep_stack(|| {
        for seed in [ONE_IN * 1_001, ONE_IN * 1_002, ONE_IN * 1_003] {
            let broken = go(seed, &schedule(seed), false).broken;
            assert_eq!(broken, None, "scripts/simulate {seed}");
        }
    });
}

/// However long each decision takes, who has just come is answered after two batches, and behind a bounded number of
/// units of the tenant that floods.
#[test]
fn a_flood_delays_another_tenant_by_a_bounded_number_of_units() {
    for reading_us in [0, 30, 600] {
        let store = Arc::new(MemoryStore::default());
        let bounds = Bounds { batch_max: 1_024, ..Bounds::default() };
        let time = ManualTime::new(BEGINNING, Duration::from_micros(reading_us));
        let mut engine = ByHand::start_with_bounds(bounds, store, time, 1).expect("an engine over an empty store");
        let [noisy, quiet] = ["noisy", "quiet"].map(|slug| tenant(&mut engine, slug));
        let document = json!({"workflow": {"name": "flood", "version": "1.0.0", "trigger": {"signal": FACT}, "steps": [
            {"id": "each", "type": "function", "function": "json.identity", "input": {"n": "${item}"},
                "for_each": {"items": "${run.input.list}"}}
        ]}});
        engine.workflow_apply(&noisy, &document.to_string(), Format::Json).expect("a definition");
        let flood = || (0..SIGNALS).map(|_| plain_signal(FACT, json!({"list": [1, 2, 3]}))).collect();
        let mut shares = FairShares::new(SIGNALS);
        let mut waiting: Vec<_> =
            (0..40).map(|_| engine.enqueue_emit(&noisy, flood()).expect("there is room")).collect();
        for _ in 0..10 {
            engine.take_decided();
            let mut answer =
                engine.enqueue_emit(&quiet, vec![plain_signal("word.x", json!({}))]).expect("there is room");
            shares.enqueued(0, quiet.tenant, engine.backlog_of(quiet.tenant));
            for _ in 0..2 {
                engine.decide_next();
                shares.decided(0, &engine.take_decided()).unwrap_or_else(|why| panic!("at {reading_us} us: {why}"));
            }
            assert!(
                answer.try_recv().is_ok_and(|answer| answer.is_ok()),
                "no answer after two batches at {reading_us} us"
            );
            waiting.push(engine.enqueue_emit(&noisy, flood()).expect("there is room"));
        }
        engine.decide_all();
        assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_ok_and(|answer| answer.is_ok())));
    }
}

fn tenant(engine: &mut ByHand, slug: &str) -> Scope {
    let (tenant, _) = engine.tenant_create(slug.parse().expect("a slug"), Role::Owner).expect("a tenant");
    let id: TenantId = tenant.id;
    Scope { tenant: id, actor: Party::new("operator", "test") }
}
