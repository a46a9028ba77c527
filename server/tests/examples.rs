//! What the repository shows works: every definition below `examples/` is valid, every case of every test
//! file passes, and the table of workflow patterns says what there is.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_fleetprompt");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn fleetprompt(args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .current_dir(root())
        .env_remove("FLEETPROMPT_URL")
        .env_remove("FLEETPROMPT_KEY")
        .env_remove("FLEETPROMPT_OUTPUT")
        .output()
        .unwrap()
}

fn succeeds(args: &[&str]) -> Value {
    let output = fleetprompt(args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", args.join(" "));
    serde_json::from_str(&out).unwrap_or_default()
}

/// Every JSON and YAML file below a folder, as seen from the root.
fn definitions(folder: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            definitions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "json" || extension == "yaml") {
            into.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The key that the document begins with says what it is.
fn is_of(kind: &str, file: &str) -> bool {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let format = fleetprompt_core::document::Format::of(file.as_ref(), &text);
    let node = fleetprompt_core::document::parse(&text, format).unwrap_or_else(|_| panic!("{file} cannot be read"));
    node.get(kind).is_some_and(|node| node.kind() == "an object")
}

fn names(files: &[String]) -> Vec<&str> {
    files.iter().map(String::as_str).collect()
}

#[test]
fn every_definition_of_the_examples_is_valid() {
    let mut files = Vec::new();
    definitions(&root().join("examples"), &mut files);
    for kind in ["workflow", "agent", "schedule"] {
        let of_kind: Vec<String> = files.iter().filter(|file| is_of(kind, file)).cloned().collect();
        assert!(!of_kind.is_empty(), "no {kind}");
        if kind == "schedule" {
            of_kind.iter().for_each(|file| drop(succeeds(&["schedule", "next", "--file", file, "--output", "json"])));
        } else {
            succeeds(&[&[kind, "validate"], &names(&of_kind)[..]].concat());
        }
    }
}

#[test]
fn every_case_of_the_examples_passes() {
    let tested = succeeds(&["workflow", "test", "examples", "--output", "json"]);
    let files = tested.as_array().unwrap();
    let cases: usize = files.iter().map(|file| file["cases"].as_array().unwrap().len()).sum();
    assert!(files.len() >= 40 && cases > files.len(), "{} files, {cases} cases", files.len());
}

#[test]
fn every_case_about_the_meaning_of_the_language_passes() {
    let tested = succeeds(&["workflow", "test", "server/tests/semantics", "--output", "json"]);
    assert!(!tested.as_array().unwrap().is_empty());
}

#[test]
fn every_example_has_a_page_a_workflow_and_a_test() {
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let mut files = Vec::new();
        definitions(&folder, &mut files);
        let is_test = |file: &&String| file.contains(".test.");
        assert!(folder.join("README.md").is_file(), "{} has no README.md", folder.display());
        assert!(files.iter().any(|file| file.contains(".test.")), "{} has no test", folder.display());
        assert!(files.iter().filter(|file| !is_test(file)).any(|file| is_of("workflow", file)), "{}", folder.display());
    }
}

#[test]
fn the_table_of_patterns_names_all_of_them_and_each_that_is_supported_has_its_test() {
    let page = std::fs::read_to_string(root().join("docs/patterns.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Some((cells.get(1)?.parse::<u32>().ok()?, cells[2].to_owned(), cells[3].to_owned(), cells[4].to_owned()))
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), (1..=43).collect::<Vec<_>>());
    let mut linked = BTreeSet::new();
    for (number, name, supported, why) in &rows {
        assert!(!why.is_empty(), "{number} does not say why");
        let link = name.split_once("](../").and_then(|(_, rest)| rest.strip_suffix(')'));
        assert_eq!(link.is_some(), supported == "yes", "{number}");
        if let Some(link) = link {
            let test = link.replace(".yaml", ".test.yaml");
            assert!(link.starts_with(&format!("examples/patterns/{number:02}-")), "{link}");
            assert!(root().join(link).is_file() && root().join(&test).is_file(), "{link} and its test");
            linked.extend([link.to_owned(), test]);
        }
    }
    let count = rows.iter().filter(|(_, _, supported, _)| supported == "yes").count();
    assert!(page.contains(&format!("{count} of 43")), "the page counts wrong");
    let mut files = Vec::new();
    definitions(&root().join("examples/patterns"), &mut files);
    assert_eq!(files.into_iter().collect::<BTreeSet<_>>(), linked, "what is there is in the table");
}

#[test]
fn a_case_that_fails_shows_what_differs_and_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let workflow =
        "workflow: {name: Hello, version: 1.0.0, output: {said: hello}, steps: [{id: wait, type: wait, for: 2h}]}";
    let test = "workflow: hello.yaml\ncases:\n  - {name: it says so, input: {}, expect: {status: completed, took: 2h}}\n  \
                - {name: it shouts, input: {}, expect: {output: {said: HELLO}}}\n";
    std::fs::write(folder.path().join("hello.yaml"), workflow).unwrap();
    std::fs::write(folder.path().join("hello.test.yaml"), test).unwrap();
    let run = |args: &[&str]| {
        let run = Command::new(BINARY)
            .args(args)
            .current_dir(folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env_remove("FLEETPROMPT_OUTPUT")
            .output()
            .unwrap();
        (run.status.code(), String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
    };

    let (code, out, _) = run(&["workflow", "test"]);
    assert_eq!(code, Some(1), "{out}");
    let lines =
        ["hello.test.yaml", "✓ it says so", "✗ it shouts", "output.said", "expected  \"HELLO\"", "actual    \"hello\""];
    for line in lines.into_iter().chain(["+2h", "1 of 2 cases failed"]) {
        assert!(out.contains(line), "no {line} in\n{out}");
    }

    let (code, out, _) = run(&["workflow", "test", "--filter", "says", "--output", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told[0]["cases"][0]["passed"]), (Some(0), &Value::Bool(true)), "{out}");

    let (code, _, err) = run(&["workflow", "test", "--filter", "nothing"]);
    assert!(code == Some(2) && err.contains("no case has `nothing` in its name"), "{err}");

    std::fs::write(folder.path().join("hello.test.yaml"), test.replace("expect", "expcet")).unwrap();
    let (code, _, err) = run(&["workflow", "test"]);
    assert!(code == Some(1) && err.contains("did you mean `expect`?"), "{err}");
}
