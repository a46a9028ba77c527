//! The loop that everything passes through: take what waits, decide it, commit it once, and only
//! then answer and act. A crash before the commit is as if nothing had come; a crash after it loses
//! answers and effects under way, and both are asked for again.

mod clock_lag;
mod commit;
mod refusals;
mod refusing;
mod restart;
mod slots;
mod unsent;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, select, unbounded};
use fleetprompt_core::directive::Directive;
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::tenant::Weight;
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{Meter, Moment, TenantId, Timestamp};
use fleetprompt_store::{Error as StoreError, Store};
use tokio::sync::watch;

use self::clock_lag::ClockLag;
use self::refusals::RefusalLog;
use self::refusing::Refusing;
use crate::cache::{Cache, SharedCache};
use crate::cascade::{Cascade, KnownKeys, SIGNALS_MAX, SIGNALS_MAX_SHARED, ScheduleRow, Stage};
use crate::clock::{Clock, MonotonicClock, SystemClock};
use crate::compute::STACK_BYTES;
use crate::descent::{DescentLimits, DescentTracker};
use crate::engine::SIGNALS_TOGETHER;
use crate::hand_out::InputReader;
use crate::input::{Input, Outcome, Registration};
use crate::metrics::{Ended, Part, StartRefused};
use crate::modules::{DECISION_FUEL_MAX, Modules};
use crate::perform::{Perform, Performer, Ready, When};
use crate::queue::{Backlog, Charge, Exit, Pace, Taken, Ticket, Whose, Work, queue};
use crate::standing::Standing;
use crate::stop::Shutdown;
use crate::timers::{Owner, Timers};
use crate::workers::{Refused, Workers};
use crate::{Decided, Directory, Engine, Error, Metrics, Observer, Resources, registrations};

use self::commit::EXTRA_COMMITS_MAX;
pub(crate) use self::commit::Open;
pub(crate) use self::unsent::UnsentAttempts;

/// How long an outcome waits before it is decided again, when the store did not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The same, when deciding it broke off: that is a mistake of ours, which nothing but another version, or
/// what else happens to its run, will mend.
const BROKEN_OFF_AFTER: Duration = Duration::from_secs(60);

pub(crate) fn start(
    store: Arc<dyn Store>,
    resources: &Resources,
    runtime: tokio::runtime::Handle,
) -> Result<Engine, Error> {
    let config = &resources.config;
    let directory = Arc::new(ArcSwap::from_pointee(registrations::load(store.as_ref())?));
    let (queue, inputs) = queue(config.queue_max);
    let (outcomes_in, outcomes) = unbounded();
    let (ready_in, ready) = unbounded();
    let (committed, commits) = watch::channel(0);
    let metrics = resources.metrics.clone();
    let workers =
        Workers::new(config.lease, outcomes_in.clone(), resources.inputs.clone(), &metrics, MonotonicClock::System);
    let workers = Arc::new(workers);
    let (shutdown, stopped) = Shutdown::new(config.grace);
    let shutdown = Arc::new(shutdown);

    let modules = Arc::new(Modules::new(store.clone(), DECISION_FUEL_MAX));
    let performer = Performer::new(
        runtime.clone(),
        (outcomes_in, ready_in),
        resources,
        directory.clone(),
        workers.clone(),
        modules.clone(),
    );
    let performing = performer.performing().clone();
    let decider = Decider::new(
        Door { inputs, outcomes, ready, stopped },
        store.clone(),
        directory.clone(),
        Box::new(performer),
        Box::new(SystemClock::new(resources.clock.clone())),
        Shared {
            committed,
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            observer: resources.observer.clone(),
            monotonic: MonotonicClock::System,
        },
        Limits {
            batch_max: config.batch_max,
            decision_units: config.decision_units,
            modules: modules.clone(),
            cached: resources.cached.clone(),
            descent: config.descent,
        },
        seed(),
    )?;
    let models = resources.models.clone();
    let inputs = InputReader { records: decider.cache.records().clone(), directory: directory.clone() };
    let compile_slots = resources.compile_slots.clone();
    let (handing_on, ending, held) = (workers.clone(), shutdown.clone(), performing.clone());
    runtime.spawn(async move {
        tokio::select! {
            () = handing_on.run() => {}
            () = ending.until_ended() => {}
        }
        // However it ended: what has not begun by now, the next engine begins.
        held.hold(Duration::ZERO).await;
    });
    let spawned = std::thread::Builder::new()
        .name("engine".into())
        .stack_size(STACK_BYTES)
        .spawn(move || decider.run_to_the_end());
    spawned.map_err(|error| Error::Unavailable(format!("the engine's thread did not start: {error}")))?;
    let memory = resources.memory.clone();
    Ok(Engine {
        queue,
        store,
        directory,
        commits,
        metrics,
        memory,
        models,
        modules,
        compile_slots,
        workers,
        inputs,
        performing,
        shutdown,
    })
}

