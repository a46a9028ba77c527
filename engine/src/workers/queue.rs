//! What waits for a worker, in an order that is fair: between tenants by their weights, then what is more urgent, then
//! between the workflows of one, then whoever waits longest. A tenant that floods makes the others wait for one of its attempts at a
//! time, and not for all, under however many names it does.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use fleetprompt_core::TenantId;
use fleetprompt_core::performs::{Labels, Pattern};
use fleetprompt_core::workflow::Priority;

use super::attempt::{Attempt, AttemptOf};
use crate::turns::{Turn, Turns, price};
use crate::urgent::LONGEST_OF;

/// Who may take what.
#[derive(Debug, Clone)]
pub struct Taker {
    /// None: of every tenant.
    pub tenant: Option<TenantId>,
    pub names: Vec<Pattern>,
    pub labels: Labels,
}

impl Taker {
    pub fn may_take(&self, attempt: &Attempt) -> bool {
        self.is_of(attempt.tenant) && self.performs(&attempt.name) && self.has(&attempt.labels)
    }

    pub fn is_of(&self, tenant: TenantId) -> bool {
        self.tenant.is_none_or(|own| own == tenant)
    }

    fn performs(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| pattern.fits(name))
    }

    fn has(&self, wanted: &Labels) -> bool {
        wanted.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

#[derive(Debug, Clone)]
pub struct Waiting {
    pub attempt: Arc<Attempt>,
    pub since: Instant,
    /// How often it was taken so far.
    pub deliveries: u32,
    order: u64,
}

/// One name, with one set of labels: whoever may take one of these may take any, of its tenants.
type Lane = (Arc<str>, Labels);

/// Of one tenant: by priority, then by workflow.
#[derive(Default)]
struct Workflows {
    classes: [Turns<Arc<str>, VecDeque<Waiting>>; Priority::ALL.len()],
    pops: u64,
}

#[derive(Default)]
pub struct Queue {
    lanes: BTreeMap<Lane, Turns<TenantId, Workflows>>,
    /// How many each tenant has in all of them.
    tenants: Turns<TenantId, usize>,
    found: HashMap<AttemptOf, (Lane, Arc<Attempt>)>,
    order: u64,
    pops: u64,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub fn push(&mut self, attempt: Arc<Attempt>, since: Instant, deliveries: u32) {
        self.order += 1;
        let waiting = Waiting { attempt, since, deliveries, order: self.order };
        self.line(&waiting).push_back(waiting);
    }

    /// One that was taken in vain waits on where it was: before all that came later.
    pub fn push_front(&mut self, waiting: Waiting) {
        self.line(&waiting).push_front(waiting);
    }

    /// One whose worker was lost, before all others of its line.
    pub fn push_again(&mut self, attempt: Arc<Attempt>, since: Instant, deliveries: u32) {
        self.push_front(Waiting { attempt, since, deliveries, order: 0 });
    }

    fn line(&mut self, waiting: &Waiting) -> &mut VecDeque<Waiting> {
        let attempt = &waiting.attempt;
        let lane = (attempt.name.clone(), attempt.labels.clone());
        self.found.insert(attempt.of, (lane.clone(), attempt.clone()));
        *self.tenants.of(attempt.tenant) += 1;
        self.lanes.entry(lane).or_default().of(attempt.tenant).of(attempt)
    }

    /// In each lane that fits it is some tenant's turn; of these comes the one that was served least, and of its
    /// lanes the one whose turn has waited longest. One pop of so many looks at that alone: a tenant that is served much
    /// under one name may wait under another, but not for ever.
    pub fn pop(&mut self, taker: &Taker) -> Option<Waiting> {
        let by_age = self.pops % LONGEST_OF == LONGEST_OF - 1;
        let fitting = self.lanes.iter().filter(|((name, labels), _)| taker.performs(name) && taker.has(labels));
        let heads = fitting.filter_map(|(lane, tenants)| {
            let tenant = match taker.tenant {
                Some(own) => tenants.peek(&own).map(|_| own),
                None => tenants.next(),
            }?;
            let turn = if by_age { Turn::default() } else { self.tenants.turn(&tenant)? };
            Some(((turn, tenants.peek(&tenant)?.head()?), lane, tenant))
        });
        let (_, lane, tenant) = heads.min_by_key(|(when, ..)| *when)?;
        let lane = lane.clone();
        self.pops += 1;
        let tenants = self.lanes.get_mut(&lane)?;
        let waiting = tenants.of(tenant).pop()?;
        let price = price(1, waiting.attempt.weight);
        tenants.served(&tenant, price, Workflows::is_empty);
        if tenants.is_empty() {
            self.lanes.remove(&lane);
        }
        *self.tenants.of(tenant) -= 1;
        self.tenants.served(&tenant, price, |waiting| *waiting == 0);
        self.found.remove(&waiting.attempt.of);
        Some(waiting)
    }

    pub fn has_for(&self, taker: &Taker) -> bool {
        self.lanes.iter().any(|((name, labels), tenants)| {
            let is_theirs = taker.tenant.is_none_or(|own| tenants.peek(&own).is_some());
            is_theirs && taker.performs(name) && taker.has(labels)
        })
    }

    pub fn get(&self, of: &AttemptOf) -> Option<&Waiting> {
        let (lane, attempt) = self.found.get(of)?;
        let line = self.lanes.get(lane)?.peek(&attempt.tenant)?.peek(attempt)?;
        line.iter().find(|waiting| waiting.attempt.of == *of)
    }

    pub fn remove(&mut self, of: &AttemptOf) -> Option<Waiting> {
        let (lane, attempt) = self.found.remove(of)?;
        let tenant = attempt.tenant;
        let tenants = self.lanes.get_mut(&lane)?;
        let workflows = tenants.of(tenant);
        let line = workflows.of(&attempt);
        let at = line.iter().position(|waiting| waiting.attempt.of == *of)?;
        let waiting = line.remove(at);
        *self.tenants.of(tenant) -= 1;
        self.tenants.dropped(&tenant, |waiting| *waiting == 0);
        workflows.classes[attempt.priority as usize].dropped(&workflow_of(&attempt), VecDeque::is_empty);
        tenants.dropped(&tenant, Workflows::is_empty);
        if tenants.is_empty() {
            self.lanes.remove(&lane);
        }
        waiting
    }

    /// One of what waits, for each tenant and name.
    pub fn firsts(&self) -> impl Iterator<Item = &Waiting> {
        let tenants = self.lanes.values().flat_map(Turns::lines);
        tenants.filter_map(|workflows| workflows.lines().next()?.front())
    }
}

impl Workflows {
    fn is_empty(&self) -> bool {
        self.classes.iter().all(Turns::is_empty)
    }

    fn of(&mut self, attempt: &Attempt) -> &mut VecDeque<Waiting> {
        self.classes[attempt.priority as usize].of(workflow_of(attempt))
    }

    fn peek(&self, attempt: &Attempt) -> Option<&VecDeque<Waiting>> {
        self.classes[attempt.priority as usize].peek(&workflow_of(attempt))
    }

    /// In which class somebody's turn is next: in the most urgent, or in that where one waits longest.
    fn next(&self) -> Option<usize> {
        let by_age = self.pops % LONGEST_OF == LONGEST_OF - 1;
        let heads = (0..self.classes.len()).filter_map(|class| Some((class, self.head_of(class)?)));
        heads.min_by_key(|(class, head)| if by_age { *head } else { *class as u64 }).map(|(class, _)| class)
    }

    fn head_of(&self, class: usize) -> Option<u64> {
        let workflows = &self.classes[class];
        workflows.peek(&workflows.next()?)?.front().map(|waiting| waiting.order)
    }

    /// When the one came whose turn is next.
    fn head(&self) -> Option<u64> {
        self.head_of(self.next()?)
    }

    fn pop(&mut self) -> Option<Waiting> {
        let workflows = &mut self.classes[self.next()?];
        let workflow = workflows.next()?;
        let waiting = workflows.of(workflow.clone()).pop_front()?;
        workflows.served(&workflow, 1, VecDeque::is_empty);
        self.pops += 1;
        Some(waiting)
    }

    fn lines(&self) -> impl Iterator<Item = &VecDeque<Waiting>> {
        self.classes.iter().flat_map(Turns::lines)
    }
}

fn workflow_of(attempt: &Attempt) -> Arc<str> {
    attempt.workflow.as_ref().map_or("", |slug| slug.as_str()).into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::attempt;
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(number))
    }

    fn taker(names: &[&str]) -> Taker {
        let names = names.iter().map(|name| name.parse().expect("a pattern")).collect();
        Taker { tenant: None, names, labels: Labels::new() }
    }

    fn push(queue: &mut Queue, number: u128, tenant_number: u128, workflow: &str, name: &str) {
        let made = attempt(number, tenant(tenant_number), name);
        let made = Attempt { workflow: workflow.parse().ok(), ..made };
        queue.push(Arc::new(made), Instant::now(), 0);
    }

    fn popped(queue: &mut Queue, taker: &Taker) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(waiting) = queue.pop(taker) {
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
            queue.push(Arc::new(made), Instant::now(), 0);
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
        let made = Attempt { labels: labels.clone(), ..attempt(4, tenant(1), "mail.send") };
        queue.push(Arc::new(made), Instant::now(), 0);
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
        let of = queue.lanes.values().next().and_then(|tenants| {
            let line = tenants.peek(&tenant(1))?.lines().next()?;
            line.get(1).map(|waiting| waiting.attempt.of)
        });
        let of = of.expect("it waits");
        assert!(queue.get(&of).is_some());
        assert_eq!(queue.remove(&of).map(|waiting| waiting.attempt.of), Some(of));
        assert!(queue.remove(&of).is_none() && queue.get(&of).is_none());
        let first = queue.pop(&taker(&["*"])).expect("it waits");
        queue.push_front(first);
        assert_eq!(popped(&mut queue, &taker(&["*"])), ["1", "3", "4"]);
    }

    #[test]
    fn one_that_comes_late_is_not_owed_all_turns_before() {
        let mut queue = Queue::default();
        for number in 1..=50 {
            push(&mut queue, number, 1, "a", "mail.send");
        }
        for _ in 0..20 {
            queue.pop(&taker(&["*"]));
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
        assert!(queue.tenants.is_empty() && queue.lanes.is_empty());
    }

    #[test]
    fn who_is_served_much_under_one_name_does_not_wait_for_ever_under_another() {
        let mut queue = Queue::default();
        push(&mut queue, 1, 1, "a", "sms.send");
        for number in 2..=60 {
            push(&mut queue, number, 1, "a", "mail.send");
        }
        for _ in 0..40 {
            queue.pop(&taker(&["mail.send"]));
        }
        for number in 1_001..=1_100 {
            push(&mut queue, number, 2, "a", "film.render");
        }
        let next: Vec<String> = popped(&mut queue, &taker(&["sms.send", "film.render"])).into_iter().take(5).collect();
        assert!(next.contains(&"1".to_owned()), "{next:?}");
    }
}
