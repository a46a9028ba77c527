//! What waits for a worker, in an order that is fair: between tenants by their weights, then what is more urgent, then
//! between the workflows of one, then whoever waits longest. A tenant that floods makes the others wait for one of its attempts at a
//! time, and not for all, under however many names it does.
//!
//! What a worker of one tenant takes is found by an index over the heads of that tenant's lanes; only a worker of all
//! tenants looks at each lane that it performs, once for all that it takes.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use fleetprompt_core::TenantId;
use fleetprompt_core::performs::Labels;
use fleetprompt_core::workflow::Priority;

use super::attempt::{Attempt, AttemptOf};
use super::input::AttemptInput;
use super::taker::{Taker, nodes_of_name};
use crate::turns::{Turn, Turns, price};
use crate::urgent::LONGEST_OF;

/// Lanes of one tenant that attempts wait in. It bounds what a worker of all tenants looks at.
const LANES_OF_TENANT_MAX: usize = 5_000;
/// Inputs that a worker is given at once, about: the attempt with which it passes this size is the last.
const INPUTS_TOGETHER_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub struct Waiting {
    pub attempt: Arc<Attempt>,
    pub input: AttemptInput,
    pub since: Instant,
    /// How often it was taken so far.
    pub deliveries: u32,
    order: i64,
}

type LaneId = u64;
/// What one tenant has in one lane.
pub type Line = (LaneId, TenantId);

/// One name, with one set of labels: whoever may take one of these may take any, of its tenants.
struct Lane {
    name: Arc<str>,
    labels: Arc<Labels>,
    tenants: Turns<TenantId, Workflows>,
}

/// Of one tenant: by priority, then by workflow, and in order there.
#[derive(Default)]
struct Workflows {
    classes: [Turns<Arc<str>, BTreeMap<i64, Waiting>>; Priority::ALL.len()],
    pops: u64,
}

/// What one tenant has in all lanes.
#[derive(Default)]
struct OfTenant {
    waiting: usize,
    lanes: usize,
    heads: HashMap<Arc<str>, HeadsByLabels>,
}

/// Under one node of names, by the labels that a worker must have: of each lane, the order of the attempt that comes next.
/// A search passes over all lanes with labels that the worker does not have in one step.
type HeadsByLabels = BTreeMap<Arc<Labels>, BTreeSet<(i64, LaneId)>>;

#[derive(Default)]
pub struct Queue {
    lanes: HashMap<LaneId, Lane>,
    by_name: BTreeMap<Arc<str>, BTreeMap<Arc<Labels>, LaneId>>,
    tenants: Turns<TenantId, OfTenant>,
    lines: BTreeSet<Line>,
    found: HashMap<AttemptOf, (Line, i64, Arc<Attempt>)>,
    /// Lines that something was put into since they were last matched with workers that wait.
    changed: Turns<TenantId, BTreeSet<LaneId>>,
    last_lane: LaneId,
    last_order: i64,
    /// What is put back comes before everything else, so its order is negative.
    first_order: i64,
    pops: u64,
    /// Lanes and heads that were looked at.
    pub work: Cell<u64>,
}

/// Where a worker finds what it may take next.
enum Source<'a> {
    Node(TenantId, &'a str, Arc<Labels>),
    Lane(LaneId),
}

/// What comes next in a source.
struct Head {
    order: i64,
    line: Line,
}

/// The order of a head and the number of its source. The first to come is at the top of a heap.
type Entry = Reverse<(i64, usize)>;

/// The heads of all sources of one worker: by tenant, with the one that was served least first, and by age alone.
#[derive(Default)]
struct Heads {
    turns: BTreeMap<Turn, TenantId>,
    by_tenant: HashMap<TenantId, BinaryHeap<Entry>>,
    by_age: BinaryHeap<Entry>,
}

impl Heads {
    fn push(&mut self, head: Head, turn: Turn, source: usize) {
        let tenant = head.line.1;
        self.turns.insert(turn, tenant);
        self.by_tenant.entry(tenant).or_default().push(Reverse((head.order, source)));
        self.by_age.push(Reverse((head.order, source)));
    }

