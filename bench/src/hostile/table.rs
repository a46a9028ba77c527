//! The table of W9: one line for each attack, medians over the rounds.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::report::median;

use super::{Attack, Record};

pub fn table(records: &[Record]) -> String {
    let mut out = format!(
        "{:<15} {:>9} {:>9} {:>9} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>10}  {}\n",
        "w9 attack",
        "p50 ms",
        "p99 ms",
        "goal ms",
        "ratio",
        "errors",
        "timeouts",
        "peak MiB",
        "cpu s",
        "accepted",
        "refused",
        "closed",
        "unanswered",
        "goal"
    );
    let mut rounds: BTreeMap<Option<Attack>, Vec<&Record>> = BTreeMap::new();
    for record in records {
        rounds.entry(record.attack).or_default().push(record);
    }
    for (attack, records) in &rounds {
        write_line(&mut out, *attack, records);
    }
    out
}

fn write_line(out: &mut String, attack: Option<Attack>, records: &[&Record]) {
    let of = |pick: fn(&Record) -> f64| median(records.iter().map(|record| pick(record)).collect());
    let sum = |pick: fn(&Record) -> u64| records.iter().map(|record| pick(record)).sum::<u64>();
    let met = records.iter().filter(|record| record.meets_goal == Some(true)).count();
    let verdict = match attack {
        None => "-".to_owned(),
        Some(_) if met == records.len() => "pass".to_owned(),
        Some(_) if records.len() == 1 => "FAIL".to_owned(),
        Some(_) => format!("FAIL ({met} of {} rounds pass)", records.len()),
    };
    writeln!(
        out,
        "{:<15} {:>9.2} {:>9.2} {:>9.2} {:>7.1} {:>7} {:>8} {:>8.0} {:>8.1} {:>8} {:>7} {:>7} {:>10}  {verdict}",
        attack.map_or_else(|| "alone".to_owned(), Attack::name),
        of(|record| record.p50_ms),
        of(|record| record.p99_ms),
        of(|record| record.p99_goal_ms.unwrap_or(0.0)),
        of(|record| record.p99_ratio.unwrap_or(1.0)),
        sum(|record| record.quiet_errors),
        sum(|record| record.quiet_timeouts),
        of(|record| record.peak_memory_mib),
        of(|record| record.cpu_seconds),
        sum(|record| record.tally.accepted),
        sum(|record| record.tally.refused),
        sum(|record| record.tally.disconnected),
        sum(|record| record.tally.unanswered),
    )
    .expect("a string takes what is written");
}
