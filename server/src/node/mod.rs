//! One running node: the place where it keeps everything, the engine or engines over it, and the HTTP server before them.

mod balance;
mod door;
mod keys;
mod mail;
mod member;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fleetprompt_core::Span;
use fleetprompt_engine::models::ModelsConfig;
use fleetprompt_engine::{Config, Engine, Resources};
use fleetprompt_store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::member::{Member, Running};
use crate::api::{self, ApiConfig};
use crate::listen::{self, Limits};
use crate::place::{OpenFolder, Opened};
use crate::settings::Settings;
use crate::traces::{self, Sending};

pub struct Node {
    deciding: Deciding,
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    grace: Duration,
    served: JoinHandle<()>,
    traces: Option<Sending>,
}

/// Who decides.
enum Deciding {
    Alone(Engine, OpenFolder),
    Among(Running),
}

impl Node {
    /// Ready for requests when it returns.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        match settings.place().open(settings)? {
            Opened::Folder(folder) => Ok(Self::alone(folder, settings).await?.0),
            Opened::Database(database) => {
                let (stopping, stopped) = watch::channel(false);
                let lease = Duration::from_secs(settings.node_lease_s);
                let (resources, traces) = resources(settings)?;
                let api = ApiConfig::new(stopped.clone()).with_request_log(settings.request_log);
                let running = Member::start(database, resources, api.clone(), lease).await?;
                let router = api.counting(running.member.door().clone().router());
                Self::serve(settings, Deciding::Among(running), &api, router, (stopping, stopped), traces).await
            }
        }
    }

    /// Over a folder, with the engine that decides for all tenants.
    pub async fn alone(folder: OpenFolder, settings: &Settings) -> anyhow::Result<(Self, Engine)> {
        let (stopping, stopped) = watch::channel(false);
        let (resources, traces) = resources(settings)?;
        let engine = Engine::start_among(folder.store.clone(), &resources, tokio::runtime::Handle::current())?;
        let api = ApiConfig::new(stopped.clone()).with_request_log(settings.request_log);
        let router = api.counting(api::router(engine.clone(), api.clone()));
        let deciding = Deciding::Alone(engine.clone(), folder);
        Ok((Self::serve(settings, deciding, &api, router, (stopping, stopped), traces).await?, engine))
    }

    async fn serve(
        settings: &Settings,
        deciding: Deciding,
        api: &ApiConfig,
        router: axum::Router,
        (stopping, stopped): (watch::Sender<bool>, watch::Receiver<bool>),
        traces: Option<Sending>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}; choose another with --listen", settings.listen))?;
        let address = listener.local_addr()?;
        let connections = api.connections().clone();
        let served = tokio::spawn(listen::serve(listener, router, connections, limits(settings), stopped));
        Ok(Self { deciding, address, stopping, grace: Duration::from_secs(settings.grace_s), served, traces })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn has_tenants(&self) -> anyhow::Result<bool> {
        match &self.deciding {
            Deciding::Alone(engine, _) => Ok(engine.directory().tenants().next().is_some()),
            Deciding::Among(running) => Ok(!running.member.database().tenants().await?.is_empty()),
        }
    }

    /// Comes when it cannot go on. One of several nodes always can, once the database answers.
    pub async fn ended(&self) {
        match &self.deciding {
            Deciding::Alone(engine, _) => engine.ended().await,
            Deciding::Among(_) => std::future::pending().await,
        }
    }

    /// Takes no more, answers what was asked, lets effects end within the grace.
    pub async fn stop(self) -> anyhow::Result<()> {
        if let Deciding::Among(running) = &self.deciding {
            running.hand_all_over(self.grace).await;
        }
        self.stopping.send_replace(true);
        let served = tokio::time::timeout(Duration::from_secs(10), self.served).await;
        let mut has_files = Ok(());
        match self.deciding {
            Deciding::Alone(engine, folder) => {
                engine.stop().await;
                has_files = folder.store.check_files();
            }
            Deciding::Among(running) => running.end().await,
        }
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
        has_files.context("what this server acknowledged is in files that the next start does not find")?;
        match served {
            Ok(served) => served.context("the HTTP server panicked"),
            Err(_) => {
                tracing::warn!("some requests did not end in time and were cut off");
                Ok(())
            }
        }
    }
}

/// How many connections may be open: below the limit of open files, whatever is set.
fn limits(settings: &Settings) -> Limits {
    let files = listen::raise_open_files_limit();
    let (all, of_one_address) = (settings.connections_max.min(files), settings.connections_per_address);
    if all < settings.connections_max {
        tracing::warn!(
            target: "http",
            connections_max = all,
            "fewer connections than `connections_max` can be open: raise the hard limit of open files (LimitNOFILE)"
        );
    }
    Limits { all, of_one_address }
}

/// What its engines share, and who sends their traces.
fn resources(settings: &Settings) -> anyhow::Result<(Resources, Option<Sending>)> {
    let resources = Resources::new(config(settings, true));
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok((resources, None)) };
    let (traces, sending) = traces::start(endpoint, settings.otlp_ratio, resources.metrics().clone())?;
    Ok((resources.observed_by(Arc::new(traces)), Some(sending)))
}

/// One engine, without a server before it.
pub fn start_engine(store: Arc<dyn Store>, settings: &Settings, performs: bool) -> anyhow::Result<Engine> {
    Ok(Engine::start(store, config(settings, performs), tokio::runtime::Handle::current())?)
}

fn config(settings: &Settings, performs: bool) -> Config {
    Config {
        queue_max: settings.queue_max,
        request_memory: settings.request_memory_mib << 20,
        performs,
        effects_max: settings.effects_max,
        allow_private_endpoints: settings.allow_private_endpoints,
        grace: Duration::from_secs(settings.grace_s),
        lease: Duration::from_secs(settings.lease_s),
        descent: settings.descent(),
        models: ModelsConfig::from_env(),
        clock_ahead: Span(settings.clock_ahead_ms.saturating_mul(1_000)),
        ..Config::default()
    }
}

/// Resolves when the process is asked to end: Ctrl-C, or SIGTERM from a supervisor.
pub async fn asked_to_end() {
    end_signal().await;
}

/// The number of the signal that asks for it.
pub async fn end_signal() -> i32 {
    let mut terminate = signal(SignalKind::terminate()).expect("the system lets a process hear SIGTERM");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
    }
}
