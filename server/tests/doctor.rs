//! What `fleetprompt doctor` finds, on places that are well and on places that are not.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::process::{Command, Output};

use fleetprompt_testing::Postgres;
use serde_json::Value;
use support::{BINARY, create_tenant, free_port};

fn doctor(args: &[&str]) -> (Output, Vec<(String, String, String)>) {
    let output = Command::new(BINARY).args(["doctor", "--output", "json"]).args(args).output().unwrap();
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let found = checks.iter().map(|check| (text(check, "what"), text(check, "found"), text(check, "detail"))).collect();
    (output, found)
}

fn has(checks: &[(String, String, String)], what: &str, found: &str, part: &str) -> bool {
    checks.iter().any(|check| check.0 == what && check.1 == found && check.2.contains(part))
}

#[test]
fn a_folder_that_is_well_and_an_address_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    create_tenant(&data, "acme");
    let (listen, data) = (format!("127.0.0.1:{}", free_port()), data.to_str().unwrap());
    let (output, checks) = doctor(&["--data", data, "--listen", &listen]);
    assert!(output.status.success(), "{checks:?}");
    assert!(has(&checks, "data", "well", "fleetprompt.db") && has(&checks, "disk", "well", "free"), "{checks:?}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (output, checks) = doctor(&["--data", data, "--listen", &listen]);
    assert!(!output.status.success() && has(&checks, "address", "problem", &listen), "{checks:?}");

    let (output, checks) = doctor(&["--data", "/proc/none", "--listen", &format!("127.0.0.1:{}", free_port())]);
    assert!(!output.status.success() && has(&checks, "disk", "problem", "cannot be written"), "{checks:?}");
    let (output, checks) = doctor(&["--config", "/none.toml"]);
    assert!(!output.status.success() && has(&checks, "configuration", "problem", "/none.toml"), "{checks:?}");
}

#[test]
fn a_database_before_and_after_its_first_start_and_one_that_is_away() {
    let postgres = Postgres::start();
    let (address, listen) = (postgres.database(), format!("127.0.0.1:{}", free_port()));
    let (output, checks) = doctor(&["--database", &address, "--listen", &listen]);
    assert!(!output.status.success(), "the tests' PostgreSQL does not sync");
    assert!(has(&checks, "database", "problem", "fsync"), "{checks:?}");
    assert!(has(&checks, "schema", "well", "empty") && has(&checks, "clock", "well", ""), "{checks:?}");
    create_tenant(std::path::Path::new(&address), "acme");
    let (_, checks) = doctor(&["--database", &address, "--listen", &listen]);
    assert!(has(&checks, "schema", "well", "version 8") && has(&checks, "nodes", "well", "none"), "{checks:?}");
    postgres.ask("REVOKE INSERT ON signals FROM fleetprompt");
    let (output, checks) = doctor(&["--database", &address, "--listen", &listen]);
    assert!(!output.status.success() && has(&checks, "schema", "problem", "signals"), "{checks:?}");
    let empty = postgres.database();
    postgres.ask("ALTER DATABASE fp1 OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres");
    let (output, checks) = doctor(&["--database", &empty, "--listen", &listen]);
    assert!(!output.status.success() && has(&checks, "schema", "problem", "may not create"), "{checks:?}");
    let superuser = address.replace("fleetprompt@", "postgres@");
    let (_, checks) = doctor(&["--database", &superuser, "--listen", &listen]);
    assert!(has(&checks, "database", "warning", "superuser"), "{checks:?}");

    let (output, checks) = doctor(&["--database", "postgres://ada:secret@127.0.0.1:1/x", "--listen", &listen]);
    assert!(!output.status.success() && has(&checks, "database", "problem", "refused"), "{checks:?}");
    assert!(!checks.iter().any(|check| check.2.contains("secret")), "{checks:?}");
}
