//! Workers of all tenants, where one process decides for several parts of them: each part has attempts of its own, and
//! such a worker has to do with all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fleetprompt_core::Json;
use fleetprompt_engine::workers::{AttemptId, Crowded, Kept, Refused, Worker};
use fleetprompt_engine::{AttemptReport, Engine, Error, HandOut};
use tokio::sync::watch;

use super::Api;

/// Those that hand out what the worker may take.
pub enum Engines {
    One(Engine),
    /// All of this process, which has more of them now and then, or less.
    All(watch::Receiver<Vec<Engine>>),
}

impl Engines {
    pub fn of(api: &Api, worker: &Worker) -> Self {
        match api.among() {
            Some(among) if worker.taker.tenant.is_none() => Self::All(among.engines.clone()),
            _ => Self::One(api.engine().clone()),
        }
    }

    pub async fn take(
        &self,
        worker: Arc<Worker>,
        limit: usize,
        holding: Vec<AttemptId>,
        wait: Duration,
    ) -> Result<HandOut, Crowded> {
        let mut watched = match self {
            Self::One(engine) => return engine.attempts_take(worker, limit, holding, wait).await,
            Self::All(watched) => watched.clone(),
        };
        let end = Instant::now() + wait;
        loop {
            let engines = watched.borrow_and_update().clone();
            let left = end.saturating_duration_since(Instant::now());
            tokio::select! {
                biased;
                handed = take_of(&engines, worker.clone(), limit, holding.clone(), left) => return handed,
                // Those that have come know it now, and those that have gone do not keep it.
                Ok(()) = watched.changed() => {}
            }
        }
    }

    pub fn heartbeat(&self, worker: &Worker, id: &AttemptId, progress: Option<Json>) -> Result<Kept, Refused> {
        self.at(id, |engine| engine.workers().heartbeat(worker, id, progress.clone()))
    }

    /// One answer each, in order.
    pub async fn report(&self, worker: &Worker, by: &Json, reports: Vec<AttemptReport>) -> Vec<Result<(), Error>> {
        let engines = self.now();
        if let [engine] = &*engines {
            return engine.attempts_report(worker, by, reports).await;
        }
        let mut answers = vec![Err(Error::from(Refused::Settled)); reports.len()];
        let mut left: Vec<(usize, AttemptReport)> = reports.into_iter().enumerate().collect();
        for engine in &engines {
            let (here, others) = left.into_iter().partition(|(_, report)| engine.workers().knows(&report.id));
            left = others;
            let (places, reports): (Vec<usize>, Vec<AttemptReport>) = Vec::into_iter(here).unzip();
            if reports.is_empty() {
                continue;
            }
            let reported = engine.attempts_report(worker, by, reports).await;
            places.into_iter().zip(reported).for_each(|(place, answer)| answers[place] = answer);
        }
        answers
    }

    fn at<T>(&self, id: &AttemptId, act: impl Fn(&Engine) -> Result<T, Refused>) -> Result<T, Refused> {
        let engines = self.now();
        let known = engines.iter().find(|engine| engine.workers().knows(id));
        known.or(engines.first()).map_or(Err(Refused::Settled), act)
    }

    fn now(&self) -> Vec<Engine> {
        match self {
            Self::One(engine) => vec![engine.clone()],
            Self::All(watched) => watched.borrow().clone(),
        }
    }
}

/// Each has attempts of its own.
async fn take_of(
    engines: &[Engine],
    worker: Arc<Worker>,
    limit: usize,
    holding: Vec<AttemptId>,
    wait: Duration,
) -> Result<HandOut, Crowded> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    // What one of them wants is not canceled.
    let (mut asked, mut canceled) = (Vec::with_capacity(engines.len()), holding.clone());
    let first = TURN.fetch_add(1, Ordering::Relaxed) % engines.len().max(1);
    for engine in engines.iter().cycle().skip(first).take(engines.len()) {
        let handed = engine.attempts_take(worker.clone(), limit, holding.clone(), Duration::ZERO).await?;
        let wanted: Vec<AttemptId> = holding.iter().filter(|id| !handed.canceled().contains(id)).copied().collect();
        canceled.retain(|id| !wanted.contains(id));
        if handed.has_attempts() {
            return Ok(handed.without_canceled());
        }
        asked.push((engine, wanted));
    }
    if asked.is_empty() {
        // Nobody here knows what it has, and whoever does not wait asks again at once.
        tokio::time::sleep(wait).await;
        return Ok(HandOut::default());
    }
    if !canceled.is_empty() || wait.is_zero() {
        return Ok(HandOut::of_canceled(canceled));
    }
    let waiting =
        asked.into_iter().map(|(engine, wanted)| Box::pin(engine.attempts_take(worker.clone(), limit, wanted, wait)));
    // What the others were about to hand out they give to somebody else.
    futures_util::future::select_all(waiting).await.0
}
