//! The moves of attempts between workers, with a clock that stands still until it is moved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetprompt_core::performs::{Labels, Pattern};
use fleetprompt_core::run::Place;
use fleetprompt_core::tenant::Weight;
use fleetprompt_core::workflow::Priority;
use fleetprompt_core::{DirectiveId, Json, KeyId, RunId, SignalId, TenantId};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::attempt::{Attempt, AttemptId, AttemptOf, Kind};
use super::input::{AttemptInput, InputBudget};
use super::queue::Waiting;
use super::state::{DELIVERIES_MAX, Handed, Refused, Reported, State, Worker, WorkerId};
use super::taker::Taker;
use super::wait_list::{Crowded, Waiter};

const LEASE: Duration = Duration::from_secs(15);
const TENANT: TenantId = TenantId(Uuid::from_u128(1));

pub fn attempt(number: u128, tenant: TenantId, name: &str) -> Attempt {
    Attempt {
        of: AttemptOf::Directive { id: DirectiveId(Uuid::from_u128(number)), attempt: 1 },
        tenant,
        tenant_slug: "acme".parse().expect("a slug"),
        weight: Weight::default(),
        priority: Priority::Normal,
        kind: Kind::Directive,
        name: name.into(),
        labels: Arc::default(),
        idempotency_key: number.to_string(),
        run_id: None,
        workflow: None,
        step: None,
        item: None,
        correlation_id: "together".into(),
        causation_id: None,
        timeout: None,
        heartbeat: None,
    }
}

pub fn no_input() -> AttemptInput {
    AttemptInput::default()
}

fn worker(name: &str) -> Arc<Worker> {
    worker_of(Some(TENANT), name, vec![Pattern::Any], Labels::new())
}

fn worker_of(tenant: Option<TenantId>, name: &str, names: Vec<Pattern>, labels: Labels) -> Arc<Worker> {
    let id = WorkerId { key: KeyId(Uuid::from_u128(7)), name: name.into() };
    Arc::new(Worker { id, version: None, taker: Taker::new(tenant, names, labels), slots: 10 })
}

fn pattern(text: &str) -> Pattern {
    text.parse().expect("a pattern")
}

struct World {
    state: State,
    now: Instant,
    waiters: u64,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self { state: State::new(LEASE, now), now, waiters: 0 }
    }

    fn with(attempts: impl IntoIterator<Item = Attempt>) -> Self {
        let mut world = Self::new();
        attempts.into_iter().for_each(|attempt| world.offer(attempt));
        world
    }

    fn offer(&mut self, attempt: Attempt) {
        assert_eq!(self.state.offer(Arc::new(attempt), no_input(), self.now), None);
    }

    fn take(&mut self, name: &str) -> Vec<AttemptId> {
        let handed = self.state.take(&worker(name), 10, &[], self.now);
        handed.attempts.into_iter().map(|delivered| delivered.id).collect()
    }

    fn one(&mut self, name: &str) -> AttemptId {
        let taken = self.take(name);
        assert_eq!(taken.len(), 1, "{taken:?}");
        taken[0]
    }

    fn wait(&mut self, name: &str, holding: &[AttemptId]) -> oneshot::Receiver<Handed> {
        self.wait_as(worker(name), 10, holding).expect("there is room")
    }

    fn wait_as(
        &mut self,
        worker: Arc<Worker>,
        limit: usize,
        holding: &[AttemptId],
    ) -> Result<oneshot::Receiver<Handed>, Crowded> {
        let (tell, told) = oneshot::channel();
        self.waiters += 1;
        let waiter = Waiter { number: self.waiters, worker, limit, holding: holding.to_vec(), tell };
        self.state.wait(waiter).map(|()| told)
    }

    fn beat(&mut self, name: &str, id: &AttemptId) -> Result<bool, Refused> {
        self.state.heartbeat(&worker(name), id, None, self.now).map(|kept| kept.is_unwanted)
    }

    fn report(&mut self, name: &str, id: &AttemptId) -> Result<bool, Refused> {
        self.report_as(&worker(name), id, 1)
    }

    /// Returns whether the outcome with this digest is new.
    fn report_as(&mut self, worker: &Worker, id: &AttemptId, outcome: u64) -> Result<bool, Refused> {
        let reported = self.state.report(worker, id, outcome, self.now)?;
        Ok(matches!(reported, Reported::New(_)))
    }

    /// The codes of what is lost meanwhile.
    fn pass(&mut self, span: Duration) -> Vec<String> {
        self.now += span;
        self.state.pass(self.now).into_iter().map(|lost| lost.failure.code.to_string()).collect()
    }
}

