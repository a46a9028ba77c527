//! What may happen in a world: everything that people and effects can do to engines, legal or not. What can happen
//! to engines themselves is in `nodes.rs`.

use std::time::Duration;

use fleetprompt_core::directive::{Directive, HandlerKind, Status as DirectiveStatus};
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::run::{Awaited, Place, Run, Step, StepStatus, step_key};
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::workflow::{StepKind, Wait};
use fleetprompt_core::{Failure, Json, Name, RunId, Scope, SignalId};
use fleetprompt_engine::{Emitted, Error, NewDirective, Requested, Task};
use fleetprompt_store::Store;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::check::{Held, hold};
use crate::database::ReadFaults;
use crate::definition::{self, WORDS, fact};
use crate::partition::Partition;
use crate::seen::in_flight;
use crate::world::{House, World};

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The disk is full, for one commit.
    CommitFails,
    /// The commit holds, and the engine dies before it says so.
    AnswerIsLost,
    /// Another node takes the partition while its engine decides, before a commit.
    Taken,
    /// The database does not respond to one read, or to some.
    ReadsFail,
    /// Each read takes so long that leases and batches end in the meantime.
    ReadsAreSlow,
}

impl World {
    /// One step of the schedule. What happens in it depends on the seed and its number, and on what the
    /// world has come to.
    pub fn step(&mut self, number: u64) -> Held {
        let mut chance = Chance::of(self.seed, number);
        let fault = chance.weighed(&[
            (40, Fault::None),
            (2, Fault::CommitFails),
            (1, Fault::AnswerIsLost),
            (1, Fault::Taken),
            (3, Fault::ReadsFail),
            (1, Fault::ReadsAreSlow),
        ]);
        let were_behind: Vec<bool> = self.partitions.iter().map(Partition::is_behind).collect();
        let before: Vec<_> = self.partitions.iter().map(Partition::last).collect();
        self.store.fail_next_commits(usize::from(fault == Fault::CommitFails));
        self.database.ownership().taken_after = (fault == Fault::Taken).then(|| chance.weighed(&[(4, 0), (1, 1)]));
        self.database.set_read_faults(match fault {
            Fault::ReadsFail => ReadFaults {
                succeed: chance.below(8),
                fail: chance.weighed(&[(2, 1), (1, 3), (1, usize::MAX)]),
                delay: Duration::ZERO,
            },
            Fault::ReadsAreSlow => {
                ReadFaults { delay: Duration::from_millis(chance.pick(&[1, 700, 20_000])), ..Default::default() }
            }
            _ => ReadFaults::default(),
        });
        self.is_deaf = fault == Fault::AnswerIsLost;
        self.play(&mut chance, number)?;
        self.hear_answers()?;
        self.is_deaf = false;
        self.database.set_read_faults(ReadFaults::default());
        self.store.fail_next_commits(0);
        self.database.ownership().taken_after = None;
        let lives = self.lives;
        for (number, before) in before.into_iter().enumerate() {
            // Whoever wrote, dies before it says so.
            let dies = fault == Fault::AnswerIsLost && self.partitions[number].last() != before;
            match dies || self.partitions[number].view.is_over() {
                true => self.take(number, self.partitions[number].ahead)?,
                false => self.make_up(number, were_behind[number]),
            }
        }
        self.hear_answers()?;
        if self.lives > lives {
            self.verified()?;
        } else if fault != Fault::None || were_behind.contains(&true) {
            self.remembered()?;
        }
        self.look()
    }

    /// What failed in an earlier step is tried again.
    fn make_up(&mut self, number: usize, was_behind: bool) {
        let partition = &mut self.partitions[number];
        if partition.view.forget_failure() {
            self.story.tell(|| format!("      and a commit of partition {number} failed"));
        }
        if was_behind {
            partition.engine.try_again();
        }
    }

