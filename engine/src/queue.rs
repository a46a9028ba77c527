//! What waits to be decided. Tenants take turns by their weights, so that one that floods makes the others wait for a
//! part of a batch and not for all that it sent; what one tenant sends stays in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use fleetprompt_core::tenant::Weight;
use fleetprompt_core::{Meter, TenantId};
use parking_lot::Mutex;

use crate::Error;
use crate::clock::MonotonicClock;
use crate::input::{Input, Outcome};
use crate::turns::{Turn, Turns, price};

const LATELY: Duration = Duration::from_secs(60);
/// Control inputs that may wait, of all tenants together.
const CONTROL_MAX: usize = 1_024;
/// Control inputs that are taken ahead of everything else in one batch.
const CONTROL_BATCH_MAX: usize = 4;
/// A work is charged one unit more for so much work of its decision: 16 signals, or about 0.12 ms.
const METER_UNITS_PER_UNIT: u64 = 16 * Meter::SIGNAL_UNITS;

/// Whose turn it is. None: of whoever makes tenants.
pub(crate) type Whose = Option<TenantId>;

pub(crate) enum Work {
    Input(Box<Input>),
    Outcome(Outcome),
}

/// With which one that was taken finds its place again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ticket {
    turn: Turn,
    weight: Weight,
    pub is_control: bool,
}

pub(crate) type Taken = Vec<(Work, Ticket)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Too much waits already, of this tenant or of all.
    Away,
    /// Nothing is decided any more.
    Off,
}

/// Where callers put what they want.
#[derive(Clone)]
pub(crate) struct Entrance {
    lines: Arc<Mutex<Lines>>,
    bell: Sender<()>,
}

/// Where the decider takes from.
pub(crate) struct Exit {
    lines: Arc<Mutex<Lines>>,
    /// Rings when something came. It falls silent for good when there is no entrance any more.
    pub bell: Receiver<()>,
}

/// Control inputs (pause, archive, cancel) have a lane of their own: whatever else waits, they can be put in and are
/// decided first.
#[derive(Default)]
struct Lines {
    normal: Lane,
    control: Lane,
    is_closed: bool,
    last: Option<(TenantId, Instant)>,
    shared_at: Option<Instant>,
    clock: MonotonicClock,
}

#[derive(Default)]
struct Lane {
    turns: Turns<Whose, Line>,
    len: usize,
    /// Of them those that callers wait for.
    inputs: usize,
    /// As many of these may wait.
    max: usize,
    /// Lines of which nothing was taken since they have come.
    newcomers: usize,
}

#[derive(Default)]
struct Line {
    weight: Weight,
    works: VecDeque<Work>,
    inputs: usize,
    is_served: bool,
}

/// What waits of one tenant, without its control inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub units: usize,
    /// How far the tenant is ahead of the virtual time: as much was decided for it, or is charged to it, already.
    pub lead: usize,
}

/// Tenants that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sharers {
    pub waiting: usize,
    /// Of them those who have just come.
    pub newcomers: usize,
}

pub(crate) fn queue(max: usize) -> (Entrance, Exit) {
    queue_by_clock(max, MonotonicClock::System)
}

pub(crate) fn queue_by_clock(max: usize, clock: MonotonicClock) -> (Entrance, Exit) {
    let lane = |max| Lane { max, ..Lane::default() };
    let lines = Lines { normal: lane(max), control: lane(CONTROL_MAX), clock, ..Lines::default() };
    let lines = Arc::new(Mutex::new(lines));
    let (ring, bell) = bounded(1);
    (Entrance { lines: lines.clone(), bell: ring }, Exit { lines, bell })
}

impl Entrance {
    /// These of one request: all, or none of them.
    pub fn put(&self, whose: Whose, weight: Weight, inputs: Vec<Input>) -> Result<(), Turned> {
        {
            let mut lines = self.lines.lock();
            if lines.is_closed {
                return Err(Turned::Off);
            }
            let is_control = inputs.iter().all(Input::is_control);
            // What workers report is bounded by what they were given.
            if lines.lane(is_control).is_full_for(whose)
                && !inputs.iter().all(|input| matches!(input, Input::Outcome { .. }))
            {
                return Err(Turned::Away);
            }
            lines.saw(whose);
            let lane = lines.lane(is_control);
            inputs.into_iter().for_each(|input| lane.push(whose, weight, Work::Input(Box::new(input))));
        }
        // When it has rung and nobody has heard it yet, that will do.
        let _ = self.bell.try_send(());
        Ok(())
    }
}

