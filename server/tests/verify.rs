//! `fleetprompt verify`: it notices what is damaged or was changed, over both databases, and changes nothing itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use fleetprompt_testing::Postgres;
use rusqlite::Connection;
use serde_json::json;
use support::{BINARY, Reach, Server, place};

fn verified(data: &Path) -> (bool, String) {
    let output = Command::new(BINARY).arg("verify").args(place(data)).output().unwrap();
    (output.status.success(), said(&output))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn is_found(data: &Path, what: &str) {
    let (is_well, said) = verified(data);
    assert!(!is_well && said.contains(what), "not `{what}`: {said}");
}

#[track_caller]
fn is_well(data: &Path) {
    let (is_well, said) = verified(data);
    assert!(is_well, "{said}");
}

/// A workflow with a pure step and a directive that waits, and runs of it.
async fn fill(server: &Reach) {
    server
        .post("/v1/directive-types", &json!({"directive_type": {"name": "parcel.ship", "handler": {"type": "manual"}}}))
        .await;
    let workflow = json!({"workflow": {
        "name": "Shipping", "version": "1.0.0", "trigger": {"signal": "order.placed"},
        "steps": [
            {"id": "loud", "type": "function", "function": "text.upper", "input": {"text": "${signal.payload.name}"}},
            {"id": "ship", "type": "directive", "directive": "parcel.ship", "payload": {"to": "${steps.loud.output}"}}
        ],
    }});
    server.post("/v1/workflows?activate=true", &workflow).await;
    place_orders(server, 0..30).await;
}

async fn place_orders(server: &Reach, orders: std::ops::Range<usize>) {
    let order = |number| json!({"name": "order.placed", "payload": {"name": format!("ada {number}")}});
    server.post("/v1/signals", &orders.map(order).collect()).await;
}

/// The files of a folder but for those in which SQLite coordinates its connections.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|path| (path.file_name().and_then(OsStr::to_str).unwrap().to_owned(), path));
    let kept = named.filter(|(name, _)| !name.ends_with("-shm") && !name.ends_with("-wal"));
    kept.map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

const EDITS: [(&str, &str); 9] = [
    ("UPDATE signals SET payload = replace(payload, 'ada 7', 'eve 7')", "its digest differs"),
    ("UPDATE signals SET actor_id = 'eve' WHERE actor_id IS NOT NULL", "its digest differs"),
    ("UPDATE directives SET payload = replace(payload, 'ADA 7', 'EVE 7')", "its digest differs"),
    ("UPDATE directives SET status = 'failed'", "its log says"),
    ("UPDATE runs SET status = 'paused'", "is not what its log says"),
    ("DELETE FROM runs", "has a log and no row"),
    ("DELETE FROM directives", "has a log and no row"),
    ("UPDATE workflow_versions SET document = replace(document, 'Shipping', 'Skipping')", "its digest differs"),
    ("DROP INDEX signals_by_run", "index signals_by_run is missing"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_edited_or_damaged_is_noticed_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::fresh(&data).await;
    fill(&server).await;
    server.stop();
    let file = data.join("fleetprompt.db");
    let before = files(&data);
    is_well(&data);
    is_well(&file);
    assert!(files(&data) == before, "verify wrote something");

    let copy = folder.path().join("copy.db");
    for (edit, found) in EDITS {
        std::fs::copy(&file, &copy).unwrap();
        let changed = Connection::open(&copy).unwrap().execute_batch(edit);
        changed.unwrap_or_else(|error| panic!("{edit}: {error}"));
        is_found(&copy, found);
        std::fs::remove_file(&copy).unwrap();
    }

    // An older schema is not brought up to date.
    std::fs::copy(&file, &copy).unwrap();
    Connection::open(&copy).unwrap().execute_batch("DELETE FROM migrations WHERE version > 10").unwrap();
    let older = std::fs::read(&copy).unwrap();
    is_found(&copy, "its schema is version 10");
    assert!(std::fs::read(&copy).unwrap() == older);

    let (whole, mut rejected) = (std::fs::read(&file).unwrap(), 0);
    for page in 1..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096 + 3..page * 4096 + 40].fill(0xa5);
        std::fs::write(&copy, damaged).unwrap();
        let check = "PRAGMA integrity_check";
        let checked = Connection::open(&copy).unwrap().query_row(check, [], |row| row.get::<_, String>(0));
        if rejected < 12 && checked.ok().as_deref() != Some("ok") {
            rejected += 1;
            is_found(&copy, "");
        }
    }
    assert_eq!(rejected, 12, "so many copies are damaged by SQLite's own check, and all are noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_write_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::fresh(&data).await;
    fill(&server).await;
    let verifying = tokio::task::spawn_blocking(move || (0..5).for_each(|_| is_well(&data)));
    for batch in 1.. {
        place_orders(&server, batch * 30..batch * 30 + 30).await;
        if verifying.is_finished() {
            break;
        }
    }
    verifying.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_edited_is_noticed_while_nodes_use_it() {
    let postgres = Postgres::start();
    let address = postgres.database();
    let data = Path::new(&address);
    let server = Server::fresh(data).await;
    fill(&server).await;
    is_well(data);
    for (edit, found) in EDITS {
        if edit.starts_with("DELETE") {
            continue;
        }
        let table = edit.split(' ').nth(1).unwrap();
        let undo = match edit.starts_with("DROP") {
            true => {
                "CREATE INDEX signals_by_run ON signals (tenant_id, run_id, id) WHERE run_id IS NOT NULL".to_owned()
            }
            false => {
                postgres.ask(&format!("CREATE TABLE kept AS SELECT * FROM {table}"));
                format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")
            }
        };
        postgres.ask(edit);
        is_found(data, found);
        postgres.ask(&undo);
    }
    is_well(data);
    postgres.ask("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'runs_due'::regclass");
    is_found(data, "index runs_due is not valid");
}
