//! Workers: they take attempts, keep them, and report. `docs/workers.md` is the protocol.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use fleetprompt_client::wire;
use fleetprompt_core::performs::{Pattern, check_labels};
use fleetprompt_core::signal::is_plain_text;
use fleetprompt_core::{Failure, Json, Name, Span, TenantId, Timestamp};
use fleetprompt_engine::workers::{AttemptId, Kind, Taker, WAIT_MAX, Worker, WorkerId, WorkerSeen};
use fleetprompt_engine::{AttemptReport, Delivered, Error, HandOut, TakenAttempts, memory};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use wire::{AttemptOutcome, AttemptStatus};

use super::answer::{Answer, ok};
use super::auth::{Caller, Performer};
use super::body::{self, Sent};
use super::request::Asked;
use super::workers_among::Engines;
use super::workflows::RegisteredQuery;
use super::{Api, Problem, now, page};

const NAMES_MAX: usize = 200;
const LIMIT_MAX: u32 = 100;
const HOLDING_MAX: usize = 1_000;
const OUTCOMES_MAX: usize = 100;
const OUTPUT_BYTES_MAX: usize = 1 << 20;
const PROGRESS_BYTES_MAX: usize = 4 << 10;
const LOGS_MAX: usize = 100;
const LOG_CHARS_MAX: usize = 2_000;
const SLOTS_MAX: u32 = 10_000;

/// Take attempts
///
/// Up to `limit` of them as soon as there is one; after `wait` without any, none. Takes a key that was
/// made for workers, or the role `member`.
#[utoipa::path(
    post, path = "/v1/attempts/take", tag = "workers",
    request_body(content = wire::TakeAttempts, example = json!({
        "worker": {"name": "mailer-1", "version": "1.4.0", "slots": 10},
        "performs": ["mail.*", "lead.score"], "limit": 10, "wait": "30s"
    })),
    responses((status = 200, description = "What there is to do.", body = wire::TakenAttempts)),
)]
pub async fn attempt_take(
    State(api): State<Api>,
    performer: Performer,
    Sent(request): Sent<wire::TakeAttempts>,
) -> Answer {
    let limit = request.limit.unwrap_or(1);
    if limit > LIMIT_MAX {
        return Err(Problem::invalid_request(format!("`limit` is {limit}; it may be 0 to {LIMIT_MAX}")));
    }
    if request.holding.len() > HOLDING_MAX {
        return Err(Problem::invalid_request(format!("`holding` has at most {HOLDING_MAX} ids")));
    }
    let wait = request.wait.unwrap_or_default();
    if wait.to_std() > WAIT_MAX || wait < Span::default() {
        return Err(Problem::invalid_request(format!("`wait` may be up to {} s", WAIT_MAX.as_secs())));
    }
    let (tenant, worker) = (performer.caller().tenant(), performer.worker(request.worker, &request.performs)?);
    // An id that is none names nothing that anybody wants.
    let (holding, strange) = known(request.holding);
    let engines = Engines::of(&api, &worker);
    let mut stopping = api.config().stopping.clone();
    let handed = tokio::select! {
        biased;
        // What is handed out in this moment goes back.
        () = performer.caller().until_key_ends(&api) => return Err(Problem::key_unknown()),
        handed = engines.take(worker.into(), limit as usize, holding, wait.to_std()) => handed,
        _ = stopping.wait_for(|stopping| *stopping) => {
            let canceled = strange;
            return ok(&wire::TakenAttempts { attempts: Vec::new(), canceled, shutdown: true });
        }
    };
    let handed = handed.map_err(|crowded| Problem::busy(&crowded.to_string(), Duration::from_secs(1)))?;
    let TakenAttempts { attempts, canceled } = complete(&api, tenant, handed).await?;
    let attempts = attempts.into_iter().map(attempt).collect::<Result<_, _>>()?;
    let canceled = canceled.iter().map(AttemptId::to_string).chain(strange).collect();
    ok(&wire::TakenAttempts { attempts, canceled, shutdown: false })
}

