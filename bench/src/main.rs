//! The workloads, measured against the running binary over HTTP, and against a peer side by side.
//!
//! Each measurement prints one line of JSON on standard output; what a person reads goes to
//! standard error. Servers are children on loopback with their data in a temporary folder; both
//! are gone when this program ends, by Ctrl-C and SIGTERM as well.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
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
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Plan};
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
            records.extend(measure_case(&plan, case, round).await?);
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
    Ok(records.iter().map(|record| record.errors).sum::<u64>() + others.errors)
}

/// One case on every system, in an order that turns with the round, so that none always comes first.
async fn measure_case(plan: &Plan, case: Case, round: usize) -> anyhow::Result<Vec<Record>> {
    let mut systems: Vec<System> = plan.systems.iter().copied().filter(|system| system.has(case.workload)).collect();
    let turn = round % systems.len().max(1);
    systems.rotate_left(turn);
    let mut records = Vec::new();
    for system in systems {
        eprintln!("round {round}: {} with {} clients on {}", case.workload, case.clients, system.name());
        let mut record = measure::measure(case, system, plan.times, &plan.places, round).await?;
        if plan.count_syncs && round == 1 && !plan.places.are_in_postgres(system) {
            measure::count_syncs(&mut record, plan.times, &plan.places).await?;
        }
        record.warnings().for_each(|warning| eprintln!("warning: {warning}"));
        println!("{}", report::line(&record)?);
        records.push(record);
    }
    Ok(records)
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
}

impl Others {
    async fn measure(&mut self, plan: &Plan, round: usize) -> anyhow::Result<()> {
        if let Some(full) = plan.full {
            eprintln!("round {round}: w5 with {} runs", full.stored + full.waiting);
            let record = full::measure(full, plan.times, &plan.places, round).await?;
            self.add(&record, record.summary(), record.errors)?;
            self.ratios.entry(record.ratio_of()).or_default().push(record.throughput_ratio);
        }
        if !plan.floods.is_empty() {
            eprintln!("round {round}: w6");
            for record in flood::measure(&plan.floods, plan.times, &plan.places, round).await? {
                self.add(&record, record.summary(), record.errors())?;
                if let Some((ratio_of, ratio)) = record.ratio_of().zip(record.p99_ratio) {
                    self.ratios.entry(ratio_of).or_default().push(ratio);
                }
            }
        }
        if let Some(idle) = plan.idle {
            eprintln!("round {round}: w7 with {} runs", idle.waiting);
            let record = idle::measure(idle, &plan.places, round).await?;
            self.add(&record, record.summary(), 0)?;
        }
        if let Some(hostile) = &plan.hostile {
            let report = |record: &hostile::Record| {
                println!("{}", report::line(record)?);
                Ok(())
            };
            let records = hostile::measure(hostile, plan.times, &plan.places, round, report).await?;
            self.errors += records.iter().map(hostile::Record::unexpected).sum::<u64>();
            self.attacks.extend(records);
        }
        Ok(())
    }

    fn add(&mut self, record: &impl serde::Serialize, summary: String, errors: u64) -> anyhow::Result<()> {
        println!("{}", report::line(record)?);
        self.summaries.push(summary);
        self.errors += errors;
        Ok(())
    }
}