/// Where everything comes in.
pub(crate) struct Door {
    pub inputs: Exit,
    pub outcomes: Receiver<Outcome>,
    /// Effects that waited for a slot.
    pub ready: Receiver<Ready>,
    pub stopped: Receiver<Duration>,
}

/// What others look at from outside.
pub(crate) struct Shared {
    pub committed: watch::Sender<u64>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Arc<Shutdown>,
    pub observer: Option<Arc<dyn Observer>>,
    pub monotonic: MonotonicClock,
}

pub(crate) struct Limits {
    pub batch_max: usize,
    pub decision_units: u64,
    pub modules: Arc<Modules>,
    pub cached: SharedCache,
    pub descent: DescentLimits,
}

/// How much of a batch was decided, in units of the queue, and what it led to.
#[derive(Default)]
struct Tally {
    cost: usize,
    charges: Vec<Charge>,
}

pub(crate) struct Decider {
    inputs: Exit,
    outcomes: Receiver<Outcome>,
    ready: Receiver<Ready>,
    stopped: Receiver<Duration>,
    pub store: Arc<dyn Store>,
    pub cache: Cache,
    pub directory: Arc<ArcSwap<Directory>>,
    pub moment: Moment,
    clock: Box<dyn Clock>,
    clock_changes: Receiver<()>,
    clock_lag: ClockLag,
    monotonic: MonotonicClock,
    standing: Standing,
    descents: DescentTracker,
    refusals: RefusalLog,
    timers: Timers,
    /// Outcomes that could not be decided, and when they are to be tried again.
    again: Vec<(Instant, Outcome)>,
    /// Effects whose turn has come and that could not be read, and when they are to be tried again.
    ready_again: Vec<(Instant, Ready)>,
    unsent: UnsentAttempts,
    performer: Box<dyn Perform>,
    committed: watch::Sender<u64>,
    metrics: Arc<Metrics>,
    queued: Part,
    timed: Part,
    shutdown: Arc<Shutdown>,
    observer: Option<Arc<dyn Observer>>,
    grace: Duration,
    pace: Pace,
    /// Signals of one cascade in this batch, before it is continued in a later one.
    signals_max: usize,
    decision_units: u64,
    /// What the input that is decided now has used of it, with all that follows.
    used: u64,
    /// `None` while the store accepts commits.
    refusing: Option<Refusing>,
    /// The store takes nothing from us any more.
    is_lost: bool,
    /// Commits that the current batch may still make to isolate inputs which cannot be written.
    extra_commits: usize,
}

