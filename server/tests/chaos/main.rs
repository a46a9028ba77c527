//! Three nodes over one PostgreSQL database, with clocks that are wrong, while tenants tell facts to any of them and
//! everything fails that can: nodes are killed, freeze for longer than their lease, are stopped and drained, their ways
//! to the database are cut or fall silent, the database itself goes and comes back, and the network parts nodes from
//! everybody, in both directions or in one. Then all of it is judged.
//!
//! `FLEETPROMPT_CHAOS_ROUNDS` and `FLEETPROMPT_SEED` say how often and what. Only root may part a network.
#![allow(clippy::unwrap_used)]

mod network;
#[path = "../support/mod.rs"]
mod support;
mod way;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fleetprompt_testing::Postgres;
use network::{Host, Lost, Network};
use serde_json::json;
use support::ledger::{Ledger, each_effect_happened_once, emit_until_told, number, open_threads, random};
use support::{BINARY, FORUM_SECRET, ForumProcess, Server, create_tenant, free_port, verify};
use way::Way;

const NODES: usize = 3;
const TENANTS: usize = 5;
const LEASE: Duration = Duration::from_secs(2);
/// Of each node.
const CLOCKS_MS: [&str; NODES] = ["0", "-90000", "45000"];

/// What happens to a node, or to all of them.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Killed,
    /// For longer than its lease.
    Frozen,
    Stopped,
    Drained,
    WayCut,
    WayClosed,
    WaySilent,
    DatabaseKilled,
    Parted(Lost),
}

const FAILURES: [Failure; 8] = {
    use Failure::*;
    [Killed, Frozen, Stopped, Drained, WayCut, WayClosed, WaySilent, DatabaseKilled]
};
const PARTINGS: [Failure; 3] =
    [Failure::Parted(Lost::Everything), Failure::Parted(Lost::ToNode), Failure::Parted(Lost::FromNode)];

#[test]
fn whatever_fails_nothing_is_lost_and_nothing_happens_twice() {
    // Threads and processes are where the thread is that started them.
    let network = Network::enter();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(all_of_it(network.as_ref()));
}

