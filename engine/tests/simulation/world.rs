//! A small world over one store: some tenants, parted among engines that may each die, or lose their part, at any
//! moment, and hands that carry out what these ask for, well or badly, once or twice, in time or too late.
//!
//! An engine decides for one partition, on a node whose clock may be ahead or behind; another takes its place as
//! nodes do it (`partition.rs`). One that was taken for dead goes on, and does not know it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{DirectiveId, Name, Party, Scope, SignalId, Span, TenantId, Timestamp};
use fleetprompt_engine::{ByHand, Error, Task, verify};
use fleetprompt_store::memory::MemoryStore;
use serde_json::json;

use crate::chance::Chance;
use crate::check::fair::FairShares;
use crate::check::written::Written;
use crate::check::{self, Held, hold};
use crate::crowd::{Pending, SIGNALS_MAX};
use crate::database::{Database, ReadFaults};
use crate::definition::{self, LEVELS, UNSTORABLE};
use crate::ledger::Ledger;
use crate::partition::Partition;
use crate::seen::Seen;
use crate::story::Story;
use crate::work::Taken;
use crate::{large, panics, rest};

pub const BEGINNING: Timestamp = Timestamp(1_700_000_000_000_000);

pub struct World {
    pub seed: u64,
    pub database: Arc<Database>,
    pub store: Arc<MemoryStore>,
    pub partitions: Vec<Partition>,
    pub houses: Vec<House>,
    /// As a clock has it that is right.
    pub now: Timestamp,
    /// What the engines that live now have asked for, and have not heard of again.
    pub tasks: Vec<Task>,
    /// What ended, or was asked for by an engine that is gone: it may come back once more.
    pub gone: Vec<Task>,
    pub seen: Seen,
    pub told: Told,
    pub ledger: Ledger,
    pub written: Written,
    pub story: Story,
    /// Answers get lost, as when the engine dies before it gives them.
    pub is_deaf: bool,
    /// How many engines have begun.
    pub lives: u64,
    /// Inputs that wait to be decided.
    pub pending: Vec<Pending>,
    pub shares: FairShares,
    /// What workers believe to have, in the order in which they took it.
    pub taken: Vec<Taken>,
}

/// One tenant, and who speaks for it.
#[derive(Clone)]
pub struct House {
    pub tenant: TenantId,
    pub partition: usize,
    pub owner: Scope,
    pub member: Scope,
    pub levels: usize,
}

/// What was acknowledged.
#[derive(Default)]
pub struct Told {
    pub signals: BTreeMap<SignalId, (TenantId, String)>,
    pub dedupe_keys: BTreeMap<(TenantId, Name, String), SignalId>,
    /// Under which name and idempotency key each was asked for.
    pub directives: BTreeMap<DirectiveId, (TenantId, Name, String)>,
}

/// How a world went.
pub struct Outcome {
    pub broken: Option<String>,
    pub story: Vec<String>,
    pub digest: String,
    pub runs: usize,
    pub signals: usize,
}

/// Lets a world go through these steps of its schedule, and then come to rest.
pub fn go(seed: u64, schedule: &[u64], told: bool) -> Outcome {
    panics::listen(|| {
        let mut world = World::empty(seed, told);
        let broken = world.live(schedule).and_then(|()| panics::none()).err();
        let (digest, runs, signals) = (world.seen.digest(), world.seen.runs.len(), world.seen.signals);
        Outcome { broken, story: world.story.into_lines(), digest, runs, signals }
    })
}

