//! How many effects are performed at once, in all and for one tenant. Endpoints that never answer can hold all that a
//! tenant may have, and the others go on. Between tenants the fair queue decides by their weights; within one, what is
//! more urgent comes first.
//!
//! An effect that has to wait is nothing but its id here, whatever its payload: when its turn comes, the engine reads it
//! again and begins it. A crash loses none of them, since the record says what is in flight.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::Sender;
use fleetprompt_core::run::Place;
use fleetprompt_core::tenant::Weight;
use fleetprompt_core::workflow::Priority;
use fleetprompt_core::{DirectiveId, RunId, SignalId, TenantId};
use parking_lot::Mutex;

use super::Performing;
use crate::turns::{Turns, price};
use crate::urgent::ByPriority;
use crate::{Directory, Metrics};

/// For whom an effect is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For {
    pub tenant: TenantId,
    pub weight: Weight,
    pub priority: Priority,
}

impl For {
    pub fn of(directory: &Directory, tenant: TenantId, priority: Priority) -> Self {
        let weight = directory.tenant(tenant).map_or_else(Weight::default, |known| known.tenant.weight);
        Self { tenant, weight, priority }
    }
}

/// Which effect: the attempt of a directive, or of a step by the signal that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EffectId {
    Directive { id: DirectiveId, attempt: u32 },
    Step { run: RunId, place: Place, attempt: u32, begun: SignalId },
}

/// An effect that waited and has a slot now.
pub(crate) struct Ready {
    pub effect: EffectId,
    pub slot: Slot,
}

/// An effect that waits, and the engine that begins it.
pub(crate) struct Waiting {
    pub effect: EffectId,
    pub ready: Sender<Ready>,
    pub performing: Arc<Performing>,
}

pub(crate) struct Slots {
    state: Mutex<State>,
    of_one: usize,
    metrics: Arc<Metrics>,
}

struct State {
    free: usize,
    taken: HashMap<TenantId, usize>,
    waiting: Turns<TenantId, Line>,
    waiting_count: usize,
}

#[derive(Default)]
struct Line {
    weight: Weight,
    waiting: ByPriority<Waiting>,
}

/// The right to perform one effect, given back when it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    pub tenant: TenantId,
}

impl Slots {
    pub fn new(all: usize, metrics: Arc<Metrics>) -> Self {
        let state = State { free: all, taken: HashMap::new(), waiting: Turns::default(), waiting_count: 0 };
        Self { state: Mutex::new(state), of_one: (all - all / 4).max(1), metrics }
    }

    /// A slot for an effect that need not wait.
    pub fn take(self: &Arc<Self>, tenant: TenantId) -> Option<Slot> {
        let mut state = self.state.lock();
        let may_begin =
            state.free > 0 && state.waiting.peek(&tenant).is_none() && state.may_have_more(&tenant, self.of_one);
        may_begin.then(|| {
            state.give(tenant);
            Slot { slots: self.clone(), tenant }
        })
    }

    /// The effect is ready when its turn comes.
    pub fn wait(self: &Arc<Self>, of: For, waiting: Waiting) {
        {
            let mut state = self.state.lock();
            let line = state.waiting.of(of.tenant);
            line.weight = of.weight;
            line.waiting.push(of.priority, waiting);
            state.waiting_count += 1;
        }
        self.give();
    }

    /// What is free goes to those whose turn it is.
    fn give(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let next = state.next(self.of_one);
                self.metrics.effects_waiting.set(state.waiting_count as i64);
                next
            };
            let Some((tenant, waiting)) = next else { return };
            let slot = Slot { slots: self.clone(), tenant };
            // An engine that has just ended drops the slot, which gives it back.
            drop(waiting.ready.send(Ready { effect: waiting.effect, slot }));
        }
    }
}

impl State {
    fn may_have_more(&self, tenant: &TenantId, of_one: usize) -> bool {
        self.taken.get(tenant).is_none_or(|taken| *taken < of_one)
    }

    fn give(&mut self, tenant: TenantId) {
        self.free -= 1;
        *self.taken.entry(tenant).or_default() += 1;
    }

