//! The whole benchmark, tiny, against the binary that stands beside it in the build folder.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// `cargo build -p fleetprompt`, then `cargo test -p fleetprompt-bench -- --ignored`.
#[test]
#[ignore = "needs fleetprompt's binary, which this package's tests do not build"]
fn every_workload_runs_without_an_error() {
    let bench = Path::new(env!("CARGO_BIN_EXE_fleetprompt-bench"));
    let output = Command::new(bench).args(["all", "--smoke", "--no-syncs"]).output().expect("start the benchmark");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let printed = String::from_utf8(output.stdout).expect("lines are UTF-8");
    let records: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let workloads: Vec<&str> = records.iter().filter_map(|record| record["workload"].as_str()).collect();
    assert_eq!(workloads, ["w1", "w2", "w3", "w3_batch", "w7"], "{said}");
    for record in records.iter().filter(|record| record["workload"] != "w7") {
        assert!(record["operations"].as_u64() > Some(0), "{record}");
        assert_eq!(record["errors"], 0, "{record}");
    }
}