impl Exit {
    /// What comes from within is never turned away.
    pub fn put(&self, tenant: TenantId, weight: Weight, outcome: Outcome) {
        let mut lines = self.lines.lock();
        lines.saw(Some(tenant));
        lines.normal.push(Some(tenant), weight, Work::Outcome(outcome));
    }

    /// Control inputs first, and then the others until their cost reaches `most`; in each lane tenants share fairly. When
    /// they are decided, `put_back` must follow, with those that are not.
    pub fn take(&self, most: usize) -> Taken {
        let mut lines = self.lines.lock();
        let mut taken = Vec::new();
        lines.control.take(CONTROL_BATCH_MAX, true, &mut taken);
        lines.normal.take(most, false, &mut taken);
        taken
    }

    /// Charges tenants for the decisions of their works, whose work was not known when they were taken.
    pub fn charge(&self, charges: impl IntoIterator<Item = Charge>) {
        let mut lines = self.lines.lock();
        for Charge { whose, units, weight } in charges {
            lines.normal.turns.charge(&whose, price(units, weight));
        }
    }

    /// There was no time for these, of the last that were taken: they wait on as if they had not been.
    pub fn put_back(&self, works: Taken) {
        let mut lines = self.lines.lock();
        for is_control in [true, false] {
            let first = works.iter().find(|(_, ticket)| ticket.is_control == is_control);
            lines.lane(is_control).turns.end_batch(first.map(|(_, ticket)| ticket.turn));
        }
        for (work, ticket) in works.into_iter().rev() {
            lines.lane(ticket.is_control).put_back(work, ticket);
        }
    }

    pub fn len(&self) -> usize {
        let lines = self.lines.lock();
        lines.normal.len + lines.control.len
    }

    /// What waits of a tenant.
    pub fn backlog_of(&self, whose: Whose) -> Backlog {
        let lines = self.lines.lock();
        let Some(line) = lines.normal.turns.peek(&whose) else { return Backlog::default() };
        let lead = lines.normal.turns.lead(&whose).div_ceil(price(1, line.weight));
        Backlog { units: line.works.iter().map(Work::cost).sum(), lead: lead as usize }
    }

    /// None while only one tenant has had something to decide within a minute: then its batch may be long.
    pub fn sharers(&self) -> Option<Sharers> {
        let lines = self.lines.lock();
        let is_shared = lines.shared_at.is_some_and(|at| lines.clock.now().duration_since(at) < LATELY);
        is_shared.then(|| Sharers { waiting: lines.normal.turns.len(), newcomers: lines.normal.newcomers })
    }

    pub fn refuse_all(&self) {
        for work in self.close() {
            if let Work::Input(input) = work {
                input.refuse(Error::Unavailable("the engine has ended".into()));
            }
        }
    }

    /// Takes all that waits, and lets nothing more come.
    pub fn close(&self) -> Vec<Work> {
        let mut lines = self.lines.lock();
        lines.is_closed = true;
        let control = std::mem::take(&mut lines.control);
        let normal = std::mem::take(&mut lines.normal);
        let works = |lane: Lane| lane.turns.into_lines().flat_map(|line| line.works);
        works(control).chain(works(normal)).collect()
    }
}

/// Callers whose inputs still wait learn that nothing of them was accepted.
impl Drop for Exit {
    fn drop(&mut self) {
        self.refuse_all();
    }
}

impl Lines {
    fn lane(&mut self, is_control: bool) -> &mut Lane {
        if is_control { &mut self.control } else { &mut self.normal }
    }

    fn saw(&mut self, whose: Whose) {
        let Some(tenant) = whose else { return };
        let now = self.clock.now();
        if self.last.is_some_and(|(last, at)| last != tenant && now.duration_since(at) < LATELY) {
            self.shared_at = Some(now);
        }
        self.last = Some((tenant, now));
    }
}

