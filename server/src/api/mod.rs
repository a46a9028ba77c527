//! The HTTP API: one file a noun. It changes things only by a signal or a directive, or by the
//! engine's registrations, and reads through the store. Every handler is scoped to the tenant of the
//! caller's key: there is no way to name another's record that does not end as a 404.
//!
//! A handler here reads what came, asks the engine or the store once, and shapes the answer; what
//! may happen is decided in `core` and `engine`. Reads are limited by tenant in `gate`, and by bytes in `page`.

mod agents;
mod answer;
mod auth;
pub mod body;
mod callbacks;
mod directive_types;
mod directives;
mod docs;
mod follow;
mod functions;
mod gate;
mod health;
mod inputs;
mod keys;
mod metrics;
mod modules;
mod nodes;
mod openapi;
mod page;
mod problem;
mod refused_keys;
mod request;
mod request_log;
mod runs;
mod runs_bulk;
mod runs_live;
mod runs_operate;
mod runs_view;
mod schedules;
mod signals;
mod signals_tail;
mod steps;
mod tenants;
pub(crate) mod view;
mod why;
mod workers;
mod workers_among;
mod workflows;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use fleetprompt_core::Timestamp;
use fleetprompt_engine::{Engine, background};
use fleetprompt_store::Store;
use fleetprompt_store::postgres::Database;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::gate::Gate;

pub use auth::{PassedOn, until_expiry};
pub use openapi::document as openapi_document;
pub use problem::{Elsewhere, Problem};

use crate::listen::Connections;

/// What the API needs to know besides the engine.
#[derive(Clone)]
pub struct ApiConfig {
    /// Becomes true when the server stops: open streams end then, so that they do not hold it up.
    pub stopping: watch::Receiver<bool>,
    /// How often a silent stream says that it is alive.
    pub heartbeat: Duration,
    pub started_at: Timestamp,
    /// Whether each request is logged, without its body.
    request_log: bool,
    /// What all routers of a process count together.
    counted: Arc<Counted>,
    /// Where tenants are parted among nodes: what this router stands for.
    among: Option<Among>,
}

struct Counted {
    reads: Gate,
    streams: Gate,
    traffic: metrics::Traffic,
    refused_keys: refused_keys::RefusedKeys,
    connections: Arc<Connections>,
}

/// One partition of a database, and all of it.
#[derive(Clone)]
pub struct Among {
    pub database: Arc<Database>,
    pub partition: u16,
    /// Those of this process, of all partitions that it has now.
    pub engines: watch::Receiver<Vec<Engine>>,
}

impl ApiConfig {
    pub fn new(stopping: watch::Receiver<bool>) -> Self {
        let counted = Arc::new(Counted {
            reads: Gate::new(gate::READS),
            streams: Gate::new(gate::STREAMS),
            traffic: metrics::Traffic::default(),
            refused_keys: refused_keys::RefusedKeys::default(),
            connections: Arc::default(),
        });
        Self {
            stopping,
            heartbeat: Duration::from_secs(15),
            started_at: now(),
            request_log: false,
            counted,
            among: None,
        }
    }

    pub fn with_request_log(self, request_log: bool) -> Self {
        Self { request_log, ..self }
    }

    /// For one partition of many; it counts together with the others.
    pub fn among(&self, stopping: watch::Receiver<bool>, among: Among) -> Self {
        Self { stopping, among: Some(among), ..self.clone() }
    }

    /// The connections of this process, which its listener counts.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.counted.connections
    }

    /// What limits the reads of a tenant.
    fn reads(&self) -> &Gate {
        &self.counted.reads
    }

    /// Where requests come in: whoever answers, it is counted here.
    pub fn counting(&self, router: Router) -> Router {
        let router = if self.request_log { router.layer(from_fn(request_log::log)) } else { router };
        router.layer(from_fn_with_state(self.counted.clone(), metrics::count))
    }
}

/// What every handler has.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    engine: Engine,
    config: ApiConfig,
}

impl Api {
    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn config(&self) -> &ApiConfig {
        &self.0.config
    }

    fn among(&self) -> Option<&Among> {
        self.0.config.among.as_ref()
    }

    /// Reads from the store may touch the disk, so they keep off the threads that serve.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.engine().store().clone();
        let answer = background::run(move || read(&*store)).await;
        answer.unwrap_or_else(|error| Err(Problem::internal("read from the store", &error)))
    }
}

