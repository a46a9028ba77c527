//! The README's tour, as it stands there: its files, its commands, in its order.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{BINARY, file, free_port};

struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_tour_goes_as_the_readme_says() {
    let readme = file("README.md");
    let folder = tempfile::tempdir().unwrap();
    let files = written_files(&readme);
    assert_eq!(files.len(), 2, "the tour writes a directive type and a workflow");
    for (path, text) in &files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    say(folder.path(), &["workflow", "validate", "workflows/ticket-triage.yaml"]);

    let _dev = dev(folder.path());
    let emit = command(&readme, "fleetprompt signal emit");
    let first = shell(folder.path(), &emit);
    let second = shell(folder.path(), &emit);
    assert!(first.contains("recorded") && second.contains("known already"), "{first}{second}");

    let run = id_of_first(folder.path(), &["run", "list"]);
    let directive = id_of_first(folder.path(), &["directive", "list", "--status", "running"]);
    shell(folder.path(), &command(&readme, "fleetprompt directive report").replace("dir_…", &directive));
    let timeline = say(folder.path(), &["run", "timeline", &run]);
    assert!(timeline.contains("completed") && timeline.contains("maria"), "{timeline}");
    let why = say(folder.path(), &["directive", "why", &directive]);
    assert!(why.contains("ticket.opened"), "{why}");
}

/// The `cat > PATH <<'END'` of the README.
fn written_files(readme: &str) -> Vec<(&str, &str)> {
    let blocks = readme.split("cat > ").skip(1);
    blocks
        .map(|block| {
            let (path, rest) = block.split_once(" <<'END'\n").unwrap();
            let (text, _) = rest.split_once("\nEND\n").unwrap();
            (path, text)
        })
        .collect()
}

/// A command of the README, with the lines that it goes on over and without its comment.
fn command(readme: &str, begins: &str) -> String {
    let rest = &readme[readme.find(&format!("\n{begins}")).unwrap() + 1..];
    let mut command = String::new();
    for line in rest.lines() {
        let line = line.split("  #").next().unwrap().trim_end();
        match line.strip_suffix('\\') {
            Some(part) => command.push_str(part),
            None => return command + line,
        }
    }
    command
}

fn dev(folder: &Path) -> Dev {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut starting = Command::new(BINARY);
    let child = starting.args(["dev", "--listen", &listen]).current_dir(folder).stdout(Stdio::null()).spawn().unwrap();
    let dev = Dev(child);
    let begun = Instant::now();
    loop {
        let listed =
            Command::new(BINARY).args(["workflow", "list", "-o", "json"]).current_dir(folder).output().unwrap();
        if String::from_utf8_lossy(&listed.stdout).contains("ticket-triage") {
            return dev;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", String::from_utf8_lossy(&listed.stderr));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn id_of_first(folder: &Path, list: &[&str]) -> String {
    let listed: Value = serde_json::from_str(&say(folder, &[list, &["-o", "json"]].concat())).unwrap();
    listed[0]["id"].as_str().unwrap().to_owned()
}

fn say(folder: &Path, args: &[&str]) -> String {
    done(Command::new(BINARY).args(args).current_dir(folder))
}

/// As a person types it.
fn shell(folder: &Path, line: &str) -> String {
    let line = line.replacen("fleetprompt", BINARY, 1);
    done(Command::new("sh").args(["-c", &line]).current_dir(folder))
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_failure_that_operators_read_of_happens_in_a_test() {
    let operating = file("docs/operating.md");
    let (_, table) = operating.split_once("## What fails, and what then").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{table}");
    for row in rows {
        let (_, named) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let (path, test) = named.split_once(' ').unwrap();
        let text = file(path.trim_matches('`'));
        let test = format!("fn {}(", test.trim_matches('`'));
        assert!(text.contains(&test), "{row}: there is no {test}");
    }
}
