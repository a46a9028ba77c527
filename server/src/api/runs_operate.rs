//! What people do to runs and their steps. Each is the directive of the same name, asked for under the
//! caller's key; whether it may be is decided in the engine, and the answer is the run as it is then.

use axum::extract::State;
use axum::http::HeaderMap;
use fleetprompt_client::wire;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Name, RunId};
use fleetprompt_engine::{NewDirective, Requested};
use serde_json::{Value, json};
use wire::schema;

use super::answer::{Answer, ok};
use super::auth::Caller;
use super::body::{Sent, SentOrNot};
use super::request::{At, AtStep, IdempotencyKey, key_or_fresh};
use super::runs::{head, names, place};
use super::steps::{Reader, STEPS_MAX};
use super::{Api, Problem, view};

/// Cancel a run
///
/// By the directive `workflow.run.cancel`: what is under way is withdrawn, and when that has ended, so
/// has the run. With `compensate` what its steps did is undone first.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), IdempotencyKey),
    request_body(content = Option<wire::CancelRun>, example = json!({"reason": "the thread was deleted"})),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn run_cancel(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
    SentOrNot(sent): SentOrNot<wire::CancelRun>,
) -> Answer {
    let operation = Operation::of_run(id, "workflow.run.cancel", Role::Member, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Pause a run
///
/// What is under way ends, and nothing else begins until it is resumed. The time that it stands does
/// not count for its timeout.
#[utoipa::path(
    post, path = "/v1/runs/{id}/pause", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), IdempotencyKey),
    request_body(content = wire::Reason, example = json!({"reason": "the shop is being moved"})),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn run_pause(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
    Sent(sent): Sent<wire::Reason>,
) -> Answer {
    let operation = Operation::of_run(id, "workflow.run.pause", Role::Member, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Resume a run
///
/// One that was paused goes on.
#[utoipa::path(
    post, path = "/v1/runs/{id}/resume", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), IdempotencyKey),
    request_body(content = wire::Reason, example = json!({"reason": "the shop has moved"})),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn run_resume(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
    Sent(sent): Sent<wire::Reason>,
) -> Answer {
    let operation = Operation::of_run(id, "workflow.run.resume", Role::Member, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Retry a run
///
/// One that is parked or has ended does its failed steps again, or those of `from`, and all behind
/// them. What succeeded is not done twice, unless `reissue` says so. Takes the role `operator`.
#[utoipa::path(
    post, path = "/v1/runs/{id}/retry", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), IdempotencyKey),
    request_body(content = wire::RetryRun, example = json!({"reason": "the card works again", "from": ["charge"]})),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn run_retry(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
    Sent(sent): Sent<wire::RetryRun>,
) -> Answer {
    let operation = Operation::of_run(id, "workflow.run.retry", Role::Operator, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Rerun a run
///
/// One that has ended is done again as a new run, with the same input or a corrected one, on the same
/// version or another. What its directives came to is taken over, unless `reissue` says otherwise.
/// Takes the role `operator`.
#[utoipa::path(
    post, path = "/v1/runs/{id}/rerun", tag = "runs",
    params(("id" = schema::RunId, Path, description = "The run's id."), IdempotencyKey),
    request_body(content = wire::RerunRun, example = json!({"reason": "fixed in 1.0.1", "version": "1.0.1"})),
    responses((status = 200, description = "The new run.", body = wire::Operated)),
)]
pub async fn run_rerun(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<RunId>,
    headers: HeaderMap,
    Sent(sent): Sent<wire::RerunRun>,
) -> Answer {
    let operation = Operation::of_run(id, "workflow.run.rerun", Role::Operator, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Skip a step
///
/// The run goes on without it. Takes the role `operator`.
#[utoipa::path(
    post, path = "/v1/runs/{id}/steps/{step}/skip", tag = "runs",
    params(
        ("id" = schema::RunId, Path, description = "The run's id."),
        ("step" = String, Path, description = "The step's id."),
        IdempotencyKey,
    ),
    request_body(content = wire::SkipStep, example = json!({"reason": "the customer was told by phone"})),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn step_skip(
    State(api): State<Api>,
    caller: Caller,
    AtStep(id, step): AtStep,
    headers: HeaderMap,
    Sent(sent): Sent<wire::SkipStep>,
) -> Answer {
    let operation = Operation::of_step(id, step, "workflow.step.skip", Role::Operator, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Complete a step
///
/// The run goes on with this output. Takes the role `operator`.
#[utoipa::path(
    post, path = "/v1/runs/{id}/steps/{step}/complete", tag = "runs",
    params(
        ("id" = schema::RunId, Path, description = "The run's id."),
        ("step" = String, Path, description = "The step's id."),
        IdempotencyKey,
    ),
    request_body(
        content = wire::CompleteStep,
        example = json!({"output": {"invoice": "R-7"}, "reason": "made by hand"}),
    ),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn step_complete(
    State(api): State<Api>,
    caller: Caller,
    AtStep(id, step): AtStep,
    headers: HeaderMap,
    Sent(sent): Sent<wire::CompleteStep>,
) -> Answer {
    let operation = Operation::of_step(id, step, "workflow.step.complete", Role::Operator, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

/// Answer a step
///
/// One that waits for somebody's input, if the caller has the role that it asks for.
#[utoipa::path(
    post, path = "/v1/runs/{id}/steps/{step}/answer", tag = "runs",
    params(
        ("id" = schema::RunId, Path, description = "The run's id."),
        ("step" = String, Path, description = "The step's id."),
        IdempotencyKey,
    ),
    request_body(content = wire::AnswerStep, example = json!({"value": {"approved": true}})),
    responses((status = 200, description = "The run as it is now.", body = wire::Operated)),
)]
pub async fn step_answer(
    State(api): State<Api>,
    caller: Caller,
    AtStep(id, step): AtStep,
    headers: HeaderMap,
    Sent(sent): Sent<wire::AnswerStep>,
) -> Answer {
    let operation = Operation::of_step(id, step, "workflow.step.answer", Role::Member, &sent)?;
    operation.carry_out(&api, &caller, &headers).await
}

struct Operation {
    run: RunId,
    step: Option<String>,
    name: &'static str,
    role: Role,
    payload: String,
}

impl Operation {
    fn of_run(run: RunId, name: &'static str, role: Role, sent: &impl serde::Serialize) -> Result<Self, Problem> {
        let payload = with(sent, &json!({"run_id": run}))?;
        Ok(Self { run, step: None, name, role, payload })
    }

    fn of_step(
        run: RunId,
        step: String,
        name: &'static str,
        role: Role,
        sent: &impl serde::Serialize,
    ) -> Result<Self, Problem> {
        let payload = with(sent, &json!({"run_id": run, "step": step}))?;
        Ok(Self { run, step: Some(step), name, role, payload })
    }

    async fn carry_out(self, api: &Api, caller: &Caller, headers: &HeaderMap) -> Answer {
        caller.must_be(self.role)?;
        let key = key_or_fresh(headers)?;
        self.check_place(api, caller).await?;
        let requested = request(api, caller, self.name, self.run, self.payload, key).await?;
        if let Some(error) = &requested.directive.error {
            return Err(Problem::of_failure(error));
        }
        let run = started(&requested).unwrap_or(self.run);
        let reader = Reader::new(api, caller);
        let run = api.read(move |store| Ok(reader.run(store, run, STEPS_MAX)?.run)).await?;
        let directive = view::directive(&requested.directive);
        ok(&wire::Operated { run, directive, replayed: requested.replayed })
    }

    /// What is not there, or another tenant's, is told before anything is on record.
    async fn check_place(&self, api: &Api, caller: &Caller) -> Result<(), Problem> {
        let (tenant, directory) = (caller.tenant(), caller.directory.clone());
        let (id, step) = (self.run, self.step.clone());
        let read = api.read(move |store| {
            let run = head(store, tenant, id)?;
            match step {
                Some(step) => place(&names(store, &directory, &run)?, id, &step).map(drop),
                None => Ok(()),
            }
        });
        read.await
    }
}

/// What was sent, and which run or step it is about, as one payload. Numbers keep their digits.
fn with(sent: &impl serde::Serialize, place: &Value) -> Result<String, Problem> {
    let lost = |error| Problem::internal("write the payload", &error);
    let sent = serde_json::to_string(sent).map_err(lost)?;
    let place = serde_json::to_string(place).map_err(lost)?;
    let sent = sent.trim_start_matches('{');
    let comma = if sent == "}" { "" } else { "," };
    Ok(format!("{}{comma}{sent}", place.trim_end_matches('}')))
}

/// One intent about one run.
pub async fn request(
    api: &Api,
    caller: &Caller,
    name: &'static str,
    run: RunId,
    payload: String,
    idempotency_key: String,
) -> Result<Requested, Problem> {
    let payload = fleetprompt_core::Json::parse(&payload);
    let directive = NewDirective {
        name: Name::known(name),
        payload: payload.map_err(|error| Problem::invalid_request(error.to_string()))?,
        idempotency_key,
        correlation_id: None,
        causation_id: Some(run.into()),
    };
    Ok(api.engine().request(&caller.scope, directive).await?)
}

/// The run that the directive's output names; of `rerun` it is another one.
pub fn started(requested: &Requested) -> Option<RunId> {
    requested.directive.output.as_ref()?.value().get("run_id")?.as_str()?.parse().ok()
}
