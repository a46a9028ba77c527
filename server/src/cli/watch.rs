//! A run while it runs. On a terminal the steps are redrawn in place; elsewhere each record is a line
//! as it comes, the lines that the timeline has.

use std::process::ExitCode;

use fleetprompt_client::wire::{Run, Signal};
use fleetprompt_client::{Client, PageQuery, RunHistory};
use fleetprompt_core::run::{self, StepChange, StepRecord, StepStatus};
use fleetprompt_core::{RunId, Timestamp};
use futures_util::{Stream, StreamExt};

use super::exit;
use super::output::Output;
use super::screen::{Screen, Tone, pad, plain, width_of};
use super::timeline::{self, Drawing, Guide, Teller};
use super::when;

/// Follows the run to its end; fails unless it completed.
pub async fn watch(client: &Client, output: &Output, id: RunId) -> anyhow::Result<ExitCode> {
    let screen = Screen::of_stdout();
    let begun = client.run_timeline_page(id, &PageQuery { limit: Some(1), cursor: None }).await?;
    let begun = RunHistory::of(client.run_get(id).await?.run, begun)?;
    if !output.is_table() {
        follow_for_programs(client, output, &screen, id).await?;
    } else if screen.is_terminal {
        follow_in_place(client, begun.run, id).await?;
    } else {
        follow_in_lines(client, &screen, begun, id).await?;
    }
    let ended = client.run_head(id).await?.run;
    if output.is_table() && screen.is_terminal {
        timeline::print(&client.run_timeline(id).await?, false);
    }
    exit::failed_if(ended.status != run::Status::Completed)
}

async fn follow_for_programs(client: &Client, output: &Output, screen: &Screen, id: RunId) -> anyhow::Result<()> {
    let live = client.run_live(id);
    futures_util::pin_mut!(live);
    while let Some(signal) = live.next().await {
        output.item(screen, &signal?, |_| String::new());
    }
    Ok(())
}

async fn follow_in_lines(client: &Client, screen: &Screen, begun: RunHistory, id: RunId) -> anyhow::Result<()> {
    screen.print(&format!("{}\n", timeline::header(screen, &begun)));
    let mut teller = Teller::default();
    let before = timeline::rows(&RunHistory { signals: Vec::new(), ..begun.clone() }, false);
    let origin = before.first().map_or(begun.run.started_at, |row| row.at);
    let longest = begun.run.steps.iter().map(|step| width_of(&step.id)).chain([18]).max().unwrap_or(18);
    let live = client.run_live(id);
    futures_util::pin_mut!(live);
    let drawing = |now| Drawing::new(screen, origin, (begun.run.started_at, now), 8, longest + 10, false);
    before.iter().for_each(|row| screen.print(&drawing(row.at).row(row, &Guide::open(row.depth))));
    while let Some(signal) = live.next().await {
        if let Some(mut row) = timeline::row_of_signal(&mut teller, &signal?) {
            row.depth -= usize::from(begun.trigger.is_none());
            screen.print(&drawing(row.at).row(&row, &Guide::open(row.depth)));
        }
    }
    Ok(())
}

async fn follow_in_place(client: &Client, run: Run, id: RunId) -> anyhow::Result<()> {
    let mut board = Board::of(run);
    let live = client.run_live(id);
    futures_util::pin_mut!(live);
    let mut drawn = 0;
    loop {
        let screen = Screen::of_stdout();
        let text = board.render(&screen);
        screen.print(&format!("{}{text}", erase(drawn)));
        drawn = text.lines().count();
        if !board.take_what_comes(&mut live).await? {
            screen.print(&erase(drawn));
            return Ok(());
        }
    }
}

