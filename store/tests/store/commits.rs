use std::sync::Arc;

use fleetprompt_core::directive::{Directive, HandlerKind, Input, Request};
use fleetprompt_core::run::{
    Awaited, FlowKeys, Parent, Place, Queue, QueueReason, Run, RunChange, Step, StepChange, StepRecord, StepStatus,
    Waiting,
};
use fleetprompt_core::signal::{DedupeKey, Disposition, DispositionKind};
use fleetprompt_core::{Failure, Json, Lineage, Party, RunId, Signal, Span, Timestamp};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Batch, DirectiveFilter, Page, RunFilter, RunWrite, SignalFilter, Store};
use rstest::rstest;

use crate::Backend::{self, Memory, Postgres, Sqlite};
use crate::samples::{Samples, changed, facts, started_by, tenants, whole};

#[rstest]
fn what_was_committed_is_read_back_as_it_was(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let (run, mut batch) = samples.cascade(tenant.id, "triage", 3);
    batch.tenants.push(tenant.clone());
    store.commit(&batch).expect("committed");

    for signal in &batch.signals {
        assert_eq!(store.signal(tenant.id, signal.id).expect("read").as_ref(), Some(&**signal));
    }
    let directive = &batch.directives[0];
    assert_eq!(store.directive(tenant.id, directive.id).expect("read").as_ref(), Some(&**directive));
    assert_eq!(store.run(tenant.id, run.id).expect("read"), Some(run));
    assert_eq!(store.dispositions(tenant.id, batch.signals[0].id, usize::MAX).expect("read"), batch.dispositions);
    let last = batch.signals.iter().map(|signal| signal.id).max();
    assert_eq!(store.last_signal_id().expect("read"), last);
}

#[rstest]
fn a_batch_with_one_bad_record_leaves_nothing_behind(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let (acme, later) = (samples.tenant("acme"), samples.tenant("later"));
    let known = samples.fact(acme.id, "forum.thread.created");
    store.commit(&Batch { tenants: vec![acme.clone()], ..facts([known.clone()]) }).expect("committed");

    let (run, mut batch) = samples.cascade(later.id, "never-seen-before", 2);
    batch.tenants.push(later.clone());
    batch.signals.push(Arc::new(known));
    store.commit(&batch).expect_err("that fact exists");
    assert_eq!(store.run(later.id, run.id).expect("read"), None);
    assert_eq!(store.directory().expect("read").tenants, [acme]);
    assert_eq!(store.signals(later.id, &SignalFilter::default(), Page::newest(9)).expect("read"), []);

    // And what the failed commit had numbered is numbered anew.
    batch.signals.pop();
    store.commit(&batch).expect("committed");
    assert_eq!(store.run(later.id, run.id).expect("read"), Some(run));
}

#[rstest]
fn records_of_a_tenant_that_does_not_exist_are_refused(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let nobody = samples.tenant("nobody");
    let (_, batch) = samples.cascade(nobody.id, "triage", 1);
    store.commit(&batch).expect_err("no such tenant");
    assert_eq!(store.last_signal_id().expect("read"), None);
}

#[rstest]
fn an_empty_batch_is_nothing_to_do(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    backend.open().commit(&Batch::default()).expect("committed");
}

