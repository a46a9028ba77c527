//! How much one tenant does at once of what takes memory or a processor: reads and streams. What is
//! beyond its share waits for a moment, in a queue that is limited as well; what is beyond that is refused with 429.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fleetprompt_core::TenantId;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::{Caller, PassedOn};
use super::{Api, Problem};

/// The longest wait for a turn.
const WAIT_MAX: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes of a response that its connection is given at a time.
const FRAME_BYTES_MAX: usize = 64 << 10;
/// Tenants whose shares are remembered before those that are not in use are forgotten.
const SHARES_MANY: usize = 1_024;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What is limited, in the plural.
    pub what: &'static str,
    pub total: usize,
    pub of_tenant: usize,
    pub waiting_of_tenant: usize,
}

pub const READS: Limits = Limits { what: "reads", total: 16, of_tenant: 4, waiting_of_tenant: 1_000 };
pub const STREAMS: Limits = Limits { what: "streams", total: 1_000, of_tenant: 100, waiting_of_tenant: 0 };

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
    _total: OwnedSemaphorePermit,
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
        let turn = async {
            let running = share.running.acquire_owned().await.ok()?;
            Some((running, self.total.clone().acquire_owned().await.ok()?))
        };
        match tokio::time::timeout(WAIT_MAX, turn).await {
            Ok(Some((running, total))) => Ok(Pass { _place: place, _running: running, _total: total }),
            Ok(None) | Err(_) => Err(self.refusal_of_tenant()),
        }
    }

    /// Without waiting.
    pub fn try_enter(&self, tenant: TenantId) -> Result<Pass, Problem> {
        let share = self.share(tenant);
        let place = share.places.try_acquire_owned().map_err(|_| self.refusal_of_tenant())?;
        let running = share.running.try_acquire_owned().map_err(|_| self.refusal_of_tenant())?;
        let total = self.total.clone().try_acquire_owned().map_err(|_| self.refusal_of_all())?;
        Ok(Pass { _place: place, _running: running, _total: total })
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

/// Admits the reads of a tenant, each from its beginning until its response was written.
pub async fn limit_reads(State(api): State<Api>, request: Request, next: Next) -> Response {
    let tenant = is_read(&request).then(|| Caller::tenant_of(&request, &api)).flatten();
    let Some(tenant) = tenant else { return next.run(request).await };
    let is_passed_on = request.extensions().get::<PassedOn>().is_some();
    match api.config().reads().enter(tenant).await {
        Err(problem) => problem.into_response(),
        // It is answered to another node, in one piece, and that node counts its bytes.
        Ok(_pass) if is_passed_on => next.run(request).await,
        Ok(pass) => {
            let response = next.run(request).await;
            let bytes = response.body().size_hint().upper();
            let is_small = bytes.is_some_and(|bytes| bytes <= FRAME_BYTES_MAX as u64);
            if is_small { response } else { response.map(|body| in_frames(body, pass)) }
        }
    }
}

/// Streams have a limit of their own.
fn is_read(request: &Request) -> bool {
    let path = request.uri().path();
    let is_stream = path == "/v1/signals/tail" || path.ends_with("/live");
    matches!(*request.method(), Method::GET | Method::HEAD) && path.starts_with("/v1/") && !is_stream
}

/// A body in frames that are small, so that its pass is dropped when nearly all of it was written.
fn in_frames(body: Body, pass: Pass) -> Body {
    let frames =
        stream::try_unfold((body.into_data_stream(), Bytes::new(), pass), |(mut body, mut rest, pass)| async move {
            while rest.is_empty() {
                let Some(piece) = body.next().await else { return Ok::<_, axum::Error>(None) };
                rest = piece?;
            }
            let frame = rest.split_to(rest.len().min(FRAME_BYTES_MAX));
            Ok(Some((frame, (body, rest, pass))))
        });
    Body::from_stream(frames)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const LIMITS: Limits = Limits { what: "reads", total: 3, of_tenant: 2, waiting_of_tenant: 1 };

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

    #[tokio::test]
    async fn a_large_body_keeps_its_pass_until_it_was_read() {
        let gate = Gate::new(LIMITS);
        let pass = gate.enter(tenant(1)).await.expect("a pass");
        let mut frames = in_frames(Body::from(vec![7; FRAME_BYTES_MAX * 2 + 1]), pass).into_data_stream();
        let mut bytes = 0;
        while let Some(frame) = frames.next().await {
            let frame = frame.expect("a frame");
            assert!(frame.len() <= FRAME_BYTES_MAX);
            bytes += frame.len();
            assert_eq!(gate.running(), 1);
        }
        assert_eq!((bytes, gate.running()), (FRAME_BYTES_MAX * 2 + 1, 0));
    }
}
