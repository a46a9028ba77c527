//! `fleetprompt dev`: what stands in the folder counts, and what is wrong with it is shown.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{BINARY, free_port};

struct Dev {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dev {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("workflows")).unwrap();
        let errors = std::fs::File::create(folder.path().join("errors.txt")).unwrap();
        let child = Command::new(BINARY)
            .args(["dev", "--listen", &format!("127.0.0.1:{}", free_port())])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("workflows").join(name), text).unwrap();
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("errors.txt")).unwrap()
    }

    /// The active version of a workflow, once it satisfies.
    fn until_active(&self, slug: &str, holds: impl Fn(&str) -> bool) -> String {
        self.until(|| {
            let workflows = listed(self.folder.path())?;
            let found = workflows.as_array()?.iter().find(|workflow| workflow["slug"] == slug)?.clone();
            let version = found["active_version"].as_str()?.to_owned();
            holds(&version).then_some(version)
        })
    }

    fn until<T>(&self, found: impl Fn() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it never came to that: {}", self.errors());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn listed(folder: &Path) -> Option<Value> {
    let output = Command::new(BINARY).args(["workflow", "list", "-o", "json"]).current_dir(folder).output().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

fn greeting(text: &str) -> String {
    let step = json!({"id": "say", "type": "function", "function": "text.upper", "input": {"text": text}});
    json!({"workflow": {"name": "Greeting", "version": "1.0.0", "trigger": {"signal": "a.b"}, "steps": [step]}})
        .to_string()
}

#[test]
fn a_changed_file_is_applied_as_a_build_of_its_version() {
    let dev = Dev::start();
    dev.write("greeting.json", &greeting("hello"));
    dev.until_active("greeting", |version| version == "1.0.0");
    dev.write("greeting.json", &greeting("good day"));
    let build = dev.until_active("greeting", |version| version != "1.0.0");
    assert!(build.starts_with("1.0.0+dev."), "{build}");
}

#[test]
fn a_module_that_changes_is_added_and_called_from_then_on() {
    let dev = Dev::start();
    let folder = dev.folder.path().join("functions");
    std::fs::create_dir(&folder).unwrap();
    let gives = |number: &str| {
        let module = format!(
            r#"(module (memory (export "memory") 1) (data (i32.const 0) "{number}")
                (func (export "alloc") (param i32) (result i32) (i32.const 64))
                (func (export "call") (param i32 i32) (result i64) (i64.const 1)))"#
        );
        std::fs::write(folder.join("number.wasm"), wat::parse_str(module).unwrap()).unwrap();
    };
    let cli = |arguments: &[&str]| {
        let output = Command::new(BINARY).args(arguments).args(["-o", "json"]).current_dir(dev.folder.path()).output();
        serde_json::from_slice::<Value>(&output.unwrap().stdout).ok()
    };
    gives("7");
    let function = json!({"function": {"name": "my.number", "handler": {"type": "wasm", "module": "number.wasm"}}});
    std::fs::write(folder.join("my.number.json"), function.to_string()).unwrap();
    let module = || cli(&["function", "show", "my.number"])?["module"].as_str().map(str::to_owned);
    let first = dev.until(module);
    gives("8");
    dev.until(|| module().filter(|now| *now != first));
    assert_eq!(cli(&["module", "list"]).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn a_mistake_is_shown_where_it_stands_and_changes_nothing() {
    let dev = Dev::start();
    dev.write("greeting.json", &greeting("hello"));
    dev.until_active("greeting", |version| version == "1.0.0");
    dev.write("greeting.json", &greeting("hello").replace("text.upper", "text.uper"));
    dev.until(|| dev.errors().contains("text.uper").then_some(()));
    let errors = dev.errors();
    assert!(errors.contains("greeting.json:1:") && errors.contains("did you mean `text.upper`?"), "{errors}");
    dev.until_active("greeting", |version| version == "1.0.0");
}
