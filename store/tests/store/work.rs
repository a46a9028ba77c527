use std::sync::Arc;

use fleetprompt_core::directive::{Directive, HandlerKind, Input, Request};
use fleetprompt_core::run::{RunChange, StepChange};
use fleetprompt_core::{DirectiveId, Failure, Signal, Span, Timestamp};
use fleetprompt_store::{Batch, OpenWork, Store};
use rstest::rstest;

use crate::Backend::{self, Memory, Sqlite};
use crate::samples::{Samples, facts, tenants, whole};

fn commit_directive(store: &dyn Store, (directive, signals): (Directive, Vec<Signal>)) -> Directive {
    let directives = vec![Arc::new(directive.clone())];
    store.commit(&Batch { directives, ..facts(signals) }).expect("committed");
    directive
}

#[rstest]
fn what_has_ended_leaves_no_work(#[values(Memory, Sqlite)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let (_, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant);
    store.commit(&batch).expect("committed");
    assert_eq!(store.open_work().expect("read"), OpenWork::default());
}

#[rstest]
fn open_directives_are_found_by_what_they_wait_for(#[values(Memory, Sqlite)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    // The second tenant's id is the lesser one: order is by id, not by who came first.
    let (second, first) = (samples.tenant("second"), samples.tenant("first"));
    store.commit(&tenants(&[&first])).expect("committed");
    store.commit(&tenants(&[&second])).expect("committed");
    let failed = || Input::Outcome { attempt: 1, result: Err(Failure::retry("timeout", "none")), logs: vec![] };

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
        expected.directives_in_flight.push((tenant.id, begun.id));

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
    let (tenant, id): (_, DirectiveId) = expected.directives_in_flight.remove(0);
    let directive = store.directive(tenant, id).expect("read").expect("it is there");
    let retrying = samples.moved(directive, failed());
    let retrying = commit_directive(&*store, retrying);
    expected.directives_due.push((retrying.wake_at.expect("retries"), tenant, id));
    expected.directives_due.sort();
    assert_eq!(store.open_work().expect("read"), expected);
}

#[rstest]
fn open_runs_are_found_by_what_they_wait_for(#[values(Memory, Sqlite)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (mut agent, _) = samples.run(tenant.id, "with-agents", 3, &fact);
    let (mut directive, _) = samples.run(tenant.id, "with-a-directive", 1, &fact);
    let (mut retrying, _) = samples.run(tenant.id, "retrying", 1, &fact);
    let (mut ending, _) = samples.run(tenant.id, "with-a-deadline", 1, &fact);

    let mut signals = vec![fact];
    signals.push(samples.step(&mut agent, 0, StepChange::Started));
    signals.push(samples.step(&mut agent, 2, StepChange::Started));
    signals.push(samples.step(&mut directive, 0, StepChange::Started));
    directive.steps[0].directive_id = Some(DirectiveId(samples.moment.uuid()));
    signals.push(samples.step(&mut retrying, 0, StepChange::Started));
    signals.push(samples.step(&mut retrying, 0, StepChange::Retrying));
    ending.deadline = Some(Timestamp(1_700_000_000_000_000));

    let runs = [&agent, &directive, &retrying, &ending].map(whole).to_vec();
    store.commit(&Batch { runs, ..facts(signals) }).expect("committed");
    let due = |run: &fleetprompt_core::run::Run| (run.wake_at().expect("waits"), tenant.id, run.id);
    let expected = OpenWork {
        runs_due: vec![due(&ending), due(&retrying)],
        runs_in_flight: vec![(tenant.id, agent.id)],
        ..OpenWork::default()
    };
    assert_eq!(store.open_work().expect("read"), expected);

    let ended = samples.end(&mut ending, RunChange::Failed);
    let steps = [0, 2].map(|step| samples.step(&mut agent, step, StepChange::Completed));
    let batch = Batch { runs: vec![whole(&ending), whole(&agent)], ..facts([ended].into_iter().chain(steps)) };
    store.commit(&batch).expect("committed");
    let expected = OpenWork { runs_due: vec![due(&retrying)], ..OpenWork::default() };
    assert_eq!(store.open_work().expect("read"), expected);
}