impl Decider {
    #[allow(clippy::too_many_arguments, reason = "it is made in two places, and each of these is a thing of its own")]
    pub fn new(
        door: Door,
        store: Arc<dyn Store>,
        directory: Arc<ArcSwap<Directory>>,
        performer: Box<dyn Perform>,
        clock: Box<dyn Clock>,
        shared: Shared,
        limits: Limits,
        seed: u64,
    ) -> Result<Self, Error> {
        let mut moment = Moment::new(seed);
        if let Some(last) = store.last_signal_id()? {
            moment.resume_after(last.0);
        }
        let now = clock.now().max(moment.now());
        let mut decider = Self {
            inputs: door.inputs,
            outcomes: door.outcomes,
            ready: door.ready,
            stopped: door.stopped,
            cache: Cache::new(store.clone(), limits.modules, limits.cached),
            store,
            directory,
            moment,
            clock_changes: clock.changes(),
            clock_lag: ClockLag::default(),
            clock,
            monotonic: shared.monotonic,
            standing: Standing::default(),
            descents: DescentTracker::new(limits.descent, now),
            refusals: RefusalLog::default(),
            timers: Timers::default(),
            again: Vec::new(),
            ready_again: Vec::new(),
            unsent: UnsentAttempts::default(),
            performer,
            committed: shared.committed,
            queued: Part::of(&shared.metrics.queue),
            timed: Part::of(&shared.metrics.timers),
            metrics: shared.metrics,
            grace: shared.shutdown.grace(),
            shutdown: shared.shutdown,
            observer: shared.observer,
            pace: Pace::new(limits.batch_max),
            signals_max: SIGNALS_MAX,
            decision_units: limits.decision_units,
            used: 0,
            refusing: None,
            is_lost: false,
            extra_commits: 0,
        };
        decider.resume()?;
        Ok(decider)
    }

    /// Whoever waits for the end, or asks whether we are ready, hears of it however it comes.
    fn run_to_the_end(self) {
        let shutdown = self.shutdown.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
        shutdown.ended();
        if ended.is_err() {
            tracing::error!(target: "engine", "the engine broke off: it is a mistake in FleetPrompt; start it again");
        }
    }

    fn run(mut self) {
        while let Some((works, within)) = self.wait() {
            self.decide_batch(works, within);
            if self.is_lost {
                tracing::error!(target: "engine", "the engine ends: what it decides would never be written");
                return;
            }
        }
        self.drain();
        self.store.close();
    }

    /// Everything that waits, up to a batch, and how long deciding it may take; `None` when it is time to stop.
    fn wait(&mut self) -> Option<(Taken, Option<Duration>)> {
        let mut outcomes = Vec::new();
        let timeout = if self.inputs.len() > 0 { Duration::ZERO } else { self.until_next() };
        select! {
            recv(self.inputs.bell) -> rung => rung.ok()?,
            recv(self.outcomes) -> outcome => outcomes.extend(outcome),
            recv(self.ready) -> ready => self.begin_ready(ready.ok()),
            recv(self.stopped) -> grace => {
                self.grace = grace.unwrap_or(self.grace);
                return None;
            }
            // What is due is looked for by the new time.
            recv(self.clock_changes) -> _ => {}
            default(timeout) => {}
        }
        self.probe_if_due();
        Some(self.take_batch(outcomes))
    }

    /// The next batch, by turns. What has come back and what is due waits with everything else.
    fn take_batch(&mut self, mut outcomes: Vec<Outcome>) -> (Taken, Option<Duration>) {
        if !self.ready_again.is_empty() || !self.ready.is_empty() {
            self.begin_ready(None);
        }
        outcomes.extend(self.outcomes.try_iter());
        outcomes.extend(self.take_due());
        outcomes.into_iter().for_each(|outcome| self.enqueue(outcome));
        let sharers = self.inputs.sharers();
        let within = sharers.map_or(Pace::ALONE, Pace::within);
        (self.inputs.take(self.pace.next(sharers)), Some(within))
    }

    fn decide_batch(&mut self, works: Taken, within: Option<Duration>) -> Tally {
        let begun = self.monotonic.now();
        let tally = self.tick(works, within);
        self.pace.took(tally.cost, self.monotonic.now() - begun);
        tally
    }

