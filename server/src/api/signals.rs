//! Signals: `POST` is the hot path of the whole program. It reads the body once, asks the engine
//! once, and writes the answer once.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use fleetprompt_client::wire;
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Name, RunId, SignalId};
use fleetprompt_engine::{NewDirective, background};
use fleetprompt_store::{Page, SignalFilter};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::IntoParams;
use wire::schema;

use super::answer::{Answer, made, ok};
use super::auth::Caller;
use super::body::{self, MANY_BYTES_MAX, Media, ONE_BYTES_MAX};
use super::page::Reading;
use super::request::{Asked, At, IdempotencyKey, caller_trace, correlation, key_or_fresh};
use super::{Api, Problem, page, view};

/// Signals in one request.
const MANY_MAX: usize = 1_000;
/// Dispositions that are shown with a signal.
const DISPOSITIONS_MAX: usize = 1_000;
/// A larger body is read on another thread than those that serve.
const READ_AT_ONCE: usize = 64 << 10;

/// Emit signals
///
/// Records facts. A JSON object is one signal: 201 when it is new, 200 when it was known already. A
/// JSON array, or one object a line as `application/x-ndjson`, is up to 1,000 signals in 10 MiB: 200,
/// with one result for each, in order; one that is refused has its `error` and keeps no other out.
/// An answer means that the signals are on disk, and says what became of each; without one, some of them may be, and
/// whoever tells them again gives each its `dedupe_key`. A key that was used for another payload of the same name is
/// answered by 422 `dedupe_key_reused`. With the header `traceparent`
/// and no `correlation_id` or `causation_id`, a signal and all that follows from it belong to the caller's trace.
#[utoipa::path(
    post, path = "/v1/signals", tag = "signals",
    request_body(
        content((EmitBody = "application/json"), (String = "application/x-ndjson")),
        description = "One signal, an array of them, or one a line.",
        example = json!({
            "name": "forum.thread.created",
            "subject": {"type": "thread", "id": "42"},
            "dedupe_key": "thread-42",
            "payload": {"title": "How do I rotate a key?", "category": "help"}
        }),
    ),
    responses(
        (status = 201, description = "It is on record.", body = wire::Emitted),
        (status = 200, description = "It was known already (one signal), or the results of many.",
            body = EmitAnswer),
    ),
)]
pub async fn signal_emit(State(api): State<Api>, caller: Caller, request: Request) -> Answer {
    caller.must_be(Role::Member)?;
    let media = body::media(request.headers(), &[Media::Json, Media::Ndjson])?;
    let trace = caller_trace(request.headers()).map(str::to_owned);
    let bytes = body::read(&api, Some(caller.tenant()), request, MANY_BYTES_MAX).await?;
    let is_large = bytes.len() > READ_AT_ONCE;
    let read = move || Sent::read(&bytes, media == Some(Media::Ndjson), trace.as_deref());
    let sent = if is_large {
        background::run(read).await.unwrap_or_else(|error| Err(Problem::internal("read the signals", &error)))
    } else {
        read()
    };
    match sent? {
        Sent::Many(many) => emit_many(&api, &caller, many).await,
        Sent::One(signal) => emit_one(&api, &caller, *signal).await,
    }
}

/// What one request has sent.
enum Sent {
    One(Box<NewSignal>),
    Many(Many),
}

impl Sent {
    fn read(bytes: &[u8], is_ndjson: bool, trace: Option<&str>) -> Result<Self, Problem> {
        let text = body::text(bytes)?;
        if is_ndjson {
            let lines = text.lines().filter(|line| !line.trim_ascii().is_empty());
            return read_many(lines.collect(), trace).map(Self::Many);
        }
        if text.trim_ascii_start().starts_with('[') {
            // Items are read one by one later: what is wrong with one of them stays its own.
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(Problem::malformed_json)?;
            return read_many(items.into_iter().map(RawValue::get).collect(), trace).map(Self::Many);
        }
        Ok(Self::One(Box::new(new_signal(text, trace)?)))
    }
}

async fn emit_one(api: &Api, caller: &Caller, signal: NewSignal) -> Answer {
    let mut results = api.engine().emit(&caller.scope, vec![signal]).await?;
    let result = results.pop().ok_or_else(|| Problem::internal("emit the signal", &"the engine gave no result"))?;
    let emitted = view::emitted(&result?);
    made(!emitted.deduplicated, &emitted)
}

/// What of many signals could be read, and what is wrong with the others, each by its place.
struct Many {
    signals: Vec<NewSignal>,
    refused: Vec<(usize, Problem)>,
}

fn read_many(texts: Vec<&str>, trace: Option<&str>) -> Result<Many, Problem> {
    if texts.len() > MANY_MAX {
        let detail = format!("{} signals in one request; at most {MANY_MAX} are taken", texts.len());
        return Err(Problem::invalid_request(detail));
    }
    let (mut signals, mut refused) = (Vec::with_capacity(texts.len()), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        match new_signal(text, trace) {
            Ok(signal) => signals.push(signal),
            Err(problem) => refused.push((index, problem)),
        }
    }
    Ok(Many { signals, refused })
}

async fn emit_many(api: &Api, caller: &Caller, Many { signals, refused }: Many) -> Answer {
    let emitted = if signals.is_empty() { Vec::new() } else { api.engine().emit(&caller.scope, signals).await? };
    let mut results: Vec<_> = emitted.into_iter().map(|result| result_of(result.map_err(Problem::from))).collect();
    // In the order of the request, so each index is that of its final place.
    for (index, problem) in refused {
        results.insert(index.min(results.len()), wire::EmitResult::Refused { error: problem.into_wire() });
    }
    ok(&wire::EmittedMany { results })
}

