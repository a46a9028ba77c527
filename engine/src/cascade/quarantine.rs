//! What is decided in place of an outcome that the store cannot hold: something small that says so where an operator
//! looks, in the run, the directive or the schedule. What an earlier commit left to offer is not lost with one part of it
//! that cannot be written: the parts are decided one by one, and only that part is refused.

use std::ops::Bound;

use fleetprompt_core::directive::{self, Directive};
use fleetprompt_core::run::{self, Status};
use fleetprompt_core::schedule;
use fleetprompt_core::{Failure, Json, Party, RunId, SignalId, TenantId};

use super::Cascade;
use crate::Error;
use crate::directives::signal_offer::{self, Candidate, Rest};
use crate::input::Outcome;
use crate::perform::OutcomeHold;

impl Cascade<'_> {
    /// Returns `false` if nothing can be decided in its place. With `pauses_run` its run is paused first, so that nothing
    /// follows from the failure until an operator lets it.
    pub fn outcome_in_place(&mut self, outcome: Outcome, failure: Failure, pauses_run: bool) -> Result<bool, Error> {
        // What follows in others is left to commits of their own, which are quarantined by themselves.
        self.meter.leave_one_unit();
        if pauses_run && self.pause_run_of(&outcome, &failure)? == Some(false) {
            return Ok(false);
        }
        match outcome {
            Outcome::Step { tenant, run, place, attempt, begun, .. } => {
                let (result, logs, hold) = (Err(failure), Vec::new(), OutcomeHold::default());
                self.outcome(Outcome::Step { tenant, run, place, attempt, begun, result, execution: None, logs, hold })
            }
            Outcome::Directive { tenant, id, attempt, .. } => {
                let (result, logs, hold) = (Err(failure), Vec::new(), OutcomeHold::default());
                self.outcome(Outcome::Directive { tenant, id, attempt, result, execution: None, logs, hold })
            }
            Outcome::DirectiveDue { tenant, id } | Outcome::DirectiveDeferred { tenant, id } => {
                let Some(directive) = self.find_directive(tenant, id)? else { return Ok(false) };
                if directive.status.is_settled() {
                    return Ok(false);
                }
                if directive.name.as_str() == signal_offer::NAME {
                    self.offer_in_place(&directive, failure, pauses_run)?;
                } else if directive.handler == directive::HandlerKind::BuiltIn {
                    self.settle_built_in(directive.as_ref().clone(), Err(failure))?;
                } else {
                    let (by, reason) = (Party::engine(), failure.message);
                    self.directive(tenant, id, directive::Input::Cancel { by, reason, is_unsent: false })?;
                }
                self.settle()?;
                Ok(true)
            }
            Outcome::RunDue { .. } => {
                self.settle()?;
                Ok(pauses_run)
            }
            Outcome::ScheduleDue { tenant, slug } => {
                let Some(row) = self.find_schedule(tenant, &slug) else { return Ok(false) };
                let pause = schedule::Input::Pause { by: Party::engine(), reason: Some(failure.message) };
                let is_paused = self.schedule_decide(row, pause)?.is_ok();
                self.settle()?;
                Ok(is_paused)
            }
        }
    }

    /// Returns `None` if no run asked for it, and `false` if its run cannot be paused.
    fn pause_run_of(&mut self, outcome: &Outcome, failure: &Failure) -> Result<Option<bool>, Error> {
        let Some((tenant, run)) = self.run_of(outcome)? else { return Ok(None) };
        self.pause_at_fault(tenant, run, failure).map(Some)
    }

    fn pause_at_fault(&mut self, tenant: TenantId, run: RunId, failure: &Failure) -> Result<bool, Error> {
        let input = run::Input::Pause { by: Party::engine(), reason: failure.message.clone() };
        self.advance(tenant, run, input)
    }

    /// Several signals are offered by one directive each. Of one signal or lock, the smallest part is decided alone. If that
    /// cannot be written either (`is_alone`), that part is at fault: it is refused, and the rest is offered again.
    fn offer_in_place(&mut self, directive: &Directive, failure: Failure, is_alone: bool) -> Result<(), Error> {
        let result = match Rest::of(directive) {
            Err(failure) => Err(failure),
            Ok(Rest::Signals { signal_ids, mut from }) if signal_ids.len() > 1 => {
                for id in signal_ids {
                    let rest = Rest::Signals { signal_ids: vec![id], from: from.take() };
                    self.offer_later(directive.tenant, id, directive.lineage.clone(), &rest)?;
                }
                Ok(Json::null())
            }
            Ok(rest @ (Rest::Signals { .. } | Rest::Lock { .. })) if !is_alone => {
                self.offer_rest(directive, rest)?;
                Ok(Json::null())
            }
            Ok(rest) => {
                if let Some(rest) = self.refuse_first(directive.tenant, rest, failure.clone())? {
                    self.offer_later(directive.tenant, directive.id, directive.lineage.clone(), &rest)?;
                }
                Err(failure)
            }
        };
        self.settle_built_in(directive.clone(), result)
    }

    /// Returns what is still to be offered.
    fn refuse_first(&mut self, tenant: TenantId, rest: Rest, failure: Failure) -> Result<Option<Rest>, Error> {
        match rest {
            Rest::Signals { signal_ids, from } => {
                let Some(id) = signal_ids.first() else { return Ok(None) };
                let from = self.refuse_candidate(tenant, *id, from, failure)?;
                Ok(from.map(|from| Rest::Signals { signal_ids, from: Some(from) }))
            }
            // Of a paused run no step goes on, so only the end of the wait is left to write.
            Rest::Lookback(lookback) => {
                let is_paused = self.pause_at_fault(tenant, lookback.run_id, &failure)?;
                Ok(is_paused.then_some(Rest::Lookback(lookback)))
            }
            Rest::Lock { name, after } => {
                let waiters: Vec<_> = self.standing.waiting_for_lock(tenant, &name, after).collect();
                for waiter in waiters {
                    let open = self.find_run(tenant, waiter.run)?;
                    if open.is_some_and(|open| open.run.status == Status::Running)
                        && self.pause_at_fault(tenant, waiter.run, &failure)?
                    {
                        return Ok(Some(Rest::Lock { name, after: Some(waiter) }));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Returns from where on the signal is still to be offered. A run that waits for it is paused first, as above.
    fn refuse_candidate(
        &mut self,
        tenant: TenantId,
        signal: SignalId,
        from: Option<Candidate>,
        failure: Failure,
    ) -> Result<Option<Candidate>, Error> {
        let Some(signal) = self.find_signal(tenant, signal)? else { return Ok(None) };
        let from = from.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let Some(candidate) = self.next_candidate(&signal, from) else { return Ok(None) };
        match &candidate {
            Candidate::Wait { run_id, .. } => {
                if self.pause_at_fault(tenant, *run_id, &failure)? {
                    return Ok(Some(candidate));
                }
            }
            Candidate::Workflow(slug) => {
                self.refuse_start(&signal, slug.clone(), failure);
            }
        }
        Ok(self.next_candidate(&signal, Bound::Excluded(&candidate)))
    }

    fn run_of(&mut self, outcome: &Outcome) -> Result<Option<(TenantId, RunId)>, Error> {
        let (tenant, directive) = match outcome {
            Outcome::Step { tenant, run, .. } => return Ok(Some((*tenant, *run))),
            Outcome::RunDue { tenant, id } => return Ok(Some((*tenant, *id))),
            Outcome::ScheduleDue { .. } => return Ok(None),
            Outcome::Directive { tenant, id, .. } | Outcome::DirectiveDue { tenant, id } => (*tenant, *id),
            Outcome::DirectiveDeferred { tenant, id } => (*tenant, *id),
        };
        let origin = self.find_directive(tenant, directive)?.and_then(|directive| directive.origin);
        Ok(origin.map(|origin| (tenant, origin.run_id)))
    }
}