    /// Everything that the engine continues by itself waits in the queue of its tenant, like the tenant's inputs.
    pub(super) fn enqueue(&self, outcome: Outcome) {
        let tenant = outcome.tenant();
        self.inputs.put(tenant, self.weight_of(tenant), outcome);
    }

    fn weight_of(&self, tenant: TenantId) -> Weight {
        let directory = self.directory.load();
        directory.tenant(tenant).map(|known| known.tenant.weight).unwrap_or_default()
    }

    fn until_next(&self) -> Duration {
        let timer = self.timers.next().map(|due| (due - self.now()).to_std().min(self.clock.sleep_max()));
        let again = self.again.iter().map(|(at, _)| at).chain(self.ready_again.iter().map(|(at, _)| at));
        let again = again.copied().chain(self.refusing.iter().map(|refusing| refusing.probe_at));
        let again = again.map(|at| at.saturating_duration_since(self.monotonic.now())).min();
        // Without anything due an idle engine sleeps; the hour only bounds the arithmetic.
        timer.into_iter().chain(again).min().unwrap_or(Duration::from_secs(3_600))
    }

    /// What decisions will see as now, which never goes back behind what was decided already.
    fn now(&self) -> Timestamp {
        self.clock.now().max(self.moment.now() + self.clock.passed())
    }

    fn pass_time(&mut self) {
        let clock = self.clock.now();
        self.moment.advance(clock.max(self.moment.now() + self.clock.passed()));
        self.clock.taken();
        self.clock_lag.note(self.moment.now() - clock, self.monotonic.now());
    }

    fn take_due(&mut self) -> Vec<Outcome> {
        self.pass_time();
        let due = self.timers.take_due(self.moment.now()).into_iter().map(|owner| match owner {
            Owner::Run(tenant, id) => Outcome::RunDue { tenant, id },
            Owner::Directive(tenant, id) => Outcome::DirectiveDue { tenant, id },
            Owner::Schedule(tenant, slug) => Outcome::ScheduleDue { tenant, slug },
        });
        let now = self.monotonic.now();
        let again = self.again.extract_if(.., |(at, _)| *at <= now).map(|(_, outcome)| outcome);
        due.chain(again).collect()
    }

    /// Decides one batch of an engine that has no thread of its own, as `run` would. Returns how much of which tenant
    /// was decided, in this order, without control inputs, and what was charged for it; `None` when nothing is ready.
    pub fn decide_next(&mut self) -> Option<Decided> {
        if self.is_lost {
            return None;
        }
        let (works, within) = self.take_batch(Vec::new());
        if works.is_empty() && self.ready.is_empty() {
            return None;
        }
        let taken: Vec<_> = works.iter().map(|(work, at)| (work.whose(), work.cost(), at.is_control)).collect();
        let Tally { cost, charges } = self.decide_batch(works, within);
        // Nothing could be decided: all of it was refused, or is tried again.
        let cost = if cost == 0 { usize::MAX } else { cost };
        if self.is_lost {
            // `run` would end here, and its callers would be told.
            self.inputs.refuse_all();
        }
        let mut sum = 0;
        let is_decided = |(_, of_one, _): &(Whose, usize, bool)| {
            let is_decided = sum < cost;
            sum += of_one;
            is_decided
        };
        let decided = taken.into_iter().take_while(is_decided).filter(|(.., is_control)| !is_control);
        let units = decided.map(|(whose, cost, _)| (whose, cost)).collect();
        Some(Decided { units, charged: charges.iter().map(Charge::units).collect() })
    }

