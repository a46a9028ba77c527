//! Rows on the page: offset, tree, name, what happened, and a bar that says when in the run it was
//! and how long it took.

use fleetprompt_client::RunHistory;
use fleetprompt_core::{Json, Timestamp};

use super::rows::{Beneath, Mark, Row};
use crate::cli::fields::pretty;
use crate::cli::screen::{Screen, Tone, pad, plain, plain_lines, width_of, wrap};
use crate::cli::when;

pub struct Drawing<'s> {
    screen: &'s Screen,
    origin: Timestamp,
    bars: (Timestamp, Timestamp),
    offset_width: usize,
    name_width: usize,
    bar_width: usize,
    full: bool,
}

/// The tree's lines: whether there is more to come at each depth above a row, and at its own.
#[derive(Debug, Clone, Default)]
pub struct Guide {
    pub more: Vec<bool>,
}

impl Guide {
    /// While a run is watched there may always be more to come.
    pub fn open(depth: usize) -> Self {
        Self { more: vec![true; depth + 1] }
    }
}

const VERB_WIDTH: usize = 9;
const ATTEMPT_WIDTH: usize = 3;
const TOOK_WIDTH: usize = 6;
const NAME_WIDTH_MIN: usize = 16;

impl<'s> Drawing<'s> {
    pub fn of(screen: &'s Screen, timeline: &RunHistory, rows: &[Row], full: bool) -> Self {
        let origin = rows.first().map_or(timeline.run.started_at, |row| row.at);
        let end = timeline.run.ended_at.unwrap_or(screen.now);
        let offsets = rows.iter().map(|row| when::offset(row.at - origin).len());
        let names = rows.iter().map(|row| row.depth * 2 + 2 + width_of(&row.name));
        Self::new(
            screen,
            origin,
            (timeline.run.started_at, end),
            offsets.max().unwrap_or(7),
            names.max().unwrap_or(0),
            full,
        )
    }

    pub fn new(
        screen: &'s Screen,
        origin: Timestamp,
        bars: (Timestamp, Timestamp),
        offset_width: usize,
        name_width: usize,
        full: bool,
    ) -> Self {
        let page = screen.page();
        let bar_width = if page >= 110 { 24 } else { 10 };
        let others = offset_width + 2 + 2 + VERB_WIDTH + 1 + ATTEMPT_WIDTH + 1 + bar_width + 1 + TOOK_WIDTH;
        let name_width = name_width.min(page.saturating_sub(others)).max(NAME_WIDTH_MIN);
        Self { screen, origin, bars, offset_width, name_width, bar_width, full }
    }

    pub fn draw(&self, rows: &[Row]) -> String {
        rows.iter().zip(guides(rows)).map(|(row, guide)| self.row(row, &guide)).collect()
    }

    /// One row and what stands beneath it.
    pub fn row(&self, row: &Row, guide: &Guide) -> String {
        let offset = format!("{:>width$}", when::offset(row.at - self.origin), width = self.offset_width);
        let (symbol, tone) = self.symbol(row.mark);
        let branch = self.branch(row.depth, guide);
        let name_width = self.name_width.saturating_sub(row.depth * 2 + 2);
        let name = self.screen.fit(&row.name, name_width.max(8));
        let name = pad(&name, name_width);
        let line = format!(
            "{}  {}{} {}  {}",
            self.screen.paint(Tone::Dim, &offset),
            self.screen.paint(Tone::Dim, &branch),
            self.screen.paint(tone, symbol),
            self.name(row, &name),
            self.rest(row, tone),
        );
        let mut text = line.trim_end().to_owned() + "\n";
        for beneath in &row.beneath {
            self.beneath(&mut text, row.depth, guide, beneath);
        }
        text
    }

    fn name(&self, row: &Row, name: &str) -> String {
        let tone = match row.mark {
            Mark::Fact => Tone::Strong,
            Mark::Begun | Mark::Good | Mark::Bad | Mark::Again | Mark::Stopped | Mark::Stands => Tone::Plain,
        };
        self.screen.paint(tone, name)
    }

    /// Verb, attempt, and either the bar or the note.
    fn rest(&self, row: &Row, tone: Tone) -> String {
        if row.verb.is_empty() {
            return self.screen.paint(Tone::Dim, &self.note(row, self.after_name()));
        }
        let verb_tone = if row.mark == Mark::Begun { Tone::Dim } else { tone };
        let verb = self.screen.paint(verb_tone, &pad(row.verb, VERB_WIDTH));
        let is_telling = row.attempt > 1 || row.mark == Mark::Again;
        let attempt = if is_telling { format!("#{}", row.attempt) } else { String::new() };
        let attempt = self.screen.paint(Tone::Warn, &pad(&attempt, ATTEMPT_WIDTH));
        match row.since {
            Some(since) => format!("{verb} {attempt} {}", self.bar(since, row.at, tone)),
            None => {
                let width = self.after_name() - VERB_WIDTH - ATTEMPT_WIDTH - 2;
                let note_tone = if row.mark == Mark::Again { Tone::Warn } else { Tone::Dim };
                format!("{verb} {attempt} {}", self.screen.paint(note_tone, &self.note(row, width)))
            }
        }
    }