    fn pop(&mut self, by_age: bool) -> Option<(i64, usize)> {
        if by_age {
            return self.by_age.pop().map(|Reverse(entry)| entry);
        }
        loop {
            let first = self.turns.first_entry()?;
            match self.by_tenant.get_mut(first.get()).and_then(BinaryHeap::pop) {
                Some(Reverse(entry)) => return Some(entry),
                None => {
                    first.remove();
                }
            }
        }
    }

    fn set_turn(&mut self, tenant: TenantId, before: Option<Turn>, after: Option<Turn>) {
        before.map(|turn| self.turns.remove(&turn));
        after.map(|turn| self.turns.insert(turn, tenant));
    }
}

impl Queue {
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether one more lane of its tenant would be too many.
    pub fn is_full_for(&self, attempt: &Attempt) -> bool {
        let lanes = self.tenants.peek(&attempt.tenant).map_or(0, |of| of.lanes);
        let lane = || self.by_name.get(&attempt.name)?.get(&attempt.labels).copied();
        lanes >= LANES_OF_TENANT_MAX && !lane().is_some_and(|lane| self.has((lane, attempt.tenant)))
    }

    pub fn push(&mut self, attempt: Arc<Attempt>, input: AttemptInput, since: Instant) {
        self.last_order += 1;
        self.put(Waiting { attempt, input, since, deliveries: 0, order: self.last_order });
    }

    /// One whose worker was lost, before all others of its line.
    pub fn push_again(&mut self, attempt: Arc<Attempt>, input: AttemptInput, since: Instant, deliveries: u32) {
        self.first_order -= 1;
        self.put(Waiting { attempt, input, since, deliveries, order: self.first_order });
    }

    fn put(&mut self, waiting: Waiting) {
        let (attempt, order) = (waiting.attempt.clone(), waiting.order);
        let tenant = attempt.tenant;
        let line = (self.lane_of(&attempt), tenant);
        self.found.insert(attempt.of, (line, order, attempt.clone()));
        self.tenants.of(tenant).waiting += 1;
        self.change(line, |tenants| tenants.of(tenant).of(&attempt).insert(order, waiting));
        self.changed.of(tenant).insert(line.0);
    }

    fn lane_of(&mut self, attempt: &Attempt) -> LaneId {
        let labels = self.by_name.entry(attempt.name.clone()).or_default();
        *labels.entry(attempt.labels.clone()).or_insert_with(|| {
            self.last_lane += 1;
            let lane = Lane { name: attempt.name.clone(), labels: attempt.labels.clone(), tenants: Turns::default() };
            self.lanes.insert(self.last_lane, lane);
            self.last_lane
        })
    }

    /// Up to so many that the taker may take, and fewer where their inputs are large. In each lane that fits it is some tenant's turn; of these comes the one that
    /// was served least, and of its lanes the one whose head has waited longest. One pop of so many looks at that alone:
    /// a tenant that is served much under one name may wait under another, but not for ever.
    pub fn pop(&mut self, taker: &Taker, most: usize) -> Vec<Waiting> {
        let mut popped = Popped::default();
        if most == 0 || self.found.is_empty() {
            return popped.waiting;
        }
        let sources = self.sources(taker);
        let mut heads = Heads::default();
        let push = |heads: &mut Heads, queue: &Self, at: usize| {
            if let Some(head) = queue.head(&sources[at])
                && let Some(turn) = queue.tenants.turn(&head.line.1)
            {
                heads.push(head, turn, at);
            }
        };
        (0..sources.len()).for_each(|at| push(&mut heads, self, at));
        while popped.has_room(most) {
            let by_age = self.pops % LONGEST_OF == LONGEST_OF - 1;
            let Some((order, at)) = heads.pop(by_age) else { break };
            // What was popped by its age is still among those of its tenant, and the other way round.
            let Some(head) = self.head(&sources[at]).filter(|head| head.order == order) else { continue };
            let tenant = head.line.1;
            let before = self.tenants.turn(&tenant);
            popped.extend(self.pop_line(head.line));
            heads.set_turn(tenant, before, self.tenants.turn(&tenant));
            push(&mut heads, self, at);
        }
        popped.waiting
    }