    fn next(&mut self, of_one: usize) -> Option<(TenantId, Waiting)> {
        while self.free > 0 {
            let tenant = *self.waiting.in_order().find(|tenant| self.may_have_more(tenant, of_one))?;
            let line = self.waiting.of(tenant);
            let (waiting, price) = (line.waiting.pop(), price(1, line.weight));
            self.waiting_count -= usize::from(waiting.is_some());
            // Effects of an engine that begins nothing any more are left to the next one.
            let Some(waiting) = waiting.filter(|waiting| !waiting.performing.is_held()) else {
                self.waiting.dropped(&tenant, |line| line.waiting.is_empty());
                continue;
            };
            self.waiting.served(&tenant, price, |line| line.waiting.is_empty());
            self.give(tenant);
            return Some((tenant, waiting));
        }
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.slots.state.lock();
            state.free += 1;
            if let Some(taken) = state.taken.get_mut(&self.tenant) {
                *taken -= 1;
                if *taken == 0 {
                    state.taken.remove(&self.tenant);
                }
            }
        }
        self.slots.give();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};
    use uuid::Uuid;

    use super::*;

    fn of(number: u128, weight: u16, priority: Priority) -> For {
        let weight = Weight::try_from(weight).expect("a weight");
        For { tenant: TenantId(Uuid::from_u128(number)), weight, priority }
    }

    fn effect(number: usize) -> EffectId {
        EffectId::Directive { id: DirectiveId(Uuid::from_u128(number as u128)), attempt: 1 }
    }

    /// Slots, and an engine whose effects wait for them.
    struct World {
        slots: Arc<Slots>,
        performing: Arc<Performing>,
        ready: Sender<Ready>,
        begun: Receiver<Ready>,
    }

    impl World {
        fn new(slots: usize) -> Self {
            let (ready, begun) = unbounded();
            Self { slots: Arc::new(Slots::new(slots, Arc::default())), performing: Arc::default(), ready, begun }
        }

        fn wait(&self, of: For, number: usize) {
            let (ready, performing) = (self.ready.clone(), self.performing.clone());
            self.slots.wait(of, Waiting { effect: effect(number), ready, performing });
        }
    }

    /// The order in which these are served when one slot becomes free after the other.
    fn served(waiting: &[For]) -> Vec<usize> {
        let world = World::new(1);
        let held = world.slots.take(of(99, 100, Priority::Normal).tenant).expect("a free slot");
        waiting.iter().enumerate().for_each(|(number, of)| world.wait(*of, number));
        assert!(world.begun.is_empty());
        drop(held);
        let number = |ready: Ready| (0..waiting.len()).find(|number| effect(*number) == ready.effect);
        // Each gives its slot back before the next is ready.
        let order: Vec<_> = std::iter::from_fn(|| world.begun.try_recv().ok()).filter_map(number).collect();
        assert_eq!(order.len(), waiting.len());
        order
    }

    #[test]
    fn tenants_take_turns_and_what_is_urgent_comes_first() {
        let noisy = of(1, 100, Priority::Normal);
        let waiting =
            [noisy, noisy, of(1, 100, Priority::High), of(2, 100, Priority::Low), of(1, 100, Priority::Low), noisy];
        assert_eq!(served(&waiting), [2, 3, 0, 1, 4, 5], "each fourth is whoever waits longest");
    }

    #[test]
    fn one_tenant_has_three_quarters_at_most_and_what_is_given_back_is_there_again() {
        let world = World::new(8);
        let (noisy, quiet) = (of(1, 100, Priority::Normal), of(2, 100, Priority::Normal));
        let mut held: Vec<_> = (0..6).map(|_| world.slots.take(noisy.tenant).expect("a free slot")).collect();
        assert!(world.slots.take(noisy.tenant).is_none());
        world.wait(noisy, 7);
        held.push(world.slots.take(quiet.tenant).expect("others have the rest"));
        assert!(world.begun.is_empty());
        drop(held.remove(0));
        let seventh = world.begun.try_recv().expect("it is its turn");
        assert_eq!(seventh.effect, effect(7));
        drop((held, seventh));
        let state = world.slots.state.lock();
        assert_eq!((state.free, state.taken.len(), state.waiting.is_empty(), state.waiting_count), (8, 0, true, 0));
    }

    #[test]
    fn nothing_passes_those_of_its_tenant_that_wait() {
        let world = World::new(4);
        let (noisy, quiet) = (of(1, 100, Priority::Normal), of(2, 100, Priority::Normal));
        let held: Vec<_> = (0..3).map(|_| world.slots.take(noisy.tenant).expect("a free slot")).collect();
        world.wait(noisy, 1);
        assert!(world.slots.take(noisy.tenant).is_none(), "one waits already");
        assert!(world.slots.take(quiet.tenant).is_some());
        drop(held);
    }

    /// As many as a tenant can have open, and more, wait as ids, and an engine that has ended keeps nobody waiting.
    #[tokio::test]
    async fn effects_of_an_engine_that_has_ended_are_passed_over() {
        let world = World::new(1);
        let held = world.slots.take(of(1, 100, Priority::Normal).tenant).expect("a free slot");
        (0..200_000).for_each(|number| world.wait(of(2, 100, Priority::High), number));
        assert!(size_of::<Waiting>() <= 96, "{}", size_of::<Waiting>());
        let World { slots, performing, begun, .. } = world;
        performing.hold(Duration::ZERO).await;
        let next = World { slots, ..World::new(1) };
        next.wait(of(2, 100, Priority::Low), 7);
        drop(held);
        assert!(begun.is_empty());
        assert_eq!(next.begun.try_recv().expect("it is its turn").effect, effect(7));
    }
}
