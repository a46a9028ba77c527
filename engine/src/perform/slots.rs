//! How many effects are performed at once, in all and for one tenant. Endpoints that never answer can hold all that a
//! tenant may have, and the others go on. Who waits comes by turns: between tenants by their weights, then what is more
//! urgent.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::TenantId;
use fleetprompt_core::tenant::Weight;
use fleetprompt_core::workflow::Priority;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::turns::{Turns, price};
use crate::urgent::ByPriority;

/// For whom an effect is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For {
    pub tenant: TenantId,
    pub weight: Weight,
    pub priority: Priority,
}

pub(crate) struct Slots {
    state: Mutex<State>,
    of_one: usize,
}

struct State {
    free: usize,
    taken: HashMap<TenantId, usize>,
    waiting: Turns<TenantId, Line>,
}

#[derive(Default)]
struct Line {
    weight: Weight,
    waiting: ByPriority<oneshot::Sender<Slot>>,
}

/// Given back when dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    tenant: TenantId,
}

impl Slots {
    pub fn new(all: usize) -> Self {
        let state = State { free: all, taken: HashMap::new(), waiting: Turns::default() };
        Self { state: Mutex::new(state), of_one: (all - all / 4).max(1) }
    }

    /// Who does not wait for it any more is passed over.
    pub async fn take(self: &Arc<Self>, of: For) -> Slot {
        let (slot, given) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let line = state.waiting.of(of.tenant);
            line.weight = of.weight;
            line.waiting.push(of.priority, slot);
        }
        self.give();
        given.await.expect("whoever waits is given a slot in the end")
    }

    /// What is free goes to those whose turn it is.
    fn give(self: &Arc<Self>) {
        loop {
            let Some((tenant, waiting)) = self.state.lock().next(self.of_one) else { return };
            // Who left just now gives it back by dropping it.
            drop(waiting.send(Slot { slots: self.clone(), tenant }));
        }
    }
}

impl State {
    fn next(&mut self, of_one: usize) -> Option<(TenantId, oneshot::Sender<Slot>)> {
        while self.free > 0 {
            let may_have_more = |tenant: &&TenantId| self.taken.get(*tenant).is_none_or(|taken| *taken < of_one);
            let tenant = *self.waiting.in_order().find(may_have_more)?;
            let line = self.waiting.of(tenant);
            let (waiting, price) = (line.waiting.pop(), price(1, line.weight));
            let Some(waiting) = waiting.filter(|waiting| !waiting.is_closed()) else {
                self.waiting.dropped(&tenant, |line| line.waiting.is_empty());
                continue;
            };
            self.waiting.served(&tenant, price, |line| line.waiting.is_empty());
            self.free -= 1;
            *self.taken.entry(tenant).or_default() += 1;
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
    use std::task::Poll;

    use futures_util::poll;
    use uuid::Uuid;

    use super::*;

    fn of(number: u128, weight: u16, priority: Priority) -> For {
        let weight = Weight::try_from(weight).expect("a weight");
        For { tenant: TenantId(Uuid::from_u128(number)), weight, priority }
    }

    /// Whoever waits, in the order in which they are served when one place becomes free after the other.
    async fn served(waiting: &[For]) -> Vec<usize> {
        let slots = Arc::new(Slots::new(1));
        let mut held = Some(slots.take(of(99, 100, Priority::Normal)).await);
        let mut waiting: Vec<_> = waiting.iter().map(|of| Some(Box::pin(slots.take(*of)))).collect();
        for one in waiting.iter_mut().flatten() {
            assert!(poll!(one).is_pending());
        }
        let mut order = Vec::new();
        while order.len() < waiting.len() {
            drop(held.take());
            for (at, one) in waiting.iter_mut().enumerate() {
                let Some(future) = one else { continue };
                if let Poll::Ready(slot) = poll!(future.as_mut()) {
                    (held, *one) = (Some(slot), None);
                    order.push(at);
                }
            }
        }
        order
    }

    #[tokio::test]
    async fn tenants_take_turns_and_what_is_urgent_comes_first() {
        let noisy = of(1, 100, Priority::Normal);
        let waiting =
            [noisy, noisy, of(1, 100, Priority::High), of(2, 100, Priority::Low), of(1, 100, Priority::Low), noisy];
        assert_eq!(served(&waiting).await, [2, 3, 0, 1, 4, 5], "each fourth is whoever waits longest");
    }

    #[tokio::test]
    async fn one_tenant_has_three_quarters_at_most_and_what_is_given_back_is_there_again() {
        let slots = Arc::new(Slots::new(8));
        let (noisy, quiet) = (of(1, 100, Priority::Normal), of(2, 100, Priority::Normal));
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(slots.take(noisy).await);
        }
        let mut seventh = Box::pin(slots.take(noisy));
        assert!(poll!(seventh.as_mut()).is_pending());
        held.push(slots.take(quiet).await);
        drop(held.remove(0));
        assert!(poll!(seventh.as_mut()).is_ready());
        drop(held);
        let state = slots.state.lock();
        assert_eq!((state.free, state.taken.len(), state.waiting.is_empty()), (8, 0, true));
    }

    #[tokio::test]
    async fn who_left_keeps_nobody_waiting() {
        let slots = Arc::new(Slots::new(1));
        let held = slots.take(of(1, 100, Priority::Normal)).await;
        let mut gone: Vec<_> = (0..100).map(|_| Box::pin(slots.take(of(2, 100, Priority::High)))).collect();
        for one in &mut gone {
            assert!(poll!(one.as_mut()).is_pending());
        }
        drop(gone);
        let mut last = Box::pin(slots.take(of(2, 100, Priority::Low)));
        assert!(poll!(last.as_mut()).is_pending());
        drop(held);
        assert!(poll!(last.as_mut()).is_ready());
    }
}
