//! A part of the tenants, with the engine that decides for it; and how another takes the place of that one.

use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::{Meter, SignalId, Span, Timestamp};
use fleetprompt_engine::{Bounds, ByHand, ManualTime, PerformBounds, Task};

use crate::chance::Chance;
use crate::check::{Held, hold};
use crate::database::ReadFaults;
use crate::fenced::Fenced;
use crate::world::World;

/// More than this many of the effects that nobody waits for any more do not come back.
const GONE_MAX: usize = 40;
/// How long a worker may be silent.
const LEASE: Duration = Duration::from_secs(15);
/// So many that were taken for dead may be alive at once.
const GHOSTS_MAX: usize = 2;

pub struct Partition {
    pub engine: ByHand,
    pub view: Arc<Fenced>,
    /// Those that were taken for dead, and do not know it yet.
    pub ghosts: Vec<ByHand>,
    /// How far the clock of its node is ahead.
    pub ahead: Span,
    /// The number of its engine among all that have begun.
    pub life: u64,
}

impl Partition {
    /// Inputs wait, or something that failed is to be tried again.
    pub fn is_behind(&self) -> bool {
        !self.engine.is_at_rest()
    }

    pub fn set_time(&mut self, now: Timestamp) {
        self.engine.set_time(now + self.ahead);
    }

    /// As a clock has it that is right.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = self.engine.next_due().into_iter().chain(self.engine.next_expiry()).min();
        due.map(|due| due + Span(-self.ahead.0))
    }

    /// The end of its log.
    pub fn last(&self) -> Option<SignalId> {
        self.view.last()
    }
}

impl World {
    /// Takes up what there is of a partition, on a node with a clock of its own.
    pub fn next_engine(&mut self, number: usize, ahead: Span) -> Result<Partition, String> {
        self.lives += 1;
        let mut chance = Chance::of(self.seed, !self.lives);
        let reading = Duration::from_micros(chance.weighed(&[(3, 0), (2, 20), (1, 400)]));
        let bounds = Bounds {
            queue_max: chance.weighed(&[(2, 1_000), (1, 8)]),
            batch_max: chance.weighed(&[(2, 1_000), (1, 8), (1, 1)]),
            // Decisions that do one thing each, a few, and as much as they do elsewhere.
            decision_units: [1, 2_000, 20_000, Meter::DECISION_UNITS][(self.seed % 4) as usize],
            // Where there is hardly room for one run, everything is evicted all the time.
            cache_bytes: chance.weighed(&[(2, None), (1, Some(4 << 10)), (1, Some(16 << 10))]),
            performs: Some(PerformBounds {
                effects_max: chance.weighed(&[(2, 256), (1, 4), (1, 1)]),
                lease: LEASE,
                // Inputs that workers get are kept in memory, or only some of them, or are always read again.
                input_bytes: [32 << 20, 256, 0][(self.seed % 3) as usize],
            }),
            ..Bounds::default()
        };
        let time = ManualTime::new(self.now + ahead, reading);
        let view = Arc::new(Fenced::take(self.database.clone(), number, time.clone()));
        let seed = self.seed ^ (self.lives << 32);
        let engine = ByHand::start_with_bounds(bounds, view.clone(), time, seed).map_err(|error| error.to_string())?;
        Ok(Partition { engine, view, ghosts: Vec::new(), ahead, life: self.lives })
    }

    /// From an engine that is dead, or only taken for it. What it had not committed is gone.
    pub fn take(&mut self, number: usize, ahead: Span) -> Held {
        let before = self.replace(number, ahead)?;
        let ghosts = &mut self.partitions[number].ghosts;
        ghosts.insert(0, before);
        ghosts.truncate(GHOSTS_MAX);
        Ok(())
    }

    /// From an engine that lets go of it, when what it knows of is on record.
    pub fn hand_over(&mut self, number: usize, ahead: Span) -> Held {
        self.partitions[number].set_time(self.now);
        self.remembered()?;
        self.replace(number, ahead).map(drop)
    }

    fn replace(&mut self, number: usize, ahead: Span) -> Result<ByHand, String> {
        self.story.tell(|| format!("another engine begins for partition {number}, {} us ahead", ahead.0));
        self.store.fail_next_commits(0);
        self.database.ownership().taken_after = None;
        let elsewhere = self.elsewhere(number);
        let next = self.next_engine(number, ahead);
        self.database.set_read_faults(ReadFaults::default());
        let next = next.or_else(|why| {
            self.story.tell(|| format!("      which fails: {why}; it begins again"));
            self.next_engine(number, ahead)
        })?;
        self.pending.retain(|pending| pending.partition != number);
        self.shares.forget(number);
        let mut before = std::mem::replace(&mut self.partitions[number], next);
        self.partitions[number].ghosts = std::mem::take(&mut before.ghosts);
        let is_lost =
            |task: &Task| self.houses.iter().any(|house| house.tenant == task.tenant && house.partition == number);
        self.gone.extend(self.tasks.extract_if(.., |task| is_lost(task)));
        // What it had begun, it had begun.
        self.gone.extend(before.engine.take_tasks());
        let too_many = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..too_many);
        // What was due while nobody was there.
        self.partitions[number].set_time(self.now);
        hold(self.elsewhere(number) == elsewhere, || format!("the move of partition {number} moved others"))?;
        Ok(before.engine)
    }

    /// How far the other partitions are.
    fn elsewhere(&self, number: usize) -> Vec<(Option<SignalId>, Option<Timestamp>)> {
        let others = self.partitions.iter().enumerate().filter(|(other, _)| *other != number);
        others.map(|(_, other)| (other.last(), other.engine.next_due())).collect()
    }
}
