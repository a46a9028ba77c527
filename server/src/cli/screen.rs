//! What the output goes to: how wide it is, and whether it shows colours and more than ASCII.
//!
//! Renderers take a `Screen` and give text, so that a test can be a screen. Whatever text came from
//! outside passes `plain` before it is shown: a payload must not speak to the terminal.

use std::io::{IsTerminal, Write};
use std::process::exit;
use std::time::SystemTime;

use anstyle::{AnsiColor, Effects, Style};
use fleetprompt_core::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

#[derive(Debug, Clone)]
pub struct Screen {
    /// Columns. What is no terminal has as many as it takes.
    pub width: usize,
    pub colour: bool,
    pub unicode: bool,
    pub is_terminal: bool,
    pub now: Timestamp,
}

/// What a piece of text means, and so how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    Bad,
    Warn,
    Busy,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| colour.on_default();
        match self {
            Self::Plain => Style::new(),
            Self::Dim => Style::new().effects(Effects::DIMMED),
            Self::Strong => Style::new().effects(Effects::BOLD),
            Self::Good => colour(AnsiColor::Green),
            Self::Bad => colour(AnsiColor::Red),
            Self::Warn => colour(AnsiColor::Yellow),
            Self::Busy => colour(AnsiColor::Cyan),
        }
    }
}

impl Screen {
    const UNBOUNDED: usize = 10_000;
    /// Wider lines are hard to follow across.
    const PAGE_MAX: usize = 140;

    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let is_bounded = is_terminal || std::env::var_os("COLUMNS").is_some();
        let width = if is_bounded { terminal_width() } else { Self::UNBOUNDED };
        Self { width, colour, unicode: shows_unicode(), is_terminal, now: now() }
    }

    pub fn of_stderr() -> Self {
        let stderr = std::io::stderr();
        let is_terminal = stderr.is_terminal();
        let colour = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
        Self { width: terminal_width(), colour, unicode: shows_unicode(), is_terminal, now: now() }
    }

    /// The width of a page of prose and drawings.
    pub fn page(&self) -> usize {
        if self.width == Self::UNBOUNDED { 120 } else { self.width.min(Self::PAGE_MAX) }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour || tone == Tone::Plain || text.is_empty() {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }

    /// One of two spellings, by what the terminal can show.
    pub fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.unicode { unicode } else { ascii }
    }

    /// Writes to stdout. A reader that has seen enough (`| head`) ends us without a word.
    pub fn print(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            exit(0);
        }
    }

    pub fn line(&self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// Cuts text so that it fits; what is cut ends in `…`.
    pub fn fit(&self, text: &str, width: usize) -> String {
        if text.width() <= width {
            return text.to_owned();
        }
        let mark = self.pick("…", "~");
        let mut left = width.saturating_sub(1);
        let mut cut = String::new();
        for c in text.chars() {
            let wide = c.width().unwrap_or(0);
            if wide > left {
                break;
            }
            left -= wide;
            cut.push(c);
        }
        if width > 0 {
            cut.push_str(mark);
        }
        cut
    }
}

pub fn width_of(text: &str) -> usize {
    text.width()
}

/// Fills up with spaces on the right.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// A stranger's text on one line, without what terminals obey or readers are misled by.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { harmless(c) }).collect()
}

/// The same, with its lines kept.
pub fn plain_lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(|line| plain(line.trim_end()))
}

fn harmless(c: char) -> char {
    if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }
}

/// Characters that terminals obey, C1 among them, or that change the order in which others are shown.
pub fn is_hidden(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders
}

/// Breaks one line of text between words; a word that is too long is broken anywhere.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(10);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("begun with one");
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(String::new());
        } else if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            let line = lines.last_mut().expect("begun with one");
            if line.width() + c.width().unwrap_or(0) > width {
                lines.push(c.to_string());
            } else {
                line.push(c);
            }
        }
    }
    lines
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn terminal_width() -> usize {
    const UNKNOWN: usize = 80;
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let asked = || comfy_table::Table::new().width().map(usize::from);
    named.filter(|width| *width > 0).or_else(asked).unwrap_or(UNKNOWN).max(40)
}

/// By the locale, as terminals have no other way to say it. No locale at all is a container.
fn shows_unicode() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    named.is_none_or(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

#[cfg(test)]
impl Screen {
    /// A screen of a test: no colours, and a clock that stands still.
    pub fn still(width: usize) -> Self {
        let now = "2026-11-22T08:33:10Z".parse().expect("a time");
        Self { width, colour: false, unicode: true, is_terminal: true, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terminals_obey_is_not_shown() {
        assert_eq!(plain("a\x1b[2Jb\u{9b}31m\u{202e}c\nd"), "a\u{fffd}[2Jb\u{fffd}31m\u{fffd}c d");
    }

    #[test]
    fn text_is_cut_by_columns_and_not_by_characters() {
        let screen = Screen::still(80);
        assert_eq!(screen.fit("日本語です", 5), "日本…");
        assert_eq!(screen.fit("short", 5), "short");
        assert_eq!(screen.fit("longer", 5), "long…");
        assert_eq!(screen.fit("x", 0), "");
    }

    #[test]
    fn lines_break_between_words_and_in_long_ones() {
        assert_eq!(wrap("one two three four", 10), ["one two", "three four"]);
        assert_eq!(wrap("https://example.com", 10), ["https://ex", "ample.com"]);
    }
}
