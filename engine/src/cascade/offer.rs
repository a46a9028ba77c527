//! Offer: what a cascade leaves to a later commit because its budget is spent, as directives `signal.offer`, and how that
//! commit goes on with it. What the budget does not reach stays a list of ids: it is neither read nor decided twice.

use std::fmt::Display;
use std::ops::Bound;
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, HandlerKind};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::start_key;
use fleetprompt_core::{DirectiveId, Json, Lineage, Meter, Name, Party, Signal, SignalId, Slug, TenantId};

use super::Cascade;
use crate::Error;
use crate::directives::signal_offer::{self, Candidate, Rest};

/// Signals that one directive `signal.offer` names.
const UNROUTED_TOGETHER: usize = 100;
/// Signals that are read together. The first read asks for one, and each further one for at most as many as were
/// offered before it, so that at most half of what is read is not needed.
const SIGNALS_READ_TOGETHER: usize = 50;
/// Directives that are looked for together.
const STARTS_READ_TOGETHER: usize = 500;

impl Cascade<'_> {
    // What is left

    pub(super) fn route_later(&mut self, signal: &Signal, from: Candidate) -> Result<(), Error> {
        let rest = Rest::Signals { signal_ids: vec![signal.id], from: Some(from) };
        self.offer_later(signal.tenant, signal.id, signal.lineage.caused_by(signal.id), &rest)
    }

    /// Signals that were not routed before the budget was spent.
    pub(super) fn offer_unrouted(&mut self) -> Result<(), Error> {
        let unrouted = std::mem::take(&mut self.unrouted);
        for signals in unrouted.chunks(UNROUTED_TOGETHER) {
            let first = &signals[0];
            let signal_ids = signals.iter().map(|signal| signal.id).collect();
            let lineage = first.lineage.caused_by(first.id);
            self.offer_later(first.tenant, first.id, lineage, &Rest::Signals { signal_ids, from: None })?;
        }
        Ok(())
    }

    /// Leaves the rest to the next commit, as a directive.
    pub(super) fn offer_later(
        &mut self,
        tenant: TenantId,
        of: impl Display,
        lineage: Lineage,
        rest: &Rest,
    ) -> Result<(), Error> {
        let id = DirectiveId(self.moment.uuid());
        let requested = directive::request(
            directive::Request {
                id,
                tenant,
                name: Name::known(signal_offer::NAME),
                payload: Json::of(rest),
                idempotency_key: format!("{of}:offer:{id}"),
                handler: HandlerKind::BuiltIn,
                retry: RetryPolicy::default(),
                timeout: None,
                heartbeat: None,
                origin: None,
                actor: Party::engine(),
                lineage,
            },
            self.moment,
        );
        self.take_directive(requested)?;
        self.stage.deferred.push((tenant, id));
        Ok(())
    }

    // How it goes on

    /// Goes on with what an earlier commit left.
    pub(crate) fn offer_rest(&mut self, directive: &Directive, rest: Rest) -> Result<(), Error> {
        match rest {
            Rest::Signals { signal_ids, from } => self.offer_signals(directive, &signal_ids, from),
            Rest::Lookback(lookback) => self.look_back(directive.tenant, lookback),
            Rest::Lock { name, after } => self.grant(directive.tenant, &name, after),
        }
    }

    /// The first signal from one candidate on, and the others whole.
    fn offer_signals(
        &mut self,
        directive: &Directive,
        ids: &[SignalId],
        mut from: Option<Candidate>,
    ) -> Result<(), Error> {
        let (tenant, mut offered) = (directive.tenant, 0);
        while offered < ids.len() {
            let together = offered.clamp(1, SIGNALS_READ_TOGETHER);
            let asked: Vec<_> = ids[offered..].iter().take(together).map(|id| (tenant, *id)).collect();
            let read: Vec<_> =
                self.store.signals_by_id(&asked)?.into_iter().map(|signal| signal.map(Arc::new)).collect();
            self.read_starts(read.iter().flatten(), None)?;
            for signal in read {
                if offered > 0 && self.meter.is_spent() {
                    let rest = Rest::Signals { signal_ids: ids[offered..].to_vec(), from: None };
                    return self.offer_later(tenant, ids[offered], directive.lineage.clone(), &rest);
                }
                offered += 1;
                if let Some(signal) = signal {
                    self.route_from(&signal, from.take())?;
                    self.meter.charge(Meter::OFFER_UNITS);
                    self.meter.charge_bytes(signal.payload.text().len());
                }
            }
        }
        Ok(())
    }

    /// The first that a signal is offered to, from one on or after one: waits, and then workflows.
    pub(super) fn next_candidate(&self, signal: &Signal, from: Bound<&Candidate>) -> Option<Candidate> {
        let wait = match from {
            Bound::Unbounded => Some(Bound::Unbounded),
            Bound::Included(Candidate::Wait { run_id, place }) => Some(Bound::Included((*run_id, *place))),
            Bound::Excluded(Candidate::Wait { run_id, place }) => Some(Bound::Excluded((*run_id, *place))),
            Bound::Included(Candidate::Workflow(_)) | Bound::Excluded(Candidate::Workflow(_)) => None,
        };
        let wait = wait.and_then(|from| self.standing.waiting_for(signal, from, 1).into_iter().next());
        if let Some((run_id, place)) = wait {
            return Some(Candidate::Wait { run_id, place });
        }
        let is_left = |slug: &&Slug| match from {
            Bound::Included(Candidate::Workflow(first)) => **slug >= *first,
            Bound::Excluded(Candidate::Workflow(last)) => **slug > *last,
            _ => true,
        };
        let tenant = self.directory.tenant(signal.tenant)?;
        let slugs = tenant.subscribers(&signal.name).map(|subscriber| &subscriber.entry.slug);
        slugs.filter(is_left).min().cloned().map(Candidate::Workflow)
    }

    // Whether a signal has started a run already: a replay may have come before the rest

    /// Returns whether a signal from an earlier commit has started this workflow.
    pub(super) fn has_started(&mut self, signal: &Arc<Signal>, workflow: &Slug) -> Result<bool, Error> {
        let key = start_key(workflow, signal.id);
        let staged = |stage: &super::Stage| stage.directive_by_key(signal.tenant, &key).is_some();
        if staged(&self.stage) || staged(self.before) {
            return Ok(true);
        }
        if !self.starts_read.contains_key(&key) {
            self.read_starts([signal], Some(workflow))?;
        }
        Ok(self.starts_read.get(&key).copied().unwrap_or_default())
    }

    /// Reads whether these signals have started the workflows that subscribe to them, or those from one on.
    fn read_starts<'s>(
        &mut self,
        signals: impl IntoIterator<Item = &'s Arc<Signal>>,
        from: Option<&Slug>,
    ) -> Result<(), Error> {
        let mut keys = Vec::new();
        for signal in signals {
            let subscribers = self.tenant(signal.tenant)?.subscribers(&signal.name);
            let slugs = subscribers.map(|subscriber| &subscriber.entry.slug);
            let slugs = slugs.filter(|slug| from.is_none_or(|from| *slug >= from));
            let left = STARTS_READ_TOGETHER - keys.len();
            keys.extend(slugs.take(left).map(|slug| (signal.tenant, start_key(slug, signal.id))));
        }
        let stored = if keys.is_empty() { Vec::new() } else { self.store.directives_by_key(&keys)? };
        let keys = keys.into_iter().map(|(_, key)| key);
        self.starts_read = keys.zip(stored.iter().map(Option::is_some)).collect();
        Ok(())
    }
}
