//! The command line, and all that it comes to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, ValueEnum};

use crate::fleetprompt;
use crate::full::Full;
use crate::hostile::{Attack, Hostile, Size};
use crate::idle::Idle;
use crate::measure::Times;
use crate::process;
use crate::subject::{Places, System};
use crate::workload::{Case, Workload};

#[derive(Parser)]
#[command(name = "fleetprompt-bench", about = "Measures FleetPrompt, alone or beside a peer")]
pub struct Arguments {
    /// What to measure
    what: What,
    /// Measure this system too, in turns with FleetPrompt
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// The binary of the other build, for `--peer fleetprompt`
    #[arg(long, required_if_eq("peer", "fleetprompt"))]
    peer_server: Option<PathBuf>,
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
    /// Numbers of clients for w1, w3 and w4; the first is that of w5, the largest that of w6's flood [default: 64,256]
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// Completed runs that w5's full server holds
    #[arg(long, default_value_t = 1_000_000)]
    stored: usize,
    /// Waiting runs for w5 and w7
    #[arg(long, default_value_t = 100_000)]
    waiting: usize,
    /// Tenants that the runs of w5 are spread over
    #[arg(long, default_value_t = 1_000)]
    tenants: usize,
    /// Workers that wait for work in w7
    #[arg(long, default_value_t = 1_000)]
    waiting_workers: usize,
    /// Idle time for w7
    #[arg(long, default_value_t = 30.0)]
    idle_seconds: f64,
    /// Attacks of w9 [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    attacks: Vec<Attack>,
    /// Of w9, measure only restarts; with `--attacks`, they are left out
    #[arg(long, conflicts_with = "attacks")]
    only_restarts: bool,
    /// FleetPrompt's binary [default: the one beside this program]
    #[arg(long)]
    server: Option<PathBuf>,
    /// The command of w4's worker, as `node sdk/typescript/scenario.mjs` [default: the Rust example
    /// `scenario`, beside the server]
    #[arg(long)]
    worker: Option<String>,
    /// Where data folders are made; must be a real disk [default: the system's temporary folder, where PostgreSQL's
    /// always are]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep FleetPrompt's data in a PostgreSQL server of its own, which syncs, instead of SQLite
    #[arg(long)]
    postgres: bool,
    /// FleetPrompt's servers over the one PostgreSQL database, for w1, w2 and w3
    #[arg(long, default_value_t = 1)]
    nodes: usize,
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
    /// W1 on a server that holds many runs of many tenants, and on an empty one
    W5,
    /// Latency of a quiet tenant, alone and while another one floods the server
    W6,
    /// Idle cost with many waiting runs and workers
    W7,
    /// Latency of a quiet tenant, alone and while another one attacks the server
    W9,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Another build of FleetPrompt, with `--peer-server`; not for w9
    Fleetprompt,
    Restate,
    Dbos,
}

pub struct Plan {
    pub cases: Vec<Case>,
    pub full: Option<Full>,
    /// What a quiet tenant is measured under.
    pub floods: Vec<Case>,
    pub idle: Option<Idle>,
    pub hostile: Option<Hostile>,
    pub systems: Vec<System>,
    pub times: Times,
    pub rounds: usize,
    pub count_syncs: bool,
    pub places: Places,
}

impl Arguments {
    pub fn plan(mut self) -> anyhow::Result<Plan> {
        if self.smoke {
            self.make_tiny();
        }
        if self.clients.is_empty() {
            self.clients = vec![64, 256];
        }
        self.check()?;
        let systems = self.systems();
        let ours = systems.iter().any(|system| system.is_fleetprompt());
        let wants = |what| ours && (self.what == what || self.what == What::All);
        let (waiting, tenants, clients) = (self.waiting, self.tenants, self.clients[0]);
        let full = Full { stored: self.stored, waiting, tenants, clients };
        let window = seconds("--idle-seconds", self.idle_seconds)?;
        let idle = Idle { waiting, workers: self.waiting_workers, window };
        Ok(Plan {
            cases: self.cases(),
            full: wants(What::W5).then_some(full),
            floods: if wants(What::W6) { self.floods() } else { Vec::new() },
            idle: wants(What::W7).then_some(idle),
            hostile: (wants(What::W9) && self.peer != Some(Peer::Fleetprompt)).then(|| self.hostile()),
            systems,
            times: Times {
                warm_up: seconds("--warm-up-seconds", self.warm_up_seconds)?,
                window: seconds("--seconds", self.seconds)?,
            },
            rounds: self.rounds,
            count_syncs: !self.no_syncs && process::is_strace_installed(),
            places: self.places(ours)?,
        })
    }

    fn make_tiny(&mut self) {
        self.seconds = 0.5;
        self.warm_up_seconds = 0.1;
        self.rounds = 1;
        self.clients = vec![4];
        self.stored = 500;
        self.waiting = 250;
        self.tenants = 5;
        self.waiting_workers = 20;
        self.idle_seconds = 0.5;
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.clients.iter().any(|clients| !(1..=10_000).contains(clients)) {
            bail!("--clients: between 1 and 10000");
        }
        if self.tenants == 0 {
            bail!("--tenants: at least 1");
        }
        if !(1..=8).contains(&self.nodes) {
            bail!("--nodes: between 1 and 8");
        }
        self.check_comparison()?;
        if self.nodes > 1 && !(self.postgres && matches!(self.what, What::W1 | What::W2 | What::W3)) {
            bail!("--nodes: several share a database, so with --postgres, and for w1, w2 and w3 only");
        }
        Ok(())
    }

