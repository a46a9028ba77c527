use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, Input};
use fleetprompt_core::run::{
    self, Awaited, Parent, Place, Run, RunChange, Status, Step, StepChange, StepRecord, StepStatus, Steps, Waiting,
};
use fleetprompt_core::signal::Disposition;
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{Party, RunId, Signal, Span};
use fleetprompt_store::{
    Batch, DirectiveFilter, Order, Page, RunFilter, SignalFilter, StepRange, Store, WaitingFilter,
};
use rstest::rstest;
use uuid::Uuid;

use crate::Backend::{self, Memory, Postgres, Sqlite};
use crate::samples::{Samples, facts, name, slug, started_by, tenants, whole};

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
        let request = samples.request_of_step(&open, Place::step(1), ["mail.send", "forum.post.create"][place % 2]);
        let (directive, requested) = samples.requested(request);
        let (directive, moved) = match place {
            0 => (directive, vec![]),
            1 => samples.moved(directive, Input::Begin),
            _ => samples
                .moved(directive, Input::Cancel { by: Party::engine(), reason: "enough".into(), is_unsent: false }),
        };
        batch.dispositions.push(started_by(&fact, &open));
        batch.signals.extend([fact, started].into_iter().chain(requested).chain(moved).map(Arc::new));
        if place > 1 {
            let change = [RunChange::Failed, RunChange::Canceled][place % 2];
            batch.signals.push(Arc::new(samples.change(&mut open, change)));
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
                let page = list(Page { order, cursor, limit, bytes: usize::MAX });
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
fn signals_are_listed_in_both_directions_with_every_filter(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    let names = ["forum.thread.created", "workflow.step.completed", "directive.canceled", "never.seen"];
    let groups = ["a conversation", "nobody's", &log.signals[0].lineage.correlation_id];
    for name in with_none(names.map(name)) {
        for correlation_id in with_none(groups.map(str::to_owned)) {
            for run_id in with_none([log.runs[0].id, log.runs[1].id]) {
                let filter = SignalFilter {
                    name: name.clone(),
                    correlation_id: correlation_id.clone(),
                    run_id,
                    ..SignalFilter::default()
                };
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
fn a_group_is_its_facts_and_the_records_of_its_runs_and_directives(
    #[values(Memory, Sqlite, Postgres)] backend: Backend,
) {
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
fn directives_are_listed_in_both_directions_with_every_filter(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
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
fn runs_are_listed_without_steps_in_both_directions_with_every_filter(
    #[values(Memory, Sqlite, Postgres)] backend: Backend,
) {
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
                        ..RunFilter::default()
                    };
                    let matches = |run: &&Run| {
                        workflow.as_ref().is_none_or(|workflow| run.workflow == *workflow)
                            && status.is_none_or(|status| run.status == status)
                            && (signal_id.is_none() || run.signal_id == signal_id)
                            && correlation_id.as_deref().is_none_or(|id| *id == *run.lineage.correlation_id)
                    };
                    let without_steps = |run: &Run| Run { steps: Steps::default(), ..run.clone() };
                    let expected = log.runs.iter().filter(matches).map(without_steps).collect();
                    let list = |page| store.runs(log.tenant.id, &filter, page).expect("read");
                    expect_pages(expected, |run| run.id.0, list);
                }
            }
        }
    }
}

#[rstest]
fn dispositions_are_those_of_one_signal(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let store = backend.open();
    let log = log(&*store);
    for run in &log.runs {
        let signal = run.signal_id.expect("triggered");
        let found = store.dispositions(log.tenant.id, signal, usize::MAX).expect("read");
        let runs: Vec<_> = found.iter().map(|one: &Disposition| (one.signal_id, one.run_id)).collect();
        assert_eq!(runs, [(signal, Some(run.id))]);
    }
}

#[rstest]
fn signals_of_any_of_some_names_are_listed_since_a_time(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let mut signals = Vec::new();
    for place in 0..40 {
        // Some of them within one millisecond.
        samples.wait(Span(300));
        signals.push(samples.fact(tenant.id, ["order.paid", "order.sent", "order.lost", "a.b"][place % 4]));
    }
    store.commit(&facts(signals.clone())).expect("committed");
    let some: [&[&str]; 4] = [&["order.paid", "order.lost"], &["a.b"], &["order.sent", "never.seen"], &[]];
    for names in some.map(|names| names.iter().copied().map(name).collect::<Vec<_>>()) {
        for since in with_none([0, 1, 17, 39].map(|place: usize| signals[place].recorded_at)) {
            for name in [None, Some(name("order.paid"))] {
                let filter =
                    SignalFilter { names: names.clone(), since, name: name.clone(), ..SignalFilter::default() };
                let matches = |signal: &&Signal| {
                    (names.is_empty() || names.contains(&signal.name))
                        && since.is_none_or(|since| signal.recorded_at >= since)
                        && name.as_ref().is_none_or(|name| signal.name == *name)
                };
                let expected = signals.iter().filter(matches).cloned().collect();
                let list = |page| store.signals(tenant.id, &filter, page).expect("read");
                expect_pages(expected, |signal| signal.id.0, list);
            }
        }
    }
    let unknown = SignalFilter { names: vec![name("never.seen")], ..SignalFilter::default() };
    assert_eq!(store.signals(tenant.id, &unknown, Page::newest(9)).expect("read"), []);
}

/// Runs of two workflows, some under way in every way, and some started by others.
fn family(store: &dyn Store) -> (Tenant, Vec<Run>) {
    let mut samples = Samples::new();
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let mut runs: Vec<Run> = Vec::new();
    for place in 0..20 {
        samples.wait(Span::from_millis(2));
        let kin = runs.get(place % 3).map(|run| run.id).filter(|_| place > 3);
        let (mut run, started) = samples.run_with(tenant.id, ["triage", "audit"][place % 2], 1, None, |record| {
            record.version = ["1.0.0", "2.0.0"][place / 10].into();
            record.parent = kin.map(|run_id| Parent { run_id, place: Place::step(0), waits: false });
            record.source = kin.filter(|_| place % 5 == 0);
        });
        let mut signals = vec![started];
        if place % 6 > 0 {
            let changes = [RunChange::Paused, RunChange::Parked, RunChange::Completed, RunChange::Failed];
            signals.push(samples.change(&mut run, changes[place % 4]));
        }
        store.commit(&Batch { runs: vec![whole(&run)], ..facts(signals) }).expect("committed");
        runs.push(run);
    }
    (tenant, runs)
}

#[rstest]
fn runs_are_listed_by_kin_by_version_by_time_and_while_they_are_open(
    #[values(Memory, Sqlite, Postgres)] backend: Backend,
) {
    let store = backend.open();
    let (tenant, runs) = family(&*store);
    let all = RunFilter::default;
    let (some, time) = (Some(runs[1].id), Some(runs[7].started_at));
    let (workflow, version) = (Some(slug("audit")), Some("2.0.0".to_owned()));
    for filter in [
        RunFilter { open: true, ..all() },
        RunFilter { open: true, workflow: workflow.clone(), ..all() },
        RunFilter { open: true, status: Some(Status::Parked), ..all() },
        RunFilter { statuses: vec![Status::Parked, Status::Running], ..all() },
        RunFilter { statuses: vec![Status::Parked, Status::Completed], ..all() },
        RunFilter { statuses: vec![Status::Parked, Status::Failed], open: true, since: time, ..all() },
        RunFilter {
            statuses: vec![Status::Paused, Status::Failed, Status::Paused],
            workflow: workflow.clone(),
            ..all()
        },
        RunFilter { statuses: vec![Status::Running, Status::Completed], parent: some, ..all() },
        RunFilter { open: true, status: Some(Status::Failed), ..all() },
        RunFilter { open: true, parent: some, since: time, ..all() },
        RunFilter { version: version.clone(), ..all() },
        RunFilter { version, workflow, open: true, ..all() },
        RunFilter { parent: some, ..all() },
        RunFilter { source: Some(runs[0].id), ..all() },
        RunFilter { since: time, ..all() },
        RunFilter { until: time, ..all() },
        RunFilter { since: time, until: Some(runs[12].started_at), open: true, ..all() },
    ] {
        let matches = |run: &&Run| {
            filter.workflow.as_ref().is_none_or(|workflow| run.workflow == *workflow)
                && filter.status.is_none_or(|status| run.status == status)
                && (filter.statuses.is_empty() || filter.statuses.contains(&run.status))
                && filter.version.as_deref().is_none_or(|version| *version == *run.version)
                && (filter.parent.is_none() || run.parent.map(|parent| parent.run_id) == filter.parent)
                && (filter.source.is_none() || run.source == filter.source)
                && !(filter.open && run.ended_at.is_some())
                && filter.since.is_none_or(|since| run.started_at >= since)
                && filter.until.is_none_or(|until| run.started_at < until)
        };
        let without_steps = |run: &Run| Run { steps: Steps::default(), ..run.clone() };
        let expected: Vec<_> = runs.iter().filter(matches).map(without_steps).collect();
        let nothing = filter.status == Some(Status::Failed);
        assert_eq!(expected.is_empty(), nothing, "a filter that tells nothing apart: {filter:?}");
        let list = |page| store.runs(tenant.id, &filter, page).expect("read");
        expect_pages(expected, |run| run.id.0, list);
    }
}

#[rstest]
fn runs_under_way_are_counted_by_version_and_status(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let store = backend.open();
    let (tenant, runs) = family(&*store);
    let found = store.runs_in_flight(tenant.id, &slug("triage")).expect("read");
    for (version, status, count) in &found {
        let same = |run: &&Run| *run.version == **version && run.status == *status && run.workflow == slug("triage");
        assert!(*count > 0 && runs.iter().filter(same).count() as u64 == *count, "{version} {status}");
    }
    let open = runs.iter().filter(|run| run.workflow == slug("triage") && run.ended_at.is_none()).count() as u64;
    assert_eq!(found.iter().map(|(_, _, count)| count).sum::<u64>(), open);
    assert!(found.is_sorted() && found.len() > 2, "{found:?}");
    assert_eq!(store.runs_in_flight(tenant.id, &slug("unknown")).expect("read"), []);
}

#[rstest]
fn what_waits_is_listed_in_the_order_in_which_it_began_to(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let (tenant, other) = (samples.tenant("acme"), samples.tenant("other"));
    store.commit(&tenants(&[&tenant, &other])).expect("committed");
    let (mut many, begun) = samples.run_with(tenant.id, "triage", 2, None, |_| {});
    let (mut one, also) = samples.run_with(tenant.id, "triage", 1, None, |_| {});
    let (mut gone, too) = samples.run_with(tenant.id, "triage", 1, None, |_| {});
    let mut signals = vec![begun, also, too];
    let input = |record: &mut StepRecord| {
        let role = fleetprompt_core::tenant::Role::ALL[0];
        record.waiting = Some(Waiting::new(Awaited::Input { prompt: Some("well?".into()), role }).into());
    };
    let items = Place::step(0);
    signals.push(samples.place(&mut many, items, StepChange::Started, |record| record.items = Some(9)));
    // More of one run than a page holds, between those of others, and not in the order of their places.
    for item in [8, 1, 3, 2] {
        signals.push(samples.place(&mut many, items.item(item), StepChange::Waiting, input));
    }
    signals.push(samples.place(&mut one, items, StepChange::Waiting, input));
    signals.push(samples.place(&mut gone, items, StepChange::Waiting, input));
    signals.push(samples.step(&mut many, 1, StepChange::Waiting));
    signals.push(samples.place(&mut many, items.item(5), StepChange::Waiting, input));
    signals.push(samples.place(&mut many, items.item(3), StepChange::Completed, |_| {}));
    signals.push(samples.change(&mut gone, RunChange::Canceled));
    let runs = [&many, &one, &gone].map(whole).to_vec();
    store.commit(&Batch { runs, ..facts(signals) }).expect("committed");

    let at = |run: &Run, place: Place| (run.id, place, run.at(place).expect("there").clone());
    let all = [
        at(&many, items.item(8)),
        at(&many, items.item(1)),
        at(&many, items.item(2)),
        at(&one, items),
        at(&many, Place::step(1)),
        at(&many, items.item(5)),
    ];
    for awaits in with_none(["input", "callback", "time"].map(str::to_owned)) {
        for run_id in with_none([many.id, one.id, gone.id]) {
            let filter = WaitingFilter { awaits: awaits.clone(), run_id };
            let matches = |(run, _, step): &&(RunId, Place, Step)| {
                let word = step.waiting.as_ref().map(|waiting| waiting.what.word());
                run_id.is_none_or(|wanted| wanted == *run) && (awaits.is_none() || word == awaits.as_deref())
            };
            let expected = all.iter().filter(matches).cloned().collect();
            let list = |page| store.waiting(tenant.id, &filter, page).expect("read");
            expect_pages(expected, |(_, _, step)| step.signal_id.expect("it waits").0, list);
            assert_eq!(store.waiting(other.id, &filter, Page::newest(9)).expect("read"), []);
        }
    }
}

/// Pages of large records end by their bytes, leave nothing out, and read no record after the one that ended them.
#[rstest]
fn a_page_ends_with_the_record_that_exceeds_its_bytes(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    const LARGE: usize = 100_000;
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let large = |n: usize| -> fleetprompt_core::Json { serde_json::json!({"n": n, "text": "x".repeat(LARGE)}).into() };
    let mut batch = Batch { tenants: vec![tenant.clone()], ..Batch::default() };
    for n in 0..8 {
        let fact = Signal { payload: large(n), ..samples.fact(tenant.id, "file.read") };
        let (run, started) = samples.run_with(tenant.id, "w", 1, Some(&fact), |record| record.input = Some(large(n)));
        let request =
            directive::Request { payload: large(n), ..samples.request(tenant.id, "mail.send", &n.to_string()) };
        let (directive, requested) = samples.requested(request);
        batch.signals.extend([fact, started].into_iter().chain(requested).map(Arc::new));
        batch.directives.push(Arc::new(directive));
        batch.runs.push(whole(&run));
    }
    store.commit(&batch).expect("committed");

    let page = |order| Page { order, cursor: None, limit: 100, bytes: LARGE * 3 / 2 };
    let lengths = |count: usize| [Order::NewestFirst, Order::OldestFirst].map(|order| (page(order), count)).into_iter();
    let facts = SignalFilter { name: Some(name("file.read")), ..SignalFilter::default() };
    for (page, count) in lengths(2) {
        assert_eq!(store.signals(tenant.id, &facts, page).expect("read").len(), count, "{page:?}");
        assert_eq!(store.directives(tenant.id, &DirectiveFilter::default(), page).expect("read").len(), count);
    }
    // One that exceeds the bytes by itself is a page of one.
    for (page, count) in lengths(1) {
        let page = page.within(1);
        assert_eq!(store.signals(tenant.id, &facts, page).expect("read").len(), count, "{page:?}");
        assert_eq!(store.runs(tenant.id, &RunFilter::default(), page).expect("read").len(), count, "{page:?}");
    }
    let all: Vec<_> = batch.signals.iter().filter(|signal| signal.name == name("file.read")).collect();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.signals(tenant.id, &facts, Page::after(cursor, 100).within(LARGE * 3 / 2)).expect("read");
        let Some(last) = page.last() else { break };
        cursor = Some(last.id.0);
        found.extend(page);
    }
    assert!(found.iter().eq(all.into_iter().map(|signal| &**signal)), "each of them once, in order");
}

/// The items of a step are read with their documents until these exceed a limit, and then without them.
#[rstest]
fn items_beyond_their_bytes_come_without_documents(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    const LARGE: usize = 10_000;
    const ITEMS: u32 = 8;
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (mut run, begun) = samples.run_with(tenant.id, "w", 3, None, |_| {});
    let mut signals = vec![begun];
    for step in [0, 1, 2] {
        let list = |record: &mut StepRecord| record.items = Some(ITEMS);
        signals.push(samples.place(&mut run, Place::step(step), StepChange::Started, list));
        for item in 0..ITEMS {
            let large = |record: &mut StepRecord| record.output = Some(serde_json::json!("x".repeat(LARGE)).into());
            let place = Place::step(step).item(item);
            signals.push(samples.place(&mut run, place, StepChange::Started, |_| {}));
            signals.push(samples.place(&mut run, place, StepChange::Completed, large));
        }
    }
    store.commit(&Batch { runs: vec![whole(&run)], ..facts(signals) }).expect("committed");

    let read = |steps| store.run_steps(tenant.id, run.id, steps).expect("read").expect("it is there");
    let all = StepRange { limit: 9, ..StepRange::one(0) };
    for (steps, read_of_each, first_cut) in [
        (all, ITEMS, None),
        (StepRange { item_bytes: LARGE * 3 / 2, ..all }, 2, Some(2)),
        (StepRange { item_bytes: 0, ..all }, 1, Some(1)),
        (StepRange { item_bytes: LARGE * 3 / 2, items: (3, 7), ..all }, 2, Some(5)),
        (StepRange { item_bytes: LARGE * 3 / 2, items: (6, 7), ..all }, 1, None),
    ] {
        let part = read(steps);
        let ends: Vec<_> = part.items_end.into_iter().collect();
        let expected: Vec<_> = first_cut.into_iter().flat_map(|end| [0, 1, 2].map(|step| (step, end))).collect();
        assert_eq!(ends, expected, "{steps:?}");
        for step in part.run.steps.iter() {
            let items = &step.items.as_deref().expect("items").steps;
            assert_eq!(items.iter().filter(|item| item.output.is_some()).count(), read_of_each as usize, "{steps:?}");
            let known = ITEMS.min(steps.items.1) - steps.items.0;
            assert_eq!(items.count(StepStatus::Completed), known as usize, "{steps:?}");
        }
    }
    // Documents that are not read do not count: two steps with two items each exceed the bytes.
    let part = read(StepRange { item_bytes: LARGE * 3 / 2, bytes: LARGE * 3, ..all });
    assert_eq!((part.end, part.items_end.len()), (2, 2));
}
