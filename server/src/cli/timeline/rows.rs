//! What there is to tell about a run: a row for each record, with how deep in the chain of causes it
//! stands.

use std::collections::HashMap;

use fleetprompt_client::wire::{Directive, Signal, Timeline};
use fleetprompt_core::directive::{self, Change};
use fleetprompt_core::run::{self, RunChange, RunRecord, StepChange, StepRecord};
use fleetprompt_core::{DirectiveId, Failure, Json, Timestamp};
use serde::de::DeserializeOwned;

use crate::cli::fields::{party, who};
use crate::cli::screen::plain;
use crate::cli::when;

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub at: Timestamp,
    pub depth: usize,
    pub mark: Mark,
    pub name: String,
    pub verb: &'static str,
    /// Shown from the second on, and where one failed.
    pub attempt: u32,
    /// Stands where rows without a length of time have room.
    pub note: String,
    /// What took this long ended here.
    pub since: Option<Timestamp>,
    pub beneath: Vec<Beneath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Fact,
    Begun,
    Good,
    Bad,
    Again,
    Stopped,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Beneath {
    Log(String),
    Note(String),
    Error(Failure),
    Output(Json),
}

/// How deep things stand below the fact that led to the run.
const RUN: usize = 2;
const STEP: usize = 3;
const DIRECTIVE: usize = 4;

/// Everything on record about the run. Unless `full`, what only repeats the row before is left out.
pub fn rows(timeline: &Timeline, full: bool) -> Vec<Row> {
    let mut teller = Teller { full, ..Teller::default() };
    let mut rows: Vec<Row> = timeline.trigger.iter().map(fact).collect();
    rows.push(start(&timeline.directive, rows.len()));
    rows.extend(timeline.signals.iter().filter_map(|signal| teller.row(signal)));
    if timeline.trigger.is_none() {
        rows.iter_mut().skip(1).for_each(|row| row.depth -= 1);
    }
    rows
}

/// The row of one signal, while a run is watched.
pub fn row_of_signal(teller: &mut Teller, signal: &Signal) -> Option<Row> {
    teller.row(signal)
}

fn fact(signal: &Signal) -> Row {
    let about = signal.subject.as_ref().map(|subject| format!("{} ", party(subject)));
    let note = format!("{}by {}", about.unwrap_or_default(), who(&signal.actor));
    let payload = Some(&signal.payload).filter(|payload| payload.text() != "{}");
    let beneath = payload.cloned().map(Beneath::Output).into_iter().collect();
    Row { note, beneath, ..row(signal, 0, Mark::Fact, signal.name.as_str(), "") }
}

fn start(directive: &Directive, depth: usize) -> Row {
    let mark = match directive.status {
        directive::Status::Requested | directive::Status::Running => Mark::Begun,
        directive::Status::Succeeded => Mark::Good,
        directive::Status::Failed => Mark::Bad,
        directive::Status::Canceled => Mark::Stopped,
    };
    Row {
        at: directive.requested_at,
        depth,
        mark,
        name: directive.name.to_string(),
        verb: directive.status.as_str(),
        attempt: 0,
        note: format!("by {}", who(&directive.actor)),
        since: None,
        beneath: Vec::new(),
    }
}

fn row(signal: &Signal, depth: usize, mark: Mark, name: &str, verb: &'static str) -> Row {
    Row {
        at: signal.recorded_at,
        depth,
        mark,
        name: plain(name),
        verb,
        attempt: 0,
        note: String::new(),
        since: None,
        beneath: Vec::new(),
    }
}

/// Remembers what later rows refer to.
#[derive(Debug, Default)]
pub struct Teller {
    pub full: bool,
    run_started: Option<Timestamp>,
    step_started: HashMap<String, Timestamp>,
    step_of: HashMap<DirectiveId, String>,
    requested: HashMap<DirectiveId, Timestamp>,
    /// The step whose rows the last one stands under.
    under: Option<String>,
}

impl Teller {
    fn row(&mut self, signal: &Signal) -> Option<Row> {
        if let Some(change) = run::run_change_of(&signal.name) {
            return Some(self.of_run(signal, change));
        }
        if let Some(change) = run::step_change_of(&signal.name) {
            return Some(self.of_step(signal, change));
        }
        if let Some(change) = directive::change_of(&signal.name) {
            return self.of_directive(signal, change);
        }
        let note = signal.subject.as_ref().map(party).unwrap_or_default();
        Some(Row { note, ..row(signal, STEP, Mark::Fact, signal.name.as_str(), "") })
    }

    fn of_run(&mut self, signal: &Signal, change: RunChange) -> Row {
        let record: Option<RunRecord> = read(signal);
        let (mark, verb) = match change {
            RunChange::Started => (Mark::Begun, "started"),
            RunChange::Completed => (Mark::Good, "completed"),
            RunChange::Failed => (Mark::Bad, "failed"),
            RunChange::Canceled => (Mark::Stopped, "canceled"),
        };
        let mut row = row(signal, RUN, mark, "run", verb);
        if change == RunChange::Started {
            self.run_started = Some(signal.recorded_at);
        } else {
            row.since = self.run_started;
        }
        if let Some(record) = record {
            let by = record.by.as_ref().map(|by| format!("by {}", who(by)));
            let reason = record.reason.as_deref().filter(|reason| !reason.is_empty()).map(plain);
            let told: Vec<String> = by.into_iter().chain(reason).collect();
            row.beneath.extend((!told.is_empty()).then(|| Beneath::Note(told.join(": "))));
            row.beneath.extend(record.error.map(Beneath::Error));
            row.beneath.extend(record.output.map(Beneath::Output));
            if self.full {
                row.beneath.extend(record.input.map(Beneath::Output));
            }
        }
        row
    }

