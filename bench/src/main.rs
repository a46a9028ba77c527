//! The workloads, measured against the running binary over HTTP, and against a peer side by side.
//!
//! Each measurement prints one line of JSON on standard output; what a person reads goes to
//! standard error. Servers are children on loopback with their data in a temporary folder; both
//! are gone when this program ends, by Ctrl-C and SIGTERM as well.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod comparison;
mod database;
mod dbos;
mod ends;
mod fleetprompt;
mod flood;
mod full;
mod hostile;
mod http;
mod idle;
mod load;
mod measure;
mod meter;
mod peer;
mod process;
mod quiet;
mod report;
mod restate;
mod subject;
mod workload;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use serde::Serialize;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Plan};
use comparison::{Comparison, Figure};
use hostile::Hostile;
use measure::Record;
use subject::System;
use workload::Case;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Whoever wins, dropping the other ends every child and removes every folder.
    let outcome = tokio::select! {
        biased; // so that signals are heard before the first child is there
        outcome = stopped() => outcome,
        outcome = measure_all() => outcome,
    };
    match outcome {
        Ok(errors) => ExitCode::from(u8::from(errors > 0)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Somebody wants it to end before it has.
async fn stopped() -> anyhow::Result<u64> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let how = tokio::select! {
        _ = ctrl_c() => "interrupted",
        _ = terminate.recv() => "terminated",
    };
    bail!(how)
}

/// Gives the number of failed requests: figures with failures in them are no figures.
async fn measure_all() -> anyhow::Result<u64> {
    let plan = Arguments::parse().plan()?;
    for system in &plan.systems {
        system.install()?;
    }
    let mut records = Vec::new();
    let mut others = Others::default();
    for round in 1..=plan.rounds {
        for &case in &plan.cases {
            let measured = measure_case(&plan, case, round).await?;
            measured.iter().for_each(|record| others.comparison.add(record.system, record.figures()));
            records.extend(measured);
        }
        others.measure(&plan, round).await?;
    }
    if !records.is_empty() {
        eprint!("\n{}", report::table(&records));
    }
    others.summaries.iter().for_each(|summary| eprintln!("{summary}"));
    eprint!("{}", report::medians(&others.ratios));
    if !others.attacks.is_empty() {
        eprint!("\n{}", hostile::table(&others.attacks));
    }
    others.restarts.iter().for_each(|restart| eprintln!("{}", restart.summary()));
    eprint!("\n{}", others.comparison.table());
    Ok(records.iter().map(|record| record.errors).sum::<u64>() + others.errors)
}

/// One case on every system.
async fn measure_case(plan: &Plan, case: Case, round: usize) -> anyhow::Result<Vec<Record>> {
    let systems = in_turns(plan.systems.iter().copied().filter(|system| system.has(case.workload)), round);
    let mut records = Vec::new();
    for system in systems {
        eprintln!("round {round}: {} with {} clients on {}", case.workload, case.clients, system.name());
        let mut record = measure::measure(case, system, plan.times, &plan.places, round).await?;
        if plan.count_syncs && round == 1 && !plan.places.are_in_postgres(system) {
            measure::count_syncs(&mut record, plan.times, &plan.places).await?;
        }
        record.warnings().for_each(|warning| eprintln!("warning: {warning}"));
        print(&record)?;
        records.push(record);
    }
    Ok(records)
}

/// Orders systems by round, so that none is always measured first.
fn in_turns(systems: impl Iterator<Item = System>, round: usize) -> Vec<System> {
    let mut systems: Vec<System> = systems.collect();
    let turn = round % systems.len().max(1);
    systems.rotate_left(turn);
    systems
}

/// What came of the workloads that are more than one window of load.
#[derive(Default)]
struct Others {
    summaries: Vec<String>,
    /// Of each round, by what they say.
    ratios: BTreeMap<String, Vec<f64>>,
    errors: u64,
    /// Records of w9.
    attacks: Vec<hostile::Record>,
    restarts: Vec<hostile::restart::Record>,
    /// Figures of this build and of the baseline.
    comparison: Comparison,
}

impl Others {
    async fn measure(&mut self, plan: &Plan, round: usize) -> anyhow::Result<()> {
        let systems = in_turns(plan.systems.iter().copied().filter(|system| system.is_fleetprompt()), round);
        for &system in &systems {
            self.measure_full(plan, system, round).await?;
        }
        for &system in &systems {
            self.measure_floods(plan, system, round).await?;
        }
        for &system in &systems {
            self.measure_idle(plan, system, round).await?;
        }
        if let (true, Some(hostile)) = (systems.contains(&System::Fleetprompt), &plan.hostile) {
            self.measure_hostile(hostile, plan, round).await?;
        }
        Ok(())
    }

    async fn measure_full(&mut self, plan: &Plan, system: System, round: usize) -> anyhow::Result<()> {
        let Some(full) = plan.full else { return Ok(()) };
        eprintln!("round {round}: w5 with {} runs on {}", full.stored + full.waiting, system.name());
        let record = full::measure(full, system, plan.times, &plan.places, round).await?;
        self.add(system, &record, record.summary(), record.figures(), record.errors)?;
        self.add_ratio(system, record.ratio_of(), record.throughput_ratio);
        Ok(())
    }

    async fn measure_floods(&mut self, plan: &Plan, system: System, round: usize) -> anyhow::Result<()> {
        if plan.floods.is_empty() {
            return Ok(());
        }
        eprintln!("round {round}: w6 on {}", system.name());
        for record in flood::measure(&plan.floods, system, plan.times, &plan.places, round).await? {
            self.add(system, &record, record.summary(), record.figures(), record.errors())?;
            if let Some((ratio_of, ratio)) = record.ratio_of().zip(record.p99_ratio) {
                self.add_ratio(system, ratio_of, ratio);
            }
        }
        Ok(())
    }

    async fn measure_idle(&mut self, plan: &Plan, system: System, round: usize) -> anyhow::Result<()> {
        let Some(idle) = plan.idle else { return Ok(()) };
        eprintln!("round {round}: w7 with {} runs on {}", idle.waiting, system.name());
        let record = idle::measure(idle, system, &plan.places, round).await?;
        self.add(system, &record, record.summary(), record.figures(), 0)
    }

    async fn measure_hostile(&mut self, hostile: &Hostile, plan: &Plan, round: usize) -> anyhow::Result<()> {
        let system = System::Fleetprompt;
        let records = hostile::measure(hostile, system, plan.times, &plan.places, round, print).await?;
        self.errors += records.iter().map(hostile::Record::unexpected).sum::<u64>();
        self.attacks.extend(records);
        if hostile.restarts {
            let records = hostile::restart::measure(hostile.size, system, &plan.places, round).await?;
            records.iter().try_for_each(print)?;
            self.restarts.extend(records);
        }
        Ok(())
    }

    fn add(
        &mut self,
        system: System,
        record: &impl Serialize,
        summary: String,
        figures: Vec<Figure>,
        errors: u64,
    ) -> anyhow::Result<()> {
        print(record)?;
        self.summaries.push(if system == System::Baseline { format!("baseline: {summary}") } else { summary });
        self.comparison.add(system, figures);
        self.errors += errors;
        Ok(())
    }

    fn add_ratio(&mut self, system: System, ratio_of: String, ratio: f64) {
        let ratio_of = if system == System::Baseline { format!("baseline: {ratio_of}") } else { ratio_of };
        self.ratios.entry(ratio_of).or_default().push(ratio);
    }
}

fn print(record: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", report::line(record)?);
    Ok(())
}
