//! The command line as a program: what needs no server, and what it says when there is none.

use std::fs;

use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;

/// A folder of its own, so that no `.fleetprompt` and no environment of the developer takes part.
fn fleetprompt(folder: &tempfile::TempDir) -> Command {
    Command::new(cargo_bin!("fleetprompt"))
        .current_dir(folder.path())
        .env_remove("FLEETPROMPT_URL")
        .env_remove("FLEETPROMPT_KEY")
        .env_remove("FLEETPROMPT_OUTPUT")
        .env("LC_ALL", "C.UTF-8")
        .env("NO_COLOR", "1")
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file in it");
    }
    folder
}

const GOOD: &str = include_str!("../../examples/forum-triage/workflow.json");

const BAD_YAML: &str = r#"workflow:
  name: Issue triage
  version: 1.0.0
  trigger:
    signal: github.issues.opened
  steps:
    - id: shorten
      type: function
      function: text.trunkate
      input: {text: "${signal.payload.issue.body}", max: 80}
    - id: label
      type: directive
      directive: github.issue.label
      payload: {labels: "${steps.shortn.output}"}
"#;

const BAD_JSON: &str = r#"{
  "workflow": {
    "name": "Twice",
    "version": "one",
    "trigger": {"signal": "Forum.Thread"},
    "steps": []
  }
}
"#;

