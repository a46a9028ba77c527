//! A system under test: its processes and its folder, fresh for every measurement, so that none
//! inherits the files, caches or memory of another. Dropping it ends the processes and removes the
//! folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;
use tempfile::TempDir;

use crate::database::Database;
use crate::dbos;
use crate::fleetprompt::{self, Api, Keeps};
use crate::load::Requests;
use crate::meter::{self, Usage};
use crate::process::{Process, traced};
use crate::restate;
use crate::workload::Workload;

/// Of each node, when there are several: so many that each partition has some.
const TENANTS_PER_NODE: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum System {
    Fleetprompt,
    /// Another build of FleetPrompt.
    Baseline,
    Restate,
    Dbos,
}

impl System {
    pub fn is_fleetprompt(self) -> bool {
        matches!(self, Self::Fleetprompt | Self::Baseline)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Fleetprompt => "fleetprompt",
            Self::Baseline => "baseline",
            Self::Restate => "restate",
            Self::Dbos => "dbos",
        }
    }

    /// Peers take one call a request, and DBOS has no steps in another process.
    pub fn has(self, workload: Workload) -> bool {
        match self {
            Self::Fleetprompt | Self::Baseline => true,
            Self::Restate => workload != Workload::W3Batch,
            Self::Dbos => matches!(workload, Workload::W1 | Workload::W2 | Workload::W3),
        }
    }

    pub fn install(self) -> anyhow::Result<()> {
        match self {
            Self::Fleetprompt | Self::Baseline => Ok(()),
            Self::Restate => restate::install(),
            Self::Dbos => dbos::install(),
        }
    }
}

/// Where things are that every start needs.
pub struct Places {
    /// FleetPrompt's binary.
    pub server: PathBuf,
    /// The binary of the other build; empty if there is none.
    pub baseline: PathBuf,
    /// The command of the worker that performs the steps of w4.
    pub worker: String,
    /// Data folders are made inside.
    pub parent: PathBuf,
    /// FleetPrompt keeps everything in a PostgreSQL server, and not in the folder.
    pub postgres: bool,
    /// FleetPrompt's servers over the one database.
    pub nodes: usize,
}

impl Places {
    /// Whose syncs are another process's, which is not traced.
    pub fn are_in_postgres(&self, system: System) -> bool {
        system == System::Dbos || (system.is_fleetprompt() && self.postgres)
    }

    fn binary(&self, system: System) -> &Path {
        if system == System::Baseline { &self.baseline } else { &self.server }
    }
}

pub struct Subject {
    pub system: System,
    access: Access,
    /// FleetPrompt's nodes, or a peer's one server.
    servers: Vec<Process>,
    handler: Option<Process>,
    pub ready: Duration,
    trace: Option<PathBuf>,
    folder: TempDir,
    database: Option<Database>,
}

enum Access {
    Fleetprompt(Nodes),
    Restate(restate::Addresses),
    Dbos(SocketAddr),
}

struct Nodes {
    binary: PathBuf,
    addresses: Vec<SocketAddr>,
    /// One for each tenant, the first one the owner's, in turns at the nodes.
    tenants: Vec<Api>,
}

impl Nodes {
    async fn tenant_create(&mut self, slug: &str) -> anyhow::Result<()> {
        let key = self.tenants[0].tenant_create(slug).await?;
        let address = self.addresses[self.tenants.len() % self.addresses.len()];
        self.tenants.push(self.tenants[0].with(address, key));
        Ok(())
    }
}

