//! Memory that requests and outcomes take: bytes that are being read, inputs that wait to be decided, and responses that
//! are being written. It is reserved before it is used, within a share for each tenant and within a total for all of
//! them. What is beyond is refused, and nothing of it was accepted.
//!
//! A reservation belongs to the request until its input is answered, also when its client has left in the meantime: see
//! `hold`.
//!
//! Responses have an account of their own, with a smaller share: clients that do not read theirs leave room for requests.

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
    /// The part of `within_shares` that responses take.
    responses_within_shares: usize,
    /// Accounts that have more than their share.
    beyond_shares: usize,
    of_accounts: HashMap<Account, usize>,
}

/// What memory is reserved for. Each account has a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Account {
    /// Requests of callers that are not known yet.
    Unknown,
    Requests(TenantId),
    /// Responses that the clients of a tenant have not read yet.
    Responses(TenantId),
}

impl Used {
    fn of(&self, account: Account) -> usize {
        self.of_accounts.get(&account).copied().unwrap_or(0)
    }

    fn set(&mut self, account: Account, share: usize, after: usize) {
        let before = self.of(account);
        self.all = self.all - before + after;
        self.within_shares = self.within_shares - before.min(share) + after.min(share);
        if matches!(account, Account::Responses(_)) {
            self.responses_within_shares = self.responses_within_shares - before.min(share) + after.min(share);
        }
        self.beyond_shares = self.beyond_shares - usize::from(before > share) + usize::from(after > share);
        match after {
            0 => self.of_accounts.remove(&account),
            after => self.of_accounts.insert(account, after),
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
        "the responses that clients of this tenant have not read yet take their share of memory, {share_mib} MiB: read them, \
         or ask for smaller pages or for fewer at once"
    )]
    Responses { share_mib: usize },
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
    account: Account,
    bytes: usize,
}

impl RequestMemory {
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        Self { max, used: Mutex::default(), metrics }
    }

    /// Sets memory aside for a request, or says why there is none. One request at a time may take more than the share of
    /// its tenant.
    pub fn reserve(self: &Arc<Self>, tenant: Option<TenantId>, bytes: usize) -> Result<Reservation, Exhausted> {
        let mut reservation = self.empty(tenant.map_or(Account::Unknown, Account::Requests));
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// For what cannot be refused any more, like the outcome of an effect that has happened.
    pub fn reserve_always(self: &Arc<Self>, tenant: TenantId, bytes: usize) -> Reservation {
        let mut reservation = self.empty(Account::Requests(tenant));
        reservation.grow_always(bytes);
        reservation
    }

    /// An empty reservation for responses to the clients of a tenant.
    pub fn for_responses(self: &Arc<Self>, tenant: TenantId) -> Reservation {
        self.empty(Account::Responses(tenant))
    }

    fn empty(self: &Arc<Self>, account: Account) -> Reservation {
        Reservation { memory: self.clone(), account, bytes: 0 }
    }

    pub fn used(&self) -> usize {
        self.used.lock().all
    }

    /// Three quarters for the requests of one tenant, and for the responses of all; an eighth for the responses of one
    /// tenant, and for callers that are not known yet.
    fn share(&self, account: Account) -> usize {
        match account {
            Account::Requests(_) => self.three_quarters(),
            Account::Responses(_) | Account::Unknown => self.max / 8,
        }
    }

    fn three_quarters(&self) -> usize {
        self.max - self.max / 4
    }

    /// Why a reservation cannot have so many bytes more.
    fn refusal(&self, used: &Used, reservation: &Reservation, bytes: usize) -> Option<Exhausted> {
        const MIB: usize = 1 << 20;
        let (account, max, share) = (reservation.account, self.max, self.share(reservation.account));
        let is_response = matches!(account, Account::Responses(_));
        let before = used.of(account);
        let after = before + bytes;
        let is_alone = before == reservation.bytes;
        let others_beyond = used.beyond_shares - usize::from(before > share);
        let more_within_share = after.min(share) - before.min(share);
        let is_full = used.within_shares + more_within_share > max
            || is_response && used.responses_within_shares + more_within_share > self.three_quarters();
        if !is_response && reservation.bytes + bytes > max * 2 {
            Some(Exhausted::Request { max_mib: max * 2 / MIB })
        } else if after > share && !is_alone {
            let share_mib = share / MIB;
            Some(if is_response { Exhausted::Responses { share_mib } } else { Exhausted::Tenant { share_mib } })
        } else if is_full || after > share && others_beyond > 0 {
            Some(Exhausted::Total { max_mib: max / MIB })
        } else {
            None
        }
    }
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets more memory aside for the same request. A refusal is counted.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let grown = self.try_grow(bytes);
        if let Err(exhausted) = &grown {
            self.memory.metrics.requests_refused.get_or_create(&Refused { reason: exhausted.reason() }).inc();
        }
        grown
    }

    /// The same, for callers that wait and try again.
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let memory = self.memory.clone();
        let mut used = memory.used.lock();
        match memory.refusal(&used, self, bytes) {
            Some(exhausted) => Err(exhausted),
            None => {
                self.change(&mut used, self.bytes + bytes);
                Ok(())
            }
        }
    }

    /// The same, for what cannot be refused any more.
    pub fn grow_always(&mut self, bytes: usize) {
        let memory = self.memory.clone();
        self.change(&mut memory.used.lock(), self.bytes + bytes);
    }

    /// Gives back what the request turned out not to need.
    pub fn shrink_to(&mut self, bytes: usize) {
        let memory = self.memory.clone();
        self.change(&mut memory.used.lock(), bytes.min(self.bytes));
    }

    fn change(&mut self, used: &mut Used, bytes: usize) {
        let of_account = used.of(self.account) - self.bytes + bytes;
        used.set(self.account, self.memory.share(self.account), of_account);
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
            Self::Tenant { .. } | Self::Responses { .. } => Self::REASONS[0],
            Self::Total { .. } => Self::REASONS[1],
            Self::Request { .. } => Self::REASONS[2],
        }
    }
}

