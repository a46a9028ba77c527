//! How much one tenant does at once of what takes memory or a processor: reads and streams. What is
//! beyond its share waits for a moment, in a queue that is limited as well; what is beyond that is refused with 429.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fleetprompt_core::TenantId;
use fleetprompt_engine::memory::RequestMemory;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::auth::Caller;
use super::{Api, Problem};
use crate::listen::GuardedBody;

const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of a response that does not use the share of its tenant while it is written.
const SMALL_BYTES: usize = 64 << 10;
/// Tenants whose shares are remembered before those that are not in use are forgotten.
const SHARES_MANY: usize = 1_024;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What is limited, in the plural.
    pub what: &'static str,
    pub total: usize,
    pub of_tenant: usize,
    pub waiting_of_tenant: usize,
    /// The longest wait.
    pub wait: Duration,
}

pub const READS: Limits =
    Limits { what: "reads", total: 16, of_tenant: 4, waiting_of_tenant: 1_000, wait: Duration::from_secs(5) };
pub const STREAMS: Limits =
    Limits { what: "streams", total: 1_000, of_tenant: 100, waiting_of_tenant: 0, wait: Duration::ZERO };

pub struct Gate {
    limits: Limits,
    total: Arc<Semaphore>,
    shares: Mutex<HashMap<TenantId, Share>>,
}

#[derive(Clone)]
struct Share {
    running: Arc<Semaphore>,
    /// Of those that run and those that wait.
    places: Arc<Semaphore>,
}

/// Permission to run, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    _place: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    total: Option<OwnedSemaphorePermit>,
}

impl Pass {
    /// The response is complete: what follows depends on its client, so it takes from its tenant alone.
    fn release_total(&mut self) {
        self.total = None;
    }
}

impl Gate {
    pub fn new(limits: Limits) -> Self {
        Self { limits, total: Arc::new(Semaphore::new(limits.total)), shares: Mutex::default() }
    }

    /// How many have a pass now.
    pub fn running(&self) -> usize {
        self.limits.total.saturating_sub(self.total.available_permits())
    }

    pub async fn enter(&self, tenant: TenantId) -> Result<Pass, Problem> {
        let share = self.share(tenant);
        let place = share.places.try_acquire_owned().map_err(|_| self.refusal_of_tenant())?;
        let end = Instant::now() + self.limits.wait;
        let running = timeout_at(end, share.running.acquire_owned()).await;
        let running = running.ok().and_then(Result::ok).ok_or_else(|| self.refusal_of_tenant())?;
        let total = timeout_at(end, self.total.clone().acquire_owned()).await;
        let total = total.ok().and_then(Result::ok).ok_or_else(|| self.refusal_of_all())?;
        Ok(Pass { _place: place, _running: running, total: Some(total) })
    }

    /// Without waiting.
    pub fn try_enter(&self, tenant: TenantId) -> Result<Pass, Problem> {
        let share = self.share(tenant);
        let place = share.places.try_acquire_owned().map_err(|_| self.refusal_of_tenant())?;
        let running = share.running.try_acquire_owned().map_err(|_| self.refusal_of_tenant())?;
        let total = self.total.clone().try_acquire_owned().map_err(|_| self.refusal_of_all())?;
        Ok(Pass { _place: place, _running: running, total: Some(total) })
    }

    fn share(&self, tenant: TenantId) -> Share {
        let mut shares = self.shares.lock();
        if shares.len() >= SHARES_MANY {
            shares.retain(|_, share| Arc::strong_count(&share.places) > 1);
        }
        let Limits { of_tenant, waiting_of_tenant, .. } = self.limits;
        let share = || Share {
            running: Arc::new(Semaphore::new(of_tenant)),
            places: Arc::new(Semaphore::new(of_tenant + waiting_of_tenant)),
        };
        shares.entry(tenant).or_insert_with(share).clone()
    }

    fn refusal_of_tenant(&self) -> Problem {
        let Limits { what, of_tenant, .. } = self.limits;
        let detail =
            format!("this tenant has {of_tenant} {what} in progress, and as many wait as may: try again later");
        Problem::busy(&detail, RETRY_AFTER)
    }

    fn refusal_of_all(&self) -> Problem {
        let Limits { what, total, .. } = self.limits;
        Problem::busy(&format!("this server has {total} {what} open, which is the most: try again later"), RETRY_AFTER)
    }
}

/// Admits the reads of a tenant. A response holds its memory until it was written, and one that is not small its part of
/// the tenant's share as well.
pub async fn limit_reads(State(api): State<Api>, request: Request, next: Next) -> Response {
    let tenant = is_read(&request).then(|| Caller::tenant_of(&request, &api)).flatten();
    let Some(tenant) = tenant else { return next.run(request).await };
    match api.config().reads().enter(tenant).await {
        Err(problem) => problem.into_response(),
        Ok(pass) => held_until_written(next.run(request).await, pass, api.engine().memory(), tenant),
    }
}

fn held_until_written(response: Response, mut pass: Pass, memory: &Arc<RequestMemory>, tenant: TenantId) -> Response {
    pass.release_total();
    let hint = response.body().size_hint();
    let bytes = usize::try_from(hint.upper().unwrap_or(hint.lower())).unwrap_or(usize::MAX);
    let reserved = if bytes <= SMALL_BYTES {
        memory.reserve(Some(tenant), bytes).map(|reserved| (reserved, None))
    } else {
        let mut reserved = memory.for_responses(tenant);
        reserved.grow(bytes).map(|()| (reserved, Some(pass)))
    };
    match reserved {
        Ok(held) => response.map(|body| Body::new(GuardedBody::new(body, held))),
        Err(exhausted) => Problem::from(exhausted).into_response(),
    }
}

