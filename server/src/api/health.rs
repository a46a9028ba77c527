//! Whether the process lives, and whether it can take work. For load balancers: no key is needed,
//! and nothing about any tenant is said.

use axum::extract::State;
use fleetprompt_client::wire::Health;
use fleetprompt_engine::Engine;

use super::answer::{Answer, ok};
use super::{Among, Api, Problem};

/// Check that the process lives
#[utoipa::path(
    get, path = "/healthz", tag = "operations", security(()),
    responses((status = 200, description = "It lives.", body = Health)),
)]
pub async fn healthz() -> Answer {
    ok(&well())
}

/// Check that it takes work
///
/// 503 from a commit that the store refused until it accepts one again, while the store is away, and while the server
/// stops.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "It takes work.", body = Health)),
)]
pub async fn readyz(State(api): State<Api>) -> Answer {
    if *api.config().stopping.borrow() {
        return Err(Problem::unavailable("the server is stopping"));
    }
    let refuses_commits = |among: &Among| among.engines.borrow().iter().any(Engine::refuses_commits);
    if !api.engine().is_ready() || api.among().is_some_and(refuses_commits) {
        return Err(Problem::unavailable("the store refuses commits; the log of the server says why"));
    }
    ok(&well())
}

fn well() -> Health {
    Health { status: "ok".to_owned() }
}