/// What a JSON or YAML text takes once it is parsed, beyond the text itself.
pub fn parsed_bytes(text: &[u8]) -> usize {
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

    #[test]
    fn small_texts_are_charged_for_their_values_as_well() {
        let objects = format!("[{}]", [r#"{"a":0}"#; 2_000].join(","));
        assert!(objects.len() < 16 << 10 && parsed_bytes(objects.as_bytes()) > MIB, "{}", objects.len());
        assert_eq!(parsed_bytes(br#"{"name": "a.b"}"#), OBJECT_BYTES + NODE_BYTES);
    }

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
        assert_eq!((memory.used(), memory.used.lock().of_accounts.len()), (0, 0));
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
        assert_eq!((used.all, used.within_shares, used.beyond_shares, used.of_accounts.len()), (0, 0, 0, 0));
    }

    #[test]
    fn callers_that_are_not_known_have_an_eighth() {
        let memory = memory(16);
        let unknown = memory.reserve(None, 2 * MIB).expect("room");
        assert_eq!(memory.reserve(None, 1).map(drop), Err(Exhausted::Tenant { share_mib: 2 }));
        drop(unknown);
    }

    #[test]
    fn responses_that_are_not_read_leave_room_for_requests_and_for_the_responses_of_others() {
        let memory = memory(32);
        let respond = |number, mib: usize| {
            let mut reservation = memory.for_responses(tenant(number).expect("a tenant"));
            reservation.grow(mib * MIB).map(|()| reservation)
        };
        // Six tenants have as much as all responses may take.
        let mut unread: Vec<_> = (0..6).map(|number| respond(number, 4).expect("its share")).collect();
        assert_eq!(respond(0, 1).err(), Some(Exhausted::Responses { share_mib: 4 }));
        assert_eq!(respond(6, 1).err(), Some(Exhausted::Total { max_mib: 32 }));
        let request = memory.reserve(tenant(6), 8 * MIB).expect("a quarter is left for requests");
        drop((unread.pop(), request));
        // One that has no other may exceed the share.
        let large = respond(5, 40).expect("it is alone");
        assert_eq!(respond(6, 5).err(), Some(Exhausted::Total { max_mib: 32 }), "one at a time");
        drop((unread, large));
        let used = memory.used.lock();
        assert_eq!((used.all, used.responses_within_shares, used.of_accounts.len()), (0, 0, 0));
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