/// Keep attempts
///
/// Says that the worker is still at them, so that nobody else gets them, and learns which of them are not
/// wanted any more.
#[utoipa::path(
    post, path = "/v1/attempts/heartbeat", tag = "workers",
    request_body(content = wire::KeepAttempts, example = json!({
        "worker": {"name": "mailer-1"},
        "attempts": [{"id": "dir_01h455vb4pex5vsknk084sn02q.1.9f86d081884c7d65", "progress": {"done": 12}}]
    })),
    responses((status = 200, description = "What became of each.", body = wire::KeptAttempts)),
)]
pub async fn attempt_heartbeat(
    State(api): State<Api>,
    performer: Performer,
    Sent(request): Sent<wire::KeepAttempts>,
) -> Answer {
    if request.attempts.len() > HOLDING_MAX {
        return Err(Problem::invalid_request(format!("`attempts` has at most {HOLDING_MAX} entries")));
    }
    let worker = performer.worker(request.worker, &[Pattern::Any])?;
    let engines = Engines::of(&api, &worker);
    let keep = |one: wire::KeepAttempt| {
        let kept = read_id(&one.id).and_then(|id| {
            if one.progress.as_ref().is_some_and(|progress| progress.text().len() > PROGRESS_BYTES_MAX) {
                return Err(Problem::invalid_request(format!("`progress` has at most {PROGRESS_BYTES_MAX} bytes")));
            }
            engines.heartbeat(&worker, &id, one.progress).map_err(|refused| Problem::from(Error::from(refused)))
        });
        match kept {
            Ok(kept) => {
                wire::KeptAttempt::Kept { id: one.id, lease_ms: millis(kept.lease), cancel_requested: kept.is_unwanted }
            }
            Err(error) => wire::KeptAttempt::Refused { id: one.id, error: error.into_wire() },
        }
    };
    let results = request.attempts.into_iter().map(keep).collect();
    ok(&wire::KeptAttempts { results, shutdown: *api.config().stopping.borrow() })
}

/// A report, with its outcomes as they were sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentReport<'t> {
    worker: wire::WorkerAbout,
    #[serde(borrow)]
    outcomes: Vec<&'t RawValue>,
}

/// Report attempts
///
/// How they ended. The answer comes when they are recorded, and has one result for each, in order: one outcome that is
/// refused keeps no other from being recorded. An outcome that is reported twice is recorded once. Send again those whose
/// `error` has the status 429 or 503 or the code `attempt_reported`, and no others.
#[utoipa::path(
    post, path = "/v1/attempts/report", tag = "workers",
    request_body(content = wire::ReportAttempts, example = json!({
        "worker": {"name": "mailer-1"},
        "outcomes": [{
            "id": "dir_01h455vb4pex5vsknk084sn02q.1.9f86d081884c7d65",
            "status": "succeeded", "output": {"message_id": "m_9"}
        }]
    })),
    responses((status = 200, description = "What became of each.", body = wire::ReportedAttempts)),
)]
pub async fn attempt_report(State(api): State<Api>, performer: Performer, request: Request) -> Answer {
    body::media(request.headers(), &[body::Media::Json])?;
    let bytes = body::read(&api, Some(performer.caller().tenant()), request, body::MANY_BYTES_MAX).await?;
    let sent: SentReport<'_> = body::read_json(body::text(&bytes)?)?;
    if sent.outcomes.len() > OUTCOMES_MAX {
        return Err(Problem::invalid_request(format!("`outcomes` has at most {OUTCOMES_MAX} entries")));
    }
    let worker = performer.worker(sent.worker, &[Pattern::Any])?;
    let ids: Vec<String> = sent.outcomes.iter().map(|outcome| id_of(outcome.get())).collect();
    let (mut results, mut reports, mut places) = (Vec::with_capacity(ids.len()), Vec::new(), Vec::new());
    for (place, outcome) in sent.outcomes.into_iter().enumerate() {
        match body::parse(outcome.get()).and_then(report) {
            Ok(report) => {
                places.push(place);
                reports.push(report);
                results.push(Ok(()));
            }
            Err(problem) => results.push(Err(problem)),
        }
    }
    drop(bytes);
    let by = json!({"worker": worker.id.name, "version": worker.version, "key": worker.id.key});
    let reported = Engines::of(&api, &worker).report(&worker, &by.into(), reports).await;
    for (place, reported) in places.into_iter().zip(reported) {
        results[place] = reported.map_err(Problem::from);
    }
    let result = |(id, result): (String, Result<(), Problem>)| match result {
        Ok(()) => wire::ReportedAttempt::Recorded { id },
        Err(error) => wire::ReportedAttempt::Refused { id, error: error.into_wire() },
    };
    ok(&wire::ReportedAttempts { results: ids.into_iter().zip(results).map(result).collect() })
}

