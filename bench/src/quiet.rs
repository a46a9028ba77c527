//! The quiet tenant of W6 and W9: a tenant that sends one signal every 20 ms while another tenant loads the server.
//!
//! The quiet tenant sends each signal when it is due, whether or not the previous one was answered. Latencies count
//! from the moment when the signal was due. The tenant has a thread of its own, so that it does not wait for the
//! clients of the other tenant.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use hdrhistogram::Histogram;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::fleetprompt::Api;
use crate::http::Connection;
use crate::load::{self, Errors, Requests};
use crate::measure::Times;
use crate::workload::Workload;

const PACE: Duration = Duration::from_millis(20);

/// Observations of the quiet tenant.
pub struct Quiet {
    /// Latencies of the signals that were due within the window. A signal without an answer counts with its timeout.
    pub latencies_us: Histogram<u64>,
    /// Signals without an answer within the timeout; also counted in `errors`.
    pub timeouts: u64,
    pub errors: Errors,
}

/// Runs `work` on a thread of its own, which ends with it.
pub fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, outcome) = oneshot::channel();
    std::thread::spawn(move || done.send(work()));
    outcome
}

/// Sends signals for warm-up and window, and waits for each answer at most as long as `answer_timeout`.
#[tokio::main(flavor = "current_thread")]
pub async fn measure(
    address: SocketAddr,
    key: String,
    times: Times,
    answer_timeout: Duration,
) -> anyhow::Result<Quiet> {
    let api = Api::new(address, key);
    let sender = Sender {
        requests: api.requests(Workload::W2, 1),
        answer_timeout,
        idle: RefCell::default(),
        quiet: RefCell::new(Quiet { latencies_us: load::latencies_us(), timeouts: 0, errors: Errors::default() }),
    };
    let warm = Instant::now() + times.warm_up;
    let mut pace = keep_pace(times.warm_up + times.window);
    let due = stream::poll_fn(move |context| pace.poll_recv(context)).enumerate();
    due.for_each_concurrent(None, |(number, due)| sender.send(number as u64, due, due >= warm)).await;
    let mut quiet = sender.quiet.into_inner();
    // A server that left signals unanswered may not answer these requests either.
    if quiet.timeouts == 0 {
        let unfinished = api.runs_not(&["completed"]).await?;
        if unfinished > 0 {
            quiet.errors.add("sampled run had not completed".to_owned(), unfinished);
        }
    }
    Ok(quiet)
}

/// Yields each moment when a signal is due. A thread keeps the time, because a timer of the runtime may be a
/// millisecond late.
fn keep_pace(span: Duration) -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    let started = Instant::now();
    std::thread::spawn(move || {
        for due in (0..).map(|number| PACE * number).take_while(|due| *due < span) {
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            // The receiver is gone when the measurement has failed.
            if sender.send(started + due).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Sender {
    requests: Requests,
    answer_timeout: Duration,
    /// Connections without a request in flight. As long as answers come in time, there is one.
    idle: RefCell<Vec<Connection>>,
    quiet: RefCell<Quiet>,
}

impl Sender {
    async fn send(&self, number: u64, due: Instant, is_in_window: bool) {
        let mut request = Vec::new();
        (self.requests.write)(number, &mut request);
        let mut connection = self.idle.borrow_mut().pop();
        let exchange = load::exchange(&self.requests, &mut connection, &request);
        let outcome = timeout(self.answer_timeout, exchange).await;
        let mut quiet = self.quiet.borrow_mut();
        match outcome {
            Ok(Ok(_)) => self.idle.borrow_mut().extend(connection),
            Ok(Err(fault)) => return quiet.errors.add(fault.to_string(), 1),
            Err(_) => {
                quiet.timeouts += 1;
                quiet.errors.add(format!("no answer after {:.1} s", self.answer_timeout.as_secs_f64()), 1);
            }
        }
        if is_in_window {
            quiet.latencies_us.saturating_record(due.elapsed().as_micros() as u64);
        }
    }
}
