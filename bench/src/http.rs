//! HTTP/1.1 over one kept-alive connection, as little of it as measuring needs: the client shares
//! the machine with the server, so every cycle spent here is taken from what is measured.
//!
//! One request at a time, the answer with `Content-Length` or in chunks, sizes bounded. No
//! redirects, no compression, no TLS.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request counts as failed. What `Display` gives is the name it is counted under.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("connect: {0}")]
    Connect(std::io::ErrorKind),
    #[error("broken: {0}")]
    Broken(std::io::ErrorKind),
    #[error("closed in the middle of an answer")]
    Closed,
    #[error("not an HTTP/1.1 answer: {0}")]
    Malformed(&'static str),
    #[error("status {0}")]
    Status(u16),
    #[error("answer: {0}")]
    Answer(&'static str),
}

impl Fault {
    /// Whether the connection can carry another request.
    pub fn leaves_connection(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Answer(_))
    }
}

#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    pub fn expect(&self, status: u16) -> Result<(), Fault> {
        if self.status == status { Ok(()) } else { Err(Fault::Status(self.status)) }
    }
}

/// Appends a whole request with a JSON body to `out`.
pub fn write_post(out: &mut Vec<u8>, path: &str, key: Option<&str>, body: &[u8]) {
    write_request(out, "POST", path, key, body);
}

pub fn write_get(out: &mut Vec<u8>, path: &str, key: &str) {
    write_request(out, "GET", path, Some(key), b"");
}

fn write_request(out: &mut Vec<u8>, method: &str, path: &str, key: Option<&str>, body: &[u8]) {
    write_typed(out, method, path, key, "application/json", body);
}

fn write_typed(out: &mut Vec<u8>, method: &str, path: &str, key: Option<&str>, content_type: &str, body: &[u8]) {
    for part in [method, " ", path, " HTTP/1.1\r\nHost: 127.0.0.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(key) = key {
        out.extend_from_slice(format!("Authorization: Bearer {key}\r\n").as_bytes());
    }
    if method != "GET" {
        out.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    unchunked: Vec<u8>,
    closing: bool,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, Fault> {
        Self::over(TcpStream::connect(address).await)
    }

    /// Opens a connection from another address of this machine than that of all other connections.
    pub async fn open_from(from: Ipv4Addr, address: SocketAddr) -> Result<Self, Fault> {
        let bound = TcpSocket::new_v4().and_then(|socket| {
            socket.bind((from, 0).into())?;
            Ok(socket)
        });
        let socket = bound.map_err(|error| Fault::Connect(error.kind()))?;
        Self::over(socket.connect(address).await)
    }

    fn over(stream: std::io::Result<TcpStream>) -> Result<Self, Fault> {
        let stream = stream.map_err(|error| Fault::Connect(error.kind()))?;
        stream.set_nodelay(true).map_err(|error| Fault::Connect(error.kind()))?;
        Ok(Self { stream, received: Vec::with_capacity(4096), unchunked: Vec::new(), closing: false })
    }

    /// Whether the server said that this answer was the last on the connection.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Sends one whole request and waits for its whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>, Fault> {
        self.stream.write_all(request).await.map_err(|error| Fault::Broken(error.kind()))?;
        self.received.clear();
        let head = self.read_head().await?;
        self.closing = head.closing;
        match head.body {
            Body::Length(length) => {
                if length > BODY_BYTES_MAX {
                    return Err(Fault::Malformed("body too long"));
                }
                let whole = head.bytes + length;
                while self.received.len() < whole {
                    self.read_more().await?;
                }
                if self.received.len() > whole {
                    return Err(Fault::Malformed("more bytes than announced"));
                }
                Ok(Answer { status: head.status, body: &self.received[head.bytes..] })
            }
            Body::Chunked => {
                self.read_chunks(head.bytes).await?;
                Ok(Answer { status: head.status, body: &self.unchunked })
            }
        }
    }

    /// Sends one whole request and reads its whole answer, whatever its length, but keeps only the status.
    pub async fn exchange_discarding(&mut self, request: &[u8]) -> Result<u16, Fault> {
        self.stream.write_all(request).await.map_err(|error| Fault::Broken(error.kind()))?;
        self.received.clear();
        let head = self.read_head().await?;
        self.closing = head.closing;
        match head.body {
            Body::Length(length) => {
                let mut left = (head.bytes as u64 + length as u64).saturating_sub(self.received.len() as u64);
                while left > 0 {
                    self.received.clear();
                    self.read_more().await?;
                    left = left.saturating_sub(self.received.len() as u64);
                }
            }
            Body::Chunked => self.read_chunks(head.bytes).await?,
        }
        Ok(head.status)
    }

    /// Sends bytes, does not read before `end`, and then looks for an answer; `None` if the connection is still open
    /// without one.
    pub async fn hold_until(&mut self, bytes: &[u8], end: Instant) -> Option<Result<u16, Fault>> {
        if let Err(error) = self.stream.write_all(bytes).await {
            return Some(Err(Fault::Broken(error.kind())));
        }
        sleep_until(end).await;
        self.received.clear();
        match self.stream.try_read_buf(&mut self.received) {
            Ok(0) => Some(Err(Fault::Closed)),
            Ok(_) => Some(status_of(&self.received)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(Err(Fault::Broken(error.kind()))),
        }
    }

    /// Sends one whole request, whose answer goes on for ever, a chunk at a time.
    pub async fn stream(&mut self, request: &[u8]) -> Result<Stream<'_>, Fault> {
        self.stream.write_all(request).await.map_err(|error| Fault::Broken(error.kind()))?;
        self.received.clear();
        let head = self.read_head().await?;
        match head {
            Head { status: 200, body: Body::Chunked, .. } => Ok(Stream { connection: self, next: head.bytes }),
            Head { status: 200, .. } => Err(Fault::Malformed("not in chunks")),
            Head { status, .. } => Err(Fault::Status(status)),
        }
    }

    async fn read_head(&mut self) -> Result<Head, Fault> {
        loop {
            self.read_more().await?;
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                return Head::parse(&self.received[..end]);
            }
            if self.received.len() > HEAD_BYTES_MAX {
                return Err(Fault::Malformed("head too long"));
            }
        }
    }

    async fn read_chunks(&mut self, mut at: usize) -> Result<(), Fault> {
        self.unchunked.clear();
        loop {
            match chunk(&self.received, at)? {
                Some(Chunk { data, .. }) if data.is_empty() => return Ok(()),
                Some(Chunk { data, next }) => {
                    self.unchunked.extend_from_slice(&self.received[data]);
                    at = next;
                }
                None => self.read_more().await?,
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), Fault> {
        if self.received.len() > HEAD_BYTES_MAX + BODY_BYTES_MAX {
            return Err(Fault::Malformed("answer too long"));
        }
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err(Fault::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Broken(error.kind())),
        }
    }
}

