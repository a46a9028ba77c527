//! A system under test: its processes and its folder, fresh for every measurement, so that none
//! inherits the files, caches or memory of another. Dropping it ends the processes and removes the
//! folder.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use fleetprompt_testing::Postgres;
use serde::Serialize;
use tempfile::TempDir;

use crate::fleetprompt::{self, Api, Keeps};
use crate::load::Requests;
use crate::meter::{self, Usage};
use crate::process::{Process, traced};
use crate::restate;
use crate::workload::Workload;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum System {
    Fleetprompt,
    Restate,
}

impl System {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fleetprompt => "fleetprompt",
            Self::Restate => "restate",
        }
    }

    /// Restate takes one call a request.
    pub fn has(self, workload: Workload) -> bool {
        self == Self::Fleetprompt || workload != Workload::W3Batch
    }
}

/// Where things are that every start needs.
pub struct Places {
    /// FleetPrompt's binary.
    pub server: PathBuf,
    /// The command of the worker that performs the steps of w4.
    pub worker: String,
    /// Data folders are made inside.
    pub parent: PathBuf,
    /// Everything is kept in a PostgreSQL server, and not in the folder.
    pub postgres: bool,
}

pub struct Subject {
    access: Access,
    server: Process,
    handler: Option<Process>,
    pub ready: Duration,
    trace: Option<PathBuf>,
    folder: TempDir,
    /// With the address of the database.
    postgres: Option<(Postgres, String)>,
}

enum Access {
    Fleetprompt(Api),
    Restate(restate::Addresses),
}

/// What the processes have cost up to a moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub server: Usage,
    pub handler: Option<Usage>,
    /// Ourselves.
    pub client: Usage,
    pub machine_cpu_seconds: f64,
    pub syncs: Option<u64>,
}

impl Subject {
    /// Starts a system; with `trace`, under `strace`, so that its syncs can be counted.
    pub async fn start(system: System, places: &Places, trace: bool) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fleetprompt-bench-").tempdir_in(&places.parent);
        let folder = folder.with_context(|| format!("make a folder in {}", places.parent.display()))?;
        std::fs::create_dir(data_of(&folder))?;
        match system {
            System::Fleetprompt => Self::start_fleetprompt(places, folder, trace).await,
            System::Restate => Self::start_restate(folder, trace).await,
        }
    }

    async fn start_fleetprompt(places: &Places, folder: TempDir, trace: bool) -> anyhow::Result<Self> {
        let postgres = places.postgres.then(start_postgres);
        let plan = fleetprompt::plan(&places.server, &keeps(&folder, postgres.as_ref()))?;
        let (command, trace) = with_trace(plan.command, trace, &folder);
        let mut server = Process::start("fleetprompt", command, folder.path())?;
        let ready = server.ready(plan.address, "/readyz").await?;
        let access = Access::Fleetprompt(Api::new(plan.address, plan.key));
        Ok(Self { access, server, handler: None, ready, trace, folder, postgres })
    }

    async fn start_restate(folder: TempDir, trace: bool) -> anyhow::Result<Self> {
        let plan = restate::plan(&data_of(&folder))?;
        let (command, trace) = with_trace(plan.server, trace, &folder);
        let handler = Process::start("handler", plan.handler, folder.path())?;
        let mut server = Process::start("restate", command, folder.path())?;
        let admin_ready = server.ready(plan.addresses.admin, "/health").await?;
        let ready = admin_ready + server.ready(plan.addresses.ingress, "/restate/health").await?;
        restate::register(plan.addresses).await?;
        let access = Access::Restate(plan.addresses);
        Ok(Self { access, server, handler: Some(handler), ready, trace, folder, postgres: None })
    }

    /// Applies and starts what the workload needs.
    pub async fn prepare(&mut self, workload: Workload, places: &Places) -> anyhow::Result<()> {
        let Access::Fleetprompt(api) = &self.access else { return Ok(()) };
        api.prepare(workload).await?;
        if workload == Workload::W4 {
            let mut worker = Process::start("worker", api.worker(&places.worker).await?, self.folder.path())?;
            worker.ready_when(async || api.has_worker().await).await?;
            self.handler = Some(worker);
        }
        Ok(())
    }

    pub fn requests(&self, workload: Workload, clients: usize) -> Requests {
        match &self.access {
            Access::Fleetprompt(api) => api.requests(workload, clients),
            Access::Restate(addresses) => restate::requests(addresses.ingress, workload),
        }
    }

    /// How many of the runs that were sampled have not completed.
    pub async fn runs_not_completed(&self) -> anyhow::Result<u64> {
        match &self.access {
            Access::Fleetprompt(api) => api.runs_not(&["completed"]).await,
            Access::Restate(_) => Ok(0),
        }
    }

    /// FleetPrompt's API, for what only FleetPrompt has.
    pub fn api(&self) -> anyhow::Result<&Api> {
        match &self.access {
            Access::Fleetprompt(api) => Ok(api),
            Access::Restate(_) => bail!("Restate has no such workload"),
        }
    }

    /// Ends FleetPrompt's server the hard way and starts it again on the same data.
    pub async fn restart(self, places: &Places) -> anyhow::Result<Self> {
        let Self { access: Access::Fleetprompt(api), server, folder, postgres, .. } = self else {
            bail!("only FleetPrompt is started again");
        };
        drop(server);
        let (command, address) = fleetprompt::serve(&places.server, &keeps(&folder, postgres.as_ref()))?;
        let mut server = Process::start("fleetprompt", command, folder.path())?;
        let ready = server.ready(address, "/readyz").await?;
        let access = Access::Fleetprompt(Api { address, ..api });
        Ok(Self { access, server, handler: None, ready, trace: None, folder, postgres })
    }

    pub fn read(&self) -> anyhow::Result<Reading> {
        Ok(Reading {
            server: meter::usage(self.server.pid())?,
            handler: self.handler.as_ref().map(|handler| meter::usage(handler.pid())).transpose()?,
            client: meter::usage(std::process::id())?,
            machine_cpu_seconds: meter::machine_cpu_seconds()?,
            syncs: self.trace.as_deref().map(meter::syncs),
        })
    }

    pub fn disk_bytes(&self) -> u64 {
        meter::disk_bytes(&data_of(&self.folder))
    }

    pub fn filesystem(&self) -> Option<String> {
        meter::filesystem(self.folder.path())
    }
}

fn with_trace(command: Command, trace: bool, folder: &TempDir) -> (Command, Option<PathBuf>) {
    if !trace {
        return (command, None);
    }
    let trace = folder.path().join("trace");
    (traced(&command, &trace), Some(trace))
}

/// One that syncs, which those for tests do not.
fn start_postgres() -> (Postgres, String) {
    let postgres =
        Postgres::start_with(&["fsync=on", "full_page_writes=on", "shared_buffers=256MB", "max_wal_size=4GB"]);
    let address = postgres.database();
    (postgres, address)
}

fn keeps(folder: &TempDir, postgres: Option<&(Postgres, String)>) -> Keeps {
    match postgres {
        Some((_, address)) => ["--database".into(), address.into()],
        None => ["--data".into(), data_of(folder).into()],
    }
}

fn data_of(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}