async fn all_of_it(network: Option<&Network>) {
    let mut failures = FAILURES.to_vec();
    match network {
        Some(_) => failures.extend(PARTINGS),
        None => println!("no network of its own is permitted here: nobody is parted"),
    }
    let rounds: usize = number("FLEETPROMPT_CHAOS_ROUNDS", failures.len());
    let mut seed: u64 = number("FLEETPROMPT_SEED", u64::from(std::process::id()));
    println!("to repeat: FLEETPROMPT_SEED={seed} FLEETPROMPT_CHAOS_ROUNDS={rounds}");
    let address = network.map_or(Ipv4Addr::LOCALHOST, |_| network::HUB);

    let folder = tempfile::tempdir().unwrap();
    let forum = ForumProcess::start_at(address, folder.path().join("forum")).await;
    open_threads(&forum).await;
    let port = free_port();
    let mut postgres = Postgres::start_with(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
    let name = postgres.database().rsplit('/').next().unwrap().to_owned();
    let direct = format!("postgres://fleetprompt@127.0.0.1:{port}/{name}?sslmode=disable");
    let owner = create_tenant(Path::new(&direct), "acme");

    let mut places: Vec<Place> = (0..NODES).map(|node| Place::new(node, network, port, &name)).collect();
    for place in &mut places {
        place.start(&owner).await;
    }
    let urls: Vec<String> = places.iter().map(|place| place.url()).collect();
    let (mut ledgers, mut clients) = (Vec::new(), Vec::new());
    for tenant in 0..TENANTS {
        let made = places[0].server().post("/v1/tenants", &json!({"slug": format!("tenant-{tenant}")})).await;
        let key = made["key"]["secret"].as_str().unwrap().to_owned();
        places[0].server().with_key(&key).register_forum_triage(&forum.url, FORUM_SECRET).await;
        let ledger = Arc::new(Ledger::default());
        clients.extend((0..2).map(|_| tokio::spawn(emit_until_told(ledger.clone(), urls.clone(), key.clone()))));
        ledgers.push((key, ledger));
    }

    for round in 0..rounds {
        let node = random(&mut seed) as usize % NODES;
        let place = &mut places[node];
        // Each once, and then by chance.
        let chosen = if round < failures.len() { round } else { random(&mut seed) as usize % failures.len() };
        println!("node {node}: {:?}", failures[chosen]);
        match failures[chosen] {
            Failure::Killed => {
                place.server.take().unwrap().kill();
                pause(&mut seed, 3 * LEASE).await;
                place.start(&owner).await;
            }
            Failure::Frozen => {
                place.server().signal("STOP");
                tokio::time::sleep(LEASE * 2).await;
                place.server().signal("CONT");
            }
            Failure::Stopped => {
                let server = place.server.take().unwrap();
                tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
                place.start(&owner).await;
            }
            Failure::Drained => {
                // It may be refused while others are away.
                for verb in ["drain", "undrain"] {
                    let path = format!("/v1/nodes/node-{node}/{verb}");
                    let request = place.server().request(reqwest::Method::POST, &path);
                    let _ = request.timeout(Duration::from_secs(5)).send().await;
                    pause(&mut seed, LEASE).await;
                }
            }
            Failure::WayCut => place.way.cut(),
            Failure::WayClosed => {
                place.way.close(true);
                pause(&mut seed, 2 * LEASE).await;
                place.way.close(false);
            }
            Failure::WaySilent => {
                place.way.hold(true);
                tokio::time::sleep(LEASE * 2).await;
                place.way.hold(false);
            }
            Failure::DatabaseKilled => {
                postgres.kill();
                pause(&mut seed, LEASE).await;
                postgres.start_again();
            }
            Failure::Parted(lost) => {
                let host = place.host.as_ref().unwrap();
                host.part(lost);
                tokio::time::sleep(LEASE * 2).await;
                host.join(lost);
            }
        }
        pause(&mut seed, LEASE).await;
    }
    for (_, ledger) in &ledgers {
        ledger.stop.store(true, Ordering::SeqCst);
    }
    for client in clients {
        client.await.unwrap();
    }

    let (mut told, mut all_runs) = (0, Vec::new());
    for (number, (key, ledger)) in ledgers.iter().enumerate() {
        let reach = places[number % NODES].server().with_key(key);
        reach.until_quiet().await;
        let (signals, runs) = ledger.judge(&reach).await;
        told += signals.len();
        all_runs.extend(runs);
    }
    assert!(told > rounds * TENANTS, "only {told} signals got through");
    each_effect_happened_once(&forum, &all_runs).await;
    for place in &mut places {
        let server = place.server.take().unwrap();
        tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    }
    verify(Path::new(&direct));
    println!("{told} signals through {rounds} failures");
}

async fn pause(seed: &mut u64, most: Duration) {
    tokio::time::sleep(Duration::from_millis(random(seed) % most.as_millis() as u64)).await;
}

/// Where a node runs, again and again.
struct Place {
    node: usize,
    host: Option<Host>,
    listen: String,
    database: String,
    way: Way,
    server: Option<Server>,
}

impl Place {
    fn new(node: usize, network: Option<&Network>, database: u16, name: &str) -> Self {
        let host = network.map(|network| network.host(node));
        let (ours, its) = match &host {
            Some(host) => (network::HUB, host.address),
            None => (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
        };
        let way = Way::from(ours, database);
        let database = format!("postgres://fleetprompt@{ours}:{}/{name}?sslmode=disable", way.port);
        Self { node, host, listen: format!("{its}:{}", free_port()), database, way, server: None }
    }

    async fn start(&mut self, owner: &str) {
        let mut node = match &self.host {
            Some(host) => host.command(BINARY),
            None => Command::new(BINARY),
        };
        node.args(["serve", "--node-lease-s", &LEASE.as_secs().to_string()]);
        node.args(["--node-name", &format!("node-{}", self.node), "--clock-ahead-ms", CLOCKS_MS[self.node]]);
        let server = Server::launch(node, &self.listen, Path::new(&self.database), owner.to_owned());
        self.server = Some(server.await);
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn url(&self) -> String {
        self.server().url.clone()
    }
}
