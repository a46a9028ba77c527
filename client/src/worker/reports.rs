//! Outcomes on their way to the server: told until they are on record, however long that takes.

use tokio::sync::mpsc::UnboundedReceiver;

use super::{DELAY_FIRST, DELAY_MAX, TARGET};
use crate::Client;
use crate::wire::{AttemptOutcome, AttemptStatus, ReportAttempts, ReportedFailure, WorkerAbout};

/// Of one request, as the server has it.
const OUTCOMES_MAX: usize = 100;
const BYTES_MAX: usize = 8 << 20;
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Of a log line or a message.
const TEXT_CHARS_MAX: usize = 2_000;
const CODE_BYTES_MAX: usize = 255;

pub(super) struct Reports {
    pub client: Client,
    pub about: WorkerAbout,
}

impl Reports {
    /// Until nobody is left who could add to them.
    pub async fn run(self, mut ended: UnboundedReceiver<AttemptOutcome>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                let Some(first) = ended.recv().await else { return };
                waiting.push(bounded(first));
            }
            while waiting.len() < OUTCOMES_MAX
                && let Ok(next) = ended.try_recv()
            {
                waiting.push(bounded(next));
            }
            let rest = waiting.split_off(that_fit(&waiting));
            self.tell(std::mem::replace(&mut waiting, rest)).await;
        }
    }

    async fn tell(&self, outcomes: Vec<AttemptOutcome>) {
        let report = ReportAttempts { worker: self.about.clone(), outcomes };
        let mut delay = DELAY_FIRST;
        loop {
            match self.client.attempt_report(&report).await {
                // What is refused is somebody else's by now, or nobody's.
                Ok(_) => return,
                Err(error) if error.is_final() => {
                    tracing::error!(target: TARGET, %error, outcomes = report.outcomes.len(), "outcomes are refused");
                    return;
                }
                Err(error) => {
                    tracing::warn!(target: TARGET, %error, ?delay, "cannot report; it is told again");
                    tokio::time::sleep(delay).await;
                }
            }
            delay = (delay * 2).min(DELAY_MAX);
        }
    }
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

/// How many of them one request takes.
fn that_fit(outcomes: &[AttemptOutcome]) -> usize {
    let mut bytes = 0;
    let too_many = outcomes.iter().position(|outcome| {
        let output = outcome.output.as_ref().map_or(0, |output| output.text().len());
        bytes += output + outcome.logs.iter().map(String::len).sum::<usize>() + 1_000;
        bytes > BYTES_MAX
    });
    too_many.map_or(outcomes.len(), |at| at.max(1))
}