fn one() -> Attempt {
    attempt(1, TENANT, "mail.send")
}

#[test]
fn what_is_taken_is_with_one_worker_until_it_reports() {
    let mut world = World::with([one()]);
    let id = world.one("a");
    assert!(world.take("b").is_empty());
    assert_eq!(world.report("a", &id), Ok(true));
    assert!(world.pass(LEASE * 9).is_empty(), "its outcome is being recorded");
    world.state.reported(&id, Some(Ok(())), world.now);
    assert!(world.take("b").is_empty());
    assert_eq!(world.report("a", &id), Ok(false), "it is known");
    assert_eq!(world.beat("a", &id), Err(Refused::Settled));
}

#[test]
fn a_late_report_is_answered_to_its_owner_alone_and_only_if_it_says_the_same() {
    let mut world = World::with([one(), attempt(2, TENANT, "mail.send")]);
    let ids = world.take("a");
    for (id, answer) in ids.iter().zip([Ok(()), Err(Refused::Unstorable)]) {
        assert_eq!(world.report("a", id), Ok(true));
        world.state.reported(id, Some(answer), world.now);
        assert_eq!(world.report("a", id), answer.map(|()| false), "the same outcome has the same answer");
        assert_eq!(world.report_as(&worker("a"), id, 2), Err(Refused::Contradicted));
        let another = TenantId(Uuid::from_u128(2));
        for foreign in [
            worker_of(Some(another), "a", vec![Pattern::Any], Labels::new()),
            worker_of(Some(TENANT), "a", vec![pattern("sms.*")], Labels::new()),
        ] {
            assert_eq!(world.report_as(&foreign, id, 1), Err(Refused::NotYours));
            assert_eq!(world.report_as(&foreign, id, 2), Err(Refused::NotYours));
        }
    }
}

#[test]
fn however_often_an_attempt_is_kept_it_is_looked_at_once() {
    let mut world = World::with([one()]);
    let id = world.one("a");
    for _ in 0..1_000 {
        assert!(world.pass(Duration::from_millis(1)).is_empty());
        world.beat("a", &id).expect("it is its own");
    }
    assert_eq!(world.state.due.len(), 1);
    assert!(world.pass(LEASE).is_empty());
    assert_eq!((world.state.due.len(), world.take("b").len()), (0, 1));
}

#[test]
fn a_tenant_that_takes_all_room_takes_its_own() {
    let mut world = World::new();
    let of_other = worker_of(None, "other", vec![Pattern::Any], Labels::new());
    world.state.take(&of_other, 1, &[], world.now);
    let mut told = Vec::new();
    for number in 0..2_100 {
        let worker = worker(&format!("w{number}"));
        world.state.take(&worker, 1, &[], world.now);
        let waits = world.wait_as(worker, 1, &[]);
        assert_eq!(waits.as_ref().err(), (number >= 2_000).then_some(&Crowded::Workers));
        told.push(waits);
    }
    assert_eq!(world.state.workers.ids().len(), 2_001);
    assert!(world.state.workers.ids().contains(&of_other.id));
    assert!(world.wait_as(of_other, 1, &[]).is_ok());
}

