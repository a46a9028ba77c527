use std::sync::Arc;

use fleetprompt_core::directive::Input;
use fleetprompt_core::run::{RunChange, StepChange};
use fleetprompt_core::signal::{DedupeKey, DispositionKind};
use fleetprompt_core::{Failure, Json, Lineage, Span};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Batch, DirectiveFilter, Page, RunFilter, RunWrite, SignalFilter, Store};
use rstest::rstest;

use crate::Backend::{self, Memory, Sqlite};
use crate::samples::{Samples, facts, tenants, whole};

#[rstest]
fn what_was_committed_is_read_back_as_it_was(#[values(Memory, Sqlite)] backend: Backend) {
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
    assert_eq!(store.dispositions(tenant.id, batch.signals[0].id).expect("read"), batch.dispositions);
    let last = batch.signals.iter().map(|signal| signal.id).max();
    assert_eq!(store.last_signal_id().expect("read"), last);
}

#[rstest]
fn a_batch_with_one_bad_record_leaves_nothing_behind(#[values(Memory, Sqlite)] backend: Backend) {
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
fn records_of_a_tenant_that_does_not_exist_are_refused(#[values(Memory, Sqlite)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let nobody = samples.tenant("nobody");
    let (_, batch) = samples.cascade(nobody.id, "triage", 1);
    store.commit(&batch).expect_err("no such tenant");
    assert_eq!(store.last_signal_id().expect("read"), None);
}

#[rstest]
fn an_empty_batch_is_nothing_to_do(#[values(Memory, Sqlite)] backend: Backend) {
    backend.open().commit(&Batch::default()).expect("committed");
}

#[rstest]
fn nothing_of_a_tenant_can_be_read_by_another(#[values(Memory, Sqlite)] backend: Backend) {
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
        assert_eq!(store.dispositions(stranger, fact.id).expect("read"), []);
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
fn two_tenants_may_use_the_same_keys(#[values(Memory, Sqlite)] backend: Backend) {
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
fn a_key_is_given_once(#[values(Memory, Sqlite)] backend: Backend) {
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
fn rows_are_brought_up_to_date_move_by_move(#[values(Memory, Sqlite)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");
    let request = samples.request(tenant.id, "mail.send", "k");
    let request = fleetprompt_core::directive::Request { timeout: Some(Span(1_500_001)), ..request };
    let (mut directive, mut signals) = samples.requested(request);
    let busy = Failure { retry_after_ms: Some(5), ..Failure::retry("http_status", "429") };
    let outcome = |attempt, result| Input::Outcome { attempt, result, logs: vec!["a line".into()] };
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
fn steps_that_a_write_does_not_name_stay_as_they_were(#[values(Memory, Sqlite)] backend: Backend) {
    let (store, mut samples) = (backend.open(), Samples::new());
    let tenant = samples.tenant("acme");
    let fact = samples.fact(tenant.id, "forum.thread.created");
    let (mut run, started) = samples.run(tenant.id, "triage", 4, &fact);
    let first = samples.step(&mut run, 1, StepChange::Started);
    let write = |run: &fleetprompt_core::run::Run, steps: &[usize], signals: Vec<_>| Batch {
        runs: vec![RunWrite { run: Arc::new(run.clone()), steps: steps.to_vec() }],
        ..facts(signals)
    };
    let batch = write(&run, &[1], vec![fact, started, first]);
    store.commit(&Batch { tenants: vec![tenant.clone()], ..batch }).expect("committed");
    assert_eq!(store.run(tenant.id, run.id).expect("read").as_ref(), Some(&run));

    let unwritten = samples.step(&mut run, 3, StepChange::Started);
    let failed = samples.step(&mut run, 1, StepChange::Failed);
    let ended = samples.end(&mut run, RunChange::Failed);
    store.commit(&write(&run, &[1], vec![unwritten, failed, ended])).expect("committed");
    run.steps[3] = Default::default();
    assert_eq!(store.run(tenant.id, run.id).expect("read").as_ref(), Some(&run));

    let none = store.commit(&write(&run, &[4], vec![]));
    assert!(none.is_err(), "there is no fifth step");
}

#[rstest]
fn the_last_disposition_of_a_pair_counts(#[values(Memory, Sqlite)] backend: Backend) {
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
    assert_eq!(store.dispositions(tenant.id, started.signal_id).expect("read"), [other.clone(), started.clone()]);

    let again = fleetprompt_core::signal::Disposition { kind: DispositionKind::Deduplicated, ..started };
    store.commit(&Batch { dispositions: vec![again.clone()], ..Batch::default() }).expect("committed");
    assert_eq!(store.dispositions(tenant.id, again.signal_id).expect("read"), [other, again.clone()]);
    assert_eq!(again.run_id, Some(run.id));
}

#[rstest]
fn texts_stay_as_they_are_however_long_or_strange(#[values(Memory, Sqlite)] backend: Backend) {
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
