//! Memory that requests and outcomes take: bytes that are being read, inputs that wait to be decided, and responses that
//! are being written. It is reserved before it is used, within a share for each tenant and within a total for all of
//! them. What is beyond is refused, and nothing of it was accepted.
//!
//! A reservation belongs to the request until its input is answered, also when its client has left in the meantime: see
//! `hold`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::TenantId;
use parking_lot::Mutex;
use tokio::task_local;

use crate::Metrics;
use crate::metrics::Refused;

/// What a parsed value takes for each comma, colon, bracket and line of its text, and for each object, about: measured
/// with lists of numbers and with objects of two short fields.
const NODE_BYTES: usize = 36;
const OBJECT_BYTES: usize = 600;
/// Texts of this size and less are counted by their length alone.
const SMALL_BYTES: usize = 16 << 10;

/// How much memory requests may take, in all and of one tenant.
pub struct RequestMemory {
    max: usize,
    used: Mutex<Used>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Used {
    all: usize,
    /// The same, where each tenant counts for its share at most: what one has beyond it takes nothing from the others.
    within_shares: usize,
    /// Tenants that have more than their share.
    beyond_shares: usize,
    /// `None`: requests of callers that are not known yet.
    of_tenants: HashMap<Option<TenantId>, usize>,
}

impl Used {
    fn of(&self, tenant: Option<TenantId>) -> usize {
        self.of_tenants.get(&tenant).copied().unwrap_or(0)
    }

    fn set(&mut self, tenant: Option<TenantId>, share: usize, after: usize) {
        let before = self.of(tenant);
        self.all = self.all - before + after;
        self.within_shares = self.within_shares - before.min(share) + after.min(share);
        self.beyond_shares = self.beyond_shares - usize::from(before > share) + usize::from(after > share);
        match after {
            0 => self.of_tenants.remove(&tenant),
            after => self.of_tenants.insert(tenant, after),
        };
    }
}

/// Why there is no memory for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    #[error(
        "the requests of this tenant that are in flight take their share of memory, {share_mib} MiB: send fewer or smaller \
         requests at once; nothing was accepted"
    )]
    Tenant { share_mib: usize },
    #[error(
        "the requests that are in flight take all memory that is set aside for them, {max_mib} MiB; nothing was accepted"
    )]
    Total { max_mib: usize },
    #[error("the request would take more than {max_mib} MiB of memory when it is read: split it into smaller ones")]
    Request { max_mib: usize },
}

/// Memory that is set aside until this is dropped.
pub struct Reservation {
    memory: Arc<RequestMemory>,
    tenant: Option<TenantId>,
    bytes: usize,
}

impl RequestMemory {
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        Self { max, used: Mutex::default(), metrics }
    }

    /// Sets memory aside, or says why there is none. One request at a time may take more than the share of its tenant.
    pub fn reserve(self: &Arc<Self>, tenant: Option<TenantId>, bytes: usize) -> Result<Reservation, Exhausted> {
        let mut reservation = Reservation { memory: self.clone(), tenant, bytes: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// For what cannot be refused any more, like the outcome of an effect that has happened.
    pub fn reserve_always(self: &Arc<Self>, tenant: TenantId, bytes: usize) -> Reservation {
        let mut reservation = Reservation { memory: self.clone(), tenant: Some(tenant), bytes: 0 };
        reservation.change(&mut self.used.lock(), bytes);
        reservation
    }

    pub fn used(&self) -> usize {
        self.used.lock().all
    }

    /// Three quarters for one tenant; an eighth for callers that are not known yet.
    fn share(&self, tenant: Option<TenantId>) -> usize {
        if tenant.is_some() { self.max - self.max / 4 } else { self.max / 8 }
    }
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets more memory aside for the same request.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        const MIB: usize = 1 << 20;
        let memory = self.memory.clone();
        let (max, share) = (memory.max, memory.share(self.tenant));
        let mut used = memory.used.lock();
        let before = used.of(self.tenant);
        let after = before + bytes;
        let is_alone = before == self.bytes;
        let others_beyond = used.beyond_shares - usize::from(before > share);
        let within_shares = used.within_shares - before.min(share) + after.min(share);
        let exhausted = if self.bytes + bytes > max * 2 {
            Some(Exhausted::Request { max_mib: max * 2 / MIB })
        } else if after > share && !is_alone {
            Some(Exhausted::Tenant { share_mib: share / MIB })
        } else if within_shares > max || after > share && others_beyond > 0 {
            Some(Exhausted::Total { max_mib: max / MIB })
        } else {
            None
        };
        match exhausted {
            Some(exhausted) => {
                drop(used);
                memory.metrics.requests_refused.get_or_create(&Refused { reason: exhausted.reason() }).inc();
                Err(exhausted)
            }
            None => {
                self.change(&mut used, self.bytes + bytes);
                Ok(())
            }
        }
    }

    /// Gives back what the request turned out not to need.
    pub fn shrink_to(&mut self, bytes: usize) {
        let memory = self.memory.clone();
        self.change(&mut memory.used.lock(), bytes.min(self.bytes));
    }

    fn change(&mut self, used: &mut Used, bytes: usize) {
        let of_tenant = used.of(self.tenant) - self.bytes + bytes;
        used.set(self.tenant, self.memory.share(self.tenant), of_tenant);
        self.bytes = bytes;
        self.memory.metrics.request_memory.set(used.all as i64);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let memory = self.memory.clone();
        self.change(&mut memory.used.lock(), 0);
    }
}