#[test]
fn good_definitions_pass() {
    let folder = folder(&[("good.json", GOOD)]);
    fleetprompt(&folder)
        .args(["workflow", "validate", "good.json"])
        .assert()
        .success()
        .stdout_eq(str![[r#"
✓ good.json  forum-new-thread-triage 1.0.0

"#]])
        .stderr_eq(str![]);
}

#[test]
fn everything_that_is_wrong_with_all_files_is_told_at_once() {
    let folder = folder(&[("good.json", GOOD), ("bad.yaml", BAD_YAML), ("bad.json", BAD_JSON)]);
    fleetprompt(&folder)
        .args(["workflow", "validate", "good.json", "bad.yaml", "bad.json"])
        .assert()
        .code(1)
        .stdout_eq(str![[r#"
✓ good.json  forum-new-thread-triage 1.0.0

"#]])
        .stderr_eq(str![[r#"
error[FP0205]: there is no function `text.trunkate`
 --> bad.yaml:9:17
  |
9 |       function: text.trunkate
  |                 ^^^^^^^^^^^^^
  |
  = help: did you mean `text.truncate`?

error[FP0202]: there is no step `shortn` in this workflow
  --> bad.yaml:14:28
   |
14 |       payload: {labels: "${steps.shortn.output}"}
   |                            ^^^^^^^^^^^^
   |
   = help: did you mean `shorten`?

error[FP0108]: `one` is not a semantic version like `1.0.0` or `2.0.0-rc.1`
 --> bad.json:4:16
  |
4 |     "version": "one",
  |                ^^^^^

error[FP0107]: `Forum.Thread` is not a name: expected at least two segments of a-z, 0-9 and _ joined by dots, like `forum.thread.created`
 --> bad.json:5:27
  |
5 |     "trigger": {"signal": "Forum.Thread"},
  |                           ^^^^^^^^^^^^^^

error[FP0104]: a workflow has at least one step
 --> bad.json:6:14
  |
6 |     "steps": []
  |              ^

5 errors, 0 warnings in 3 files
`fleetprompt explain CODE` says more about each code

"#]]);
}

#[test]
fn programs_get_the_diagnostics_as_a_list() {
    let folder = folder(&[("bad.json", BAD_JSON)]);
    let output =
        fleetprompt(&folder).args(["workflow", "validate", "bad.json", "-o", "json"]).output().expect("it ran");
    assert_eq!(output.status.code(), Some(1));
    let found: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("a JSON array");
    assert!(found.len() > 1);
    assert!(found.iter().all(|one| one["file"] == "bad.json" && one["line"].as_u64().is_some_and(|line| line > 0)));
}

#[test]
fn a_file_that_is_not_there_is_told() {
    fleetprompt(&folder(&[])).args(["workflow", "validate", "none.json"]).assert().code(1).stderr_eq(str![[r#"
error: cannot read none.json: No such file or directory (os error 2)

"#]]);
}

#[test]
fn codes_are_explained() {
    let folder = folder(&[]);
    fleetprompt(&folder).args(["explain", "fp0001"]).assert().success().stdout_eq(str![[r#"
FP0001: the document is not valid JSON

The text cannot be read as JSON, and reading stopped at the place shown. Definitions are plain JSON plus comments
(`// …` and `/* … */`), because people write them by hand; other extensions such as trailing commas, single quotes or
names without quotes are refused. A document that does not begin with `{` is taken for YAML unless its file name says
otherwise.

Wrong: `{"name": "Triage",}`

Right: `{"name": "Triage"}`

"#]]);
    fleetprompt(&folder).args(["explain", "FP9999"]).assert().code(2).stderr_eq(str![[r#"
error: there is no code `FP9999`
       list them with `fleetprompt explain`

"#]]);
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = fleetprompt(&folder(&[])).args(["completions", shell]).output().expect("it ran");
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("directive-type"), "{shell}");
    }
}

#[test]
fn no_server_is_exit_code_3_and_says_what_to_do() {
    // Port 9 of loopback: discard, which nobody serves.
    fleetprompt(&folder(&[])).args(["run", "list", "--url", "http://127.0.0.1:9"]).assert().code(3).stderr_eq(str![[
        r#"
error: cannot reach http://127.0.0.1:9: Connection refused (os error 111)
       is the server running at http://127.0.0.1:9? start it with `fleetprompt dev`

"#
    ]]);
}

#[test]
fn a_command_line_that_is_wrong_is_exit_code_2() {
    let folder = folder(&[]);
    for args in [
        &["signal", "emit", "NotAName"][..],
        &["signal", "emit", "a.b", "--payload", "{"],
        &["signal", "emit", "a.b", "--subject", "thread"],
        &["run", "show", "sig_01h455vb4pex5vsknk084sn02q"],
        &["run", "list", "--status", "done"],
        &["run", "list", "--url", "localhost"],
        &["key", "create", "x", "--data", "."],
    ] {
        fleetprompt(&folder).args(args).assert().code(2);
    }
}

const SCHEDULE: &str = "\
schedule:
  slug: nightly-digest
  cron: 30 2 * * *
  time_zone: Europe/Berlin
  signal: digest.due
";

#[test]
fn a_schedule_is_previewed_without_any_server() {
    let folder = folder(&[("schedule.yaml", SCHEDULE)]);
    fleetprompt(&folder)
        .args(["schedule", "next", "--file", "schedule.yaml", "--after", "2026-10-24T12:00:00Z", "--count", "2"])
        .args(["-o", "json"])
        .assert()
        .success()
        .stdout_eq(str![[r#"
[
  {
    "due_at": "2026-10-25T00:30:00.000000Z",
    "fires_at": "2026-10-25T00:30:00.000000Z",
    "local": "2026-10-25T02:30:00+02:00"
  },
  {
    "due_at": "2026-10-26T01:30:00.000000Z",
    "fires_at": "2026-10-26T01:30:00.000000Z",
    "local": "2026-10-26T02:30:00+01:00"
  }
]

"#]]);
    fleetprompt(&folder)
        .args(["schedule", "next", "--file", "schedule.yaml", "--after", "2100-01-01T00:00:00Z", "--count", "1"])
        .assert()
        .success()
        .stdout_eq(str![[r#"
LOCAL[..]UTC[..]
2100-01-01T02:30:00+01:00  2100-01-01 01:30:00.000 UTC  in [..]

"#]]);
}

#[test]
fn a_schedule_that_is_never_due_is_shown_where_it_is_wrong() {
    let folder = folder(&[("schedule.yaml", &SCHEDULE.replace("30 2 * * *", "30 2 31 4 *"))]);
    fleetprompt(&folder).args(["schedule", "next", "--file", "schedule.yaml"]).assert().code(1).stderr_eq(str![[r#"
error[FP0503]: no day there can be fits `30 2 31 4 *`
 --> schedule.yaml:3:9
...
"#]]);
}

#[test]
fn a_definition_is_drawn_and_compared_without_a_server() {
    let changed = GOOD.replace("\"1.0.0\"", "\"1.1.0\"").replace("\"post_summary\"", "\"post\"");
    let folder = folder(&[("good.json", GOOD), ("changed.json", &changed)]);
    let run = |args: &[&str]| fleetprompt(&folder).args(args).assert();
    run(&["workflow", "graph", "good.json", "--format", "svg", "--output-file", "good.svg"]).success();
    let drawn = fs::read_to_string(folder.path().join("good.svg")).expect("it was drawn");
    assert!(drawn.starts_with("<svg ") && drawn.contains(">post_summary</text>"), "{drawn}");
    run(&["workflow", "diff", "good.json", "good.json", "--exit-code"]).success();
    run(&["workflow", "diff", "good.json", "changed.json"]).success();
    let different = run(&["workflow", "diff", "good.json", "changed.json", "--exit-code", "--output", "json"]).code(1);
    let diff: serde_json::Value = serde_json::from_slice(&different.get_output().stdout).expect("JSON");
    assert_eq!(diff["runs"]["unless_begun"], serde_json::json!([{"step": "post_summary", "because": "removed"}]));
    run(&["schema", "workflow"]).success();
    run(&["schema", "run"]).code(2);
}
