//! A worker: takes attempts, has them made by the functions that were given to it, keeps them while they
//! are made, and reports how they ended. `docs/workers.md` is the protocol.
//!
//! Three loops run side by side: one takes, one keeps, one reports, each with one request under way at most.
//! What has ended while a report is under way goes into the next one.

mod attempt;
mod reports;
pub mod testing;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fleetprompt_core::performs::Pattern;
use fleetprompt_core::{Json, Span};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

pub use attempt::{Attempt, Failed};
use reports::Reports;

use crate::wire::{self, AttemptOutcome, KeepAttempt, KeepAttempts, KeptAttempt, TakeAttempts, WorkerAbout};
use crate::{Client, Error};

/// Of what it logs.
const TARGET: &str = "fleetprompt::worker";
const WAIT: Duration = Duration::from_secs(30);
/// Of one request, as the server has it.
const TAKE_MAX: usize = 100;
const DELAY_FIRST: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);

type Making = Pin<Box<dyn Future<Output = Result<Json, Failed>> + Send>>;
type Handler = Arc<dyn Fn(Attempt) -> Making + Send + Sync>;

/// What a program performs, and how much of it at once.
pub struct Worker {
    client: Client,
    about: WorkerAbout,
    slots: usize,
    grace: Duration,
    handlers: Vec<(Pattern, Handler)>,
}

impl Worker {
    /// `name` tells it from other workers with the same key.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        let about = WorkerAbout { name: name.into(), ..WorkerAbout::default() };
        Self { client, about, slots: 10, grace: Duration::from_secs(30), handlers: Vec::new() }
    }

    /// Shown beside its name.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.about.version = Some(version.into());
        self
    }

    /// What it has that some work asks for.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.about.labels.insert(key.into(), value.into());
        self
    }

    /// How many attempts are made at once; 10 unless given.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// How long what has begun may take once the worker is to end; 30 seconds unless given.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Has a function or directive, or all that a pattern like `mail.*` names, performed by `handler`. Of
    /// several that fit, the first counts.
    ///
    /// # Panics
    /// When the name is none: that is a mistake in the program.
    pub fn performs<F, M>(mut self, name: &str, handler: F) -> Self
    where
        F: Fn(Attempt) -> M + Send + Sync + 'static,
        M: Future<Output = Result<Json, Failed>> + Send + 'static,
    {
        let pattern = name.parse().unwrap_or_else(|error| panic!("{error}"));
        self.handlers.push((pattern, Arc::new(move |attempt| Box::pin(handler(attempt)))));
        self
    }

    /// Works until `stop` comes; then takes no more, and ends when what it has is reported. An error is one
    /// that asking again does not mend, like a key that is not for this.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let (ended, outcomes) = mpsc::unbounded_channel();
        let at_work = Arc::new(AtWork::default());
        let reports = tokio::spawn(Reports { client: self.client.clone(), about: self.about.clone() }.run(outcomes));
        let keeping = tokio::spawn(keep(self.client.clone(), self.about.clone(), at_work.clone()));
        let mut making = JoinSet::new();
        tokio::pin!(stop);
        let taken = tokio::select! {
            refused = self.take(&at_work, &ended, &mut making) => Err(refused),
            () = &mut stop => Ok(()),
        };
        let all_made = async { while making.join_next().await.is_some() {} };
        // What does not end in time goes to somebody else, once its lease has ended.
        let _ = tokio::time::timeout(self.grace, all_made).await;
        making.abort_all();
        drop(ended);
        // A report that the server does not answer is not waited for for ever either.
        let _ = tokio::time::timeout(self.grace, reports).await;
        keeping.abort();
        taken
    }

    /// Takes whatever there is room for, until it is refused for good.
    async fn take(
        &self,
        at_work: &Arc<AtWork>,
        ended: &mpsc::UnboundedSender<AttemptOutcome>,
        making: &mut JoinSet<()>,
    ) -> Error {
        let performs: Vec<Pattern> = self.handlers.iter().map(|(pattern, _)| pattern.clone()).collect();
        let mut delay = DELAY_FIRST;
        loop {
            let room = at_work.room(self.slots).await;
            while making.try_join_next().is_some() {}
            let take = TakeAttempts {
                worker: WorkerAbout { slots: u32::try_from(self.slots).ok(), ..self.about.clone() },
                performs: performs.clone(),
                limit: u32::try_from(room.min(TAKE_MAX)).ok(),
                holding: at_work.ids(),
                wait: Some(Span::from_millis(WAIT.as_millis() as i64)),
            };
            match self.client.attempt_take(&take).await {
                Ok(taken) => {
                    at_work.call_off(&taken.canceled);
                    for attempt in taken.attempts {
                        self.begin(attempt, at_work, ended, making);
                    }
                    delay = DELAY_FIRST;
                    if taken.shutdown {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Err(error) if error.is_final() => return error,
                Err(error) => {
                    tracing::warn!(target: TARGET, %error, ?delay, "cannot take; it is asked again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(DELAY_MAX);
                }
            }
        }
    }

    fn begin(
        &self,
        taken: wire::Attempt,
        at_work: &Arc<AtWork>,
        ended: &mpsc::UnboundedSender<AttemptOutcome>,
        making: &mut JoinSet<()>,
    ) {
        let Some(handler) = self.handler(taken.name.as_str()) else { return };
        let (id, limit) = (taken.id.clone(), taken.timeout_ms.map(Duration::from_millis));
        let (canceled, is_canceled) = watch::channel(false);
        let attempt = Attempt::new(taken, is_canceled);
        at_work.begin(&attempt, canceled);
        let (at_work, ended) = (at_work.clone(), ended.clone());
        let making_it = made(attempt.clone(), handler(attempt), limit);
        making.spawn(async move {
            let outcome = making_it.await;
            at_work.end(&id);
            if let Some(outcome) = outcome {
                let _ = ended.send(outcome);
            }
        });
    }

    fn handler(&self, name: &str) -> Option<&Handler> {
        self.handlers.iter().find(|(pattern, _)| pattern.fits(name)).map(|(_, handler)| handler)
    }
}

/// What an attempt came to; nothing when it took too long, since then it has failed on the server already.
async fn made(attempt: Attempt, making: Making, limit: Option<Duration>) -> Option<AttemptOutcome> {
    let (id, name, run) = (&attempt.id, attempt.name.as_str(), attempt.run_id.map(|run| run.to_string()));
    let began = Instant::now();
    tracing::debug!(target: TARGET, id, name, run, attempt = attempt.attempt, "an attempt begins");
    // A task of its own, so that a panic is a failed attempt and no silence.
    let mut made = tokio::spawn(making);
    let result = match tokio::time::timeout(limit.unwrap_or(Duration::MAX), &mut made).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Failed::retry("panic", format!("the handler broke off: {panic}"))),
        Err(_) => {
            made.abort();
            tracing::warn!(target: TARGET, id, name, run, "an attempt took too long");
            return None;
        }
    };
    let outcome = attempt::outcome(id.clone(), result, attempt.logs().take());
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let error = outcome.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    tracing::info!(target: TARGET, id, name, run, ms, status = outcome.status.as_str(), error, "an attempt has ended");
    Some(outcome)
}