impl Lane {
    /// Beyond `max` in all, each tenant may still have its part of it: who is quiet is not turned away for those who
    /// are not.
    fn is_full_for(&self, whose: Whose) -> bool {
        let of_one = self.turns.peek(&whose).map_or(0, |line| line.inputs);
        let of_each = self.max / (self.turns.len() + 1);
        self.inputs >= self.max && of_one >= of_each || of_one >= (self.max - self.max / 4).max(1)
    }

    fn push(&mut self, whose: Whose, weight: Weight, work: Work) {
        self.count(&work, 1);
        self.newcomers += usize::from(self.turns.peek(&whose).is_none());
        let line = self.turns.of(whose);
        line.inputs += usize::from(work.is_input());
        line.weight = weight;
        line.works.push_back(work);
    }

    fn take(&mut self, most: usize, is_control: bool, taken: &mut Taken) {
        self.turns.begin_batch();
        let mut cost = 0;
        while cost < most
            && let Some((work, ticket)) = self.pop()
        {
            cost += work.cost();
            taken.push((work, Ticket { is_control, ..ticket }));
        }
    }

    fn pop(&mut self) -> Option<(Work, Ticket)> {
        let whose = self.turns.next()?;
        let turn = self.turns.turn(&whose)?;
        let line = self.turns.of(whose);
        let work = line.works.pop_front()?;
        line.inputs -= usize::from(work.is_input());
        let weight = line.weight;
        let is_newcomer = !std::mem::replace(&mut line.is_served, true);
        self.turns.served(&whose, price(work.cost(), weight), |line| line.works.is_empty());
        self.count(&work, -1);
        self.newcomers -= usize::from(is_newcomer);
        Some((work, Ticket { turn, weight, is_control: false }))
    }

    fn put_back(&mut self, work: Work, ticket: Ticket) {
        let whose = work.whose();
        self.count(&work, 1);
        let is_newcomer = self.turns.peek(&whose).is_some_and(|line| !line.is_served);
        self.newcomers -= usize::from(is_newcomer);
        let line = self.turns.of(whose);
        line.inputs += usize::from(work.is_input());
        line.weight = ticket.weight;
        line.is_served = true;
        line.works.push_front(work);
        self.turns.restore(&whose, ticket.turn);
    }

    fn count(&mut self, work: &Work, by: isize) {
        self.len = self.len.saturating_add_signed(by);
        self.inputs = self.inputs.saturating_add_signed(if work.is_input() { by } else { 0 });
    }
}

/// What the decision of a work is charged as, besides the cost that was known when it was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    whose: Whose,
    weight: Weight,
    units: usize,
}

impl Charge {
    pub fn units(&self) -> (Whose, usize) {
        (self.whose, self.units)
    }

    /// A control input was taken ahead of the others, so it is charged its own cost, too. `None` if nothing is left to
    /// charge.
    pub fn of(whose: Whose, ticket: Ticket, meter_units: u64) -> Option<Self> {
        let units = (meter_units / METER_UNITS_PER_UNIT) as usize + usize::from(ticket.is_control);
        (units > 0).then_some(Self { whose, weight: ticket.weight, units })
    }
}

impl Work {
    /// How much there is to decide.
    pub fn cost(&self) -> usize {
        match self {
            Self::Input(input) => input.cost().max(1),
            Self::Outcome(_) => 1,
        }
    }

    fn is_input(&self) -> bool {
        matches!(self, Self::Input(_))
    }

    pub fn is_registration(&self) -> bool {
        matches!(self, Self::Input(input) if matches!(**input, Input::Register(_)))
    }

    pub fn whose(&self) -> Whose {
        match self {
            Self::Input(input) => input.tenant(),
            Self::Outcome(outcome) => Some(outcome.tenant()),
        }
    }
}

/// How much one batch takes when tenants share the engine: as much as can be decided and written before somebody who has
/// just come would notice that he waits, but not less than one for each that waits: if all are served alike, smaller
/// batches only make all of them wait. What a commit takes however small it is, no smaller batch would save.
///
/// Who has just come has a batch without those who have waited on and on; but every second one is theirs.
pub(crate) struct Pace {
    most: usize,
    now: usize,
    fixed: Duration,
    is_for_newcomers: bool,
}

