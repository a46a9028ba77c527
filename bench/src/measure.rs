//! One measurement: a fresh system, the load, and a record of what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::comparison::Figure;
use crate::load::{self, Load, Outcome};
use crate::meter::Usage;
use crate::subject::{Places, Reading, Subject, System};
use crate::workload::{Case, Workload};

/// Long enough to average over some hundred commits; the tracer slows what it counts.
const TRACED_WINDOW_MAX: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub warm_up: Duration,
    pub window: Duration,
}

/// One line of output. An operation is a completed run (w1, w2, w4) or an accepted signal (w3).
#[derive(Debug, Serialize)]
pub struct Record {
    pub workload: Workload,
    pub system: System,
    /// Servers over one database.
    pub nodes: usize,
    pub clients: usize,
    pub round: usize,
    pub seconds: f64,
    pub operations: u64,
    /// Operations a second.
    pub throughput: f64,
    /// Of requests; one carries a hundred operations in `w3_batch`.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Warm-up included.
    pub errors: u64,
    pub error_kinds: BTreeMap<String, u64>,
    pub cpu_seconds: f64,
    /// Of the process in which a peer's handlers run, or our worker.
    pub handler_cpu_seconds: Option<f64>,
    /// Of all processes of the PostgreSQL server.
    pub database_cpu_seconds: Option<f64>,
    /// Of the load itself. Near `seconds`, it is the one thread of the client that was measured.
    pub client_cpu_seconds: f64,
    /// Of everything else on the machine: what the system under test could not have.
    pub others_cpu_seconds: f64,
    /// Of the server, the handlers and the database.
    pub cpu_per_op_us: f64,
    pub idle_memory_mib: f64,
    pub peak_memory_mib: f64,
    pub handler_peak_memory_mib: Option<f64>,
    pub bytes_written_per_op: Option<f64>,
    pub disk_bytes_per_op: f64,
    /// From a short pass of its own under `strace`; none without it.
    pub fsyncs: Option<u64>,
    pub fsyncs_per_op: Option<f64>,
    pub ready_ms: f64,
    pub filesystem: Option<String>,
}

impl Record {
    pub fn figures(&self) -> Vec<Figure> {
        let of = |what: &str| format!("{} {what} at {} clients", self.workload, self.clients);
        vec![
            Figure::higher(of("ops/s"), self.throughput),
            Figure::lower(of("p50 ms"), self.p50_ms),
            Figure::lower(of("p99 ms"), self.p99_ms),
            Figure::lower(of("µs cpu/op"), self.cpu_per_op_us),
            Figure::lower(of("peak MiB"), self.peak_memory_mib),
        ]
    }

    /// What makes the figures worth less than they seem.
    pub fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let in_memory = self.filesystem.as_deref() == Some("tmpfs");
        let client_is_limit = self.client_cpu_seconds > 0.9 * self.seconds;
        let others_are_busy = self.others_cpu_seconds > 0.25 * self.seconds;
        let warnings = [
            (self.errors > 0, "requests failed"),
            (in_memory, "the data folder is in memory (tmpfs), where syncs are free: name another with --folder"),
            (others_are_busy, "something else on this machine took more than a quarter of a core"),
            (client_is_limit, "the client was busy all the time: the server could have done more"),
        ];
        warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning))
    }
}

pub async fn measure(
    case: Case,
    system: System,
    times: Times,
    places: &Places,
    round: usize,
) -> anyhow::Result<Record> {
    let mut subject = Subject::start(system, places, false).await?;
    subject.prepare(case.workload, places).await?;
    let (idle, disk_before) = (subject.read()?, subject.disk_bytes());
    let outcome = put_under_load(&subject, case, times).await?;
    let disk = subject.disk_bytes().saturating_sub(disk_before);
    let mut record = record(case, system, round, &outcome);
    record.nodes = if system.is_fleetprompt() { places.nodes } else { 1 };
    record.idle_memory_mib = idle.server.memory_mib;
    record.disk_bytes_per_op = per(disk as f64, outcome.operations_total);
    record.ready_ms = subject.ready.as_secs_f64() * 1e3;
    record.filesystem = subject.filesystem();
    Ok(record)
}

