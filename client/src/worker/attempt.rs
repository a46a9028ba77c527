//! An attempt as its handler sees it, and how it ends.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetprompt_core::{Json, Span};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::wire::{self, AttemptOutcome, AttemptStatus, ReportedFailure};

const LOGS_MAX: usize = 100;
/// As the server takes it: with more, the attempt would not be kept.
const PROGRESS_BYTES_MAX: usize = 4 << 10;

/// What is to be done, with everything that is known of it: `attempt.input`, `attempt.idempotency_key` and the
/// other fields of [`wire::Attempt`].
#[derive(Clone)]
pub struct Attempt {
    taken: Arc<wire::Attempt>,
    logs: Logs,
    progress: Arc<Mutex<Option<Json>>>,
    canceled: watch::Receiver<bool>,
}

/// Lines that belong to an attempt.
#[derive(Clone, Default)]
pub(super) struct Logs(Arc<Mutex<Vec<String>>>);

impl Logs {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics with it"))
    }
}

impl Deref for Attempt {
    type Target = wire::Attempt;

    fn deref(&self) -> &wire::Attempt {
        &self.taken
    }
}

impl Attempt {
    pub(super) fn new(taken: wire::Attempt, canceled: watch::Receiver<bool>) -> Self {
        Self { taken: Arc::new(taken), logs: Logs::default(), progress: Arc::default(), canceled }
    }

    /// The input as a type of your own; one that does not fit fails the attempt for good.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        serde_json::from_str(self.taken.input.text()).map_err(|error| Failed::fatal("input_invalid", error.to_string()))
    }

    /// A line that stays with the attempt, on record; the first 100 count, and 2,000 characters of each.
    pub fn log(&self, line: impl Into<String>) {
        let mut logs = self.logs.0.lock().expect("nobody panics with it");
        if logs.len() < LOGS_MAX {
            logs.push(line.into());
        }
    }

    /// How far it is, for people to see; more than 4 KiB is not shown.
    pub fn progress(&self, progress: impl Into<Json>) {
        let progress = progress.into();
        if progress.text().len() <= PROGRESS_BYTES_MAX {
            *self.progress.lock().expect("nobody panics with it") = Some(progress);
        }
    }

    pub fn is_canceled(&self) -> bool {
        *self.canceled.borrow()
    }

    /// Until nobody wants it any more.
    pub async fn canceled(&self) {
        let mut canceled = self.canceled.clone();
        if canceled.wait_for(|canceled| *canceled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.taken.id
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.taken.lease_ms)
    }

    pub(super) fn logs(&self) -> Logs {
        self.logs.clone()
    }

    pub(super) fn said(&self) -> Arc<Mutex<Option<Json>>> {
        self.progress.clone()
    }
}

/// Why an attempt gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    status: AttemptStatus,
    error: Option<ReportedFailure>,
    delay: Option<Span>,
}

impl Failed {
    /// For now: it is tried again as its `retry` says.
    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self::with(AttemptStatus::Retry, code, message)
    }

    /// For good.
    pub fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self::with(AttemptStatus::Failed, code, message)
    }

    /// It was called off, and nothing happened.
    pub fn canceled() -> Self {
        Self { status: AttemptStatus::Canceled, error: None, delay: None }
    }

    /// Not before that is it tried again.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = Some(Span::from_millis(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX / 1_000)));
        self
    }

    fn with(status: AttemptStatus, code: &str, message: impl Into<String>) -> Self {
        Self { status, error: Some(ReportedFailure { code: code.to_owned(), message: message.into() }), delay: None }
    }
}

/// Whatever goes wrong on the way may go well the next time.
impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::retry("error", error.to_string())
    }
}

pub(super) fn outcome(id: String, result: Result<Json, Failed>, logs: Vec<String>) -> AttemptOutcome {
    match result {
        Ok(output) => AttemptOutcome {
            id,
            status: AttemptStatus::Succeeded,
            output: Some(output),
            error: None,
            delay: None,
            logs,
        },
        Err(Failed { status, error, delay }) => AttemptOutcome { id, status, output: None, error, delay, logs },
    }
}
