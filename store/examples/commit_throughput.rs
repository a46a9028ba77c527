//! How fast the store commits whole runs, and how much disk each takes:
//! `cargo run --release -p fleetprompt-store --example commit_throughput [seconds a size]`.

#[path = "../tests/store/samples.rs"]
#[allow(dead_code)]
mod samples;

use std::path::Path;
use std::time::{Duration, Instant};

use fleetprompt_core::{Json, TenantId};
use fleetprompt_store::sqlite::SqliteStore;
use fleetprompt_store::{Batch, Page, SignalFilter, Store};

use samples::{Samples, tenants};

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5.0);
    println!(
        "{:>12} {:>10} {:>12} {:>12} {:>12} {:>10} {:>10}",
        "runs/commit", "runs/s", "p50", "p99", "slowest", "bytes/run", "runs"
    );
    for size in [1, 10, 100, 1_000] {
        measure(size, Duration::from_secs_f64(seconds));
    }
}

/// Only the commits are timed; deciding what is in them is not the store's.
fn measure(size: usize, budget: Duration) {
    let folder = tempfile::TempDir::new_in(".").expect("a folder on the disk to be measured");
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).expect("a new file");
    let mut samples = Samples::new();
    let tenant = samples.tenant("acme");
    store.commit(&tenants(&[&tenant])).expect("committed");

    let (mut spent, mut times, mut runs) = (Duration::ZERO, Vec::new(), 0);
    while spent < budget {
        let batch = batch(&mut samples, tenant.id, size);
        let begun = Instant::now();
        store.commit(&batch).expect("committed");
        let took = begun.elapsed();
        spent += took;
        times.push(took);
        runs += size;
    }
    let page = store.signals(tenant.id, &SignalFilter::default(), Page::newest(1)).expect("read");
    assert_eq!(page.len(), 1);
    drop(store);
    let per_second = runs as f64 / spent.as_secs_f64();
    let bytes = bytes(&path) / runs as u64;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (p50, p99, slowest) = (at(0.5), at(0.99), at(1.0));
    println!("{size:>12} {per_second:>10.0} {p50:>12.1?} {p99:>12.1?} {slowest:>12.1?} {bytes:>10} {runs:>10}");
}

/// Runs as a workflow of three functions leaves them, when nothing waits: eight signals, a
/// disposition, a directive, a run and three steps each.
fn batch(samples: &mut Samples, tenant: TenantId, size: usize) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..size {
        samples.wait(fleetprompt_core::Span(137));
        let (_, mut cascade) = samples.cascade(tenant, "forum-new-thread-triage", 3);
        std::sync::Arc::make_mut(&mut cascade.signals[0]).payload = payload();
        batch.signals.extend(cascade.signals);
        batch.dispositions.extend(cascade.dispositions);
        batch.directives.extend(cascade.directives);
        batch.runs.extend(cascade.runs);
    }
    batch
}

fn payload() -> Json {
    let body = "The quick brown fox jumps over the lazy dog. ".repeat(4);
    serde_json::json!({"thread_id": "thr_1234567890", "title": "How do I get my money back?", "body": body}).into()
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).expect("the closed file").len()
}
