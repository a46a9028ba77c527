//! What people do to runs and steps. Each takes an idempotency key: the same key is the same intent, so
//! all of them may be sent again.

use fleetprompt_core::{Json, Name, RunId};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::call::{JSON, Repeat, unexpected};
use super::{Client, Error};
use crate::wire::{
    AnswerStep, Bulk, BulkAnswer, CancelRun, CompleteStep, Operated, Reason, RequestDirective, Requested, RerunRun,
    RetryRun, SkipStep,
};

/// What somebody outside reports to a step that waits for a callback.
#[derive(Debug, Clone, PartialEq)]
pub enum Callback {
    Output(Json),
    Error {
        code: String,
        message: String,
    },
    /// It is still being worked on.
    Heartbeat,
}

impl Client {
    pub async fn run_cancel(&self, id: RunId, cancel: &CancelRun, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "cancel"], cancel, key).await
    }

    pub async fn run_pause(&self, id: RunId, reason: &Reason, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "pause"], reason, key).await
    }

    pub async fn run_resume(&self, id: RunId, reason: &Reason, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "resume"], reason, key).await
    }

    pub async fn run_retry(&self, id: RunId, retry: &RetryRun, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "retry"], retry, key).await
    }

    /// The answer has the new run.
    pub async fn run_rerun(&self, id: RunId, rerun: &RerunRun, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "rerun"], rerun, key).await
    }

    pub async fn step_skip(&self, id: RunId, step: &str, skip: &SkipStep, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "steps", step, "skip"], skip, key).await
    }

    pub async fn step_complete(
        &self,
        id: RunId,
        step: &str,
        complete: &CompleteStep,
        key: &str,
    ) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "steps", step, "complete"], complete, key).await
    }

    pub async fn step_answer(&self, id: RunId, step: &str, answer: &AnswerStep, key: &str) -> Result<Operated, Error> {
        self.operate(&["v1", "runs", &id.to_string(), "steps", step, "answer"], answer, key).await
    }

    /// To the step that waits under `callback`, its key. A directive that failed says why.
    pub async fn step_report(&self, callback: &str, said: Callback, key: &str) -> Result<Requested, Error> {
        let mut payload = json!({"key": callback});
        match said {
            Callback::Output(output) => payload["output"] = output.value().clone(),
            Callback::Error { code, message } => payload["error"] = json!({"code": code, "message": message}),
            Callback::Heartbeat => payload["heartbeat"] = true.into(),
        }
        let request = RequestDirective {
            name: Name::known("workflow.step.report"),
            payload: Some(payload.into()),
            idempotency_key: Some(key.to_owned()),
            correlation_id: None,
            causation_id: None,
        };
        self.directive_request(&request).await
    }

    /// The same for many runs; or, as a preview, what it would be.
    pub async fn run_bulk(&self, bulk: &Bulk, key: &str) -> Result<BulkAnswer, Error> {
        self.operate(&["v1", "runs", "bulk"], bulk, key).await
    }

    async fn operate<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize, key: &str) -> Result<T, Error> {
        let key = HeaderValue::from_str(key)
            .map_err(|_| unexpected("send the idempotency key", "it is not visible ASCII".to_owned()))?;
        let body = serde_json::to_vec(body).expect("what travels has string keys and finite numbers");
        let request = self.request(Method::POST, self.endpoint(path));
        let request = request.header(CONTENT_TYPE, JSON).header("idempotency-key", key);
        self.answer(request.body(body), Repeat::Safe).await
    }
}