    /// The same of one line, without a search among others.
    pub fn pop_of(&mut self, line: Line, most: usize) -> Vec<Waiting> {
        let mut popped = Popped::default();
        while popped.has_room(most) && self.has(line) {
            popped.extend(self.pop_line(line));
        }
        popped.waiting
    }

    fn sources<'a>(&self, taker: &'a Taker) -> Vec<Source<'a>> {
        let nodes = taker.nodes.iter().map(|node| &**node);
        match taker.tenant {
            Some(tenant) => {
                let Some(of) = self.tenants.peek(&tenant) else { return Vec::new() };
                let labels =
                    |node: &'a str| of.heads.get(node).into_iter().flat_map(BTreeMap::keys).map(move |one| (node, one));
                let with_labels = nodes.flat_map(labels).inspect(|_| self.count());
                let fitting = with_labels.filter(|(_, labels)| taker.has(labels));
                fitting.map(|(node, labels)| Source::Node(tenant, node, labels.clone())).collect()
            }
            None => nodes.flat_map(|node| self.lanes_below(node, taker)).map(Source::Lane).collect(),
        }
    }

    fn lanes_below<'a>(&'a self, node: &'a str, taker: &'a Taker) -> impl Iterator<Item = LaneId> + 'a {
        let is_exact = !node.is_empty() && !node.ends_with('.');
        let names = self.by_name.range::<str, _>((Bound::Included(node), Bound::Unbounded));
        let below = names.take_while(move |(name, _)| if is_exact { &***name == node } else { name.starts_with(node) });
        let lanes = below.flat_map(|(_, lanes)| lanes).inspect(|_| self.count());
        lanes.filter(|(labels, _)| taker.has(labels)).map(|(_, lane)| *lane)
    }

    fn head(&self, source: &Source<'_>) -> Option<Head> {
        self.count();
        match source {
            Source::Node(tenant, node, labels) => {
                let (order, lane) = self.tenants.peek(tenant)?.heads.get(*node)?.get(labels)?.first()?;
                Some(Head { order: *order, line: (*lane, *tenant) })
            }
            Source::Lane(lane) => {
                let tenants = &self.lanes.get(lane)?.tenants;
                let tenant = tenants.next()?;
                let order = tenants.peek(&tenant)?.head()?;
                Some(Head { order, line: (*lane, tenant) })
            }
        }
    }

    fn pop_line(&mut self, line: Line) -> Option<Waiting> {
        let tenant = line.1;
        let waiting = self.change(line, |tenants| {
            let waiting = tenants.of(tenant).pop()?;
            tenants.served(&tenant, price(1, waiting.attempt.weight), Workflows::is_empty);
            Some(waiting)
        })??;
        self.pops += 1;
        self.tenants.of(tenant).waiting -= 1;
        self.tenants.served(&tenant, price(1, waiting.attempt.weight), |of| of.waiting == 0);
        self.found.remove(&waiting.attempt.of);
        Some(waiting)
    }

    pub fn get(&self, of: &AttemptOf) -> Option<&Waiting> {
        let ((lane, tenant), order, attempt) = self.found.get(of)?;
        self.lanes.get(lane)?.tenants.peek(tenant)?.peek(attempt)?.get(order)
    }

    pub fn remove(&mut self, of: &AttemptOf) -> Option<Waiting> {
        let (line, order, attempt) = self.found.remove(of)?;
        let tenant = line.1;
        let waiting = self.change(line, |tenants| {
            let workflows = tenants.of(tenant);
            let waiting = workflows.of(&attempt).remove(&order);
            workflows.classes[attempt.priority as usize].dropped(&workflow_of(&attempt), BTreeMap::is_empty);
            tenants.dropped(&tenant, Workflows::is_empty);
            waiting
        });
        self.tenants.of(tenant).waiting -= 1;
        self.tenants.dropped(&tenant, |of| of.waiting == 0);
        waiting?
    }

    /// Each change of a line passes through here, so that the indexes over lines and heads follow.
    fn change<T>(&mut self, line: Line, act: impl FnOnce(&mut Turns<TenantId, Workflows>) -> T) -> Option<T> {
        let (id, tenant) = line;
        let lane = self.lanes.get_mut(&id)?;
        let head = |lane: &Lane| lane.tenants.peek(&tenant).and_then(Workflows::head);
        let before = head(lane);
        let done = act(&mut lane.tenants);
        let after = head(lane);
        if before != after {
            let of = self.tenants.of(tenant);
            nodes_of_name(&lane.name).for_each(|node| of.set_head(node, &lane.labels, id, before, after));
            match (before, after) {
                (None, Some(_)) => of.lanes += usize::from(self.lines.insert(line)),
                (Some(_), None) => of.lanes -= usize::from(self.lines.remove(&line)),
                _ => {}
            }
        }
        if lane.tenants.is_empty()
            && let Some(lane) = self.lanes.remove(&id)
            && let Some(lanes) = self.by_name.get_mut(&lane.name)
        {
            lanes.remove(&lane.labels);
            if lanes.is_empty() {
                self.by_name.remove(&lane.name);
            }
        }
        Some(done)
    }

    // Lines

    pub fn has(&self, (lane, tenant): Line) -> bool {
        self.lanes.get(&lane).is_some_and(|lane| lane.tenants.peek(&tenant).is_some())
    }

    /// Of a line in which something waits, the name and the labels that a worker must have.
    pub fn wanted(&self, line: Line) -> Option<(&str, &Labels)> {
        self.lanes.get(&line.0).filter(|_| self.has(line)).map(|lane| (&*lane.name, &*lane.labels))
    }

    /// The attempt that comes next in a line.
    pub fn head_of(&self, (lane, tenant): Line) -> Option<&Attempt> {
        let workflows = self.lanes.get(&lane)?.tenants.peek(&tenant)?;
        let class = &workflows.classes[workflows.next()?];
        Some(&class.peek(&class.next()?)?.values().next()?.attempt)
    }

    /// A line that changed, of one tenant after the other.
    pub fn take_changed(&mut self) -> Option<Line> {
        let tenant = self.changed.next()?;
        self.count();
        let lane = self.changed.of(tenant).pop_first();
        self.changed.served(&tenant, 1, BTreeSet::is_empty);
        Some((lane?, tenant))
    }

    pub fn mark_changed(&mut self, (lane, tenant): Line) {
        self.changed.of(tenant).insert(lane);
    }

    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Those in which something waits, after the one given.
    pub fn lines_after(&self, line: Option<Line>) -> impl Iterator<Item = Line> {
        let after = line.map_or(Bound::Unbounded, Bound::Excluded);
        self.lines.range((after, Bound::Unbounded)).copied()
    }

    fn count(&self) {
        self.work.set(self.work.get() + 1);
    }
}