pub fn router(engine: Engine, config: ApiConfig) -> Router {
    static ROUTES: OnceLock<Router<Api>> = OnceLock::new();
    let api = Api(Arc::new(Inner { engine, config }));
    // A process may have many, which differ in what they are about and in nothing else.
    let routes = ROUTES.get_or_init(|| {
        let (router, document) = described().split_for_parts();
        let document = openapi::text(openapi::complete(document));
        router
            .route("/openapi.json", get(move || openapi::serve(document.clone())))
            .merge(docs::router())
            .fallback(problem::nothing_here)
            .method_not_allowed_fallback(problem::method_not_allowed)
    });
    let reads = from_fn_with_state(api.clone(), gate::limit_reads);
    routes.clone().layer(reads).layer(CatchPanicLayer::custom(problem::of_panic)).with_state(api)
}

/// Every endpoint that the OpenAPI document describes.
fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(signals::signal_emit, signals::signal_list))
        .routes(routes!(signals_tail::signal_tail))
        .routes(routes!(signals::signal_get))
        .routes(routes!(why::signal_why))
        .routes(routes!(signals::signal_replay))
        .routes(routes!(directives::directive_request, directives::directive_list))
        .routes(routes!(directives::directive_get))
        .routes(routes!(why::directive_why))
        .routes(routes!(directives::directive_cancel))
        .routes(routes!(directives::directive_report))
        .routes(routes!(directives::directive_heartbeat))
        .routes(routes!(directive_types::directive_type_apply, directive_types::directive_type_list))
        .routes(routes!(directive_types::directive_type_get))
        .routes(routes!(workflows::workflow_validate))
        .routes(routes!(workflows::workflow_apply, workflows::workflow_list))
        .routes(routes!(workflows::workflow_get))
        .routes(routes!(workflows::workflow_version_list))
        .routes(routes!(workflows::workflow_version_get))
        .routes(routes!(workflows::workflow_activate))
        .routes(routes!(workflows::workflow_pause))
        .routes(routes!(workflows::workflow_archive))
        .routes(routes!(agents::agent_apply, agents::agent_list))
        .routes(routes!(agents::agent_get))
        .routes(routes!(schedules::schedule_apply, schedules::schedule_list))
        .routes(routes!(schedules::schedule_get))
        .routes(routes!(schedules::schedule_fires))
        .routes(routes!(schedules::schedule_pause))
        .routes(routes!(schedules::schedule_resume))
        .routes(routes!(schedules::schedule_archive))
        .routes(routes!(schedules::schedule_trigger))
        .routes(routes!(schedules::schedule_backfill))
        .routes(routes!(functions::function_apply, functions::function_list))
        .routes(routes!(modules::module_add, modules::module_list))
        .routes(routes!(modules::module_remove))
        .routes(routes!(workers::attempt_take))
        .routes(routes!(workers::attempt_heartbeat))
        .routes(routes!(workers::attempt_report))
        .routes(routes!(workers::worker_list))
        .routes(routes!(callbacks::callback))
        .routes(routes!(runs::run_list))
        .routes(routes!(steps::run_get))
        .routes(routes!(steps::step_list))
        .routes(routes!(runs::run_timeline))
        .routes(routes!(why::run_why))
        .routes(routes!(runs::item_list))
        .routes(routes!(inputs::input_list))
        .routes(routes!(runs_operate::run_cancel))
        .routes(routes!(runs_operate::run_pause))
        .routes(routes!(runs_operate::run_resume))
        .routes(routes!(runs_operate::run_retry))
        .routes(routes!(runs_operate::run_rerun))
        .routes(routes!(runs_operate::step_skip))
        .routes(routes!(runs_operate::step_complete))
        .routes(routes!(runs_operate::step_answer))
        .routes(routes!(runs_bulk::run_bulk))
        .routes(routes!(runs_live::run_live))
        .routes(routes!(tenants::tenant_create, tenants::tenant_list))
        .routes(routes!(tenants::tenant_update))
        .routes(routes!(keys::key_create, keys::key_list))
        .routes(routes!(keys::key_revoke))
        .routes(routes!(keys::whoami))
        .routes(routes!(nodes::node_list))
        .routes(routes!(nodes::node_drain))
        .routes(routes!(nodes::node_undrain))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
