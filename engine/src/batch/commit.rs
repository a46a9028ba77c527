//! The commit of a batch, and what happens to its inputs when the store refuses it.
//!
//! A store that does not answer fails all of them: callers are told to ask again, and outcomes are decided again. A store
//! that cannot hold a value fails only the input which the value follows from: the others are decided again and
//! committed without it. That input is refused, or, if it is the outcome of an effect, a small failure is recorded in
//! its place. A crash meanwhile loses nothing that a crash before the commit would not: what is committed is committed,
//! and effects whose outcome is not are delivered again.

use std::fmt::Display;
use std::time::Instant;

use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::{Failure, Scope};
use fleetprompt_store::Error as StoreError;
use tokio::sync::oneshot;

use super::Decider;
use crate::Error;
use crate::cascade::{Cascade, Stage};
use crate::input::{Emitted, Input, Outcome, Reply};
use crate::queue::{Taken, Ticket, Work};
use crate::workers::Refused;

/// Extra commits in one batch, beyond those that separate tenants, while other tenants wait. What is left is decided in
/// the next batches.
pub(super) const EXTRA_COMMITS_MAX: usize = 32;

/// What the inputs of one tick resulted in so far.
#[derive(Default)]
pub(crate) struct Open {
    pub stage: Stage,
    inputs: Vec<(PendingInput, Ticket)>,
}

/// An input that was decided and waits for the commit.
enum PendingInput {
    Caller(Box<dyn FnOnce(CommitResult) -> Option<Input>>),
    Outcome(Outcome),
}

/// How the commit ended, for one of its inputs.
pub(crate) enum CommitResult {
    Held,
    Failed(Error),
    /// The store cannot hold what followed from it, or from another input of the same commit.
    Unstorable(Error),
}

impl CommitResult {
    fn into_result(self) -> Result<(), Error> {
        match self {
            Self::Held => Ok(()),
            Self::Failed(error) | Self::Unstorable(error) => Err(error),
        }
    }
}

impl Open {
    /// Answers the caller once the commit has ended. An input that is to be decided again comes back by `again`
    /// and is not answered.
    pub fn answer<T: 'static>(
        &mut self,
        ticket: Ticket,
        reply: Reply<T>,
        result: Result<T, Error>,
        again: impl FnOnce(Reply<T>) -> Input + 'static,
    ) {
        let answer = move |commit: CommitResult| match commit {
            CommitResult::Unstorable(_) => Some(again(reply)),
            commit => {
                drop(reply.send(commit.into_result().and(result)));
                None
            }
        };
        self.inputs.push((PendingInput::Caller(Box::new(answer)), ticket));
    }

    /// The same for an input that is alone in its commit and cannot be decided again.
    pub fn answer_alone(&mut self, answer: impl FnOnce(Result<(), Error>) + 'static) {
        let answer = move |commit: CommitResult| {
            answer(commit.into_result());
            None
        };
        self.inputs.push((PendingInput::Caller(Box::new(answer)), Ticket::default()));
    }

    /// Keeps an outcome, which is decided again if the commit fails.
    pub fn keep(&mut self, outcome: Outcome, ticket: Ticket) {
        self.inputs.push((PendingInput::Outcome(outcome), ticket));
    }
}

impl Decider {
    /// Writes what was decided together. What the store cannot hold is found and refused.
    pub(crate) fn commit(&mut self, open: Open) {
        if let Some((works, _)) = self.try_commit(open) {
            self.isolate(works);
        }
    }

    /// Returns the inputs of a commit that the store cannot hold, to be decided again. The one of a registration is
    /// refused.
    fn try_commit(&mut self, open: Open) -> Option<(Taken, StoreError)> {
        let (error, inputs) = self.write(open).err()?;
        if !error.is_unstorable() {
            self.fail(inputs, &error);
            return None;
        }
        let work_of = |(input, ticket)| {
            let work = match input {
                PendingInput::Caller(answer) => {
                    Work::Input(Box::new(answer(CommitResult::Unstorable(Error::from(&error)))?))
                }
                PendingInput::Outcome(outcome) => Work::Outcome(outcome),
            };
            Some((work, ticket))
        };
        let works = inputs.into_iter().filter_map(work_of).collect();
        Some((works, error))
    }