#[rstest]
fn nothing_of_a_tenant_can_be_read_by_another(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let (owner, other) = (samples.tenant("owner"), samples.tenant("other"));
    let (run, mut batch) = samples.cascade(owner.id, "triage", 2);
    let (fact, key) = (batch.signals[0].clone(), DedupeKey("key:1".into()));
    batch.dedupe_keys.push((owner.id, key.clone(), fact.id));
    batch.tenants.extend([owner.clone(), other.clone()]);
    store.commit(&batch).expect("committed");

    let nobody = samples.tenant("nobody");
    for stranger in [other.id, nobody.id] {
        let directive = &batch.directives[0];
        assert_eq!(store.signal(stranger, fact.id).expect("read"), None);
        assert_eq!(store.directive(stranger, directive.id).expect("read"), None);
        assert_eq!(store.run(stranger, run.id).expect("read"), None);
        assert_eq!(store.dispositions(stranger, fact.id, usize::MAX).expect("read"), []);
        assert_eq!(store.deduplicate(&[(stranger, key.clone())]).expect("read"), [None]);
        let by_key = store.directives_by_key(&[(stranger, directive.idempotency_key.clone())]);
        assert_eq!(by_key.expect("read"), [None]);
        let correlation_id = Some(fact.lineage.correlation_id.to_string());
        for filter in [
            SignalFilter::default(),
            SignalFilter { correlation_id: correlation_id.clone(), ..SignalFilter::default() },
            SignalFilter { run_id: Some(run.id), ..SignalFilter::default() },
            SignalFilter { name: Some(fact.name.clone()), ..SignalFilter::default() },
        ] {
            assert_eq!(store.signals(stranger, &filter, Page::newest(9)).expect("read"), []);
        }
        let of_run = DirectiveFilter { run_id: Some(run.id), ..DirectiveFilter::default() };
        for filter in [DirectiveFilter::default(), of_run] {
            assert_eq!(store.directives(stranger, &filter, Page::newest(9)).expect("read"), []);
        }
        let of_signal = RunFilter { signal_id: Some(fact.id), ..RunFilter::default() };
        let of_group = RunFilter { correlation_id, ..RunFilter::default() };
        for filter in [RunFilter::default(), of_signal, of_group] {
            assert_eq!(store.runs(stranger, &filter, Page::newest(9)).expect("read"), []);
        }
    }
}

#[rstest]
fn two_tenants_may_use_the_same_keys(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let both = [samples.tenant("one"), samples.tenant("two")];
    store.commit(&tenants(&[&both[0], &both[1]])).expect("committed");
    let key = DedupeKey("key:order-1".into());
    let mut ids = Vec::new();
    for tenant in &both {
        let fact = samples.fact(tenant.id, "order.created");
        let request = samples.request(tenant.id, "mail.send", "order-1");
        let (directive, signals) = samples.requested(request);
        let mut batch = facts(signals);
        batch.dedupe_keys.push((tenant.id, key.clone(), fact.id));
        ids.push((fact.id, directive.id));
        batch.signals.push(Arc::new(fact));
        batch.directives.push(Arc::new(directive));
        store.commit(&batch).expect("committed");
    }
    // Answers come in the order of the questions.
    let asked = [(both[1].id, key.clone()), (both[0].id, DedupeKey("key:other".into())), (both[0].id, key)];
    assert_eq!(store.deduplicate(&asked).expect("read"), [Some(ids[1].0), None, Some(ids[0].0)]);
    let asked = [(both[1].id, "order-1".to_owned()), (both[1].id, "2".to_owned()), (both[0].id, "order-1".to_owned())];
    let found = store.directives_by_key(&asked).expect("read");
    let found: Vec<_> = found.into_iter().map(|one| one.map(|directive| directive.id)).collect();
    assert_eq!(found, [Some(ids[1].1), None, Some(ids[0].1)]);
}

#[rstest]
fn a_key_is_given_once(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let (first, second) = (samples.fact(tenant.id, "a.b"), samples.fact(tenant.id, "a.b"));
    let key = DedupeKey("event:4:shop:17".into());
    let with_key = |fact: &fleetprompt_core::Signal| Batch {
        dedupe_keys: vec![(tenant.id, key.clone(), fact.id)],
        ..facts([fact.clone()])
    };
    store.commit(&Batch { tenants: vec![tenant.clone()], ..with_key(&first) }).expect("committed");
    store.commit(&with_key(&second)).expect_err("the key is the first fact's");
    assert_eq!(store.signal(tenant.id, second.id).expect("read"), None);
    assert_eq!(store.deduplicate(&[(tenant.id, key.clone())]).expect("read"), [Some(first.id)]);

    let request = samples.request(tenant.id, "mail.send", "same");
    let again = samples.request(tenant.id, "mail.send", "same");
    let (directive, _) = samples.requested(request);
    let (impostor, _) = samples.requested(again);
    let batch = |directive| Batch { directives: vec![Arc::new(directive)], ..Batch::default() };
    store.commit(&batch(directive.clone())).expect("committed");
    store.commit(&batch(impostor)).expect_err("the key is the first directive's");
    let found = store.directives_by_key(&[(tenant.id, "same".into())]).expect("read");
    assert_eq!(found, [Some(directive)]);
}

