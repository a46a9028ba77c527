//! The path from a signal to a run that has ended, over the in-memory store.
#![allow(clippy::unwrap_used)]

mod support;

use fleetprompt_core::run::{Run, Status, StepStatus};
use fleetprompt_core::signal::{DispositionKind, NewSignal};
use fleetprompt_core::{Failure, Json, directive};
use fleetprompt_engine::{Config, Engine, Error, NewDirective, RefusalKind};
use fleetprompt_store::{DirectiveFilter, Page, RunFilter, SignalFilter, Store};
use serde_json::json;
use support::{House, directive, greeting, refusal, shipping, signal, tenant};

#[tokio::test]
async fn a_signal_whose_workflow_is_pure_ends_in_the_commit_that_recorded_it() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    let before = *house.engine.commits().borrow();
    let emitted = house.emit(signal("order.placed", json!({"name": "Ada"}))).await.unwrap();
    assert_eq!(*house.engine.commits().borrow(), before + 1);
    let run = house.run(emitted.dispositions[0].run_id.unwrap());
    assert_eq!(run.status, Status::Completed);
    assert_eq!(run.output.as_ref().unwrap().value(), &json!({"said": "Hello ADA"}));

    let filter = SignalFilter { correlation_id: Some(emitted.signal.id.to_string()), ..SignalFilter::default() };
    let signals = house.store.signals(house.scope.tenant, &filter, Page::after(None, 100)).unwrap();
    let names: Vec<&str> = signals.iter().map(|signal| signal.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "order.placed",
            "directive.requested",
            "directive.succeeded",
            "workflow.run.started",
            "workflow.step.completed",
            "workflow.step.completed",
            "workflow.run.completed",
        ]
    );
    house.verified();
}

#[tokio::test]
async fn a_fact_that_is_told_twice_is_recorded_once() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    let mut fact = signal("order.placed", json!({"name": "Ada"}));
    fact.source = Some("shop".into());
    fact.source_event_id = Some("e-1".into());
    // Twice in one batch, and once more later.
    let both = house.engine.emit(&house.scope, vec![fact.clone(), fact.clone()]).await.unwrap();
    let third = house.emit(fact).await.unwrap();
    let [first, second] = both.try_into().map_err(drop).unwrap();
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.deduplicated, second.deduplicated, third.deduplicated), (false, true, true));
    assert_eq!((second.signal.id, third.signal.id), (first.signal.id, first.signal.id));
    assert_eq!(second.dispositions, first.dispositions);
    assert_eq!(third.dispositions, first.dispositions);
    let runs = house.store.runs(house.scope.tenant, &RunFilter::default(), Page::newest(10)).unwrap();
    assert_eq!(runs.len(), 1);
}