impl Exhausted {
    pub(crate) const REASONS: [&str; 3] = ["tenant", "total", "request"];

    fn reason(self) -> &'static str {
        match self {
            Self::Tenant { .. } => Self::REASONS[0],
            Self::Total { .. } => Self::REASONS[1],
            Self::Request { .. } => Self::REASONS[2],
        }
    }
}

/// What a JSON or YAML text takes once it is parsed, beyond the text itself.
pub fn parsed_bytes(text: &[u8]) -> usize {
    if text.len() <= SMALL_BYTES {
        return 0;
    }
    let bytes = |byte: &u8| match byte {
        b',' | b':' | b'[' | b'\n' => NODE_BYTES,
        b'{' => OBJECT_BYTES,
        _ => 0,
    };
    text.iter().map(bytes).sum()
}

/// Memory of the request that a task works on.
pub type Held = Arc<Reservation>;

task_local! {
    static HELD: RefCell<Option<Held>>;
}

/// Works on one request, and returns the memory that was reserved for it. Inputs of the engine that are made on the way
/// hold it as well, until they are answered.
pub async fn of_one_request<T>(work: impl Future<Output = T>) -> (T, Option<Held>) {
    let work = async {
        let done = work.await;
        (done, held())
    };
    HELD.scope(RefCell::default(), work).await
}

/// The memory belongs to the request that this task works on. Outside of any it is free again at once.
pub fn hold(reservation: Reservation) {
    let held = Some(Arc::new(reservation));
    let _ = HELD.try_with(|of_request| of_request.replace(held));
}

/// For work on the same request in a task of its own.
pub(crate) async fn with<T>(held: Option<Held>, work: impl Future<Output = T>) -> T {
    HELD.scope(RefCell::new(held), work).await
}

pub(crate) fn held() -> Option<Held> {
    HELD.try_with(|of_request| of_request.borrow().clone()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MIB: usize = 1 << 20;

    fn memory(max_mib: usize) -> Arc<RequestMemory> {
        Arc::new(RequestMemory::new(max_mib * MIB, Arc::default()))
    }

    fn tenant(number: u128) -> Option<TenantId> {
        Some(TenantId(Uuid::from_u128(number)))
    }

    #[test]
    fn one_tenant_has_three_quarters_and_all_together_no_more_than_there_is() {
        let memory = memory(16);
        let reserve = |tenant, mib: usize| memory.reserve(tenant, mib * MIB).map_err(Exhausted::reason);
        let first = reserve(tenant(1), 8).expect("room");
        let mut second = reserve(tenant(1), 4).expect("room");
        assert_eq!(reserve(tenant(1), 1).err(), Some("tenant"));
        assert_eq!(second.grow(1).map_err(Exhausted::reason), Err("tenant"));
        let other = reserve(tenant(2), 4).expect("the rest is others'");
        assert_eq!(reserve(tenant(3), 1).err(), Some("total"));
        drop(first);
        second.grow(2 * MIB).expect("room again");
        second.shrink_to(5 * MIB);
        assert_eq!(memory.used(), 9 * MIB);
        drop((second, other));
        assert_eq!((memory.used(), memory.used.lock().of_tenants.len()), (0, 0));
    }

    #[test]
    fn a_request_that_is_alone_may_take_more_than_its_share_and_takes_nothing_from_others() {
        let memory = memory(16);
        let mut alone = memory.reserve(tenant(1), 20 * MIB).expect("its tenant has nothing else in flight");
        alone.grow(12 * MIB).expect("still alone");
        assert_eq!(alone.grow(MIB), Err(Exhausted::Request { max_mib: 32 }));
        let other = memory.reserve(tenant(2), 4 * MIB).expect("a quarter is others'");
        assert_eq!(memory.reserve(tenant(3), 20 * MIB).map(drop), Err(Exhausted::Total { max_mib: 16 }));
        drop(alone);
        let third = memory.reserve(tenant(3), 20 * MIB).expect("one at a time");
        drop((other, third));
        let used = memory.used.lock();
        assert_eq!((used.all, used.within_shares, used.beyond_shares, used.of_tenants.len()), (0, 0, 0, 0));
    }

    #[test]
    fn callers_that_are_not_known_have_an_eighth() {
        let memory = memory(16);
        let unknown = memory.reserve(None, 2 * MIB).expect("room");
        assert_eq!(memory.reserve(None, 1).map(drop), Err(Exhausted::Tenant { share_mib: 2 }));
        drop(unknown);
    }

    #[tokio::test]
    async fn a_reservation_lives_as_long_as_the_request_or_its_input() {
        let memory = memory(16);
        let work = async {
            hold(memory.reserve(tenant(1), MIB).expect("room"));
            // What an input of the engine holds while it waits.
            held()
        };
        let (input, request) = of_one_request(work).await;
        drop(request);
        assert_eq!(memory.used(), MIB);
        drop(input);
        assert_eq!(memory.used(), 0);
    }
}