    fn play(&mut self, chance: &mut Chance, number: u64) -> Held {
        let under_way = if self.tasks.is_empty() { 0 } else { 14 };
        let waits = if self.answerable().is_empty() { 0 } else { 5 };
        type Move = fn(&mut World, &mut Chance, u64) -> Held;
        let is_haunted = if self.partitions.iter().all(|one| one.ghosts.is_empty()) { 0 } else { 8 };
        let is_parted = usize::from(self.partitions.len() > 1);
        let at_work = if self.taken.is_empty() { 6 } else { 12 };
        let moves: [(usize, Move); 17] = [
            (14, Self::emit),
            (4, Self::crowd),
            (under_way, Self::end_some),
            (2, Self::end_again),
            (at_work, Self::work),
            (9, Self::operate),
            (waits, Self::answer),
            (3, Self::request),
            (6, Self::report),
            (2, Self::cancel_directive),
            (9, Self::let_time_pass),
            (2, Self::turn_clock),
            (2, Self::lose),
            (1, Self::let_go),
            (is_haunted, Self::wake_a_ghost),
            (is_parted, Self::go_astray),
            (1, Self::register),
        ];
        chance.weighed(&moves)(self, chance, number)
    }

    pub fn any_house(&self, chance: &mut Chance) -> House {
        chance.pick(&self.houses)
    }

    // Facts

    fn emit(&mut self, chance: &mut Chance, _: u64) -> Held {
        let house = self.any_house(chance);
        let count = chance.weighed(&[(5, 1), (2, 2), (1, 4)]);
        let signals: Vec<NewSignal> = (0..count).map(|_| self.signal(chance, &house)).collect();
        self.tell(&house.member.clone(), signals, Vec::new())
    }

    pub fn tell(&mut self, scope: &Scope, signals: Vec<NewSignal>, ended: Vec<(Task, Result<Json, Failure>)>) -> Held {
        for signal in &signals {
            let key = signal.dedupe_key.as_deref().unwrap_or("none");
            self.story.tell(|| format!("{} tells {} {} key {key}", scope.tenant, signal.name, signal.payload.text()));
        }
        let told = signals.clone();
        let answers = self.engine_of(scope.tenant).emit_and_end(scope, signals, ended);
        answers.map_or(Ok(()), |answers| self.acknowledged(scope, &told, answers))
    }

    pub fn acknowledged(&mut self, scope: &Scope, signals: &[NewSignal], answers: Vec<Result<Emitted, Error>>) -> Held {
        if self.is_deaf {
            return Ok(());
        }
        for (signal, answer) in signals.iter().zip(answers) {
            let Ok(emitted) = answer else { continue };
            if let Some(key) = &signal.dedupe_key {
                let (name, told) = (signal.name.clone(), &emitted.signal);
                let first = self.told.dedupe_keys.entry((scope.tenant, name, key.clone())).or_insert(told.id);
                hold(*first == told.id, || format!("the dedupe key {key} stands for two signals"))?;
                let is_same = told.name == signal.name && told.payload == signal.payload;
                hold(is_same, || format!("{} was acknowledged as {}, which is another signal", signal.name, told.id))?;
            }
            hold(emitted.signal.tenant == scope.tenant, || "an answer shows another tenant's signal".to_owned())?;
            self.told.signals.insert(emitted.signal.id, (scope.tenant, emitted.signal.payload.text().to_owned()));
        }
        Ok(())
    }

    pub fn signal(&self, chance: &mut Chance, house: &House) -> NewSignal {
        let mut names: Vec<(usize, String)> = (0..house.levels).map(|level| (4, fact(level))).collect();
        names.extend(WORDS.iter().map(|word| (2, (*word).to_owned())));
        let cause = chance.one_in(10).then(|| chance.pick_any(&self.seen.facts).map(|(_, id)| (*id).into()));
        NewSignal {
            causation_id: cause.flatten(),
            dedupe_key: chance.one_in(4).then(|| format!("key{}", chance.below(5))),
            ..plain_signal(&chance.weighed(&names), definition::payload(chance))
        }
    }

