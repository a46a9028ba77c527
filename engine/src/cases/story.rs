//! Tells what happened in a case, a line for each thing, with the time since it began.

use fleetprompt_core::Signal;
use fleetprompt_core::run::{self, RunRecord, StepRecord};

use super::play::Played;
use super::{At, Line};

/// The beginning and the end of a long one are told.
const LINES_MAX: usize = 80;
const NOTE_CHARS_MAX: usize = 160;

pub(super) fn tell(played: &Played) -> Vec<Line> {
    let mut lines: Vec<Line> = played.signals.iter().filter_map(|signal| line(played, signal)).collect();
    if lines.len() > LINES_MAX {
        let left_out = lines.len() - LINES_MAX;
        let after = lines[LINES_MAX / 2].after;
        let gap = Line { after, what: "…".into(), became: format!("{left_out} more"), note: String::new() };
        lines.splice(LINES_MAX / 2..LINES_MAX / 2 + left_out, [gap]);
    }
    lines
}

fn line(played: &Played, signal: &Signal) -> Option<Line> {
    let became = signal.name.as_str().rsplit('.').next().unwrap_or_default().to_owned();
    let line = |what: String, note: String| Line {
        after: signal.recorded_at - played.began,
        what,
        became: became.clone(),
        note: short(&note),
    };
    if run::run_change_of(&signal.name).is_some() {
        let record: RunRecord = serde_json::from_str(signal.payload.text()).ok()?;
        let what = match record.workflow == played.workflow.slug {
            true => "run".to_owned(),
            false => format!("run of {}", record.workflow),
        };
        return Some(line(what, note_of_run(&record)));
    }
    if run::step_change_of(&signal.name).is_some() {
        let record: StepRecord = serde_json::from_str(signal.payload.text()).ok()?;
        let at = At { step: record.step.clone(), item: record.item, undo: false };
        return Some(line(at.to_string(), note_of_step(&record, signal)));
    }
    if signal.name.as_str().starts_with("directive.") {
        let directive = played.directives.get(&signal.directive_id?)?;
        let is_told = directive.origin.is_some() && directive.name.as_str() != "workflow.run.start";
        let note = match became.as_str() {
            "requested" => directive.payload.text().to_owned(),
            "failed" => directive.error.as_ref().map(ToString::to_string).unwrap_or_default(),
            _ => String::new(),
        };
        return (is_told && became != "started").then(|| line(directive.name.to_string(), note));
    }
    if signal.name.as_str().starts_with("key.") {
        return None;
    }
    let fact = line(signal.name.to_string(), signal.payload.text().to_owned());
    Some(Line { became: "told".into(), ..fact })
}

fn note_of_run(record: &RunRecord) -> String {
    let queue = record.queue.as_ref().map(|queue| format!("by {}", queue.reason.as_str()));
    let error = record.error.as_ref().map(ToString::to_string);
    let output = record.output.as_ref().map(|output| output.text().to_owned());
    queue.or(error).or(output).or_else(|| record.reason.clone()).unwrap_or_default()
}

fn note_of_step(record: &StepRecord, signal: &Signal) -> String {
    let again = record.due_at.filter(|_| record.waiting.is_none()).map(|due| {
        let error = record.error.as_ref().map(|error| format!(", after {error}")).unwrap_or_default();
        format!("in {}{error}", due - signal.recorded_at)
    });
    let waiting = record.waiting.as_ref().map(|waiting| {
        let until = waiting.due_at().map(|due| format!(", at most {}", due - signal.recorded_at));
        format!("for {}{}", waiting.reason(), until.unwrap_or_default())
    });
    let error = record.error.as_ref().map(ToString::to_string);
    let output = record.output.as_ref().map(|output| output.text().to_owned());
    again.or(waiting).or(error).or(output).or_else(|| record.reason.clone()).unwrap_or_default()
}

/// As much of a text as a line has room for.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(NOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
