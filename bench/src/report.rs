//! What comes out: a line of JSON for each measurement, and what a person reads at the end, medians
//! over the rounds and FleetPrompt's ratio to the peer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use crate::measure::Record;
use crate::subject::System;
use crate::workload::{Case, Workload};

/// A record as JSON on one line. More than three places behind the point would only feign precision.
pub fn line(record: &impl Serialize) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(record)?;
    for field in value.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let (true, Some(number)) = (field.is_f64(), field.as_f64()) {
            *field = ((number * 1e3).round() / 1e3).into();
        }
    }
    serde_json::to_string(&value)
}

pub fn table(records: &[Record]) -> String {
    let mut out = format!(
        "{:<9} {:>7}  {:<11} {:>10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9} {:>7}\n",
        "workload",
        "clients",
        "system",
        "ops/s",
        "p50 ms",
        "p99 ms",
        "µs cpu/op",
        "peak MiB",
        "sync/op",
        "B disk/op",
        "errors"
    );
    let medians = Medians::of(records);
    for (&(case, system), median) in &medians.0 {
        let syncs = median.syncs_per_op.map_or("-".to_owned(), |syncs| format!("{syncs:.3}"));
        let Median { throughput, p50_ms, p99_ms, cpu_per_op_us, peak_memory_mib, disk_bytes_per_op, errors, .. } =
            median;
        writeln!(
            out,
            "{:<9} {:>7}  {:<11} {throughput:>10.0} {p50_ms:>9.2} {p99_ms:>9.2} {cpu_per_op_us:>9.0} \
             {peak_memory_mib:>9.0} {syncs:>8} {disk_bytes_per_op:>9.0} {errors:>7}",
            case.workload.name(),
            case.clients,
            system.name(),
        )
        .expect("a string takes what is written");
    }
    out.push_str(&medians.ratios());
    out
}

/// A line for each that was measured more than once.
pub fn medians(ratios: &BTreeMap<String, Vec<f64>>) -> String {
    let again = ratios.iter().filter(|(_, ratios)| ratios.len() > 1);
    again
        .map(|(of, ratios)| format!("median of {} rounds: {of}: {:.2} ×\n", ratios.len(), median(ratios.clone())))
        .collect()
}

struct Medians(BTreeMap<(Case, System), Median>);

struct Median {
    throughput: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_per_op_us: f64,
    peak_memory_mib: f64,
    disk_bytes_per_op: f64,
    syncs_per_op: Option<f64>,
    /// Of all rounds together.
    errors: u64,
}

impl Medians {
    fn of(records: &[Record]) -> Self {
        let mut groups: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
        for record in records {
            let case = Case { workload: record.workload, clients: record.clients };
            groups.entry((case, record.system)).or_default().push(record);
        }
        Self(groups.into_iter().map(|(key, records)| (key, Median::of(&records))).collect())
    }

    /// A line for each case that both systems have.
    fn ratios(&self) -> String {
        let mut out = String::new();
        let cases: BTreeSet<Case> = self.0.keys().map(|&(case, _)| case).collect();
        for case in cases {
            let ours = self.0.get(&(case, System::Fleetprompt));
            let Some((ours, (peer, theirs))) = ours.zip(self.peer_of(case)) else { continue };
            writeln!(
                out,
                "{} at {} clients: {:.2} × the throughput, {:.2} × the p50, {:.2} × the p99, {:.2} × the CPU \
                 of {}",
                case.workload.name(),
                case.clients,
                ours.throughput / theirs.throughput,
                ours.p50_ms / theirs.p50_ms,
                ours.p99_ms / theirs.p99_ms,
                ours.cpu_per_op_us / theirs.cpu_per_op_us,
                peer.name(),
            )
            .expect("a string takes what is written");
        }
        out
    }

    /// Batches are compared with the best that the peer reached with single calls.
    fn peer_of(&self, case: Case) -> Option<(System, &Median)> {
        let mut peers = self.0.iter().filter(|((_, system), _)| !system.is_fleetprompt());
        let found = if case.workload == Workload::W3Batch {
            let singles = peers.filter(|((case, _), _)| case.workload == Workload::W3);
            singles.max_by(|(_, a), (_, b)| a.throughput.total_cmp(&b.throughput))
        } else {
            peers.find(|((other, _), _)| *other == case)
        };
        found.map(|((_, system), median)| (*system, median))
    }
}

impl Median {
    fn of(records: &[&Record]) -> Self {
        let of = |pick: fn(&Record) -> f64| median(records.iter().map(|record| pick(record)).collect());
        let syncs: Vec<f64> = records.iter().filter_map(|record| record.fsyncs_per_op).collect();
        Self {
            throughput: of(|record| record.throughput),
            p50_ms: of(|record| record.p50_ms),
            p99_ms: of(|record| record.p99_ms),
            cpu_per_op_us: of(|record| record.cpu_per_op_us),
            peak_memory_mib: of(|record| record.peak_memory_mib),
            disk_bytes_per_op: of(|record| record.disk_bytes_per_op),
            syncs_per_op: (!syncs.is_empty()).then(|| median(syncs)),
            errors: records.iter().map(|record| record.errors).sum(),
        }
    }
}

/// Of two in the middle, their mean. There must be at least one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_with_its_fractions_rounded() {
        let record = serde_json::json!({"fsyncs": null, "operations": 7, "p50_ms": 0.1234567});
        assert_eq!(line(&record).unwrap(), r#"{"fsyncs":null,"operations":7,"p50_ms":0.123}"#);
    }

    #[test]
    fn what_was_measured_once_has_no_median() {
        let ratios = [("once".to_owned(), vec![1.0]), ("thrice".to_owned(), vec![9.0, 0.5, 0.75])];
        assert_eq!(medians(&ratios.into()), "median of 3 rounds: thrice: 0.75 ×\n");
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
