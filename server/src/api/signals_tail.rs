//! The tenant's log as it grows, as server-sent events.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use fleetprompt_client::wire::schema;
use fleetprompt_core::{Name, SignalId};
use fleetprompt_store::{Page, SignalFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Caller;
use super::follow::{self, Follower, resumed};
use super::request::{Asked, LastEventId};
use super::{Api, Problem};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TailQuery {
    /// Only signals of this name.
    #[param(value_type = Option<schema::Name>)]
    name: Option<Name>,
    /// Begin after this signal; with what comes next unless given.
    #[param(value_type = Option<schema::SignalId>)]
    after: Option<SignalId>,
}

/// Tail signals
///
/// Server-sent events: `id` is the signal's id, `event` is `signal`, `data` is the signal as JSON.
/// It begins with what is recorded next; with `Last-Event-ID`, or `after`, it goes on behind that
/// signal and leaves nothing out. Comments are heartbeats.
#[utoipa::path(
    get, path = "/v1/signals/tail", tag = "signals",
    params(TailQuery, LastEventId),
    responses((status = 200, description = "A stream of signals.", body = String, content_type = "text/event-stream")),
)]
pub async fn signal_tail(
    State(api): State<Api>,
    caller: Caller,
    Asked(query): Asked<TailQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pass = follow::enter(&api, &caller)?;
    let cursor = match resumed(&headers, query.after)? {
        Some(id) => Some(id),
        None => newest(&api, &caller).await?,
    };
    let filter = SignalFilter { name: query.name, ..SignalFilter::default() };
    Ok(Follower::new(api, caller, filter, cursor, pass).into_response())
}

/// Of any name, so that the stream begins now and not at the last signal of the name.
async fn newest(api: &Api, caller: &Caller) -> Result<Option<SignalId>, Problem> {
    let tenant = caller.tenant();
    let read = api.read(move |store| Ok(store.signals(tenant, &SignalFilter::default(), Page::newest(1))?));
    Ok(read.await?.first().map(|signal| signal.id))
}