#[rstest]
fn rows_are_brought_up_to_date_move_by_move(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let request = samples.request(tenant.id, "mail.send", "k");
    let request = fleetprompt_core::directive::Request { timeout: Some(Span(1_500_001)), ..request };
    let (mut directive, mut signals) = samples.requested(request);
    let busy = Failure { retry_after_ms: Some(5), ..Failure::retry("http_status", "429") };
    let outcome = |attempt, result| Input::Outcome { attempt, result, execution: None, logs: vec!["a line".into()] };
    let inputs = [Input::Begin, outcome(1, Err(busy)), Input::Due, outcome(2, Ok(Json::null()))];
    for input in inputs.into_iter().map(Some).chain([None]) {
        let directives = vec![Arc::new(directive.clone())];
        store.commit(&Batch { directives, ..facts(signals) }).expect("committed");
        assert_eq!(store.directive(tenant.id, directive.id).expect("read").as_ref(), Some(&directive));
        samples.wait(Span::from_secs(70));
        let Some(input) = input else { break };
        (directive, signals) = samples.moved(directive, input);
    }
    assert_eq!(directive.output, Some(Json::null()));
}

#[rstest]
fn a_directive_that_is_reopened_is_as_it_was_requested(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (run, started) = samples.run(tenant.id, "triage", 2, &fact);
    store.commit(&Batch { tenants: vec![tenant.clone()], ..facts([fact, started]) }).expect("committed");
    let request = samples.request_of_step(&run, Place::step(1).item(7).undo(), "mail.send");
    let heartbeat = Some(Span::from_secs(90));
    let (directive, requested) = samples.requested(Request { handler: HandlerKind::Manual, heartbeat, ..request });
    let commit = |(directive, signals): &(Directive, Vec<_>)| {
        let directives = vec![Arc::new(directive.clone())];
        store.commit(&Batch { directives, ..facts(signals.clone()) }).expect("committed");
        assert_eq!(store.directive(tenant.id, directive.id).expect("read").as_ref(), Some(directive));
    };
    commit(&(directive.clone(), requested));
    samples.wait(Span::from_secs(1));
    let begun = samples.moved(directive.clone(), Input::Begin);
    assert_ne!(begun.0.started_at, Some(begun.0.requested_at), "it did not begin at once");
    commit(&begun);
    let canceled =
        samples.moved(begun.0, Input::Cancel { by: Party::engine(), reason: "enough".into(), is_unsent: false });
    commit(&canceled);
    let reopened = samples.moved(canceled.0, Input::Reopen { by: Party::engine() });
    assert_eq!(reopened.0, directive);
    commit(&reopened);
}

