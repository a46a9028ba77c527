//! W6: what a quiet tenant notices of another tenant's flood.
//!
//! The quiet one sends a signal at a fixed pace, whether the one before is answered or not, and latencies
//! count from the moment that a signal was due. It has a thread of its own, so that it does not wait for
//! the clients of the flood, and these come last where there are too few processors: what they take of
//! the server's and of the quiet one's they would not from another machine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use futures_util::{StreamExt, stream};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::fleetprompt::Api;
use crate::http::Connection;
use crate::load::{self, Errors, Load, Requests};
use crate::measure::{Times, quantile_ms};
use crate::subject::{Places, Subject, System};
use crate::workload::{Case, Workload};

const PACE: Duration = Duration::from_millis(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const FLOOD_NICE: i32 = 5;

#[derive(Debug, Serialize)]
pub struct Record {
    workload: &'static str,
    system: System,
    round: usize,
    /// None when the quiet tenant is alone.
    flood: Option<Workload>,
    flood_clients: usize,
    flood_throughput: f64,
    flood_errors: u64,
    /// Of the quiet tenant, as all that follows.
    operations: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// To what it was alone.
    pub p99_ratio: Option<f64>,
    quiet_errors: u64,
    error_kinds: BTreeMap<String, u64>,
}

impl Record {
    pub fn errors(&self) -> u64 {
        self.flood_errors + self.quiet_errors
    }

    pub fn ratio_of(&self) -> Option<String> {
        self.flood.map(|flood| format!("w6 p99 under {flood} to that alone"))
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let during = match (self.flood, self.p99_ratio) {
            (Some(flood), Some(ratio)) => {
                format!(
                    "under {flood} of {} clients ({:.0} ops/s): {ratio:.2} × the p99, ",
                    self.flood_clients, self.flood_throughput
                )
            }
            _ => "alone: ".to_owned(),
        };
        format!(
            "w6 a quiet tenant {during}p50 {:.2} ms, p99 {:.2} ms, {} failed",
            self.p50_ms, self.p99_ms, self.quiet_errors
        )
    }
}

/// Alone first, then under each flood.
pub async fn measure(floods: &[Case], times: Times, places: &Places, round: usize) -> anyhow::Result<Vec<Record>> {
    let alone = measure_under(None, times, places, round).await?;
    let alone_p99_ms = alone.p99_ms.max(0.001);
    let mut records = vec![alone];
    for flood in floods {
        let mut record = measure_under(Some(*flood), times, places, round).await?;
        record.p99_ratio = Some(record.p99_ms / alone_p99_ms);
        records.push(record);
    }
    Ok(records)
}

async fn measure_under(flood: Option<Case>, times: Times, places: &Places, round: usize) -> anyhow::Result<Record> {
    let mut subject = Subject::start(System::Fleetprompt, places, false).await?;
    subject.neighbour_create().await?;
    subject.prepare(Workload::W1, places).await?;
    let [quiet, .., neighbour] = subject.tenants()? else { return Err(anyhow!("a tenant is missing")) };

    let (address, key) = (quiet.address, quiet.key.clone());
    let quiet = apart(move || be_quiet(address, key, times));
    let (address, key) = (neighbour.address, neighbour.key.clone());
    let pouring = flood.map(|flood| apart(move || pour(address, key, flood, times)));
    let (latencies_us, errors) = quiet.await??;
    let (flood_throughput, flood_errors) = match pouring {
        Some(pouring) => pouring.await??,
        None => (0.0, 0),
    };
    Ok(Record {
        workload: "w6",
        system: System::Fleetprompt,
        round,
        flood: flood.map(|flood| flood.workload),
        flood_clients: flood.map_or(0, |flood| flood.clients),
        flood_throughput,
        flood_errors,
        operations: latencies_us.len(),
        p50_ms: quantile_ms(&latencies_us, 0.5),
        p99_ms: quantile_ms(&latencies_us, 0.99),
        max_ms: quantile_ms(&latencies_us, 1.0),
        p99_ratio: None,
        quiet_errors: errors.total(),
        error_kinds: errors.kinds().clone(),
    })
}

/// On a thread of its own, that ends with it.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (done, outcome) = oneshot::channel();
    std::thread::spawn(move || done.send(work()));
    outcome
}

/// Gives operations a second, and how many requests failed.
#[tokio::main(flavor = "current_thread")]
async fn pour(address: SocketAddr, key: String, flood: Case, times: Times) -> anyhow::Result<(f64, u64)> {
    rustix::process::nice(FLOOD_NICE).context("let the flood come last")?;
    let api = Api::new(address, key);
    let load = Load { clients: flood.clients, warm_up: times.warm_up, window: times.window };
    let requests = vec![api.requests(flood.workload, flood.clients)];
    let outcome = load::run(load, requests, || Ok(())).await?;
    let unfinished = api.runs_not(&["completed"]).await?;
    Ok((outcome.operations as f64 / outcome.elapsed.as_secs_f64(), outcome.errors.total() + unfinished))
}

/// Gives the latencies of what was due within the window, and what failed.
#[tokio::main(flavor = "current_thread")]
async fn be_quiet(address: SocketAddr, key: String, times: Times) -> anyhow::Result<(Histogram<u64>, Errors)> {
    let api = Api::new(address, key);
    let quiet = Quiet {
        requests: api.requests(Workload::W2, 1),
        idle: RefCell::default(),
        latencies_us: RefCell::new(load::latencies_us()),
        errors: RefCell::default(),
    };
    let warm = Instant::now() + times.warm_up;
    let mut pace = keep_pace(times.warm_up + times.window);
    let due = stream::poll_fn(move |context| pace.poll_recv(context)).enumerate();
    due.for_each_concurrent(None, |(number, due)| quiet.send(number as u64, due, due >= warm)).await;
    let mut errors = quiet.errors.take();
    let unfinished = api.runs_not(&["completed"]).await?;
    if unfinished > 0 {
        errors.add("sampled run had not completed".to_owned(), unfinished);
    }
    Ok((quiet.latencies_us.into_inner(), errors))
}

/// Tells each time when something is due. By a thread, because a timer of the runtime may be a millisecond late.
fn keep_pace(span: Duration) -> UnboundedReceiver<Instant> {
    let (tell, told) = unbounded_channel();
    let started = Instant::now();
    std::thread::spawn(move || {
        for due in (0..).map(|number| PACE * number).take_while(|due| *due < span) {
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            // Nobody listens any more when the measurement has failed.
            if tell.send(started + due).is_err() {
                return;
            }
        }
    });
    told
}

struct Quiet {
    requests: Requests,
    /// Connections on which nothing is under way: as long as answers come in time, there is one.
    idle: RefCell<Vec<Connection>>,
    latencies_us: RefCell<Histogram<u64>>,
    errors: RefCell<Errors>,
}

impl Quiet {
    async fn send(&self, number: u64, due: Instant, counts: bool) {
        let mut request = Vec::new();
        (self.requests.write)(number, &mut request);
        let mut connection = self.idle.borrow_mut().pop();
        let exchange = load::exchange(&self.requests, &mut connection, &request);
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(Ok(_)) => {
                self.idle.borrow_mut().extend(connection);
                if counts {
                    self.latencies_us.borrow_mut().saturating_record(due.elapsed().as_micros() as u64);
                }
            }
            Ok(Err(fault)) => self.errors.borrow_mut().add(fault.to_string(), 1),
            Err(_) => self.errors.borrow_mut().add(format!("no answer after {} s", ANSWER_TIMEOUT.as_secs()), 1),
        }
    }
}
