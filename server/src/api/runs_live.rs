//! One run as it happens, as server-sent events.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use fleetprompt_client::wire::schema;
use fleetprompt_core::RunId;
use fleetprompt_store::StepRange;

use super::auth::Caller;
use super::follow::{self, Follower, of_run, resumed};
use super::request::{At, LastEventId};
use super::{Api, Problem};

/// Follow a run
///
/// Server-sent events: the signals of the run from its beginning, or behind `Last-Event-ID`, each
/// with its id and `event: signal`. When the run has ended, one `event: end` holds the run, and the
/// stream is over.
#[utoipa::path(
    get, path = "/v1/runs/{id}/live", tag = "runs",
    params(
        ("id" = schema::RunId, Path, description = "The run's id."),
        LastEventId,
    ),
    responses((status = 200, description = "A stream of signals.", body = String, content_type = "text/event-stream")),
)]
pub async fn run_live(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (pass, tenant) = (follow::enter(&api, &caller)?, caller.tenant());
    let no_steps = StepRange { limit: 0, ..StepRange::one(0) };
    let known = api.read(move |store| Ok(store.run_steps(tenant, id, no_steps)?.is_some())).await?;
    if !known {
        return Err(Problem::not_found("run", id));
    }
    let cursor = resumed(&headers, None)?;
    Ok(Follower::new(api, caller, of_run(id), cursor, pass).into_response())
}
