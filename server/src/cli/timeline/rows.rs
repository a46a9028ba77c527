//! What there is to tell about a run: a row for each record, with how deep in the chain of causes it
//! stands.

use std::collections::{HashMap, HashSet};

use fleetprompt_client::RunHistory;
use fleetprompt_client::wire::{Directive, Signal};
use fleetprompt_core::directive::{self, Change};
use fleetprompt_core::run::{self, Awaited, Queue, RunChange, RunRecord, StepChange, StepRecord, Waiting};
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
    /// It stands, and waits for something.
    Stands,
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
pub fn rows(timeline: &RunHistory, full: bool) -> Vec<Row> {
    let mut teller = Teller { full, ..Teller::default() };
    let mut rows: Vec<Row> = timeline.trigger.iter().map(fact).collect();
    rows.push(start(&timeline.directive, rows.len()));
    rows.extend(timeline.signals.iter().filter_map(|signal| teller.row(signal)));
    rows.extend(teller.left(timeline.signals.last()));
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

/// Items and iterations that are told one by one; of the others, how many there are.
const SHOWN: u32 = 3;

/// What a step's signal is about: the step, an item of it, or what undoes either.
type Unit = (String, Option<u32>, bool);

/// Remembers what later rows refer to.
#[derive(Debug, Default)]
pub struct Teller {
    pub full: bool,
    run_started: Option<Timestamp>,
    /// Since when, and why, the run stands.
    run_stands: Option<(Timestamp, String)>,
    step_started: HashMap<Unit, Timestamp>,
    step_waits: HashMap<Unit, (Timestamp, String)>,
    step_of: HashMap<DirectiveId, String>,
    requested: HashMap<DirectiveId, Timestamp>,
    /// What is only counted, by step.
    hidden: HashMap<String, Hidden>,
    hidden_directives: HashSet<DirectiveId>,
    /// The step whose rows the last one stands under.
    under: Option<String>,
}

#[derive(Debug, Default)]
struct Hidden {
    items: HashSet<u32>,
    /// Items that failed are told, the first few.
    failed: u32,
    iterations: u32,
    /// Units whose rows are left out until they settle.
    units: HashSet<Unit>,
}

impl Hidden {
    fn told(&self) -> Option<String> {
        let more = |count: usize, what: &str| {
            (count > 0).then(|| format!("… {count} more {what}{}", if count == 1 { "" } else { "s" }))
        };
        let told = more(self.items.len(), "item").into_iter().chain(more(self.iterations as usize, "iteration"));
        Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
    }
}

impl Teller {
    fn row(&mut self, signal: &Signal) -> Option<Row> {
        if let Some(change) = run::run_change_of(&signal.name) {
            return Some(self.of_run(signal, change));
        }
        if let Some(change) = run::step_change_of(&signal.name) {
            return self.of_step(signal, change);
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
            RunChange::Queued => (Mark::Stands, "queued"),
            RunChange::Started => (Mark::Begun, "started"),
            RunChange::Paused => (Mark::Stands, "paused"),
            RunChange::Parked => (Mark::Stands, "parked"),
            RunChange::Resumed => (Mark::Begun, "resumed"),
            RunChange::Retried => (Mark::Begun, "retried"),
            RunChange::Stopping => (Mark::Stopped, "stopping"),
            RunChange::Compensating => (Mark::Stands, "undoing"),
            RunChange::Completed => (Mark::Good, "completed"),
            RunChange::Failed => (Mark::Bad, "failed"),
            RunChange::Canceled => (Mark::Stopped, "canceled"),
        };
        let mut row = row(signal, RUN, mark, "run", verb);
        let stood = self.run_stands.take();
        match change {
            RunChange::Queued | RunChange::Paused | RunChange::Parked => {
                // Still not its turn: it stands since the first time.
                let since =
                    stood.filter(|_| change == RunChange::Queued).map_or(signal.recorded_at, |(since, _)| since);
                let why = stands(change, record.as_ref());
                row.note = record.as_ref().and_then(|record| record.queue.as_ref()).map(queued).unwrap_or_default();
                self.run_stands = Some((since, why));
            }
            RunChange::Started | RunChange::Resumed | RunChange::Retried => {
                self.run_started.get_or_insert(signal.recorded_at);
                if let Some((since, why)) = stood {
                    row.since = Some(since);
                    row.beneath.push(Beneath::Note(why));
                }
            }
            RunChange::Stopping | RunChange::Compensating => {
                self.run_stands = stood;
            }
            RunChange::Completed | RunChange::Failed | RunChange::Canceled => {
                row.since = self.run_started.or(stood.map(|(since, _)| since));
            }
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

    fn of_step(&mut self, signal: &Signal, change: StepChange) -> Option<Row> {
        let record: StepRecord = read(signal).unwrap_or_default();
        let unit: Unit = (record.step.clone(), record.item, change.is_undo());
        let name = name_of(&unit);
        if let Some(id) = record.directive_id {
            self.step_of.insert(id, name.clone());
        }
        let (since, waited) = self.since(&unit, &record, signal.recorded_at, change);
        if !self.full && (self.is_hidden(&unit, &record, change) || change == StepChange::Heartbeat) {
            self.hidden_directives.extend(record.directive_id);
            return None;
        }
        let (mark, verb) = step_mark(change);
        let mut row = row(signal, STEP, mark, &name, verb);
        row.attempt = record.attempt;
        row.since = since;
        row.note = step_note(change, &record, signal.recorded_at, since);
        row.beneath.extend(waited.map(Beneath::Note));
        row.beneath.extend(record.reused.then(|| Beneath::Note("taken over from an earlier request".to_owned())));
        let by = record.by.as_ref().map(|by| format!("by {}", who(by)));
        let told: Vec<String> = by.into_iter().chain(record.reason.as_deref().map(plain)).collect();
        row.beneath.extend((!told.is_empty()).then(|| Beneath::Note(told.join(": "))));
        row.beneath.extend(record.logs.iter().map(|log| Beneath::Log(plain(log))));
        row.beneath.extend(record.execution.as_ref().and_then(execution).map(Beneath::Note));
        row.beneath.extend(record.error.map(Beneath::Error));
        row.beneath.extend(record.output.map(Beneath::Output));
        if record.item.is_none() && is_settled(change) {
            let left = self.hidden.remove(&record.step).and_then(|hidden| hidden.told());
            row.beneath.extend(left.map(Beneath::Note));
        }
        self.under = Some(name);
        Some(row)
    }

    /// Since when it is under way, where that is over now, and what it waited for meanwhile.
    fn since(
        &mut self,
        unit: &Unit,
        record: &StepRecord,
        at: Timestamp,
        change: StepChange,
    ) -> (Option<Timestamp>, Option<String>) {
        match change {
            StepChange::Waiting | StepChange::Heartbeat | StepChange::Escalated => {
                self.step_started.entry(unit.clone()).or_insert(at);
                let why = record.waiting.as_ref().map_or(String::new(), |waiting| awaited(waiting));
                self.step_waits.entry(unit.clone()).or_insert((at, why));
                (None, None)
            }
            StepChange::Started | StepChange::Compensating => {
                self.step_started.entry(unit.clone()).or_insert(at);
                let waited = self.step_waits.remove(unit);
                let since = waited.as_ref().map(|(since, _)| *since);
                (since, waited.map(|(_, why)| format!("waited for {why}")))
            }
            StepChange::Reset => {
                self.step_started.remove(unit);
                self.step_waits.remove(unit);
                (None, None)
            }
            StepChange::AnsweredEarly | StepChange::Retrying => (None, None),
            StepChange::Repeating | StepChange::Canceling => (None, None),
            StepChange::Skipped | StepChange::CompensationSkipped => (None, None),
            StepChange::Completed | StepChange::Failed | StepChange::Canceled => {
                let waited = self.step_waits.remove(unit).map(|(_, why)| format!("waited for {why}"));
                (self.step_started.get(unit).copied(), waited)
            }
            StepChange::Compensated | StepChange::CompensationFailed => (self.step_started.get(unit).copied(), None),
        }
    }

    /// Whether it is one of many, which are only counted.
    fn is_hidden(&mut self, unit: &Unit, record: &StepRecord, change: StepChange) -> bool {
        let is_late_item = unit.1.is_some_and(|item| item >= SHOWN);
        let is_late_iteration = change == StepChange::Repeating && record.iteration > SHOWN;
        if !is_late_item && !is_late_iteration && !self.hidden.contains_key(&unit.0) {
            return false;
        }
        let hidden = self.hidden.entry(unit.0.clone()).or_default();
        if let Some(item) = unit.1.filter(|_| is_late_item) {
            if matches!(change, StepChange::Failed | StepChange::CompensationFailed) && hidden.failed < SHOWN {
                hidden.failed += 1;
                hidden.items.remove(&item);
                return false;
            }
            hidden.items.insert(item);
            return true;
        }
        if is_late_iteration {
            hidden.iterations += 1;
            hidden.units.insert(unit.clone());
        }
        !is_settled(change) && hidden.units.contains(unit)
    }

    /// What was only counted of steps that have not settled.
    fn left(&mut self, last: Option<&Signal>) -> Vec<Row> {
        let Some(last) = last else { return Vec::new() };
        let mut left: Vec<_> = self.hidden.drain().collect();
        left.sort_by(|(one, _), (other, _)| one.cmp(other));
        let told = left.into_iter().filter_map(|(step, hidden)| Some((step, hidden.told()?)));
        told.map(|(step, note)| Row { note, ..row(last, STEP, Mark::Begun, &step, "") }).collect()
    }

    fn of_directive(&mut self, signal: &Signal, change: Change) -> Option<Row> {
        let record: directive::Record = read(signal).unwrap_or_default();
        let id = signal.directive_id?;
        if !self.full && (self.hidden_directives.contains(&id) || change == Change::Heartbeat) {
            return None;
        }
        let (mark, verb) = match change {
            Change::Requested => (Mark::Begun, "requested"),
            Change::Started => (Mark::Begun, "started"),
            Change::Retrying => (Mark::Again, "retrying"),
            Change::Heartbeat => (Mark::Begun, "heartbeat"),
            Change::Reopened => (Mark::Begun, "reopened"),
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

fn step_mark(change: StepChange) -> (Mark, &'static str) {
    match change {
        StepChange::Started | StepChange::Compensating => (Mark::Begun, "started"),
        StepChange::AnsweredEarly => (Mark::Stands, "answered early"),
        StepChange::Waiting => (Mark::Stands, "waiting"),
        StepChange::Heartbeat => (Mark::Begun, "heartbeat"),
        StepChange::Escalated => (Mark::Stands, "escalated"),
        StepChange::Retrying => (Mark::Again, "retrying"),
        StepChange::Repeating => (Mark::Begun, "repeating"),
        StepChange::Completed => (Mark::Good, "completed"),
        StepChange::Failed | StepChange::CompensationFailed => (Mark::Bad, "failed"),
        StepChange::Skipped | StepChange::CompensationSkipped => (Mark::Stopped, "skipped"),
        StepChange::Canceling => (Mark::Stopped, "canceling"),
        StepChange::Canceled => (Mark::Stopped, "canceled"),
        StepChange::Reset => (Mark::Begun, "reset"),
        StepChange::Compensated => (Mark::Good, "undone"),
    }
}

fn is_settled(change: StepChange) -> bool {
    matches!(
        change,
        StepChange::Completed | StepChange::Failed | StepChange::Skipped | StepChange::Canceled | StepChange::Reset
    )
}

/// Stands where there is no bar.
fn step_note(change: StepChange, record: &StepRecord, at: Timestamp, since: Option<Timestamp>) -> String {
    match change {
        StepChange::Started | StepChange::Compensating => match record.items {
            Some(items) => format!("{}, {items} items", record.kind),
            None => record.kind.clone(),
        },
        StepChange::Waiting | StepChange::Heartbeat | StepChange::Escalated => {
            record.waiting.as_ref().map_or(String::new(), |waiting| format!("for {}", awaited(waiting)))
        }
        StepChange::Retrying => record.due_at.map(|due| again(due, at)).unwrap_or_default(),
        StepChange::Repeating => format!("iteration {}", record.iteration + 1),
        // What was never begun was computed on the spot.
        StepChange::Completed | StepChange::Failed | StepChange::Canceled if since.is_none() => record.kind.clone(),
        StepChange::Completed | StepChange::Failed | StepChange::Canceled => String::new(),
        StepChange::AnsweredEarly => record.by.as_ref().map(|by| format!("by {}", who(by))).unwrap_or_default(),
        StepChange::Skipped | StepChange::Canceling | StepChange::Reset => String::new(),
        StepChange::Compensated | StepChange::CompensationFailed | StepChange::CompensationSkipped => String::new(),
    }
}

/// `charge`, `notify[3]`, `undo charge`.
fn name_of((step, item, undo): &Unit) -> String {
    let item = item.map(|item| format!("[{item}]")).unwrap_or_default();
    let undo = if *undo { "undo " } else { "" };
    format!("{undo}{step}{item}")
}

/// What a step waits for, by its own name where it has one.
pub fn awaited(waiting: &Waiting) -> String {
    match &waiting.what {
        Awaited::Time { until } => when::full(*until),
        Awaited::Signal { events, .. } => {
            events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(" or ")
        }
        Awaited::Input { prompt, role } => {
            let asked = prompt.as_deref().map(|prompt| format!(": {}", plain(prompt))).unwrap_or_default();
            format!("an answer by role {}{asked}", role.as_str())
        }
        Awaited::Callback { key } => format!("a report under {}", plain(key)),
        Awaited::Run { run_id } => run_id.to_string(),
        Awaited::Lock { name } => format!("the lock {}", plain(name)),
    }
}

pub fn queued(queue: &Queue) -> String {
    format!("by {}", queue.reason.as_str())
}

/// Why the run stood, said when it no longer does.
fn stands(change: RunChange, record: Option<&RunRecord>) -> String {
    let queue = record.and_then(|record| record.queue.as_ref()).map(|queue| format!(" {}", queued(queue)));
    let by = record.and_then(|record| record.by.as_ref()).map(|by| format!(" by {}", who(by)));
    let what = match change {
        RunChange::Queued => "queued",
        RunChange::Paused => "paused",
        _ => "parked",
    };
    format!("stood {what}{}", queue.or(by).unwrap_or_default())
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