#[test]
fn the_names_and_attempts_that_waiting_workers_of_a_tenant_list_are_limited() {
    let mut world = World::new();
    let names = |tenant: u128| (0..200).map(|n| pattern(&format!("t{tenant}.n{n}"))).collect::<Vec<_>>();
    let worker = |tenant: u128| worker_of(Some(TenantId(Uuid::from_u128(tenant))), "w", names(tenant), Labels::new());
    let waits = |world: &mut World, tenant: u128| {
        let worker = worker(tenant);
        (0..).map_while(|_| world.wait_as(worker.clone(), 1, &[]).ok()).collect::<Vec<_>>()
    };
    let (one, two) = (waits(&mut world, 1), waits(&mut world, 2));
    assert_eq!((one.len(), two.len()), (500, 500), "100,000 names each");
    let three = waits(&mut world, 3);
    assert_eq!(three.len(), 312, "a fourth of all room, more than what was left");
    assert_eq!(world.wait_as(worker(3), 1, &[]).err(), Some(Crowded::Entries));
    let mut number = 0;
    while number < world.waiters {
        number += 1;
        world.state.wait_no_more(number);
    }
    assert_eq!(waits(&mut world, 3).len(), 500, "nothing of what went counts on");
}

#[test]
fn an_outcome_that_could_not_be_recorded_may_be_told_again() {
    let mut world = World::with([one()]);
    let id = world.one("a");
    assert_eq!(world.report("a", &id), Ok(true));
    assert_eq!(world.report("a", &id), Err(Refused::Reported));
    world.state.reported(&id, None, world.now);
    assert_eq!(world.report("a", &id), Ok(true));
}

#[test]
fn a_worker_that_is_silent_loses_it_to_another_and_its_outcome_is_refused() {
    let mut world = World::with([one()]);
    let first = world.one("a");
    world.pass(LEASE - Duration::from_millis(1));
    assert!(world.take("b").is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.report("a", &first), Err(Refused::LeaseLost), "also before somebody else has it");
    let second = world.one("b");
    assert_eq!(second.of, first.of);
    assert_eq!(world.report("a", &first), Err(Refused::LeaseLost));
    assert_eq!(world.beat("a", &first), Err(Refused::LeaseLost));
    assert_eq!(world.report("b", &second), Ok(true));
    assert_eq!(world.state.leases_lost, 1);
}

#[test]
fn a_word_in_time_keeps_it() {
    let mut world = World::with([one()]);
    let id = world.one("a");
    for _ in 0..10 {
        world.pass(LEASE - Duration::from_secs(1));
        assert_eq!(world.beat("a", &id), Ok(false));
    }
    assert_eq!(world.report("a", &id), Ok(true));
}

#[test]
fn a_heartbeat_of_its_own_is_how_long_it_may_be_silent() {
    let mut world = World::with([Attempt { heartbeat: Some(LEASE * 4), ..one() }]);
    let id = world.one("a");
    world.pass(LEASE * 3);
    assert_eq!(world.beat("a", &id), Ok(false));
}

#[test]
fn what_takes_too_long_has_failed_however_often_its_worker_says_that_it_is_at_it() {
    let mut world = World::with([Attempt { timeout: Some(LEASE * 2), ..one() }]);
    let id = world.one("a");
    for _ in 0..3 {
        assert!(world.pass(LEASE / 2).is_empty());
        assert_eq!(world.beat("a", &id), Ok(false));
    }
    assert_eq!(world.pass(LEASE / 2), ["timeout"]);
    assert_eq!(world.report("a", &id), Err(Refused::Settled));
    assert!(world.take("b").is_empty(), "the next attempt is the engine's to ask for");
}

#[test]
fn what_workers_are_lost_with_again_and_again_has_failed() {
    let mut world = World::with([one()]);
    for _ in 1..DELIVERIES_MAX {
        world.one("a");
        assert!(world.pass(LEASE).is_empty());
    }
    world.one("a");
    assert_eq!(world.pass(LEASE), ["worker_lost"]);
    assert!(world.take("a").is_empty());
}