#[rstest]
fn places_that_a_write_does_not_name_stay_as_they_were(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (mut run, started) = samples.run(tenant.id, "triage", 4, &fact);
    let three = |record: &mut StepRecord| record.items = Some(3);
    let begun = samples.place(&mut run, Place::step(1), StepChange::Started, three);
    let item = samples.place(&mut run, Place::step(1).item(2), StepChange::Completed, |_| {});
    let batch = Batch { runs: vec![whole(&run)], ..facts([fact, started, begun, item]) };
    store.commit(&Batch { tenants: vec![tenant.clone()], ..batch }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read").as_ref(), Some(&run));

    let before = run.clone();
    let unnamed = [
        samples.step(&mut run, 3, StepChange::Started),
        samples.place(&mut run, Place::step(1).item(0), StepChange::Started, |_| {}),
        samples.place(&mut run, Place::step(1).item(2), StepChange::Compensating, |_| {}),
    ];
    let named = samples.place(&mut run, Place::step(1), StepChange::Canceling, |_| {});
    let write = |places: Vec<Place>| RunWrite { run: Arc::new(run.clone()), places };
    let signals = facts(unnamed.into_iter().chain([named]));
    store.commit(&Batch { runs: vec![write(vec![Place::step(1)])], ..signals }).expect("committed");
    let stored = store.run(tenant.id, run.id).expect("read").expect("it is there");
    assert_eq!(stored.steps[1].status, StepStatus::Canceling);
    assert_eq!(changed(&before, &stored).places, [Place::step(1)]);

    let none = store.commit(&Batch { runs: vec![write(vec![Place::step(4)])], ..Batch::default() });
    assert!(none.is_err(), "there is no fifth step");
}

#[rstest]
fn a_run_is_read_as_it_was_written_through_all_that_its_places_can_be(
    #[values(Memory, Sqlite, Postgres)] backend: Backend,
) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (mut run, started) = samples.run(tenant.id, "triage", 3, &fact);
    let batch = Batch { runs: vec![whole(&run)], ..facts([fact, started]) };
    store.commit(&Batch { tenants: vec![tenant.clone()], ..batch }).expect("committed");
    let (step, list) = (Place::step(0), Place::step(1));
    let waits = |awaited: Awaited| move |record: &mut StepRecord| record.waiting = Some(Waiting::new(awaited).into());
    let locked = |record: &mut StepRecord| record.lock = Some("orders/1".into());
    let mut go = |say: &dyn Fn(&mut Samples, &mut Run) -> Signal| {
        samples.wait(Span::from_millis(1));
        let before = run.clone();
        let signal = say(&mut samples, &mut run);
        store.commit(&Batch { runs: vec![changed(&before, &run)], ..facts([signal]) }).expect("committed");
        assert_eq!(store.run(tenant.id, run.id).expect("read").as_ref(), Some(&run));
        run.clone()
    };

    // A repeated step: its last output stays while the next iteration runs, waits and fails.
    go(&|samples, run| samples.place(run, step, StepChange::Started, locked));
    go(&|samples, run| samples.place(run, step, StepChange::Repeating, locked));
    let lock = Awaited::Lock { name: "orders/1".into() };
    go(&|samples, run| samples.place(run, step, StepChange::Waiting, waits(lock.clone())));
    let failed = go(&|samples, run| samples.step(run, 0, StepChange::Failed));
    assert!(failed.steps[0].output.is_some() && failed.steps[0].output_by != failed.steps[0].signal_id);
    go(&|samples, run| samples.place(run, step, StepChange::Reset, |record| record.issue = 1));

    // A list: items that end, an undone one, a reset that keeps what completed, and one that does not.
    go(&|samples, run| samples.place(run, list, StepChange::Started, |record| record.items = Some(70)));
    for (item, change) in [(0, StepChange::Completed), (1, StepChange::Failed), (69, StepChange::Completed)] {
        go(&|samples, run| samples.place(run, list.item(item), change, |_| {}));
    }
    go(&|samples, run| samples.place(run, list.item(69), StepChange::Compensated, |_| {}));
    go(&|samples, run| samples.place(run, list, StepChange::Failed, |_| {}));
    let kept = go(&|samples, run| samples.place(run, list, StepChange::Reset, |record| record.items = Some(70)));
    assert_eq!(kept.at(list.item(69)).map(|item| item.status), Some(StepStatus::Completed));
    let dropped = go(&|samples, run| samples.place(run, list, StepChange::Reset, |_| {}));
    assert_eq!(dropped.at(list.item(69)), None);
    let fewer = go(&|samples, run| samples.place(run, list, StepChange::Started, |record| record.items = Some(2)));
    assert_eq!(fewer.at(list.item(0)), Some(&Step::default()));

    // A step is undone, and the run with it; and goes on after all.
    go(&|samples, run| samples.change(run, RunChange::Compensating));
    go(&|samples, run| samples.place(run, Place::step(2), StepChange::CompensationFailed, |_| {}));
    for change in [RunChange::Parked, RunChange::Resumed, RunChange::Paused, RunChange::Stopping, RunChange::Failed] {
        go(&|samples, run| samples.change(run, change));
    }
    let again = go(&|samples, run| samples.change(run, RunChange::Retried));
    assert_eq!((again.ended_at, again.error), (None, None));
}

