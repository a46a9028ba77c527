//! What is measured: each workload by its name, and the payload that all of them carry.

use std::fmt;
use std::io::Write;
use std::ops::Range;

use serde::Serialize;

/// The most signals in one batch.
pub const BATCH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Throughput: each operation is a run of three steps, completed and durable.
    W1,
    /// Latency: the same with a single client on an idle system.
    W2,
    /// Ingest: each operation is one durable signal that nobody waits for, one a request.
    W3,
    /// The same, a hundred to a request.
    W3Batch,
    /// Three steps in a row, each performed by a worker that is a process of its own.
    W4,
}

/// The numbers of so many orders, as many together as one batch takes.
pub fn batches(orders: usize) -> impl Iterator<Item = Range<u64>> {
    (0..orders).step_by(BATCH).map(move |first| first as u64..orders.min(first + BATCH) as u64)
}

impl Workload {
    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W2 => "w2",
            Self::W3 => "w3",
            Self::W3Batch => "w3_batch",
            Self::W4 => "w4",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A workload under a number of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Case {
    pub workload: Workload,
    pub clients: usize,
}

/// Appends an order of about 300 bytes. No two are alike, as in life, so nothing can be shared or
/// squeezed that could not be there.
pub fn write_order(out: &mut Vec<u8>, number: u64) {
    let (customer, cents) = (number % 1_009, number % 100);
    write!(
        out,
        concat!(
            r#"{{"order_id":"o-{number:010}","customer":{{"id":"c-{customer:04}","country":"DE","tier":"gold"}},"#,
            r#""currency":"EUR","total":129.{cents:02},"#,
            r#""lines":[{{"sku":"TEA-EARL-GREY-250","quantity":2,"price":12.5}},"#,
            r#"{{"sku":"KETTLE-GLASS-1L","quantity":1,"price":104.{cents:02}}}],"note":"ring twice, second floor"}}"#
        ),
        number = number,
        customer = customer,
        cents = cents,
    )
    .expect("a vector takes what is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_every_order_once() {
        assert_eq!(batches(250).collect::<Vec<_>>(), [0..100, 100..200, 200..250]);
        assert_eq!(batches(0).count(), 0);
    }

    #[test]
    fn every_order_is_json_of_about_300_bytes_and_unlike_the_others() {
        let order = |number| {
            let mut out = Vec::new();
            write_order(&mut out, number);
            assert!((250..350).contains(&out.len()), "{} bytes", out.len());
            serde_json::from_slice::<serde_json::Value>(&out).expect("an order is JSON")
        };
        assert_eq!(order(7)["order_id"], "o-0000000007");
        assert_ne!(order(7), order(8));
    }
}
