//! Workers: they take attempts, keep them alive, report them well, badly, twice or too late, and die with what they
//! have. Their leases are the engine's own, by its clock.

use std::sync::Arc;

use fleetprompt_core::performs::{Labels, Pattern};
use fleetprompt_core::{Failure, Json, KeyId, SignalId};
use fleetprompt_engine::Delivered;
use fleetprompt_engine::workers::{Attempt, AttemptId, AttemptOf, Taker, Worker, WorkerId};
use serde_json::json;
use uuid::Uuid;

use crate::chance::Chance;
use crate::check::{Held, hold};
use crate::moves::said;
use crate::rest::LOOKS;
use crate::world::{House, World};

/// What a worker believes to have.
#[derive(Clone)]
pub struct Taken {
    partition: usize,
    /// The engine that it has it from.
    life: u64,
    worker: Worker,
    id: AttemptId,
    attempt: Arc<Attempt>,
}

impl World {
    pub fn work(&mut self, chance: &mut Chance, _: u64) -> Held {
        let taken = chance.pick_any(&self.taken).cloned();
        match (chance.below(10), taken) {
            (0, Some(taken)) => self.die(&taken),
            (1 | 2, Some(taken)) => self.beat(chance, &taken)?,
            (3..=6, Some(taken)) => {
                let outcome = self.outcome(chance, begun(&taken));
                self.report_attempt(&taken, outcome)?;
                if !chance.one_in(4) {
                    self.taken.retain(|other| other.id != taken.id);
                }
            }
            _ => {
                let house = self.any_house(chance);
                let name = chance.pick(&["one", "two"]);
                self.take_attempts(&house, name, chance.between(1, 4))?;
            }
        }
        Ok(())
    }

    fn take_attempts(&mut self, house: &House, name: &str, limit: usize) -> Held {
        let worker = worker(house, name);
        let holding: Vec<AttemptId> =
            self.taken.iter().filter(|taken| taken.worker.id == worker.id).map(|taken| taken.id).collect();
        let handed = match self.engine(house.partition).attempts_take(&worker, limit, &holding) {
            Ok(handed) => handed,
            // The database did not answer, so others get them.
            Err(error) => {
                self.story.tell(|| format!("worker {name} of {} takes nothing: {error}", house.tenant));
                return Ok(());
            }
        };
        self.story.tell(|| format!("worker {name} of {} takes {}", house.tenant, handed.attempts.len()));
        self.taken.retain(|taken| taken.worker.id != worker.id || !handed.canceled.contains(&taken.id));
        handed.attempts.into_iter().try_for_each(|delivered| self.delivered(house, &worker, delivered))
    }

    fn delivered(&mut self, house: &House, worker: &Worker, delivered: Delivered) -> Held {
        let Delivered { id, attempt, input, .. } = delivered;
        hold(attempt.tenant == house.tenant, || format!("a worker is given what is of {}", attempt.tenant))?;
        self.ledger.delivered(&self.seen, &attempt, &input)?;
        // Whoever had it before has it no more.
        let (partition, life) = (house.partition, self.partitions[house.partition].life);
        for before in self.taken.iter().filter(|taken| taken.id.of == id.of && taken.life == life) {
            let workers = self.partitions[partition].engine.workers().expect("it has workers");
            let kept = workers.heartbeat(&before.worker, &before.id, None);
            hold(kept.is_err(), || format!("two workers have {:?} at once", id.of))?;
        }
        self.taken.push(Taken { partition, life, worker: worker.clone(), id, attempt });
        Ok(())
    }

    fn die(&mut self, taken: &Taken) {
        self.story.tell(|| format!("worker {} is gone with what it has", taken.worker.id.name));
        self.taken.retain(|other| other.worker.id != taken.worker.id);
    }

    fn beat(&mut self, chance: &mut Chance, taken: &Taken) -> Held {
        let house = self.any_house(chance);
        let stranger = worker(&house, "one");
        let Some(workers) = self.partitions[taken.partition].engine.workers() else { return Ok(()) };
        let kept = workers.heartbeat(&stranger, &taken.id, None);
        hold(kept.is_err() || house.tenant == taken.attempt.tenant, || {
            format!("a worker of {} kept {:?}", house.tenant, taken.id.of)
        })?;
        let _ = workers.heartbeat(&taken.worker, &taken.id, Some(json!({"done": 1}).into()));
        Ok(())
    }

    fn report_attempt(&mut self, taken: &Taken, outcome: Result<Json, Failure>) -> Held {
        let worker = taken.worker.id.name.clone();
        self.story.tell(|| format!("worker {worker} reports {:?}: {}", taken.id.of, said(&outcome)));
        let reported = self.engine(taken.partition).attempt_report(&taken.worker, &taken.id, outcome.clone());
        if matches!(reported, Ok(Ok(()))) {
            self.report_again(taken, outcome)?;
        }
        let mut since = self.taken.iter().skip_while(|other| other.id != taken.id).skip(1);
        let life = self.partitions[taken.partition].life;
        let has_another = since.any(|other| other.id.of == taken.id.of && other.life == life);
        hold(!has_another || !matches!(reported, Ok(Ok(()))), || {
            format!("{:?} was reported by a worker that had lost it", taken.id.of)
        })
    }

    /// What is recorded is known to its worker alone, and does not change.
    fn report_again(&mut self, taken: &Taken, outcome: Result<Json, Failure>) -> Held {
        let stranger = self.houses.iter().find(|house| house.tenant != taken.attempt.tenant);
        let stranger = stranger.map(|house| worker(house, "one"));
        let (id, contradiction) = (&taken.id, Err(Failure::fatal("late", "it was otherwise")));
        let engine = self.engine(taken.partition);
        let changed = engine.attempt_report(&taken.worker, id, contradiction);
        let stolen = stranger.map(|stranger| engine.attempt_report(&stranger, id, outcome.clone()));
        let again = engine.attempt_report(&taken.worker, id, outcome);
        hold(matches!(again, Ok(Ok(()))), || format!("{:?} is recorded, and not known again: {again:?}", id.of))?;
        hold(matches!(changed, Ok(Err(_))), || format!("{:?} was contradicted: {changed:?}", id.of))?;
        hold(!matches!(stolen, Some(Ok(Ok(())))), || format!("{:?} is known to another tenant", id.of))
    }

    /// Each house has a worker that takes everything, and does it well.
    pub fn workers_finish(&mut self) -> Held {
        self.taken.clear();
        for house in self.houses.clone() {
            self.take_attempts(&house, "last", usize::MAX)?;
            let taken = std::mem::take(&mut self.taken);
            for some in taken.chunks(taken.len().div_ceil(LOOKS).max(1)) {
                for taken in some {
                    let answer = self.ledger.answer(begun(taken));
                    self.report_attempt(taken, Ok(json!({"ok": true, "answer": answer}).into()))?;
                }
                self.look()?;
            }
        }
        Ok(())
    }
}

fn begun(taken: &Taken) -> Option<SignalId> {
    match taken.id.of {
        AttemptOf::Step { begun, .. } => Some(begun),
        AttemptOf::Directive { .. } => None,
    }
}

fn worker(house: &House, name: &str) -> Worker {
    let taker = Taker::new(Some(house.tenant), vec![Pattern::Any], Labels::new());
    let key = KeyId(Uuid::from_u128(house.tenant.0.as_u128()));
    Worker { id: WorkerId { key, name: name.into() }, version: None, taker, slots: 4 }
}