impl Pace {
    /// What is decided in one batch may take so long: two of them are what somebody waits who has just come.
    const LONG: Duration = Duration::from_micros(500);
    /// Or so long for each tenant that waits.
    const EACH: Duration = Duration::from_micros(50);
    /// The same while one tenant is alone: whoever comes then waits for it once.
    pub const ALONE: Duration = Duration::from_millis(100);
    const LEAST: usize = 8;
    /// So few take hardly longer than none.
    const FEW: usize = 16;

    pub fn new(most: usize) -> Self {
        Self { most, now: most, fixed: Duration::ZERO, is_for_newcomers: false }
    }

    pub fn next(&mut self, sharers: Option<Sharers>) -> usize {
        let Some(Sharers { waiting, newcomers }) = sharers else { return self.most };
        self.is_for_newcomers = !self.is_for_newcomers && (1..waiting).contains(&newcomers);
        let next = if self.is_for_newcomers { newcomers } else { self.now.max(waiting) };
        next.min(self.most)
    }

    pub fn within(sharers: Sharers) -> Duration {
        Self::LONG.max(Self::EACH * sharers.waiting as u32)
    }

    /// The last batch was so large, and took so long.
    pub fn took(&mut self, cost: usize, time: Duration) {
        if cost == 0 {
            return;
        }
        if cost <= Self::FEW {
            // The least of late: slower ones waited for something else as well.
            let of_late = self.fixed + self.fixed / 64;
            self.fixed = if self.fixed.is_zero() { time } else { time.min(of_late) };
        }
        let time = time.saturating_sub(self.fixed);
        if time > Self::LONG {
            let in_time = cost as f64 * Self::LONG.as_secs_f64() / time.as_secs_f64();
            self.now = (in_time as usize).clamp(Self::LEAST.min(self.most), self.most);
        } else if cost >= self.now {
            self.now = (self.now + self.now / 4 + 1).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetprompt_core::{Party, Scope};
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;
    use crate::input::Reply;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn input(number: u128) -> Input {
        let scope = Scope { tenant: tenant(number), actor: Party::engine() };
        let (id, reply) = (fleetprompt_core::DirectiveId(Uuid::nil()), Reply::new(oneshot::channel().0));
        Input::Heartbeat { scope, id, reply }
    }

    fn put(entrance: &Entrance, number: u128, count: usize) -> usize {
        (0..count)
            .filter(|_| entrance.put(Some(tenant(number)), Weight::default(), vec![input(number)]).is_ok())
            .count()
    }

    fn on_and_on(waiting: usize) -> Option<Sharers> {
        Some(Sharers { waiting, newcomers: 0 })
    }

    fn taken(exit: &Exit, most: usize) -> Vec<u128> {
        let whose = |(work, _)| match work {
            Work::Input(input) => input.tenant().map_or(0, |tenant| tenant.0.as_u128()),
            Work::Outcome(_) => 0,
        };
        let works = exit.take(most);
        exit.put_back(Vec::new());
        works.into_iter().map(whose).collect()
    }

    #[test]
    fn who_is_quiet_waits_for_no_more_than_one_of_a_flood() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 500);
        assert_eq!(taken(&exit, 4), [1, 1, 1, 1]);
        put(&entrance, 2, 2);
        assert_eq!(taken(&exit, 6), [2, 1, 2, 1, 1, 1]);
        assert_eq!(exit.len(), 492);
    }