#[test]
fn whoever_waits_longest_is_served_first_and_only_with_what_it_may_take() {
    let mut world = World::new();
    let other = worker_of(Some(TENANT), "other", vec![pattern("sms.*")], Labels::new());
    let mut others = world.wait_as(other, 1, &[]).expect("there is room");
    let (mut first, mut second) = (world.wait("a", &[]), world.wait("b", &[]));
    world.offer(one());
    world.state.serve(world.now);
    assert_eq!(first.try_recv().map(|handed| handed.attempts.len()), Ok(1));
    assert!(second.try_recv().is_err() && others.try_recv().is_err());
}

#[test]
fn what_was_handed_to_nobody_waits_on() {
    let mut world = World::new();
    drop(world.wait("gone", &[]));
    world.offer(one());
    world.state.serve(world.now);
    let id = world.one("here");
    assert_eq!(world.report("here", &id), Ok(true));
}

#[test]
fn what_is_called_off_before_it_is_taken_ends_at_once() {
    let mut world = World::with([one()]);
    let lost = world.state.cancel(&one().of).expect("nobody has it");
    assert_eq!(&*lost.failure.code, "canceled");
    assert!(world.take("a").is_empty());
}

#[test]
fn a_worker_hears_that_its_attempt_is_called_off_wherever_it_asks() {
    let mut world = World::with([one(), attempt(2, TENANT, "mail.send")]);
    let ids = world.take("a");
    let mut told = world.wait("a", &ids);
    assert_eq!(world.state.cancel(&ids[0].of), None, "it is with a worker");
    assert_eq!(told.try_recv().map(|handed| handed.canceled), Ok(vec![ids[0]]));
    assert_eq!(world.beat("a", &ids[0]), Ok(true));
    assert_eq!(world.state.take(&worker("a"), 1, &ids, world.now).canceled, [ids[0]]);
    assert_eq!(world.report("a", &ids[0]), Ok(true), "how it ended is still to be told");
    world.state.cancel(&ids[1].of);
    assert_eq!(world.pass(LEASE), ["canceled"], "and where nobody tells, it has ended");
}

#[test]
fn what_has_ended_elsewhere_is_not_reported_any_more() {
    let (run, place) = (RunId(Uuid::from_u128(5)), Place::step(0));
    let of = |attempt, begun| AttemptOf::Step { run, place, attempt, begun: SignalId(Uuid::from_u128(begun)) };
    let mut world = World::with([Attempt { of: of(1, 1), ..one() }]);
    let id = world.one("a");
    world.state.keep_only(run, place, Some((1, SignalId(Uuid::from_u128(1)))));
    assert_eq!(world.beat("a", &id), Ok(false), "it is the one that is under way");
    // The step was done again from the beginning.
    world.state.keep_only(run, place, Some((1, SignalId(Uuid::from_u128(2)))));
    assert_eq!(world.report("a", &id), Err(Refused::Settled));
    assert!(!world.state.has_run(run));
}

#[test]
fn after_a_restart_it_belongs_to_whoever_says_that_they_are_at_it() {
    let mut before = World::with([one()]);
    let id = before.one("a");
    let mut world = World::new();
    world.state.offer_unclaimed(Arc::new(one()), no_input(), world.now);
    assert!(world.take("b").is_empty(), "somebody may be at it");
    assert_eq!(world.beat("a", &id), Ok(false));
    world.pass(LEASE - Duration::from_secs(1));
    assert!(world.take("b").is_empty());
    assert_eq!(world.report("a", &id), Ok(true));
}

#[test]
fn after_a_restart_what_nobody_is_at_is_handed_out() {
    let mut world = World::new();
    world.state.offer_unclaimed(Arc::new(one()), no_input(), world.now);
    world.pass(LEASE);
    world.one("b");
}

#[test]
fn a_worker_takes_and_reports_only_what_its_key_is_for() {
    let other = TenantId(Uuid::from_u128(2));
    let mut world = World::with([attempt(1, other, "mail.send"), attempt(2, TENANT, "mail.send")]);
    let everybodys = worker_of(None, "x", vec![Pattern::Any], Labels::new());
    let both = world.state.take(&everybodys, 10, &[], world.now).attempts;
    assert_eq!(both.len(), 2);
    let foreign = both.iter().find(|delivered| delivered.attempt.tenant == other).expect("it was taken").id;
    assert_eq!(world.report("a", &foreign), Err(Refused::NotYours));
    assert_eq!(world.beat("a", &foreign), Err(Refused::NotYours));
}

