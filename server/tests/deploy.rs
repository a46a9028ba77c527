//! What is shipped for whoever runs it: each metric that the dashboard and the alerts ask for is one that a node gives.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use fleetprompt_testing::Postgres;
use serde_json::Value;
use support::{Server, file};

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_and_the_alerts_ask_for_metrics_that_there_are() {
    let postgres = Postgres::start();
    let server = Server::fresh(Path::new(&postgres.database())).await;
    let (_, metrics) = server.send(server.request(reqwest::Method::GET, "/metrics")).await;
    let lines = metrics.as_str().unwrap().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut given = BTreeSet::new();
    for line in lines {
        let (name, kind) = line.split_once(' ').unwrap();
        match kind {
            "counter" => given.extend([format!("{name}_total")]),
            "histogram" => given.extend(["bucket", "count", "sum"].map(|part| format!("{name}_{part}"))),
            _ => given.extend([name.to_owned()]),
        }
    }
    for path in ["deploy/grafana/fleetprompt.json", "deploy/prometheus/alerts.yaml"] {
        let text = file(path);
        let asked = names(&text);
        assert!(asked.len() > 5, "{path}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&given).collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}; there are {given:?}");
    }
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/fleetprompt.json")).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 10));
    server.stop();
}

/// `fleetprompt_` and what follows it, where it stands in a query.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let found = text.match_indices("fleetprompt_").filter(|(at, _)| !text[..*at].ends_with(is_part));
    found.map(|(at, _)| text[at..].chars().take_while(|one| is_part(*one)).collect()).collect()
}