/// The chunks of an answer as they arrive.
pub struct Stream<'a> {
    connection: &'a mut Connection,
    /// Where the next chunk begins.
    next: usize,
}

impl Stream<'_> {
    /// None at the end.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        // What has been given is dropped once it is much, not each time.
        if self.next > HEAD_BYTES_MAX {
            self.connection.received.drain(..self.next);
            self.next = 0;
        }
        loop {
            match chunk(&self.connection.received, self.next)? {
                Some(Chunk { data, .. }) if data.is_empty() => return Ok(None),
                Some(Chunk { data, next }) => {
                    self.next = next;
                    return Ok(Some(&self.connection.received[data]));
                }
                None => self.connection.read_more().await?,
            }
        }
    }
}

/// One call outside the measured window, on a connection of its own, within `CALL_TIMEOUT`.
pub async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> anyhow::Result<(u16, Value)> {
    let mut request = Vec::new();
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
    write_request(&mut request, method, path, key, &body);
    send(address, &request).await.with_context(|| format!("{method} {path}"))
}

/// Posts a body that is not JSON, as `call` does.
pub async fn post_bytes(
    address: SocketAddr,
    path: &str,
    key: &str,
    content_type: &str,
    body: &[u8],
) -> anyhow::Result<(u16, Value)> {
    let mut request = Vec::new();
    write_typed(&mut request, "POST", path, Some(key), content_type, body);
    send(address, &request).await.with_context(|| format!("POST {path}"))
}

async fn send(address: SocketAddr, request: &[u8]) -> anyhow::Result<(u16, Value)> {
    let exchange = async {
        let mut connection = Connection::open(address).await?;
        let answer = connection.exchange(request).await?;
        let value = serde_json::from_slice(answer.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(answer.body).into_owned()));
        Ok((answer.status, value))
    };
    match timeout(CALL_TIMEOUT, exchange).await {
        Ok(answer) => answer,
        Err(_) => bail!("no answer after {} s", CALL_TIMEOUT.as_secs()),
    }
}

