//! What the engines of one process share: models, bounds of what is performed at once and kept in memory, and
//! the metrics that all of them count in.

use std::sync::Arc;

use fleetprompt_store::Batch;

use crate::cache::SharedCache;
use crate::clock::WallClock;
use crate::compile;
use crate::compute::ComputeSlots;
use crate::memory::RequestMemory;
use crate::models::Models;
use crate::perform::{Endpoints, Slots};
use crate::workers::{INPUT_BYTES_MAX, InputBudget};
use crate::{Config, Directory, Metrics};

/// Whoever is told what was committed. It is told on the thread that decides, so it must not wait.
pub trait Observer: Send + Sync {
    fn committed(&self, batch: &Batch, directory: &Directory);
}

#[derive(Clone)]
pub struct Resources {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<WallClock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) models: Arc<Models>,
    /// None: nothing is performed here.
    pub(crate) slots: Option<Arc<Slots>>,
    pub(crate) endpoints: Endpoints,
    pub(crate) memory: Arc<RequestMemory>,
    pub(crate) cached: SharedCache,
    /// Inputs of attempts that wait for workers.
    pub(crate) inputs: Arc<InputBudget>,
    /// Which definitions are compiled at once.
    pub(crate) compile_slots: Arc<ComputeSlots>,
    /// Which long calls of functions run at once. How many wait is limited by the slots of effects.
    pub(crate) compute_slots: Arc<ComputeSlots>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Resources {
    pub fn new(config: Config) -> Self {
        let metrics = Arc::<Metrics>::default();
        let memory = Arc::new(RequestMemory::new(config.request_memory, metrics.clone()));
        Self {
            clock: WallClock::new(config.clock_ahead),
            models: Arc::new(Models::new(config.models.clone())),
            slots: config.performs.then(|| Arc::new(Slots::new(config.effects_max, metrics.clone()))),
            endpoints: Endpoints::new(config.allow_private_endpoints, memory.clone()),
            memory,
            inputs: Arc::new(InputBudget::new(INPUT_BYTES_MAX, metrics.clone())),
            metrics,
            cached: SharedCache::default(),
            compile_slots: Arc::new(ComputeSlots::new(compile::TENANT_MAX, compile::ALL_MAX)),
            compute_slots: Arc::new(ComputeSlots::new(usize::MAX, usize::MAX)),
            observer: None,
            config: Arc::new(config),
        }
    }

    pub fn clock(&self) -> &Arc<WallClock> {
        &self.clock
    }

    pub fn memory(&self) -> &Arc<RequestMemory> {
        &self.memory
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }
}
