//! What is left open when an engine ends, and how the next one takes it up.

use std::time::Instant;

use fleetprompt_core::Meter;
use fleetprompt_core::directive::HandlerKind;
use fleetprompt_core::run::{self, Setting};
use fleetprompt_store::OpenDirective;

use super::{Decider, untaken};
use crate::Error;
use crate::cache::OpenRun;
use crate::input::Outcome;
use crate::perform::When;
use crate::queue::Work;
use crate::timers::Owner;

impl Decider {
    /// Takes up what was left open, however the last engine ended: times that were set, and effects
    /// whose outcome was never recorded. These are delivered again, under the same keys.
    pub(super) fn resume(&mut self) -> Result<(), Error> {
        let open = self.store.open_work()?;
        for (at, tenant, id) in open.runs_due {
            self.timers.set(Owner::Run(tenant, id), Some(at));
        }
        for (at, tenant, id) in open.directives_due {
            self.timers.set(Owner::Directive(tenant, id), Some(at));
        }
        for (tenant, run, place, waiting) in open.waits {
            self.standing.restore_wait(tenant, run, place, &waiting);
        }
        for (tenant, run, place, name, since, holds) in open.locks {
            self.standing.restore_lock(tenant, run, place, name, since, holds);
        }
        for run in open.flows {
            self.standing.restore_run(&run);
        }
        self.standing.settle();
        for (tenant, slug, at) in self.directory.load().schedules_due() {
            self.timers.set(Owner::Schedule(tenant, slug), Some(at));
        }
        for (tenant, id) in open.directives_requested {
            self.enqueue(Outcome::DirectiveDeferred { tenant, id });
        }
        self.deliver_directives_again(&open.directives_in_flight)?;
        let mut rest = &open.runs_in_flight[..];
        while !rest.is_empty() {
            let runs = self.cache.runs(rest, |_| None)?;
            rest = &rest[runs.len()..];
            runs.into_iter().flatten().for_each(|open| self.deliver_again(open));
        }
        Ok(())
    }

    /// The runs that asked for them need not be read: their workflows say how urgent they are.
    fn deliver_directives_again(&mut self, in_flight: &[OpenDirective]) -> Result<(), Error> {
        let ids: Vec<_> = in_flight.iter().map(|(tenant, id, _)| (*tenant, *id)).collect();
        let (mut rest, mut versions) = (&ids[..], in_flight.iter().map(|(.., version)| version));
        while !rest.is_empty() {
            let directives = self.cache.directives(rest)?;
            rest = &rest[directives.len()..];
            for (directive, version) in directives.into_iter().zip(&mut versions) {
                let Some(directive) = directive else { continue };
                let workflow = match version {
                    Some((slug, version)) => self.cache.version(directive.tenant, slug, version)?,
                    None => None,
                };
                self.performer.directive(directive.clone(), workflow, When::Before);
                if directive.cancel_requested && directive.handler == HandlerKind::Worker {
                    self.performer.withdraw(&directive);
                }
            }
        }
        Ok(())
    }

    fn deliver_again(&mut self, open: OpenRun) {
        let directory = self.directory.load();
        let Some(tenant) = directory.tenant(open.run.tenant) else { return };
        let (workflow, tenant, signal) = (&*open.workflow, &*tenant.tenant, open.signal.as_deref());
        let setting = Setting { workflow, tenant, signal, meter: &Meter::unlimited() };
        for effect in run::effects_in_flight(setting, &open.run) {
            let place = effect.attempt().map(|(_, place, _)| place);
            if let Some(begun) = place.and_then(|place| open.run.at(place)?.signal_id) {
                self.performer.step(&open, effect, begun, When::Before);
            }
        }
    }

    /// Takes no more; what has begun may end within the grace, and is recorded.
    pub(super) fn drain(&mut self) {
        let end = Instant::now() + self.grace;
        // What has come back already, and what no commit has held so far. What is due is on record as due.
        let waiting = std::mem::take(&mut self.again).into_iter().map(|(_, outcome)| outcome);
        let mut waiting: Vec<_> = waiting.chain(self.outcomes.try_iter()).collect();
        for work in self.inputs.close() {
            match work {
                Work::Input(input) => input.refuse(Error::Unavailable("the engine is stopping".into())),
                Work::Outcome(outcome) => waiting.push(outcome),
            }
        }
        waiting.retain(Outcome::is_told_once);
        let waiting = waiting.into_iter().map(Work::Outcome).map(untaken).collect();
        self.tick(waiting, None);
        while self.performer.in_flight() > 0 {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(outcome) = self.outcomes.recv_timeout(left) else { return };
            let outcomes = std::iter::once(outcome).chain(self.outcomes.try_iter());
            self.tick(outcomes.map(Work::Outcome).map(untaken).collect(), None);
        }
        // An effect sends its outcome before it no longer counts as under way.
        let last = self.outcomes.try_iter().map(Work::Outcome).map(untaken).collect();
        self.tick(last, None);
    }
}