#[test]
fn nobody_waits_for_what_no_worker_performs_without_it_being_known() {
    let mut world = World::with([one()]);
    let has_worker = |world: &World| world.state.workers.has_worker_for(&one(), world.now);
    let measured = |world: &mut World, span: Duration| {
        (0..3).for_each(|_| assert!(world.pass(span).is_empty()));
        (world.state.without_worker, world.state.workers.there)
    };
    assert!(!has_worker(&world));
    assert_eq!(measured(&mut world, Duration::from_secs(1)), (1, 0));
    world.state.take(&worker("a"), 0, &[], world.now);
    assert!(has_worker(&world));
    assert_eq!(measured(&mut world, Duration::from_secs(1)), (0, 1));
    assert_eq!(measured(&mut world, Duration::from_secs(20)), (1, 0), "it has not been heard of for a minute");
    assert!(!has_worker(&world));
    let waits = world.wait_as(worker_of(Some(TENANT), "b", vec![pattern("sms.*")], Labels::new()), 1, &[]);
    world.one("a");
    assert_eq!(measured(&mut world, Duration::from_secs(1)), (0, 1));
    drop(waits);
}

#[test]
fn an_endpoint_that_calls_back_keeps_it_by_its_heartbeats_and_nobody_else_gets_it() {
    let mut world = World::new();
    let callback = AttemptId::fresh(one().of);
    world.state.hold(Arc::new(Attempt { timeout: Some(LEASE * 10), ..one() }), &callback, world.now);
    assert!(world.pass(LEASE * 2).is_empty() && world.take("a").is_empty());
    world.state.await_callback(&callback, Some(LEASE), world.now);
    world.pass(LEASE / 2);
    assert_eq!(world.beat("x", &callback), Ok(false));
    assert!(world.pass(LEASE / 2).is_empty());
    assert_eq!(world.pass(LEASE / 2), ["heartbeat_timeout"]);
    assert!(world.state.held(&callback).is_none() && world.take("a").is_empty());
}

#[test]
fn a_heartbeat_of_an_endpoint_that_is_sent_again_keeps_nothing() {
    let mut world = World::new();
    let callback = AttemptId::fresh(one().of);
    world.state.hold(Arc::new(Attempt { timeout: Some(LEASE * 10), ..one() }), &callback, world.now);
    world.state.await_callback(&callback, Some(LEASE), world.now);
    let beat = |world: &mut World, message: u8, frames: u8| {
        let (progress, now) = (Json::from(serde_json::json!(frames)), world.now);
        world.state.endpoint_heartbeat(&worker("x"), &callback, Some(progress), [message; 32], now)
    };
    world.pass(LEASE / 2);
    assert_eq!(beat(&mut world, 1, 7).map(|kept| kept.lease), Ok(LEASE));
    world.pass(LEASE / 2);
    assert_eq!(beat(&mut world, 1, 9).map(|kept| kept.lease), Ok(LEASE / 2), "it is known already");
    assert_eq!(world.pass(LEASE / 2), ["heartbeat_timeout"]);
    assert_eq!(beat(&mut world, 2, 8).map(|kept| kept.lease), Err(Refused::Settled));
}

#[test]
fn an_endpoint_may_call_back_before_it_has_answered_and_must_in_time() {
    let mut world = World::new();
    let callback = AttemptId::fresh(one().of);
    world.state.hold(Arc::new(Attempt { timeout: Some(LEASE), ..one() }), &callback, world.now);
    assert!(world.state.held(&AttemptId { lease: callback.lease ^ 1, ..callback }).is_none(), "only under its name");
    assert_eq!(world.report("x", &callback), Ok(true));
    world.state.reported(&callback, Some(Ok(())), world.now);
    assert!(world.state.held(&callback).is_none());
    world.state.hold(Arc::new(Attempt { timeout: Some(LEASE), ..one() }), &callback, world.now);
    world.now += LEASE;
    let lost = world.state.pass(world.now);
    assert_eq!((lost.len(), &*lost[0].failure.code), (1, "timeout"));
    let message = &lost[0].failure.message;
    assert!(message.starts_with("the endpoint did not call back within 15 s of the delivery"), "{message}");
}

