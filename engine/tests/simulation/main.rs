//! A seeded simulation: small worlds in which everything happens that can, in an order that their seed
//! gives, and after each input everything is checked that must hold.
//!
//! `SIMULATION_SEEDS` says how many worlds, `SIMULATION_FROM` with which seed they begin.
//! `scripts/simulate SEED` tells the story of one.
#![allow(clippy::unwrap_used)]

mod chance;
mod check;
mod crowd;
mod database;
mod definition;
mod fenced;
mod large;
mod ledger;
mod moves;
mod nodes;
mod panics;
mod partition;
mod reads;
mod rest;
mod seen;
mod shrink;
mod story;
mod work;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::go;

// Half of what a world does is making and dropping small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEEDS: u64 = 1_000;
const THREADS: usize = 2;
/// So many have more runs than there are worlds, unless the engine refuses what it should take.
const WORLDS_MANY: u64 = 100;
/// So many are enough to see what is wrong.
const BROKEN_MAX: usize = 25;
/// Documents nest, and what reads them does as well, as it does in the engine's own thread.
const STACK_BYTES: usize = 16 << 20;

fn schedule(seed: u64) -> Vec<u64> {
    let length = chance::Chance::of(seed, u64::MAX).between(10, 60) as u64;
    (1..=length).collect()
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, and not `{text}`")),
        Err(_) => default,
    }
}

#[test]
fn whatever_happens_every_guarantee_holds_and_every_world_comes_to_rest() {
    let (from, seeds) = (setting("SIMULATION_FROM", 1), setting("SIMULATION_SEEDS", SEEDS));
    let next = AtomicU64::new(from);
    let broken = Mutex::new(BTreeMap::new());
    let totals = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || broken.lock().unwrap().len() >= BROKEN_MAX {
                return;
            }
            let outcome = go(seed, &schedule(seed), false);
            totals.0.fetch_add(outcome.runs as u64, Ordering::Relaxed);
            totals.1.fetch_add(outcome.signals as u64, Ordering::Relaxed);
            if let Some(why) = outcome.broken {
                broken.lock().unwrap().insert(seed, why);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).unwrap();
        }
    });
    let worlds = next.into_inner() - from - THREADS as u64;
    let (runs, signals) = (totals.0.into_inner(), totals.1.into_inner());
    println!("{worlds} worlds, {runs} runs, {signals} signals");
    let broken = broken.into_inner().unwrap();
    broken.iter().for_each(|(seed, why)| println!("scripts/simulate {seed}: {why}"));
    if let Some(&seed) = broken.keys().next() {
        let story = on_deep_stack(move || shrink::story_of(seed, &schedule(seed)));
        panic!("{story}\nscripts/simulate {seed} tells this again");
    }
    assert!(
        worlds < WORLDS_MANY || runs > worlds,
        "{runs} runs in {worlds} worlds: where next to nothing runs, anything holds"
    );
}

#[test]
fn a_seed_gives_the_same_world_each_time() {
    on_deep_stack(|| {
        for seed in 1..=10 {
            let digests = [false, true].map(|told| go(seed, &schedule(seed), told).digest);
            assert_eq!(digests[0], digests[1], "the world of seed {seed} went two ways");
        }
    });
}

#[test]
fn one_seed_tells_its_story() {
    let seed = setting("SIMULATION_FROM", 1);
    let (story, is_broken) = on_deep_stack(move || {
        let outcome = go(seed, &schedule(seed), true);
        match &outcome.broken {
            // To shorten a large world takes longer than to read it.
            Some(why) if large::is_large(seed) => (format!("{}\n{why}", outcome.story.join("\n")), true),
            Some(_) => (shrink::story_of(seed, &schedule(seed)), true),
            None => (outcome.story.join("\n"), false),
        }
    });
    println!("{story}");
    assert!(!is_broken, "seed {seed} breaks what must hold");
}

fn on_deep_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap();
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