impl OfTenant {
    fn set_head(&mut self, node: &str, labels: &Arc<Labels>, lane: LaneId, before: Option<i64>, after: Option<i64>) {
        if !self.heads.contains_key(node) {
            self.heads.insert(node.into(), HeadsByLabels::new());
        }
        let Some(by_labels) = self.heads.get_mut(node) else { return };
        let heads = by_labels.entry(labels.clone()).or_default();
        before.map(|order| heads.remove(&(order, lane)));
        after.map(|order| heads.insert((order, lane)));
        if heads.is_empty() {
            by_labels.remove(labels);
        }
        if by_labels.is_empty() {
            self.heads.remove(node);
        }
    }
}

/// What one worker is given together.
#[derive(Default)]
struct Popped {
    waiting: Vec<Waiting>,
    input_bytes: usize,
}

impl Popped {
    /// There is always room for the first.
    fn has_room(&self, most: usize) -> bool {
        self.waiting.len() < most && self.input_bytes < INPUTS_TOGETHER_BYTES
    }

    fn extend(&mut self, waiting: Option<Waiting>) {
        self.input_bytes += waiting.as_ref().map_or(0, |waiting| waiting.input.bytes());
        self.waiting.extend(waiting);
    }
}

impl Workflows {
    fn is_empty(&self) -> bool {
        self.classes.iter().all(Turns::is_empty)
    }

