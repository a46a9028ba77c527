//! Outcomes on their way to the server. Each is sent until it is answered. An answer concerns one outcome: those that are
//! recorded are never sent again because of a neighbor that is not.

use std::collections::VecDeque;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::{DELAY_FIRST, DELAY_MAX, TARGET};
use crate::wire::{
    AttemptOutcome, AttemptStatus, Problem, ReportAttempts, ReportedAttempt, ReportedFailure, WorkerAbout,
};
use crate::{Client, Error};

/// Limits of one request, as the server has them.
const OUTCOMES_MAX: usize = 100;
const BYTES_MAX: usize = 8 << 20;
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Limit of a log line or a message.
const TEXT_CHARS_MAX: usize = 2_000;
const CODE_BYTES_MAX: usize = 255;
/// Codes of outcomes that nothing waits for any more.
const NOT_WANTED: [&str; 5] =
    ["lease_lost", "attempt_settled", "attempt_not_yours", "attempt_id_invalid", "unstorable_outcome"];

pub(super) struct Reports {
    pub client: Client,
    pub about: WorkerAbout,
}

/// An outcome that is not answered yet.
struct Report {
    outcome: AttemptOutcome,
    /// Size of the outcome as JSON.
    bytes: usize,
    /// It was in a request that the server could not read: it is sent by itself, to find which one was at fault.
    is_alone: bool,
    /// The server refused it; what is reported now is that failure.
    is_replaced: bool,
    failures: u32,
    due: Instant,
}

impl Reports {
    /// Ends when every outcome is answered and no handler is left that could add one.
    pub async fn run(self, mut ended: UnboundedReceiver<AttemptOutcome>) {
        let (mut queue, mut is_open) = (VecDeque::new(), true);
        loop {
            while let Ok(next) = ended.try_recv() {
                queue.push_back(Report::new(bounded(next)));
            }
            let batch = take_batch(&mut queue, Instant::now());
            if !batch.is_empty() {
                queue.extend(self.send(batch).await);
                continue;
            }
            let due = queue.iter().map(|report| report.due).min();
            if due.is_none() && !is_open {
                return;
            }
            tokio::select! {
                next = ended.recv(), if is_open => match next {
                    Some(next) => queue.push_back(Report::new(bounded(next))),
                    None => is_open = false,
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Returns those that are to be sent again.
    async fn send(&self, batch: Vec<Report>) -> Vec<Report> {
        let outcomes = batch.iter().map(|report| report.outcome.clone()).collect();
        let request = ReportAttempts { worker: self.about.clone(), outcomes };
        match self.client.attempt_report(&request).await {
            Ok(answer) => {
                let mut results = answer.results.into_iter();
                batch.into_iter().filter_map(|report| report.answered(results.next())).collect()
            }
            Err(Error::Refused(problem)) if [400, 413, 422].contains(&problem.status) => separate(batch, &problem),
            Err(error) => {
                tracing::warn!(target: TARGET, %error, outcomes = batch.len(), "cannot report; it is sent again");
                batch.into_iter().map(Report::postponed).collect()
            }
        }
    }
}

impl Report {
    fn new(outcome: AttemptOutcome) -> Self {
        let bytes = serde_json::to_string(&outcome).map_or(0, |text| text.len());
        Self { outcome, bytes, is_alone: false, is_replaced: false, failures: 0, due: Instant::now() }
    }

    /// `None` if that was the last word about it.
    fn answered(self, result: Option<ReportedAttempt>) -> Option<Self> {
        match result {
            Some(ReportedAttempt::Recorded { .. }) => None,
            Some(ReportedAttempt::Refused { error, .. }) if !is_passing(&error) => self.refused(&error),
            _ => Some(self.postponed()),
        }
    }

    /// An outcome that cannot be recorded as it is becomes a failure that says so: else the attempt would be made again
    /// and again, to the same end.
    fn refused(self, error: &Problem) -> Option<Self> {
        let (id, code, detail) = (&self.outcome.id, error.code.as_str(), error.detail.as_str());
        tracing::warn!(target: TARGET, id, code, detail, "an outcome was refused");
        if NOT_WANTED.contains(&code) || self.is_replaced {
            return None;
        }
        let failure = ReportedFailure { code: code.to_owned(), message: format!("the outcome was refused: {detail}") };
        let failed = AttemptOutcome {
            id: self.outcome.id,
            status: AttemptStatus::Failed,
            output: None,
            error: Some(failure),
            delay: None,
            logs: Vec::new(),
        };
        Some(Self { is_replaced: true, is_alone: true, ..Self::new(bounded(failed)) })
    }

    fn postponed(self) -> Self {
        let delay = DELAY_FIRST.saturating_mul(1 << self.failures.min(16)).min(DELAY_MAX);
        Self { failures: self.failures + 1, due: Instant::now() + delay, ..self }
    }
}

/// Whether the same outcome may be recorded later.
fn is_passing(error: &Problem) -> bool {
    error.code == "attempt_reported" || [408, 425, 429].contains(&error.status) || error.status >= 500
}

/// A request that the server cannot read has an outcome that is at fault.
fn separate(mut batch: Vec<Report>, problem: &Problem) -> Vec<Report> {
    if batch.len() == 1 {
        return batch.pop().and_then(|report| report.refused(problem)).into_iter().collect();
    }
    batch.into_iter().map(|report| Report { is_alone: true, ..report }).collect()
}

/// Takes what is due, oldest first, as far as it fits in one request.
fn take_batch(queue: &mut VecDeque<Report>, now: Instant) -> Vec<Report> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut at = 0;
    while let Some(next) = queue.get(at) {
        if next.due > now {
            at += 1;
            continue;
        }
        bytes += next.bytes;
        let is_full = next.is_alone || bytes > BYTES_MAX || batch.len() == OUTCOMES_MAX;
        if is_full && !batch.is_empty() {
            break;
        }
        let is_alone = next.is_alone;
        batch.extend(queue.remove(at));
        if is_alone {
            break;
        }
    }
    batch
}

/// As the server takes it: long texts are shortened, and an output that is too large is a failure that says so.
fn bounded(mut outcome: AttemptOutcome) -> AttemptOutcome {
    if let Some(bytes) = outcome.output.as_ref().map(|output| output.text().len()).filter(|it| *it > OUTPUT_BYTES_MAX) {
        outcome.status = AttemptStatus::Failed;
        outcome.output = None;
        outcome.error = Some(ReportedFailure {
            code: "output_too_large".into(),
            message: format!("the output has {bytes} bytes; at most {OUTPUT_BYTES_MAX} are kept"),
        });
    }
    outcome.logs.iter_mut().for_each(shorten);
    if let Some(error) = &mut outcome.error {
        shorten(&mut error.message);
        error.code.retain(|char| !char.is_control());
        error.code.truncate(error.code.floor_char_boundary(CODE_BYTES_MAX));
        if error.code.is_empty() {
            error.code = "error".into();
        }
    }
    outcome
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(end);
    }
}
