//! What happens on one connection, as far as its timeouts depend on it.

use std::collections::BTreeSet;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Event;
use super::connection::Timeouts;

/// No moment.
const NEVER: u64 = u64::MAX;

/// Moments are milliseconds since the connection was opened.
#[derive(Debug)]
pub struct Activity {
    opened: Instant,
    requests: AtomicU64,
    /// Requests whose response has not been written.
    in_flight: AtomicUsize,
    /// HTTP/2 sends frames of its own between requests, so bytes do not mean that a request begins.
    is_http2: AtomicBool,
    /// When the head of a request began to arrive. The first one is expected as soon as the connection is open.
    head_since: AtomicU64,
    idle_since: AtomicU64,
    write_blocked_since: AtomicU64,
    /// The requests on HTTP/2 whose client has yet to take a part of the response, by since when and by their number. The
    /// connection is not blocked by them: a client grants room for each response by itself.
    unread: Mutex<BTreeSet<(u64, u64)>>,
}

impl Activity {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            requests: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            is_http2: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            write_blocked_since: AtomicU64::new(NEVER),
            unread: Mutex::default(),
        })
    }

    /// A request has arrived; it is in flight until the guard is dropped.
    pub fn begin_request(self: &Arc<Self>, is_http2: bool) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.is_http2.store(is_http2, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        let number = self.requests.fetch_add(1, Relaxed);
        InFlight { activity: self.clone(), number, is_http2, unread_since: None }
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0
    }

    /// When the connection is to be closed, and why, if nothing else happens; `None` while a request is in flight and its
    /// client reads.
    pub fn deadline(&self, timeouts: &Timeouts) -> Option<(Instant, Event)> {
        let at = |moment: u64, within| self.opened + std::time::Duration::from_millis(moment) + within;
        let unread = self.is_http2.load(Relaxed).then(|| self.unread.lock().first().map(|(since, _)| *since)).flatten();
        let blocked = Some(self.write_blocked_since.load(Relaxed).min(unread.unwrap_or(NEVER)));
        let blocked = blocked.filter(|since| *since != NEVER);
        let blocked = blocked.map(|since| (at(since, timeouts.write), Event::WriteTimedOut));
        let waiting = self.is_idle().then(|| match self.head_since.load(Relaxed) {
            NEVER => (at(self.idle_since.load(Relaxed), timeouts.idle), Event::IdleTimedOut),
            since => (at(since, timeouts.head), Event::HeadTimedOut),
        });
        blocked.into_iter().chain(waiting).min_by_key(|(at, _)| *at)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn has_read(&self) {
        if self.is_idle() && !self.is_http2.load(Relaxed) && self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    fn has_written(&self, is_blocked: bool) {
        let was_blocked = self.write_blocked_since.load(Relaxed) != NEVER;
        // The end of a response may be written after its body was taken. HTTP/2 also writes pings, which mean nothing.
        if !is_blocked && self.is_idle() && !self.is_http2.load(Relaxed) {
            self.idle_since.store(self.now(), Relaxed);
        }
        if is_blocked != was_blocked {
            self.write_blocked_since.store(if is_blocked { self.now() } else { NEVER }, Relaxed);
        }
    }
}

/// A request, until its response is written.
pub struct InFlight {
    activity: Arc<Activity>,
    number: u64,
    is_http2: bool,
    unread_since: Option<u64>,
}

impl InFlight {
    pub fn is_http_2(&self) -> bool {
        self.is_http2
    }

    /// The connection has a part of the response, and asks for the next one when its client has room for that.
    pub fn waits_for_client(&mut self) {
        // On HTTP/1 a client that does not read blocks the connection, which is noted there.
        if self.is_http2 {
            self.set_unread(Some(self.activity.now()));
        }
    }

    /// The client has taken everything that there is of the response so far.
    pub fn waits_for_server(&mut self) {
        self.set_unread(None);
    }

    fn set_unread(&mut self, since: Option<u64>) {
        if self.unread_since == since {
            return;
        }
        let mut unread = self.activity.unread.lock();
        if let Some(before) = self.unread_since {
            unread.remove(&(before, self.number));
        }
        unread.extend(since.map(|since| (since, self.number)));
        drop(unread);
        self.unread_since = since;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.set_unread(None);
        self.activity.idle_since.store(self.activity.now(), Relaxed);
        self.activity.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A connection that notes what happens on it.
pub struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I> Watched<I> {
    pub fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }

    fn wrote(&self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.activity.has_written(written.is_pending());
        written
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, into);
        if into.filled().len() > before {
            self.activity.has_read();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