    /// Decides these in one batch of their own, whatever waits.
    pub fn decide_together(&mut self, inputs: Vec<Input>) {
        let works = inputs.into_iter().map(|input| Work::Input(Box::new(input)));
        self.tick(works.map(untaken).collect(), None);
    }

    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether nothing waits to be decided, now or later, but what is due later.
    pub fn is_at_rest(&self) -> bool {
        let is_due = self.timers.next().is_some_and(|due| due <= self.now());
        let waits_to_try_again = !self.again.is_empty() || !self.ready_again.is_empty();
        let is_ready = self.inputs.len() > 0 || !self.outcomes.is_empty() || !self.ready.is_empty();
        !is_ready && !is_due && !waits_to_try_again
    }

    /// How long it is until something is tried again.
    pub fn until_again(&self) -> Option<Duration> {
        let again = self.again.iter().map(|(at, _)| at).chain(self.ready_again.iter().map(|(at, _)| at));
        again.map(|at| at.saturating_duration_since(self.monotonic.now())).min()
    }

    pub fn backlog_of(&self, whose: Whose) -> Backlog {
        self.inputs.backlog_of(whose)
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Whether what two engines over the same store remember is not the same.
    pub fn memory_differs(&self, other: &Self) -> Option<String> {
        self.standing.differs(&other.standing).or_else(|| self.timers.differs(&other.timers))
    }

    /// Decides these in turn, and commits what they came to. What there is no time for goes back to where it was. Says
    /// how much was decided.
    fn tick(&mut self, works: Taken, within: Option<Duration>) -> Tally {
        self.pass_time();
        let shared = within.filter(|within| *within < Pace::ALONE);
        self.extra_commits = shared.map_or(usize::MAX, |_| EXTRA_COMMITS_MAX);
        self.queued.set(self.inputs.len() as i64);
        let read = self.read_ahead(works.iter().map(|(work, _)| work));
        let known = match read.and_then(|()| self.known_keys(works.iter().map(|(work, _)| work))) {
            Ok(known) => known,
            Err(error) => {
                works.into_iter().for_each(|(work, _)| self.put_off(work, &error));
                self.inputs.put_back(Vec::new());
                return Tally::default();
            }
        };
        self.signals_max = if shared.is_some() { SIGNALS_MAX_SHARED } else { SIGNALS_MAX };
        let (mut open, mut committed, mut cost, mut charges) = (Open::default(), false, 0, Vec::new());
        // Control inputs are few, and leave the others the time that a batch has.
        let mut begun = None;
        let mut works = works.into_iter();
        for (work, ticket) in works.by_ref() {
            cost += work.cost();
            if !ticket.is_control {
                begun.get_or_insert_with(|| self.monotonic.now());
            }
            let whose = work.whose();
            self.used = 0;
            // What is registered must be there for the next input to see, so it is a commit of its own.
            if open.stage.is_full() || work.is_registration() {
                self.commit(std::mem::take(&mut open));
                committed = true;
            }
            // What was committed just now may have told this fact first.
            let again = if committed { self.known_keys([&work]) } else { Ok(KnownKeys::default()) };
            match again {
                Err(error) => self.put_off(work, &error),
                Ok(again) => self.decide_work(&mut open, work, ticket, if committed { &again } else { &known }),
            }
            charges.extend(Charge::of(whose, ticket, self.used));
            let is_late = |(within, begun)| self.monotonic.now() - begun >= within;
            if within.zip(begun).is_some_and(is_late) || shared.is_some() && open.stage.is_full_for_sharers() {
                break;
            }
        }
        self.inputs.put_back(works.collect());
        self.inputs.charge(charges.iter().copied());
        self.commit(open);
        Tally { cost, charges }
    }

    /// The store did not answer: whoever can ask again does, and what cannot is decided again.
    fn put_off(&mut self, work: Work, error: &Error) {
        match work {
            Work::Input(input) => input.refuse(error.clone()),
            Work::Outcome(outcome) => self.try_again([outcome]),
        }
    }

    /// Documents are strangers' as well: a mistake in reading one ends with its request.
    fn register_safely(&mut self, registration: Registration) {
        let registered = catch_unwind(AssertUnwindSafe(|| self.register(registration)));
        if registered.is_err() {
            tracing::error!(target: "engine", "a registration panicked; nothing of it was recorded");
        }
    }

    fn decide_work(&mut self, open: &mut Open, work: Work, ticket: Ticket, known: &KnownKeys) {
        match work {
            Work::Outcome(outcome) => self.decide_outcome(open, outcome, ticket),
            Work::Input(input) => match *input {
                Input::Register(registration) => self.register_safely(registration),
                input => self.decide(open, input, ticket, known),
            },
        }
    }

    fn decide(&mut self, open: &mut Open, input: Input, ticket: Ticket, known: &KnownKeys) {
        match input {
            Input::Emit { scope, signals, reply } => {
                let emit = |new: &NewSignal| self.attempt(open, |cascade| cascade.emit(&scope, new.clone(), known));
                let results: Vec<_> = signals.iter().map(emit).collect();
                for result in &results {
                    match result {
                        Ok(emitted) if emitted.deduplicated => self.metrics.signals_deduplicated.inc(),
                        Ok(_) => 0,
                        Err(_) => self.metrics.inputs_refused.inc(),
                    };
                }
                open.answer(ticket, reply, Ok(results), move |reply| Input::Emit { scope, signals, reply });
            }
            Input::Request { scope, directive, reply } => {
                let result = self.attempt(open, |cascade| cascade.request(&scope, directive.clone()));
                open.answer(ticket, reply, result, move |reply| Input::Request { scope, directive, reply });
            }
            Input::CancelDirective { scope, id, reason, reply } => {
                let result = self.attempt(open, |cascade| cascade.cancel(&scope, id, reason.clone()));
                open.answer(ticket, reply, result, move |reply| Input::CancelDirective { scope, id, reason, reply });
            }
            Input::Report { scope, id, result, reply } => {
                let reported = self.attempt(open, |cascade| cascade.report(&scope, id, result.clone()));
                open.answer(ticket, reply, reported, move |reply| Input::Report { scope, id, result, reply });
            }
            Input::Heartbeat { scope, id, reply } => {
                let result = self.attempt(open, |cascade| cascade.heartbeat(&scope, id));
                open.answer(ticket, reply, result, move |reply| Input::Heartbeat { scope, id, reply });
            }
            Input::Outcome { outcome, reply } => {
                let followed = self.attempt(open, |cascade| cascade.outcome(outcome.clone()));
                let result = followed.map(|followed| if followed { Ok(()) } else { Err(Refused::Settled) });
                open.answer(ticket, reply, result, move |reply| Input::Outcome { outcome, reply });
            }
            Input::Register(_) => unreachable!("registrations are committed by themselves"),
        }
    }

    fn decide_outcome(&mut self, open: &mut Open, outcome: Outcome, ticket: Ticket) {
        match self.attempt(open, |cascade| cascade.outcome(outcome.clone())) {
            Ok(_) => open.keep(outcome, ticket),
            Err(Error::Refused(refusal)) if refusal.code == "internal" => {
                tracing::error!(target: "advance", "an outcome could not be decided; it is decided again, in a minute");
                self.metrics.decisions_broken.inc();
                let mut outcome = outcome;
                outcome.release();
                self.again.push((self.monotonic.now() + BROKEN_OFF_AFTER, outcome));
            }
            Err(Error::Refused(refusal)) if refusal.code == "unstorable" => {
                self.metrics.outcomes_quarantined.inc();
                match self.decide_in_place(open, &outcome, &refusal.message, false) {
                    Ok(true) => open.keep(outcome, ticket),
                    Ok(false) => tracing::error!(target: "advance", %outcome, message = refusal.message, "dropped"),
                    Err(_) => self.try_again([outcome]),
                }
            }
            Err(Error::Refused(refusal)) => tracing::error!(target: "advance", message = refusal.message, "dropped"),
            Err(error) => {
                tracing::warn!(target: "store", %error, "an outcome could not be decided and is decided again");
                self.try_again([outcome]);
            }
        }
    }

    /// Decides one input to its end. If it is at fault, or the program is, its neighbours are not
    /// touched by it.
    pub(crate) fn attempt<T>(
        &mut self,
        open: &mut Open,
        decide: impl FnOnce(&mut Cascade<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let directory = self.directory.load_full();
        let mark = self.standing.mark();
        // Each of the signals of an input has a part of its own, so that what it starts is known with the answer.
        let left = self.decision_units.saturating_sub(self.used);
        let meter = Meter::new(left.max(self.decision_units / SIGNALS_TOGETHER as u64).max(1));
        let mut cascade = Cascade::new(
            &directory,
            self.store.as_ref(),
            &mut self.cache,
            &mut self.moment,
            (&mut self.standing, &mut self.descents, &self.unsent),
            &open.stage,
            (self.signals_max, &meter),
        );
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&mut cascade)));
        let stage = cascade.stage;
        self.used += meter.used();
        if !matches!(decided, Ok(Ok(_))) {
            self.standing.roll_back(mark);
        }
        match decided {
            Ok(Ok(value)) => {
                open.stage.merge(stage);
                Ok(value)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(crate::Refusal::new(
                crate::RefusalKind::Conflict,
                "internal",
                "this could not be decided; it is a mistake in FleetPrompt, and nothing was changed",
            )
            .into()),
        }
    }

