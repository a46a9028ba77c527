//! Two builds of FleetPrompt side by side: the medians of each figure, and whether this build is worse than the other
//! one by more than the tolerance.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::report::median;
use crate::subject::System;

const TOLERANCE: f64 = 0.05;

pub struct Figure {
    name: String,
    value: f64,
    better: Better,
}

#[derive(Debug, Clone, Copy)]
enum Better {
    Higher,
    Lower,
}

impl Figure {
    pub fn higher(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, better: Better::Higher }
    }

    pub fn lower(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, better: Better::Lower }
    }
}

#[derive(Default)]
pub struct Comparison(BTreeMap<String, Sides>);

struct Sides {
    better: Better,
    ours: Vec<f64>,
    baseline: Vec<f64>,
}

impl Comparison {
    /// Adds the figures of one measurement. Those of a system that is not FleetPrompt are left out.
    pub fn add(&mut self, system: System, figures: Vec<Figure>) {
        for Figure { name, value, better } in figures {
            let empty = || Sides { better, ours: Vec::new(), baseline: Vec::new() };
            let sides = self.0.entry(name).or_insert_with(empty);
            match system {
                System::Fleetprompt => sides.ours.push(value),
                System::Baseline => sides.baseline.push(value),
                System::Restate | System::Dbos => {}
            }
        }
    }

    /// Returns one line for each figure that both builds have; empty if there is no baseline.
    pub fn table(&self) -> String {
        let mut lines = String::new();
        let both = self.0.iter().filter(|(_, sides)| !sides.ours.is_empty() && !sides.baseline.is_empty());
        for (name, Sides { better, ours, baseline }) in both {
            let rounds = ours.len().min(baseline.len());
            let (ours, baseline) = (median(ours.clone()), median(baseline.clone()));
            let ratio = ours / baseline;
            let is_worse = match better {
                Better::Higher => ratio < 1.0 - TOLERANCE,
                Better::Lower => ratio > 1.0 + TOLERANCE,
            };
            let verdict = if is_worse { "WORSE" } else { "ok" };
            writeln!(lines, "{name:<32} {rounds:>6} {baseline:>11.2} {ours:>11.2} {ratio:>7.3}  {verdict}")
                .expect("a string takes what is written");
        }
        if lines.is_empty() {
            return lines;
        }
        let header =
            format!("{:<32} {:>6} {:>11} {:>11} {:>7}\n", "figure", "rounds", "baseline", "this build", "ratio");
        format!("{header}{lines}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_worse_by_more_than_the_tolerance_is_reported_as_worse() {
        let mut comparison = Comparison::default();
        let figures = |throughput, latency, memory| {
            let latency = Figure::lower("p99 ms", latency);
            vec![Figure::higher("ops/s", throughput), latency, Figure::lower("peak MiB", memory)]
        };
        for baseline in [figures(100.0, 10.0, 80.0), figures(100.0, 10.0, 80.0), figures(9.0, 9.0, 80.0)] {
            comparison.add(System::Baseline, baseline);
        }
        assert_eq!(comparison.table(), "");
        for ours in [figures(94.0, 10.4, 60.0), figures(94.0, 10.4, 60.0), figures(500.0, 1.0, 60.0)] {
            comparison.add(System::Fleetprompt, ours);
        }
        comparison.add(System::Restate, figures(1.0, 1.0, 1.0));
        let table = comparison.table();
        let verdicts: Vec<(&str, &str)> = table
            .lines()
            .skip(1)
            .filter_map(|line| Some((line.split("  ").next()?.trim(), line.split_whitespace().last()?)))
            .collect();
        assert_eq!(verdicts, [("ops/s", "WORSE"), ("p99 ms", "ok"), ("peak MiB", "ok")]);
        assert!(table.contains("0.940"), "{table}");
    }
}
