//! Three nodes over one PostgreSQL database, with clocks that are wrong, while tenants tell facts to any of them and
//! everything fails that can: nodes are killed, freeze for longer than their lease, are stopped and drained, their ways
//! to the database are cut or fall silent, and the database itself goes and comes back. Then all of it is judged.
//!
//! `FLEETPROMPT_CHAOS_ROUNDS` and `FLEETPROMPT_SEED` say how often and what.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetprompt_testing::Postgres;
use serde_json::json;
use support::ledger::{Ledger, each_effect_happened_once, emit_until_told, number, open_threads, random};
use support::{FORUM_SECRET, ForumProcess, Server, create_tenant, free_port, verify};

const NODES: usize = 3;
const TENANTS: usize = 5;
const LEASE: Duration = Duration::from_secs(2);
/// Of each node.
const CLOCKS_MS: [&str; NODES] = ["0", "-90000", "45000"];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_nothing_is_lost_and_nothing_happens_twice() {
    let rounds: u32 = number("FLEETPROMPT_CHAOS_ROUNDS", 10);
    let mut seed: u64 = number("FLEETPROMPT_SEED", u64::from(std::process::id()));
    println!("to repeat: FLEETPROMPT_SEED={seed} FLEETPROMPT_CHAOS_ROUNDS={rounds}");

    let folder = tempfile::tempdir().unwrap();
    let forum = ForumProcess::start(folder.path().join("forum")).await;
    open_threads(&forum).await;
    let port = free_port();
    let mut postgres = Postgres::start_with(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
    let name = postgres.database().rsplit('/').next().unwrap().to_owned();
    let direct = format!("postgres://fleetprompt@127.0.0.1:{port}/{name}?sslmode=disable");
    let owner = create_tenant(Path::new(&direct), "acme");

    let mut places: Vec<Place> = (0..NODES).map(|node| Place::new(node, port, &name)).collect();
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
        // Each kind once, and then by chance.
        let kind = if round < KINDS { round } else { random(&mut seed) as u32 % KINDS };
        println!("{kind} of node {node}");
        match kind {
            0 => {
                place.server.take().unwrap().kill();
                pause(&mut seed, 3 * LEASE).await;
                place.start(&owner).await;
            }
            1 => {
                place.server().signal("STOP");
                tokio::time::sleep(LEASE * 2).await;
                place.server().signal("CONT");
            }
            2 => {
                let server = place.server.take().unwrap();
                tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
                place.start(&owner).await;
            }
            3 => place.way.cut(),
            4 => {
                place.way.close(true);
                pause(&mut seed, 2 * LEASE).await;
                place.way.close(false);
            }
            5 => {
                place.way.hold(true);
                tokio::time::sleep(LEASE * 2).await;
                place.way.hold(false);
            }
            6 => {
                postgres.kill();
                pause(&mut seed, LEASE).await;
                postgres.start_again();
            }
            _ => {
                // It may be refused while others are away.
                for verb in ["drain", "undrain"] {
                    let path = format!("/v1/nodes/node-{node}/{verb}");
                    let request = place.server().request(reqwest::Method::POST, &path);
                    let _ = request.timeout(Duration::from_secs(5)).send().await;
                    pause(&mut seed, LEASE).await;
                }
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
    assert!(told > rounds as usize * TENANTS, "only {told} signals got through");
    each_effect_happened_once(&forum, &all_runs).await;
    for place in &mut places {
        let server = place.server.take().unwrap();
        tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    }
    verify(Path::new(&direct));
    println!("{told} signals through {rounds} failures");
}

const KINDS: u32 = 8;

async fn pause(seed: &mut u64, most: Duration) {
    tokio::time::sleep(Duration::from_millis(random(seed) % most.as_millis() as u64)).await;
}

/// Where a node runs, again and again.
struct Place {
    node: usize,
    port: u16,
    database: String,
    way: Way,
    server: Option<Server>,
}

impl Place {
    fn new(node: usize, database: u16, name: &str) -> Self {
        let way = Way::to(database);
        let database = format!("postgres://fleetprompt@127.0.0.1:{}/{name}?sslmode=disable", way.port);
        Self { node, port: free_port(), database, way, server: None }
    }

    async fn start(&mut self, owner: &str) {
        let (lease, name) = (LEASE.as_secs().to_string(), format!("node-{}", self.node));
        let more = ["--node-lease-s", &lease, "--node-name", &name, "--clock-ahead-ms", CLOCKS_MS[self.node]];
        let data = Path::new(&self.database);
        self.server = Some(Server::start_with(data, self.port, owner.to_owned(), &more).await);
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn url(&self) -> String {
        self.server().url.clone()
    }
}

/// A way to the database that can be cut, and that can fall silent: then what is sent comes late, and nobody is told.
struct Way {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    is_closed: Arc<AtomicBool>,
    holds: Arc<AtomicBool>,
}

impl Way {
    fn to(database: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Self {
            port: listener.local_addr().unwrap().port(),
            open: Arc::default(),
            is_closed: Arc::default(),
            holds: Arc::default(),
        };
        let (open, is_closed, holds) = (way.open.clone(), way.is_closed.clone(), way.holds.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", database)) else { continue };
                if is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let again = |stream: &TcpStream| stream.try_clone().unwrap();
                open.lock().unwrap().extend([again(&client), again(&server)]);
                for (from, to) in [(again(&client), again(&server)), (server, client)] {
                    let holds = holds.clone();
                    std::thread::spawn(move || {
                        let _ = pass_on(&from, &to, &holds);
                        let _ = to.shutdown(Shutdown::Both);
                        let _ = from.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        way
    }

    /// Everything that is on its way is lost; the next connection comes through.
    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::SeqCst);
        self.cut();
    }

    fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::SeqCst);
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, holds: &AtomicBool) -> std::io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        while holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        to.write_all(&buffer[..read])?;
    }
}
