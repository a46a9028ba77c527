//! Writes docs/errors from the tables of codes, and holds the tables against the source.
//!
//! `UPDATE_DOCS=1 cargo test -p fleetprompt-engine --test error_pages` writes the pages anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use fleetprompt_core::diagnostic;
use fleetprompt_engine::codes::{CODES, Code, Of, title};
use regex::Regex;

const INTRODUCTION: &str = "\
# Errors

Every code that FleetPrompt answers or ends with, and what to do. `fleetprompt explain CODE` says the same. The pages are
written by a test from the tables in `core/src/diagnostic/codes.rs` and `engine/src/codes.rs`; they are changed there.
";

#[test]
fn the_pages_say_what_the_tables_say() {
    let pages = pages();
    let folder = root().join("docs/errors");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        write_anew(&folder, &pages);
    }
    for (name, page) in &pages {
        let committed = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *page,
            "docs/errors/{name} is not what the table says; write it anew with\n\
             UPDATE_DOCS=1 cargo test -p fleetprompt-engine --test error_pages\n\n{page}"
        );
    }
    let known: BTreeSet<_> = pages.keys().cloned().collect();
    assert_eq!(names_in(&folder), known, "pages of codes that are gone: remove them");
}

#[test]
fn the_table_is_sorted_and_each_code_is_told_in_full() {
    for pair in CODES.windows(2) {
        assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
    }
    for code in CODES {
        assert!(!code.of.is_empty() && code.meaning.ends_with('.') && code.advice.ends_with('.'), "{}", code.code);
    }
}

#[test]
fn every_code_in_the_source_is_in_the_table_and_every_one_in_the_table_is_in_the_source() {
    let source = source();
    let known: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
    let used = used(&source);
    let untold: Vec<_> = used.iter().filter(|code| !known.contains(code.as_str())).collect();
    assert!(untold.is_empty(), "add these to engine/src/codes.rs: {untold:?}");
    let unused: Vec<_> = known.iter().filter(|code| !source.contains(&format!("\"{code}\""))).collect();
    assert!(unused.is_empty(), "nothing ends with these any more: {unused:?}");
    assert!(used.len() > 50, "the scan finds hardly anything: {used:?}");
}

// Pages

fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::from([("README.md".to_owned(), index())]);
    for (code, title, explanation) in diagnostic::CODES {
        pages.insert(format!("{code}.md"), format!("# {code}: {title}\n\n{explanation}\n"));
    }
    for code in CODES {
        pages.insert(format!("{}.md", code.code), page(code));
    }
    pages
}

fn page(code: &Code) -> String {
    let Code { code, of, meaning, advice } = code;
    let of: Vec<_> = of.iter().map(|of| said(*of)).collect();
    format!("# {}\n\n`{code}`: {}.\n\n{meaning}\n\n**What to do.** {advice}\n", title(code), of.join("; "))
}

fn said(of: Of) -> String {
    match of {
        Of::Problem(status) => format!("a request is answered with {status}"),
        Of::Failure => "a step or a directive fails with it".to_owned(),
    }
}

fn index() -> String {
    let mut index = INTRODUCTION.to_owned();
    let is_problem = |code: &&Code| code.of.iter().any(|of| matches!(of, Of::Problem(_)));
    let is_failure = |code: &&Code| code.of.contains(&Of::Failure);
    let title_of = |code: &Code| (code.code, title(code.code));
    section(&mut index, "Requests that are refused", CODES.iter().filter(is_problem).map(title_of));
    section(&mut index, "Steps, directives and runs that fail", CODES.iter().filter(is_failure).map(title_of));
    let diagnostics = diagnostic::CODES.iter().map(|(code, title, _)| (*code, (*title).to_owned()));
    section(&mut index, "Definitions with problems", diagnostics);
    index
}

fn section(index: &mut String, heading: &str, codes: impl Iterator<Item = (&'static str, String)>) {
    writeln!(index, "\n## {heading}\n\n| code | |\n|---|---|").expect("room");
    for (code, title) in codes {
        writeln!(index, "| [`{code}`]({code}.md) | {title} |").expect("room");
    }
}

fn write_anew(folder: &Path, pages: &BTreeMap<String, String>) {
    fs::create_dir_all(folder).expect("docs can be made");
    for name in names_in(folder) {
        if !pages.contains_key(&name) {
            fs::remove_file(folder.join(name)).expect("a page can be removed");
        }
    }
    for (name, page) in pages {
        fs::write(folder.join(name), page).expect("a page can be written");
    }
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("docs/errors is there");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

// Source

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What runs, without what tests it.
fn source() -> String {
    let mut source = String::new();
    for folder in ["core/src", "engine/src", "server/src/api"] {
        read_all(&root().join(folder), &mut source);
    }
    source
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("the source is there").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            read_all(&path, into);
        } else if name != "tests.rs" && name != "codes.rs" {
            let text = fs::read_to_string(&path).expect("source is text");
            into.push_str(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default());
        }
    }
}

/// Codes stand where failures, refusals and problems are made, and in the arms of a `let code = match`.
fn used(source: &str) -> BTreeSet<String> {
    let made = Regex::new(
        r#"(?x) (?: Failure::(?:retry|fatal) | Refusal::(?:invalid|conflict) ) \( \s* "([a-z_]+)"
              | (?: Refusal | Problem | Self )::new \( \s* [A-Za-z:_]+ , \s* "([a-z_]+)" "#,
    );
    let chosen = Regex::new(r"(?s)let code = match .*?\n    \};").expect("a pattern");
    let arm = Regex::new(r#"=> "([a-z_]+)""#).expect("a pattern");
    let made = made.expect("a pattern");
    let made = made.captures_iter(source).filter_map(|found| found.get(1).or(found.get(2)));
    let arms = chosen.find_iter(source).flat_map(|code| arm.captures_iter(code.as_str()).filter_map(|arm| arm.get(1)));
    made.chain(arms).map(|code| code.as_str().to_owned()).collect()
}
