//! The workloads, measured against the running binary over HTTP, and against a peer side by side.
//!
//! Each measurement prints one line of JSON on standard output; what a person reads goes to
//! standard error. Servers are children on loopback with their data in a temporary folder; both
//! are gone when this program ends, Ctrl-C included.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ends;
mod fleetprompt;
mod http;
mod idle;
mod load;
mod measure;
mod meter;
mod process;
mod report;
mod restate;
mod subject;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, ValueEnum};

use idle::Idle;
use measure::{Record, Times};
use subject::{Places, System};
use workload::{Case, Workload};

#[derive(Parser)]
#[command(name = "fleetprompt-bench", about = "Measures FleetPrompt, alone or beside a peer")]
struct Arguments {
    /// What to measure
    what: What,
    /// Measure this system too, in turns with FleetPrompt
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// Measure the peer alone
    #[arg(long, requires = "peer")]
    only_peer: bool,
    /// Length of each measured window
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Load before each window
    #[arg(long, default_value_t = 2.0)]
    warm_up_seconds: f64,
    /// How often everything is measured; the table shows medians
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Numbers of clients for w1, w3 and w4 [default: 64,256]
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Waiting runs for w7
    #[arg(long, default_value_t = 100_000)]
    waiting: usize,
    /// Workers that wait for work in w7
    #[arg(long, default_value_t = 1_000)]
    waiting_workers: usize,
    /// Idle time for w7
    #[arg(long, default_value_t = 30.0)]
    idle_seconds: f64,
    /// FleetPrompt's binary [default: the one beside this program]
    #[arg(long)]
    server: Option<PathBuf>,
    /// The command of w4's worker, as `node sdk/typescript/scenario.mjs` [default: the Rust example
    /// `scenario`, beside the server]
    #[arg(long)]
    worker: Option<String>,
    /// Where data folders are made; must be a real disk [default: the system's temporary folder]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep FleetPrompt's data in a PostgreSQL server of its own, which syncs, instead of SQLite
    #[arg(long)]
    postgres: bool,
    /// Leave out the pass under strace that counts syncs
    #[arg(long)]
    no_syncs: bool,
    /// Everything once and tiny, to see that it works; the figures mean nothing
    #[arg(long)]
    smoke: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Throughput: signals in, runs of three steps completed
    W1,
    /// Latency of the same: one client, idle system
    W2,
    /// Ingest: durable signals, single and in batches of 100
    W3,
    /// Throughput of runs of three steps that a worker performs, and their latency with one client
    W4,
    /// Idle cost with many waiting runs and workers
    W7,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Restate,
}

/// All that the arguments come to.
struct Plan {
    cases: Vec<Case>,
    idle: Option<Idle>,
    systems: Vec<System>,
    times: Times,
    rounds: usize,
    count_syncs: bool,
    places: Places,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Whoever wins, dropping the other ends every child and removes every folder.
    let outcome = tokio::select! {
        outcome = measure_all() => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match outcome {
        Ok(errors) => ExitCode::from(u8::from(errors > 0)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Gives the number of failed requests: figures with failures in them are no figures.
async fn measure_all() -> anyhow::Result<u64> {
    let plan = plan(Arguments::parse())?;
    if plan.systems.contains(&System::Restate) {
        restate::install()?;
    }
    let mut records = Vec::new();
    let mut summaries = Vec::new();
    for round in 1..=plan.rounds {
        for &case in &plan.cases {
            records.extend(measure_case(&plan, case, round).await?);
        }
        if let Some(idle) = plan.idle {
            let record = idle::measure(idle, &plan.places, round).await?;
            println!("{}", report::line(&record)?);
            summaries.push(record.summary());
        }
    }
    if !records.is_empty() {
        eprint!("\n{}", report::table(&records));
    }
    summaries.iter().for_each(|summary| eprintln!("{summary}"));
    Ok(records.iter().map(|record| record.errors).sum())
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
        if plan.count_syncs && round == 1 {
            measure::count_syncs(&mut record, plan.times, &plan.places).await?;
        }
        record.warnings().for_each(|warning| eprintln!("warning: {warning}"));
        println!("{}", report::line(&record)?);
        records.push(record);
    }
    Ok(records)
}

fn plan(mut arguments: Arguments) -> anyhow::Result<Plan> {
    if arguments.smoke {
        make_tiny(&mut arguments);
    }
    if arguments.clients.is_empty() {
        arguments.clients = vec![64, 256];
    }
    if arguments.clients.iter().any(|clients| !(1..=10_000).contains(clients)) {
        bail!("--clients: between 1 and 10000");
    }
    let systems = match (arguments.peer, arguments.only_peer) {
        (None, _) => vec![System::Fleetprompt],
        (Some(Peer::Restate), false) => vec![System::Fleetprompt, System::Restate],
        (Some(Peer::Restate), true) => vec![System::Restate],
    };
    let ours = systems.contains(&System::Fleetprompt);
    let idle = ours && matches!(arguments.what, What::W7 | What::All);
    let window = seconds("--idle-seconds", arguments.idle_seconds)?;
    let server = match arguments.server {
        Some(server) => server,
        None if ours => fleetprompt::default_binary()?,
        None => PathBuf::new(),
    };
    let worker = server.with_file_name("examples").join("scenario");
    Ok(Plan {
        cases: cases(arguments.what, &arguments.clients),
        idle: idle.then_some(Idle { waiting: arguments.waiting, workers: arguments.waiting_workers, window }),
        systems,
        times: Times {
            warm_up: seconds("--warm-up-seconds", arguments.warm_up_seconds)?,
            window: seconds("--seconds", arguments.seconds)?,
        },
        rounds: arguments.rounds,
        count_syncs: !arguments.no_syncs && process::is_strace_installed(),
        places: Places {
            server,
            worker: arguments.worker.unwrap_or_else(|| worker.display().to_string()),
            parent: arguments.folder.unwrap_or_else(std::env::temp_dir),
            postgres: arguments.postgres,
        },
    })
}

fn make_tiny(arguments: &mut Arguments) {
    arguments.seconds = 0.5;
    arguments.warm_up_seconds = 0.1;
    arguments.rounds = 1;
    arguments.clients = vec![4];
    arguments.waiting = 250;
    arguments.waiting_workers = 20;
    arguments.idle_seconds = 0.5;
}

fn seconds(flag: &str, value: f64) -> anyhow::Result<Duration> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if duration <= Duration::from_secs(3600) => Ok(duration),
        _ => bail!("{flag}: between 0 and 3600"),
    }
}

fn cases(what: What, clients: &[usize]) -> Vec<Case> {
    let of = |workload, clients: &[usize]| -> Vec<Case> {
        clients.iter().map(|&clients| Case { workload, clients }).collect()
    };
    // A few clients with batches already keep a thousand signals in flight.
    let batching = [clients.iter().copied().min().unwrap_or(16).min(16)];
    let w3 = || [of(Workload::W3, clients), of(Workload::W3Batch, &batching)].concat();
    let w4 = || [of(Workload::W4, clients), of(Workload::W4, &[1])].concat();
    match what {
        What::W1 => of(Workload::W1, clients),
        What::W2 => of(Workload::W2, &[1]),
        What::W3 => w3(),
        What::W4 => w4(),
        What::W7 => Vec::new(),
        What::All => [of(Workload::W1, clients), of(Workload::W2, &[1]), w3(), w4()].concat(),
    }
}
