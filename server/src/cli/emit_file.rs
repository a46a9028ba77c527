//! `signal emit --file`: a stream of signals, one a line, sent in batches. A bad line is told with
//! its number and keeps no other from being recorded.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::process::ExitCode;

use anyhow::Context;
use fleetprompt_client::Client;
use fleetprompt_client::wire::{EmitResult, EmittedMany};
use fleetprompt_core::SignalId;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::definition::counted;
use super::exit;
use super::output::Output;
use super::screen::{Screen, Tone, plain};

/// One fsync pays for a batch; more in one request only makes a longer wait.
const BATCH: usize = 500;
const BATCH_BYTES_MAX: usize = 4 << 20;
/// A longer line is no signal: its payload alone may have 1 MiB.
const LINE_BYTES_MAX: u64 = 2 << 20;
const ERRORS_SHOWN: usize = 5;

#[derive(Debug, Default, Serialize)]
struct Summary {
    recorded: u64,
    deduplicated: u64,
    refused: u64,
    runs_started: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_signal_id: Option<SignalId>,
    /// The first few.
    errors: Vec<LineError>,
}

#[derive(Debug, Serialize)]
struct LineError {
    line: u64,
    code: String,
    detail: String,
}

/// Lines on their way, with the number of each.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    numbers: Vec<u64>,
}

pub async fn emit(client: &Client, output: &Output, path: &str) -> anyhow::Result<ExitCode> {
    let (mut reader, bytes) = open(path)?;
    let bar = progress(bytes);
    let mut summary = Summary::default();
    let mut number = 0;
    loop {
        let (batch, read, at_end) = next_batch(&mut reader, &mut number, &mut summary)?;
        if !batch.numbers.is_empty() {
            let sent = client.signal_emit_ndjson(batch.text).await;
            let sent = sent.with_context(|| so_far(&summary, batch.numbers.first().copied().unwrap_or(number)))?;
            summary.count(&batch.numbers, sent);
        }
        bar.inc(read);
        bar.set_message(counted(summary.total() as usize, "signal"));
        if at_end {
            break;
        }
    }
    bar.finish_and_clear();
    output.show(&summary, |screen| shown(screen, &summary));
    exit::failed_if(summary.refused > 0)
}

fn so_far(summary: &Summary, line: u64) -> String {
    format!("stopped at line {line}, after {} recorded and {} known already", summary.recorded, summary.deduplicated)
}

fn open(path: &str) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if path == "-" {
        return Ok((Box::new(BufReader::new(stdin())), None));
    }
    let file = File::open(path).with_context(|| format!("cannot read {path}"))?;
    let bytes = file.metadata().ok().map(|about| about.len());
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), bytes))
}

fn progress(bytes: Option<u64>) -> ProgressBar {
    let template = match bytes {
        Some(_) => "{bar:30} {percent:>3}%  {msg}  {bytes_per_sec}  {eta} left",
        None => "{spinner} {msg}  {bytes}  {elapsed}",
    };
    let style = ProgressStyle::with_template(template).expect("the templates are right");
    // On stderr, and only when that is a terminal.
    bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style.progress_chars("━━╌"))
}

/// The next lines, how many bytes they took, and whether they are the last.
fn next_batch(
    reader: &mut impl BufRead,
    number: &mut u64,
    summary: &mut Summary,
) -> anyhow::Result<(Batch, u64, bool)> {
    let mut batch = Batch::default();
    let mut read = 0;
    let mut line = Vec::new();
    while batch.numbers.len() < BATCH && batch.text.len() < BATCH_BYTES_MAX {
        line.clear();
        let bytes = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if bytes == 0 {
            return Ok((batch, read, true));
        }
        *number += 1;
        read += bytes as u64;
        let is_cut = bytes as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n');
        if is_cut {
            read += skip_line(reader)?;
            let detail = format!("the line has more than {LINE_BYTES_MAX} bytes");
            summary.refuse(LineError { line: *number, code: "body_too_large".to_owned(), detail });
        } else if !line.trim_ascii().is_empty() {
            batch.text.extend_from_slice(line.trim_ascii());
            batch.text.push(b'\n');
            batch.numbers.push(*number);
        }
    }
    Ok((batch, read, false))
}

fn skip_line(reader: &mut impl BufRead) -> anyhow::Result<u64> {
    Ok(reader.skip_until(b'\n')? as u64)
}

impl Summary {
    fn total(&self) -> u64 {
        self.recorded + self.deduplicated + self.refused
    }

    fn count(&mut self, numbers: &[u64], sent: EmittedMany) {
        for (line, result) in numbers.iter().zip(sent.results) {
            match result {
                EmitResult::Emitted(emitted) if emitted.deduplicated => self.deduplicated += 1,
                EmitResult::Emitted(emitted) => {
                    self.recorded += 1;
                    self.last_signal_id = Some(emitted.signal.id);
                    let started = |one: &&fleetprompt_client::wire::Disposition| {
                        one.disposition == fleetprompt_core::signal::DispositionKind::Started
                    };
                    self.runs_started += emitted.dispositions.iter().filter(started).count() as u64;
                }
                EmitResult::Refused { error } => {
                    self.refuse(LineError { line: *line, code: error.code, detail: error.detail });
                }
            }
        }
    }

    fn refuse(&mut self, error: LineError) {
        self.refused += 1;
        if self.errors.len() < ERRORS_SHOWN {
            self.errors.push(error);
        }
    }
}

fn shown(screen: &Screen, summary: &Summary) -> String {
    let counts = [
        (Tone::Good, summary.recorded, "recorded"),
        (Tone::Dim, summary.deduplicated, "known already"),
        (Tone::Bad, summary.refused, "refused"),
    ];
    let told = counts
        .map(|(tone, count, what)| screen.paint(if count > 0 { tone } else { Tone::Dim }, &format!("{count} {what}")));
    let mut text = format!("{}; {} started\n", told.join(", "), counted(summary.runs_started as usize, "run"));
    for error in &summary.errors {
        text.push_str(&format!("  line {}: {} ({})\n", error.line, plain(&error.detail), plain(&error.code)));
    }
    let hidden = summary.refused.saturating_sub(summary.errors.len() as u64);
    if hidden > 0 {
        text.push_str(&screen.paint(Tone::Dim, &format!("  and {hidden} more\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_passed_over_and_numbers_stay_those_of_the_file() {
        let text = b"{\"name\":\"a.b\"}\n\n  \n{\"name\":\"c.d\"}".as_slice();
        let (mut number, mut summary) = (0, Summary::default());
        let (batch, read, at_end) = next_batch(&mut { text }, &mut number, &mut summary).expect("lines");
        assert_eq!((batch.numbers, read, at_end), (vec![1, 4], text.len() as u64, true));
        assert_eq!(batch.text, b"{\"name\":\"a.b\"}\n{\"name\":\"c.d\"}\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
        let mut text = vec![b'x'; LINE_BYTES_MAX as usize + 7];
        text.extend_from_slice(b"\n{\"name\":\"a.b\"}\n");
        let (mut number, mut summary) = (0, Summary::default());
        let (batch, read, _) = next_batch(&mut text.as_slice(), &mut number, &mut summary).expect("lines");
        assert_eq!((batch.numbers, read, summary.refused), (vec![2], text.len() as u64, 1));
    }
}
