//! The rest of W9: what a restart costs with many directives in flight, and what a signal costs that is offered to many
//! waiting runs, before and after a restart.
//!
//! Both are measured in CPU seconds of the server, which depend less on a busy machine than durations do.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::fleetprompt::Api;
use crate::subject::{Places, Subject, System};
use crate::workload::batches;

use super::Size;
use super::definitions::workflow;

/// Numbers of directives in flight at a restart.
const DIRECTIVES: [usize; 3] = [500, 2_000, 10_000];
/// Goal for the largest of these.
const READY_GOAL: Duration = Duration::from_secs(2);
/// Goal: CPU time for `n` directives, to that for a quarter.
const GROWTH_GOAL: f64 = 5.0;
const WAITING: usize = 5_000;
/// Signals that are offered to the waiting runs, before and after the restart.
const OFFERS: usize = 20;
/// Goal: CPU time of a signal after the restart, to that before; and what measuring it may be wrong by.
const OFFER_GOAL: f64 = 1.5;
const OFFER_ERROR_MS: f64 = 5.0;
/// A server that is not ready for longer is killed, and the time until then is reported.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
const FLIGHT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Serialize)]
pub struct Record {
    workload: &'static str,
    system: System,
    round: usize,
    measurement: &'static str,
    /// Directives in flight, or waiting runs.
    count: usize,
    /// From the start of the process until a signal of another tenant is answered; `None` if that took too long.
    ready_ms: Option<f64>,
    /// In the same time.
    ready_cpu_seconds: f64,
    offer_cpu_ms_before: Option<f64>,
    offer_cpu_ms_after: Option<f64>,
    peak_memory_mib: f64,
    meets_goal: Option<bool>,
}

impl Record {
    /// One line for the table.
    pub fn summary(&self) -> String {
        let verdict = match self.meets_goal {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "-",
        };
        let ready = self.ready_ms.map_or_else(|| "not ready".to_owned(), |ms| format!("ready in {:.0} ms", ms));
        let offers =
            self.offer_cpu_ms_before.zip(self.offer_cpu_ms_after).map_or_else(String::new, |(before, after)| {
                format!(", {before:.1} ms of CPU for a signal before, {after:.1} ms after")
            });
        format!(
            "w9 restart with {} {}: {ready}, {:.2} s of CPU{offers}, peak {:.0} MiB: {verdict}",
            self.count, self.measurement, self.ready_cpu_seconds, self.peak_memory_mib,
        )
    }
}

/// Measures restarts with directives in flight, then one with waiting runs.
pub async fn measure(size: Size, system: System, places: &Places, round: usize) -> anyhow::Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    for full in DIRECTIVES {
        let count = size.scale(full);
        eprintln!("round {round}: w9 restart with {count} directives in flight");
        let mut record = with_directives_in_flight(count, system, places, round).await?;
        let fewer = records.iter().find(|fewer| fewer.count * 4 == count);
        if let Some(fewer) = fewer {
            let growth = record.ready_cpu_seconds / fewer.ready_cpu_seconds.max(0.01);
            record.meets_goal = Some(record.ready_ms.is_some() && growth <= GROWTH_GOAL);
        }
        if full == DIRECTIVES[DIRECTIVES.len() - 1] {
            // CPU time, because over PostgreSQL the lease of the killed server has to expire first.
            let is_quick = record.ready_cpu_seconds <= READY_GOAL.as_secs_f64();
            record.meets_goal = Some(record.ready_ms.is_some() && is_quick);
        }
        records.push(record);
    }
    let count = size.scale(WAITING);
    eprintln!("round {round}: w9 restart with {count} waiting runs");
    records.push(with_waiting_runs(count, system, places, round).await?);
    Ok(records)
}

async fn with_directives_in_flight(
    count: usize,
    system: System,
    places: &Places,
    round: usize,
) -> anyhow::Result<Record> {
    let mut subject = start(system, places).await?;
    let api = other(&subject)?;
    let remote = json!({"directive_type": {"name": "bench.remote", "handler": {"type": "worker"}}});
    api.post("/v1/directive-types", &remote).await?;
    let items = json!({"items": "${signal.payload.items}", "max_parallel": 10_000});
    let step = json!({"id": "a", "type": "directive", "directive": "bench.remote", "for_each": items, "payload": {}});
    api.workflow_activate(&workflow("items", "t.items", &json!([step]))).await?;
    let items: Vec<usize> = (0..count).collect();
    api.post("/v1/signals", &json!({"name": "t.items", "payload": {"items": items}})).await?;
    let in_flight = timeout(FLIGHT_TIMEOUT, attempts_wait(api, count)).await;
    in_flight
        .with_context(|| format!("{count} directives were not in flight after {} s", FLIGHT_TIMEOUT.as_secs()))??;
    let ready_ms = restart(&mut subject).await?;
    record("directives in flight", count, ready_ms, &subject, round)
}

