//! Attempts on their way to a worker. Of those whose inputs were not kept in memory, the inputs are read again: on a
//! thread of their own, never on the one that decides. Until the worker has them, a request that ends gives them back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use fleetprompt_core::run::Effect;
use fleetprompt_core::{DirectiveId, Json, RunId, TenantId};
use fleetprompt_store::Error as StoreError;
use tokio::sync::oneshot;

use crate::cache::{OpenRun, Records};
use crate::compute::STACK_BYTES;
use crate::perform::offered;
use crate::workers::{Attempt, AttemptId, AttemptOf, Crowded, Handed, Worker};
use crate::{Directory, Engine, Error};

/// An attempt as a worker gets it.
#[derive(Debug)]
pub struct Delivered {
    pub id: AttemptId,
    pub attempt: Arc<Attempt>,
    pub input: Json,
    pub deliveries: u32,
    /// How soon there must be a word.
    pub lease: Duration,
}

/// What a worker gets when it asks for work.
#[derive(Debug, Default)]
pub struct TakenAttempts {
    pub attempts: Vec<Delivered>,
    /// Of those that it has: what nobody wants any more.
    pub canceled: Vec<AttemptId>,
}

/// Attempts that were handed out to a request. If this is dropped, they wait for a worker again.
#[derive(Default)]
pub struct HandOut {
    /// `None` if there are no attempts.
    engine: Option<Engine>,
    handed: Handed,
}

impl Engine {
    /// Hands out up to `limit` attempts as soon as there is one, and nothing if there is none within `wait`.
    pub async fn attempts_take(
        &self,
        worker: Arc<Worker>,
        limit: usize,
        holding: Vec<AttemptId>,
        wait: Duration,
    ) -> Result<HandOut, Crowded> {
        let handed = self.workers.take(worker, limit, holding, wait).await?;
        Ok(HandOut { engine: (!handed.attempts.is_empty()).then(|| self.clone()), handed })
    }
}

impl HandOut {
    /// No attempts, but what nobody wants any more.
    pub fn of_canceled(canceled: Vec<AttemptId>) -> Self {
        Self { engine: None, handed: Handed { attempts: Vec::new(), canceled } }
    }

    pub fn has_attempts(&self) -> bool {
        !self.handed.attempts.is_empty()
    }

    pub fn canceled(&self) -> &[AttemptId] {
        &self.handed.canceled
    }

    /// Leaves it to the next request to learn what is canceled.
    pub fn without_canceled(mut self) -> Self {
        self.handed.canceled.clear();
        self
    }

    /// Bytes of all inputs.
    pub fn input_bytes(&self) -> usize {
        self.handed.attempts.iter().map(|delivery| delivery.input.bytes()).sum()
    }

    /// Returns `false` if inputs must be read from the store.
    pub fn has_inputs(&self) -> bool {
        self.handed.attempts.iter().all(|delivery| delivery.input.is_kept())
    }

    /// Reads the inputs that are missing. `permit` is held until the store has been read, also when the caller leaves. An
    /// attempt that is not in flight any more is left out.
    pub async fn complete(mut self, permit: impl Send + 'static) -> Result<TakenAttempts, Error> {
        let mut inputs = HashMap::new();
        if let Some(engine) = self.engine.as_ref().filter(|_| !self.has_inputs()) {
            inputs = engine.inputs.read_on_thread(self.handed.missing(), permit).await?;
            engine.workers.begin_leases(&mut self.handed);
        }
        Ok(std::mem::take(&mut self.handed).with_inputs(inputs))
    }
}

impl Drop for HandOut {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.as_ref().filter(|_| self.has_attempts()) {
            engine.workers.take_back(std::mem::take(&mut self.handed));
        }
    }
}

impl Handed {
    pub fn missing(&self) -> Vec<Arc<Attempt>> {
        let missing = self.attempts.iter().filter(|delivery| !delivery.input.is_kept());
        missing.map(|delivery| delivery.attempt.clone()).collect()
    }

    /// Completes the attempts by inputs that were read.
    pub fn with_inputs(self, mut inputs: HashMap<AttemptOf, Json>) -> TakenAttempts {
        let attempts = self.attempts.into_iter().filter_map(|delivery| {
            let input = delivery.input.into_json().or_else(|| inputs.remove(&delivery.id.of))?;
            let (id, attempt, deliveries, lease) = (delivery.id, delivery.attempt, delivery.deliveries, delivery.lease);
            Some(Delivered { id, attempt, input, deliveries, lease })
        });
        TakenAttempts { attempts: attempts.collect(), canceled: self.canceled }
    }
}

