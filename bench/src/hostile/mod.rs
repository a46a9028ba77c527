//! W9: the latency of a quiet tenant while another tenant attacks the server with the worst inputs that are known.
//!
//! Each attack has a fresh server. The quiet tenant is that of W6; the attacking tenant shares its partition. A server
//! that stops answering is part of the measurement: requests without an answer count as timeouts, and the server is
//! killed at the end of the attack, which is bounded by warm-up, window and the timeout of the quiet tenant.

mod attack;
mod attacker;
mod definitions;
pub mod restart;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::measure::{Times, quantile_ms};
use crate::quiet::{self, Quiet, on_own_thread};
use crate::subject::{Places, Subject, System};
use crate::workload::Workload;

pub use attack::{Attack, Size};
use attacker::Tally;
pub use table::table;

const MEMORY_GOAL_MIB: f64 = 512.0;
const P99_GOAL_FACTOR: f64 = 2.0;
const P99_GOAL_EXTRA_MS: f64 = 10.0;
/// The quiet tenant waits for an answer this many windows, and at least `ANSWER_TIMEOUT_MIN`.
const ANSWER_TIMEOUT_WINDOWS: u32 = 2;
const ANSWER_TIMEOUT_MIN: Duration = Duration::from_millis(500);

/// The attacks to measure, and their size.
#[derive(Debug, Clone)]
pub struct Hostile {
    pub attacks: Vec<Attack>,
    pub restarts: bool,
    pub size: Size,
}

#[derive(Debug, Clone, Serialize)]
pub struct Record {
    workload: &'static str,
    system: System,
    round: usize,
    /// `None` if the quiet tenant is alone.
    attack: Option<Attack>,
    /// Signals of the quiet tenant that were due within the window and answered, or timed out.
    operations: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// `None` if the quiet tenant is alone, as for the other fields that compare with it.
    p99_alone_ms: Option<f64>,
    p99_ratio: Option<f64>,
    p99_goal_ms: Option<f64>,
    quiet_timeouts: u64,
    /// Timeouts included.
    quiet_errors: u64,
    error_kinds: BTreeMap<String, u64>,
    cpu_seconds: f64,
    peak_memory_mib: f64,
    server_ended: bool,
    #[serde(flatten)]
    tally: Tally,
    meets_goal: Option<bool>,
}

impl Record {
    /// Number of answers to the attack that are neither a success nor a refusal: the attack is not what it should be.
    pub fn unexpected(&self) -> u64 {
        self.tally.unexpected.values().sum()
    }

    fn compare(&mut self, alone: &Self) {
        let goal = P99_GOAL_FACTOR * alone.p99_ms + P99_GOAL_EXTRA_MS;
        self.p99_alone_ms = Some(alone.p99_ms);
        self.p99_ratio = Some(self.p99_ms / alone.p99_ms.max(0.001));
        self.p99_goal_ms = Some(goal);
        let is_isolated = self.p99_ms <= goal && self.quiet_errors == 0;
        self.meets_goal = Some(is_isolated && self.peak_memory_mib < MEMORY_GOAL_MIB && !self.server_ended);
    }
}

/// Measures the quiet tenant alone, then under each attack.
pub async fn measure(
    hostile: &Hostile,
    system: System,
    times: Times,
    places: &Places,
    round: usize,
    mut report: impl FnMut(&Record) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Record>> {
    if hostile.attacks.is_empty() {
        return Ok(Vec::new());
    }
    let window = if hostile.size == Size::Tiny { times.window / 2 } else { times.window };
    let times = Times { window, ..times };
    let alone = measure_under(None, hostile.size, system, times, places, round).await?;
    report(&alone)?;
    let mut records = vec![alone];
    for &attack in &hostile.attacks {
        eprintln!("round {round}: w9 under {}", attack.name());
        let measured = measure_under(Some(attack), hostile.size, system, times, places, round).await;
        let mut record = measured.with_context(|| format!("measure the attack `{}`", attack.name()))?;
        record.compare(&records[0]);
        report(&record)?;
        records.push(record);
    }
    Ok(records)
}

async fn measure_under(
    attack: Option<Attack>,
    size: Size,
    system: System,
    times: Times,
    places: &Places,
    round: usize,
) -> anyhow::Result<Record> {
    let mut subject = Subject::start(system, places, false).await?;
    subject.neighbour_create().await?;
    subject.prepare(Workload::W1, places).await?;
    let [quiet, .., neighbour] = subject.tenants()? else { return Err(anyhow!("a tenant is missing")) };
    let clients = match attack {
        Some(attack) => attack.prepare(neighbour, size).await?,
        None => Vec::new(),
    };

    let before = subject.read()?.server;
    let (address, duration) = (neighbour.address, times.warm_up + times.window);
    let attacking = on_own_thread(move || attacker::attack(address, clients, duration));
    let (address, key) = (quiet.address, quiet.key.clone());
    let answer_timeout = (times.window * ANSWER_TIMEOUT_WINDOWS).max(ANSWER_TIMEOUT_MIN);
    let quiet = on_own_thread(move || quiet::measure(address, key, times, answer_timeout));
    let Quiet { latencies_us, timeouts, errors } = quiet.await??;
    let tally = attacking.await??;
    let after = subject.read()?.server;
    Ok(Record {
        workload: "w9",
        system,
        round,
        attack,
        operations: latencies_us.len(),
        p50_ms: quantile_ms(&latencies_us, 0.5),
        p99_ms: quantile_ms(&latencies_us, 0.99),
        max_ms: quantile_ms(&latencies_us, 1.0),
        p99_alone_ms: None,
        p99_ratio: None,
        p99_goal_ms: None,
        quiet_timeouts: timeouts,
        quiet_errors: errors.total(),
        error_kinds: errors.kinds().clone(),
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        peak_memory_mib: after.memory_peak_mib,
        // A process that has ended has no memory.
        server_ended: after.memory_peak_mib == 0.0,
        tally,
        meets_goal: None,
    })
}