#[rstest]
fn a_run_remembers_where_it_comes_from_and_when_it_began(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (origin, started) = samples.run_with(tenant.id, "triage", 1, None, |_| {});
    let keys = FlowKeys { debounce: Some("a\0b".into()), throttle: Some("ü".into()), ..FlowKeys::default() };
    let place = Place::step(3).item(9).undo();
    let (mut run, queued) = samples.run_with(tenant.id, "audit", 1, None, |record| {
        record.parent = Some(Parent { run_id: origin.id, place, waits: true });
        record.source = Some(origin.id);
        record.keys = keys.clone();
        let until = Some(Timestamp(1_900_000_000_000_000));
        record.queue = Some(Queue { reason: QueueReason::Debounce, until, since: Some(Timestamp(5)) });
    });
    let mut batch = Batch { runs: vec![whole(&origin), whole(&run)], ..facts([started, queued]) };
    for change in [None, Some(RunChange::Queued), Some(RunChange::Started), Some(RunChange::Completed)] {
        if let Some(change) = change {
            samples.wait(Span::from_secs(3));
            let signal = samples.change(&mut run, change);
            batch = Batch { runs: vec![whole(&run)], ..facts([signal]) };
        }
        store.commit(&batch).expect("committed");
        assert_eq!(store.run(tenant.id, run.id).expect("read").as_ref(), Some(&run), "{change:?}");
    }
    assert_eq!(run.begun_at, Some(run.started_at + Span::from_secs(6)));

    // One that never began and has ended did not begin.
    let (mut run, queued) = samples.run_with(tenant.id, "audit", 1, None, |record| {
        record.queue = Some(Queue { reason: QueueReason::Concurrency, until: None, since: None });
    });
    let ended = samples.change(&mut run, RunChange::Canceled);
    store.commit(&Batch { runs: vec![whole(&run)], ..facts([queued, ended]) }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read"), Some(run.clone()));
    assert_eq!(run.begun_at, None);
}

#[rstest]
fn a_signal_may_advance_many_runs_of_a_workflow_and_start_one(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (run, started) = samples.run(tenant.id, "triage", 1, &fact);
    let begins = started_by(&fact, &run);
    let waiters = [RunId(samples.moment.uuid()), RunId(samples.moment.uuid())];
    let advanced = |run: RunId| Disposition { run_id: Some(run), kind: DispositionKind::Advanced, ..begins.clone() };
    let [first, second] = waiters.map(advanced);
    // The second is told twice, as when two of its steps wait.
    let dispositions = vec![second.clone(), first.clone(), begins.clone(), second.clone()];
    let batch = Batch { tenants: vec![tenant.clone()], dispositions, ..facts([fact.clone(), started]) };
    store.commit(&batch).expect("committed");
    assert_eq!(store.dispositions(tenant.id, fact.id, usize::MAX).expect("read"), [begins, first, second]);
}

#[rstest]
fn the_last_disposition_of_a_pair_counts(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let (run, mut batch) = samples.cascade(tenant.id, "triage", 1);
    let started = batch.dispositions[0].clone();
    let mut other = started.clone();
    other.workflow = crate::samples::slug("audit");
    other.run_id = None;
    other.kind = DispositionKind::Filtered;
    other.reason = Some("`when` did not hold: ${a ≠ b}".into());
    batch.dispositions.push(other.clone());
    batch.tenants.push(tenant.clone());
    store.commit(&batch).expect("committed");
    // By workflow, whichever came first.
    assert_eq!(
        store.dispositions(tenant.id, started.signal_id, usize::MAX).expect("read"),
        [other.clone(), started.clone()]
    );

    let again = fleetprompt_core::signal::Disposition { kind: DispositionKind::Deduplicated, ..started };
    store.commit(&Batch { dispositions: vec![again.clone()], ..Batch::default() }).expect("committed");
    assert_eq!(store.dispositions(tenant.id, again.signal_id, usize::MAX).expect("read"), [other, again.clone()]);
    assert_eq!(again.run_id, Some(run.id));
}

#[rstest]
fn texts_stay_as_they_are_however_long_or_strange(#[values(Memory, Sqlite, Postgres)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let strange = "  Zalgo: T̸̥̊ 𝔘𝔫𝔦 👩‍👩‍👧‍👦 \u{202e}rtl\u{0} '; DROP TABLE signals; -- \u{feff}\u{10ffff}";
    let big = format!("{:?}", "x".repeat(1 << 20));
    let exact = r#"{"n": 12345678901234567890123.10, "s": "\u0000\ud83d\ude00", "a" :[ ]}"#;
    for (place, payload) in [big.as_str(), exact, "null", "[]"].into_iter().enumerate() {
        let mut fact = samples.fact(tenant.id, "a.b");
        fact.payload = Json::from_stored(payload.to_owned()).expect("JSON");
        fact.subject = Some(fleetprompt_core::Party::new(strange, "x".repeat(255)));
        fact.source = Some(strange.into());
        fact.source_event_id = Some(format!("{place}"));
        fact.dedupe_key = Some(strange.into());
        fact.lineage = Lineage { depth: u16::MAX, ..Lineage::root(format!("{strange}{place}")) };
        fact.occurred_at = fleetprompt_core::Timestamp(-1);
        store.commit(&facts([fact.clone()])).expect("committed");
        let read = store.signal(tenant.id, fact.id).expect("read").expect("it is there");
        assert_eq!(read.payload.text(), payload);
        assert_eq!(read, fact);
        let correlation_id = Some(fact.lineage.correlation_id.to_string());
        let filter = SignalFilter { correlation_id, ..SignalFilter::default() };
        assert_eq!(store.signals(tenant.id, &filter, Page::newest(9)).expect("read"), [fact]);
    }
}

#[rstest]
fn a_batch_that_breaks_a_constraint_is_unstorable_and_the_next_one_is_written(
    #[values(Backend::Memory, Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let (first, second, third) = (samples.fact(tenant.id, "a.b"), samples.fact(tenant.id, "a.b"), samples.tenant("no"));
    store.commit(&Batch { tenants: vec![tenant.clone()], ..facts([first.clone()]) }).expect("committed");
    let twice = facts([second.clone(), first.clone()]);
    let of_no_tenant = facts([samples.fact(third.id, "a.b")]);
    for (batch, number) in [(&twice, 0), (&of_no_tenant, 1), (&twice, 2)] {
        let error = store.commit(batch).expect_err("it breaks a constraint");
        assert!(error.is_unstorable(), "{number}: {error}");
        assert_eq!(store.signal(tenant.id, second.id).expect("read"), None, "all or nothing");
    }
    store.commit(&facts([second.clone()])).expect("the store itself is well");
    assert_eq!(store.signal(tenant.id, second.id).expect("read"), Some(second));
}

#[rstest]
fn a_version_of_any_characters_can_be_asked_for(
    #[values(Backend::Memory, Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (slug, version) = ("triage".parse().expect("a slug"), "1.0.0\0".to_owned());
    assert_eq!(store.workflow_version(tenant.id, &slug, &version).expect("read"), None);
    let filter = RunFilter { version: Some(version), ..RunFilter::default() };
    assert_eq!(store.runs(tenant.id, &filter, Page::newest(9)).expect("read"), []);
}

#[test]
fn the_memory_store_fails_as_often_as_it_is_told() {
    let (store, mut samples) = (MemoryStore::default(), Samples::new());
    let tenant = samples.tenant("acme");
    store.fail_next_commits(2);
    for _ in 0..2 {
        store.commit(&tenants(&[&tenant])).expect_err("told to fail");
        assert_eq!(store.directory().expect("read").tenants, []);
    }
    store.commit(&tenants(&[&tenant])).expect("committed");
    let (_, batch) = samples.cascade(tenant.id, "triage", 1);
    let whole = Batch { runs: vec![whole(&batch.runs[0].run)], ..batch };
    store.commit(&whole).expect("committed");
}
