//! Each timeout over a connection in memory: what ends, and what goes on for longer than all of them.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::stream;
use hyper::client::conn::http2;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::api::Problem;
use crate::listen::{Event, GuardedBody};

const SHORT: Duration = Duration::from_millis(40);
const LONG: Duration = Duration::from_secs(60);

/// Nothing ends by itself unless a test says so.
const PATIENT: Timeouts = Timeouts { head: LONG, body: LONG, idle: LONG, write: LONG, stop: LONG, ping: LONG };

struct Client {
    io: DuplexStream,
    served: JoinHandle<()>,
    connections: Arc<Connections>,
    stop: watch::Sender<bool>,
    /// Held by the server and by each response at `/large`.
    held: Arc<()>,
}

async fn read_all(body: Body) -> Result<String, Problem> {
    let whole = axum::body::to_bytes(body, usize::MAX).await.map_err(Problem::body_broken)?;
    Ok(format!("{} bytes", whole.len()))
}

/// Far more than a connection buffers.
fn large(held: Arc<()>) -> Body {
    Body::new(GuardedBody::new(Body::from(vec![b'x'; 4 << 20]), held))
}

/// Longer than each short timeout, in pieces.
async fn pieces() -> Body {
    Body::from_stream(stream::unfold(0, |count| async move {
        tokio::time::sleep(SHORT).await;
        (count < 5).then(|| (Ok::<_, Infallible>(Bytes::from("piece\n")), count + 1))
    }))
}

async fn silence() -> &'static str {
    tokio::time::sleep(SHORT * 4).await;
    "at last"
}

impl Client {
    fn connect(timeouts: Timeouts) -> Self {
        let held = Arc::new(());
        let of_routes = held.clone();
        let large = move || std::future::ready(large(of_routes.clone()));
        let routes = Router::new().route("/read", post(read_all)).route("/large", get(large));
        let routes = routes.route("/pieces", get(pieces)).route("/silence", get(silence));
        let connections = Arc::new(Connections::default());
        let (stop, stopped) = watch::channel(false);
        let server = Server::new(routes, connections.clone(), timeouts, stopped);
        let (io, served) = tokio::io::duplex(16 << 10);
        Self { io, served: tokio::spawn(async move { server.serve(served).await }), connections, stop, held }
    }

    async fn send(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.expect("the server reads");
    }

    /// Everything until the server closes the connection.
    async fn rest(mut self) -> (String, Arc<Connections>) {
        let mut bytes = Vec::new();
        self.io.read_to_end(&mut bytes).await.expect("the connection is closed");
        self.served.await.expect("it does not panic");
        (String::from_utf8_lossy(&bytes).into_owned(), self.connections)
    }

    /// As a client of HTTP/2 that grants so many bytes of each response before it reads any. Its connection goes on by
    /// itself.
    async fn http_2(&mut self, window: u32) -> http2::SendRequest<Body> {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(window);
        let io = std::mem::replace(&mut self.io, tokio::io::duplex(1).0);
        let (requests, connection) = http.handshake(TokioIo::new(io)).await.expect("a connection");
        tokio::spawn(connection);
        requests
    }

    async fn expect_closed_for(self, event: Event) {
        let (_, connections) = self.rest().await;
        assert_eq!(connections.counted(event), 1, "{event:?}");
    }
}

