//! Whether the process lives, and whether it can take work. For load balancers: no key is needed,
//! and nothing about any tenant is said.

use axum::extract::State;
use fleetprompt_client::wire::Health;

use super::answer::{Answer, ok};
use super::{Api, Problem};

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
/// 503 for five seconds after the store refused a commit, and while the server stops.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, description = "It takes work.", body = Health)),
)]
pub async fn readyz(State(api): State<Api>) -> Answer {
    if *api.config().stopping.borrow() {
        return Err(Problem::unavailable("the server is stopping"));
    }
    if !api.engine().is_ready() {
        return Err(Problem::unavailable("the store refuses commits; the log of the server says why"));
    }
    ok(&well())
}

fn well() -> Health {
    Health { status: "ok".to_owned() }
}