/// The id of an outcome, also of one that cannot be read otherwise; the empty text where it has none.
fn id_of(outcome: &str) -> String {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }

    serde_json::from_str(outcome).map_or_else(|_| String::new(), |Named { id }| id)
}

/// List workers
///
/// Those that were heard of within a minute and take attempts of this tenant, by name.
#[utoipa::path(
    get, path = "/v1/workers", tag = "workers", params(RegisteredQuery),
    responses((status = 200, description = "A page of workers.", body = wire::Page<wire::Worker>)),
)]
pub async fn worker_list(State(api): State<Api>, caller: Caller, Asked(query): Asked<RegisteredQuery>) -> Answer {
    let workers = api.engine().workers().list(caller.tenant());
    // Two keys may have workers of the same name.
    let keyed = workers.iter().map(|seen| (format!("{}\n{}", seen.worker.id.name, seen.worker.id.key), seen));
    let keyed: Vec<(String, &WorkerSeen)> = keyed.collect();
    let all = keyed.iter().map(|(key, seen)| (key.as_str(), *seen));
    ok(&page::of_registered(all, query.limit, query.cursor.as_deref(), |seen| Ok(shown(seen)))?)
}

/// Completes attempts by inputs that are not in memory. Where this fails, or the caller leaves, another worker gets them.
async fn complete(api: &Api, tenant: TenantId, handed: HandOut) -> Result<TakenAttempts, Problem> {
    if !handed.has_attempts() {
        return Ok(handed.complete(()).await?);
    }
    // The inputs, and the response that they are written into.
    memory::hold(api.engine().memory().reserve(Some(tenant), handed.input_bytes() * 2)?);
    if handed.has_inputs() {
        return Ok(handed.complete(()).await?);
    }
    let pass = api.config().reads().enter(tenant).await?;
    Ok(handed.complete(pass).await?)
}

impl Performer {
    /// Who speaks, and what of that which it names it may take.
    fn worker(&self, about: wire::WorkerAbout, names: &[Pattern]) -> Result<Worker, Problem> {
        let caller = self.caller();
        if !is_plain_text(&about.name) || about.version.as_ref().is_some_and(|version| !is_plain_text(version)) {
            let detail = "`worker.name` and `worker.version` have 1 to 255 characters and no control characters";
            return Err(Problem::invalid_request(detail));
        }
        check_labels(&about.labels).map_err(|why| Problem::invalid_request(format!("`worker.labels`: {why}")))?;
        if !(1..=NAMES_MAX).contains(&names.len()) {
            return Err(Problem::invalid_request(format!("`performs` has 1 to {NAMES_MAX} names")));
        }
        let performs = caller.key.performs.as_ref();
        let names = performs.map_or_else(|| names.to_vec(), |performs| performs.of(names));
        if names.is_empty() {
            return Err(Problem::forbidden("this key performs nothing of what `performs` names"));
        }
        let tenant = (!performs.is_some_and(|performs| performs.all_tenants)).then_some(caller.tenant());
        Ok(Worker {
            id: WorkerId { key: caller.key.id, name: about.name.into() },
            version: about.version,
            taker: Taker::new(tenant, names, about.labels),
            slots: about.slots.unwrap_or(1).min(SLOTS_MAX) as usize,
        })
    }
}

fn known(holding: Vec<String>) -> (Vec<AttemptId>, Vec<String>) {
    let (mut known, mut strange) = (Vec::new(), Vec::new());
    for text in holding {
        match text.parse() {
            Ok(id) => known.push(id),
            Err(_) => strange.push(text),
        }
    }
    (known, strange)
}

