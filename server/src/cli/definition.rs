//! Definitions in files: checking them without any server, and applying them. Workflows and agents
//! are read by different readers and told about in the same way.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::Context;
use fleetprompt_client::Error;
use fleetprompt_core::diagnostic::{CODES, Diagnostic, Located, Severity, locate, render};
use fleetprompt_core::document::Format;
use fleetprompt_core::{agent, schedule, workflow};
use serde::Serialize;

use super::exit;
use super::given;
use super::output::Output;
use super::screen::{Screen, Tone, plain};

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Workflow,
    Agent,
    Schedule,
}

/// One file, read.
struct Checked {
    file: String,
    text: String,
    /// `forum-new-thread-triage 1.0.0`, when it is one.
    name: Option<String>,
    diagnostics: Vec<Diagnostic>,
}

/// A diagnostic as programs get it.
#[derive(Serialize)]
struct Found {
    file: String,
    #[serde(flatten)]
    located: Located,
}

/// Needs no server: names of directives and agents, which only a server knows, are not looked up.
pub fn validate(output: &Output, kind: Kind, files: &[String]) -> anyhow::Result<ExitCode> {
    let checked = files.iter().map(|file| check(kind, file)).collect::<anyhow::Result<Vec<_>>>()?;
    if output.is_table() {
        show(&checked);
    } else {
        output.show(&found(&checked), |_| String::new());
    }
    exit::failed_if(checked.iter().any(|checked| checked.name.is_none()))
}

fn check(kind: Kind, file: &str) -> anyhow::Result<Checked> {
    let bytes = given::read_bytes(file)?;
    let file = if file == "-" { "stdin".to_owned() } else { file.to_owned() };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let diagnostics = vec![Diagnostic::not_utf8(error.as_bytes(), &error.utf8_error())];
            return Ok(Checked { file, text: String::new(), name: None, diagnostics });
        }
    };
    let read = read(kind, &text, given::format_of(&file, &text));
    let (name, diagnostics) = match read {
        Ok((name, warnings)) => (Some(name), warnings),
        Err(problems) => (None, problems),
    };
    Ok(Checked { file, text, name, diagnostics })
}

fn read(kind: Kind, text: &str, format: Format) -> Result<(String, Vec<Diagnostic>), Vec<Diagnostic>> {
    match kind {
        Kind::Workflow => {
            let functions = fleetprompt_engine::functions::all().iter().map(|function| function.name.to_owned());
            let catalog = workflow::Catalog { functions: Some(functions.collect()), ..workflow::Catalog::default() };
            let (workflow, warnings) = workflow::read(text, format, &catalog)?;
            Ok((format!("{} {}", workflow.slug, workflow.version), warnings))
        }
        Kind::Agent => {
            let (agent, warnings) = agent::read(text, format)?;
            Ok((agent.slug.to_string(), warnings))
        }
        Kind::Schedule => {
            let (schedule, warnings) = schedule::read(text, format)?;
            Ok((schedule.slug.to_string(), warnings))
        }
    }
}

/// Problems on stderr, as compilers have it; what is right on stdout.
fn show(checked: &[Checked]) {
    let (out, err) = (Screen::of_stdout(), Screen::of_stderr());
    for one in checked {
        if !one.diagnostics.is_empty() {
            anstream::eprintln!("{}\n", render(&one.diagnostics, &one.text, &one.file, err.colour));
        }
    }
    for one in checked {
        if let Some(name) = &one.name {
            let mark = out.paint(Tone::Good, out.pick("✓", "ok"));
            out.line(&format!("{mark} {}  {}", plain(&one.file), out.paint(Tone::Dim, &plain(name))));
        }
    }
    let all = || checked.iter().flat_map(|one| &one.diagnostics);
    let errors = all().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = all().count() - errors;
    if errors + warnings > 0 {
        let (tone, files) = (if errors > 0 { Tone::Bad } else { Tone::Warn }, counted(checked.len(), "file"));
        let summary = format!("{}, {} in {files}", counted(errors, "error"), counted(warnings, "warning"));
        anstream::eprintln!("{}", err.paint(tone, &summary));
        anstream::eprintln!("{}", err.paint(Tone::Dim, "`fleetprompt explain CODE` says more about each code"));
    }
}

