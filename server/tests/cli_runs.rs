//! What people do to runs, from the command line and against a real server.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{BINARY, Server};

struct Shell {
    server: Server,
    folder: tempfile::TempDir,
}

impl Shell {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::fresh(&folder.path().join("server")).await;
        let shell = Self { server, folder };
        let kind = json!({"directive_type": {
            "name": "shop.parcel.send", "description": "Somebody sends it", "handler": {"type": "manual"}
        }});
        shell.server.post("/v1/directive-types", &kind).await;
        shell.server.post("/v1/workflows?activate=true", &workflow()).await;
        shell
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(args).current_dir(self.folder.path()).env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
        command.env("FLEETPROMPT_URL", &self.server.url).env("FLEETPROMPT_KEY", &self.server.key);
        command.env_remove("FLEETPROMPT_OUTPUT").output().unwrap()
    }

    #[track_caller]
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[args, &["-o", "json"]].concat())).unwrap()
    }

    #[track_caller]
    fn is_refused(&self, args: &[&str], exit: i32, says: &str) {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }

    fn started(&self) -> String {
        let started = self.json(&["run", "start", "parcels", "--input", r#"{"names": ["ada", "bob"]}"#]);
        started["directive"]["output"]["run_id"].as_str().unwrap().to_owned()
    }
}

/// Asks somebody, then sends a parcel to each, then waits for the carrier.
fn workflow() -> Value {
    json!({"workflow": {
        "name": "Parcels", "slug": "parcels", "version": "1.0.0",
        "steps": [
            {"id": "approve", "type": "wait", "input": {"prompt": "Send them?", "role": "member"}},
            {"id": "send", "type": "directive", "directive": "shop.parcel.send", "for_each": "${run.input.names}",
             "payload": {"to": "${item}"}},
            {"id": "carrier", "type": "wait", "callback": true}
        ]
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_led_by_hand_from_its_start_to_its_end() {
    let shell = Shell::start().await;
    let run = shell.started();
    let run = run.as_str();

    let shown = shell.says(&["run", "show", run]);
    assert!(shown.contains("waits for the answer of somebody with the role member"), "{shown}");
    let paused = shell.says(&["run", "pause", run, "--reason", "the shop is moved"]);
    assert!(paused.contains("paused") && paused.contains("workflow.run.pause dir_"), "{paused}");
    shell.is_refused(&["run", "pause", run, "--reason", "again"], 4, "run_status");
    assert!(shell.says(&["run", "resume", run, "--reason", "it has moved"]).contains("running"));
    shell.is_refused(&["run", "pause", run], 2, "--reason");

    let inputs = shell.json(&["input", "list"]);
    assert_eq!((&inputs[0]["run_id"], &inputs[0]["prompt"]), (&json!(run), &json!("Send them?")));
    assert!(shell.says(&["input", "list"]).contains("Send them?"));
    shell.says(&["input", "answer", run, "approve", "--value", r#"{"yes": true}"#]);
    assert!(shell.says(&["input", "list"]).contains("Nothing waits"));
    shell.is_refused(&["step", "answer", run, "approve", "--value", "1"], 4, "(409)");

    let items = shell.json(&["step", "items", run, "send", "--status", "running"]);
    let directive = items[0]["directive_id"].as_str().unwrap();
    assert_eq!((items.as_array().unwrap().len(), &items[0]["item"]), (2, &json!(0)));
    shell.says(&["directive", "report", directive, "succeeded", "--output-json", "1"]);
    shell.is_refused(&["step", "complete", run, "send", "--output-json", "1", "--reason", "r"], 4, "step_status");
    shell.is_refused(&["directive", "heartbeat", directive], 4, "(409)");
    let second = items[1]["directive_id"].as_str().unwrap();
    shell.says(&["directive", "report", second, "failed", "--code", "lost", "--message", "it fell off"]);

    assert!(shell.says(&["run", "list", "--status", "failed,parked", "--since", "1h"]).contains(run));
    let retried = shell.json(&["run", "retry", run, "--reason", "found again"]);
    assert_eq!(retried["run"]["status"], "running", "{retried}");
    let items = shell.json(&["step", "items", run, "send", "--status", "running"]);
    assert_eq!(items.as_array().unwrap().len(), 1, "what was sent is not sent again: {items}");
    let third = items[0]["directive_id"].as_str().unwrap();
    shell.says(&["directive", "report", third, "succeeded"]);

    let key = format!("{run}:carrier");
    assert!(shell.says(&["run", "show", run]).contains(&key));
    shell.is_refused(&["step", "report", "nonsense", "--heartbeat"], 4, "payload_invalid");
    assert!(shell.says(&["step", "report", &key, "--output-json", r#"{"at": "door"}"#]).contains("reported"));
    shell.is_refused(&["step", "report", &key, "--code", "late", "--message", "m"], 4, "run_ended");
    let timeline = shell.says(&["run", "timeline", run]);
    assert!(timeline.contains("`approve` waiting for somebody's answer"), "{timeline}");
    assert!(timeline.contains("stood paused by key_"), "{timeline}");

    let again = shell.json(&["run", "rerun", run, "--reason", "once more", "--from", "carrier"]);
    assert_eq!(again["run"]["source"], run, "{again}");
    let again = again["run"]["id"].as_str().unwrap();
    shell.says(&["step", "skip", again, "carrier", "--reason", "no carrier"]);
    assert!(shell.says(&["run", "list", "--source", run]).contains("completed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_are_shown_first_and_then_done_and_what_is_refused_is_counted() {
    let shell = Shell::start().await;
    let runs: Vec<String> = (0..12).map(|_| shell.started()).collect();
    let versions = shell.says(&["workflow", "versions", "parcels"]);
    assert!(versions.contains("12 running"), "{versions}");
    shell.says(&["run", "cancel", &runs[0], "--reason", "alone"]);

    let filter = "workflow=parcels,version=1.0.0,since=1h";
    let pause = ["run", "pause", "--where", filter, "--reason", "moved"];
    let preview = shell.says(&pause);
    assert!(preview.contains("12 runs found") && preview.contains("… 2 more"), "{preview}");
    assert!(preview.contains("This would pause 11 runs and leave 1 as they are."), "{preview}");
    assert_eq!(shell.json(&["run", "list", "--status", "paused", "--all"]), json!([]), "nobody said yes");

    shell.is_refused(&[&pause[..], &["--yes"]].concat(), 1, "1 refused, run_ended");
    assert_eq!(shell.json(&["run", "list", "--status", "paused", "--all"]).as_array().unwrap().len(), 11);
    let some = ["run", "cancel", "--where", "status=paused", "--limit", "3", "--reason", "sent twice", "-y"];
    assert_eq!(shell.json(&some)["counts"]["fit"], 3);
    assert_eq!(shell.json(&["run", "list", "--open", "--all"]).as_array().unwrap().len(), 8);
    assert!(
        shell.says(&["run", "cancel", "--where", "status=failed", "--reason", "r", "-y"]).contains("No runs like that")
    );

    shell.is_refused(&["run", "cancel", "--where", "status=done", "--reason", "r"], 2, "there is no `done`");
    shell.is_refused(&["run", "cancel", "--where", "status=paused"], 2, "--reason");
    shell.is_refused(&["run", "cancel"], 2, "required");
}