    /// What is unlike on both sides is not compared: figures of it would say nothing.
    fn check_comparison(&self) -> anyhow::Result<()> {
        let Some(peer) = self.peer else { return Ok(()) };
        if self.nodes > 1 {
            bail!("--nodes: a peer is one server, so only one node is compared with it; leave out --nodes or --peer");
        }
        if self.what == What::W9 {
            bail!("--peer: w9 measures one build; name another with --server, one after the other");
        }
        match peer {
            Peer::Dbos if !self.postgres && !self.only_peer => {
                bail!("--peer dbos: DBOS keeps its data in PostgreSQL, so FleetPrompt must as well; add --postgres")
            }
            Peer::Restate if self.postgres => {
                bail!(
                    "--peer restate: Restate keeps its data in files, so FleetPrompt must as well; leave out --postgres"
                )
            }
            Peer::Fleetprompt | Peer::Dbos | Peer::Restate => Ok(()),
        }
    }

    fn systems(&self) -> Vec<System> {
        let peer = self.peer.map(|peer| match peer {
            Peer::Fleetprompt => System::Baseline,
            Peer::Restate => System::Restate,
            Peer::Dbos => System::Dbos,
        });
        let ours = (!self.only_peer).then_some(System::Fleetprompt);
        ours.into_iter().chain(peer).collect()
    }

    fn cases(&self) -> Vec<Case> {
        let clients = &self.clients;
        let w3 = || [of(Workload::W3, clients), of(Workload::W3Batch, &[self.batching()])].concat();
        let w4 = || [of(Workload::W4, clients), of(Workload::W4, &[1])].concat();
        match self.what {
            What::W1 => of(Workload::W1, clients),
            What::W2 => of(Workload::W2, &[1]),
            What::W3 => w3(),
            What::W4 => w4(),
            What::W5 | What::W6 | What::W7 | What::W9 => Vec::new(),
            What::All => [of(Workload::W1, clients), of(Workload::W2, &[1]), w3(), w4()].concat(),
        }
    }

    fn floods(&self) -> Vec<Case> {
        let most = self.clients.iter().copied().max().unwrap_or(256);
        [of(Workload::W1, &[most]), of(Workload::W3Batch, &[self.batching()])].concat()
    }

    fn hostile(&self) -> Hostile {
        let are_all = self.attacks.is_empty() && !self.only_restarts;
        let attacks = if are_all { Attack::value_variants() } else { &self.attacks };
        let size = if self.smoke { Size::Tiny } else { Size::Full };
        Hostile { attacks: attacks.to_vec(), restarts: self.attacks.is_empty(), size }
    }

    /// A few clients with batches already keep a thousand signals in flight.
    fn batching(&self) -> usize {
        self.clients.iter().copied().min().unwrap_or(16).min(16)
    }

    fn places(self, ours: bool) -> anyhow::Result<Places> {
        let server = match self.server {
            Some(server) => server,
            None if ours && !self.only_peer => fleetprompt::default_binary()?,
            None => PathBuf::new(),
        };
        let worker = server.with_file_name("examples").join("scenario");
        Ok(Places {
            server,
            baseline: self.peer_server.unwrap_or_default(),
            worker: self.worker.unwrap_or_else(|| worker.display().to_string()),
            parent: self.folder.unwrap_or_else(std::env::temp_dir),
            postgres: self.postgres,
            nodes: self.nodes,
        })
    }
}

fn of(workload: Workload, clients: &[usize]) -> Vec<Case> {
    clients.iter().map(|&clients| Case { workload, clients }).collect()
}

fn seconds(flag: &str, value: f64) -> anyhow::Result<Duration> {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if duration <= Duration::from_secs(3600) => Ok(duration),
        _ => bail!("{flag}: between 0 and 3600"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_alike_is_compared() {
        let check = |line: &str| Arguments::parse_from(line.split(' ')).check();
        for alike in [
            "bench all --smoke",
            "bench w1 --peer restate",
            "bench w1 --peer dbos --postgres",
            "bench all --peer fleetprompt --peer-server other --postgres",
        ] {
            check(alike).unwrap();
        }
        check("bench w1 --peer dbos --only-peer").unwrap();
        for (unlike, advice) in [
            ("bench w1 --peer dbos", "add --postgres"),
            ("bench w1 --peer restate --postgres", "leave out --postgres"),
            ("bench w1 --peer dbos --postgres --nodes 3", "leave out --nodes"),
            ("bench w9 --peer fleetprompt --peer-server other", "--server"),
        ] {
            let refused = check(unlike).unwrap_err().to_string();
            assert!(refused.contains(advice), "{unlike}: {refused}");
        }
    }
}