const GET_SILENCE: &str = "GET /silence HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_without_a_whole_head_is_closed() {
    let timeouts = Timeouts { head: SHORT, ..PATIENT };
    Client::connect(timeouts).expect_closed_for(Event::HeadTimedOut).await;
    for begun in ["GET / HTTP/1.1\r\nhost: x\r\n", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = Client::connect(timeouts);
        client.send(begun).await;
        client.expect_closed_for(Event::HeadTimedOut).await;
    }
    // The head of a later request as well.
    let mut client = Client::connect(timeouts);
    client.send(GET_SILENCE).await;
    let mut answer = [0; 15];
    client.io.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    client.send("GET /").await;
    client.expect_closed_for(Event::HeadTimedOut).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_request_is_not() {
    let timeouts = Timeouts { head: SHORT, body: SHORT, idle: SHORT, write: SHORT, ..PATIENT };
    for (path, end) in [("silence", "at last"), ("pieces", "piece\n\r\n0\r\n\r\n")] {
        let mut client = Client::connect(timeouts);
        client.send(&format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let (text, connections) = client.rest().await;
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with(end), "{text}");
        assert_eq!(connections.counted(Event::IdleTimedOut), 1);
    }
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_answered() {
    let timeouts = Timeouts { body: SHORT, idle: SHORT, ..PATIENT };
    let mut client = Client::connect(timeouts);
    client.send("POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nso far").await;
    let (text, connections) = client.rest().await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_too_slow"), "{text}");
    assert_eq!(connections.counted(Event::BodyTimedOut), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let mut client = Client::connect(Timeouts { write: SHORT, ..PATIENT });
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    (&mut client.served).await.expect("it does not panic");
    assert_eq!(client.connections.counted(Event::WriteTimedOut), 1);
}

#[tokio::test]
async fn a_stop_waits_for_responses_and_not_for_clients() {
    let timeouts = Timeouts { stop: SHORT, ..PATIENT };
    for (begun, end) in [
        ("", ""),
        ("GET / HTT", ""),
        ("PRI * HTTP/2", ""),
        ("POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nso far", "the server is stopping"),
        (GET_SILENCE, "at last"),
    ] {
        let mut client = Client::connect(timeouts);
        client.send(begun).await;
        // The server has read what was sent before it is told to stop.
        tokio::task::yield_now().await;
        client.stop.send_replace(true);
        let (text, _) = client.rest().await;
        assert!(text.contains(end) && text.is_empty() == end.is_empty(), "{begun}: {text}");
    }
}

#[tokio::test]
async fn a_head_beyond_the_buffer_is_refused() {
    let mut client = Client::connect(PATIENT);
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n", "x".repeat(BUFFER_BYTES_MAX));
    // What it does not read any more does not arrive.
    let _ = client.io.write_all(head.as_bytes()).await;
    let (text, _) = client.rest().await;
    assert!(text.starts_with(&format!("HTTP/1.1 {}", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16())), "{text}");
}

fn get_of(path: &str) -> Request<Body> {
    Request::get(format!("http://x/{path}")).body(Body::empty()).expect("a request")
}

/// Pings are answered by clients that do nothing else, and the connection is not blocked by a stream that is.
#[tokio::test]
async fn a_client_of_http_2_that_does_not_read_is_cut_off() {
    for (path, window) in [("large", 0), ("large", 100_000), ("silence", 0), ("silence", 3)] {
        let mut client = Client::connect(Timeouts { write: SHORT, ping: SHORT / 4, ..PATIENT });
        let mut requests = client.http_2(window).await;
        let response = requests.send_request(get_of(path)).await.expect("the head of a response");
        (&mut client.served).await.expect("it does not panic");
        assert_eq!(client.connections.counted(Event::WriteTimedOut), 1, "{path} {window}");
        // The stream ends in a task of its own.
        while Arc::strong_count(&client.held) > 1 {
            tokio::task::yield_now().await;
        }
        drop(response);
    }
}

#[tokio::test]
async fn a_client_of_http_2_that_reads_is_served_and_closed_when_it_is_idle() {
    let mut client = Client::connect(Timeouts { idle: SHORT * 4, write: SHORT * 4, ping: SHORT, ..PATIENT });
    let mut requests = client.http_2(40_000).await;
    for (path, bytes) in [("large", 4 << 20), ("silence", 7), ("pieces", 30)] {
        let response = requests.send_request(get_of(path)).await.expect("a response");
        let body = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await.expect("all of it");
        assert_eq!(body.len(), bytes, "{path}");
    }
    (&mut client.served).await.expect("it does not panic");
    assert_eq!(client.connections.counted(Event::IdleTimedOut), 1);
}
