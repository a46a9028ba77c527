//! Schedules over the in-memory store: due, missed, overlapping, ordered.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::document::Format;
use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::run::Status;
use fleetprompt_core::schedule::{self, Schedule, State};
use fleetprompt_core::{Json, Signal, Slug, Timestamp};
use fleetprompt_engine::{Config, Engine, ScheduleOrder, verify};
use fleetprompt_store::counting::CountingStore;
use fleetprompt_store::{Batch, DirectiveFilter, Page, RunFilter, SignalFilter, Store};
use rstest::rstest;
use serde_json::{Value, json};
use support::{House, greeting, refusal, shipping, signal};

fn slug() -> Slug {
    "yearly".parse().unwrap()
}

/// Due once a year, so that nothing happens in a test that it did not ask for.
fn yearly(more: Value) -> Value {
    let mut fields =
        json!({"slug": "yearly", "cron": "0 0 1 1 *", "signal": "order.placed", "payload": {"name": "Ada"}});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"schedule": fields})
}

async fn apply(house: &House, document: &Value) {
    house.engine.schedule_apply(&house.scope, document.to_string(), Format::Json).await.unwrap();
}

async fn order(house: &House, order: ScheduleOrder) -> fleetprompt_engine::OrderedSchedule {
    house.engine.schedule_order(&house.scope, slug(), order, Some("a test".into())).await.unwrap()
}

fn entry(house: &House) -> ScheduleEntry {
    house.store.directory().unwrap().schedules.remove(0)
}

fn read(house: &House) -> Schedule {
    schedule::read(entry(house).document.text(), Format::Json).unwrap().0
}

/// A new engine, for which the schedule has been due since the beginning of 2020.
fn after_years(house: &House) -> House {
    let entry = entry(house);
    let state = State { next_at: Some("2020-01-01T00:00:00Z".parse().unwrap()), ..entry.state };
    let schedules = vec![ScheduleEntry { state, ..entry }];
    house.store.commit(&Batch { schedules, ..Batch::default() }).unwrap();
    house.restarted()
}

fn signals(house: &House, name: &str) -> Vec<Signal> {
    let filter = SignalFilter { name: Some(name.parse().unwrap()), ..SignalFilter::default() };
    house.store.signals(house.scope.tenant, &filter, Page::after(None, 1_000)).unwrap()
}

async fn until(house: &House, holds: impl Fn() -> bool) {
    let mut commits = house.engine.commits();
    let waited = async {
        while !holds() {
            commits.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it comes to that");
}

/// What is overdue has been looked at.
async fn caught_up(house: &House) {
    let is_due = || entry(house).state.next_at.is_some_and(|next| next < fires_of_this_year());
    until(house, || !is_due()).await;
}

fn fires_of_this_year() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn due_times(fires: &[Signal]) -> Vec<Timestamp> {
    fires.iter().map(|fire| fire.occurred_at).collect()
}

#[tokio::test]
async fn a_due_schedule_starts_runs_and_is_due_again() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    let document =
        json!({"schedule": {"slug": "often", "every": "1s", "signal": "order.placed", "payload": {"name": "Ada"}}});
    apply(&house, &document).await;
    let completed = RunFilter { status: Some(Status::Completed), ..RunFilter::default() };
    until(&house, || house.store.runs(house.scope.tenant, &completed, Page::newest(10)).unwrap().len() >= 2).await;
    let fires = signals(&house, "order.placed");
    assert_eq!(fires[1].occurred_at - fires[0].occurred_at, fleetprompt_core::Span::from_secs(1));
    let stored = entry(&house).state;
    assert!(stored.last_at >= Some(fires[1].occurred_at) && stored.next_at > stored.last_at);
    house.verified();
}

#[tokio::test]
async fn what_was_missed_is_caught_up_with_after_a_restart_and_never_told_twice() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    apply(&house, &yearly(json!({"catch_up": "all"}))).await;
    let house = after_years(&house);
    caught_up(&house).await;
    let schedule = read(&house);
    let from: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let now = entry(&house).state.updated_at;
    let before = Timestamp(from.0 - 1);
    let expected: Vec<_> = schedule.dues_after(before, before).take_while(|due| *due <= now).collect();
    assert_eq!(due_times(&signals(&house, "order.placed")), expected);

    // Once more from the same place, as if the row had been lost: the due times are known.
    let house = after_years(&house);
    caught_up(&house).await;
    let ordered = order(&house, ScheduleOrder::Backfill { from, to: now }).await;
    assert!(ordered.fires.len() == expected.len() && ordered.fires.iter().all(|fire| fire.deduplicated));
    assert_eq!(due_times(&signals(&house, "order.placed")), expected);
    assert_eq!(
        house.store.runs(house.scope.tenant, &RunFilter::default(), Page::newest(100)).unwrap().len(),
        expected.len()
    );
    house.verified();
}