/// Returns when so many attempts wait for a worker.
async fn attempts_wait(api: &Api, count: usize) -> anyhow::Result<()> {
    loop {
        let metrics = api.get("/metrics").await?;
        let metrics = metrics.as_str().context("`/metrics` is not text")?;
        let mut lines = metrics.lines().filter_map(|line| line.strip_prefix("fleetprompt_attempts_waiting "));
        let waiting = lines.next().context("`/metrics` has no fleetprompt_attempts_waiting")?;
        if waiting.trim().parse::<usize>()? >= count {
            return Ok(());
        }
        sleep(POLL).await;
    }
}

async fn with_waiting_runs(count: usize, system: System, places: &Places, round: usize) -> anyhow::Result<Record> {
    let mut subject = start(system, places).await?;
    let api = other(&subject)?;
    let wait = json!({"name": "t.go", "when": "event.payload.number == signal.payload.number"});
    let steps = json!([{"id": "wait", "type": "wait", "signal": wait}]);
    api.workflow_activate(&workflow("waiting", "t.wait", &steps)).await?;
    for numbers in batches(count) {
        api.start_runs("t.wait", numbers, |number| json!({"number": number})).await?;
    }
    let before = offer(&subject).await?;
    let ready_ms = restart(&mut subject).await?;
    let mut record = record("waiting runs", count, ready_ms, &subject, round)?;
    if ready_ms.is_some() {
        let after = offer(&subject).await?;
        record.meets_goal = Some(after <= OFFER_GOAL * before + OFFER_ERROR_MS);
        (record.offer_cpu_ms_before, record.offer_cpu_ms_after) = (Some(before), Some(after));
    }
    Ok(record)
}

/// Returns the CPU time in milliseconds of a signal that every waiting run is offered and none takes. The first signal
/// is not counted: it may read the runs.
async fn offer(subject: &Subject) -> anyhow::Result<f64> {
    let signal = json!({"name": "t.go", "payload": {"number": -1}});
    let api = other(subject)?;
    api.post("/v1/signals", &signal).await?;
    let before = subject.read()?.server.cpu_seconds;
    for _ in 0..OFFERS {
        api.post("/v1/signals", &signal).await?;
    }
    Ok((subject.read()?.server.cpu_seconds - before) * 1e3 / OFFERS as f64)
}

async fn start(system: System, places: &Places) -> anyhow::Result<Subject> {
    let mut subject = Subject::start(system, places, false).await?;
    subject.neighbour_create().await?;
    Ok(subject)
}

/// Returns the API with the key of the tenant whose runs are many.
fn other(subject: &Subject) -> anyhow::Result<&Api> {
    subject.tenants()?.last().context("a tenant is missing")
}

/// Restarts the server, and returns the milliseconds until a signal of the first tenant is answered.
async fn restart(subject: &mut Subject) -> anyhow::Result<Option<f64>> {
    let started = Instant::now();
    subject.start_again()?;
    let answered = timeout(READY_TIMEOUT, answers(subject.api()?)).await;
    Ok(answered.is_ok().then(|| started.elapsed().as_secs_f64() * 1e3))
}

async fn answers(api: &Api) {
    let signal = json!({"name": "bench.ready", "payload": {}});
    while api.get("/readyz").await.is_err() || api.post("/v1/signals", &signal).await.is_err() {
        sleep(POLL / 10).await;
    }
}

fn record(
    measurement: &'static str,
    count: usize,
    ready_ms: Option<f64>,
    subject: &Subject,
    round: usize,
) -> anyhow::Result<Record> {
    let usage = subject.read()?.server;
    Ok(Record {
        workload: "w9",
        system: subject.system,
        round,
        measurement,
        count,
        ready_ms,
        ready_cpu_seconds: usage.cpu_seconds,
        offer_cpu_ms_before: None,
        offer_cpu_ms_after: None,
        peak_memory_mib: usage.memory_peak_mib,
        meets_goal: None,
    })
}
