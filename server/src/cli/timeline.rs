//! A run's record as an operator reads it: what it is, then everything that happened, in order,
//! each thing under what caused it.
//!
//! `rows` says what there is to tell; `drawing` puts it on the page.

mod drawing;
mod rows;
mod stood;

use fleetprompt_client::RunHistory;
use fleetprompt_client::wire::Parent;
use fleetprompt_core::run::Status;

use super::fields::{Fields, who};
use super::screen::{Screen, Tone, plain};
use super::when;

pub use drawing::{Drawing, Guide};
pub use rows::{Teller, awaited, row_of_signal, rows};

pub fn print(timeline: &RunHistory, full: bool) {
    let screen = Screen::of_stdout();
    screen.print(&render(&screen, timeline, full));
}

/// `full` shows every signal and all of every output.
pub fn render(screen: &Screen, timeline: &RunHistory, full: bool) -> String {
    let rows = rows(timeline, full);
    let drawing = Drawing::of(screen, timeline, &rows, full);
    format!("{}\n{}", header(screen, timeline), drawing.draw(&rows))
}

pub fn header(screen: &Screen, timeline: &RunHistory) -> String {
    let run = &timeline.run;
    let (symbol, tone) = status_mark(screen, run.status);
    let took = when::took(run.ended_at.unwrap_or(screen.now) - run.started_at);
    let ended = match run.status {
        Status::Queued
        | Status::Running
        | Status::Paused
        | Status::Parked
        | Status::Stopping
        | Status::Compensating => {
            format!("{} for {took}", run.status)
        }
        Status::Completed | Status::Failed | Status::Canceled => format!("{} in {took}", run.status.as_str()),
    };
    let name = screen.paint(Tone::Strong, &format!("{} {}", run.workflow, plain(&run.version)));
    let title = format!("{} {name}  {}\n", screen.paint(tone, symbol), screen.paint(tone, &ended));
    title + &lineage(screen, timeline)
}

fn lineage(screen: &Screen, timeline: &RunHistory) -> String {
    let run = &timeline.run;
    let dot = screen.pick("·", "-");
    let mut fields = Fields::default();
    fields.line("run", run.id);
    match &timeline.trigger {
        Some(signal) => fields.line("signal", signal.id),
        None => fields.line("directive", format!("{} by {}", run.directive_id, who(&timeline.directive.actor))),
    };
    if run.correlation_id != first_record(timeline) {
        fields.line("correlation", &run.correlation_id);
    }
    let started = format!("{} {dot} {}", when::full(run.started_at), when::ago(run.started_at, screen.now));
    fields.line("started", started);
    fields.maybe("again of", run.source);
    fields.maybe("parent", run.parent.as_ref().map(parent));
    fields.maybe("stood", stood::told(&timeline.signals, run.ended_at.unwrap_or(screen.now)));
    if !run.status.has_ended() {
        fields.maybe("waiting for", run.waiting_for.as_deref());
        fields.maybe("deadline", run.deadline.map(|at| when::ago(at, screen.now)));
    }
    if let Some(error) = &run.error {
        fields.toned("error", Tone::Bad, error);
    }
    let text = fields.render(screen);
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// `run_… step fulfil[3]`.
pub fn parent(parent: &Parent) -> String {
    let step = parent.step.as_deref().map(|step| format!(" step {}", plain(step))).unwrap_or_default();
    let item = parent.item.map(|item| format!("[{item}]")).unwrap_or_default();
    format!("{}{step}{item}", parent.run_id)
}

/// A correlation that nobody named is the id of the first record, which is on the page anyway.
fn first_record(timeline: &RunHistory) -> String {
    timeline.trigger.as_ref().map_or(timeline.directive.id.to_string(), |signal| signal.id.to_string())
}

pub fn status_mark(screen: &Screen, status: Status) -> (&'static str, Tone) {
    match status {
        Status::Queued | Status::Paused => (screen.pick("◌", "~"), Tone::Warn),
        Status::Running => (screen.pick("●", "*"), Tone::Busy),
        Status::Parked => (screen.pick("◌", "~"), Tone::Bad),
        Status::Stopping | Status::Compensating => (screen.pick("↻", "@"), Tone::Warn),
        Status::Completed => (screen.pick("✓", "+"), Tone::Good),
        Status::Failed => (screen.pick("✗", "x"), Tone::Bad),
        Status::Canceled => (screen.pick("⊘", "o"), Tone::Warn),
    }
}

#[cfg(test)]
mod tests;
