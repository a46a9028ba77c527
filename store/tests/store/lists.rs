use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, Input};
use fleetprompt_core::run::{self, Run, RunChange};
use fleetprompt_core::signal::Disposition;
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{Party, Signal};
use fleetprompt_store::{Batch, DirectiveFilter, Order, Page, RunFilter, SignalFilter, Store};
use rstest::rstest;
use uuid::Uuid;

use crate::Backend::{self, Memory, Sqlite};
use crate::samples::{Samples, name, slug, started_by};

/// A tenant's whole log, small enough to be filtered by hand.
struct Log {
    tenant: Tenant,
    signals: Vec<Signal>,
    directives: Vec<Directive>,
    runs: Vec<Run>,
}

fn log(store: &dyn Store) -> Log {
    let mut samples = Samples::new();
    let tenant = samples.tenant("acme");
    let mut batch = Batch { tenants: vec![tenant.clone()], ..Batch::default() };
    let mut runs = Vec::new();
    for (place, workflow) in ["triage", "audit", "triage", "refund"].into_iter().enumerate() {
        let (run, cascade) = samples.cascade(tenant.id, workflow, 2);
        batch.signals.extend(cascade.signals);
        batch.directives.extend(cascade.directives);
        batch.dispositions.extend(cascade.dispositions);
        batch.runs.extend(cascade.runs);
        runs.push(run);

        // Runs that have not ended, or badly; each with a directive of its own.
        let mut fact = samples.fact(tenant.id, "forum.post.flagged");
        fact.lineage.correlation_id = ["a conversation", "another"][place % 2].into();
        let (mut open, started) = samples.run(tenant.id, workflow, 2, &fact);
        let request = samples.request_of_step(&open, 1, ["mail.send", "forum.post.create"][place % 2]);
        let (directive, requested) = samples.requested(request);
        let (directive, moved) = match place {
            0 => (directive, vec![]),
            1 => samples.moved(directive, Input::Begin),
            _ => samples.moved(directive, Input::Cancel { by: Party::engine(), reason: "enough".into() }),
        };
        batch.dispositions.push(started_by(&fact, &open));
        batch.signals.extend([fact, started].into_iter().chain(requested).chain(moved).map(Arc::new));
        if place > 1 {
            let change = [RunChange::Failed, RunChange::Canceled][place % 2];
            batch.signals.push(Arc::new(samples.end(&mut open, change)));
        }
        batch.directives.push(Arc::new(directive));
        batch.runs.push(crate::samples::whole(&open));
        runs.push(open);
    }
    store.commit(&batch).expect("committed");
    let mut signals: Vec<_> = batch.signals.iter().map(|signal| Signal::clone(signal)).collect();
    signals.sort_by_key(|signal| signal.id);
    let mut directives: Vec<_> = batch.directives.iter().map(|directive| Directive::clone(directive)).collect();
    directives.sort_by_key(|directive| directive.id);
    runs.sort_by_key(|run| run.id);
    Log { tenant, signals, directives, runs }
}

/// Reads all pages of `limit`, in both orders, and compares with what should be there.
fn expect_pages<T: PartialEq + std::fmt::Debug + Clone>(
    expected: Vec<T>,
    id: impl Fn(&T) -> Uuid,
    list: impl Fn(Page) -> Vec<T>,
) {
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut expected = expected.clone();
        if order == Order::NewestFirst {
            expected.reverse();
        }
        for limit in [1, 3, 1_000] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = list(Page { order, cursor, limit });
                assert!(page.len() <= limit);
                let Some(last) = page.last() else { break };
                cursor = Some(id(last));
                found.extend(page);
            }
            assert_eq!(found, expected, "{order:?} by {limit}");
        }
    }
}

fn with_none<T: Clone>(values: impl IntoIterator<Item = T>) -> Vec<Option<T>> {
    values.into_iter().map(Some).chain([None]).collect()
}

