//! Following a tenant's log as it grows: what the SSE endpoints share.
//!
//! A follower reads a page after its cursor, which is limited by bytes, and reads the next one when its connection has
//! taken that. When there is nothing more it waits for the next commit. It never holds a transaction or a thread while it
//! waits, and it ends when the server stops, at once when its key is revoked or expires, or
//! with the run that it follows.
//!
//! A page takes memory of the responses of its tenant until the connection has taken it. Without room the follower waits.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use fleetprompt_client::wire;
use fleetprompt_core::{RunId, Signal, SignalId};
use fleetprompt_engine::memory::Reservation;
use fleetprompt_store::{Page, SignalFilter, StepRange};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use uuid::Uuid;

use super::auth::Caller;
use super::gate::Pass;
use super::{Api, Problem, runs_view, view};

const PAGE: usize = 200;
/// A page ends with the signal that exceeds them: what a stream holds that its client does not read.
const PAGE_BYTES: usize = 64 << 10;
/// What an event takes besides the payload of its signal, about.
const EVENT_BYTES: usize = 1 << 10;
/// A commit may be another tenant's: the more of those in a row, the longer the pause.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(250);

pub struct Follower {
    api: Api,
    caller: Caller,
    filter: SignalFilter,
    cursor: Option<Uuid>,
    commits: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    pause: Duration,
    /// Told once, so that a client that loses its connection before the first signal misses none.
    begins_after: Option<SignalId>,
    has_ended: bool,
    /// Of the page that the connection is taking.
    memory: Reservation,
    _pass: Pass,
}

/// Permission to open a stream: it is taken before anything is read for it.
pub fn enter(api: &Api, caller: &Caller) -> Result<Pass, Problem> {
    api.config().counted.streams.try_enter(caller.tenant())
}

impl Follower {
    pub fn new(api: Api, caller: Caller, filter: SignalFilter, cursor: Option<SignalId>, pass: Pass) -> Self {
        Self {
            memory: api.engine().memory().for_responses(caller.tenant()),
            commits: api.engine().commits(),
            stopping: api.config().stopping.clone(),
            api,
            caller,
            filter,
            cursor: cursor.map(|id| id.0),
            pause: PAUSE_MIN,
            begins_after: cursor,
            has_ended: false,
            _pass: pass,
        }
    }

    pub fn into_response(self) -> Response {
        let alive = KeepAlive::new().interval(self.api.config().heartbeat);
        // Asked before each event, and not only before each page.
        let ended = self.caller.until_key_ends(&self.api);
        let batches = stream::unfold(self, |mut follower| async {
            follower.next().await.map(|events| (stream::iter(events), follower))
        });
        Sse::new(batches.flatten().take_until(ended).map(Ok::<_, Infallible>)).keep_alive(alive).into_response()
    }

    /// The next events, or none when the stream is at its end.
    async fn next(&mut self) -> Option<Vec<Event>> {
        if let Some(id) = self.begins_after.take() {
            return Some(vec![Event::default().id(id.to_string())]);
        }
        // The connection has taken the page before.
        self.memory.shrink_to(0);
        while !self.has_ended {
            // Seen before the read, so that a commit during the read wakes us again.
            self.commits.mark_unchanged();
            match self.events().await {
                Ok(None) => {
                    self.memory.shrink_to(0);
                    self.pause = PAUSE_MAX;
                    // Memory is free again without a commit.
                    self.commits.mark_changed();
                }
                Ok(Some(events)) if events.is_empty() => self.memory.shrink_to(0),
                Ok(Some(events)) => {
                    self.pause = PAUSE_MIN;
                    return Some(events);
                }
                Err(problem) => {
                    self.has_ended = true;
                    return Some(vec![Event::default().event("problem").data(problem.text())]);
                }
            }
            if !self.wait().await {
                return None;
            }
        }
        None
    }

    /// The events of the next page; `None` if there is no memory for it.
    async fn events(&mut self) -> Result<Option<Vec<Event>>, Problem> {
        if self.memory.try_grow(PAGE_BYTES).is_err() {
            return Ok(None);
        }
        let (tenant, filter, cursor) = (self.caller.tenant(), self.filter.clone(), self.cursor);
        // The run is read first, without its documents: if it has ended, its whole record was there to be read after it.
        let no_steps = StepRange { limit: 0, ..StepRange::one(0) };
        let run = self.filter.run_id;
        let (run, signals) = self
            .api
            .read(move |store| {
                let bare = run.map(|id| store.run_steps(tenant, id, no_steps)).transpose()?.flatten();
                let signals = store.signals(tenant, &filter, Page::after(cursor, PAGE).within(PAGE_BYTES))?;
                let ended = bare.filter(|bare| bare.run.status.has_ended() && signals.is_empty());
                let run = ended.map(|bare| store.run_head(tenant, bare.run.id)).transpose()?.flatten();
                Ok((run, signals))
            })
            .await?;
        let of_run =
            run.iter().flat_map(|run| [&run.input, &run.output]).flatten().map(|document| document.text().len());
        let of_signals = signals.iter().map(|signal| signal.payload.text().len() + EVENT_BYTES);
        let bytes = of_signals.chain(of_run).sum();
        self.memory.shrink_to(bytes);
        if self.memory.try_grow(bytes - self.memory.bytes()).is_err() {
            return Ok(None);
        }
        if let Some(last) = signals.last() {
            self.cursor = Some(last.id.0);
        }
        let mut events = signals.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        if let Some(run) = run {
            self.has_ended = true;
            let run = wire::RunDetail { run: runs_view::run(&run), next_cursor: None };
            events.push(written(Event::default().event("end"), &run)?);
        }
        Ok(Some(events))
    }

    /// For the next commit; false when there is nothing to wait for any more.
    async fn wait(&mut self) -> bool {
        let stopped = async {
            // A sender that is gone never says stop.
            if self.stopping.wait_for(|stopping| *stopping).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let committed = async {
            tokio::time::sleep(self.pause).await;
            self.commits.changed().await
        };
        tokio::select! {
            () = stopped => return false,
            // The engine has gone, and with it all that could happen.
            changed = committed => if changed.is_err() { return false },
        }
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

fn event(signal: &Signal) -> Result<Event, Problem> {
    written(Event::default().id(signal.id.to_string()).event("signal"), &view::signal(signal))
}

fn written(event: Event, data: &impl serde::Serialize) -> Result<Event, Problem> {
    event.json_data(data).map_err(|error| Problem::internal("write the event", &error))
}

/// Where a client that lost its connection goes on: its header, or what it asks for.
pub fn resumed(headers: &HeaderMap, after: Option<SignalId>) -> Result<Option<SignalId>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(after) };
    let id = value.to_str().unwrap_or_default().parse();
    id.map(Some).map_err(|error| Problem::invalid_request(format!("the header `Last-Event-ID`: {error}")))
}

/// The record of one run.
pub fn of_run(id: RunId) -> SignalFilter {
    SignalFilter { run_id: Some(id), ..SignalFilter::default() }
}