/// Back to the first of the lines that were drawn, and nothing below.
fn erase(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r\x1b[J") }
}

/// The steps as their signals so far made them.
struct Board {
    run: Run,
    steps: Vec<Line>,
}

struct Line {
    id: String,
    kind: String,
    status: StepStatus,
    attempt: u32,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    note: String,
    /// Of a step that goes over a list: how many have settled, of how many.
    items: Option<(u32, u32)>,
}

impl Board {
    /// More would scroll, and what scrolls cannot be redrawn.
    const LINES_MAX: usize = 18;
    const TICK: std::time::Duration = std::time::Duration::from_millis(100);

    fn of(run: Run) -> Self {
        let line = |step: &fleetprompt_client::wire::Step| Line {
            id: plain(&step.id),
            kind: plain(&step.kind),
            status: StepStatus::Pending,
            attempt: 0,
            since: None,
            until: None,
            note: String::new(),
            items: None,
        };
        Self { steps: run.steps.iter().map(line).collect(), run }
    }

    /// Everything that is there, or a tick of the clock. False: the stream has ended.
    async fn take_what_comes(
        &mut self,
        live: &mut (impl Stream<Item = Result<Signal, fleetprompt_client::Error>> + Unpin),
    ) -> anyhow::Result<bool> {
        let tick = tokio::time::sleep(Self::TICK);
        tokio::pin!(tick);
        loop {
            tokio::select! {
                biased;
                signal = live.next() => match signal {
                    Some(signal) => self.take(&signal?),
                    None => return Ok(false),
                },
                () = &mut tick => return Ok(true),
            }
        }
    }

    fn take(&mut self, signal: &Signal) {
        if let Some(change) = run::run_change_of(&signal.name) {
            self.run.status = change.makes();
        }
        let Some(change) = run::step_change_of(&signal.name) else { return };
        let Ok(record) = serde_json::from_str::<StepRecord>(signal.payload.text()) else { return };
        let Some(line) = self.steps.iter_mut().find(|line| line.id == record.step) else { return };
        line.take(change, &record, signal.recorded_at);
    }

    fn render(&self, screen: &Screen) -> String {
        let title = format!("{} {}", self.run.workflow, plain(&self.run.version));
        let took = when::took(screen.now - self.run.started_at);
        let (symbol, tone) = timeline::status_mark(screen, self.run.status);
        let status = screen.paint(tone, &format!("{symbol} {} for {took}", self.run.status));
        let mut text = format!("{}  {status}\n", screen.paint(Tone::Strong, &title));
        // The live ones matter most; of the others, those around them.
        let first_live = self.steps.iter().position(|line| !line.status.is_settled()).unwrap_or(self.steps.len());
        let from = first_live.saturating_sub(4).min(self.steps.len().saturating_sub(Self::LINES_MAX));
        let width = self.steps.iter().map(|line| width_of(&line.id)).max().unwrap_or(0).min(screen.page() / 2);
        for line in self.steps.iter().skip(from).take(Self::LINES_MAX) {
            text.push_str(&line.render(screen, width));
        }
        let hidden = self.steps.len().saturating_sub(from + Self::LINES_MAX);
        if from > 0 || hidden > 0 {
            let said = format!("  {from} steps above, {hidden} below");
            text.push_str(&format!("{}\n", screen.paint(Tone::Dim, &said)));
        }
        text
    }
}

impl Line {
    fn take(&mut self, change: StepChange, record: &StepRecord, at: Timestamp) {
        if change.is_undo() {
            self.note = undo_note(change).to_owned();
            return;
        }
        if record.item.is_some() {
            return self.take_item(change);
        }
        self.attempt = record.attempt.max(self.attempt);
        self.items = record.items.filter(|_| change == StepChange::Started).map(|total| (0, total)).or(self.items);
        self.note = note(record);
        self.status = match change {
            StepChange::Started => StepStatus::Running,
            StepChange::Waiting | StepChange::Heartbeat | StepChange::Escalated => StepStatus::Waiting,
            StepChange::Retrying => StepStatus::Retrying,
            StepChange::Repeating => StepStatus::Repeating,
            StepChange::Completed => StepStatus::Completed,
            StepChange::Failed => StepStatus::Failed,
            StepChange::Skipped => StepStatus::Skipped,
            StepChange::Canceling => StepStatus::Canceling,
            StepChange::Canceled => StepStatus::Canceled,
            StepChange::Reset => StepStatus::Pending,
            StepChange::AnsweredEarly
            | StepChange::Compensating
            | StepChange::Compensated
            | StepChange::CompensationFailed
            | StepChange::CompensationSkipped => self.status,
        };
        match change {
            StepChange::Started | StepChange::Waiting => _ = self.since.get_or_insert(at),
            StepChange::Reset => self.since = None,
            _ => {}
        }
        self.until = self.status.is_settled().then_some(at);
    }

    fn take_item(&mut self, change: StepChange) {
        let settles =
            matches!(change, StepChange::Completed | StepChange::Failed | StepChange::Skipped | StepChange::Canceled);
        if let Some((done, _)) = self.items.as_mut().filter(|_| settles) {
            *done += 1;
        }
    }

    /// What it waits for, or what went wrong; of a list, how far it is.
    fn told(&self) -> String {
        let items = self.items.map(|(done, total)| format!("{done} of {total} items")).unwrap_or_default();
        if items.is_empty() || self.note.is_empty() { items + &self.note } else { format!("{items}, {}", self.note) }
    }

    fn render(&self, screen: &Screen, width: usize) -> String {
        let (symbol, tone) = step_mark(screen, self.status);
        let took = self.since.map(|since| when::took(self.until.unwrap_or(screen.now) - since)).unwrap_or_default();
        let attempt = if self.attempt > 1 { format!("#{}", self.attempt) } else { String::new() };
        let told = format!(
            "{}  {:<9}  {:<9} {attempt:<3} {took:>6}  ",
            pad(&screen.fit(&self.id, width), width),
            self.kind,
            self.status.as_str()
        );
        let room = screen.page().saturating_sub(width_of(&told) + 4);
        let note = screen.paint(self.note_tone(), &screen.fit(&self.told(), room));
        format!("  {} {}{note}\n", screen.paint(tone, symbol), told).trim_end().to_owned() + "\n"
    }
}

impl Line {
    fn note_tone(&self) -> Tone {
        match self.status {
            StepStatus::Failed | StepStatus::Retrying => Tone::Bad,
            _ => Tone::Dim,
        }
    }
}

fn note(record: &StepRecord) -> String {
    let error = record.error.as_ref().map(|error| plain(&error.to_string()));
    let waits = || record.waiting.as_ref().map(|waiting| format!("for {}", timeline::awaited(waiting)));
    let repeats = || (record.iteration > 0).then(|| format!("iteration {}", record.iteration + 1));
    error.or_else(waits).or_else(repeats).unwrap_or_default()
}

fn undo_note(change: StepChange) -> &'static str {
    match change {
        StepChange::Compensated => "undone",
        StepChange::CompensationFailed => "could not be undone",
        StepChange::CompensationSkipped => "left as it is",
        _ => "being undone",
    }
}

pub fn step_mark(screen: &Screen, status: StepStatus) -> (&'static str, Tone) {
    match status {
        StepStatus::Pending => (screen.pick("○", "."), Tone::Dim),
        StepStatus::Running => (screen.pick("●", "*"), Tone::Busy),
        StepStatus::Waiting => (screen.pick("◌", "~"), Tone::Warn),
        StepStatus::Retrying | StepStatus::Repeating => (screen.pick("↻", "@"), Tone::Warn),
        StepStatus::Completed => (screen.pick("✓", "+"), Tone::Good),
        StepStatus::Failed => (screen.pick("✗", "x"), Tone::Bad),
        StepStatus::Skipped | StepStatus::Canceling | StepStatus::Canceled => (screen.pick("⊘", "o"), Tone::Warn),
    }
}
