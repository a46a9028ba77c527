//! Handlers without a server.

use std::time::Duration;

use fleetprompt_core::Json;
use tokio::sync::watch;

use super::{Attempt, Failed, Worker, attempt, made};
use crate::wire::{self, AttemptKind, AttemptOutcome};

/// An attempt at a function as a server would hand it out. All its fields can be set: `attempt` for a later one,
/// `timeout_ms`, `idempotency_key`.
///
/// # Panics
/// When the name is none.
pub fn attempt_of(name: &str, input: impl Into<Json>) -> wire::Attempt {
    let run = "run_01h455vb4pex5vsknk084sn02q";
    wire::Attempt {
        id: format!("{run}.0.0.sig_01h455vb4pex5vsknk084sn02r.1.9f86d081884c7d65"),
        kind: AttemptKind::Function,
        name: name.parse().unwrap_or_else(|error| panic!("{error}")),
        input: input.into(),
        idempotency_key: format!("{run}:step"),
        attempt: 1,
        delivery: 1,
        tenant: "acme".parse().expect("a slug"),
        run_id: run.parse().ok(),
        workflow: "test".parse().ok(),
        step: Some("step".to_owned()),
        item: None,
        correlation_id: "sig_01h455vb4pex5vsknk084sn02r".to_owned(),
        causation_id: None,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        lease_ms: 15_000,
        timeout_ms: None,
    }
}

impl Worker {
    /// Makes one attempt as the worker would, without a server, and gives what the worker would report.
    ///
    /// # Panics
    /// When the worker does not perform it.
    pub async fn perform(&self, attempt: wire::Attempt) -> AttemptOutcome {
        self.perform_until(attempt, false).await
    }

    /// The same for one that nobody wants any more, from its beginning.
    ///
    /// # Panics
    /// When the worker does not perform it.
    pub async fn perform_canceled(&self, attempt: wire::Attempt) -> AttemptOutcome {
        self.perform_until(attempt, true).await
    }

    async fn perform_until(&self, taken: wire::Attempt, is_canceled: bool) -> AttemptOutcome {
        let name = taken.name.as_str();
        let handler = self.handler(name).unwrap_or_else(|| panic!("the worker does not perform `{name}`"));
        let (id, limit) = (taken.id.clone(), taken.timeout_ms.map(Duration::from_millis));
        let (_canceled, canceled) = watch::channel(is_canceled);
        let attempt = Attempt::new(taken, canceled);
        let late = || attempt::outcome(id, Err(Failed::retry("timeout", "it took too long")), attempt.logs().take());
        made(attempt.clone(), handler(attempt.clone()), limit).await.unwrap_or_else(late)
    }
}