pub fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

fn found(checked: &[Checked]) -> Vec<Found> {
    let of_file = |one: &Checked| {
        let located = locate(&one.diagnostics, &one.text);
        located.into_iter().map(|located| Found { file: one.file.clone(), located }).collect::<Vec<_>>()
    };
    checked.iter().flat_map(of_file).collect()
}

/// What became of one file.
pub enum Applied<T> {
    Done(T),
    Invalid,
}

/// Sends one file. When its document is refused, the diagnostics are shown at their places.
pub async fn apply<T>(
    file: &str,
    send: impl AsyncFnOnce(&str, Format) -> Result<T, Error>,
    warnings: impl FnOnce(&T) -> &[Located],
) -> anyhow::Result<Applied<T>> {
    let text = given::read(file)?;
    let name = if file == "-" { "stdin" } else { file };
    match send(&text, given::format_of(file, &text)).await {
        Ok(applied) => {
            tell(warnings(&applied), &text, name);
            Ok(Applied::Done(applied))
        }
        Err(Error::Refused(problem)) if !problem.diagnostics.is_empty() => {
            tell(&problem.diagnostics, &text, name);
            Ok(Applied::Invalid)
        }
        Err(error) => Err(error).with_context(|| format!("cannot apply {name}")),
    }
}

/// The problems of a definition that was read here.
pub fn show_problems(problems: &[Diagnostic], text: &str, file: &str) {
    anstream::eprintln!("{}\n", render(problems, text, file, Screen::of_stderr().colour));
}

fn tell(located: &[Located], text: &str, file: &str) {
    if !located.is_empty() {
        let diagnostics: Vec<_> = located.iter().map(|located| diagnostic(located, text)).collect();
        anstream::eprintln!("{}\n", render(&diagnostics, text, file, Screen::of_stderr().colour));
    }
}

/// A diagnostic of the server, back at its bytes of the text.
fn diagnostic(located: &Located, text: &str) -> Diagnostic {
    let known = CODES.iter().find(|(code, ..)| *code == located.code);
    let code = known.map_or("FP", |(code, ..)| *code);
    Diagnostic {
        severity: located.severity,
        code,
        message: plain(&located.message),
        span: span(located, text),
        label: None,
        help: located.help.as_deref().map(plain),
        also: Vec::new(),
    }
}

/// None for what is at 1:1 and has no length: it has no place in the text.
fn span(located: &Located, text: &str) -> Option<Range<usize>> {
    let start = byte_of(text, located.line, located.column);
    let end = byte_of(text, located.end_line, located.end_column).max(start);
    (end > 0).then_some(start..end)
}

fn byte_of(text: &str, line: u32, column: u32) -> usize {
    let line_start = match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line as usize - 2).map_or(text.len(), |(at, _)| at + 1),
    };
    let rest = &text[line_start..];
    let column = rest.char_indices().nth(column.saturating_sub(1) as usize);
    line_start + column.map_or(rest.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_diagnostics_come_back_to_their_bytes() {
        let text = "{\n  \"ä\": tru\n}";
        let start = text.find("tru").expect("it is there");
        let here = Diagnostic::error("FP0001", "unexpected word").at(start..start + 3);
        let back = diagnostic(&locate(std::slice::from_ref(&here), text)[0], text);
        assert_eq!(back, here);
        let nowhere = Diagnostic::error("FP0003", "too large");
        assert_eq!(diagnostic(&locate(std::slice::from_ref(&nowhere), text)[0], text), nowhere);
    }
}
