//! Callbacks: an endpoint that answered a delivery by 202 says later how it ended, or that it is still at it.
//! It has no key. What it says is signed with the secret that deliveries to it are signed with, under a `webhook-id` that
//! names the callback: a message about one attempt says nothing about another, and counts once.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use fleetprompt_client::wire;
use fleetprompt_core::directive::Handler;
use fleetprompt_core::performs::{Labels, Pattern};
use fleetprompt_core::signature::{is_signed, message_digest};
use fleetprompt_core::{KeyId, TenantId};
use fleetprompt_engine::Error;
use fleetprompt_engine::workers::{Attempt, AttemptId, Taker, Worker, WorkerId};
use serde_json::json;

use super::answer::{Answer, ok};
use super::request::At;
use super::{Api, Problem, body, now, workers};

/// Call back
///
/// From an endpoint that answered the delivery of a directive by 202, under the `callback` that it was sent:
/// how it ended, as workers report it, or `{"status": "working"}` before its `heartbeat` is over. Signed by
/// Standard Webhooks with the secret of the directive's type; no key is needed. The `webhook-id` is the callback, or
/// begins with it and a colon. A message that is sent again has no effect.
#[utoipa::path(
    post, path = "/v1/callbacks/{callback}", tag = "directives", security(()),
    params(("callback" = String, Path, description = "The `callback` of the delivery.")),
    request_body(content = wire::Callback, example = json!({"status": "succeeded", "output": {"post_id": "p_9"}})),
    responses((status = 200, description = "It is on record.", body = wire::CalledBack)),
)]
pub async fn callback(State(api): State<Api>, At(callback): At<String>, request: Request) -> Answer {
    body::media(request.headers(), &[body::Media::Json])?;
    let id = workers::read_id(&callback)?;
    let unknown = || {
        let detail = "nothing waits for this callback, or it is not signed as deliveries are, under a `webhook-id` that is \
                      the callback or begins with it and `:`";
        Problem::unauthorized(detail)
    };
    // Nothing is read for callers that cannot have been asked to call back.
    let attempt = api.engine().workers().held(&id).ok_or_else(unknown)?;
    let headers = request.headers().clone();
    let bytes = body::read(&api, Some(attempt.tenant), request, body::ONE_BYTES_MAX).await?;
    let message = Message::of(&headers, &bytes);
    if !message.is_about(&id) || !message.is_from_endpoint(&api, &attempt) {
        return Err(unknown());
    }
    let said: wire::Callback = body::parse(body::text(&bytes)?)?;
    let worker = endpoint(attempt.tenant);
    match said.status {
        wire::CallbackStatus::Working => {
            let kept = api.engine().workers().endpoint_heartbeat(&worker, &id, said.progress, message.digest());
            let kept = kept.map_err(Error::from)?;
            ok(&wire::CalledBack { cancel_requested: kept.is_unwanted })
        }
        _ => {
            let report = workers::report(said.outcome(callback))?;
            let by = json!({"callback": true}).into();
            let reported = api.engine().attempts_report(&worker, &by, vec![report]).await;
            reported.into_iter().collect::<Result<(), _>>()?;
            ok(&wire::CalledBack { cancel_requested: false })
        }
    }
}

/// A message by Standard Webhooks.
struct Message<'a> {
    id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn of(headers: &'a HeaderMap, body: &'a [u8]) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body,
        }
    }

    /// The id is signed, and nothing else that is signed names the attempt.
    fn is_about(&self, callback: &AttemptId) -> bool {
        let rest = self.id.strip_prefix(&callback.to_string());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    fn is_from_endpoint(&self, api: &Api, attempt: &Attempt) -> bool {
        let directory = api.engine().directory();
        let of_type = directory.tenant(attempt.tenant).and_then(|tenant| tenant.directive_types.get(&*attempt.name));
        match of_type.map(|(_, of_type)| &of_type.handler) {
            Some(Handler::Http { secret: Some(secret), .. }) => {
                is_signed(secret, self.id, self.timestamp, self.body, self.signature, now())
            }
            _ => false,
        }
    }

    fn digest(&self) -> [u8; 32] {
        message_digest(self.id, self.timestamp, self.body)
    }
}

/// Whoever stands behind the endpoint: it speaks of nothing but what it holds.
fn endpoint(tenant: TenantId) -> Worker {
    Worker {
        id: WorkerId { key: KeyId(uuid::Uuid::nil()), name: "callback".into() },
        version: None,
        taker: Taker::new(Some(tenant), vec![Pattern::Any], Labels::new()),
        slots: 0,
    }
}
