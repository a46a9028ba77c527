//! A small world over one store: some tenants, an engine that may die at any moment, and hands that
//! carry out what it asks for, well or badly, once or twice, in time or too late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fleetprompt_core::document::Format;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Party, Scope, SignalId, Span, TenantId, Timestamp};
use fleetprompt_engine::{ByHand, Error, Task, verify};
use fleetprompt_store::memory::MemoryStore;
use serde_json::json;

use crate::chance::Chance;
use crate::check::{self, Held, hold};
use crate::definition::{self, LEVELS};
use crate::fenced::Fenced;
use crate::ledger::Ledger;
use crate::seen::Seen;
use crate::story::Story;
use crate::{panics, rest};

const BEGINNING: Timestamp = Timestamp(1_700_000_000_000_000);

pub struct World {
    pub seed: u64,
    pub store: Arc<MemoryStore>,
    epoch: Arc<AtomicU64>,
    pub engine: ByHand,
    /// One that was taken for dead, and does not know it yet.
    pub before: Option<ByHand>,
    pub houses: Vec<House>,
    /// What the engine that lives now has asked for, and has not heard of again.
    pub tasks: Vec<Task>,
    /// What ended, or was asked for by an engine that is gone: it may come back once more.
    pub gone: Vec<Task>,
    pub seen: Seen,
    pub told: Told,
    pub ledger: Ledger,
    pub story: Story,
    /// The last commit failed: what it held is decided again with the next input.
    pub is_behind: bool,
    /// Answers get lost, as when the engine dies before it gives them.
    pub is_deaf: bool,
    /// How many engines died.
    pub lives: u64,
}

/// One tenant, and who speaks for it.
#[derive(Clone)]
pub struct House {
    pub tenant: TenantId,
    pub owner: Scope,
    pub member: Scope,
    pub levels: usize,
}

/// What was acknowledged.
#[derive(Default)]
pub struct Told {
    pub signals: BTreeMap<SignalId, (TenantId, String)>,
    pub dedupe_keys: BTreeMap<(TenantId, String), SignalId>,
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
        let store = Arc::new(MemoryStore::default());
        let epoch = Arc::default();
        let fenced = Arc::new(Fenced::take(store.clone(), &epoch));
        let engine = ByHand::start(fenced, BEGINNING, seed).expect("a store in memory can be read");
        Self {
            seed,
            store,
            epoch,
            engine,
            before: None,
            houses: Vec::new(),
            tasks: Vec::new(),
            gone: Vec::new(),
            seen: Seen::default(),
            told: Told::default(),
            ledger: Ledger::default(),
            story: Story::new(told),
            is_behind: false,
            is_deaf: false,
            lives: 0,
        }
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
        for number in 0..chance.weighed(&[(3, 1), (2, 2), (1, 3)]) {
            let house = self.house(number, &mut chance).map_err(|error| format!("registering: {error}"))?;
            for level in (0..house.levels).rev() {
                self.apply(&house, level, "1.0.0", &mut chance)?;
            }
            self.houses.push(house);
        }
        Ok(())
    }

    fn house(&mut self, number: usize, chance: &mut Chance) -> Result<House, Error> {
        let slug = format!("house{number}").parse().expect("a slug");
        let (tenant, key) = self.engine.tenant_create(slug, Role::Member)?;
        let owner = Scope { tenant: tenant.id, actor: Party::new("operator", "test") };
        let member = Scope { tenant: tenant.id, actor: Party::new("key", key.key.id) };
        let agent = json!({"agent": {
            "slug": "helper", "name": "Helper", "model": {"provider": "scripted"}, "instructions": "Help.",
            "script": [{"output": {"ok": true}}]
        }});
        self.engine.agent_apply(&owner, &agent.to_string(), Format::Json)?;
        let function = json!({"function": {"name": "work.count", "handler": {"type": "worker"},
            "retry": {"max_attempts": 2, "initial": "1s"}}});
        self.engine.function_apply(&owner, function.into())?;
        for name in ["job.http", "job.manual", "undo.http", "undo.manual"] {
            let handler = match name.ends_with("http") {
                true => {
                    json!({"type": "http", "url": "https://example.com/", "secret": format!("whsec_{}", "A".repeat(32))})
                }
                false => json!({"type": "manual"}),
            };
            let retry = json!({"max_attempts": 2, "initial": "1s", "factor": 2.0, "max": "4s", "jitter": true});
            let of_type = json!({"directive_type": {"name": name, "handler": handler, "retry": retry}});
            self.engine.directive_type_apply(&owner, of_type.into())?;
        }
        Ok(House { tenant: tenant.id, owner, member, levels: chance.between(1, LEVELS) })
    }

    /// A new definition: the first that the reader takes.
    pub fn apply(&mut self, house: &House, level: usize, version: &str, chance: &mut Chance) -> Held {
        const TRIES: usize = 30;
        let mut last = String::new();
        for _ in 0..TRIES {
            let document = definition::workflow(chance, level, house.levels, version);
            match self.engine.workflow_apply(&house.owner, &document.to_string(), Format::Json) {
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
        for task in self.engine.take_tasks() {
            self.story.tell(|| format!("      asks for attempt {} under {}", task.attempt, task.key));
            self.ledger.begun(&self.seen, &self.tasks, &task)?;
            self.tasks.push(task);
        }
        check::all(self, &fresh)
    }

    // Time

    pub fn set_time(&mut self, now: Timestamp) {
        self.story.tell(|| format!("it is {now}"));
        self.engine.set_time(now);
    }

    pub fn pass(&mut self, span: Span) {
        self.set_time(self.engine.now() + span);
    }

    // The end of an engine, and the next one

    /// Everything that was not committed is gone.
    pub fn crash(&mut self, clock: Timestamp) -> Held {
        self.story.tell(|| format!("the engine dies, and another begins at {clock}"));
        self.store.fail_next_commits(0);
        self.lives += 1;
        let seed = self.seed ^ (self.lives << 32);
        let fenced = Arc::new(Fenced::take(self.store.clone(), &self.epoch));
        let next = ByHand::start(fenced, clock, seed).map_err(|error| error.to_string())?;
        self.before = Some(std::mem::replace(&mut self.engine, next));
        self.gone.append(&mut self.tasks);
        let too_many = self.gone.len().saturating_sub(40);
        self.gone.drain(..too_many);
        self.is_behind = false;
        // What was due while nobody was there.
        self.engine.set_time(clock);
        self.verified()
    }

    /// Memory says what the store says, and the rows say what the log says.
    pub fn verified(&self) -> Held {
        let report = verify(self.store.as_ref()).map_err(|error| error.to_string())?;
        hold(report.problems.is_empty(), || format!("verify: {}", report.problems.join("; ")))?;
        if self.is_behind {
            return Ok(());
        }
        let difference = self.engine.memory_differs().map_err(|error| error.to_string())?;
        hold(difference.is_none(), || format!("memory differs from the store: {}", difference.unwrap_or_default()))
    }
}