pub fn read_id(text: &str) -> Result<AttemptId, Problem> {
    text.parse().map_err(|error: fleetprompt_engine::workers::InvalidAttemptId| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "attempt_id_invalid", error.to_string())
    })
}

pub fn report(outcome: AttemptOutcome) -> Result<AttemptReport, Problem> {
    let id = read_id(&outcome.id)?;
    let too_long = |line: &String| line.chars().nth(LOG_CHARS_MAX).is_some();
    if outcome.logs.len() > LOGS_MAX || outcome.logs.iter().any(too_long) {
        let detail = format!("`logs` has at most {LOGS_MAX} lines of {LOG_CHARS_MAX} characters");
        return Err(Problem::invalid_request(detail));
    }
    let result = match (outcome.status, outcome.output, outcome.error) {
        (AttemptStatus::Succeeded, output, None) => Ok(output.unwrap_or_else(Json::null)),
        (AttemptStatus::Canceled, None, None) => {
            Err(Failure::fatal("canceled", "the worker was told to stop, and did"))
        }
        (status @ (AttemptStatus::Retry | AttemptStatus::Failed), None, Some(error)) => {
            if !is_plain_text(&error.code) {
                let detail = "`error.code` must have 1 to 255 characters and no control characters";
                return Err(Problem::invalid_request(detail));
            }
            let failure = match status {
                AttemptStatus::Failed => Failure::fatal(&error.code, error.message),
                _ => Failure::retry(&error.code, error.message),
            };
            Err(Failure { retry_after_ms: outcome.delay.map(|delay| delay.0 / 1_000), ..failure })
        }
        _ => {
            let detail = "`output` goes with `succeeded`, and `error` with `retry` and `failed`, which need it";
            return Err(Problem::invalid_request(detail));
        }
    };
    if result.as_ref().is_ok_and(|output| output.text().len() > OUTPUT_BYTES_MAX) {
        let detail = format!("`output` has at most {OUTPUT_BYTES_MAX} bytes: report what it is kept under instead");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "output_too_large", detail));
    }
    Ok(AttemptReport { id, result, logs: outcome.logs })
}

fn attempt(delivered: Delivered) -> Result<wire::Attempt, Problem> {
    let attempt = &delivered.attempt;
    let name: Result<Name, _> = attempt.name.parse();
    Ok(wire::Attempt {
        id: delivered.id.to_string(),
        kind: match attempt.kind {
            Kind::Function => wire::AttemptKind::Function,
            Kind::Directive => wire::AttemptKind::Directive,
        },
        name: name.map_err(|error| Problem::internal("name an attempt", &error))?,
        input: delivered.input,
        idempotency_key: attempt.idempotency_key.clone(),
        attempt: attempt.of.number(),
        delivery: delivered.deliveries,
        tenant: attempt.tenant_slug.clone(),
        run_id: attempt.run_id,
        workflow: attempt.workflow.clone(),
        step: attempt.step.clone(),
        item: attempt.item,
        correlation_id: attempt.correlation_id.to_string(),
        causation_id: attempt.causation_id,
        traceparent: attempt.traceparent(),
        lease_ms: millis(delivered.lease),
        timeout_ms: attempt.timeout.map(millis),
    })
}

fn shown(seen: &WorkerSeen) -> wire::Worker {
    let worker = &seen.worker;
    wire::Worker {
        name: worker.id.name.to_string(),
        version: worker.version.clone(),
        key_id: worker.id.key,
        performs: worker.taker.names.clone(),
        labels: worker.taker.labels.clone(),
        all_tenants: worker.taker.tenant.is_none(),
        slots: u32::try_from(worker.slots).unwrap_or(u32::MAX),
        taken: u32::try_from(seen.taken).unwrap_or(u32::MAX),
        is_waiting: seen.is_waiting,
        first_seen: ago(seen.first_seen),
        last_seen: ago(seen.last_seen),
    }
}

pub fn ago(span: Duration) -> Timestamp {
    Timestamp(now().0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