/// What the processes have cost up to a moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub server: Usage,
    pub handler: Option<Usage>,
    pub database_cpu_seconds: Option<f64>,
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
            System::Fleetprompt | System::Baseline => Self::start_fleetprompt(system, places, folder, trace).await,
            System::Restate => Self::start_restate(folder, trace).await,
            System::Dbos => Self::start_dbos(folder).await,
        }
    }

    async fn start_fleetprompt(system: System, places: &Places, folder: TempDir, trace: bool) -> anyhow::Result<Self> {
        let binary = places.binary(system).to_owned();
        let database = places.postgres.then(Database::start).transpose()?;
        let keeps = keeps(&folder, database.as_ref());
        let key = fleetprompt::tenant_create(&binary, &keeps)?;
        let trace = trace.then(|| folder.path().join("trace"));
        let (mut servers, mut addresses, mut ready) = (Vec::new(), Vec::new(), Duration::ZERO);
        for number in 1..=places.nodes {
            let (command, address) = fleetprompt::serve(&binary, &keeps)?;
            let command = with_trace(command, trace.as_ref());
            let mut server = Process::start(&format!("fleetprompt-{number}"), command, folder.path())?;
            ready = ready.max(server.ready(address, "/readyz").await?);
            servers.push(server);
            addresses.push(address);
        }
        let tenants = vec![Api::new(addresses[0], key)];
        let access = Access::Fleetprompt(Nodes { binary, addresses, tenants });
        let mut subject = Self { system, access, servers, handler: None, ready, trace, folder, database };
        if places.nodes > 1 {
            subject.share(places.nodes).await?;
        }
        Ok(subject)
    }

    /// Until each node has its part of the tenants.
    async fn share(&mut self, nodes: usize) -> anyhow::Result<()> {
        let Access::Fleetprompt(Nodes { tenants, .. }) = &self.access else { return Ok(()) };
        self.servers[0].ready_when(async || tenants[0].is_shared_by(nodes).await).await?;
        self.tenants_create(nodes * TENANTS_PER_NODE).await
    }

    async fn start_restate(folder: TempDir, trace: bool) -> anyhow::Result<Self> {
        let plan = restate::plan(&data_of(&folder))?;
        let trace = trace.then(|| folder.path().join("trace"));
        let handler = Process::start("handler", plan.handler, folder.path())?;
        let mut server = Process::start("restate", with_trace(plan.server, trace.as_ref()), folder.path())?;
        let admin_ready = server.ready(plan.addresses.admin, "/health").await?;
        let ready = admin_ready + server.ready(plan.addresses.ingress, "/restate/health").await?;
        restate::register(plan.addresses).await?;
        let access = Access::Restate(plan.addresses);
        let (system, servers) = (System::Restate, vec![server]);
        Ok(Self { system, access, servers, handler: Some(handler), ready, trace, folder, database: None })
    }

    async fn start_dbos(folder: TempDir) -> anyhow::Result<Self> {
        let database = Database::start()?;
        let (command, address) = dbos::plan(&database.address)?;
        let mut server = Process::start("dbos", command, folder.path())?;
        let ready = server.ready(address, "/health").await?;
        let (system, access, database) = (System::Dbos, Access::Dbos(address), Some(database));
        Ok(Self { system, access, servers: vec![server], handler: None, ready, trace: None, folder, database })
    }

    /// Makes tenants until there are `count`.
    pub async fn tenants_create(&mut self, count: usize) -> anyhow::Result<()> {
        let nodes = self.nodes()?;
        for number in nodes.tenants.len()..count {
            nodes.tenant_create(&format!("tenant-{number}")).await?;
        }
        Ok(())
    }

    /// Makes a tenant that shares all with the first one: over PostgreSQL a partition, and so a writer, as well.
    pub async fn neighbour_create(&mut self) -> anyhow::Result<()> {
        for number in 1..1_000 {
            let slug = format!("neighbour-{number}");
            self.nodes()?.tenant_create(&slug).await?;
            let database = self.database.as_ref();
            if database.is_none_or(|database| database.are_of_one_partition(fleetprompt::TENANT, &slug)) {
                return Ok(());
            }
        }
        bail!("no tenant fell into the partition of `{}`", fleetprompt::TENANT)
    }

    /// Applies and starts what the workload needs.
    pub async fn prepare(&mut self, workload: Workload, places: &Places) -> anyhow::Result<()> {
        let Access::Fleetprompt(Nodes { tenants, .. }) = &self.access else { return Ok(()) };
        for api in tenants {
            api.prepare(workload).await?;
        }
        if workload == Workload::W4 {
            let api = &tenants[0];
            let mut worker = Process::start("worker", api.worker(&places.worker).await?, self.folder.path())?;
            worker.ready_when(async || api.has_worker().await).await?;
            self.handler = Some(worker);
        }
        Ok(())
    }

    /// What clients send, each of one tenant.
    pub fn requests(&self, workload: Workload, clients: usize) -> Vec<Requests> {
        match &self.access {
            Access::Fleetprompt(Nodes { tenants, .. }) => {
                tenants.iter().take(clients).map(|api| api.requests(workload, clients)).collect()
            }
            Access::Restate(addresses) => vec![restate::requests(addresses.ingress, workload)],
            Access::Dbos(address) => vec![dbos::requests(*address, workload)],
        }
    }

    /// How many of the runs that were sampled have not completed.
    pub async fn runs_not_completed(&self) -> anyhow::Result<u64> {
        match &self.access {
            Access::Fleetprompt(Nodes { tenants, .. }) => tenants[0].runs_not(&["completed"]).await,
            Access::Restate(_) | Access::Dbos(_) => Ok(0),
        }
    }

    /// FleetPrompt's API, for what only FleetPrompt has, with the key of each tenant.
    pub fn tenants(&self) -> anyhow::Result<&[Api]> {
        match &self.access {
            Access::Fleetprompt(nodes) => Ok(&nodes.tenants),
            Access::Restate(_) | Access::Dbos(_) => bail!("only FleetPrompt has this workload"),
        }
    }

    pub fn api(&self) -> anyhow::Result<&Api> {
        Ok(&self.tenants()?[0])
    }

    fn nodes(&mut self) -> anyhow::Result<&mut Nodes> {
        match &mut self.access {
            Access::Fleetprompt(nodes) => Ok(nodes),
            Access::Restate(_) | Access::Dbos(_) => bail!("only FleetPrompt has tenants"),
        }
    }

    /// Kills FleetPrompt's server, starts it again on the same data and waits until it is ready.
    pub async fn restart(mut self) -> anyhow::Result<Self> {
        self.start_again()?;
        let address = self.api()?.address;
        self.ready = self.servers[0].ready(address, "/readyz").await?;
        Ok(self)
    }

    /// The same, without waiting.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.servers.clear();
        let keeps = keeps(&self.folder, self.database.as_ref());
        let nodes = self.nodes()?;
        let (command, address) = fleetprompt::serve(&nodes.binary, &keeps)?;
        nodes.addresses = vec![address];
        nodes.tenants.iter_mut().for_each(|api| api.address = address);
        self.servers.push(Process::start("fleetprompt-again", command, self.folder.path())?);
        Ok(())
    }

    /// Lets PostgreSQL do what filling it has left to be done.
    pub fn settle(&self) {
        if let Some(database) = &self.database {
            database.settle();
        }
    }

    pub fn read(&self) -> anyhow::Result<Reading> {
        let mut server = Usage::default();
        for process in &self.servers {
            server = server.and(meter::usage(process.pid())?);
        }
        Ok(Reading {
            server,
            handler: self.handler.as_ref().map(|handler| meter::usage(handler.pid())).transpose()?,
            database_cpu_seconds: self.database.as_ref().map(Database::cpu_seconds).transpose()?,
            client: meter::usage(std::process::id())?,
            machine_cpu_seconds: meter::machine_cpu_seconds()?,
            syncs: self.trace.as_deref().map(meter::syncs),
        })
    }

    pub fn disk_bytes(&self) -> u64 {
        self.database.as_ref().map_or_else(|| meter::disk_bytes(&data_of(&self.folder)), Database::bytes)
    }

    pub fn filesystem(&self) -> Option<String> {
        match &self.database {
            // The one of a test server, which chooses it.
            Some(_) => meter::filesystem(&std::env::temp_dir()),
            None => meter::filesystem(self.folder.path()),
        }
    }
}

fn with_trace(command: Command, trace: Option<&PathBuf>) -> Command {
    match trace {
        Some(trace) => traced(&command, trace),
        None => command,
    }
}

fn keeps(folder: &TempDir, database: Option<&Database>) -> Keeps {
    match database {
        Some(Database { address, .. }) => ["--database".into(), address.into()],
        None => ["--data".into(), data_of(folder).into()],
    }
}

fn data_of(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}
