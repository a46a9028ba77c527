//! One running node: the place where it keeps everything, the engine over it, and the HTTP server before it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use fleetprompt_engine::models::ModelsConfig;
use fleetprompt_engine::{Config, Engine};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, ApiConfig};
use crate::place::Opened;
use crate::settings::Settings;

pub struct Node {
    engine: Engine,
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
    _opened: Opened,
}

impl Node {
    /// Ready for requests when it returns.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let opened = settings.place().open(Duration::from_secs(settings.node_lease_s), true)?;
        let engine = start_engine(&opened, settings, true)?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}; choose another with --listen", settings.listen))?;
        let address = listener.local_addr()?;
        let (stopping, stopped) = watch::channel(false);
        let router = api::router(engine.clone(), ApiConfig::new(stopped.clone()));
        let served = tokio::spawn(serve(listener, router, stopped));
        Ok(Self { engine, address, stopping, served, _opened: opened })
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

/// The engine over a place, without a server before it.
pub fn start_engine(opened: &Opened, settings: &Settings, performs: bool) -> anyhow::Result<Engine> {
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
    Ok(Engine::start(opened.store.clone(), config, tokio::runtime::Handle::current())?)
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
