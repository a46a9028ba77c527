//! One connection from its first byte to its end: served by hyper, and closed when what it waits for does not come.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;

use super::Connections;
use super::body::{RequestBody, ResponseBody};
use super::watched::{Activity, Watched};

/// Bytes of a head, and of what one connection buffers.
const BUFFER_BYTES_MAX: usize = 32 << 10;
/// Requests at once on one connection of HTTP/2, and what it may send of all of them before they are read.
const STREAMS_MAX: u32 = 128;
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// Bytes that hyper buffers of one response: it asks for a frame when the one before it was written.
const SEND_BUFFER_BYTES: usize = 1;
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;

/// How long a connection may wait for its client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the head of a request to arrive, once it has begun or the connection was opened.
    pub head: Duration,
    /// For the next bytes of a body.
    pub body: Duration,
    /// For the next request.
    pub idle: Duration,
    /// For the client to read anything of what is written; on HTTP/2, of each response.
    pub write: Duration,
    /// For the rest of a request, when the server stops.
    pub stop: Duration,
    /// Between two pings on HTTP/2.
    pub ping: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(60),
            stop: Duration::from_secs(1),
            ping: Duration::from_secs(20),
        }
    }
}

pub struct Server {
    router: Router,
    pub connections: Arc<Connections>,
    timeouts: Timeouts,
    stopped: watch::Receiver<bool>,
    http: Builder<TokioExecutor>,
}

impl Server {
    pub fn new(
        router: Router,
        connections: Arc<Connections>,
        timeouts: Timeouts,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self { router, connections, timeouts, stopped, http: http(timeouts.ping) }
    }

    pub async fn serve(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let activity = Activity::new();
        let service = service_fn(|request| self.answer(request, &activity));
        let io = TokioIo::new(Watched::new(io, activity.clone()));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let mut stopped = self.stopped.clone();
        let mut stop = pin!(stopped.wait_for(|stopped| *stopped));
        let mut stop_end = None;
        let mut timer = pin!(sleep_until(Instant::now() + self.timeouts.head));
        let closed = poll_fn(|cx| {
            if stop_end.is_none() && stop.as_mut().poll(cx).is_ready() {
                stop_end = Some(Instant::now() + self.timeouts.stop);
                connection.as_mut().graceful_shutdown();
            }
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let deadline = || {
                // What has no request when the server stops has nothing to wait for.
                let stop_end = stop_end.filter(|_| activity.is_idle()).map(|at| (at, None));
                let deadline = activity.deadline(&self.timeouts).map(|(at, event)| (at, Some(event)));
                stop_end.into_iter().chain(deadline).min_by_key(|(at, _)| *at)
            };
            // The timer is only ever moved forward when it fires: a request in time costs no change of it.
            loop {
                let next = deadline();
                match next {
                    Some((at, event)) if at <= Instant::now() => return Poll::Ready(event),
                    Some((at, _)) if at < timer.deadline() || timer.is_elapsed() => timer.as_mut().reset(at),
                    None if timer.is_elapsed() => timer.as_mut().reset(Instant::now() + self.timeouts.idle),
                    Some(_) | None => {}
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        });
        if let Some(event) = closed.await {
            self.connections.count(event);
        }
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<axum::http::Response<ResponseBody>, Infallible>> + use<> {
        let in_flight = activity.begin_request(request.version() == Version::HTTP_2);
        let stop = (&self.stopped, self.timeouts.stop);
        let request = request.map(|body| RequestBody::of(body, &self.connections, self.timeouts.body, stop));
        let answered = self.router.clone().oneshot(request);
        async move { Ok(answered.await?.map(|body| ResponseBody::new(body, in_flight))) }
    }
}

fn http(ping: Duration) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // The head's timeout is ours: hyper's is the same one as that of an idle connection.
    http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(ping)
        .keep_alive_timeout(PONG_WITHIN)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES_MAX);
    http
}

#[cfg(test)]
mod tests;