    fn of(&mut self, attempt: &Attempt) -> &mut BTreeMap<i64, Waiting> {
        self.classes[attempt.priority as usize].of(workflow_of(attempt))
    }

    fn peek(&self, attempt: &Attempt) -> Option<&BTreeMap<i64, Waiting>> {
        self.classes[attempt.priority as usize].peek(&workflow_of(attempt))
    }

    /// In which class somebody's turn is next: in the most urgent, or in that where one waits longest.
    fn next(&self) -> Option<usize> {
        let by_age = self.pops % LONGEST_OF == LONGEST_OF - 1;
        let heads = (0..self.classes.len()).filter_map(|class| Some((class, self.head_of(class)?)));
        heads.min_by_key(|(class, head)| if by_age { *head } else { *class as i64 }).map(|(class, _)| class)
    }

    fn head_of(&self, class: usize) -> Option<i64> {
        let workflows = &self.classes[class];
        workflows.peek(&workflows.next()?)?.keys().next().copied()
    }

    /// When the one came whose turn is next.
    fn head(&self) -> Option<i64> {
        self.head_of(self.next()?)
    }

    fn pop(&mut self) -> Option<Waiting> {
        let workflows = &mut self.classes[self.next()?];
        let workflow = workflows.next()?;
        let (_, waiting) = workflows.of(workflow.clone()).pop_first()?;
        workflows.served(&workflow, 1, BTreeMap::is_empty);
        self.pops += 1;
        Some(waiting)
    }
}