    /// All or nothing; then the answers, then the effects.
    fn write(&mut self, open: Open) -> Result<(), (StoreError, Vec<(PendingInput, Ticket)>)> {
        let Open { stage, inputs } = open;
        if inputs.is_empty() {
            return Ok(());
        }
        let batch = stage.to_batch();
        let begun = Instant::now();
        let committed = if batch.is_empty() { Ok(()) } else { self.store.commit(&batch) };
        if let Err(error) = committed {
            self.standing.roll_back_all();
            return Err((error, inputs));
        }
        // What was known already writes nothing, and no commit is that fast.
        if !batch.is_empty() {
            self.metrics.commits.inc();
            self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
            self.metrics.commit_inputs.observe(inputs.len() as f64);
            self.commit_accepted();
        }
        self.committed.send_modify(|commits| *commits += 1);
        self.standing.settle();
        for (input, _) in inputs {
            if let PendingInput::Caller(answer) = input {
                answer(CommitResult::Held);
            }
        }
        self.take_effect(stage);
        if let Some(observer) = &self.observer {
            observer.committed(&batch, &self.directory.load());
        }
        Ok(())
    }

    /// The store did not answer: callers ask again, and outcomes are decided again. Where it is unknown whether the commit
    /// was written, the store makes sure that it was not before the next one, or takes no other.
    fn fail(&mut self, inputs: Vec<(PendingInput, Ticket)>, error: &StoreError) {
        self.commit_refused(error);
        self.is_lost |= error.is_lost();
        for (input, _) in inputs {
            match input {
                PendingInput::Caller(answer) => drop(answer(CommitResult::Failed(error.into()))),
                PendingInput::Outcome(outcome) => self.try_again([outcome]),
            }
        }
    }

    /// Commits these without what the store cannot hold. First it is found out which tenants that belongs to, so that
    /// the others wait for a few more commits only, however much of it there is.
    fn isolate(&mut self, works: Taken) {
        let (mut failing, mut suspects) = (vec![by_tenant(works)], Vec::new());
        while let Some(mut tenants) = failing.pop() {
            if tenants.len() <= 1 {
                suspects.extend(tenants);
                continue;
            }
            let second = tenants.split_off(tenants.len() / 2);
            for half in [tenants, second] {
                let failed = self.decide_again(half.into_iter().flatten().collect());
                failing.extend(failed.map(|(works, _)| by_tenant(works)));
            }
        }
        suspects.into_iter().for_each(|works| self.isolate_in_order(works));
    }

    /// The same for the inputs of one tenant, in their order.
    fn isolate_in_order(&mut self, works: Taken) {
        let mut left = vec![works];
        while self.extra_commits > 0
            && let Some(works) = left.pop()
        {
            self.extra_commits -= 1;
            let Some((mut failed, error)) = self.decide_again(works) else { continue };
            if failed.len() > 1 {
                let second = failed.split_off(failed.len() / 2);
                left.extend([second, failed]);
            } else if let Some((work, _)) = failed.pop() {
                self.quarantine(work, &error);
            }
        }
        self.inputs.put_back(left.into_iter().rev().flatten().collect());
    }

    /// Decides these anew, from what is committed; gives them back if the store cannot hold what follows.
    fn decide_again(&mut self, works: Taken) -> Option<(Taken, StoreError)> {
        let known = match self.known_keys(works.iter().map(|(work, _)| work)) {
            Ok(known) => known,
            Err(error) => {
                works.into_iter().for_each(|(work, _)| self.put_off(work, &error));
                return None;
            }
        };
        let mut open = Open::default();
        for (work, ticket) in works {
            self.used = 0;
            self.decide_work(&mut open, work, ticket, &known);
        }
        self.try_commit(open)
    }

