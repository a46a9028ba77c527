//! `kill -9` at random moments while signals stream in: whatever was answered is there once, every
//! run ends, every effect happened once under its key, and the rows are what the log says.
//!
//! `FLEETPROMPT_KILL_ROUNDS` and `FLEETPROMPT_SEED` say how often and which moments.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use support::ledger::{Ledger, each_effect_happened_once, emit_until_told, number, open_threads, random};
use support::{FORUM_SECRET, ForumProcess, Server, create_tenant, free_port, verify};

const CLIENTS: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let folder = tempfile::tempdir().unwrap();
    kill_again_and_again(&folder.path().join("server"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_over_postgres_where_tenants_wait_for_the_lease_to_end() {
    let postgres = fleetprompt_testing::Postgres::start();
    kill_again_and_again(Path::new(&postgres.database()), &["--node-lease-s", "1"]).await;
}

async fn kill_again_and_again(data: &Path, more: &[&str]) {
    let rounds: u32 = number("FLEETPROMPT_KILL_ROUNDS", 30);
    let mut seed: u64 = number("FLEETPROMPT_SEED", u64::from(std::process::id()));
    println!("to repeat: FLEETPROMPT_SEED={seed} FLEETPROMPT_KILL_ROUNDS={rounds}");

    let folder = tempfile::tempdir().unwrap();
    let forum = ForumProcess::start(folder.path().join("forum")).await;
    open_threads(&forum).await;
    let key = create_tenant(data, "acme");
    let port = free_port();
    let mut server = Server::start_with(data, port, key.clone(), more).await;
    server.register_forum_triage(&forum.url, FORUM_SECRET).await;

    let ledger = Arc::new(Ledger::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(emit_until_told(ledger.clone(), vec![server.url.clone()], key.clone())))
        .collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(20 + random(&mut seed) % 300)).await;
        server.kill();
        server = Server::start_with(data, port, key.clone(), more).await;
    }
    ledger.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    server.until_quiet().await;

    let (signals, runs) = ledger.judge(&server).await;
    assert!(signals.len() > rounds as usize, "only {} signals got through", signals.len());
    each_effect_happened_once(&forum, &runs).await;
    server.stop();
    verify(data);
    println!("{} signals through {rounds} kills", signals.len());
}
