use std::sync::Arc;

use fleetprompt_core::directive::{Directive, HandlerKind, Input, Request};
use fleetprompt_core::run::{
    Awaited, AwaitedSignal, FlowKeys, Place, Queue, QueueReason, Run, RunChange, StepChange, StepRecord, Steps, Waiting,
};
use fleetprompt_core::{DirectiveId, Failure, Signal, Span, Timestamp};
use fleetprompt_store::{Batch, OpenWork, Store};
use rstest::rstest;
use serde_json::json;

use crate::Backend::{self, Memory, Postgres, Sqlite};
use crate::samples::{Samples, facts, name, slug, tenants, whole};

fn commit_directive(store: &dyn Store, (directive, signals): (Directive, Vec<Signal>)) -> Directive {
    let directives = vec![Arc::new(directive.clone())];
    store.commit(&Batch { directives, ..facts(signals) }).expect("committed");
    directive
}

#[rstest]
fn what_has_ended_leaves_no_work(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let (_, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant);
    store.commit(&batch).expect("committed");
    assert_eq!(store.open_work().expect("read"), OpenWork::default());
}

#[rstest]
fn open_directives_are_found_by_what_they_wait_for(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    // The second tenant's id is the lesser one: order is by id, not by who came first.
    let (second, first) = (samples.tenant("second"), samples.tenant("first"));
    store.commit(&tenants(&[&first])).expect("committed");
    store.commit(&tenants(&[&second])).expect("committed");
    let failed =
        || Input::Outcome { attempt: 1, result: Err(Failure::retry("timeout", "none")), execution: None, logs: vec![] };

    let mut expected = OpenWork::default();
    for tenant in [&second, &first] {
        let request = samples.request(tenant.id, "mail.send", "requested");
        let requested = samples.requested(request);
        let requested = commit_directive(&*store, requested);
        expected.directives_requested.push((tenant.id, requested.id));

        let request = samples.request(tenant.id, "mail.send", "in flight");
        let (directive, _) = samples.requested(request);
        let begun = samples.moved(directive, Input::Begin);
        let begun = commit_directive(&*store, begun);
        expected.directives_in_flight.push((tenant.id, begun.id, None));

        let request = samples.request(tenant.id, "mail.send", "to be retried");
        let (directive, _) = samples.requested(request);
        let (directive, _) = samples.moved(directive, Input::Begin);
        let retrying = samples.moved(directive, failed());
        let retrying = commit_directive(&*store, retrying);
        expected.directives_due.push((retrying.wake_at.expect("retries"), tenant.id, retrying.id));

        let timeout = Some(Span::from_secs(1));
        let request = samples.request(tenant.id, "mail.send", "to be reported");
        let (directive, _) = samples.requested(Request { handler: HandlerKind::Manual, timeout, ..request });
        let waiting = samples.moved(directive, Input::Begin);
        let waiting = commit_directive(&*store, waiting);
        expected.directives_due.push((waiting.wake_at.expect("waits"), tenant.id, waiting.id));
    }
    expected.directives_due.sort();
    assert_eq!(store.open_work().expect("read"), expected);

    // A directive that moves on is no longer found where it was.
    let (tenant, id, _): (_, DirectiveId, _) = expected.directives_in_flight.remove(0);
    let directive = store.directive(tenant, id).expect("read").expect("it is there");
    let retrying = samples.moved(directive, failed());
    let retrying = commit_directive(&*store, retrying);
    expected.directives_due.push((retrying.wake_at.expect("retries"), tenant, id));
    expected.directives_due.sort();
    assert_eq!(store.open_work().expect("read"), expected);
}

#[rstest]
fn a_directive_in_flight_names_the_workflow_of_its_run(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (run, begun) = samples.run_with(tenant.id, "triage", 1, None, |_| {});
    let request = samples.request_of_step(&run, Place::step(0), "mail.send");
    let (directive, _) = samples.requested(request);
    let (directive, signals) = samples.moved(directive, Input::Begin);
    store.commit(&Batch { runs: vec![whole(&run)], ..facts([begun]) }).expect("committed");
    let directive = commit_directive(&*store, (directive, signals));
    let expected = [(tenant.id, directive.id, Some((run.workflow, run.version)))];
    assert_eq!(store.open_work().expect("read").directives_in_flight, expected);
}