fn workflow_of(attempt: &Attempt) -> Arc<str> {
    attempt.workflow.as_ref().map_or("", |slug| slug.as_str()).into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attempt, no_input};
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(number))
    }

    fn taker(names: &[&str]) -> Taker {
        let names = names.iter().map(|name| name.parse().expect("a pattern")).collect();
        Taker::new(None, names, Labels::new())
    }

    fn push(queue: &mut Queue, number: u128, tenant_number: u128, workflow: &str, name: &str) {
        let made = attempt(number, tenant(tenant_number), name);
        let made = Attempt { workflow: workflow.parse().ok(), ..made };
        queue.push(Arc::new(made), no_input(), Instant::now());
    }

    fn popped(queue: &mut Queue, taker: &Taker) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(waiting) = queue.pop(taker, 1).pop() {
            all.push(waiting.attempt.idempotency_key.clone());
        }
        all
    }

    #[test]
    fn tenants_take_turns_and_then_workflows_and_the_oldest_comes_first() {
        let mut queue = Queue::default();
        for number in 1..=4 {
            push(&mut queue, number, 1, "noisy", "mail.send");
        }
        push(&mut queue, 5, 1, "calm", "mail.send");
        push(&mut queue, 6, 2, "calm", "mail.send");
        push(&mut queue, 7, 2, "calm", "mail.send");
        assert_eq!(popped(&mut queue, &taker(&["*"])), ["1", "6", "5", "7", "2", "3", "4"]);
        assert_eq!((queue.len(), queue.lanes.len()), (0, 0), "nothing is left behind");
    }

    #[test]
    fn what_is_urgent_comes_first_and_who_has_more_weight_gets_more() {
        let mut queue = Queue::default();
        let mut push = |number, tenant_number, weight: u16, priority| {
            let weight = weight.try_into().expect("a weight");
            let made = Attempt { weight, priority, ..attempt(number, tenant(tenant_number), "mail.send") };
            queue.push(Arc::new(made), no_input(), Instant::now());
        };
        (1..=3).for_each(|number| push(number, 1, 100, Priority::Low));
        (4..=8).for_each(|number| push(number, 1, 100, Priority::High));
        (101..=106).for_each(|number| push(number, 2, 250, Priority::Normal));
        let all = popped(&mut queue, &taker(&["*"]));
        assert_eq!(all[..8], ["4", "101", "102", "103", "5", "104", "105", "6"], "five for two");
        let fourths: Vec<_> = all[8..].iter().filter(|key| key.len() == 1).collect();
        assert_eq!(fourths, ["1", "7", "8", "2", "3"], "each fourth is whoever waits longest");
        assert_eq!((queue.len(), queue.lanes.len()), (0, 0), "nothing is left behind");
    }

    #[test]
    fn between_names_whoever_waits_longest_comes_first() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 1, "a", "mail.send");
        push(&mut queue, 2, 1, "a", "sms.send");
        push(&mut queue, 3, 1, "a", "mail.send");
        assert_eq!(popped(&mut queue, &taker(&["mail.*", "sms.send"])), ["1", "2", "3"]);
    }

    #[test]
    fn only_what_the_taker_performs_where_it_may_is_taken() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 1, "a", "mail.send");
        push(&mut queue, 2, 2, "a", "mail.send");
        push(&mut queue, 3, 1, "a", "sms.send");
        let labels = Labels::from([("region".to_owned(), "eu".to_owned())]);
        let made = Attempt { labels: labels.clone().into(), ..attempt(4, tenant(1), "mail.send") };
        queue.push(Arc::new(made), no_input(), Instant::now());
        let own = Taker { tenant: Some(tenant(1)), ..taker(&["mail.*"]) };
        assert_eq!(popped(&mut queue, &own), ["1"]);
        assert_eq!(popped(&mut queue, &Taker { labels, ..own }), ["4"]);
        assert_eq!(popped(&mut queue, &taker(&["*"])), ["2", "3"]);
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_out_and_what_was_taken_in_vain_comes_first() {
        let mut queue = Queue::default();
        for number in 1..=4 {
            push(&mut queue, number, 1, "a", "mail.send");
        }
        let of = attempt(2, tenant(1), "mail.send").of;
        assert!(queue.get(&of).is_some());
        assert_eq!(queue.remove(&of).map(|waiting| waiting.attempt.of), Some(of));
        assert!(queue.remove(&of).is_none() && queue.get(&of).is_none());
        let first = queue.pop(&taker(&["*"]), 1).pop().expect("it waits");
        queue.push_again(first.attempt, first.input, first.since, first.deliveries);
        assert_eq!(popped(&mut queue, &taker(&["*"])), ["1", "3", "4"]);
    }

    #[test]
    fn one_that_comes_late_is_not_owed_all_turns_before() {
        let mut queue = Queue::default();
        for number in 1..=50 {
            push(&mut queue, number, 1, "a", "mail.send");
        }
        for _ in 0..20 {
            queue.pop(&taker(&["*"]), 1);
        }
        for number in 101..=105 {
            push(&mut queue, number, 2, "a", "mail.send");
        }
        let next: Vec<String> = popped(&mut queue, &taker(&["*"])).into_iter().take(4).collect();
        assert_eq!(next.iter().filter(|key| key.len() == 3).count(), 2, "{next:?}");
    }

    #[test]
    fn a_tenant_that_floods_under_many_names_takes_turns_as_well() {
        let mut queue = Queue::default();
        for number in 1..=300 {
            push(&mut queue, number, 1, "a", &format!("mail.n{}", number % 100));
        }
        for number in 1_001..=1_003 {
            push(&mut queue, number, 2, "a", "mail.send");
        }
        let all = popped(&mut queue, &taker(&["*"]));
        let quiet: Vec<usize> = (0..all.len()).filter(|at| all[*at].len() == 4).collect();
        assert!(all.len() == 303 && quiet.len() == 3 && quiet[2] < 10, "{quiet:?}");
        assert!(queue.tenants.is_empty() && queue.lanes.is_empty() && queue.by_name.is_empty());
        assert!(queue.lines.is_empty() && queue.found.is_empty());
    }

    #[test]
    fn who_is_served_much_under_one_name_does_not_wait_for_ever_under_another() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 1, "a", "sms.send");
        for number in 2..=60 {
            push(&mut queue, number, 1, "a", "mail.send");
        }
        for _ in 0..40 {
            queue.pop(&taker(&["mail.send"]), 1);
        }
        for number in 1_001..=1_100 {
            push(&mut queue, number, 2, "a", "film.render");
        }
        let next: Vec<String> = popped(&mut queue, &taker(&["sms.send", "film.render"])).into_iter().take(5).collect();
        assert!(next.contains(&"1".to_owned()), "{next:?}");
    }
}
