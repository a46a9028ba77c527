//! Signs of life, in Prometheus' text format. No tenant, run or name is ever a label: their number
//! has no bound.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::cascade::RefusalReason;
use crate::memory::Exhausted;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ended {
    pub status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StartRefused {
    pub reason: RefusalReason,
}

/// Why a request was refused before it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refused {
    pub reason: &'static str,
}

/// What one engine adds to a gauge of all of them.
#[derive(Debug)]
pub(crate) struct Part {
    gauge: Gauge,
    own: AtomicI64,
}

impl Part {
    pub fn of(gauge: &Gauge) -> Self {
        Self { gauge: gauge.clone(), own: AtomicI64::new(0) }
    }

    pub fn set(&self, own: i64) {
        let change = own - self.own.swap(own, Ordering::Relaxed);
        if change != 0 {
            self.gauge.inc_by(change);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(crate) signals: Counter,
    pub(crate) signals_deduplicated: Counter,
    pub(crate) inputs_refused: Counter,
    pub(crate) starts_refused: Family<StartRefused, Counter>,
    pub(crate) runs_started: Counter,
    pub(crate) runs_ended: Family<Ended, Counter>,
    pub(crate) directives_settled: Family<Ended, Counter>,
    pub(crate) commits: Counter,
    pub(crate) commits_failed: Counter,
    pub(crate) decisions_broken: Counter,
    pub(crate) inputs_unstorable: Counter,
    pub(crate) outcomes_quarantined: Counter,
    pub(crate) decisions_cut: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) commit_inputs: Histogram,
    pub(crate) queue: Gauge,
    pub(crate) effects: Gauge,
    pub(crate) effects_waiting: Gauge,
    pub(crate) request_memory: Gauge,
    pub(crate) requests_refused: Family<Refused, Counter>,
    pub(crate) timers: Gauge,
    pub(crate) attempts_waiting: Gauge,
    pub(crate) attempts_taken: Gauge,
    pub(crate) attempt_inputs: Gauge,
    pub(crate) names_without_worker: Gauge,
    pub(crate) workers: Gauge,
    pub(crate) leases_lost: Gauge,
    key_lookups: Counter,
    key_lookups_refused: Counter,
    spans_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("fleetprompt"),
            signals: Counter::default(),
            signals_deduplicated: Counter::default(),
            inputs_refused: Counter::default(),
            starts_refused: Family::default(),
            runs_started: Counter::default(),
            runs_ended: Family::default(),
            directives_settled: Family::default(),
            commits: Counter::default(),
            commits_failed: Counter::default(),
            decisions_broken: Counter::default(),
            inputs_unstorable: Counter::default(),
            outcomes_quarantined: Counter::default(),
            decisions_cut: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            commit_inputs: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            queue: Gauge::default(),
            effects: Gauge::default(),
            effects_waiting: Gauge::default(),
            request_memory: Gauge::default(),
            requests_refused: Family::default(),
            timers: Gauge::default(),
            attempts_waiting: Gauge::default(),
            attempts_taken: Gauge::default(),
            attempt_inputs: Gauge::default(),
            names_without_worker: Gauge::default(),
            workers: Gauge::default(),
            leases_lost: Gauge::default(),
            key_lookups: Counter::default(),
            key_lookups_refused: Counter::default(),
            spans_dropped: Counter::default(),
        };
        metrics.register();
        // From the start: what appears with its first increase is no increase to whoever looks.
        for status in ["completed", "failed", "canceled"] {
            drop(metrics.runs_ended.get_or_create(&Ended { status }));
        }
        for reason in RefusalReason::ALL {
            drop(metrics.starts_refused.get_or_create(&StartRefused { reason }));
        }
        for status in ["succeeded", "failed", "canceled"] {
            drop(metrics.directives_settled.get_or_create(&Ended { status }));
        }
        for reason in Exhausted::REASONS {
            drop(metrics.requests_refused.get_or_create(&Refused { reason }));
        }
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry: to, .. } = self;
        to.register("signals", "Signals recorded", self.signals.clone());
        to.register("signals_deduplicated", "Signals that were known already", self.signals_deduplicated.clone());
        to.register("inputs_refused", "Requests that were at fault", self.inputs_refused.clone());
        let refused = "Signals that did not start a workflow which subscribes to them, by reason";
        to.register("starts_refused", refused, self.starts_refused.clone());
        to.register("runs_started", "Runs started", self.runs_started.clone());
        to.register("runs_ended", "Runs ended, by status", self.runs_ended.clone());
        to.register("directives_settled", "Directives settled, by status", self.directives_settled.clone());
        to.register("commits", "Commits", self.commits.clone());
        to.register("commits_failed", "Commits that the store refused", self.commits_failed.clone());
        let broken = "Decisions that broke off by a mistake in FleetPrompt; they are tried again";
        to.register("decisions_broken", broken, self.decisions_broken.clone());
        let unstorable = "Requests refused because the database cannot hold what follows from them";
        to.register("inputs_unstorable", unstorable, self.inputs_unstorable.clone());
        let quarantined = "Outcomes and due times that the database cannot hold, and what was recorded in their place";
        to.register("outcomes_quarantined", quarantined, self.outcomes_quarantined.clone());
        let cut = "Decisions that left work to a later one because their budget was spent";
        to.register("decisions_cut", cut, self.decisions_cut.clone());
        to.register_with_unit("commit", "Time of a commit", Unit::Seconds, self.commit_seconds.clone());
        to.register("commit_inputs", "Inputs decided in one commit", self.commit_inputs.clone());
        to.register("queue_inputs", "Inputs that wait", self.queue.clone());
        to.register(
            "effects_in_flight",
            "Effects that have begun and whose outcome is not known",
            self.effects.clone(),
        );
        to.register("effects_waiting", "Effects that wait for a slot", self.effects_waiting.clone());
        to.register("request_memory_bytes", "Memory that is set aside for requests", self.request_memory.clone());
        let refused = "Requests that were refused for want of memory, by whose it was";
        to.register("requests_refused", refused, self.requests_refused.clone());
        to.register("attempts_waiting", "Attempts that wait for a worker", self.attempts_waiting.clone());
        to.register("attempts_taken", "Attempts that workers have", self.attempts_taken.clone());
        let inputs = "Inputs of attempts that wait for workers and are kept in memory";
        to.register("attempt_inputs_bytes", inputs, self.attempt_inputs.clone());
        let alone = "Names, by tenant, under which something waits that no worker performs";
        to.register("names_without_worker", alone, self.names_without_worker.clone());
        to.register("workers", "Workers that were heard of within a minute", self.workers.clone());
        to.register("leases_lost", "Attempts whose worker fell silent, since the start", self.leases_lost.clone());
        let asked = "Queries by which the database was asked for keys that this node does not know";
        to.register("key_lookups", asked, self.key_lookups.clone());
        let refused = "Requests refused because too many keys were being looked up";
        to.register("key_lookups_refused", refused, self.key_lookups_refused.clone());
        to.register("spans_dropped", "Spans that no collector took", self.spans_dropped.clone());
        to.register("timers", "Runs and directives that wait for a time", self.timers.clone());
    }

    pub fn key_lookup(&self) {
        self.key_lookups.inc();
    }

    pub fn key_lookups(&self) -> u64 {
        self.key_lookups.get()
    }

    pub fn key_lookup_refused(&self) {
        self.key_lookups_refused.inc();
    }

    pub fn spans_dropped(&self, count: u64) {
        self.spans_dropped.inc_by(count);
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}