/// The attempts that are being made.
#[derive(Default)]
struct AtWork {
    attempts: Mutex<HashMap<String, Held>>,
    changed: Notify,
}

/// What of one of them is seen from outside.
struct Held {
    lease: Duration,
    progress: Arc<Mutex<Option<Json>>>,
    canceled: watch::Sender<bool>,
}

impl AtWork {
    /// How many more may begin, once there is room for any.
    async fn room(&self, slots: usize) -> usize {
        loop {
            let changed = self.changed.notified();
            let room = slots.saturating_sub(self.held().len());
            if room > 0 {
                return room;
            }
            changed.await;
        }
    }

    /// Of what is still wanted: to name what was called off would be to ask about it again and again.
    fn ids(&self) -> Vec<String> {
        let held = self.held();
        held.iter().filter(|(_, held)| !*held.canceled.borrow()).map(|(id, _)| id.clone()).collect()
    }

    fn begin(&self, attempt: &Attempt, canceled: watch::Sender<bool>) {
        let held = Held { lease: attempt.lease(), progress: attempt.said(), canceled };
        self.held().insert(attempt.id().to_owned(), held);
        self.changed.notify_waiters();
    }

    fn end(&self, id: &str) {
        self.held().remove(id);
        self.changed.notify_waiters();
    }

    fn call_off(&self, ids: &[String]) {
        let held = self.held();
        ids.iter().filter_map(|id| held.get(id)).for_each(|held| _ = held.canceled.send(true));
    }

    /// A third of the shortest lease: how soon all of them are to be kept.
    fn interval(&self) -> Option<Duration> {
        self.held().values().map(|held| held.lease / 3).min()
    }

    fn to_keep(&self) -> Vec<KeepAttempt> {
        let progress = |held: &Held| held.progress.lock().expect("nobody panics with it").take();
        self.held().iter().map(|(id, held)| KeepAttempt { id: id.clone(), progress: progress(held) }).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.attempts.lock().expect("nobody panics with it")
    }
}

/// Says that everything is being worked on, and learns what nobody wants any more.
async fn keep(client: Client, worker: WorkerAbout, at_work: Arc<AtWork>) {
    loop {
        let changed = at_work.changed.notified();
        let Some(interval) = at_work.interval() else {
            changed.await;
            continue;
        };
        tokio::time::sleep(interval).await;
        let attempts = at_work.to_keep();
        if attempts.is_empty() {
            continue;
        }
        // One that does not get through is made up for by the next.
        let Ok(kept) = client.attempt_heartbeat(&KeepAttempts { worker: worker.clone(), attempts }).await else {
            continue;
        };
        let unwanted = kept.results.into_iter().filter_map(|result| match result {
            KeptAttempt::Kept { id, cancel_requested, .. } => cancel_requested.then_some(id),
            KeptAttempt::Refused { id, .. } => Some(id),
        });
        at_work.call_off(&unwanted.collect::<Vec<_>>());
    }
}

#[cfg(test)]
mod tests;