    // Effects

    pub fn outcome(&mut self, chance: &mut Chance, begun: Option<SignalId>) -> Result<Json, Failure> {
        match chance.below(10) {
            0 if chance.one_in(8) => Ok(json!({"ok": true, "text": definition::UNSTORABLE}).into()),
            0..=5 => Ok(json!({"ok": true, "answer": self.ledger.answer(begun)}).into()),
            6 => Ok(json!({"answer": self.ledger.answer(begun)}).into()),
            7 => Err(Failure::retry("busy", "later")),
            8 => Err(Failure { retry_after_ms: Some(9_000), ..Failure::retry("http_503", "later") }),
            _ => Err(Failure::fatal("broken", "never")),
        }
    }

    /// Several at once, and a fact beside them.
    fn end_some(&mut self, chance: &mut Chance, _: u64) -> Held {
        let Some(first) = chance.pick_any(&self.tasks).map(|task| self.house_of(task.tenant).clone()) else {
            return Ok(());
        };
        let own: Vec<House> = self.houses.iter().filter(|one| one.partition == first.partition).cloned().collect();
        let house = chance.pick(&own);
        let mut ended = Vec::new();
        for _ in 0..chance.between(1, 3) {
            let of_engine = |at: &usize| own.iter().any(|one| one.tenant == self.tasks[*at].tenant);
            let under_way: Vec<usize> = (0..self.tasks.len()).filter(of_engine).collect();
            let Some(at) = chance.pick_any(&under_way) else { break };
            let task = self.tasks.remove(*at);
            let outcome = self.outcome(chance, task.begun);
            self.story.tell(|| format!("{} ends: {}", task.key, said(&outcome)));
            self.gone.push(task.clone());
            ended.push((task, outcome));
        }
        let signals = if chance.one_in(3) { vec![self.signal(chance, &house)] } else { Vec::new() };
        self.tell(&house.member.clone(), signals, ended)
    }

    /// Delivered twice, or after all when somebody else is asked already.
    fn end_again(&mut self, chance: &mut Chance, _: u64) -> Held {
        let Some(task) = chance.pick_any(&self.gone).cloned() else { return Ok(()) };
        let outcome = self.outcome(chance, task.begun);
        self.story.tell(|| format!("once more {} ends: {}", task.key, said(&outcome)));
        self.engine_of(task.tenant).end(&task, outcome);
        Ok(())
    }

    // What people ask for

    pub fn ask(&mut self, scope: &Scope, name: &str, key: String, payload: Value) -> Result<Requested, Error> {
        self.story.tell(|| format!("{} asks for {name} {payload}", scope.actor.kind));
        let name: Name = name.parse().expect("a name");
        let directive = NewDirective {
            name: name.clone(),
            payload: payload.into(),
            idempotency_key: key.clone(),
            correlation_id: None,
            causation_id: None,
        };
        let asked = self.engine_of(scope.tenant).request(scope, directive);
        self.story.tell(|| match &asked {
            Ok(asked) => match &asked.directive.error {
                Some(error) => format!("      which failed: {error}"),
                None => format!("      which is {}", asked.directive.status.as_str()),
            },
            Err(error) => format!("      which was refused: {error}"),
        });
        if let Ok(asked) = &asked
            && !self.is_deaf
        {
            self.told.directives.insert(asked.directive.id, (scope.tenant, name, key));
        }
        asked
    }

