//! `fleetprompt workflow test`: tries the cases of test files, here and now, without any server. What is
//! tried is `fleetprompt_engine::cases`; here files are found and results shown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use fleetprompt_core::diagnostic::{Diagnostic, Located, locate, render};
use fleetprompt_engine::cases::{self, Line, Problem, Suite, Tried, Unreadable};
use serde::Serialize;
use serde_json::Value;

use super::definition::counted;
use super::exit::{self, Usage};
use super::given;
use super::output::Output;
use super::screen::{Screen, Tone, pad, plain, width_of};

pub const EXAMPLES: &str = "\
A test file NAME.test.yaml (or .json) stands beside its definition and says what agents, endpoints and
people answer in each case, and what the run is to come to. The clock jumps to what is due next, so waits
and retries take no time. Nothing is sent anywhere. Exits with 1 when a case fails. What may stand in
such a file: docs/testing.md

Examples:
  fleetprompt workflow test                               every *.test.* file below this folder
  fleetprompt workflow test refund.test.yaml
  fleetprompt workflow test --filter rejected             the cases with this in their name
  fleetprompt workflow test --output json                 for CI";

/// Deeper folders hold something else.
const FOLDERS_DEEP_MAX: usize = 16;
const DIFFERENCE_CHARS_MAX: usize = 400;

#[derive(Debug, Args)]
pub struct Test {
    /// Test files, or folders with some below them [default: the current folder]
    files: Vec<PathBuf>,
    /// Only cases with this in their name
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What became of one file.
#[derive(Serialize)]
struct Tested {
    file: String,
    cases: Vec<Tried>,
    /// Why it could not be tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    file: String,
    #[serde(flatten)]
    located: Located,
}

impl Test {
    pub fn run(&self, output: &Output) -> anyhow::Result<ExitCode> {
        let files = self.found()?;
        let (out, err) = (Screen::of_stdout(), Screen::of_stderr());
        let mut all = Vec::new();
        for file in files {
            let name = file.strip_prefix("./").unwrap_or(&file).display().to_string();
            let tested = match suite(&file, &name)? {
                Ok(suite) => Tested { cases: suite.run(self.filter.as_deref()), diagnostics: Vec::new(), file: name },
                Err(unreadable) => {
                    if output.is_table() {
                        unreadable.iter().for_each(|one| show_unreadable(&err, &name, &file, one));
                    }
                    let diagnostics = unreadable.iter().flat_map(|one| found_in(&name, &file, one)).collect();
                    Tested { cases: Vec::new(), diagnostics, file: name }
                }
            };
            if output.is_table() && !tested.cases.is_empty() {
                out.print(&shown(&out, &tested));
            }
            all.push(tested);
        }
        self.conclude(output, &out, &all)
    }

    fn conclude(&self, output: &Output, out: &Screen, all: &[Tested]) -> anyhow::Result<ExitCode> {
        let cases = || all.iter().flat_map(|tested| &tested.cases);
        let (count, failed) = (cases().count(), cases().filter(|tried| !tried.passed).count());
        let unreadable = all.iter().filter(|tested| !tested.diagnostics.is_empty()).count();
        if output.is_table() {
            out.print(&summary(out, count, failed, unreadable));
        } else {
            output.show(&all, |_| String::new());
        }
        if count == 0 && unreadable == 0 {
            let filter = self.filter.as_deref().unwrap_or_default();
            return Err(Usage(format!("no case has `{filter}` in its name")).into());
        }
        exit::failed_if(failed + unreadable > 0)
    }

    fn found(&self) -> anyhow::Result<Vec<PathBuf>> {
        let here = [PathBuf::from(".")];
        let named = if self.files.is_empty() { &here[..] } else { &self.files[..] };
        let mut files = Vec::new();
        for path in named {
            if path.is_dir() {
                find(path, FOLDERS_DEEP_MAX, &mut files);
            } else {
                files.push(path.clone());
            }
        }
        if files.is_empty() {
            let advice = "no test file here: they are called like `refund.test.yaml`, and docs/testing.md shows one";
            return Err(Usage(advice.to_owned()).into());
        }
        Ok(files)
    }
}

/// In the order of their names. Folders that begin with a dot are nobody's tests.
fn find(folder: &Path, deep: usize, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_hidden = name.starts_with('.') || matches!(name, "target" | "node_modules");
        if path.is_dir() && !path.is_symlink() && deep > 0 && !is_hidden {
            find(&path, deep - 1, into);
        } else if is_test(name) {
            into.push(path);
        }
    }
}

fn is_test(name: &str) -> bool {
    let name = name.rsplit_once('.').filter(|(_, extension)| matches!(*extension, "yaml" | "yml" | "json" | "jsonc"));
    name.is_some_and(|(name, _)| name.ends_with(".test"))
}

