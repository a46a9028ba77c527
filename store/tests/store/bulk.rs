//! Reading many records by their ids.

use std::sync::Arc;

use fleetprompt_core::directive::{Directive, Input};
use fleetprompt_core::run::{Place, Run, StepChange};
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{Json, Signal, TenantId};
use fleetprompt_store::{Batch, READ_BYTES_MAX, Store, TriggeredRun};
use rstest::rstest;
use serde_json::json;

use crate::Backend::{self, Memory, Postgres, Sqlite};
use crate::samples::{Samples, facts, tenants, whole};

/// Runs with items and outputs, each with a directive, of two tenants.
struct Records {
    tenants: [Tenant; 2],
    runs: Vec<(Run, Option<Signal>)>,
    directives: Vec<Directive>,
}

impl Records {
    fn commit(store: &dyn Store, samples: &mut Samples, count: usize, output: &Json) -> Self {
        let tenants_of_runs = [samples.tenant("acme"), samples.tenant("other")];
        store.commit(&tenants(&[&tenants_of_runs[0], &tenants_of_runs[1]])).expect("committed");
        let mut records = Self { tenants: tenants_of_runs, runs: Vec::new(), directives: Vec::new() };
        for number in 0..count {
            let tenant = records.tenants[number % 2].id;
            let fact = (number % 3 != 2).then(|| samples.fact(tenant, "order.placed"));
            records.add(store, samples, tenant, fact, output);
        }
        records
    }

    fn add(&mut self, store: &dyn Store, samples: &mut Samples, tenant: TenantId, fact: Option<Signal>, output: &Json) {
        let (mut run, begun) = samples.run_with(tenant, "triage", 3, fact.as_ref(), |_| {});
        let list = samples.place(&mut run, Place::step(1), StepChange::Started, |record| record.items = Some(2));
        let done = samples.place(&mut run, Place::step(1).item(1), StepChange::Completed, |record| {
            record.output = Some(output.clone());
        });
        let request = samples.request_of_step(&run, Place::step(0), "mail.send");
        let (directive, requested) = samples.requested(request);
        let (directive, moved) = samples.moved(directive, Input::Begin);
        let signals = fact.clone().into_iter().chain([begun, list, done]).chain(requested).chain(moved);
        let directives = vec![Arc::new(directive.clone())];
        store.commit(&Batch { runs: vec![whole(&run)], directives, ..facts(signals) }).expect("committed");
        self.runs.push((run, fact));
        self.directives.push(directive);
    }
}

#[rstest]
fn records_come_in_the_order_of_their_ids(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let records = Records::commit(&*store, &mut samples, 7, &json!({"n": 1}).into());
    // The order of the question, one of them twice; of two others there is no such record.
    let stranger = records.tenants[1].id;
    let mut ids: Vec<_> = records.runs.iter().rev().map(|(run, _)| (run.tenant, run.id)).collect();
    let mut expected: Vec<Option<TriggeredRun>> = records.runs.iter().rev().cloned().map(Some).collect();
    ids.insert(2, (stranger, records.runs[0].0.id));
    expected.insert(2, None);
    ids.extend([ids[0], (stranger, samples.run_with(stranger, "triage", 1, None, |_| {}).0.id)]);
    expected.extend([expected[0].clone(), None]);
    assert_eq!(store.runs_by_id(&ids).expect("read"), expected);

    let mut ids: Vec<_> = records.directives.iter().rev().map(|one| (one.tenant, one.id)).collect();
    let mut expected: Vec<_> = records.directives.iter().rev().cloned().map(Some).collect();
    ids.insert(3, (stranger, records.directives[0].id));
    expected.insert(3, None);
    assert_eq!(store.directives_by_id(&ids).expect("read"), expected);

    let mut expected: Vec<Option<Signal>> =
        records.runs.iter().rev().filter_map(|(_, fact)| fact.clone()).map(Some).collect();
    let mut ids: Vec<_> = expected.iter().flatten().map(|fact| (fact.tenant, fact.id)).collect();
    ids.insert(1, (samples.tenant("third").id, ids[0].1));
    expected.insert(1, None);
    assert_eq!(store.signals_by_id(&ids).expect("read"), expected);

    assert_eq!(store.runs_by_id(&[]).expect("read"), []);
    assert_eq!(store.signals_by_id(&[]).expect("read"), []);
    assert_eq!(store.directives_by_id(&[]).expect("read"), []);
}

#[rstest]
fn a_read_ends_when_it_holds_enough(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let large = Json::of(&"x".repeat(READ_BYTES_MAX / 4 + 1));
    let records = Records::commit(&*store, &mut samples, 5, &large);
    let ids: Vec<_> = records.runs.iter().map(|(run, _)| (run.tenant, run.id)).collect();
    let mut found = Vec::new();
    let mut reads = Vec::new();
    while found.len() < ids.len() {
        let read = store.runs_by_id(&ids[found.len()..]).expect("read");
        reads.push(read.len());
        found.extend(read);
    }
    assert_eq!(reads, [4, 1]);
    assert_eq!(found, records.runs.into_iter().map(Some).collect::<Vec<_>>());
}