#[rstest]
fn what_a_decision_left_is_stored_and_due_until_it_is_decided(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (mut run, started) = samples.run(tenant.id, "cut", 3, &fact);
    let left = json!({"since": started.recorded_at, "origin": started.id, "cause": started.id, "todo": [
        {"act": {"step": 1, "item": 7}}, {"items": [1, 99]}, {"items": [1, null]}, {"check": [2, 3]}]});
    run.continuation = serde_json::from_value(left).expect("what a decision may leave");
    let since = started.recorded_at;
    store.commit(&Batch { runs: vec![whole(&run)], ..facts(vec![fact, started]) }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read"), Some(run.clone()));
    assert_eq!(store.open_work().expect("read").runs_due, [(since, tenant.id, run.id)]);

    run.continuation = None;
    store.commit(&Batch { runs: vec![whole(&run)], ..Batch::default() }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read"), Some(run));
    assert_eq!(store.open_work().expect("read"), OpenWork::default());
}

#[rstest]
fn open_runs_are_found_by_what_they_wait_for(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let soon = Timestamp(1_700_000_000_000_000);
    let (mut agent, _) = samples.run(tenant.id, "with-agents", 3, &fact);
    let (mut directive, _) = samples.run(tenant.id, "with-a-directive", 1, &fact);
    let (mut list, _) = samples.run(tenant.id, "with-items", 1, &fact);
    let (mut retrying, _) = samples.run(tenant.id, "retrying", 1, &fact);
    let (mut ending, begun) =
        samples.run_with(tenant.id, "with-a-deadline", 1, Some(&fact), |record| record.deadline = Some(soon));
    let (queued, waits) = samples.run_with(tenant.id, "queued", 1, Some(&fact), |record| {
        record.queue = Some(Queue { reason: QueueReason::Throttle, until: Some(soon + Span(1)), since: None });
    });

    let asked = DirectiveId(samples.moment.uuid());
    let mut signals = vec![fact, begun, waits];
    signals.push(samples.step(&mut agent, 0, StepChange::Started));
    signals.push(samples.step(&mut agent, 2, StepChange::Started));
    let ask = |record: &mut StepRecord| record.directive_id = Some(asked);
    signals.push(samples.place(&mut directive, Place::step(0), StepChange::Started, ask));
    // An item's agent is one that was called; its step is not.
    signals.push(samples.place(&mut list, Place::step(0), StepChange::Started, |record| record.items = Some(2)));
    signals.push(samples.step(&mut retrying, 0, StepChange::Started));
    signals.push(samples.step(&mut retrying, 0, StepChange::Retrying));
    let runs = [&agent, &directive, &list, &retrying, &ending, &queued].map(whole).to_vec();
    store.commit(&Batch { runs, ..facts(signals) }).expect("committed");
    let due = |run: &Run| (run.wake_at().expect("waits"), tenant.id, run.id);
    let expected = OpenWork {
        runs_due: vec![due(&ending), due(&queued), due(&retrying)],
        runs_in_flight: vec![(tenant.id, agent.id)],
        ..OpenWork::default()
    };
    assert_eq!(store.open_work().expect("read"), expected);

    let ended = samples.change(&mut ending, RunChange::Failed);
    let paused = samples.change(&mut retrying, RunChange::Paused);
    let item = samples.place(&mut list, Place::step(0).item(1), StepChange::Started, |_| {});
    let steps = [0, 2].map(|step| samples.step(&mut agent, step, StepChange::Completed));
    let runs = [&ending, &retrying, &list, &agent].map(whole).to_vec();
    let batch = Batch { runs, ..facts([ended, paused, item].into_iter().chain(steps)) };
    store.commit(&batch).expect("committed");
    let expected =
        OpenWork { runs_due: vec![due(&queued)], runs_in_flight: vec![(tenant.id, list.id)], ..OpenWork::default() };
    assert_eq!(store.open_work().expect("read"), expected);
}

#[rstest]
fn waits_and_locks_are_found_until_their_run_ends(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (mut first, begun) = samples.run_with(tenant.id, "triage", 2, None, |_| {});
    let (mut second, also) = samples.run_with(tenant.id, "triage", 1, None, |_| {});
    let paid = AwaitedSignal { name: name("order.paid"), matches: vec![("payload.id".into(), json!({"n": [1]}))] };
    let order = Waiting::new(Awaited::Signal { events: vec![paid], since: Some(Timestamp(7)) });
    let order = Arc::new(Waiting { timeout_at: Some(Timestamp(1_900_000_000_000_000)), ..order });
    let lock = Arc::new(Waiting::new(Awaited::Lock { name: "orders".into() }));
    let (step, item) = (Place::step(0), Place::step(1).item(1));

    // The second run takes the lock; the first had asked before it, and waits.
    let asks = samples.place(&mut first, step, StepChange::Waiting, |record| {
        (record.waiting, record.lock) = (Some(lock.clone()), Some("orders".into()));
    });
    let takes = samples.place(&mut second, step, StepChange::Started, |record| record.lock = Some("orders".into()));
    let list = samples.place(&mut first, Place::step(1), StepChange::Started, |record| record.items = Some(2));
    let waits = samples.place(&mut first, item, StepChange::Waiting, |record| record.waiting = Some(order.clone()));
    let locks = [
        (tenant.id, first.id, step, "orders".into(), asks.id, false),
        (tenant.id, second.id, step, "orders".into(), takes.id, true),
    ];
    let batch = facts([begun, also, asks, takes, list, waits]);
    store.commit(&Batch { runs: vec![whole(&first), whole(&second)], ..batch }).expect("committed");
    let open = store.open_work().expect("read");
    assert_eq!(open.waits, [(tenant.id, first.id, item, order)]);
    assert_eq!(open.locks, locks);

    let ended = [samples.change(&mut first, RunChange::Canceled), samples.step(&mut second, 0, StepChange::Completed)];
    store.commit(&Batch { runs: vec![whole(&first), whole(&second)], ..facts(ended) }).expect("committed");
    let open = store.open_work().expect("read");
    assert_eq!((open.waits, open.locks), (vec![], vec![]));
}

#[rstest]
fn flow_control_counts_what_is_open_and_what_began_lately(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let mut runs = Vec::new();
    let keyed = |throttle: Option<&str>| FlowKeys {
        throttle: throttle.map(Into::into),
        concurrency: Some("all".into()),
        ..FlowKeys::default()
    };
    for (throttle, queued) in [(Some("a"), false), (Some("b"), true), (None, false), (Some("a\0c"), true)] {
        samples.wait(Span::from_secs(1));
        let (run, signal) = samples.run_with(tenant.id, "triage", 1, None, |record| {
            record.keys = keyed(throttle);
            let queue = Queue { reason: QueueReason::Throttle, until: None, since: None };
            record.queue = queued.then_some(queue);
        });
        store.commit(&Batch { runs: vec![whole(&run)], ..facts([signal]) }).expect("committed");
        runs.push(run);
    }
    let other = samples.run_with(tenant.id, "audit", 1, None, |record| record.keys = keyed(Some("a")));
    store.commit(&Batch { runs: vec![whole(&other.0)], ..facts([other.1]) }).expect("committed");
    runs.push(other.0);

    // The first ends, and what was asked for last begins before what was asked for second.
    for (place, change) in [(0, RunChange::Completed), (3, RunChange::Started), (1, RunChange::Started)] {
        samples.wait(Span::from_secs(1));
        let signal = samples.change(&mut runs[place], change);
        store.commit(&Batch { runs: vec![whole(&runs[place])], ..facts([signal]) }).expect("committed");
    }
    let without_documents = |run: &Run| Run { steps: Steps::default(), input: None, ..run.clone() };
    let open: Vec<_> = runs[1..].iter().map(without_documents).collect();
    assert_eq!(store.open_work().expect("read").flows, open);

    let triage = slug("triage");
    let entry = |place: usize| {
        let run = &runs[place];
        (run.keys.throttle.clone().expect("throttled"), run.begun_at.expect("begun"), run.id)
    };
    let since = |at: Timestamp, limit| store.begun_since(tenant.id, &triage, at, limit).expect("read");
    assert_eq!(since(Timestamp(i64::MIN), 9), [entry(1), entry(3), entry(0)]);
    assert_eq!(since(Timestamp(0), 2), [entry(1), entry(3)]);
    assert_eq!(since(entry(3).1, 9), [entry(1), entry(3)]);
    assert_eq!(since(entry(1).1 + Span(1), 9), []);
}