#[rstest]
fn signals_are_listed_in_both_directions_with_every_filter(#[values(Memory, Sqlite)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    let names = ["forum.thread.created", "workflow.step.completed", "directive.canceled", "never.seen"];
    let groups = ["a conversation", "nobody's", &log.signals[0].lineage.correlation_id];
    for name in with_none(names.map(name)) {
        for correlation_id in with_none(groups.map(str::to_owned)) {
            for run_id in with_none([log.runs[0].id, log.runs[1].id]) {
                let filter = SignalFilter { name: name.clone(), correlation_id: correlation_id.clone(), run_id };
                let matches = |signal: &&Signal| {
                    name.as_ref().is_none_or(|name| signal.name == *name)
                        && correlation_id.as_deref().is_none_or(|id| *id == *signal.lineage.correlation_id)
                        && (run_id.is_none() || signal.run_id == run_id)
                };
                let expected = log.signals.iter().filter(matches).cloned().collect();
                let list = |page| store.signals(log.tenant.id, &filter, page).expect("read");
                expect_pages(expected, |signal| signal.id.0, list);
            }
        }
    }
}

#[rstest]
fn a_group_is_its_facts_and_the_records_of_its_runs_and_directives(#[values(Memory, Sqlite)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    let run = &log.runs[1];
    let correlation_id = Some(run.lineage.correlation_id.to_string());
    let filter = SignalFilter { correlation_id, ..SignalFilter::default() };
    let group = store.signals(log.tenant.id, &filter, Page::after(None, 1_000)).expect("read");
    let of_run = group.iter().filter(|signal| signal.run_id == Some(run.id));
    let of_directive = group.iter().filter(|signal| signal.directive_id.is_some());
    let told = group.iter().filter(|signal| signal.run_id.is_none() && signal.directive_id.is_none());
    assert!(of_run.count() >= 2 && of_directive.count() >= 2 && told.count() == 2);
}

#[rstest]
fn directives_are_listed_in_both_directions_with_every_filter(#[values(Memory, Sqlite)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    let names = ["workflow.run.start", "mail.send", "never.seen"];
    for name in with_none(names.map(name)) {
        for status in with_none(directive::Status::ALL) {
            for run_id in with_none([log.runs[0].id, log.runs[1].id]) {
                let filter = DirectiveFilter { name: name.clone(), status, run_id };
                let matches = |one: &&Directive| {
                    name.as_ref().is_none_or(|name| one.name == *name)
                        && status.is_none_or(|status| one.status == status)
                        && run_id.is_none_or(|run| one.origin.is_some_and(|origin| origin.run_id == run))
                };
                let expected = log.directives.iter().filter(matches).cloned().collect();
                let list = |page| store.directives(log.tenant.id, &filter, page).expect("read");
                expect_pages(expected, |directive| directive.id.0, list);
            }
        }
    }
}

#[rstest]
fn runs_are_listed_without_steps_in_both_directions_with_every_filter(#[values(Memory, Sqlite)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    let groups = ["a conversation", "nobody's", &log.runs[0].lineage.correlation_id];
    let causes = [log.runs[0].signal_id, log.runs[1].signal_id].map(|id| id.expect("triggered"));
    for workflow in with_none(["triage", "audit", "unknown"].map(slug)) {
        for status in with_none(run::Status::ALL) {
            for signal_id in with_none(causes) {
                for correlation_id in with_none(groups.map(str::to_owned)) {
                    let filter = RunFilter {
                        workflow: workflow.clone(),
                        status,
                        signal_id,
                        correlation_id: correlation_id.clone(),
                    };
                    let matches = |run: &&Run| {
                        workflow.as_ref().is_none_or(|workflow| run.workflow == *workflow)
                            && status.is_none_or(|status| run.status == status)
                            && (signal_id.is_none() || run.signal_id == signal_id)
                            && correlation_id.as_deref().is_none_or(|id| *id == *run.lineage.correlation_id)
                    };
                    let without_steps = |run: &Run| Run { steps: vec![], ..run.clone() };
                    let expected = log.runs.iter().filter(matches).map(without_steps).collect();
                    let list = |page| store.runs(log.tenant.id, &filter, page).expect("read");
                    expect_pages(expected, |run| run.id.0, list);
                }
            }
        }
    }
}

#[rstest]
fn dispositions_are_those_of_one_signal(#[values(Memory, Sqlite)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    for run in &log.runs {
        let signal = run.signal_id.expect("triggered");
        let found = store.dispositions(log.tenant.id, signal).expect("read");
        let runs: Vec<_> = found.iter().map(|one: &Disposition| (one.signal_id, one.run_id)).collect();
        assert_eq!(runs, [(signal, Some(run.id))]);
    }
}
