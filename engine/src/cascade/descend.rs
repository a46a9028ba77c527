//! Descend: which root a new run descends from, whether the root may have one more descendant, and what its
//! descendants add.

use std::borrow::Borrow;
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Ancestry, Descendants, Descent, Run};
use fleetprompt_core::{RecordId, RunId, Signal, TenantId};

use super::Cascade;
use super::handle::outcome_of;
use crate::Error;
use crate::descent::LimitExceeded;
use crate::directives::workflow_run_start::{self, StartBySignal};

/// A caller may name any record as a cause. Past this many records without a run between them, the last one counts as
/// the root.
const CAUSES_MAX: usize = 32;

/// Why a root gets no further descendant.
pub(crate) enum DescentRefused {
    Limit(LimitExceeded),
    PathTooLong,
}

impl Cascade<'_> {
    /// `None` if the signal is a root: it came from outside and names no cause.
    pub(crate) fn ancestry_of_signal(&mut self, signal: &Signal) -> Result<Option<Ancestry>, Error> {
        let cause = match (signal.run_id, signal.directive_id, signal.lineage.causation_id) {
            (Some(run), ..) => run.into(),
            (None, Some(directive), _) => directive.into(),
            (None, None, Some(cause)) => cause,
            (None, None, None) => return Ok(None),
        };
        self.ancestry_of(signal.tenant, cause).map(Some)
    }

    /// `None` if the directive is a root: a caller requested it and named no cause.
    pub(crate) fn ancestry_of_directive(&mut self, directive: &Directive) -> Result<Option<Ancestry>, Error> {
        let origin = directive.origin.map(|origin| RecordId::from(origin.run_id));
        match origin.or(directive.lineage.causation_id) {
            Some(cause) => self.ancestry_of(directive.tenant, cause).map(Some),
            None => Ok(None),
        }
    }

    fn ancestry_of(&mut self, tenant: TenantId, mut cause: RecordId) -> Result<Ancestry, Error> {
        for _ in 0..CAUSES_MAX {
            let (run, next) = match cause {
                RecordId::Run(id) => (Some(id), None),
                RecordId::Signal(id) => match self.find_signal(tenant, id)? {
                    Some(signal) => {
                        let directive = signal.directive_id.map(RecordId::from);
                        (signal.run_id, directive.or(signal.lineage.causation_id))
                    }
                    None => (None, None),
                },
                RecordId::Directive(id) => match self.find_directive(tenant, id)? {
                    Some(directive) => (run_of(&directive), directive.lineage.causation_id),
                    None => (None, None),
                },
            };
            if let Some(open) = run.map(|id| self.find_run(tenant, id)).transpose()?.flatten() {
                return Ok(open.run.ancestry());
            }
            match next {
                Some(next) => cause = next,
                None => break,
            }
        }
        Ok(Ancestry { root: cause, workflows: Vec::new() })
    }

    /// The position of a new run among the descendants of its root. Nothing is counted for a run that a root starts
    /// itself: there are at most as many as workflows that subscribe to it. A start that `is_deferred` is counted already.
    pub(crate) fn descend(
        &mut self,
        tenant: TenantId,
        ancestry: Option<Ancestry>,
        is_deferred: bool,
    ) -> Result<Result<Option<Arc<Descent>>, DescentRefused>, Error> {
        let Some(Ancestry { root, workflows }) = ancestry else { return Ok(Ok(None)) };
        if workflows.len() > Descent::WORKFLOWS_MAX {
            return Ok(Err(DescentRefused::PathTooLong));
        }
        let key = (tenant, root);
        let mut staged = self.before.descents.of(key) + self.stage.descents.of(key);
        staged.deferred -= i64::from(is_deferred);
        let admitted = self.descents.admit(self.store, key, staged, self.moment.now())?;
        Ok(match admitted {
            Ok(before) => Ok(Some(Arc::new(Descent { root, before, workflows }))),
            Err(exceeded) => Err(DescentRefused::Limit(exceeded)),
        })
    }

    /// Counts what a decision adds to the descendants of the run's root.
    pub(super) fn count_descendant(&mut self, before: Option<&Run>, run: &Run, signals: &[Signal]) {
        let Some(root) = run.counted_root() else { return };
        let is_open = |run: &Run| i64::from(!run.status.has_ended());
        let delta = self.stage.descents.at((run.tenant, root));
        delta.open += is_open(run) - before.map_or(0, is_open);
        delta.added += Descendants { runs: u64::from(before.is_none()), ..size_of(signals) };
    }

    /// A start that an earlier commit left to a later one has settled: its root no longer counts it, and if no run was
    /// started, the disposition of the signal says why.
    pub(super) fn settle_deferred_start(&mut self, directive: &Directive) -> Result<(), Error> {
        let Some(start) = StartBySignal::of(directive) else { return Ok(()) };
        let Some(signal) = self.find_signal(directive.tenant, start.signal_id)? else { return Ok(()) };
        if let Some(ancestry) = self.ancestry_of_signal(&signal)? {
            self.stage.descents.at((directive.tenant, ancestry.root)).deferred -= 1;
        }
        if let Err(failure) = outcome_of(directive) {
            self.refuse_start(&signal, start.workflow, failure);
        }
        Ok(())
    }

    /// Counts what a decision about a directive adds, if a descendant requested it.
    pub(crate) fn count_directive<S: Borrow<Signal>>(
        &mut self,
        directive: &Directive,
        signals: &[S],
    ) -> Result<(), Error> {
        // Most tenants have no chains, and pay nothing for this.
        if self.descents.is_idle() && self.stage.descents.is_empty() && self.before.descents.is_empty() {
            return Ok(());
        }
        let Some(run) = run_of(directive) else { return Ok(()) };
        let open = self.find_run(directive.tenant, run)?;
        if let Some(root) = open.and_then(|open| open.run.counted_root()) {
            self.stage.descents.at((directive.tenant, root)).added += size_of(signals);
        }
        Ok(())
    }
}

/// The run that requested a directive, or that it started.
fn run_of(directive: &Directive) -> Option<RunId> {
    let origin = directive.origin.map(|origin| origin.run_id);
    let is_start = directive.name.as_str() == workflow_run_start::NAME;
    origin.or_else(|| workflow_run_start::run_of(&directive.payload).filter(|_| is_start))
}

fn size_of<S: Borrow<Signal>>(signals: &[S]) -> Descendants {
    let bytes = signals.iter().map(|signal| signal.borrow().payload.text().len() as u64).sum();
    Descendants { runs: 0, signals: signals.len() as u64, bytes }
}

impl std::fmt::Display for DescentRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Limit(exceeded) => exceeded.fmt(f),
            Self::PathTooLong => {
                write!(f, "more than {} workflows follow one another from the same root", Descent::WORKFLOWS_MAX)
            }
        }
    }
}
