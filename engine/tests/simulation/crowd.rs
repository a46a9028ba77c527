//! Load: inputs of several tenants come faster than their engine decides. They wait in its queue, are decided in
//! batches, and some still wait when the next thing happens.

use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::{Name, Scope};
use fleetprompt_engine::{Answer, Emitted, Error, NewDirective, Requested};
use serde_json::json;
use tokio::sync::oneshot::error::TryRecvError;

use crate::chance::Chance;
use crate::check::{Held, hold};
use crate::moves::said;
use crate::world::{House, World};

/// Signals of one request.
pub const SIGNALS_MAX: usize = 4;

/// An input that waits in the queue of a partition, with the caller who waits for its answer.
pub struct Pending {
    pub partition: usize,
    scope: Scope,
    input: Input,
}

enum Input {
    Signals(Vec<NewSignal>, Answer<Vec<Result<Emitted, Error>>>),
    Directive(Name, String, Answer<Requested>),
}

impl World {
    pub fn crowd(&mut self, chance: &mut Chance, number: u64) -> Held {
        let partition = chance.below(self.partitions.len());
        let own: Vec<House> = self.houses.iter().filter(|house| house.partition == partition).cloned().collect();
        let most = chance.weighed(&[(20, 12), (1, 60)]);
        for count in 0..chance.between(2, most) {
            let house = chance.pick(&own);
            match chance.below(6) {
                0 => self.enqueue_end(chance, &house),
                1 => self.enqueue_request(&house, format!("crowd{number}_{count}"))?,
                _ => {
                    let signals = (0..chance.weighed(&[(4, 1), (1, SIGNALS_MAX)])).map(|_| self.signal(chance, &house));
                    let signals = signals.collect();
                    self.enqueue_emit(&house, signals)?;
                }
            }
        }
        for _ in 0..chance.below(5) {
            self.story.tell(|| format!("partition {partition} decides a batch"));
            self.engine(partition).decide_next();
        }
        Ok(())
    }

    pub fn enqueue_emit(&mut self, house: &House, signals: Vec<NewSignal>) -> Held {
        let (scope, partition) = (house.member.clone(), house.partition);
        self.story.tell(|| format!("{} signals of {} wait", signals.len(), house.tenant));
        self.count_decided(partition)?;
        if let Ok(answer) = self.engine(partition).enqueue_emit(&scope, signals.clone()) {
            self.wait(house, Input::Signals(signals, answer));
        }
        Ok(())
    }

    fn enqueue_request(&mut self, house: &House, key: String) -> Held {
        let name: Name = "job.http".parse().expect("a name");
        self.story.tell(|| format!("a directive of {} waits", house.tenant));
        let directive = NewDirective {
            name: name.clone(),
            payload: json!({}).into(),
            idempotency_key: key.clone(),
            correlation_id: None,
            causation_id: None,
        };
        self.count_decided(house.partition)?;
        if let Ok(answer) = self.engine(house.partition).enqueue_request(&house.member, directive) {
            self.wait(house, Input::Directive(name, key, answer));
        }
        Ok(())
    }

    fn wait(&mut self, house: &House, input: Input) {
        let backlog = self.partitions[house.partition].engine.backlog_of(house.tenant);
        self.shares.enqueued(house.partition, house.tenant, backlog);
        self.pending.push(Pending { partition: house.partition, scope: house.member.clone(), input });
    }

    fn enqueue_end(&mut self, chance: &mut Chance, house: &House) {
        let of_house = |at: &usize| self.tasks[*at].tenant == house.tenant;
        let under_way: Vec<usize> = (0..self.tasks.len()).filter(of_house).collect();
        let Some(at) = chance.pick_any(&under_way) else { return };
        let task = self.tasks.remove(*at);
        let outcome = self.outcome(chance, task.begun);
        self.story.tell(|| format!("the end of {} waits: {}", task.key, said(&outcome)));
        self.engine(house.partition).enqueue_end(&task, outcome);
        self.gone.push(task);
    }

    /// Takes the answers to what was decided since.
    pub fn hear_answers(&mut self) -> Held {
        for mut pending in std::mem::take(&mut self.pending) {
            match &mut pending.input {
                Input::Signals(signals, answer) => match answer.try_recv() {
                    Ok(Ok(answers)) => self.acknowledged(&pending.scope, signals, answers)?,
                    Err(TryRecvError::Empty) => self.pending.push(pending),
                    Ok(Err(_)) | Err(TryRecvError::Closed) => {}
                },
                Input::Directive(name, key, answer) => match answer.try_recv() {
                    Ok(Ok(asked)) if !self.is_deaf => {
                        let told = (pending.scope.tenant, name.clone(), key.clone());
                        self.told.directives.insert(asked.directive.id, told);
                    }
                    Err(TryRecvError::Empty) => self.pending.push(pending),
                    Ok(_) | Err(TryRecvError::Closed) => {}
                },
            }
        }
        let is_decided = |pending: &Pending| self.partitions[pending.partition].engine.is_at_rest();
        hold(!self.pending.iter().any(is_decided), || "an input was decided, and its caller has no answer".to_owned())
    }

    /// Holds what an engine decided against what waited in its queue.
    pub fn count_decided(&mut self, partition: usize) -> Held {
        let decided = self.engine(partition).take_decided();
        self.shares.decided(partition, &decided)
    }
}