    fn operate(&mut self, chance: &mut Chance, number: u64) -> Held {
        let runs: Vec<&Run> = self.seen.runs.values().collect();
        let Some(run) = chance.pick_any(&runs).map(|run| (*run).clone()) else { return Ok(()) };
        let house = self.any_house(chance);
        let own = self.houses.iter().find(|house| house.tenant == run.tenant).cloned();
        let house = own.filter(|_| !chance.one_in(10)).unwrap_or(house);
        let (name, mut payload) = self.operation(chance, &run);
        let wants_operator = !matches!(name, "workflow.run.cancel" | "workflow.run.pause" | "workflow.run.resume");
        let is_unknown = chance.one_in(30);
        if is_unknown && payload.get("run_id").is_some() {
            payload["run_id"] = json!(RunId(uuid::Uuid::from_u128(number.into())));
        }
        let scope = if chance.one_in(8) { house.member.clone() } else { house.owner.clone() };
        let asked = self.ask(&scope, name, format!("op{number}"), payload);
        let succeeded = asked.is_ok_and(|asked| asked.directive.status == DirectiveStatus::Succeeded);
        let may = house.tenant == run.tenant && !is_unknown && !(wants_operator && scope == house.member);
        hold(may || !succeeded, || format!("{name} succeeded for somebody who may not, or on what is not there"))
    }

    fn operation(&self, chance: &mut Chance, run: &Run) -> (&'static str, Value) {
        let workflow = self.seen.workflow(run);
        let places: Vec<Place> = run.places().filter(|place| !place.undo).collect();
        let place = chance.pick_any(&places).copied().unwrap_or(Place::step(chance.below(workflow.steps.len())));
        let step = &workflow.steps[place.index()].id;
        let of_run = json!({"run_id": run.id, "reason": "to see what happens"});
        let mut of_step = json!({"run_id": run.id, "step": step, "reason": "to see what happens"});
        if let Some(item) = place.item {
            of_step["item"] = item.into();
        }
        let with = |of: &Value, field: &str, value: Value| {
            let mut of = of.clone();
            of[field] = value;
            of
        };
        match chance.below(16) {
            0 | 1 => ("workflow.run.pause", of_run),
            2 | 3 => ("workflow.run.resume", of_run),
            4 => ("workflow.run.cancel", of_run),
            5 => ("workflow.run.cancel", with(&of_run, "compensate", true.into())),
            6..=8 => ("workflow.run.retry", of_run),
            9 => ("workflow.run.retry", with(&of_run, "from", json!([step]))),
            10 => ("workflow.run.retry", with(&with(&of_run, "from", json!([step])), "reissue", true.into())),
            11 => ("workflow.run.rerun", of_run),
            12 => {
                let (field, value) = match chance.below(4) {
                    0 => ("from", json!(step)),
                    1 => ("input", definition::payload(chance)),
                    2 => ("reissue", true.into()),
                    _ => ("version", chance.pick(&["1.0.0", "2.0.0"]).into()),
                };
                ("workflow.run.rerun", with(&of_run, field, value))
            }
            13 | 14 => ("workflow.step.skip", of_step),
            _ => ("workflow.step.complete", with(&of_step, "output", json!({"ok": true}))),
        }
    }

    /// Places that somebody can answer.
    pub fn answerable(&self) -> Vec<(RunId, Place)> {
        let asks = |awaited: &Awaited| matches!(awaited, Awaited::Input { .. } | Awaited::Callback { .. });
        let of_run = |run: &Run| {
            let waiting = in_flight(run).filter(|(_, step)| step.status == StepStatus::Waiting);
            let waiting = waiting.filter(|(_, step)| step.waiting.as_ref().is_some_and(|waiting| asks(&waiting.what)));
            waiting.map(|(place, _)| (run.id, place)).collect::<Vec<_>>()
        };
        self.seen.open_runs().flat_map(of_run).collect()
    }

    /// Waits that somebody may answer and that have not begun.
    fn answerable_early(&self) -> Vec<(RunId, Place)> {
        let of_run = |run: &Run| {
            let steps = self.seen.workflow(run).steps.iter().zip(run.steps.iter()).enumerate();
            let asks = |wait: &Wait| matches!(wait, Wait::Input { .. } | Wait::Callback { .. });
            let is_early = |step: &Step| {
                step.status == StepStatus::Pending || step.lock.is_some() && step.status == StepStatus::Waiting
            };
            let early = steps.filter(|(_, (defined, step))| {
                matches!(&defined.kind, StepKind::Wait(wait) if asks(wait)) && is_early(step)
            });
            early.map(|(index, _)| (run.id, Place::step(index))).collect::<Vec<_>>()
        };
        self.seen.open_runs().flat_map(of_run).collect()
    }