    fn note(&self, row: &Row, width: usize) -> String {
        self.screen.fit(&row.note, width)
    }

    fn after_name(&self) -> usize {
        let before = self.offset_width + 2 + self.name_width + 2;
        self.screen.page().saturating_sub(before).max(VERB_WIDTH + ATTEMPT_WIDTH + 12)
    }

    /// When in the run it was, and how long it took.
    fn bar(&self, since: Timestamp, at: Timestamp, tone: Tone) -> String {
        let (begin, end) = self.bars;
        let whole = (end - begin).0.max(1) as f64;
        let cells = self.bar_width as f64;
        let place = |time: Timestamp| ((time - begin).0 as f64 / whole * cells).clamp(0.0, cells);
        let first = (place(since).floor() as usize).min(self.bar_width - 1);
        let last = (place(at).ceil() as usize).clamp(first + 1, self.bar_width);
        let (filled, empty) = (self.screen.pick("━", "="), self.screen.pick("╌", "-"));
        let took = format!("{:>TOOK_WIDTH$}", when::took(at - since));
        format!(
            "{}{}{} {took}",
            self.screen.paint(Tone::Dim, &empty.repeat(first)),
            self.screen.paint(tone, &filled.repeat(last - first)),
            self.screen.paint(Tone::Dim, &empty.repeat(self.bar_width - last)),
        )
    }

    fn symbol(&self, mark: Mark) -> (&'static str, Tone) {
        match mark {
            Mark::Fact => (self.screen.pick("◆", "!"), Tone::Busy),
            Mark::Begun => (self.screen.pick("●", "*"), Tone::Busy),
            Mark::Good => (self.screen.pick("✓", "+"), Tone::Good),
            Mark::Bad => (self.screen.pick("✗", "x"), Tone::Bad),
            Mark::Again => (self.screen.pick("↻", "@"), Tone::Warn),
            Mark::Stopped => (self.screen.pick("⊘", "o"), Tone::Warn),
            Mark::Stands => (self.screen.pick("◌", "~"), Tone::Warn),
        }
    }

    fn branch(&self, depth: usize, guide: &Guide) -> String {
        let more = |level: usize| guide.more.get(level).copied().unwrap_or(false);
        let mut branch = String::new();
        for level in 1..depth {
            branch.push_str(if more(level) { self.screen.pick("│ ", "| ") } else { "  " });
        }
        if depth > 0 {
            branch.push_str(if more(depth) {
                self.screen.pick("├╴", "|-")
            } else {
                self.screen.pick("└╴", "`-")
            });
        }
        branch
    }

    /// Space of the offset, then the lines of the tree that go on below a row.
    fn margin(&self, depth: usize, guide: &Guide) -> String {
        let more = |level: usize| guide.more.get(level).copied().unwrap_or(false);
        let mut margin = " ".repeat(self.offset_width + 2);
        for level in 1..=depth + 1 {
            margin.push_str(if more(level) { self.screen.pick("│ ", "| ") } else { "  " });
        }
        self.screen.paint(Tone::Dim, &margin)
    }

    fn beneath(&self, text: &mut String, depth: usize, guide: &Guide, beneath: &Beneath) {
        let margin = self.margin(depth, guide);
        let width = self.screen.page().saturating_sub(self.offset_width + 2 + (depth + 1) * 2).max(20);
        let mut push = |tone: Tone, line: &str| {
            text.push_str(&format!("{margin}{}\n", self.screen.paint(tone, line)));
        };
        match beneath {
            Beneath::Log(log) => push(Tone::Dim, &self.cut(&format!("{} {log}", self.screen.pick("›", ">")), width)),
            Beneath::Note(note) => wrap(note, width).iter().for_each(|line| push(Tone::Dim, line)),
            Beneath::Error(failure) => {
                let said = format!("{}: {}", plain(&failure.code), failure.message);
                for line in plain_lines(&said).flat_map(|line| wrap(&line, width)) {
                    push(Tone::Bad, &line);
                }
            }
            Beneath::Output(output) if self.full => pretty(output).lines().for_each(|line| push(Tone::Plain, line)),
            Beneath::Output(output) => push(Tone::Plain, &self.screen.fit(&one_line(output), width)),
        }
    }

    fn cut(&self, text: &str, width: usize) -> String {
        if self.full { text.to_owned() } else { self.screen.fit(text, width) }
    }
}

/// As it was written, on one line; enough of it for any page.
fn one_line(json: &Json) -> String {
    const CHARS_MAX: usize = 400;
    let text: String = json.text().chars().take(CHARS_MAX).collect();
    plain(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn guides(rows: &[Row]) -> Vec<Guide> {
    let mut guides = vec![Guide::default(); rows.len()];
    let mut more: Vec<bool> = Vec::new();
    for (row, guide) in rows.iter().zip(&mut guides).rev() {
        more.resize(more.len().max(row.depth + 2), false);
        // What stands deeper below this row than one level is not its own.
        more.iter_mut().skip(row.depth + 2).for_each(|below| *below = false);
        guide.more = more.clone();
        more[row.depth + 1] = false;
        more[row.depth] = true;
    }
    guides
}
