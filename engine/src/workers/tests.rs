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
use super::queue::Taker;
use super::state::{DELIVERIES_MAX, Handed, Refused, Reported, State, Waiter, Worker, WorkerId};

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
        labels: Labels::new(),
        input: Json::null(),
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

fn worker(name: &str) -> Worker {
    Worker {
        id: WorkerId { key: KeyId(Uuid::from_u128(7)), name: name.into() },
        version: None,
        taker: Taker { tenant: Some(TENANT), names: vec![Pattern::Any], labels: Labels::new() },
        slots: 10,
    }
}

struct World {
    state: State,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self { state: State::new(LEASE), now: Instant::now() }
    }

    fn with(attempts: impl IntoIterator<Item = Attempt>) -> Self {
        let mut world = Self::new();
        attempts.into_iter().for_each(|attempt| world.state.offer(Arc::new(attempt), world.now));
        world
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
        let (tell, told) = oneshot::channel();
        let waiter = Waiter { number: 0, worker: worker(name), limit: 10, holding: holding.to_vec(), tell };
        assert!(self.state.wait(waiter));
        told
    }

    fn beat(&mut self, name: &str, id: &AttemptId) -> Result<bool, Refused> {
        self.state.heartbeat(&worker(name), id, None, self.now).map(|kept| kept.is_unwanted)
    }

    fn report(&mut self, name: &str, id: &AttemptId) -> Result<bool, Refused> {
        let reported = self.state.report(&worker(name), id, self.now)?;
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
    world.state.reported(&id, true, world.now);
    assert!(world.take("b").is_empty());
    assert_eq!(world.report("a", &id), Ok(false), "it is known");
    assert_eq!(world.beat("a", &id), Err(Refused::Settled));
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
    let of_other = Worker { taker: Taker { tenant: None, ..worker("x").taker }, ..worker("other") };
    world.state.take(&of_other, 1, &[], world.now);
    let mut told = Vec::new();
    for number in 0..2_100 {
        let worker = worker(&format!("w{number}"));
        world.state.take(&worker, 1, &[], world.now);
        let (tell, waits) = oneshot::channel();
        told.push(waits);
        let is_in = world.state.wait(Waiter { number, worker, limit: 1, holding: Vec::new(), tell });
        assert_eq!(is_in, number < 2_000);
    }
    assert_eq!(world.state.workers.len(), 2_001);
    assert!(world.state.workers.contains_key(&of_other.id));
    let (tell, _waits) = oneshot::channel();
    assert!(world.state.wait(Waiter { number: 9_999, worker: of_other, limit: 1, holding: Vec::new(), tell }));
}

#[test]
fn an_outcome_that_could_not_be_recorded_may_be_told_again() {
    let mut world = World::with([one()]);
    let id = world.one("a");
    assert_eq!(world.report("a", &id), Ok(true));
    assert_eq!(world.report("a", &id), Err(Refused::Reported));
    world.state.reported(&id, false, world.now);
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
    let mut other = worker("other");
    other.taker.names = vec!["sms.*".parse().expect("a pattern")];
    let (tell, mut others) = oneshot::channel();
    let _ = world.state.wait(Waiter { number: 1, worker: other, limit: 1, holding: Vec::new(), tell });
    let (mut first, mut second) = (world.wait("a", &[]), world.wait("b", &[]));
    world.state.offer(Arc::new(one()), world.now);
    world.state.serve(world.now);
    assert_eq!(first.try_recv().map(|handed| handed.attempts.len()), Ok(1));
    assert!(second.try_recv().is_err() && others.try_recv().is_err());
}

#[test]
fn what_was_handed_to_nobody_waits_on() {
    let mut world = World::new();
    drop(world.wait("gone", &[]));
    world.state.offer(Arc::new(one()), world.now);
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
    world.state.offer_unclaimed(Arc::new(one()), world.now);
    assert!(world.take("b").is_empty(), "somebody may be at it");
    assert_eq!(world.beat("a", &id), Ok(false));
    world.pass(LEASE - Duration::from_secs(1));
    assert!(world.take("b").is_empty());
    assert_eq!(world.report("a", &id), Ok(true));
}

#[test]
fn after_a_restart_what_nobody_is_at_is_handed_out() {
    let mut world = World::new();
    world.state.offer_unclaimed(Arc::new(one()), world.now);
    world.pass(LEASE);
    world.one("b");
}

#[test]
fn a_worker_takes_and_reports_only_what_its_key_is_for() {
    let other = TenantId(Uuid::from_u128(2));
    let mut world = World::with([attempt(1, other, "mail.send"), attempt(2, TENANT, "mail.send")]);
    let everybodys = Worker { taker: Taker { tenant: None, ..worker("x").taker }, ..worker("x") };
    let both = world.state.take(&everybodys, 10, &[], world.now).attempts;
    assert_eq!(both.len(), 2);
    let foreign = both.iter().find(|delivered| delivered.attempt.tenant == other).expect("it was taken").id;
    assert_eq!(world.report("a", &foreign), Err(Refused::NotYours));
    assert_eq!(world.beat("a", &foreign), Err(Refused::NotYours));
}

#[test]
fn nobody_waits_for_what_no_worker_performs_without_it_being_known() {
    let mut world = World::with([one()]);
    assert!(!world.state.has_worker_for(&one(), world.now));
    assert_eq!(world.state.names_without_worker(world.now), 1);
    world.state.take(&worker("a"), 0, &[], world.now);
    assert!(world.state.has_worker_for(&one(), world.now));
    assert!(!world.state.has_worker_for(&one(), world.now + Duration::from_secs(61)), "it has not been heard of");
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
fn an_endpoint_may_call_back_before_it_has_answered_and_must_in_time() {
    let mut world = World::new();
    let callback = AttemptId::fresh(one().of);
    world.state.hold(Arc::new(Attempt { timeout: Some(LEASE), ..one() }), &callback, world.now);
    assert!(world.state.held(&AttemptId { lease: callback.lease ^ 1, ..callback }).is_none(), "only under its name");
    assert_eq!(world.report("x", &callback), Ok(true));
    world.state.reported(&callback, true, world.now);
    assert!(world.state.held(&callback).is_none());
    world.state.hold(Arc::new(Attempt { timeout: Some(LEASE), ..one() }), &callback, world.now);
    assert_eq!(world.pass(LEASE), ["timeout"]);
}
