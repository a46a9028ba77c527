//! Values as the command line gives them: JSON inline, from a file or from stdin; `type:id`; names of
//! states.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fleetprompt_core::document::{self, Format};
use fleetprompt_core::{Json, Party, Span, Timestamp, directive, run, tenant};
use serde_json::Value;

use super::exit::Usage;
use super::screen::now;

/// `{"a": 1}`, `@file.json` or `-` for stdin.
pub fn json(option: &str, given: &str) -> anyhow::Result<Json> {
    let text = match given.strip_prefix('@') {
        Some(path) => read(path)?,
        None if given == "-" => read("-")?,
        None => given.to_owned(),
    };
    Json::parse(&text).map_err(|error| Usage(format!("{option} is not JSON: {error}")).into())
}

/// The text of a file, or of stdin for `-`. Larger ones would be refused anyway.
pub fn read(path: &str) -> anyhow::Result<String> {
    String::from_utf8(read_bytes(path)?).with_context(|| format!("{path} is not UTF-8"))
}

pub fn read_bytes(path: &str) -> anyhow::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 64 << 20;
    let mut bytes = Vec::new();
    let read = match path {
        "-" => std::io::stdin().lock().take(BYTES_MAX).read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)),
    };
    let name = if path == "-" { "stdin" } else { path };
    read.with_context(|| format!("cannot read {name}"))?;
    Ok(bytes)
}

/// How a definition is spelled: by the name of its file, else by its first character.
pub fn format_of(path: &str, text: &str) -> Format {
    Format::of_path(path.as_ref()).unwrap_or_else(|| Format::of_text(text))
}

/// A document that the API takes as JSON only, in either spelling.
pub fn document(path: &str) -> anyhow::Result<Json> {
    let text = read(path)?;
    match document::parse(&text, format_of(path, &text)) {
        Ok(node) => Ok(node.to_value().into()),
        Err(problems) => {
            anyhow::bail!("{}", fleetprompt_core::diagnostic::render(&problems, &text, path, false))
        }
    }
}

/// The file of the module that a function's document names, if it names one by its file, which stands beside it.
pub fn module_beside(path: &Path, document: &Value) -> Option<PathBuf> {
    let module = document.pointer("/function/handler/module")?.as_str()?;
    let is_digest = module.starts_with("sha256:");
    (!is_digest).then(|| path.parent().unwrap_or(Path::new("")).join(module))
}

/// `thread:42`; the id may hold colons.
pub fn party(text: &str) -> Result<Party, String> {
    let party = text.split_once(':').map(|(kind, id)| Party::new(kind, id));
    party.filter(Party::is_valid).ok_or_else(|| "expected TYPE:ID, like thread:42".to_owned())
}

pub fn run_status() -> impl TypedValueParser<Value = run::Status> {
    one_of(&run::Status::ALL, run::Status::as_str)
}

pub fn step_status() -> impl TypedValueParser<Value = run::StepStatus> {
    one_of(&run::StepStatus::ALL, run::StepStatus::as_str)
}

pub fn directive_status() -> impl TypedValueParser<Value = directive::Status> {
    one_of(&directive::Status::ALL, directive::Status::as_str)
}

pub fn role() -> impl TypedValueParser<Value = tenant::Role> {
    one_of(&tenant::Role::ALL, tenant::Role::as_str)
}

fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let find =
        move |text: String| *all.iter().find(|value| name(**value) == text).expect("clap lets only the names through");
    PossibleValuesParser::new(all.iter().map(|value| name(*value))).map(find)
}

/// A time like `2026-11-22T09:30:00Z`, or how long ago, like `2h`.
pub fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = text.parse::<Span>() {
        return Ok(Timestamp(now().0 - ago.0));
    }
    text.parse().map_err(|_| "expected a time like 2026-11-22T09:30:00Z, or how long ago, like 2h".to_owned())
}

/// What makes two requests of two command lines two intents.
pub fn fresh_key() -> String {
    format!("cli-{}", uuid::Uuid::now_v7().simple())
}