    fn answer(&mut self, chance: &mut Chance, number: u64) -> Held {
        let of_some = if chance.one_in(4) { self.answerable_early() } else { self.answerable() };
        let Some((run, place)) = chance.pick_any(&of_some).copied() else { return Ok(()) };
        let foreign = self.any_house(chance);
        let value = match chance.below(4) {
            0 => json!("no"),
            _ => json!({"ok": true}),
        };
        let says = chance.weighed(&[(4, "output"), (2, "error"), (2, "heartbeat")]);
        let by_member = chance.one_in(2);
        let is_foreign = chance.one_in(10);
        let tenant = self.seen.runs[&run].tenant;
        let own = self.houses.iter().find(|house| house.tenant == tenant).cloned().expect("it has a tenant");
        let house = if is_foreign { foreign } else { own };
        let scope = if by_member { house.member.clone() } else { house.owner.clone() };
        let asked = self.answer_place(&scope, run, place, says, value, format!("answer{number}"));
        let succeeded = asked.is_ok_and(|asked| asked.directive.status == DirectiveStatus::Succeeded);
        hold(!succeeded || house.tenant == tenant, || format!("{run} was answered by another tenant"))
    }

    pub fn answer_place(
        &mut self,
        scope: &Scope,
        run: RunId,
        place: Place,
        says: &str,
        value: Value,
        key: String,
    ) -> Result<Requested, Error> {
        let row = &self.seen.runs[&run];
        let defined = &self.seen.workflow(row).steps[place.index()];
        let step = defined.id.clone();
        if matches!(defined.kind, StepKind::Wait(Wait::Callback { .. })) {
            let place_key = step_key(run, &step, place, 0, 0);
            let said = match says {
                "error" => json!({"code": "refused", "message": "not today"}),
                "heartbeat" => json!(true),
                _ => value,
            };
            let payload = json!({"key": place_key, says: said});
            return self.ask(scope, "workflow.step.report", key, payload);
        }
        let mut payload = json!({"run_id": run, "step": step, "value": value});
        if let Some(item) = place.item {
            payload["item"] = item.into();
        }
        self.ask(scope, "workflow.step.answer", key, payload)
    }

    fn request(&mut self, chance: &mut Chance, _: u64) -> Held {
        let house = self.any_house(chance);
        let key = format!("own{}", chance.below(4));
        let input = definition::payload(chance);
        let (name, payload) = match chance.below(7) {
            6 => ("job.worker", json!({"n": chance.below(2)})),
            0 => ("job.http", json!({"n": chance.below(2)})),
            1 => ("job.manual", json!({"n": chance.below(2)})),
            2 => ("job.unheard_of", json!({})),
            3 => (
                "workflow.run.start",
                json!({"workflow": definition::slug(chance.below(house.levels)), "input": input}),
            ),
            4 => ("signal.emit", json!({"name": WORDS[0], "payload": input})),
            _ => match chance.pick_any(&self.seen.facts) {
                Some((_, id)) => ("signal.replay", json!({"signal_id": id})),
                None => return Ok(()),
            },
        };
        let before =
            self.seen.directives.values().find(|one| one.tenant == house.tenant && one.idempotency_key == key).cloned();
        let asked = self.ask(&house.member.clone(), name, key, payload.clone());
        if let (Some(before), Ok(asked)) = (before, asked) {
            let is_same = before.name.as_str() == name && *before.payload.value() == payload;
            hold(asked.directive.id == before.id && is_same, || {
                format!("a key of {} was taken for another intent", before.id)
            })?;
        }
        Ok(())
    }

