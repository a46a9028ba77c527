//! The load: clients that each send a request, wait for its answer, and send the next.
//!
//! All clients are tasks of one thread. A warm-up comes first, then a window in which what
//! completes is counted; a reading of the servers is taken at both ends of the window. What fails
//! is counted under its name and never dropped, warm-up included. Nothing here lasts longer than
//! warm-up, window and `GRACE` together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::ends::Ends;
use crate::http::{Answer, Connection, Fault};

/// How long clients may wait, after the window, for the answers that are still due.
const GRACE: Duration = Duration::from_secs(30);
/// Before trying again what failed, so that a server that refuses is not flooded with retries.
const PAUSE: Duration = Duration::from_millis(10);
const ERROR_KINDS_MAX: usize = 32;
const LATENCY_US_MAX: u64 = 120_000_000;

#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub clients: usize,
    pub warm_up: Duration,
    pub window: Duration,
}

/// What to send, and how to judge what comes back.
pub struct Requests {
    pub address: SocketAddr,
    pub write: Box<Write>,
    pub judge: Box<Judge>,
    /// Where the ends of runs are seen that an answer only says have begun.
    pub ends: Option<Ends>,
}

/// Appends the request with this number, counted over all clients.
pub type Write = dyn Fn(u64, &mut Vec<u8>);
pub type Judge = dyn Fn(&Answer<'_>) -> Result<Proof, Fault>;

/// What an answer proves.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// So many operations are complete.
    Complete(u64),
    /// An operation is, once the run with this id has completed.
    Begun(String),
}

/// What came of it. `Reading` is what the caller took at both ends of the window.
#[derive(Debug)]
pub struct Outcome<Reading> {
    /// Completed within the window.
    pub operations: u64,
    /// Completed since the first client started.
    pub operations_total: u64,
    pub elapsed: Duration,
    /// Of requests that completed within the window, in microseconds.
    pub latencies_us: Histogram<u64>,
    pub errors: Errors,
    pub before: Reading,
    pub after: Reading,
}

#[derive(Debug, Default, Clone)]
pub struct Errors(BTreeMap<String, u64>);