fn suite(file: &Path, name: &str) -> anyhow::Result<Result<Suite, Vec<Unreadable>>> {
    let bytes = given::read_bytes(&file.to_string_lossy())?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let diagnostics = vec![Diagnostic::not_utf8(error.as_bytes(), &error.utf8_error())];
            return Ok(Err(vec![Unreadable { file: None, text: String::new(), diagnostics }]));
        }
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let load = |named: &str| std::fs::read_to_string(folder.join(named)).map_err(|error| error.to_string());
    Ok(cases::read(&text, given::format_of(name, &text), &load))
}

// Problems of files

fn origin(name: &str, file: &Path, unreadable: &Unreadable) -> String {
    match &unreadable.file {
        None => name.to_owned(),
        Some(named) => {
            let path = file.parent().unwrap_or(Path::new("")).join(named);
            path.strip_prefix("./").unwrap_or(&path).display().to_string()
        }
    }
}

fn show_unreadable(err: &Screen, name: &str, file: &Path, unreadable: &Unreadable) {
    let origin = origin(name, file, unreadable);
    anstream::eprintln!("{}\n", render(&unreadable.diagnostics, &unreadable.text, &origin, err.colour));
}

fn found_in(name: &str, file: &Path, unreadable: &Unreadable) -> Vec<Found> {
    let file = origin(name, file, unreadable);
    let located = locate(&unreadable.diagnostics, &unreadable.text);
    located.into_iter().map(|located| Found { file: file.clone(), located }).collect()
}

// Cases

fn shown(screen: &Screen, tested: &Tested) -> String {
    let mut text = format!("{}\n", screen.paint(Tone::Strong, &plain(&tested.file)));
    let width = tested.cases.iter().map(|tried| width_of(&tried.name)).max().unwrap_or(0).min(80);
    for tried in &tested.cases {
        let (mark, tone) = match tried.passed {
            true => (screen.pick("✓", "ok"), Tone::Good),
            false => (screen.pick("✗", "FAILED"), Tone::Bad),
        };
        let took = screen.paint(Tone::Dim, &format!("{:.1} ms", tried.ms));
        text.push_str(&format!("  {} {}  {took}\n", screen.paint(tone, mark), pad(&plain(&tried.name), width)));
        for problem in &tried.problems {
            text.push_str(&shown_problem(screen, problem));
        }
        text.push_str(&timeline(screen, &tried.timeline));
    }
    text
}

fn shown_problem(screen: &Screen, problem: &Problem) -> String {
    let mut text = format!("      {}\n", screen.paint(Tone::Strong, &plain(&problem.what)));
    if let (Some(expected), Some(actual)) = (&problem.expected, &problem.actual) {
        let line = |word: &str, tone, value| format!("        {word}  {}\n", screen.paint(tone, &value_text(value)));
        text.push_str(&line("expected", Tone::Good, expected));
        text.push_str(&line("actual  ", Tone::Bad, actual));
    }
    if let Some(help) = &problem.help {
        text.push_str(&format!("        {}\n", screen.paint(Tone::Dim, &plain(help))));
    }
    text
}

fn value_text(value: &Value) -> String {
    let text = plain(&value.to_string());
    match text.char_indices().nth(DIFFERENCE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn timeline(screen: &Screen, lines: &[Line]) -> String {
    let after: Vec<String> = lines.iter().map(|line| format!("+{}", line.after)).collect();
    let column = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let wide = column(&mut after.iter().map(|text| width_of(text)));
    let wider = column(&mut lines.iter().map(|line| width_of(&line.what)));
    let widest = column(&mut lines.iter().map(|line| width_of(&line.became)));
    let mut text = if lines.is_empty() { String::new() } else { "      what happened\n".to_owned() };
    for (line, after) in lines.iter().zip(&after) {
        let (what, became) = (pad(&plain(&line.what), wider), pad(&plain(&line.became), widest));
        let note = screen.fit(&plain(&line.note), screen.page().saturating_sub(wide + wider + widest + 14).max(20));
        let row = format!("        {}  {what}  {became}  {note}", pad(after, wide));
        text.push_str(&screen.paint(Tone::Dim, row.trim_end()));
        text.push('\n');
    }
    text
}

fn summary(screen: &Screen, count: usize, failed: usize, unreadable: usize) -> String {
    let cases = counted(count, "case");
    let unreadable = match unreadable {
        0 => String::new(),
        count => format!(", {} cannot be read", counted(count, "file")),
    };
    match failed {
        0 if unreadable.is_empty() => format!("{}\n", screen.paint(Tone::Good, &format!("{cases} passed"))),
        failed => {
            let text = format!("{failed} of {cases} failed{unreadable}");
            format!("{}\n", screen.paint(Tone::Bad, &text))
        }
    }
}