    pub fn any_directive(&self, chance: &mut Chance, only_manual: bool) -> Option<Directive> {
        let fits = |one: &&Directive| !only_manual || one.handler == HandlerKind::Manual;
        let all: Vec<&Directive> = self.seen.directives.values().filter(fits).collect();
        let open: Vec<&Directive> = all.iter().copied().filter(|one| !one.status.is_settled()).collect();
        let from = if open.is_empty() || chance.one_in(6) { all } else { open };
        chance.pick_any(&from).map(|one| (*one).clone())
    }

    fn report(&mut self, chance: &mut Chance, _: u64) -> Held {
        let Some(directive) = self.any_directive(chance, true) else { return Ok(()) };
        let house = self.any_house(chance);
        let own = self.houses.iter().find(|house| house.tenant == directive.tenant).cloned();
        let house = own.filter(|_| !chance.one_in(8)).unwrap_or(house);
        let said = match chance.below(5) {
            0 => {
                self.story.tell(|| format!("{} is still at {}", house.tenant, directive.id));
                self.engine(house.partition).directive_heartbeat(&house.member, directive.id)
            }
            1 => {
                self.story.tell(|| format!("{} reports that {} failed", house.tenant, directive.id));
                let broke = Failure::fatal("broken", "it broke");
                self.engine(house.partition).directive_report(&house.member, directive.id, Err(broke))
            }
            _ => {
                self.story.tell(|| format!("{} reports that {} went well", house.tenant, directive.id));
                let went_well = json!({"ok": true}).into();
                self.engine(house.partition).directive_report(&house.member, directive.id, Ok(went_well))
            }
        };
        hold(said.is_err() || house.tenant == directive.tenant, || {
            format!("{} took another tenant's word", directive.id)
        })
    }

    fn cancel_directive(&mut self, chance: &mut Chance, _: u64) -> Held {
        let Some(directive) = self.any_directive(chance, false) else { return Ok(()) };
        let house = self.any_house(chance);
        let own = self.houses.iter().find(|house| house.tenant == directive.tenant).cloned();
        let house = own.filter(|_| !chance.one_in(8)).unwrap_or(house);
        self.story.tell(|| format!("{} cancels {}", house.tenant, directive.id));
        let canceled = self.engine(house.partition).directive_cancel(&house.member, directive.id, "not wanted");
        hold(canceled.is_err() || house.tenant == directive.tenant, || {
            format!("{} was canceled by another tenant", directive.id)
        })
    }

    // What is registered

    fn register(&mut self, chance: &mut Chance, _: u64) -> Held {
        let house = self.any_house(chance);
        let level = chance.below(house.levels);
        if chance.one_in(2) {
            let version = chance.pick(&["2.0.0", "3.0.0"]);
            let known =
                self.store.workflow_version(house.tenant, &definition::slug(level).parse().expect("a slug"), version);
            return match known {
                Ok(None) => self.apply(&house, level, version, chance),
                _ => Ok(()),
            };
        }
        let to =
            chance.weighed(&[(3, WorkflowStatus::Active), (1, WorkflowStatus::Paused), (1, WorkflowStatus::Archived)]);
        let slug = definition::slug(level).parse().expect("a slug");
        self.story.tell(|| format!("{slug} of {} is to be {}", house.tenant, to.as_str()));
        // It may not fit what it is now.
        let _ = self.engine(house.partition).workflow_status_set(&house.owner, slug, to);
        Ok(())
    }
}

pub fn plain_signal(name: &str, payload: Value) -> NewSignal {
    NewSignal {
        name: name.parse().expect("a name"),
        subject: None,
        actor: None,
        source: None,
        source_event_id: None,
        dedupe_key: None,
        correlation_id: None,
        causation_id: None,
        occurred_at: None,
        payload: payload.into(),
    }
}

pub fn said(outcome: &Result<Json, Failure>) -> String {
    match outcome {
        Ok(output) => output.text().to_owned(),
        Err(failure) => failure.to_string(),
    }
}