    fn take_effect(&mut self, mut stage: Stage) {
        self.count(&stage);
        self.refusals.note(&stage, self.moment.now());
        self.descents.apply(std::mem::take(&mut stage.descents), self.moment.now());
        for effect in stage.take_effects() {
            if let Some((open, begun)) = stage.begun(&effect) {
                self.performer.step(open, effect, begun, When::Now);
            }
        }
        for directive in stage.take_attempts() {
            let workflow = self.workflow_of(&directive, &stage);
            let (id, attempt) = (directive.id, directive.attempt);
            let sent = self.performer.directive(directive, workflow, When::Now);
            self.unsent.begin(id, attempt, sent);
        }
        stage.changed().for_each(|(open, places)| self.performer.changed(&open.run, places));
        for directive in stage.directives().filter(|directive| directive.handler.has_attempts()) {
            if directive.cancel_requested || directive.status.is_settled() {
                self.performer.withdraw(directive);
            }
        }
        self.performer.flush();
        for (tenant, id) in std::mem::take(&mut stage.deferred) {
            self.enqueue(Outcome::DirectiveDeferred { tenant, id });
        }
        stage.take_schedules().into_iter().for_each(|row| self.take_schedule(row));
        for (tenant, workflow) in std::mem::take(&mut stage.compiled) {
            self.cache.put_version(tenant, workflow);
        }
        let (runs, directives) = stage.into_rows();
        for open in runs {
            self.metrics.decisions_cut.inc_by(u64::from(open.run.continuation.is_some()));
            self.timers.set(Owner::Run(open.run.tenant, open.run.id), open.run.wake_at());
            self.cache.put_run(open);
        }
        for directive in directives {
            self.timers.set(Owner::Directive(directive.tenant, directive.id), directive.wake_at);
            self.cache.put_directive(directive);
        }
        self.timed.set(self.timers.len() as i64);
    }