impl World {
    fn empty(seed: u64, told: bool) -> Self {
        let partitions = Chance::of(seed, 0).weighed(&[(2, 1), (3, 2), (2, 3)]);
        let database = Arc::new(Database::of(partitions));
        let mut world = Self {
            seed,
            store: database.store.clone(),
            database,
            partitions: Vec::new(),
            houses: Vec::new(),
            now: BEGINNING,
            tasks: Vec::new(),
            gone: Vec::new(),
            seen: Seen::default(),
            told: Told::default(),
            ledger: Ledger::default(),
            written: Written::default(),
            story: Story::new(told),
            is_deaf: false,
            lives: 0,
            pending: Vec::new(),
            shares: FairShares::new(SIGNALS_MAX),
            taken: Vec::new(),
        };
        if world.has_unstorable() {
            world.store.refuse_values_with(UNSTORABLE);
        }
        for number in 0..partitions {
            let first = world.next_engine(number, Span::default()).expect("a store in memory can be read");
            world.partitions.push(first);
        }
        world
    }

    fn live(&mut self, schedule: &[u64]) -> Held {
        self.settle_down()?;
        self.look()?;
        for &step in schedule {
            self.step(step)?;
            panics::none()?;
        }
        rest::come_to_rest(self)
    }

    /// Tenants, and what they register.
    fn settle_down(&mut self) -> Held {
        let mut chance = Chance::of(self.seed, 0);
        let count = chance.weighed(&[(3, 1), (2, 2), (1, 3)]).max(self.partitions.len());
        for number in 0..count {
            let house = self.house(number, &mut chance).map_err(|error| format!("registering: {error}"))?;
            for level in (0..house.levels).rev() {
                self.apply(&house, level, "1.0.0", &mut chance)?;
            }
            self.houses.push(house);
        }
        if large::is_large(self.seed) { large::grow(self, &mut chance) } else { Ok(()) }
    }

    fn house(&mut self, number: usize, chance: &mut Chance) -> Result<House, Error> {
        let partition = number % self.partitions.len();
        let engine = &mut self.partitions[partition].engine;
        let slug = format!("house{number}").parse().expect("a slug");
        let (tenant, key) = engine.tenant_create(slug, Role::Member)?;
        let owner = Scope { tenant: tenant.id, actor: Party::new("operator", "test") };
        let member = Scope { tenant: tenant.id, actor: Party::new("key", key.key.id) };
        let agent = json!({"agent": {
            "slug": "helper", "name": "Helper", "model": {"provider": "scripted"}, "instructions": "Help.",
            "script": [{"output": {"ok": true}}]
        }});
        engine.agent_apply(&owner, &agent.to_string(), Format::Json)?;
        let function = json!({"function": {"name": "work.count", "handler": {"type": "worker"},
            "retry": {"max_attempts": 2, "initial": "1s"}}});
        engine.function_apply(&owner, function.into())?;
        for name in ["job.http", "job.manual", "job.worker", "undo.http", "undo.manual"] {
            let handler = match name.split_once('.').map_or(name, |(_, handler)| handler) {
                "http" => {
                    json!({"type": "http", "url": "https://example.com/", "secret": format!("whsec_{}", "A".repeat(32))})
                }
                handler => json!({"type": handler}),
            };
            let retry = json!({"max_attempts": 2, "initial": "1s", "factor": 2.0, "max": "4s", "jitter": true});
            let of_type = json!({"directive_type": {"name": name, "handler": handler, "retry": retry}});
            engine.directive_type_apply(&owner, of_type.into())?;
        }
        Ok(House { tenant: tenant.id, partition, owner, member, levels: chance.between(1, LEVELS) })
    }

    /// A new definition: the first that the reader takes.
    pub fn apply(&mut self, house: &House, level: usize, version: &str, chance: &mut Chance) -> Held {
        const TRIES: usize = 30;
        let mut last = String::new();
        for _ in 0..TRIES {
            let document = definition::workflow(chance, level, house.levels, version);
            match self.engine(house.partition).workflow_apply(&house.owner, &document.to_string(), Format::Json) {
                Ok(_) => {
                    self.story.tell(|| format!("      {} of {} is {document}", definition::slug(level), house.tenant));
                    return Ok(());
                }
                Err(Error::Refused(refusal)) => {
                    let problems = refusal.diagnostics.iter().map(|problem| problem.message.clone());
                    last = format!("{}: {}", refusal.message, problems.collect::<Vec<_>>().join("; "));
                }
                // Only for now.
                Err(_) => return Ok(()),
            }
        }
        Err(format!("no definition of {TRIES} was valid; the last: {last}"))
    }