#[tokio::test]
async fn a_dedupe_key_is_of_one_name_and_another_payload_under_it_is_refused() {
    let house = House::new().await;
    let keyed = |name: &str, payload: &str| NewSignal {
        dedupe_key: Some("ticket-7".into()),
        payload: Json::parse(payload).unwrap(),
        ..signal(name, json!({}))
    };
    let event = |name: &str, id: &str, payload: &str| NewSignal {
        source: Some("shop".into()),
        source_event_id: Some(id.into()),
        ..keyed(name, payload)
    };
    // All of it in one batch, then after the commit, then after a restart.
    for house in [&house, &house, &house.restarted()] {
        for (one, is_new) in [
            (keyed("ticket.opened", r#"{"id": 12345678901234567890, "by": "ada"}"#), true),
            (keyed("ticket.opened", r#"{"by":"ada","id":12345678901234567890.0}"#), false),
            (event("ticket.closed", "e-1", "{}"), true),
            (NewSignal { dedupe_key: None, ..event("ticket.closed", "e-1", " { } ") }, false),
            (NewSignal { dedupe_key: None, ..event("ticket.opened", "e-1", "[1]") }, true),
        ] {
            let emitted = house.emit(one).await.unwrap();
            assert!(is_new || emitted.deduplicated, "{emitted:?}");
        }
        for other in [
            keyed("ticket.opened", r#"{"id": 12345678901234567891, "by": "ada"}"#),
            keyed("ticket.closed", r#"{"a": 1}"#),
            NewSignal { dedupe_key: None, ..event("ticket.opened", "e-1", "[1.00000000000000000001]") },
            // One key stands for this payload, and the other for another one.
            event("ticket.opened", "e-1", r#"{"id": 12345678901234567890, "by": "ada"}"#),
        ] {
            let refusal = refusal(house.emit(other).await);
            assert_eq!((refusal.code, refusal.kind), ("dedupe_key_reused", RefusalKind::Invalid), "{refusal:?}");
        }
    }
    let stored = house.store.signals(house.scope.tenant, &SignalFilter::default(), Page::newest(20)).unwrap();
    assert_eq!(stored.iter().filter(|signal| signal.name.as_str().starts_with("ticket.")).count(), 3);
    let both = vec![keyed("ticket.moved", "1"), keyed("ticket.moved", "2"), keyed("ticket.moved", "1.0")];
    let results = house.engine.emit(&house.scope, both).await.unwrap();
    assert_eq!(refusal(results[1].clone()).code, "dedupe_key_reused");
    assert!(results[2].as_ref().is_ok_and(|emitted| emitted.deduplicated), "{results:?}");
}

#[tokio::test]
async fn a_step_that_emits_under_a_used_key_learns_whether_it_is_the_same_signal() {
    let house = House::new().await;
    let emits = |slug: &str, name: &str| {
        json!({"name": slug, "slug": slug, "version": "1.0.0", "trigger": {"signal": format!("{slug}.due")},
            "steps": [{"id": "emit", "type": "directive", "directive": "signal.emit",
                "payload": {"name": name, "dedupe_key": "k", "payload": "${signal.payload}"}}]})
    };
    house.workflow(emits("opens", "ticket.opened")).await;
    house.workflow(emits("closes", "ticket.closed")).await;
    let mut ended = Vec::new();
    for (name, payload) in
        [("opens", json!({"n": 1})), ("opens", json!({"n": 1})), ("closes", json!(null)), ("opens", json!({"n": 2}))]
    {
        let emitted = house.emit(signal(&format!("{name}.due"), payload)).await.unwrap();
        ended.push(house.ended(emitted.dispositions[0].run_id.unwrap()).await);
    }
    let output = |run: &Run| run.steps[0].output.clone().map(|output| output.value()["deduplicated"].clone());
    assert_eq!(ended[..3].iter().map(output).collect::<Vec<_>>(), [false, true, false].map(|it| Some(json!(it))));
    let failed = ended[3].steps[0].error.as_ref().unwrap();
    assert_eq!(failed.code, "dedupe_key_reused");
    assert!(failed.message.contains("ticket.opened"), "{failed:?}");
    house.verified();
}

#[tokio::test]
async fn one_bad_signal_does_not_keep_its_neighbours_out() {
    let house = House::new().await;
    let reserved = signal("workflow.run.completed", json!({}));
    let good = signal("order.placed", json!({}));
    let results = house.engine.emit(&house.scope, vec![reserved, good]).await.unwrap();
    assert!(matches!(&results[0], Err(Error::Refused(refusal)) if refusal.code == "name_reserved"));
    assert!(results[1].is_ok());
}

#[tokio::test]
async fn many_signals_are_answered_and_recorded_in_their_order() {
    let house = House::new().await;
    let mut signals: Vec<_> = (0..100).map(|number| signal("order.placed", json!({"number": number}))).collect();
    signals[57] = signal("workflow.run.started", json!({}));
    let results = house.engine.emit(&house.scope, signals).await.unwrap();
    assert_eq!(results.iter().position(Result::is_err), Some(57));
    let mut recorded: Vec<_> = results.into_iter().flatten().map(|emitted| emitted.signal).collect();
    let numbers: Vec<_> = recorded.iter().map(|signal| signal.payload.value()["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (0..100).filter(|number| *number != 57).collect::<Vec<_>>());
    assert!(recorded.is_sorted_by_key(|signal| signal.id));
    recorded.dedup_by_key(|signal| signal.id);
    assert_eq!(recorded.len(), 99);
}

#[tokio::test]
async fn every_subscription_gets_a_disposition() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    let mut picky = greeting();
    picky["slug"] = json!("picky");
    picky["trigger"]["when"] = json!("${signal.payload.name == 'Grace'}");
    house.workflow(picky).await;
    let mut paused = greeting();
    paused["slug"] = json!("paused");
    house.workflow(paused).await;
    let to = fleetprompt_core::registration::WorkflowStatus::Paused;
    house.engine.workflow_status_set(&house.scope, "paused".parse().unwrap(), to, None).await.unwrap();

    let emitted = house.emit(signal("order.placed", json!({"name": "Ada"}))).await.unwrap();
    let kinds: Vec<_> = emitted.dispositions.iter().map(|one| (one.workflow.as_str(), one.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("greeting", DispositionKind::Started),
            ("paused", DispositionKind::Refused),
            ("picky", DispositionKind::Filtered),
        ]
    );
    let stored = house.store.dispositions(house.scope.tenant, emitted.signal.id, usize::MAX).unwrap();
    assert_eq!(stored, emitted.dispositions);
}

#[tokio::test]
async fn a_replayed_signal_returns_the_same_run_and_starts_what_is_new() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    let emitted = house.emit(signal("order.placed", json!({"name": "Ada"}))).await.unwrap();
    let mut later = greeting();
    later["slug"] = json!("later");
    house.workflow(later).await;
    let payload = json!({"signal_id": emitted.signal.id});
    let replayed = house.request("signal.replay", "again", payload).await.unwrap();
    let output = replayed.directive.output.clone().unwrap();
    let dispositions = &output.value()["dispositions"];
    assert_eq!(dispositions[0]["disposition"], "deduplicated");
    assert_eq!(dispositions[0]["run_id"], json!(emitted.dispositions[0].run_id));
    assert_eq!((&dispositions[1]["workflow"], &dispositions[1]["disposition"]), (&json!("later"), &json!("started")));
    house.verified();
}

#[tokio::test]
async fn the_same_key_is_the_same_intent_and_another_payload_is_refused() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    let first = house.request("parcel.ship", "k", json!({"to": "Ada"})).await.unwrap();
    let second = house.request("parcel.ship", "k", json!({"to": "Ada"})).await.unwrap();
    assert_eq!((first.replayed, second.replayed, first.directive.id), (false, true, second.directive.id));
    let other = refusal(house.request("parcel.ship", "k", json!({"to": "Grace"})).await);
    assert_eq!(other.code, "idempotency_key_reused");
    let ask = async |payload: &str| {
        let payload = Json::parse(payload).unwrap();
        house.engine.request(&house.scope, NewDirective { payload, ..directive("parcel.ship", "n", json!({})) }).await
    };
    assert!(!ask(r#"{"n": 0.1, "to": "Ada"}"#).await.unwrap().replayed);
    assert!(ask(r#"{"to":"Ada","n":1e-1}"#).await.unwrap().replayed);
    let other = refusal(ask(r#"{"n": 0.1000000000000000000001, "to": "Ada"}"#).await);
    assert_eq!(other.code, "idempotency_key_reused", "also where only doubles are equal");
    let reserved = refusal(
        house
            .request(
                "parcel.ship",
                &format!("x:{}", first.directive.lineage.correlation_id.replace("dir", "sig")),
                json!({}),
            )
            .await,
    );
    assert_eq!(reserved.code, "idempotency_key_reserved");
    let unknown = refusal(house.request("parcel.shop", "k2", json!({})).await);
    assert!(unknown.message.contains("did you mean `parcel.ship`?"), "{}", unknown.message);
}

#[tokio::test]
async fn a_manual_directive_waits_for_its_report() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let id = emitted.dispositions[0].run_id.unwrap();
    let run = house.run(id);
    assert_eq!((run.status, run.steps[0].status), (Status::Running, StepStatus::Running));
    assert!(run.reason_to_wake().is_some());
    let directive = run.steps[0].directive_id.unwrap();
    let output = Json::from(json!({"parcel": "P1"}));
    house.engine.directive_report(&house.scope, directive, Ok(output)).await.unwrap();
    let run = house.run(id);
    assert_eq!((run.status, run.output.unwrap().value()), (Status::Completed, &json!({"parcel": "P1"})));
    let again = house.engine.directive_report(&house.scope, directive, Err(Failure::fatal("late", "too late"))).await;
    assert_eq!(refusal(again).code, "directive_settled");
    house.verified();
}

#[tokio::test]
async fn a_canceled_run_withdraws_what_it_asked_for() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let id = emitted.dispositions[0].run_id.unwrap();
    let payload = json!({"run_id": id, "reason": "changed their mind"});
    house.request("workflow.run.cancel", "stop", payload).await.unwrap();
    let run = house.run(id);
    assert_eq!((run.status, run.steps[0].status), (Status::Canceled, StepStatus::Canceled));
    let directive = house.store.directive(house.scope.tenant, run.steps[0].directive_id.unwrap()).unwrap().unwrap();
    assert_eq!(directive.status, directive::Status::Canceled);
    let twice = house.request("workflow.run.cancel", "stop twice", json!({"run_id": id})).await.unwrap();
    assert_eq!(twice.directive.status, directive::Status::Failed);
    assert_eq!(twice.directive.error.as_ref().unwrap().code, "run_ended");
    house.verified();
}

#[tokio::test]
async fn a_cascade_that_grows_too_large_goes_on_in_the_next_commit() {
    let house = House::new().await;
    for number in 0..40 {
        let mut one = greeting();
        one["slug"] = json!(format!("greeting-{number}"));
        one["trigger"]["signal"] = json!("crowd.greeted");
        house.workflow(one).await;
    }
    let steps: Vec<_> = (0..40)
        .map(|n| {
            json!({"id": format!("s{n}"), "type": "directive", "directive": "signal.emit", "needs": [],
            "payload": {"name": "crowd.greeted", "payload": {"name": "Ada"}}})
        })
        .collect();
    house
        .workflow(json!({"name": "Fan", "version": "1.0.0", "trigger": {"signal": "fan.started"}, "steps": steps}))
        .await;
    let emitted = house.emit(signal("fan.started", json!({}))).await.unwrap();
    house.ended(emitted.dispositions[0].run_id.unwrap()).await;
    let filter = RunFilter { status: Some(Status::Completed), ..RunFilter::default() };
    let mut commits = house.engine.commits();
    while house.store.runs(house.scope.tenant, &filter, Page::newest(5_000)).unwrap().len() < 1_601 {
        tokio::time::timeout(std::time::Duration::from_secs(20), commits.changed()).await.unwrap().unwrap();
    }
    house.verified();
}

#[tokio::test]
async fn an_unknown_cause_or_another_tenant_s_is_refused() {
    let house = House::new().await;
    let other = tenant(&house.engine, "other").await;
    let theirs = house.engine.emit(&other, vec![signal("order.placed", json!({}))]).await.unwrap().remove(0).unwrap();
    let mut fact = signal("order.placed", json!({}));
    fact.causation_id = Some(theirs.signal.id.into());
    assert_eq!(refusal(house.emit(fact.clone()).await).code, "causation_unknown");
    let ours = house.emit(signal("order.placed", json!({}))).await.unwrap();
    fact.causation_id = Some(ours.signal.id.into());
    let caused = house.emit(fact).await.unwrap();
    assert_eq!(caused.signal.lineage.correlation_id, ours.signal.lineage.correlation_id);
}

#[tokio::test]
async fn a_failed_commit_accepts_nothing_and_forgets_nothing() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    house.store.fail_next_commits(1);
    let lost = house.engine.emit(&house.scope, vec![signal("order.placed", json!({"name": "Ada"}))]).await;
    assert!(matches!(lost, Err(Error::Unavailable(_))));
    let signals = house.store.signals(
        house.scope.tenant,
        &SignalFilter { name: Some("order.placed".parse().unwrap()), ..SignalFilter::default() },
        Page::newest(10),
    );
    assert!(signals.unwrap().is_empty());
    let again = house.emit(signal("order.placed", json!({"name": "Ada"}))).await.unwrap();
    assert_eq!(house.run(again.dispositions[0].run_id.unwrap()).status, Status::Completed);
    house.verified();
}

#[tokio::test]
async fn a_commit_whose_outcome_is_unknown_is_called_that_and_ends_the_engine() {
    for is_written in [true, false] {
        let house = House::new().await;
        house.store.lose_next_answer(is_written);
        let fact = || NewSignal { dedupe_key: Some("once".to_owned()), ..signal("order.placed", json!({})) };
        let unknown = house.engine.emit(&house.scope, vec![fact()]).await;
        assert!(matches!(unknown, Err(Error::OutcomeUnknown(_))), "{unknown:?}");
        house.engine.ended().await;
        let refused = house.engine.emit(&house.scope, vec![fact()]).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        let house = house.restarted();
        let again = house.emit(fact()).await.unwrap();
        assert_eq!(again.deduplicated, is_written, "with the same key it is there once");
        house.verified();
    }
}

#[tokio::test]
async fn of_many_signals_those_that_a_commit_lost_say_so_and_the_others_are_on_record() {
    let house = House::new().await;
    house.engine.stop().await;
    let config = Config { batch_max: 16, ..Config::default() };
    let engine = Engine::start(house.store.clone(), config, tokio::runtime::Handle::current()).unwrap();
    let many = || (0..40).map(|number| signal("order.placed", json!({"number": number}))).collect();
    house.store.fail_next_commits(1);
    let answers = engine.emit(&house.scope, many()).await.unwrap();
    let is_lost: Vec<bool> = answers.iter().map(|answer| matches!(answer, Err(Error::Unavailable(_)))).collect();
    assert_eq!(is_lost, (0..40).map(|number| number < 16).collect::<Vec<_>>());
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 24);
    house.store.fail_next_commits(3);
    assert!(matches!(engine.emit(&house.scope, many()).await, Err(Error::Unavailable(_))));
    let stored = house.store.signals(house.scope.tenant, &SignalFilter::default(), Page::newest(1_000)).unwrap();
    assert_eq!(stored.iter().filter(|signal| signal.name.as_str() == "order.placed").count(), 24);
    engine.stop().await;
}

#[tokio::test]
async fn what_waits_goes_on_after_a_restart() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    let emitted = house.emit(signal("order.placed", json!({}))).await.unwrap();
    let id = emitted.dispositions[0].run_id.unwrap();
    let house = house.restarted();
    let directives = house.store.directives(
        house.scope.tenant,
        &DirectiveFilter { run_id: Some(id), ..DirectiveFilter::default() },
        Page::newest(10),
    );
    let directive = directives.unwrap().remove(0);
    house.engine.directive_report(&house.scope, directive.id, Ok(Json::from(json!({"parcel": "P2"})))).await.unwrap();
    assert_eq!(house.run(id).status, Status::Completed);
    house.verified();
}
