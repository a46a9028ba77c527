//! One running node: the data folder, the engine over it, and the HTTP server before it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fleetprompt_engine::models::ModelsConfig;
use fleetprompt_engine::{Config, Engine};
use fleetprompt_store::sqlite::SqliteStore;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, ApiConfig};
use crate::settings::Settings;

pub struct Node {
    engine: Engine,
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
    _folder: DataFolder,
}

impl Node {
    /// Ready for requests when it returns.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let folder = DataFolder::open(&settings.data)?;
        let engine = start_engine(&folder, settings, true)?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}; choose another with --listen", settings.listen))?;
        let address = listener.local_addr()?;
        let (stopping, stopped) = watch::channel(false);
        let router = api::router(engine.clone(), ApiConfig::new(stopped.clone()));
        let served = tokio::spawn(serve(listener, router, stopped));
        Ok(Self { engine, address, stopping, served, _folder: folder })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more, answers what was asked, lets effects end within the grace.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stopping.send_replace(true);
        let served = tokio::time::timeout(Duration::from_secs(10), self.served).await;
        self.engine.stop().await;
        match served {
            Ok(served) => served?.context("the HTTP server broke off"),
            Err(_) => {
                tracing::warn!("some requests did not end in time and were cut off");
                Ok(())
            }
        }
    }
}

async fn serve(listener: TcpListener, router: axum::Router, mut stopped: watch::Receiver<bool>) -> std::io::Result<()> {
    use axum::serve::ListenerExt;
    // Answers are small and somebody waits for each of them.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { drop(stopped.wait_for(|stopped| *stopped).await) })
        .await
}

/// The engine over a data folder, without a server before it.
pub fn start_engine(folder: &DataFolder, settings: &Settings, performs: bool) -> anyhow::Result<Engine> {
    let store = SqliteStore::open(&folder.database())?;
    let config = Config {
        queue_max: settings.queue_max,
        performs,
        effects_max: settings.effects_max,
        allow_private_endpoints: settings.allow_private_endpoints,
        grace: Duration::from_secs(settings.grace_s),
        lease: Duration::from_secs(settings.lease_s),
        models: ModelsConfig::from_env(),
        ..Config::default()
    };
    Ok(Engine::start(Arc::new(store), config, tokio::runtime::Handle::current())?)
}

/// A data folder that no other process uses while this is held.
pub struct DataFolder {
    path: std::path::PathBuf,
    _lock: File,
}

impl DataFolder {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // It holds payloads and signing secrets: what is made here is for its owner alone.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("the data folder {} cannot be made", path.display()))?;
        let lock = path.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = file.with_context(|| format!("{} cannot be opened", lock.display()))?;
        file.try_lock().map_err(|_| {
            anyhow::anyhow!(
                "the data folder {} is in use by another fleetprompt; stop it, or reach it with --url and --key",
                path.display()
            )
        })?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    pub fn database(&self) -> std::path::PathBuf {
        self.path.join("fleetprompt.db")
    }
}

/// Resolves when the process is asked to end: Ctrl-C, or SIGTERM from a supervisor.
pub async fn asked_to_end() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("the system lets a process hear SIGTERM");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