/// Asserts that eight times as much costs at most ten times the work of matching workers with what they may take.
fn grows_linearly(what: &str, act: impl Fn(&mut World, u64)) {
    let [small, large] = [100, 800].map(|size| {
        let mut world = World::new();
        act(&mut world, size);
        world.state.work()
    });
    assert!(large <= 10 * small, "{what}: {small} at 100, {large} at 800");
}

fn name(number: u64) -> String {
    format!("mail.n{number}")
}

#[test]
fn to_hand_out_what_was_committed_costs_as_much_as_was_committed() {
    let worker_for = |number: u64| worker_of(Some(TENANT), &name(number), vec![pattern(&name(number))], Labels::new());
    let one_by_one = |world: &mut World, size: u64| {
        // As many workers wait under names of their own, and as many names wait for workers of their own.
        for number in 0..size {
            world.offer(attempt(number.into(), TENANT, &format!("sms.n{number}")));
        }
        let told: Vec<_> = (0..size).map(|number| world.wait_as(worker_for(number), 1, &[]).expect("room")).collect();
        for number in 0..size {
            world.offer(attempt((size + number).into(), TENANT, &name(number)));
            world.state.serve(world.now);
        }
        assert!(told.into_iter().all(|mut told| told.try_recv().is_ok_and(|handed| handed.attempts.len() == 1)));
    };
    let in_one_commit = |world: &mut World, size: u64| {
        let told: Vec<_> = (0..size).map(|number| world.wait_as(worker_for(number), 1, &[]).expect("room")).collect();
        (0..size).for_each(|number| world.offer(attempt(number.into(), TENANT, &name(number))));
        while world.state.ready.has_changed() {
            world.state.serve(world.now);
        }
        assert!(told.into_iter().all(|mut told| told.try_recv().is_ok_and(|handed| handed.attempts.len() == 1)));
    };
    let by_wildcards = |world: &mut World, size: u64| {
        (0..size).for_each(|number| world.offer(attempt(number.into(), TENANT, &name(number))));
        let families = worker_of(Some(TENANT), "w", vec![pattern("mail.*"), pattern("sms.*")], Labels::new());
        let taken = (0..size).map(|_| world.state.take(&families, 1, &[], world.now).attempts.len());
        assert_eq!(taken.sum::<usize>(), size as usize);
    };
    let of_all_tenants = |world: &mut World, size: u64| {
        (0..size).for_each(|number| world.offer(attempt(number.into(), TENANT, &name(number))));
        let everybodys = worker_of(None, "w", vec![Pattern::Any], Labels::new());
        assert_eq!(world.state.take(&everybodys, size as usize, &[], world.now).attempts.len(), size as usize);
    };
    let idle_wait = |world: &mut World, size: u64| {
        (0..size).for_each(|number| world.offer(attempt(number.into(), TENANT, &name(number))));
        let idle: Vec<_> = (0..size)
            .map(|n| world.wait_as(worker_of(Some(TENANT), &name(n), vec![pattern("sms.*")], Labels::new()), 1, &[]))
            .collect();
        (0..size).for_each(|_| world.state.serve(world.now));
        drop(idle);
    };
    grows_linearly("one by one", one_by_one);
    grows_linearly("in one commit", in_one_commit);
    grows_linearly("by wildcards", by_wildcards);
    grows_linearly("of all tenants", of_all_tenants);
    grows_linearly("nothing to match", idle_wait);
}

