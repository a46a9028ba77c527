//! What must be looked at again, and when. The due times stand in the rows; this is their order.

use std::collections::{BTreeSet, HashMap};

use fleetprompt_core::{DirectiveId, RunId, Slug, TenantId, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    Run(TenantId, RunId),
    Directive(TenantId, DirectiveId),
    Schedule(TenantId, Slug),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    order: BTreeSet<(Timestamp, Owner)>,
    due: HashMap<Owner, Timestamp>,
}

impl Timers {
    /// Each owner has one time, or none.
    pub fn set(&mut self, owner: Owner, at: Option<Timestamp>) {
        if let Some(before) = self.due.remove(&owner) {
            self.order.remove(&(before, owner.clone()));
        }
        if let Some(at) = at {
            self.due.insert(owner.clone(), at);
            self.order.insert((at, owner));
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn differs(&self, other: &Self) -> Option<String> {
        let first = self.order.symmetric_difference(&other.order).next();
        first.map(|(at, owner)| format!("a timer at {at} for {owner:?} is in one of them"))
    }

    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Those that are due; they are taken off.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Owner> {
        let mut owners = Vec::new();
        while let Some((_, owner)) = self.order.first().filter(|(at, _)| *at <= now).cloned() {
            self.set(owner.clone(), None);
            owners.push(owner);
        }
        owners
    }
}
