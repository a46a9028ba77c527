//! What may happen to engines, and to the nodes on which they are: their clocks, their ends, and who has what.

use fleetprompt_core::{Span, Timestamp};
use fleetprompt_engine::{ByHand, NewDirective, Task};
use serde_json::json;

use crate::chance::Chance;
use crate::check::{Held, hold};
use crate::definition::{self, WORDS};
use crate::moves::{plain_signal, said};
use crate::world::{House, World};

/// Clocks of nodes are at most so far ahead, or behind.
const AHEAD_MAX: Span = Span::from_secs(60);

/// The clock of a node.
fn ahead(chance: &mut Chance) -> Span {
    match chance.below(4) {
        0 | 1 => Span::default(),
        2 => Span(chance.pick(&[-1_000, 1_000, -AHEAD_MAX.0, AHEAD_MAX.0])),
        _ => Span(chance.below(2 * AHEAD_MAX.0 as usize) as i64 - AHEAD_MAX.0),
    }
}

impl World {
    // Clocks

    pub fn let_time_pass(&mut self, chance: &mut Chance, _: u64) -> Held {
        let next = self.next_due().unwrap_or(self.now + Span::from_secs(1));
        match chance.below(6) {
            0 => self.pass(Span::from_millis(1)),
            1 => self.pass(Span::from_secs(5)),
            2 => self.pass(Span::from_secs(60)),
            _ => self.set_time(next.max(self.now)),
        }
        Ok(())
    }

    /// All of them, or that of one node.
    pub fn turn_clock(&mut self, chance: &mut Chance, _: u64) -> Held {
        if chance.one_in(2) {
            let back = chance.pick(&[1_000_000, 60_000_000]);
            self.set_time(Timestamp(self.now.0 - back));
            return Ok(());
        }
        let (number, ahead) = (chance.below(self.partitions.len()), ahead(chance));
        self.story.tell(|| format!("the clock of partition {number} is {} us ahead", ahead.0));
        let now = self.now;
        let partition = &mut self.partitions[number];
        partition.ahead = ahead;
        partition.set_time(now);
        Ok(())
    }

    // Who has what

    /// A node falls silent with one partition, or with all; after a while others take what it had.
    pub fn lose(&mut self, chance: &mut Chance, _: u64) -> Held {
        // What is in memory is what is in the store, or else what was behind would be lost unseen.
        self.remembered()?;
        let count = self.partitions.len();
        let lost = if chance.one_in(4) { (0..count).collect() } else { vec![chance.below(count)] };
        self.now = self.now + Span(chance.pick(&[0, 0, 1, 10_000_000, 90_000_000]));
        let now = self.now;
        for number in (0..count).filter(|number| !lost.contains(number)) {
            self.partitions[number].set_time(now);
        }
        lost.into_iter().try_for_each(|number| self.take(number, ahead(chance)))?;
        self.verified()
    }

    /// A node lets go of a partition; of what has begun, some ends before it does.
    pub fn let_go(&mut self, chance: &mut Chance, _: u64) -> Held {
        let number = chance.below(self.partitions.len());
        self.story.tell(|| format!("partition {number} is handed over"));
        let under_way: Vec<Task> = self.tasks.iter().filter(|task| self.is_of(task, number)).cloned().collect();
        for task in under_way {
            if chance.one_in(2) {
                let outcome = self.outcome(chance, task.begun);
                self.story.tell(|| format!("{} ends: {}", task.key, said(&outcome)));
                self.engine(number).end(&task, outcome);
            }
        }
        self.hand_over(number, ahead(chance))?;
        self.verified()
    }

    fn is_of(&self, task: &Task, partition: usize) -> bool {
        self.house_of(task.tenant).partition == partition
    }

    /// A request that comes to a node which had its partition once, and knows nothing of it now.
    pub fn go_astray(&mut self, chance: &mut Chance, _: u64) -> Held {
        let house = self.any_house(chance);
        let number = chance.below(self.partitions.len());
        if number == house.partition {
            return Ok(());
        }
        self.story.tell(|| format!("{} speaks to the engine of partition {number}", house.tenant));
        let signal = plain_signal(WORDS[0], definition::payload(chance));
        let directive = self.any_directive(chance, false).filter(|one| one.tenant == house.tenant);
        let engine = self.engine(number);
        let is_taken = match directive {
            Some(directive) => engine.directive_cancel(&house.owner, directive.id, "not wanted").is_ok(),
            None => engine.emit(&house.member, vec![signal]).is_ok_and(|answers| answers.iter().any(Result::is_ok)),
        };
        hold(!is_taken, || "an engine took what is for another partition".to_owned())
    }

    // Those that were taken for dead

    /// It was only frozen: it goes on as if it still had the store, and nothing comes of it.
    pub fn wake_a_ghost(&mut self, chance: &mut Chance, number: u64) -> Held {
        let haunted: Vec<usize> =
            (0..self.partitions.len()).filter(|number| !self.partitions[*number].ghosts.is_empty()).collect();
        let at = chance.pick(&haunted);
        let ghosts = &mut self.partitions[at].ghosts;
        let mut ghost = ghosts.remove(chance.below(ghosts.len()));
        let last = self.partitions[at].last();
        let waited: Vec<String> = ghost.tasks_waiting().into_iter().map(|task| task.key).collect();
        self.haunt(&mut ghost, at, chance, number)?;
        hold(last == self.partitions[at].last(), || "an engine that has lost its store wrote to it".to_owned())?;
        // What was committed before may begin late, until the engine knows.
        let begun = ghost.take_tasks();
        let is_old = |task: &Task| waited.contains(&task.key);
        hold(begun.iter().all(is_old), || "an engine that has lost its store began an effect".to_owned())?;
        if !chance.one_in(4) {
            self.partitions[at].ghosts.push(ghost);
        }
        Ok(())
    }

    fn haunt(&mut self, ghost: &mut ByHand, at: usize, chance: &mut Chance, number: u64) -> Held {
        let own: Vec<House> = self.houses.iter().filter(|house| house.partition == at).cloned().collect();
        let house = chance.pick(&own);
        match chance.below(4) {
            0 => {
                self.story.tell(|| format!("an engine that had partition {at} is told a fact"));
                let told = ghost.emit(&house.member, vec![plain_signal(WORDS[0], definition::payload(chance))]);
                let is_taken = told.is_ok_and(|answers| answers.iter().any(Result::is_ok));
                hold(!is_taken, || "an engine that has lost its store took a fact".to_owned())?;
            }
            1 => {
                self.story.tell(|| format!("an engine that had partition {at} is asked for a directive"));
                let directive = NewDirective {
                    name: "job.manual".parse().expect("a name"),
                    payload: json!({}).into(),
                    idempotency_key: format!("before{number}"),
                    correlation_id: None,
                    causation_id: None,
                };
                let asked = ghost.request(&house.member, directive);
                hold(asked.is_err(), || "an engine that has lost its store took an intent".to_owned())?;
            }
            2 => {
                let gone: Vec<Task> = self.gone.iter().filter(|task| self.is_of(task, at)).cloned().collect();
                let Some(task) = chance.pick_any(&gone) else { return Ok(()) };
                let outcome = self.outcome(chance, task.begun);
                self.story
                    .tell(|| format!("an engine that had partition {at} hears of {}: {}", task.key, said(&outcome)));
                ghost.end(task, outcome);
            }
            _ => {
                self.story.tell(|| format!("time passes for an engine that had partition {at}"));
                ghost.set_time(ghost.now() + Span::from_secs(60));
            }
        }
        Ok(())
    }
}