    /// What has become of the last input, held against everything that must be so.
    pub fn look(&mut self) -> Held {
        let tenants: Vec<TenantId> = self.houses.iter().map(|house| house.tenant).collect();
        let fresh = self.seen.look(&self.store, &tenants)?;
        self.seen.read_workflows(&self.store)?;
        fresh.iter().for_each(|signal| self.story.signal(signal));
        self.ledger.recorded(&self.seen, &fresh)?;
        self.written.check(self.database.take_journal(), &self.houses, fresh.len())?;
        for number in 0..self.partitions.len() {
            self.count_decided(number)?;
            self.take_begun(number)?;
        }
        check::all(self, &fresh)
    }

    fn take_begun(&mut self, number: usize) -> Held {
        for task in self.engine(number).take_tasks() {
            self.story.tell(|| format!("      asks for attempt {} under {}", task.attempt, task.key));
            let house = self.house_of(task.tenant);
            hold(house.partition == number, || format!("{} is begun by an engine that has not got it", task.key))?;
            self.ledger.begun(&self.seen, &task, self.partitions[number].view.epoch)?;
            self.tasks.push(task);
        }
        Ok(())
    }

    /// In some worlds there are values that the database cannot hold.
    fn has_unstorable(&self) -> bool {
        Chance::of(self.seed, u64::MAX - 1).one_in(4)
    }

    // Who is where

    pub fn house_of(&self, tenant: TenantId) -> &House {
        self.houses.iter().find(|house| house.tenant == tenant).expect("each record has a tenant")
    }

    /// That of whoever decides for a tenant.
    pub fn partition(&self, tenant: TenantId) -> &Partition {
        &self.partitions[self.house_of(tenant).partition]
    }

    pub fn engine(&mut self, partition: usize) -> &mut ByHand {
        &mut self.partitions[partition].engine
    }

    /// Requests find their way, whichever node they come to.
    pub fn engine_of(&mut self, tenant: TenantId) -> &mut ByHand {
        let partition = self.house_of(tenant).partition;
        self.engine(partition)
    }

    // Time

    pub fn set_time(&mut self, now: Timestamp) {
        self.story.tell(|| format!("it is {now}"));
        self.now = now;
        self.partitions.iter_mut().for_each(|partition| partition.set_time(now));
    }

    pub fn pass(&mut self, span: Span) {
        self.set_time(self.now + span);
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.partitions.iter().filter_map(Partition::next_due).min()
    }

    /// The rows say what the log says, and engines remember it.
    pub fn verified(&self) -> Held {
        let report = verify(self.store.as_ref()).map_err(|error| error.to_string())?;
        hold(report.problems.is_empty(), || format!("verify: {}", report.problems.join("; ")))?;
        let refused = self.database.refused();
        hold(refused.is_none() || self.has_unstorable(), || {
            format!("a commit breaks what the store demands: {}", refused.unwrap_or_default())
        })?;
        self.remembered()
    }

    /// Memory says what the store says, of the own tenants and no others.
    pub fn remembered(&self) -> Held {
        for (number, partition) in self.partitions.iter().enumerate() {
            let directory = partition.engine.directory();
            let is_right = |house: &House| directory.tenant(house.tenant).is_some() == (house.partition == number);
            hold(self.houses.iter().all(is_right), || format!("partition {number} has not got the tenants it should"))?;
            if partition.is_behind() {
                continue;
            }
            let faults = self.database.set_read_faults(ReadFaults::default());
            let difference = partition.engine.memory_differs();
            self.database.set_read_faults(faults);
            let difference = difference.map_err(|error| error.to_string())?;
            hold(difference.is_none(), || {
                format!("memory differs from the store: {}", difference.unwrap_or_default())
            })?;
        }
        Ok(())
    }
}