/// Counts syncs in a pass of their own, since being traced costs time.
pub async fn count_syncs(record: &mut Record, times: Times, places: &Places) -> anyhow::Result<()> {
    let mut subject = Subject::start(record.system, places, true).await?;
    subject.prepare(record.workload, places).await?;
    let times = Times { window: times.window.min(TRACED_WINDOW_MAX), ..times };
    let case = Case { workload: record.workload, clients: record.clients };
    let outcome = put_under_load(&subject, case, times).await?;
    let syncs = outcome.after.syncs.zip(outcome.before.syncs).map(|(after, before)| after - before);
    record.fsyncs = syncs;
    record.fsyncs_per_op = syncs.map(|syncs| per(syncs as f64, outcome.operations));
    Ok(())
}

pub async fn put_under_load(subject: &Subject, case: Case, times: Times) -> anyhow::Result<Outcome<Reading>> {
    let load = Load { clients: case.clients, warm_up: times.warm_up, window: times.window };
    let mut outcome = load::run(load, subject.requests(case.workload, case.clients), || subject.read()).await?;
    let unfinished = subject.runs_not_completed().await?;
    if unfinished > 0 {
        outcome.errors.add("sampled run had not completed".to_owned(), unfinished);
    }
    Ok(outcome)
}

fn record(case: Case, system: System, round: usize, outcome: &Outcome<Reading>) -> Record {
    let Outcome { before, after, operations, .. } = outcome;
    let spent = |after: Usage, before: Usage| after.cpu_seconds - before.cpu_seconds;
    let both = |pick: fn(&Reading) -> Option<f64>| pick(after).zip(pick(before)).map(|(after, before)| after - before);
    let cpu_seconds = spent(after.server, before.server);
    let handler_cpu_seconds = both(|reading| reading.handler.map(|handler| handler.cpu_seconds));
    let database_cpu_seconds = both(|reading| reading.database_cpu_seconds);
    let client_cpu_seconds = spent(after.client, before.client);
    let system_cpu_seconds = cpu_seconds + handler_cpu_seconds.unwrap_or(0.0) + database_cpu_seconds.unwrap_or(0.0);
    let machine = after.machine_cpu_seconds - before.machine_cpu_seconds;
    let written = after.server.bytes_written.zip(before.server.bytes_written).map(|(after, before)| after - before);
    let quantile_ms = |quantile| quantile_ms(&outcome.latencies_us, quantile);
    Record {
        workload: case.workload,
        system,
        nodes: 1,
        clients: case.clients,
        round,
        seconds: outcome.elapsed.as_secs_f64(),
        operations: *operations,
        throughput: *operations as f64 / outcome.elapsed.as_secs_f64(),
        p50_ms: quantile_ms(0.5),
        p99_ms: quantile_ms(0.99),
        max_ms: quantile_ms(1.0),
        errors: outcome.errors.total(),
        error_kinds: outcome.errors.kinds().clone(),
        cpu_seconds,
        handler_cpu_seconds,
        database_cpu_seconds,
        client_cpu_seconds,
        others_cpu_seconds: (machine - system_cpu_seconds - client_cpu_seconds).max(0.0),
        cpu_per_op_us: per(1e6 * system_cpu_seconds, *operations),
        idle_memory_mib: 0.0,
        peak_memory_mib: after.server.memory_peak_mib,
        handler_peak_memory_mib: after.handler.map(|handler| handler.memory_peak_mib),
        bytes_written_per_op: written.map(|bytes| per(bytes as f64, *operations)),
        disk_bytes_per_op: 0.0,
        fsyncs: None,
        fsyncs_per_op: None,
        ready_ms: 0.0,
        filesystem: None,
    }
}

pub fn quantile_ms(latencies_us: &Histogram<u64>, quantile: f64) -> f64 {
    latencies_us.value_at_quantile(quantile) as f64 / 1e3
}

/// Zero for no operations, so that a record of failures is still valid JSON.
fn per(amount: f64, operations: u64) -> f64 {
    if operations == 0 { 0.0 } else { amount / operations as f64 }
}
