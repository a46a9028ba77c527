//! W7: what a server costs that does nothing, with many runs that wait and many workers that wait for
//! work.
//!
//! Runs are opened in batches until there are enough. Then nothing is sent but what the workers ask: the server's CPU time
//! and memory are read at both ends of the window. Last the server is killed and started again on
//! the same data, and the time to ready is taken.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::comparison::Figure;
use crate::fleetprompt::write_take;
use crate::http::{Connection, Fault};
use crate::subject::{Places, Subject, System};
use crate::workload::batches;

/// For checkpoints and the like, that belong to the work before.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub struct Idle {
    pub waiting: usize,
    pub workers: usize,
    pub window: Duration,
}

#[derive(Debug, Serialize)]
pub struct Record {
    workload: &'static str,
    system: System,
    round: usize,
    waiting_runs: usize,
    waiting_workers: usize,
    opened_per_second: f64,
    idle_seconds: f64,
    cpu_seconds: f64,
    /// Of one core.
    cpu_percent: f64,
    bytes_written: Option<u64>,
    memory_empty_mib: f64,
    memory_mib: f64,
    memory_peak_mib: f64,
    disk_bytes_per_run: f64,
    ready_empty_ms: f64,
    ready_waiting_ms: f64,
    memory_after_restart_mib: f64,
}

impl Record {
    pub fn figures(&self) -> Vec<Figure> {
        vec![
            Figure::higher("w7 opened runs/s", self.opened_per_second),
            Figure::lower("w7 CPU %", self.cpu_percent),
            Figure::lower("w7 memory MiB", self.memory_mib),
            Figure::lower("w7 ready ms", self.ready_waiting_ms),
        ]
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        format!(
            "w7 {} runs and {} workers waiting: {:.2} % of a core, {:.0} MiB (empty {:.0}, peak {:.0}), ready in {:.0} ms (empty {:.0} ms)",
            self.waiting_runs,
            self.waiting_workers,
            self.cpu_percent,
            self.memory_mib,
            self.memory_empty_mib,
            self.memory_peak_mib,
            self.ready_waiting_ms,
            self.ready_empty_ms
        )
    }
}

pub async fn measure(idle: Idle, system: System, places: &Places, round: usize) -> anyhow::Result<Record> {
    let subject = Subject::start(system, places, false).await?;
    let (ready_empty, empty) = (subject.ready, subject.read()?.server);
    let opening = open_runs(&subject, idle.waiting).await?;
    let workers = wait_for_work(&subject, idle.workers).await?;
    sleep(SETTLE.min(idle.window)).await;

    let (started, before) = (Instant::now(), subject.read()?.server);
    sleep(idle.window).await;
    let (elapsed, after) = (started.elapsed().as_secs_f64(), subject.read()?.server);

    still_waiting(workers)?;
    let ended = subject.api()?.runs_not(&["running", "waiting"]).await?;
    ensure!(ended == 0, "{ended} of the sampled runs do not wait");
    let disk_bytes = subject.disk_bytes();
    let again = subject.restart().await?;
    let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    Ok(Record {
        workload: "w7",
        system,
        round,
        waiting_runs: idle.waiting,
        waiting_workers: idle.workers,
        opened_per_second: idle.waiting as f64 / opening.as_secs_f64(),
        idle_seconds: elapsed,
        cpu_seconds,
        cpu_percent: 100.0 * cpu_seconds / elapsed,
        bytes_written: after.bytes_written.zip(before.bytes_written).map(|(after, before)| after - before),
        memory_empty_mib: empty.memory_mib,
        memory_mib: after.memory_mib,
        memory_peak_mib: after.memory_peak_mib,
        disk_bytes_per_run: disk_bytes as f64 / idle.waiting.max(1) as f64,
        ready_empty_ms: ready_empty.as_secs_f64() * 1e3,
        ready_waiting_ms: again.ready.as_secs_f64() * 1e3,
        memory_after_restart_mib: again.read()?.server.memory_mib,
    })
}

async fn open_runs(subject: &Subject, waiting: usize) -> anyhow::Result<Duration> {
    let api = subject.api()?;
    api.prepare_waiting().await?;
    let started = Instant::now();
    for orders in batches(waiting) {
        api.open_tasks(orders).await?;
    }
    Ok(started.elapsed())
}

/// Each is a connection of its own with a request that waits, as long as it may, and then the next.
async fn wait_for_work(subject: &Subject, count: usize) -> anyhow::Result<JoinSet<Fault>> {
    let api = subject.api()?;
    let key = api.worker_key().await?;
    let mut workers = JoinSet::new();
    for number in 0..count {
        let mut connection = Connection::open(api.address).await?;
        let mut request = Vec::new();
        write_take(&mut request, &key, number);
        workers.spawn(async move {
            loop {
                match connection.exchange(&request).await.and_then(|answer| answer.expect(200)) {
                    Ok(()) => {}
                    Err(fault) => return fault,
                }
            }
        });
    }
    Ok(workers)
}

/// A worker that was refused has not waited.
fn still_waiting(mut workers: JoinSet<Fault>) -> anyhow::Result<()> {
    match workers.try_join_next() {
        Some(fault) => bail!("a waiting worker was sent away: {}", fault?),
        None => Ok(()),
    }
}