    fn of_step(&mut self, signal: &Signal, change: StepChange) -> Row {
        let record: StepRecord = read(signal).unwrap_or_default();
        let (mark, verb) = match change {
            StepChange::Started => (Mark::Begun, "started"),
            StepChange::Retrying => (Mark::Again, "retrying"),
            StepChange::Completed => (Mark::Good, "completed"),
            StepChange::Failed => (Mark::Bad, "failed"),
            StepChange::Skipped => (Mark::Stopped, "skipped"),
            StepChange::Canceled => (Mark::Stopped, "canceled"),
        };
        let mut row = row(signal, STEP, mark, &record.step, verb);
        row.attempt = record.attempt;
        match change {
            StepChange::Started => {
                self.step_started.entry(record.step.clone()).or_insert(signal.recorded_at);
                row.note = record.kind.clone();
                if let Some(id) = record.directive_id {
                    self.step_of.insert(id, record.step.clone());
                }
            }
            StepChange::Retrying => {
                row.note = record.due_at.map(|due| again(due, signal.recorded_at)).unwrap_or_default();
            }
            StepChange::Skipped => {}
            StepChange::Completed | StepChange::Failed | StepChange::Canceled => {
                row.since = self.step_started.get(&record.step).copied();
                // What was never begun was computed on the spot.
                row.note = if row.since.is_none() { record.kind.clone() } else { String::new() };
            }
        }
        row.beneath.extend(record.reason.as_deref().map(|reason| Beneath::Note(plain(reason))));
        row.beneath.extend(record.logs.iter().map(|log| Beneath::Log(plain(log))));
        row.beneath.extend(record.execution.as_ref().and_then(execution).map(Beneath::Note));
        row.beneath.extend(record.error.map(Beneath::Error));
        row.beneath.extend(record.output.map(Beneath::Output));
        self.under = Some(record.step);
        row
    }

    fn of_directive(&mut self, signal: &Signal, change: Change) -> Option<Row> {
        let record: directive::Record = read(signal).unwrap_or_default();
        let id = signal.directive_id?;
        let (mark, verb) = match change {
            Change::Requested => (Mark::Begun, "requested"),
            Change::Started => (Mark::Begun, "started"),
            Change::Retrying => (Mark::Again, "retrying"),
            Change::CancelRequested => (Mark::Stopped, "canceling"),
            Change::Succeeded => (Mark::Good, "succeeded"),
            Change::Failed => (Mark::Bad, "failed"),
            Change::Canceled => (Mark::Stopped, "canceled"),
        };
        if change == Change::Requested {
            self.requested.insert(id, signal.recorded_at);
        }
        let at_once = self.requested.get(&id).is_some_and(|at| *at == signal.recorded_at);
        if change == Change::Started && record.attempt <= 1 && at_once && !self.full {
            return None;
        }
        let step = self.step_of.get(&id).cloned();
        // Rows of parallel steps alternate: what is not below its own step says whose it is.
        let is_apart = step.is_none() || self.under != step;
        let mut row = row(signal, if is_apart { STEP } else { DIRECTIVE }, mark, &record.directive, verb);
        row.attempt = record.attempt;
        let due = record.due_at.filter(|_| change == Change::Retrying).map(|due| again(due, signal.recorded_at));
        let whose = step.filter(|_| is_apart).map(|step| format!("for {}", plain(&step)));
        row.note = due.into_iter().chain(whose).collect::<Vec<_>>().join(" ");
        if is_apart {
            self.under = None;
        }
        if matches!(change, Change::Succeeded | Change::Failed | Change::Canceled) {
            row.since = self.requested.get(&id).copied();
        }
        row.beneath.extend(record.reason.as_deref().map(|reason| Beneath::Note(plain(reason))));
        row.beneath.extend(record.logs.iter().map(|log| Beneath::Log(plain(log))));
        // Its step says how it ended, with the same words, in the next row.
        let told_by_step = matches!(change, Change::Succeeded | Change::Failed) && self.step_of.contains_key(&id);
        if self.full || !told_by_step {
            row.beneath.extend(record.error.map(Beneath::Error));
            row.beneath.extend(record.output.map(Beneath::Output));
        }
        Some(row)
    }
}

fn again(due: Timestamp, now: Timestamp) -> String {
    format!("again in {}", when::took(due - now))
}

/// `scripted · rules-1 · 412 tokens in, 96 out`.
fn execution(execution: &Json) -> Option<String> {
    let value = execution.value();
    let text = |field: &str| value.get(field)?.as_str().filter(|text| !text.is_empty()).map(plain);
    let count = |field: &str| value.get(field)?.as_u64();
    let tokens = match (count("input_tokens"), count("output_tokens")) {
        (Some(input), Some(output)) => Some(format!("{input} tokens in, {output} out")),
        _ => None,
    };
    let provider = text("provider");
    let model = text("model").filter(|model| Some(model) != provider.as_ref());
    let parts: Vec<String> = [provider, model, tokens].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn read<T: DeserializeOwned>(signal: &Signal) -> Option<T> {
    serde_json::from_str(signal.payload.text()).ok()
}