/// Streams have a limit of their own.
fn is_read(request: &Request) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::GET | Method::HEAD) && path.starts_with("/v1/") && !is_stream(path)
}

/// `/v1/signals/tail` and `/v1/runs/{id}/live`. Other resources may have such names.
fn is_stream(path: &str) -> bool {
    let of_run = path.strip_prefix("/v1/runs/").and_then(|rest| rest.strip_suffix("/live"));
    path == "/v1/signals/tail" || of_run.is_some_and(|id| !id.contains('/'))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const LIMITS: Limits =
        Limits { what: "reads", total: 3, of_tenant: 2, waiting_of_tenant: 1, wait: Duration::from_secs(5) };

    fn tenant(id: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(id))
    }

    #[tokio::test]
    async fn what_is_beyond_a_tenant_s_share_waits_and_what_is_beyond_that_is_refused() {
        let gate = Gate::new(LIMITS);
        let passes = [gate.enter(tenant(1)).await.expect("one"), gate.enter(tenant(1)).await.expect("two")];
        let mut third = pin!(gate.enter(tenant(1)));
        assert!(third.as_mut().now_or_never().is_none(), "it waits");
        let refused = gate.enter(tenant(1)).await.expect_err("too many wait").into_response();
        assert_eq!(refused.status(), 429);
        assert!(refused.headers().contains_key("retry-after"));

        // Another tenant has its own share.
        let other = gate.enter(tenant(2)).await.expect("another tenant's");
        assert_eq!(gate.running(), 3);
        drop((passes, other));
        third.await.expect("its turn has come");
        assert_eq!(gate.running(), 0, "it went back at once");
    }

    #[tokio::test]
    async fn streams_are_refused_beyond_a_tenant_s_share_and_beyond_all_there_are() {
        let gate = Gate::new(Limits { waiting_of_tenant: 0, ..LIMITS });
        let _open = [gate.try_enter(tenant(1)).expect("one"), gate.try_enter(tenant(1)).expect("two")];
        let problem = gate.try_enter(tenant(1)).expect_err("beyond its share").text();
        assert!(problem.contains("this tenant has 2 reads"), "{problem}");
        let _other = gate.try_enter(tenant(2)).expect("another tenant's");
        let problem = gate.try_enter(tenant(2)).expect_err("beyond all").text();
        assert!(problem.contains("this server has 3 reads"), "{problem}");
    }

    const MIB: usize = 1 << 20;

    /// A response of so many bytes whose client has read nothing of it yet.
    fn unread(bytes: usize, pass: Pass, memory: &Arc<RequestMemory>, tenant: TenantId) -> Response {
        held_until_written(Response::new(Body::from(vec![7; bytes])), pass, memory, tenant)
    }

    #[tokio::test]
    async fn responses_that_are_not_read_take_from_their_own_tenant_alone() {
        let gate = Gate::new(LIMITS);
        let memory = Arc::new(RequestMemory::new(32 * MIB, Arc::default()));
        let mut held = Vec::new();
        for slow in [1, 2, 3].map(tenant) {
            for _ in 0..LIMITS.of_tenant {
                held.push(unread(MIB, gate.enter(slow).await.expect("a pass"), &memory, slow));
            }
        }
        assert_eq!((gate.running(), memory.used()), (0, 6 * MIB));
        let refused = gate.try_enter(tenant(1)).expect_err("its clients do not read").text();
        assert!(refused.contains("this tenant has 2 reads"), "{refused}");
        gate.enter(tenant(4)).await.expect("another tenant reads");

        let read = held.swap_remove(0);
        axum::body::to_bytes(read.into_body(), MIB).await.expect("it is read");
        assert_eq!(memory.used(), 5 * MIB);
        let pass = gate.enter(tenant(1)).await.expect("there is room again");
        let refused = unread(4 * MIB, pass, &memory, tenant(1));
        assert_eq!(refused.status(), 429, "beyond its share of the memory for responses");
        let pass = gate.enter(tenant(1)).await.expect("it was given back");
        held.push(unread(SMALL_BYTES, pass, &memory, tenant(1)));
        gate.enter(tenant(1)).await.expect("a small response uses none of the share");
        drop(held);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn a_read_that_waits_in_vain_says_for_what() {
        let gate = Gate::new(Limits { wait: Duration::ZERO, ..LIMITS });
        let _running = [gate.enter(tenant(1)).await, gate.enter(tenant(2)).await, gate.enter(tenant(3)).await];
        let refused = gate.enter(tenant(4)).await.expect_err("as many run as may").text();
        assert!(refused.contains("this server has 3 reads"), "{refused}");
    }

    #[test]
    fn only_the_two_streams_are_streams() {
        for path in ["/v1/signals/tail", "/v1/runs/run_1/live"] {
            assert!(is_stream(path), "{path}");
        }
        for path in
            ["/v1/workflows/live", "/v1/agents/live", "/v1/runs/live", "/v1/runs/run_1/steps/live", "/v1/runs/a/b/live"]
        {
            assert!(!is_stream(path), "{path}");
        }
    }
}