struct Head {
    status: u16,
    /// With the blank line.
    bytes: usize,
    body: Body,
    closing: bool,
}

enum Body {
    Length(usize),
    Chunked,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(head).map_err(|_| Fault::Malformed("head is not UTF-8"))?;
        let mut lines = text.split("\r\n");
        let status = status_of(lines.next().unwrap_or_default().as_bytes())?;
        let mut parsed = Self { status, bytes: head.len() + 4, body: Body::Length(0), closing: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            parsed.header(name, value.trim())?;
        }
        Ok(parsed)
    }

    fn header(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        if name.eq_ignore_ascii_case("content-length") {
            self.body = Body::Length(value.parse().map_err(|_| Fault::Malformed("content-length"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.body = Body::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            self.closing = value.eq_ignore_ascii_case("close");
        }
        Ok(())
    }
}

/// Returns the status of an answer that begins with `line`.
fn status_of(line: &[u8]) -> Result<u16, Fault> {
    let digits = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(Fault::Malformed("status line"))
}

#[derive(Debug, PartialEq)]
struct Chunk {
    /// Empty for the last one.
    data: Range<usize>,
    next: usize,
}

/// The chunk that begins at `at`, or none while it has not arrived whole.
fn chunk(received: &[u8], at: usize) -> Result<Option<Chunk>, Fault> {
    let Some(line) = find(&received[at..], b"\r\n") else { return Ok(None) };
    let size = std::str::from_utf8(&received[at..at + line])
        .ok()
        .and_then(|text| usize::from_str_radix(text.split(';').next()?.trim(), 16).ok())
        .filter(|size| *size <= BODY_BYTES_MAX)
        .ok_or(Fault::Malformed("chunk size"))?;
    let start = at + line + 2;
    let next = start + size + 2;
    if received.len() < next {
        return Ok(None);
    }
    if &received[start + size..next] != b"\r\n" {
        return Err(Fault::Malformed("chunk end"));
    }
    Ok(Some(Chunk { data: start..start + size, next }))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers the first request with these pieces, each in a packet of its own.
    async fn serve(pieces: Vec<&'static [u8]>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
            for piece in pieces {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        address
    }

    async fn get(pieces: Vec<&'static [u8]>) -> Result<(u16, Vec<u8>), Fault> {
        let mut connection = Connection::open(serve(pieces).await).await?;
        let answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await?;
        Ok((answer.status, answer.body.to_vec()))
    }

    #[tokio::test]
    async fn an_answer_with_a_length_is_read_whole_however_it_arrives() {
        let pieces: Vec<&[u8]> = vec![b"HTTP/1.1 201 Created\r\ncontent-le", b"ngth: 5\r\n\r", b"\nhel", b"lo"];
        assert_eq!(get(pieces).await, Ok((201, b"hello".to_vec())));
    }

    #[tokio::test]
    async fn a_chunked_answer_is_put_together() {
        let pieces: Vec<&[u8]> = vec![
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"lo\r\n1;x=y\r\n!\r\n0\r\n",
            b"\r\n",
        ];
        assert_eq!(get(pieces).await, Ok((200, b"hello!".to_vec())));
    }

    #[tokio::test]
    async fn a_stream_is_given_chunk_by_chunk() {
        let pieces: Vec<&[u8]> = vec![
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"lo\r\n1;x=y\r\n!\r\n0\r\n",
            b"\r\n",
        ];
        let mut connection = Connection::open(serve(pieces).await).await.unwrap();
        let mut stream = connection.stream(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(stream.next().await, Ok(Some(&b"hello"[..])));
        assert_eq!(stream.next().await, Ok(Some(&b"!"[..])));
        assert_eq!(stream.next().await, Ok(None));
    }

    #[tokio::test]
    async fn an_answer_without_a_body_has_none() {
        assert_eq!(get(vec![b"HTTP/1.1 204 No Content\r\n\r\n"]).await, Ok((204, Vec::new())));
    }

    #[tokio::test]
    async fn what_is_not_an_answer_is_a_fault() {
        assert_eq!(get(vec![b"SSH-2.0\r\n\r\n"]).await, Err(Fault::Malformed("status line")));
        assert_eq!(get(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel"]).await, Err(Fault::Closed));
        let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
        assert_eq!(get(vec![huge]).await, Err(Fault::Malformed("body too long")));
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert_eq!(get(vec![chunk]).await, Err(Fault::Malformed("chunk size")));
    }
}
