//! W5: whether a server that has much to keep is as fast as an empty one.
//!
//! W1 is measured on an empty server, then on another that holds many runs, completed and waiting, of many tenants. The
//! load is the same: each client is of a tenant of its own, as far as there are so many.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::sleep;

use crate::comparison::Figure;
use crate::fleetprompt::Api;
use crate::load::Outcome;
use crate::measure::{Times, put_under_load, quantile_ms};
use crate::subject::{Places, Reading, Subject, System};
use crate::workload::{Case, Workload, batches};

/// Batches under way at once while a server is filled.
const FILLERS: usize = 16;
/// For checkpoints and the like, that belong to the filling.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub struct Full {
    pub stored: usize,
    pub waiting: usize,
    pub tenants: usize,
    pub clients: usize,
}

#[derive(Debug, Serialize)]
pub struct Record {
    workload: &'static str,
    system: System,
    round: usize,
    clients: usize,
    stored_runs: usize,
    waiting_runs: usize,
    tenants: usize,
    filled_per_second: f64,
    filled_disk_mib: f64,
    empty_throughput: f64,
    empty_p50_ms: f64,
    empty_p99_ms: f64,
    empty_peak_memory_mib: f64,
    full_throughput: f64,
    full_p50_ms: f64,
    full_p99_ms: f64,
    full_peak_memory_mib: f64,
    /// Of the full one to the empty one.
    pub throughput_ratio: f64,
    p99_ratio: f64,
    pub errors: u64,
}

impl Record {
    pub fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::higher("w5 ops/s empty", self.empty_throughput),
            Figure::lower("w5 p99 ms empty", self.empty_p99_ms),
            Figure::higher("w5 ops/s full", self.full_throughput),
            Figure::lower("w5 p99 ms full", self.full_p99_ms),
            Figure::lower("w5 peak MiB full", self.full_peak_memory_mib),
        ]
    }

    pub fn ratio_of(&self) -> String {
        "w5 throughput to that of an empty server".to_owned()
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        format!(
            "w5 {} runs stored and {} waiting, of {} tenants: {:.2} × the throughput ({:.0} after {:.0} runs/s), \
             {:.2} × the p99 ({:.1} after {:.1} ms) of an empty server",
            self.stored_runs,
            self.waiting_runs,
            self.tenants,
            self.throughput_ratio,
            self.full_throughput,
            self.empty_throughput,
            self.p99_ratio,
            self.full_p99_ms,
            self.empty_p99_ms,
        )
    }
}

pub async fn measure(
    full: Full,
    system: System,
    times: Times,
    places: &Places,
    round: usize,
) -> anyhow::Result<Record> {
    let case = Case { workload: Workload::W1, clients: full.clients };
    let subject = start(full.clients.min(full.tenants), system, places).await?;
    let empty = put_under_load(&subject, case, times).await?;
    drop(subject);

    let subject = start(full.tenants, system, places).await?;
    let filling = fill(&subject, full).await?;
    subject.settle();
    sleep(SETTLE.min(times.window)).await;
    let disk_bytes = subject.disk_bytes();
    let filled = put_under_load(&subject, case, times).await?;

    let throughput = |outcome: &Outcome<Reading>| outcome.operations as f64 / outcome.elapsed.as_secs_f64();
    let [(empty_p50_ms, empty_p99_ms), (full_p50_ms, full_p99_ms)] =
        [&empty, &filled].map(|it| (quantile_ms(&it.latencies_us, 0.5), quantile_ms(&it.latencies_us, 0.99)));
    Ok(Record {
        workload: "w5",
        system,
        round,
        clients: full.clients,
        stored_runs: full.stored,
        waiting_runs: full.waiting,
        tenants: full.tenants,
        filled_per_second: (full.stored + full.waiting) as f64 / filling.as_secs_f64(),
        filled_disk_mib: disk_bytes as f64 / 1024.0 / 1024.0,
        empty_throughput: throughput(&empty),
        empty_p50_ms,
        empty_p99_ms,
        empty_peak_memory_mib: empty.after.server.memory_peak_mib,
        full_throughput: throughput(&filled),
        full_p50_ms,
        full_p99_ms,
        full_peak_memory_mib: filled.after.server.memory_peak_mib,
        throughput_ratio: throughput(&filled) / throughput(&empty).max(1.0),
        p99_ratio: full_p99_ms / empty_p99_ms.max(0.001),
        errors: empty.errors.total() + filled.errors.total(),
    })
}

async fn start(tenants: usize, system: System, places: &Places) -> anyhow::Result<Subject> {
    let mut subject = Subject::start(system, places, false).await?;
    subject.tenants_create(tenants).await?;
    subject.prepare(Workload::W1, places).await?;
    Ok(subject)
}

async fn fill(subject: &Subject, full: Full) -> anyhow::Result<Duration> {
    let tenants = subject.tenants()?;
    for api in tenants {
        api.prepare_stored().await?;
        api.prepare_waiting().await?;
    }
    let started = Instant::now();
    in_batches(tenants, full.stored, async |api, orders| api.store_orders(orders).await).await?;
    every_sampled_run_is(&tenants[0], &["completed"]).await?;
    in_batches(tenants, full.waiting, async |api, orders| api.open_tasks(orders).await).await?;
    let filling = started.elapsed();
    every_sampled_run_is(&tenants[0], &["running", "waiting"]).await?;
    Ok(filling)
}

/// Each batch is another tenant's, in turns.
async fn in_batches(
    tenants: &[Api],
    orders: usize,
    start: impl AsyncFn(&Api, Range<u64>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let batches = batches(orders).zip(tenants.iter().cycle());
    let starting = stream::iter(batches).map(|(orders, api)| start(api, orders));
    starting.buffer_unordered(FILLERS).try_collect().await
}

async fn every_sampled_run_is(api: &Api, wanted: &[&str]) -> anyhow::Result<()> {
    let others = api.runs_not(wanted).await?;
    ensure!(others == 0, "{others} of the sampled runs are not {}", wanted.join(" or "));
    Ok(())
}
