//! Reports of workers: each outcome of a request is decided and answered by itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use fleetprompt_core::run::Status;
use fleetprompt_core::{Json, RunId};
use fleetprompt_engine::workers::Worker;
use fleetprompt_engine::{AttemptReport, Delivered, Error};
use serde_json::json;
use support::{House, codes_of, shipper, shipping, signal};

/// Runs whose step a worker performs, and the attempts of these, in the order of the runs.
async fn shipments(house: &House, worker: &Arc<Worker>, count: usize) -> (Vec<RunId>, Vec<Delivered>) {
    house.directive_type(json!({"name": "parcel.ship", "handler": {"type": "worker"}})).await;
    house.workflow(shipping()).await;
    let placed = (0..count).map(|_| signal("order.placed", json!({}))).collect();
    let emitted = house.engine.emit(&house.scope, placed).await.unwrap();
    let runs: Vec<RunId> = emitted.into_iter().map(|one| one.unwrap().dispositions[0].run_id.unwrap()).collect();
    let mut attempts = house.take_attempts(worker, count).await;
    attempts.sort_by_key(|delivered| runs.iter().position(|run| delivered.attempt.run_id == Some(*run)));
    (runs, attempts)
}

fn reports(attempts: &[Delivered]) -> Vec<AttemptReport> {
    let report = |(number, delivered): (usize, &Delivered)| AttemptReport {
        id: delivered.id,
        result: Ok(Json::from(json!({"parcel": number}))),
        logs: Vec::new(),
    };
    attempts.iter().enumerate().map(report).collect()
}

#[tokio::test]
async fn one_outcome_among_100_that_cannot_be_decided_keeps_no_other_from_being_recorded() {
    const BAD: usize = 57;
    let house = House::new().await;
    let worker = shipper(&house);
    let (runs, attempts) = shipments(&house, &worker, 100).await;
    // A new engine has to read the runs.
    let house = house.restarted();
    house.store.damage_run(Some(runs[BAD]));
    for _ in 0..2 {
        let answers = house.engine.attempts_report(&worker, &Json::null(), reports(&attempts)).await;
        for (number, answer) in answers.iter().enumerate() {
            match number {
                BAD => assert!(matches!(answer, Err(Error::Unavailable(why)) if why.contains("damaged")), "{answer:?}"),
                _ => assert_eq!(*answer, Ok(()), "{number}"),
            }
        }
    }
    let ended = |run: &RunId| house.run(*run).status == Status::Completed;
    assert_eq!(runs.iter().filter(|run| ended(run)).count(), 99);
    house.store.damage_run(None);
    let answers = house.engine.attempts_report(&worker, &Json::null(), reports(&attempts)).await;
    assert_eq!(codes_of(&answers), [None; 100]);
    assert!(ended(&runs[BAD]));
    house.verified();
}

#[tokio::test]
async fn a_report_that_contradicts_the_one_that_is_recorded_is_refused() {
    let house = House::new().await;
    let worker = shipper(&house);
    let (runs, attempts) = shipments(&house, &worker, 2).await;
    let first = reports(&attempts);
    let other = AttemptReport { result: Ok(Json::null()), ..first[0].clone() };
    assert_eq!(codes_of(&house.engine.attempts_report(&worker, &Json::null(), first.clone()).await), [None; 2]);
    let late = vec![other.clone(), first[0].clone(), first[1].clone()];
    let answers = house.engine.attempts_report(&worker, &Json::null(), late).await;
    assert_eq!(codes_of(&answers), [Some("attempt_settled"), None, None]);
    assert_eq!(house.run(runs[0]).output, Some(json!({"parcel": 0}).into()));
    // Another tenant's worker learns nothing, whatever it says.
    let another = support::tenant(&house.engine, "other").await;
    let foreign = support::worker_of(another.tenant, "parcel.ship");
    let answers = house.engine.attempts_report(&foreign, &Json::null(), vec![first[0].clone(), other]).await;
    assert_eq!(codes_of(&answers), [Some("attempt_not_yours"); 2]);
}