    /// The store cannot hold what follows from this alone: it ends here, and is not decided again.
    fn quarantine(&mut self, work: Work, error: &StoreError) {
        match work {
            Work::Outcome(outcome) => {
                if self.replace(&outcome, error).is_err() {
                    self.try_again([outcome]);
                }
            }
            Work::Input(input) => match *input {
                Input::Outcome { outcome, reply } => {
                    let replaced = self.replace(&outcome, error);
                    drop(reply.send(replaced.map(|()| Err(Refused::Unstorable))));
                }
                Input::Emit { scope, signals, reply } if signals.len() > 1 => {
                    let results = signals.into_iter().map(|signal| self.emit_alone(&scope, signal)).collect();
                    drop(reply.send(Ok(results)));
                }
                input => {
                    tracing::warn!(target: "store", tenant = ?input.tenant(), %error, "a request was refused");
                    self.metrics.inputs_unstorable.inc();
                    input.refuse(error.into());
                }
            },
        }
    }

    /// One signal of a request in a commit of its own.
    fn emit_alone(&mut self, scope: &Scope, signal: NewSignal) -> Result<Emitted, Error> {
        self.extra_commits = self.extra_commits.saturating_sub(1);
        let (reply, mut answer) = oneshot::channel();
        let input = Input::Emit { scope: scope.clone(), signals: vec![signal], reply: Reply::new(reply) };
        if let Some((works, error)) = self.decide_again(vec![(Work::Input(Box::new(input)), Ticket::default())]) {
            works.into_iter().for_each(|(work, _)| self.quarantine(work, &error));
        }
        let unanswered = || Error::OutcomeUnknown("the engine gave no answer".into());
        let results = answer.try_recv().unwrap_or_else(|_| Err(unanswered()))?;
        results.into_iter().next().unwrap_or_else(|| Err(unanswered()))
    }

    /// Records a failure in place of an outcome: as the outcome, and if what follows from that cannot be written either,
    /// in a run that is paused, so that nothing follows. Fails if the store does not answer.
    fn replace(&mut self, outcome: &Outcome, error: &StoreError) -> Result<(), Error> {
        for pauses_run in [false, true] {
            self.extra_commits = self.extra_commits.saturating_sub(1);
            let mut open = Open::default();
            if !self.decide_in_place(&mut open, outcome, error, pauses_run)? {
                continue;
            }
            open.keep(outcome.clone(), Ticket::default());
            match self.write(open) {
                Ok(()) => {
                    self.metrics.outcomes_quarantined.inc();
                    return Ok(());
                }
                Err((error, _)) if error.is_unstorable() => {}
                Err((error, _)) => {
                    self.fail(Vec::new(), &error);
                    return Err(error.into());
                }
            }
        }
        self.metrics.outcomes_quarantined.inc();
        let tenant = outcome.tenant();
        tracing::error!(target: "store", %tenant, %outcome, %error, "nothing about it can be written: it is dropped");
        Ok(())
    }

    /// Returns `false` if there is nothing to record in its place.
    pub(super) fn decide_in_place(
        &mut self,
        open: &mut Open,
        outcome: &Outcome,
        why: &impl Display,
        pauses_run: bool,
    ) -> Result<bool, Error> {
        // What the database answers might quote the value.
        let cause = if pauses_run { "the log of the server says why".to_owned() } else { why.to_string() };
        let message = format!("what ended or was due cannot be recorded: {cause}");
        let failure = Failure::fatal("unstorable_outcome", message);
        let decide = |cascade: &mut Cascade<'_>| cascade.outcome_in_place(outcome.clone(), failure, pauses_run);
        match self.attempt(open, decide) {
            Ok(true) => {}
            Ok(false) | Err(Error::Refused(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        let tenant = outcome.tenant();
        tracing::error!(target: "store", %tenant, %outcome, error = %why, "it cannot be recorded: a failure is, instead");
        Ok(true)
    }
}

/// In their order within each tenant.
fn by_tenant(mut works: Taken) -> Vec<Taken> {
    works.sort_by_key(|(work, _)| work.whose());
    let mut works = works.into_iter().peekable();
    let mut tenants = Vec::new();
    while let Some(first) = works.next() {
        let whose = first.0.whose();
        let mut of_one = vec![first];
        while let Some(next) = works.next_if(|(work, _)| work.whose() == whose) {
            of_one.push(next);
        }
        tenants.push(of_one);
    }
    tenants
}
