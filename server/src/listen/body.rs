//! The bodies of requests and responses, as far as the connection depends on them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::watched::InFlight;
use super::{Connections, Event};

/// Why the rest of a body is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("nothing more of the body arrived for {} seconds", .0.as_secs())]
    Stalled(Duration),
    #[error("the server is stopping and the body did not arrive in time; nothing was accepted")]
    Stopping,
}

/// The body of a request: it fails when nothing arrives for long, and soon after the server was told to stop.
pub struct RequestBody {
    body: Incoming,
    connections: Arc<Connections>,
    progress: Duration,
    stopped: watch::Receiver<bool>,
    stop: Duration,
    /// Set up when the body is waited for: most are there at once.
    waiting: Option<Waiting>,
    has_failed: bool,
}

struct Waiting {
    stalled: Pin<Box<Sleep>>,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl RequestBody {
    /// Bodies that are known to be empty need no watching.
    pub fn of(
        body: Incoming,
        connections: &Arc<Connections>,
        progress: Duration,
        (stopped, stop): (&watch::Receiver<bool>, Duration),
    ) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        let (connections, stopped) = (connections.clone(), stopped.clone());
        Body::new(Self { body, connections, progress, stopped, stop, waiting: None, has_failed: false })
    }

    fn waiting(&mut self) -> &mut Waiting {
        let (progress, stop, mut stopped) = (self.progress, self.stop, self.stopped.clone());
        self.waiting.get_or_insert_with(|| Waiting {
            stalled: Box::pin(tokio::time::sleep(progress)),
            stopping: Box::pin(async move {
                // An error means that the server is gone, which is a stop as well.
                let _ = stopped.wait_for(|stopped| *stopped).await;
                tokio::time::sleep(stop).await;
            }),
        })
    }

    fn fail(&mut self, why: Interrupted) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.has_failed = true;
        if matches!(why, Interrupted::Stalled(_)) {
            self.connections.count(Event::BodyTimedOut);
        }
        Poll::Ready(Some(Err(why.into())))
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let end = Instant::now() + self.progress;
            if let Some(waiting) = &mut self.waiting {
                waiting.stalled.as_mut().reset(end);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let waiting = self.waiting();
        if waiting.stopping.as_mut().poll(cx).is_ready() {
            return self.fail(Interrupted::Stopping);
        }
        ready!(waiting.stalled.as_mut().poll(cx));
        let progress = self.progress;
        self.fail(Interrupted::Stalled(progress))
    }

    fn is_end_stream(&self) -> bool {
        self.has_failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response, with something that is kept until it is written or given up.
pub struct GuardedBody<G> {
    body: Body,
    _guard: G,
}

impl<G> GuardedBody<G> {
    pub fn new(body: Body, guard: G) -> Self {
        Self { body, _guard: guard }
    }
}

impl<G: Unpin> HttpBody for GuardedBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that are handed to the connection at once, which takes more only when it has written most of them.
const FRAME_BYTES_MAX: usize = 64 << 10;
/// The same on HTTP/2: a client that does not take so many within the timeout for writing is cut off.
const FRAME_BYTES_MAX_HTTP_2: usize = 16 << 10;

/// The body of a response as its connection takes it, in frames. It is dropped, with all that it holds, when the
/// connection has written it: the last byte is a frame of its own on HTTP/2, for which hyper has no room before those
/// ahead of it were sent.
pub struct ResponseBody {
    body: Body,
    /// What is left of the last frame.
    rest: Bytes,
    in_flight: InFlight,
}

impl ResponseBody {
    pub fn new(body: Body, in_flight: InFlight) -> Self {
        Self { body, rest: Bytes::new(), in_flight }
    }

    fn frame(&mut self) -> Bytes {
        let length = self.rest.len();
        let length = match self.in_flight.is_http_2() {
            true if self.body.is_end_stream() && length > 1 => FRAME_BYTES_MAX_HTTP_2.min(length - 1),
            true => FRAME_BYTES_MAX_HTTP_2.min(length),
            false => FRAME_BYTES_MAX.min(length),
        };
        self.rest.split_to(length)
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Poll::Ready(end) => return Poll::Ready(end),
                Poll::Pending => {
                    self.in_flight.waits_for_server();
                    return Poll::Pending;
                }
            }
        }
        self.in_flight.waits_for_client();
        Poll::Ready(Some(Ok(Frame::data(self.frame()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
