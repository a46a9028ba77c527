//! How much work a decision has done, in units: expressions, functions, modules, schemas and signals all draw on the
//! same budget. A decision whose budget is spent leaves the rest of its work to the next one.
//!
//! The units are counted and not measured, so the same decision is cut at the same place wherever it is made. One
//! unit is 15 to 40 ns of an optimized build, which is about one small allocation. What is no
//! expression is converted at 30 ns: signals from the 8 µs that one takes in a batch, fuel from 11 ns each.

use std::cell::Cell;

use crate::Failure;

#[derive(Debug)]
pub struct Meter {
    limit: Cell<u64>,
    used: Cell<u64>,
    /// What was used when the current entry began.
    entry: Cell<u64>,
}

impl Meter {
    /// The budget of a decision: about 6 ms.
    pub const DECISION_UNITS: u64 = 200_000;
    /// The expressions of one step instance, of one trigger or of one wait: about 20 ms.
    pub const ENTRY_UNITS_MAX: u64 = 600_000;
    /// A signal that a decision records: making it, writing it, and its share of the indexes.
    pub const SIGNAL_UNITS: u64 = 250;
    /// An evaluation, besides what its values and operators cost.
    pub const EVALUATION_UNITS: u64 = 100;
    /// Looking at one candidate: a run or workflow that a signal is offered to, a signal of a lookback, a run that waits
    /// for a lock or a slot. What it leads to is charged in addition.
    pub const OFFER_UNITS: u64 = 100;
    /// Entries of a list in memory that are compared for one unit, such as the edges into a step.
    const ENTRIES_PER_UNIT: u64 = 8;
    /// Bytes of JSON that are read, validated or copied for one unit.
    const BYTES_PER_UNIT: u64 = 8;

    pub fn new(limit: u64) -> Self {
        Self { limit: Cell::new(limit), used: Cell::new(0), entry: Cell::new(0) }
    }

    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    pub fn charge(&self, units: u64) {
        self.used.set(self.used.get().saturating_add(units));
    }

    pub fn charge_bytes(&self, bytes: usize) {
        self.charge(bytes as u64 / Self::BYTES_PER_UNIT + 1);
    }

    pub fn charge_entries(&self, entries: usize) {
        self.charge(entries as u64 / Self::ENTRIES_PER_UNIT);
    }

    /// Leaves the decision no more than its first charge: it does the smallest part of its work that can be done alone.
    pub fn leave_one_unit(&self) {
        self.limit.set(self.limit.get().min(self.used.get() + 1));
    }

    pub fn used(&self) -> u64 {
        self.used.get()
    }

    pub fn is_spent(&self) -> bool {
        self.used.get() >= self.limit.get()
    }

    /// What follows belongs to another step instance, trigger or wait.
    pub fn begin_entry(&self) {
        self.entry.set(self.used.get());
    }

    /// Charges an evaluation that takes this much; a failure if the entry may not take as much.
    pub fn charge_evaluation(&self, units: u64) -> Result<(), Failure> {
        let units = units.saturating_add(Self::EVALUATION_UNITS);
        if (self.used.get() - self.entry.get()).saturating_add(units) > Self::ENTRY_UNITS_MAX {
            let message = format!(
                "the expressions of one step, trigger or wait take more than {} units of work together; do it in \
                 several steps, or in a function",
                Self::ENTRY_UNITS_MAX
            );
            return Err(Failure::fatal("expression_too_expensive", message));
        }
        self.charge(units);
        Ok(())
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(Self::DECISION_UNITS)
    }
}
