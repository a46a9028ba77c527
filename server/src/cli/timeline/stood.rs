//! Where a run's time went while nothing of it was at work: queued, paused, waiting; each charged to the
//! reason that the record names.

use std::collections::HashMap;

use fleetprompt_client::wire::Signal;
use fleetprompt_core::run::{self, RunChange, RunRecord, StepChange, StepRecord};
use fleetprompt_core::{Span, Timestamp};

use super::rows::queued;
use crate::cli::screen::plain;
use crate::cli::when;

#[derive(Debug, Default)]
struct Ledger {
    /// In the order in which they first occurred.
    charges: Vec<(String, Span)>,
    /// How many stand for this reason now, and since when some do.
    open: HashMap<String, (u32, Timestamp)>,
    run: Option<String>,
    steps: HashMap<(String, Option<u32>), String>,
}

/// `queued by concurrency 2.10s, \`approve\` waiting for somebody's answer 3m05s so far`; none: it never stood.
pub fn told(signals: &[Signal], now: Timestamp) -> Option<String> {
    let mut ledger = Ledger::default();
    for signal in signals {
        ledger.take(signal);
    }
    let open: Vec<String> = ledger.open.keys().cloned().collect();
    for reason in &open {
        ledger.charge(reason, now);
    }
    let told = ledger.charges.iter().map(|(reason, span)| {
        let so_far = if open.contains(reason) { " so far" } else { "" };
        format!("{reason} {}{so_far}", when::took(*span))
    });
    Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}

impl Ledger {
    fn take(&mut self, signal: &Signal) {
        let at = signal.recorded_at;
        if let Some(change) = run::run_change_of(&signal.name) {
            let record = serde_json::from_str::<RunRecord>(signal.payload.text()).ok();
            let reason = reason_of_run(change, record.as_ref());
            let before = std::mem::replace(&mut self.run, reason.clone());
            self.moved(before, reason, at);
        } else if let Some(change) = run::step_change_of(&signal.name) {
            if change.is_undo() {
                return;
            }
            let Ok(record) = serde_json::from_str::<StepRecord>(signal.payload.text()) else { return };
            let reason = reason_of_step(change, &record);
            let unit = (record.step, record.item);
            let before = match &reason {
                Some(reason) => self.steps.insert(unit, reason.clone()),
                None => self.steps.remove(&unit),
            };
            self.moved(before, reason, at);
        }
    }

    fn moved(&mut self, before: Option<String>, after: Option<String>, at: Timestamp) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.close(&before, at);
        }
        if let Some(after) = after {
            if !self.charges.iter().any(|(reason, _)| *reason == after) {
                self.charges.push((after.clone(), Span(0)));
            }
            self.open.entry(after).or_insert((0, at)).0 += 1;
        }
    }

    /// Items that wait at the same time are charged once.
    fn close(&mut self, reason: &str, at: Timestamp) {
        let Some((count, _)) = self.open.get_mut(reason) else { return };
        *count -= 1;
        if *count == 0 {
            self.charge(reason, at);
        }
    }

    fn charge(&mut self, reason: &str, at: Timestamp) {
        let Some((_, since)) = self.open.remove(reason) else { return };
        if let Some((_, span)) = self.charges.iter_mut().find(|(known, _)| known == reason) {
            span.0 += (at - since).0.max(0);
        }
    }
}

fn reason_of_run(change: RunChange, record: Option<&RunRecord>) -> Option<String> {
    match change {
        RunChange::Queued => {
            let rule = record.and_then(|record| record.queue.as_ref()).map(|queue| format!(" {}", queued(queue)));
            Some(format!("queued{}", rule.unwrap_or_default()))
        }
        RunChange::Paused => Some("paused".to_owned()),
        RunChange::Parked => Some("parked".to_owned()),
        RunChange::Stopping => Some("stopping".to_owned()),
        RunChange::Compensating => Some("compensating".to_owned()),
        RunChange::Started | RunChange::Resumed | RunChange::Retried => None,
        RunChange::Completed | RunChange::Failed | RunChange::Canceled => None,
    }
}

fn reason_of_step(change: StepChange, record: &StepRecord) -> Option<String> {
    let step = plain(&record.step);
    match change {
        StepChange::Waiting | StepChange::Heartbeat | StepChange::Escalated => {
            record.waiting.as_ref().map(|waiting| format!("`{step}` waiting for {}", waiting.reason()))
        }
        StepChange::Retrying => Some(format!("`{step}` between attempts")),
        _ => None,
    }
}
