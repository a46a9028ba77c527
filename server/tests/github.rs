//! Real input: every webhook payload of GitHub's own examples, twice, through the real binary.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Server, file, verify};

/// The version whose payloads are counted here.
const PACKAGE: &str = "@octokit/webhooks-examples@7.6.1";

#[tokio::test]
async fn every_github_webhook_is_one_signal_and_each_opened_issue_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let lines = signals_of_all_payloads(folder.path());
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let distinct: BTreeSet<&str> = told.iter().map(|signal| signal["source_event_id"].as_str().unwrap()).collect();
    assert!(told.len() > 700 && distinct.len() > 400, "{} payloads, {} distinct", told.len(), distinct.len());

    let data = folder.path().join("server");
    let server = Server::fresh(&data).await;
    for name in directive_types() {
        server.post("/v1/directive-types", &serde_json::from_str(&file(&name)).unwrap()).await;
    }
    let workflow = file("examples/github-triage/workflow.yaml");
    server.post_text("/v1/workflows?activate=true", "application/yaml", workflow).await;

    let first = emit_all(&server, &lines).await;
    let second = emit_all(&server, &lines).await;
    assert_eq!(first.values().filter(|known| !**known).count(), distinct.len());
    assert!(second.values().all(|known| *known));

    let signals = server.all("/v1/signals").await;
    let recorded: Vec<&Value> = signals.iter().filter(|signal| signal["source"] == "github").collect();
    assert_eq!(recorded.len(), distinct.len());
    let opened: Vec<&&Value> = recorded.iter().filter(|signal| signal["name"] == "github.issues.opened").collect();
    assert!(!opened.is_empty());
    let runs = server.all("/v1/runs").await;
    let started: BTreeSet<&str> = runs.iter().map(|run| run["signal_id"].as_str().unwrap()).collect();
    assert_eq!(started, opened.iter().map(|signal| signal["id"].as_str().unwrap()).collect());
    assert_eq!(runs.len(), started.len());

    report_every_directive(&server).await;
    server.until_quiet().await;
    for run in server.all("/v1/runs").await {
        assert_eq!(run["status"], "completed", "{run:#}");
    }
    server.stop();
    verify(&data);
}

/// Installs the package and turns its payloads into signals, one JSON line each.
fn signals_of_all_payloads(folder: &Path) -> String {
    let installed = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(folder)
        .arg(PACKAGE)
        .output()
        .expect("npm is installed");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/github-triage/webhook_to_signal.mjs");
    let package = folder.join("node_modules/@octokit/webhooks-examples");
    let output = Command::new("node").arg(script).arg("--package").arg(package).output().expect("node is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn directive_types() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/github-triage/directives");
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    entries.map(|entry| format!("examples/github-triage/directives/{}", name(entry))).collect()
}

/// Emits all lines as NDJSON; the signals by id, and whether the server knew them already.
async fn emit_all(server: &Server, lines: &str) -> HashMap<String, bool> {
    let mut known = HashMap::new();
    let lines: Vec<&str> = lines.lines().collect();
    for chunk in lines.chunks(200) {
        let answer = server.post_text("/v1/signals", "application/x-ndjson", chunk.join("\n")).await;
        for result in answer["results"].as_array().unwrap() {
            let id = result["signal"]["id"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned();
            // The package holds the same payload more than once: the first telling counts.
            known.entry(id).or_insert(result["deduplicated"].as_bool().unwrap());
        }
    }
    known
}

/// The outside system that labels and comments says that it did.
async fn report_every_directive(server: &Server) {
    loop {
        let open = server.all("/v1/directives?status=running").await;
        if open.is_empty() {
            return;
        }
        for directive in open {
            let path = format!("/v1/directives/{}/report", directive["id"].as_str().unwrap());
            server.post(&path, &serde_json::json!({"status": "succeeded", "output": {"ok": true}})).await;
        }
    }
}
