//! Reads that fail one after the other, in the decision that makes room for a run: whichever it is, no limit is exceeded.

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Run, Status};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Party, Scope, Span};
use fleetprompt_engine::{Bounds, ByHand, ManualTime};
use fleetprompt_store::{Page, RunFilter, Store};
use serde_json::{Value, json};

use crate::database::{Database, ReadFaults};
use crate::fenced::Fenced;
use crate::moves::plain_signal;
use crate::world::BEGINNING;

/// More than the decision makes.
const READS: usize = 8;

#[test]
fn a_read_that_fails_while_room_is_made_for_a_run_exceeds_no_limit() {
    let rules = [
        json!({"concurrency": {"limit": 1, "on_limit": "cancel_oldest"}}),
        json!({"concurrency": {"limit": 1, "on_limit": "queue"}}),
        json!({"debounce": {"period": "5s"}}),
    ];
    for rule in rules {
        for read in 0..READS {
            assert!(open_runs(&rule, read) <= 1, "two runs under {rule}, when read {read} of the decision fails");
        }
    }
}

/// Number of runs that take the room for one after a second signal, in whose decision a read fails.
fn open_runs(rule: &Value, read: usize) -> usize {
    let database = Arc::new(Database::of(1));
    let start = |seed| {
        let time = ManualTime::new(BEGINNING, Duration::ZERO);
        let store = Arc::new(Fenced::take(database.clone(), 0, time.clone()));
        ByHand::start_with_bounds(Bounds::default(), store, time, seed).expect("a store in memory can be read")
    };
    let mut engine = start(1);
    let (tenant, _) = engine.tenant_create("house0".parse().expect("a slug"), Role::Owner).expect("a tenant");
    let scope = Scope { tenant: tenant.id, actor: Party::new("operator", "test") };
    let step = json!({"id": "asks", "type": "wait", "input": {"prompt": "May it go on?"}});
    let mut workflow = json!({"name": "w", "version": "1.0.0", "trigger": {"signal": "fact.level0"}, "steps": [step]});
    for (field, value) in rule.as_object().expect("an object") {
        workflow[field] = value.clone();
    }
    let document = json!({"workflow": workflow}).to_string();
    engine.workflow_apply(&scope, &document, Format::Json).expect("a definition");
    let signal = || vec![plain_signal("fact.level0", json!({}))];
    engine.emit(&scope, signal()).expect("it is recorded");
    // Another engine has nothing in memory.
    let mut engine = start(2);
    engine.set_time(BEGINNING + Span::from_secs(1));
    database.set_read_faults(ReadFaults { succeed: read, fail: 1, delay: Duration::ZERO });
    // It may be refused.
    let _ = engine.emit(&scope, signal());
    database.set_read_faults(ReadFaults::default());
    engine.try_again();
    let runs = database.store.runs(tenant.id, &RunFilter::default(), Page::after(None, 10)).expect("it can be read");
    let is_debounced = workflow.get("debounce").is_some();
    let has_room = |run: &&Run| !run.status.has_ended() && (is_debounced || run.status != Status::Queued);
    runs.iter().filter(has_room).count()
}