    /// Which workflow asks for it: they take turns, and one may be more urgent than the other.
    fn workflow_of(&mut self, directive: &Directive, stage: &Stage) -> Option<Arc<Workflow>> {
        let run = directive.origin?.run_id;
        if let Some(open) = stage.run(run) {
            return Some(open.workflow.clone());
        }
        // The attempt is committed, so it begins also where its run cannot be read, with the usual priority.
        let open = self.cache.run(directive.tenant, run).unwrap_or_else(|error| {
            tracing::warn!(target: "store", %error, directive = %directive.id, "cannot read the run of a directive");
            None
        });
        open.map(|open| open.workflow.clone())
    }

    fn take_schedule(&mut self, row: ScheduleRow) {
        let (tenant, slug) = (row.entry.tenant, row.entry.slug.clone());
        self.timers.set(Owner::Schedule(tenant, slug.clone()), row.wake_at());
        let directory = self.directory.load();
        if let Some(known) = directory.tenant(tenant).and_then(|tenant| tenant.schedules.get(&slug)) {
            known.set(row.entry);
        }
    }

    fn count(&self, stage: &Stage) {
        let metrics = &self.metrics;
        for (_, _, reason) in &stage.refusals {
            metrics.starts_refused.get_or_create(&StartRefused { reason: *reason }).inc();
        }
        metrics.signals.inc_by(stage.signals.len() as u64);
        for signal in &stage.signals {
            let counted = match signal.name.as_str() {
                "workflow.run.started" => {
                    metrics.runs_started.inc();
                    continue;
                }
                "workflow.run.completed" => (&metrics.runs_ended, "completed"),
                "workflow.run.failed" => (&metrics.runs_ended, "failed"),
                "workflow.run.canceled" => (&metrics.runs_ended, "canceled"),
                "directive.succeeded" => (&metrics.directives_settled, "succeeded"),
                "directive.failed" => (&metrics.directives_settled, "failed"),
                "directive.canceled" => (&metrics.directives_settled, "canceled"),
                _ => continue,
            };
            counted.0.get_or_create(&Ended { status: counted.1 }).inc();
        }
    }