#[test]
fn what_one_tenant_cannot_match_delays_another_by_a_slice() {
    let other = TenantId(Uuid::from_u128(2));
    let mut world = World::new();
    // None of these workers has the label that any of the attempts asks for.
    let idle: Vec<_> = (0..1_000).map(|n| world.wait(&format!("w{n}"), &[])).collect();
    let mut told = world.wait_as(worker_of(Some(other), "w", vec![Pattern::Any], Labels::new()), 1, &[]).expect("room");
    let labels = Arc::new(Labels::from([("region".to_owned(), "nowhere".to_owned())]));
    for number in 0..1_000 {
        world.offer(Attempt { labels: labels.clone(), ..attempt(number.into(), TENANT, &name(number)) });
    }
    world.offer(attempt(1_000, other, "mail.send"));
    let mut slices = 0;
    while world.state.ready.has_changed() {
        let before = world.state.work();
        world.state.serve(world.now);
        assert!(world.state.work() - before < 6_000, "a slice is bounded");
        slices += 1;
        if slices == 1 {
            assert_eq!(
                told.try_recv().map(|handed| handed.attempts.len()),
                Ok(1),
                "the other has its turn in the first"
            );
        }
    }
    assert!(slices > 100 && idle.len() == 1_000, "{slices}");
}

#[test]
fn attempts_of_one_tenant_wait_under_a_limited_number_of_names() {
    let mut world = World::new();
    (0..5_000).for_each(|number| world.offer(attempt(number.into(), TENANT, &name(number))));
    let lost = world
        .state
        .offer(Arc::new(attempt(5_000, TENANT, "one.more")), no_input(), world.now)
        .expect("it is one too many");
    assert_eq!(&*lost.failure.code, "names_waiting_exceeded");
    world.offer(attempt(5_001, TENANT, &name(7)));
    world.offer(attempt(5_002, TenantId(Uuid::from_u128(2)), "one.more"));
    world.take("a");
    world.offer(attempt(5_003, TENANT, "one.more"));
}

#[test]
fn a_worker_that_waits_hears_that_it_lost_what_it_has() {
    let mut world = World::with([one()]);
    let id = world.one("a");
    let mut told = world.wait("a", &[id]);
    assert!(world.pass(LEASE).is_empty());
    assert_eq!(told.try_recv().map(|handed| handed.canceled), Ok(vec![id]));
}

/// So many bytes of JSON, which nobody has parsed.
fn input(bytes: usize) -> Json {
    Json::of(&"x".repeat(bytes - 2))
}

#[test]
fn what_waits_or_is_taken_keeps_no_more_inputs_than_the_budget_allows() {
    const MIB: usize = 1 << 20;
    let budget = Arc::new(InputBudget::new(32 * MIB, Arc::default()));
    let mut world = World::new();
    let large = input(MIB);
    for number in 0..1_000 {
        let (attempt, input) = (Arc::new(attempt(number, TENANT, "mail.send")), budget.admit(TENANT, &large));
        // Every other one was in flight when the last engine ended.
        match number % 2 {
            0 => assert_eq!(world.state.offer(attempt, input, world.now), None),
            _ => world.state.offer_unclaimed(attempt, input, world.now),
        }
    }
    assert_eq!(budget.bytes(), 8 * MIB, "a quarter, for one tenant");
    assert!(size_of::<Waiting>() + size_of::<Attempt>() <= 512, "and little for each attempt");
    world.pass(LEASE);

    let worker = worker("a");
    let (mut taken, mut with_input) = (0, 0);
    while taken < 1_000 {
        let handed = world.state.take(&worker, 100, &[], world.now);
        let bytes: usize = handed.attempts.iter().map(|delivery| delivery.input.bytes()).sum();
        assert!((1..=4 * MIB).contains(&bytes), "{bytes}");
        taken += handed.attempts.len();
        with_input += handed.attempts.iter().filter(|delivery| delivery.input.is_kept()).count();
    }
    assert_eq!((with_input, budget.bytes()), (8, 0), "a worker has the input, so the engine needs it no longer");
    world.pass(LEASE);
    let again = world.state.take(&worker, 100, &[], world.now).attempts;
    assert!(again.len() == 4 && again.iter().all(|delivery| !delivery.input.is_kept() && delivery.deliveries > 1));
}

