//! W6: what a quiet tenant notices of another tenant's flood.
//!
//! The quiet one sends a signal at a fixed pace, whether the one before is answered or not, and latencies
//! count from the moment that a signal was due. It has a thread of its own, so that it does not wait for
//! the clients of the flood, and these come last where there are too few processors: what they take of
//! the server's and of the quiet one's they would not from another machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::comparison::Figure;
use crate::fleetprompt::Api;
use crate::load::{self, Load};
use crate::measure::{Times, quantile_ms};
use crate::quiet::{self, Quiet, on_own_thread};
use crate::subject::{Places, Subject, System};
use crate::workload::{Case, Workload};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
pub const FLOOD_NICE: i32 = 5;

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
    pub fn figures(&self) -> Vec<Figure> {
        let under = self.flood.map_or("alone".to_owned(), |flood| format!("under {flood}"));
        let mut figures = vec![
            Figure::lower(format!("w6 p50 ms {under}"), self.p50_ms),
            Figure::lower(format!("w6 p99 ms {under}"), self.p99_ms),
        ];
        figures.extend(self.flood.map(|flood| Figure::higher(format!("w6 ops/s of {flood}"), self.flood_throughput)));
        figures
    }

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
pub async fn measure(
    floods: &[Case],
    system: System,
    times: Times,
    places: &Places,
    round: usize,
) -> anyhow::Result<Vec<Record>> {
    let alone = measure_under(None, system, times, places, round).await?;
    let alone_p99_ms = alone.p99_ms.max(0.001);
    let mut records = vec![alone];
    for flood in floods {
        let mut record = measure_under(Some(*flood), system, times, places, round).await?;
        record.p99_ratio = Some(record.p99_ms / alone_p99_ms);
        records.push(record);
    }
    Ok(records)
}

async fn measure_under(
    flood: Option<Case>,
    system: System,
    times: Times,
    places: &Places,
    round: usize,
) -> anyhow::Result<Record> {
    let mut subject = Subject::start(system, places, false).await?;
    subject.neighbour_create().await?;
    subject.prepare(Workload::W1, places).await?;
    let [quiet, .., neighbour] = subject.tenants()? else { return Err(anyhow!("a tenant is missing")) };

    let (address, key) = (quiet.address, quiet.key.clone());
    let quiet = on_own_thread(move || quiet::measure(address, key, times, ANSWER_TIMEOUT));
    let (address, key) = (neighbour.address, neighbour.key.clone());
    let pouring = flood.map(|flood| on_own_thread(move || pour(address, key, flood, times)));
    let Quiet { latencies_us, errors, .. } = quiet.await??;
    let (flood_throughput, flood_errors) = match pouring {
        Some(pouring) => pouring.await??,
        None => (0.0, 0),
    };
    Ok(Record {
        workload: "w6",
        system,
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