    fn try_again(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        let at = self.monotonic.now() + AGAIN_AFTER;
        self.again.extend(outcomes.into_iter().map(|outcome| (at, outcome)));
    }

    /// Reads the runs and directives that these concern, in bulk.
    fn read_ahead<'a>(&mut self, works: impl IntoIterator<Item = &'a Work>) -> Result<(), Error> {
        let (mut runs, mut directives) = (Vec::new(), Vec::new());
        for work in works {
            let outcome = match work {
                Work::Outcome(outcome) => outcome,
                Work::Input(input) => match &**input {
                    Input::Outcome { outcome, .. } => outcome,
                    _ => continue,
                },
            };
            match outcome {
                Outcome::Step { tenant, run: id, .. } | Outcome::RunDue { tenant, id } => runs.push((*tenant, *id)),
                Outcome::Directive { tenant, id, .. }
                | Outcome::DirectiveDue { tenant, id }
                | Outcome::DirectiveDeferred { tenant, id } => directives.push((*tenant, *id)),
                Outcome::ScheduleDue { .. } => {}
            }
        }
        match self.cache.read_ahead(runs, directives) {
            // What depends on a damaged record fails when it reads that record, and nothing else does.
            Err(error @ StoreError::Damaged(_)) => {
                tracing::warn!(target: "store", %error, "records are read one by one");
                Ok(())
            }
            read => Ok(read?),
        }
    }

    /// One question to the store for the dedupe keys of all signals among these.
    fn known_keys<'a>(&self, works: impl IntoIterator<Item = &'a Work>) -> Result<KnownKeys, Error> {
        let mut keys = Vec::new();
        for work in works {
            if let Work::Input(input) = work
                && let Input::Emit { scope, signals, .. } = &**input
            {
                let of_signal = |signal: &NewSignal| signal.dedupe_keys();
                keys.extend(signals.iter().flat_map(of_signal).map(|key| (scope.tenant, key)));
            }
        }
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.store.deduplicate(&keys)?;
        Ok(keys.into_iter().zip(found).filter_map(|(key, id)| Some((key, id?))).collect())
    }
}

/// What did not come out of the lines.
fn untaken(work: Work) -> (Work, Ticket) {
    (work, Ticket::default())
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_le_bytes(bytes)
}
