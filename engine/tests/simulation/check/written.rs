//! Who wrote what: only the engine that has a partition writes for its tenants, and time never goes back for them,
//! whichever engine writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetprompt_core::{Signal, SignalId, TenantId};

use super::{Held, hold};
use crate::database::Entry;
use crate::world::House;

/// What came of each partition so far.
#[derive(Default)]
pub struct Written(BTreeMap<usize, Last>);

#[derive(Default)]
struct Last {
    epoch: u64,
    /// The end of its log, and since when the log is as it is.
    signal: Option<SignalId>,
    millis: i64,
}

impl Written {
    /// `read` is how many facts are new to whoever reads the logs from where they had ended.
    pub fn check(&mut self, journal: Vec<Entry>, houses: &[House], read: usize) -> Held {
        let mut count = 0;
        for entry in journal {
            match entry {
                Entry::Begun { partition, epoch } => self.0.entry(partition).or_default().epoch = epoch,
                Entry::Wrote { partition, epoch, tenants, mut signals } => {
                    // Of one commit all are there at once.
                    signals.sort_by_key(|signal| signal.id);
                    let last = self.0.entry(partition).or_default();
                    hold(last.epoch == epoch, || {
                        format!("something was written under epoch {epoch}, which was over: it is {}", last.epoch)
                    })?;
                    owned(partition, &tenants, houses)?;
                    signals.iter().try_for_each(|signal| last.rises(signal))?;
                    count += signals.len();
                }
            }
        }
        hold(count == read, || format!("{count} facts were written, and {read} can be read at the end of the logs"))
    }
}

impl Last {
    fn rises(&mut self, signal: &Arc<Signal>) -> Held {
        let millis = signal.recorded_at.millis();
        let is_later = self.signal < Some(signal.id) && self.millis <= millis;
        (self.signal, self.millis) = (Some(signal.id), millis);
        hold(is_later, || format!("time went back in a partition, at {} {}", signal.name, signal.id))
    }
}

fn owned(partition: usize, tenants: &[TenantId], houses: &[House]) -> Held {
    let is_of = |tenant: &TenantId| houses.iter().any(|house| house.tenant == *tenant && house.partition == partition);
    let foreign = tenants.iter().find(|tenant| !is_of(tenant));
    hold(foreign.is_none(), || {
        format!("the engine of partition {partition} wrote for {foreign:?}, whom it has not got")
    })
}