/// Reads inputs of attempts, from any thread.
#[derive(Clone)]
pub(crate) struct InputReader {
    pub records: Records,
    pub directory: Arc<ArcSwap<Directory>>,
}

impl InputReader {
    async fn read_on_thread(
        &self,
        attempts: Vec<Arc<Attempt>>,
        permit: impl Send + 'static,
    ) -> Result<HashMap<AttemptOf, Json>, Error> {
        let (sender, receiver) = oneshot::channel();
        let reader = self.clone();
        let read = move || {
            let inputs = reader.read(&attempts);
            drop(permit);
            drop(sender.send(inputs));
        };
        let spawned = thread::Builder::new().name("inputs".into()).stack_size(STACK_BYTES).spawn(read);
        spawned.map_err(|error| Error::Unavailable(format!("the thread that reads inputs did not start: {error}")))?;
        let inputs = receiver.await.map_err(|_| Error::Unavailable("inputs of attempts could not be read".into()))?;
        inputs.map_err(|error| Error::from(&error))
    }

    /// Returns the inputs of those that are in flight. Reads from the store what is not in the cache of the engine, or is
    /// there as it was before an attempt began.
    pub fn read(&self, attempts: &[Arc<Attempt>]) -> Result<HashMap<AttemptOf, Json>, StoreError> {
        let (mut directives, mut runs) = (BTreeMap::new(), BTreeMap::<_, Vec<AttemptOf>>::new());
        for attempt in attempts {
            match attempt.of {
                AttemptOf::Directive { id, .. } => _ = directives.insert((attempt.tenant, id), attempt.of),
                AttemptOf::Step { run, .. } => runs.entry((attempt.tenant, run)).or_default().push(attempt.of),
            }
        }
        let mut inputs = HashMap::with_capacity(attempts.len());
        self.read_directives(directives, &mut inputs)?;
        self.read_runs(runs, &mut inputs)?;
        Ok(inputs)
    }

    fn read_directives(
        &self,
        mut of: BTreeMap<(TenantId, DirectiveId), AttemptOf>,
        inputs: &mut HashMap<AttemptOf, Json>,
    ) -> Result<(), StoreError> {
        of.retain(|(tenant, id), of| {
            let known = self.records.known_directive(*tenant, *id);
            inputs.extend(known.map(|directive| (*of, directive.payload.unparsed())));
            !inputs.contains_key(of)
        });
        let ids: Vec<_> = of.keys().copied().collect();
        let mut rest = &ids[..];
        while !rest.is_empty() {
            let read = self.records.store().directives_by_id(rest)?;
            let (these, others) = rest.split_at(read.len());
            for (id, directive) in these.iter().zip(read) {
                inputs.extend(directive.map(|directive| (of[id], directive.payload)));
            }
            rest = others;
        }
        Ok(())
    }

    fn read_runs(
        &self,
        mut of: BTreeMap<(TenantId, RunId), Vec<AttemptOf>>,
        inputs: &mut HashMap<AttemptOf, Json>,
    ) -> Result<(), StoreError> {
        of.retain(|(tenant, id), attempts| {
            if let Some(open) = self.records.known_run(*tenant, *id) {
                inputs.extend(attempts.iter().filter_map(|of| Some((*of, self.input_of(&open, *of)?))));
                attempts.retain(|of| !inputs.contains_key(of));
            }
            !attempts.is_empty()
        });
        let ids: Vec<_> = of.keys().copied().collect();
        let mut rest = &ids[..];
        while !rest.is_empty() {
            let read = self.records.store().runs_by_id(rest)?;
            let (these, others) = rest.split_at(read.len());
            for (id, triggered) in these.iter().zip(read) {
                let Some(open) = triggered.map(|triggered| self.records.open(triggered)).transpose()? else { continue };
                inputs.extend(of[id].iter().filter_map(|of| Some((*of, self.input_of(&open, *of)?))));
            }
            rest = others;
        }
        Ok(())
    }

    fn input_of(&self, open: &OpenRun, of: AttemptOf) -> Option<Json> {
        let AttemptOf::Step { place, attempt, begun, .. } = of else { return None };
        match offered::effect(&self.directory.load(), open, place, attempt, begun)? {
            Effect::Function { input, .. } => Some(input.unparsed()),
            _ => None,
        }
    }
}