#[rstest]
#[case::allow("allow", 2, 2)]
#[case::skip("skip", 1, 1)]
#[case::queue("queue", 1, 1)]
#[case::cancel("cancel", 2, 1)]
#[tokio::test]
async fn a_fire_meets_the_runs_of_the_last_one(#[case] overlap: &str, #[case] fires: usize, #[case] open: usize) {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    apply(&house, &yearly(json!({"overlap": overlap, "subject": {"type": "order", "id": "7"}}))).await;
    order(&house, ScheduleOrder::Trigger).await;
    let house = after_years(&house);
    caught_up(&house).await;
    assert_eq!(signals(&house, "order.placed").len(), fires);
    let running = RunFilter { status: Some(Status::Running), ..RunFilter::default() };
    assert_eq!(house.store.runs(house.scope.tenant, &running, Page::newest(10)).unwrap().len(), open);
    assert_eq!(entry(&house).state.queued_at.is_some(), overlap == "queue");
    house.verified();
}

#[tokio::test]
async fn what_is_queued_fires_in_the_commit_in_which_the_last_run_ends_also_after_a_restart() {
    let house = House::new().await;
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    let mut second = shipping();
    second["slug"] = json!("shipping-too");
    house.workflow(second).await;
    apply(&house, &yearly(json!({"overlap": "queue", "subject": {"type": "order", "id": "7"}}))).await;
    order(&house, ScheduleOrder::Trigger).await;
    let refused = house.engine.schedule_order(&house.scope, slug(), ScheduleOrder::Trigger, None).await;
    assert_eq!(refusal(refused).code, "schedule_overlap");
    let house = after_years(&house);
    caught_up(&house).await;
    let house = house.restarted();
    let directives = house.store.directives(
        house.scope.tenant,
        &DirectiveFilter { name: Some("parcel.ship".parse().unwrap()), ..DirectiveFilter::default() },
        Page::newest(10),
    );
    let [one, other] = directives.unwrap().try_into().unwrap();
    let shipped = || Ok(Json::from(json!({"parcel": "P1"})));
    house.engine.directive_report(&house.scope, one.id, shipped()).await.unwrap();
    assert_eq!(signals(&house, "order.placed").len(), 1, "another run is still open");
    let before = *house.engine.commits().borrow();
    house.engine.directive_report(&house.scope, other.id, shipped()).await.unwrap();
    assert_eq!(*house.engine.commits().borrow(), before + 1);
    assert_eq!(signals(&house, "order.placed").len(), 2);
    assert_eq!(entry(&house).state.queued_at, None);
    house.verified();
}

