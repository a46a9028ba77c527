//! Runs and their steps as people see them.

use fleetprompt_client::wire;
use fleetprompt_core::run::{StepStatus, Waiting};

use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{timeline, watch, when};

pub fn table(screen: &Screen, runs: &[wire::Run]) -> Table {
    let mut table = Table::new([
        Column::id("ID"),
        Column::text("WORKFLOW", 24),
        Column::id("STATUS"),
        Column::id("STARTED"),
        Column::number("TOOK").leave_out(3),
        Column::id("VERSION").leave_out(4),
        Column::text("WHY", 16).leave_out(5),
    ]);
    for run in runs {
        let (symbol, tone) = timeline::status_mark(screen, run.status);
        let why = run.error.as_ref().map(ToString::to_string).or_else(|| run.waiting_for.clone());
        table.row([
            Cell::plain(run.id),
            Cell::new(Tone::Strong, run.workflow.as_str()),
            Cell::new(tone, format!("{symbol} {}", run.status.as_str())),
            Cell::dim(when::ago(run.started_at, screen.now)),
            Cell::maybe(run.ended_at.map(|end| when::took(end - run.started_at))),
            Cell::dim(&run.version),
            Cell::dim(why.unwrap_or_default()),
        ]);
    }
    table
}

pub fn shown(screen: &Screen, run: &wire::Run) -> String {
    let (symbol, tone) = timeline::status_mark(screen, run.status);
    let mut fields = Fields::default();
    fields.toned("workflow", Tone::Strong, format!("{} {}", run.workflow, run.version));
    fields.line("run", run.id);
    fields.toned("status", tone, format!("{symbol} {}", run.status.as_str()));
    fields.maybe("waiting for", run.waiting_for.as_ref());
    if let Some(standing) = &run.standing {
        fields.line("since", when::ago(standing.since, screen.now));
    }
    fields.maybe("again of", run.source);
    fields.maybe("parent", run.parent.as_ref().map(timeline::parent));
    fields.maybe("concurrency", run.keys.concurrency.as_deref().filter(|key| !key.is_empty()));
    fields.maybe("throttle", run.keys.throttle.as_deref().filter(|key| !key.is_empty()));
    fields.maybe("debounce", run.keys.debounce.as_deref().filter(|key| !key.is_empty()));
    let started = format!("{} ({})", when::full(run.started_at), when::ago(run.started_at, screen.now));
    fields.line("started", started);
    let begun = run.begun_at.filter(|begun| *begun > run.started_at);
    fields.maybe("begun", begun.map(|begun| format!("{} later", when::took(begun - run.started_at))));
    fields.maybe("took", run.ended_at.map(|end| when::took(end - run.started_at)));
    fields.maybe("deadline", run.deadline.map(|at| when::ago(at, screen.now)));
    fields.maybe("signal", run.signal_id);
    fields.line("directive", run.directive_id);
    fields.line("correlation", &run.correlation_id);
    for refusal in &run.refusals {
        fields.line("not started", format!("{} by {}: {}", refusal.workflow, refusal.signal_id, refusal.reason));
    }
    if let Some(error) = &run.error {
        fields.toned("error", Tone::Bad, error);
    }
    fields.json("input", run.input.as_ref());
    fields.json("output", run.output.as_ref());
    let table = steps(screen, &run.steps);
    let steps = if run.steps.is_empty() { String::new() } else { format!("\n{}", table.render(screen)) };
    fields.render(screen) + &steps
}

/// Of a run, or the items of a step.
pub fn steps(screen: &Screen, steps: &[wire::Step]) -> Table {
    let mut table = Table::new([
        Column::text("STEP", 12),
        Column::id("TYPE"),
        Column::id("STATUS"),
        Column::number("TRY").leave_out(1),
        Column::number("TOOK"),
        Column::text("OUTPUT OR ERROR", 15).leave_out(2),
    ]);
    for step in steps {
        let (_, tone) = watch::step_mark(screen, step.status);
        let took = step.started_at.zip(step.ended_at).map(|(start, end)| when::took(end - start));
        let item = step.item.map(|item| format!("[{item}]")).unwrap_or_default();
        table.row([
            Cell::new(Tone::Strong, format!("{}{item}", step.id)),
            Cell::dim(&step.kind),
            Cell::new(tone, status(step)),
            Cell::maybe(Some(step.attempt).filter(|attempt| *attempt > 0)),
            Cell::maybe(took),
            Cell::dim(told(step).unwrap_or_default()),
        ]);
    }
    table
}

fn status(step: &wire::Step) -> String {
    let undone = step.compensation.as_ref().map(|undo| match undo.status {
        StepStatus::Completed => ", undone".to_owned(),
        StepStatus::Skipped => ", left".to_owned(),
        StepStatus::Failed => ", not undone".to_owned(),
        _ => ", being undone".to_owned(),
    });
    format!("{}{}", step.status, undone.unwrap_or_default())
}

/// What went wrong, what it waits for, how far its items are, or what it gave.
fn told(step: &wire::Step) -> Option<String> {
    let undo = step.compensation.as_ref().and_then(|undo| undo.error.as_ref());
    let error = step.error.as_ref().or(undo).map(ToString::to_string);
    let waits = || step.waiting.as_ref().filter(|_| step.status == StepStatus::Waiting).map(waiting);
    let repeats = || (step.status == StepStatus::Repeating).then(|| format!("iteration {}", step.iteration + 1));
    let items = || step.items.as_ref().map(items);
    let output = || step.output.as_ref().map(|output| output.text().chars().take(200).collect());
    error.or_else(waits).or_else(repeats).or_else(items).or_else(output)
}

fn waiting(waiting: &Waiting) -> String {
    let until = waiting.timeout_at.map(|at| format!(", until {}", when::full(at))).unwrap_or_default();
    format!("for {}{until}", timeline::awaited(waiting))
}

/// `100 items: 97 completed, 2 failed, 1 running`.
fn items(items: &wire::Items) -> String {
    let counts = items.by_status.iter().map(|(status, count)| format!("{count} {status}"));
    format!("{} items: {}", items.total, counts.collect::<Vec<_>>().join(", "))
}