#[test]
fn one_attempt_is_handed_out_however_large_its_input_is() {
    let budget = Arc::new(InputBudget::new(0, Arc::default()));
    let mut world = World::new();
    for number in 0..2 {
        let attempt = Arc::new(attempt(number, TENANT, "mail.send"));
        assert_eq!(world.state.offer(attempt, budget.admit(TENANT, &input(5 << 20)), world.now), None);
    }
    assert_eq!((world.take("a").len(), world.take("a").len()), (1, 1));
}

#[test]
fn what_does_not_reach_its_worker_waits_again_unless_another_has_it() {
    let mut world = World::with([one()]);
    let handed = world.state.take(&worker("a"), 1, &[], world.now);
    world.pass(LEASE);
    let second = world.one("b");
    world.state.take_back(handed, world.now);
    assert_eq!(world.beat("b", &second), Ok(false), "it is with another worker");
    world.pass(LEASE);

    let mut handed = world.state.take(&worker("a"), 1, &[], world.now);
    let id = handed.attempts[0].id;
    world.now += LEASE / 2;
    assert!(world.state.begin_lease(&id, world.now));
    assert!(world.pass(LEASE - Duration::from_millis(1)).is_empty());
    assert_eq!(world.beat("a", &id), Ok(false), "its lease began when the worker got it");
    world.state.take_back(std::mem::take(&mut handed), world.now);
    assert!(!world.state.begin_lease(&id, world.now));

    let handed = world.state.take(&worker("a"), 1, &[], world.now);
    assert_eq!(handed.attempts[0].deliveries, 3, "the worker never got the last one");
    assert_eq!(world.state.cancel(&one().of), None);
    world.state.take_back(handed, world.now);
    assert_eq!(world.pass(Duration::ZERO), ["canceled"], "and what was called off is not handed out again");
    assert!(world.take("a").is_empty());
}

#[test]
fn what_a_worker_may_not_take_costs_one_look_a_request() {
    let labels = |number: u64| Arc::new(Labels::from([("region".to_owned(), format!("r{number}"))]));
    // Attempts that ask for labels which the worker does not have come first: all for the same ones, or each for its own.
    let behind = |world: &mut World, size: u64, labels: &dyn Fn(u64) -> Arc<Labels>| {
        for number in 0..size {
            world.offer(Attempt { labels: labels(number), ..attempt(number.into(), TENANT, &name(number)) });
        }
        (size..2 * size).for_each(|number| world.offer(attempt(number.into(), TENANT, &name(number))));
        let taken = world.state.take(&worker("a"), size as usize, &[], world.now);
        assert_eq!(taken.attempts.len(), size as usize);
    };
    grows_linearly("the same labels", |world, size| behind(world, size, &|_| labels(0)));
    grows_linearly("labels of their own", |world, size| behind(world, size, &labels));
}

#[test]
fn the_deciding_thread_answers_a_worker_of_all_tenants_without_a_look_at_what_it_may_not_take() {
    let costs = [100, 800].map(|size: u64| {
        let mut world = World::new();
        let everybodys = worker_of(None, "w", vec![Pattern::Any], Labels::new());
        let mut told = world.wait_as(everybodys, 10, &[]).expect("room");
        let labels = Arc::new(Labels::from([("region".to_owned(), "nowhere".to_owned())]));
        for number in 0..size {
            world.offer(Attempt { labels: labels.clone(), ..attempt(number.into(), TENANT, &name(number)) });
        }
        while world.state.ready.has_changed() {
            world.state.serve(world.now);
        }
        let before = world.state.work();
        (0..3).for_each(|number| world.offer(attempt((size + number).into(), TENANT, "sms.send")));
        world.state.serve(world.now);
        assert_eq!(told.try_recv().map(|handed| handed.attempts.len()), Ok(3));
        world.state.work() - before
    });
    assert_eq!(costs[0], costs[1]);
}