#[tokio::test]
async fn a_fire_overlaps_with_what_the_last_one_started_and_not_with_what_had_waited_for_it() {
    const WAITING: usize = 100;
    let house = House::new().await;
    house.manual("parcel.ship").await;
    house.workflow(shipping()).await;
    house
        .workflow(json!({"name": "Waits", "version": "1.0.0", "trigger": {"signal": "then.wait"}, "steps": [
            {"id": "placed", "type": "wait", "signal": "order.placed"}, {"id": "later", "type": "wait", "for": "1h"}]}))
        .await;
    apply(&house, &yearly(json!({"overlap": "skip", "subject": {"type": "order", "id": "7"}}))).await;
    for _ in 0..WAITING {
        house.emit(signal("then.wait", json!({}))).await.unwrap();
    }
    order(&house, ScheduleOrder::Trigger).await;

    let counting = Arc::new(CountingStore::new(house.store.clone()));
    let engine = Engine::start(counting.clone(), Config::default(), tokio::runtime::Handle::current()).unwrap();
    let house = House { engine, ..house };
    counting.take_counts();
    let refused = house.engine.schedule_order(&house.scope, slug(), ScheduleOrder::Trigger, None).await;
    assert_eq!(refusal(refused).code, "schedule_overlap");
    let counts = counting.take_counts();
    assert_eq!((counts.of("dispositions").rows, counts.of("runs_by_id").rows), (0, 0), "{counts:#?}");
    assert_eq!(counts.of("runs").rows, 1, "{counts:#?}");

    let ships = DirectiveFilter { name: Some("parcel.ship".parse().unwrap()), ..DirectiveFilter::default() };
    let ship = house.store.directives(house.scope.tenant, &ships, Page::newest(10)).unwrap().remove(0);
    house.engine.directive_report(&house.scope, ship.id, Ok(json!({"parcel": "P1"}).into())).await.unwrap();
    order(&house, ScheduleOrder::Trigger).await;
    assert_eq!(signals(&house, "order.placed").len(), 2, "the {WAITING} runs that had waited are still open");
    house.verified();
}

#[tokio::test]
async fn a_paused_schedule_waits_and_every_order_is_on_record() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    apply(&house, &yearly(json!({}))).await;
    order(&house, ScheduleOrder::Pause).await;
    let house = after_years(&house);
    let triggered = order(&house, ScheduleOrder::Trigger).await;
    assert_eq!(signals(&house, "order.placed").len(), 1, "nothing but what was asked for");
    order(&house, ScheduleOrder::Resume).await;
    caught_up(&house).await;
    let fires = signals(&house, "order.placed");
    assert_eq!((fires.len(), fires[0].id), (2, triggered.fires[0].signal_id));
    order(&house, ScheduleOrder::Archive).await;
    for name in ["applied", "paused", "triggered", "resumed", "skipped", "archived"] {
        let told = signals(&house, &format!("schedule.{name}"));
        assert_eq!(told.len(), 1, "{name}");
        let by = if name == "skipped" { "engine" } else { "operator" };
        assert_eq!((told[0].actor().kind.as_str(), told[0].subject().unwrap().id.as_str()), (by, "yearly"));
    }
    assert_eq!(verify(house.store.as_ref()).unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn nobody_tells_a_fire_in_the_place_of_the_schedule() {
    let house = House::new().await;
    let mut forged = signal("order.placed", json!({}));
    forged.source = Some("schedule".into());
    forged.source_event_id = Some("yearly:2030-01-01T00:00:00.000000Z".into());
    assert_eq!(refusal(house.emit(forged).await).code, "source_reserved");
    let mut claimed = signal("order.placed", json!({}));
    claimed.actor = Some(fleetprompt_core::Party::new("schedule", "yearly"));
    assert_eq!(refusal(house.emit(claimed).await).code, "actor_reserved");
}

#[tokio::test]
async fn a_failed_commit_fires_nothing_and_the_next_one_does() {
    let house = House::new().await;
    house.workflow(greeting()).await;
    apply(&house, &yearly(json!({}))).await;
    order(&house, ScheduleOrder::Pause).await;
    let house = after_years(&house);
    order(&house, ScheduleOrder::Resume).await;
    caught_up(&house).await;
    house.store.fail_next_commits(1);
    let lost = house.engine.schedule_order(&house.scope, slug(), ScheduleOrder::Trigger, None).await;
    assert!(matches!(lost, Err(fleetprompt_engine::Error::Unavailable(_))));
    assert_eq!(signals(&house, "order.placed").len(), 1);
    order(&house, ScheduleOrder::Trigger).await;
    assert_eq!(signals(&house, "order.placed").len(), 2);
    house.verified();
}