    #[test]
    fn what_there_was_no_time_for_keeps_its_place() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 2);
        put(&entrance, 2, 2);
        let works = exit.take(3);
        put(&entrance, 1, 1);
        exit.put_back(works);
        assert_eq!(exit.len(), 5);
        assert_eq!(taken(&exit, 5), [1, 2, 1, 2, 1]);
    }

    #[test]
    fn who_comes_while_a_batch_is_cut_off_does_not_wait_for_the_rest_of_it() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 100);
        let mut works = exit.take(50);
        let rest = works.split_off(1);
        put(&entrance, 2, 1);
        exit.put_back(rest);
        put(&entrance, 3, 1);
        assert_eq!(taken(&exit, 4), [2, 1, 3, 1]);
    }

    #[test]
    fn who_waits_on_has_its_turn_however_often_others_come_back() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 10);
        (2..22).for_each(|number| assert_eq!(put(&entrance, number, 1), 1));
        let mut decided = 0;
        for _ in 0..100 {
            for number in taken(&exit, 2) {
                decided += usize::from(number == 1);
                put(&entrance, number, 1);
            }
        }
        assert!((9..=11).contains(&decided), "{decided} of 200 among 21 tenants");
    }

    #[test]
    fn who_is_cut_off_again_and_again_has_its_turn() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 40);
        put(&entrance, 2, 40);
        let mut decided = [0, 0];
        for _ in 0..40 {
            let mut works = exit.take(8);
            let rest = works.split_off(1);
            decided[usize::from(works[0].0.whose() == Some(tenant(2)))] += 1;
            exit.put_back(rest);
        }
        assert_eq!(decided, [20, 20]);
    }

    fn archive(number: u128) -> Input {
        let scope = Scope { tenant: tenant(number), actor: Party::engine() };
        let slug = "triage".parse().expect("a slug");
        let to = fleetprompt_core::registration::WorkflowStatus::Archived;
        Input::Register(crate::input::Registration::WorkflowStatus {
            scope,
            slug,
            to,
            compiled: None,
            reply: Reply::new(oneshot::channel().0),
        })
    }

    #[test]
    fn a_control_input_is_accepted_and_decided_first_however_full_the_queue_is() {
        let (entrance, exit) = queue(100);
        put(&entrance, 1, 200);
        assert_eq!(put(&entrance, 1, 1), 0, "the tenant's share of the queue is used up");
        entrance.put(Some(tenant(1)), Weight::default(), vec![archive(1)]).expect("the control lane has room");
        let first = exit.take(4).into_iter().next().expect("a work").0;
        assert!(first.is_registration());
        // The lane itself is limited, and what it takes leaves room for the others in every batch.
        let flood = (0..2_000).filter(|_| entrance.put(Some(tenant(1)), Weight::default(), vec![archive(1)]).is_ok());
        assert_eq!(flood.count(), CONTROL_MAX - CONTROL_MAX / 4);
        put(&entrance, 2, 1);
        let works = exit.take(8);
        assert_eq!(works.iter().filter(|(work, _)| work.is_registration()).count(), CONTROL_BATCH_MAX);
        assert!(works.iter().any(|(work, _)| work.whose() == Some(tenant(2))));
        // What was put back keeps its lane.
        exit.put_back(works);
        assert!(exit.take(1)[0].0.is_registration());
    }

    #[test]
    fn a_tenant_is_charged_for_what_its_works_led_to() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 40);
        put(&entrance, 2, 40);
        let mut taken = [0, 0];
        for _ in 0..30 {
            let (work, ticket) = exit.take(1).pop().expect("a work");
            let is_large = work.whose() == Some(tenant(1));
            taken[usize::from(!is_large)] += 1;
            let signals = if is_large { 64 } else { 10 };
            exit.charge(Charge::of(work.whose(), ticket, signals * Meter::SIGNAL_UNITS));
        }
        assert_eq!(taken, [5, 25], "a work that led to 64 signals costs five times as much");
    }

    #[test]
    fn who_has_more_weight_gets_more() {
        let (entrance, exit) = queue(1_000);
        let weight = Weight::try_from(300).expect("a weight");
        for _ in 0..100 {
            entrance.put(Some(tenant(1)), weight, vec![input(1)]).expect("there is room");
            entrance.put(Some(tenant(2)), Weight::default(), vec![input(2)]).expect("there is room");
        }
        let heavy = taken(&exit, 80).into_iter().filter(|whose| *whose == 1).count();
        assert!((59..=61).contains(&heavy), "{heavy} of 80");
    }

    #[test]
    fn who_floods_is_turned_away_and_who_is_quiet_is_not() {
        let (entrance, exit) = queue(100);
        assert_eq!(put(&entrance, 1, 200), 75, "three quarters of all");
        assert_eq!(put(&entrance, 2, 200), 33, "a third each, when there is no more");
        assert_eq!(put(&entrance, 3, 10), 10);
        assert_eq!(entrance.put(Some(tenant(1)), Weight::default(), vec![input(1)]), Err(Turned::Away));
        exit.close();
        assert_eq!(entrance.put(Some(tenant(3)), Weight::default(), vec![input(3)]), Err(Turned::Off));
    }

    #[test]
    fn a_tenant_alone_shares_with_nobody() {
        let (entrance, exit) = queue(100);
        put(&entrance, 1, 10);
        assert_eq!(exit.sharers(), None);
        put(&entrance, 2, 1);
        assert_eq!(exit.sharers(), Some(Sharers { waiting: 2, newcomers: 2 }));
    }

    #[test]
    fn who_has_just_come_has_every_second_batch() {
        let (entrance, exit) = queue(1_000);
        let mut pace = Pace::new(64);
        put(&entrance, 1, 500);
        assert_eq!(taken(&exit, 4), [1; 4]);
        put(&entrance, 2, 1);
        assert_eq!(pace.next(exit.sharers()), 1);
        assert_eq!(taken(&exit, 1), [2]);
        put(&entrance, 2, 1);
        assert_eq!(pace.next(exit.sharers()), 64, "the others have one, too");
        assert_eq!(taken(&exit, 4), [1, 2, 1, 1]);
        assert_eq!(exit.sharers(), Some(Sharers { waiting: 1, newcomers: 0 }));
        assert_eq!(pace.next(exit.sharers()), 64);
        // Of these nobody has waited on and on.
        let all = Some(Sharers { waiting: 40, newcomers: 40 });
        assert_eq!([pace.next(all), pace.next(all)], [64, 64]);
    }

    #[test]
    fn who_is_put_back_has_not_just_come() {
        let (entrance, exit) = queue(1_000);
        put(&entrance, 1, 2);
        put(&entrance, 2, 1);
        let works = exit.take(3);
        put(&entrance, 2, 1);
        assert_eq!(exit.sharers(), Some(Sharers { waiting: 1, newcomers: 1 }));
        exit.put_back(works);
        assert_eq!(exit.sharers(), Some(Sharers { waiting: 2, newcomers: 0 }));
    }

    #[test]
    fn batches_become_as_large_as_they_may_take_long() {
        let mut pace = Pace::new(1_024);
        pace.took(1_024, Duration::from_millis(32));
        assert_eq!([pace.next(on_and_on(2)), pace.next(None)], [16, 1_024]);
        pace.took(64, Duration::from_secs(60));
        assert_eq!(pace.next(on_and_on(2)), Pace::LEAST);
        for _ in 0..100 {
            let cost = pace.next(on_and_on(2));
            pace.took(cost, Duration::from_micros(500));
        }
        assert_eq!(pace.next(on_and_on(2)), 1_024);
        pace.took(1, Duration::from_millis(1));
        assert_eq!(pace.next(on_and_on(2)), 1_024, "a small batch tells nothing");
    }

    #[test]
    fn each_that_waits_has_its_place_in_a_batch() {
        let mut pace = Pace::new(1_024);
        pace.took(1_024, Duration::from_secs(60));
        assert_eq!([1, 100, 5_000].map(|waiting| pace.next(on_and_on(waiting))), [Pace::LEAST, 100, 1_024]);
        assert_eq!(
            [1, 100].map(|waiting| Pace::within(Sharers { waiting, newcomers: 0 })),
            [Pace::LONG, Pace::EACH * 100]
        );
    }

    #[test]
    fn what_each_commit_takes_makes_no_batch_smaller() {
        let mut pace = Pace::new(1_024);
        (0..1_000).for_each(|_| pace.took(1, Duration::from_millis(10)));
        for _ in 0..100 {
            let cost = pace.next(on_and_on(2));
            pace.took(cost, Duration::from_millis(10) + Duration::from_micros(25) * cost as u32);
        }
        assert!((15..30).contains(&pace.next(on_and_on(2))), "{}", pace.next(on_and_on(2)));
    }
}