impl Errors {
    pub fn add(&mut self, kind: String, count: u64) {
        let known = self.0.len() < ERROR_KINDS_MAX || self.0.contains_key(&kind);
        let kind = if known { kind } else { "other".to_owned() };
        *self.0.entry(kind).or_default() += count;
    }

    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn kinds(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

/// Runs the load to its end; the requests are given to clients in turns. Must be called on a runtime of one thread.
pub async fn run<Reading>(
    load: Load,
    requests: Vec<Requests>,
    mut read: impl FnMut() -> anyhow::Result<Reading>,
) -> anyhow::Result<Outcome<Reading>> {
    let local = LocalSet::new();
    let requests: Vec<Rc<Requests>> = requests.into_iter().map(Rc::new).collect();
    let mut following = Vec::new();
    for requests in &requests {
        following.push(local.run_until(follow_ends(requests)).await?);
    }
    let warm = Instant::now() + load.warm_up;
    let end = warm + load.window;
    let shared = Rc::new(Shared { warm, end, state: RefCell::new(State::new()) });
    let mut clients = JoinSet::new();
    for requests in requests.iter().cycle().take(load.clients) {
        clients.spawn_local_on(client(Rc::clone(&shared), Rc::clone(requests)), &local);
    }
    let (before, after, elapsed) = local
        .run_until(async {
            sleep_until(warm).await;
            let (started, before) = (Instant::now(), read()?);
            sleep_until(end).await;
            let (elapsed, after) = (started.elapsed(), read()?);
            while let Ok(Some(_)) = timeout_at(end + GRACE, clients.join_next()).await {}
            anyhow::Ok((before, after, elapsed))
        })
        .await?;
    let unanswered = clients.len() as u64;
    let mut state = shared.state.replace(State::new());
    for following in following.into_iter().filter(JoinHandle::is_finished) {
        if let Some(fault) = following.await? {
            state.errors.add(format!("following ends: {fault}"), 1);
        }
    }
    drop((clients, local));
    if unanswered > 0 {
        state.errors.add(format!("no answer {} s after the window", GRACE.as_secs()), unanswered);
    }
    Ok(Outcome {
        operations: state.operations,
        operations_total: state.operations_total,
        elapsed,
        latencies_us: state.latencies_us,
        errors: state.errors,
        before,
        after,
    })
}

/// Returns once no end can be missed, with what goes on to follow them and gives why it could not.
async fn follow_ends(requests: &Rc<Requests>) -> anyhow::Result<JoinHandle<Option<Fault>>> {
    let (opened, is_open) = oneshot::channel();
    let requests = Rc::clone(requests);
    let following = tokio::task::spawn_local(async move {
        match &requests.ends {
            Some(ends) => ends.follow(opened).await.err(),
            None => {
                _ = opened.send(());
                None
            }
        }
    });
    is_open.await.context("the tail of signals could not be opened")?;
    Ok(following)
}

struct Shared {
    warm: Instant,
    end: Instant,
    state: RefCell<State>,
}

struct State {
    sent: u64,
    operations: u64,
    operations_total: u64,
    latencies_us: Histogram<u64>,
    errors: Errors,
}

impl State {
    fn new() -> Self {
        Self { sent: 0, operations: 0, operations_total: 0, latencies_us: latencies_us(), errors: Errors::default() }
    }
}

pub fn latencies_us() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order")
}

async fn client(shared: Rc<Shared>, requests: Rc<Requests>) {
    let mut connection = None;
    let mut request = Vec::with_capacity(2048);
    while Instant::now() < shared.end {
        let number = shared.next_number();
        request.clear();
        (requests.write)(number, &mut request);
        let started = Instant::now();
        match exchange(&requests, &mut connection, &request).await {
            Ok(operations) => shared.completed(started, operations),
            Err(fault) => {
                if !fault.leaves_connection() {
                    connection = None;
                }
                shared.state.borrow_mut().errors.add(fault.to_string(), 1);
                sleep(PAUSE).await;
            }
        }
    }
}

/// Sends one request over the connection that was kept, or a new one, and tells how many operations it completed.
pub async fn exchange(requests: &Requests, kept: &mut Option<Connection>, request: &[u8]) -> Result<u64, Fault> {
    if kept.as_ref().is_none_or(Connection::is_closing) {
        *kept = Some(Connection::open(requests.address).await?);
    }
    let connection = kept.as_mut().expect("opened above");
    match (requests.judge)(&connection.exchange(request).await?)? {
        Proof::Complete(operations) => Ok(operations),
        Proof::Begun(run) => {
            let ends = requests.ends.as_ref().expect("who judges that a run has begun follows its end");
            ends.completed(run).await.map(|()| 1)
        }
    }
}

impl Shared {
    fn next_number(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        state.sent += 1;
        state.sent
    }

    fn completed(&self, started: Instant, operations: u64) {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        state.operations_total += operations;
        if now >= self.warm && now < self.end {
            state.operations += operations;
            state.latencies_us.saturating_record((now - started).as_micros() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each request of up to 4 KiB: every third with 503.
    async fn every_third_refused() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    for number in 1.. {
                        if stream.read(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                        let status = if number % 3 == 0 { "503 Busy" } else { "200 OK" };
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn posts(address: SocketAddr) -> Requests {
        Requests {
            address,
            write: Box::new(|_, out| crate::http::write_post(out, "/", None, b"{}")),
            judge: Box::new(|answer| answer.expect(200).map(|()| Proof::Complete(1))),
            ends: None,
        }
    }

    fn short(clients: usize) -> Load {
        Load { clients, warm_up: Duration::from_millis(20), window: Duration::from_millis(200) }
    }

    #[tokio::test]
    async fn what_completes_is_counted_and_what_fails_is_counted_under_its_name() {
        let outcome = run(short(4), vec![posts(every_third_refused().await)], || Ok(())).await.unwrap();
        assert!(outcome.operations > 0 && outcome.operations_total >= outcome.operations);
        assert_eq!(outcome.latencies_us.len(), outcome.operations);
        assert!(outcome.errors.kinds()["status 503"] > 0);
        assert_eq!(outcome.errors.kinds().len(), 1);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_gives_errors_and_no_operations() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let outcome = run(short(2), vec![posts(nobody)], || Ok(())).await.unwrap();
        assert_eq!(outcome.operations_total, 0);
        assert!(outcome.errors.total() > 0);
        assert!(outcome.errors.kinds().keys().all(|kind| kind.starts_with("connect")));
    }
}
