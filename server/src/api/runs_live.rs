//! One run as it happens, as server-sent events.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use fleetprompt_client::wire::schema;
use fleetprompt_core::RunId;

use super::auth::Caller;
use super::follow::{Follower, of_run, resumed};
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
    let tenant = caller.tenant();
    api.read(move |store| store.run_head(tenant, id)?.map(drop).ok_or_else(|| Problem::not_found("run", id))).await?;
    let cursor = resumed(&headers, None)?;
    Ok(Follower::new(api, caller, of_run(id), cursor)?.into_response())
}