fn result_of(result: Result<fleetprompt_engine::Emitted, Problem>) -> wire::EmitResult {
    match result {
        Ok(emitted) => wire::EmitResult::Emitted(view::emitted(&emitted)),
        Err(problem) => wire::EmitResult::Refused { error: problem.into_wire() },
    }
}

fn new_signal(text: &str, trace: Option<&str>) -> Result<NewSignal, Problem> {
    if text.len() > ONE_BYTES_MAX {
        return Err(Problem::body_too_large(ONE_BYTES_MAX));
    }
    let signal: wire::EmitSignal = body::parse(text)?;
    Ok(NewSignal {
        name: signal.name,
        subject: signal.subject,
        actor: signal.actor,
        source: signal.source,
        source_event_id: signal.source_event_id,
        dedupe_key: signal.dedupe_key,
        correlation_id: correlation(signal.correlation_id, signal.causation_id, trace),
        causation_id: signal.causation_id,
        occurred_at: signal.occurred_at,
        payload: signal.payload.unwrap_or_else(|| json!({}).into()),
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SignalQuery {
    /// Only signals of this name.
    #[param(value_type = Option<schema::Name>)]
    name: Option<Name>,
    /// Everything of the group: facts, and the records of its runs and directives.
    correlation_id: Option<String>,
    /// The record of one run.
    #[param(value_type = Option<schema::RunId>)]
    run_id: Option<RunId>,
    /// 1 to 1,000; 50 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List signals
///
/// Newest first.
#[utoipa::path(
    get, path = "/v1/signals", tag = "signals", params(SignalQuery),
    responses((status = 200, description = "A page of signals.", body = wire::Page<wire::Signal>)),
)]
pub async fn signal_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<SignalQuery>) -> Answer {
    let limit = page::limit(query.limit)?;
    let cursor: Option<SignalId> = page::cursor(query.cursor.as_deref())?;
    let filter = SignalFilter {
        name: query.name,
        correlation_id: query.correlation_id,
        run_id: query.run_id,
        ..SignalFilter::default()
    };
    let (tenant, page) = (caller.tenant(), Page::before(cursor.map(|id| id.0), limit));
    let read = api.read(move |store| {
        let list = |page| Ok(store.signals(tenant, &filter, page)?);
        Reading::new(page, list, |signal| signal.id.into()).read(|signal| Ok(Some(view::signal(&signal))))
    });
    ok(&read.await?)
}

/// Get a signal
///
/// With what became of it for every workflow that listens to it, and every run that waited for it: the first 1,000 of
/// these, by workflow.
#[utoipa::path(
    get, path = "/v1/signals/{id}", tag = "signals",
    params(("id" = schema::SignalId, Path, description = "The signal's id.")),
    responses((status = 200, description = "The signal and its dispositions.", body = wire::SignalDetail)),
)]
pub async fn signal_get(State(api): State<Api>, caller: Caller, At(id): At<SignalId>) -> Answer {
    let tenant = caller.tenant();
    let read = api.read(move |store| {
        let signal = store.signal(tenant, id)?.ok_or_else(|| Problem::not_found("signal", id))?;
        Ok((signal, store.dispositions(tenant, id, DISPOSITIONS_MAX + 1)?))
    });
    let (signal, dispositions) = read.await?;
    let has_more_dispositions = dispositions.len() > DISPOSITIONS_MAX;
    let dispositions = dispositions.iter().take(DISPOSITIONS_MAX).map(view::disposition).collect();
    ok(&wire::SignalDetail { signal: view::signal(&signal), dispositions, has_more_dispositions })
}

/// Replay a signal
///
/// Offers the signal again to every workflow that listens to its name now, by the directive
/// `signal.replay`. A workflow that it has started a run of before gets no second one.
#[utoipa::path(
    post, path = "/v1/signals/{id}/replay", tag = "signals",
    params(
        ("id" = schema::SignalId, Path, description = "The signal's id."),
        IdempotencyKey,
    ),
    responses((status = 200, description = "What became of it this time.", body = Replayed)),
)]
pub async fn signal_replay(State(api): State<Api>, caller: Caller, At(id): At<SignalId>, headers: HeaderMap) -> Answer {
    caller.must_be(Role::Member)?;
    let tenant = caller.tenant();
    api.read(move |store| store.signal(tenant, id)?.map(drop).ok_or_else(|| Problem::not_found("signal", id))).await?;
    let directive = NewDirective {
        name: Name::known("signal.replay"),
        payload: json!({"signal_id": id}).into(),
        idempotency_key: key_or_fresh(&headers)?,
        correlation_id: None,
        causation_id: Some(id.into()),
    };
    let requested = api.engine().request(&caller.scope, directive).await?;
    match (&requested.directive.output, &requested.directive.error) {
        (Some(output), _) => ok(output),
        (None, Some(error)) => Err(Problem::of_failure(error)),
        (None, None) => ok(&Json::from(json!({"dispositions": []}))),
    }
}

/// What `POST /v1/signals` takes as JSON.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only its shape is asked for")]
#[serde(untagged)]
pub enum EmitBody {
    One(Box<wire::EmitSignal>),
    Many(Vec<wire::EmitSignal>),
}

/// What `POST /v1/signals` answers with 200.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only its shape is asked for")]
#[serde(untagged)]
pub enum EmitAnswer {
    One(wire::Emitted),
    Many(wire::EmittedMany),
}

/// What became of a signal that was offered again.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only its shape is asked for")]
pub struct Replayed {
    dispositions: Vec<wire::Disposition>,
}
