//! Ingest: validate, deduplicate, append the fact.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::signal::{DedupeKey, Disposition, InvalidSignal, NewSignal};
use fleetprompt_core::{Meter, Party, Scope, Signal, SignalId, TenantId};

use super::Cascade;
use crate::{Emitted, Error, Refusal};

/// The dedupe keys of a batch that the store knows, asked for all at once.
pub(crate) type KnownKeys = HashMap<(TenantId, DedupeKey), SignalId>;

impl Cascade<'_> {
    pub fn emit(&mut self, scope: &Scope, new: NewSignal, known: &KnownKeys) -> Result<Emitted, Error> {
        new.check().map_err(refused)?;
        check_actor(new.actor.as_ref())?;
        if let Some(first) = self.first_of(scope.tenant, &new, known) {
            return self.deduplicated(scope.tenant, first);
        }
        let signal = self.ingest(scope.tenant, &scope.actor, new)?;
        self.settle()?;
        let of_this = |disposition: &&Disposition| disposition.signal_id == signal.id;
        let dispositions = self.stage.dispositions.iter().filter(of_this).cloned().collect();
        Ok(Emitted { signal, deduplicated: false, dispositions })
    }

    /// Appends a checked fact that is known to be new; what follows is still to be settled.
    pub(crate) fn ingest(&mut self, tenant: TenantId, by: &Party, new: NewSignal) -> Result<Arc<Signal>, Error> {
        let keys = new.dedupe_keys();
        let id = SignalId(self.moment.uuid());
        let lineage = self.lineage(tenant, id, new.correlation_id, new.causation_id)?;
        let now = self.moment.now();
        self.meter.charge(Meter::SIGNAL_UNITS);
        let signal = self.record(Signal {
            id,
            tenant,
            name: new.name,
            subject: new.subject,
            actor: Some(new.actor.unwrap_or_else(|| by.clone())),
            source: new.source,
            source_event_id: new.source_event_id,
            dedupe_key: new.dedupe_key,
            lineage,
            run_id: None,
            directive_id: None,
            occurred_at: new.occurred_at.unwrap_or(now),
            recorded_at: now,
            payload: new.payload,
        });
        for key in keys {
            self.stage.dedupe_keys.insert((tenant, key), id);
        }
        Ok(signal)
    }

    /// The engine's own fact, as it stands.
    pub fn state(&mut self, signal: Signal) -> Result<(), Error> {
        self.record(signal);
        self.settle()
    }

    /// The signal that told this fact first, if one did.
    pub(crate) fn first_of(&self, tenant: TenantId, new: &NewSignal, known: &KnownKeys) -> Option<SignalId> {
        new.dedupe_keys().into_iter().find_map(|key| {
            let key = (tenant, key);
            let staged = self.stage.dedupe_keys.get(&key).or_else(|| self.before.dedupe_keys.get(&key));
            staged.or_else(|| known.get(&key)).copied()
        })
    }

    fn deduplicated(&mut self, tenant: TenantId, first: SignalId) -> Result<Emitted, Error> {
        let signal = self.find_signal(tenant, first)?.ok_or_else(|| Refusal::not_found("signal", first))?;
        let mut dispositions = self.store.dispositions(tenant, first, usize::MAX)?;
        let uncommitted = self.before.dispositions.iter().filter(|disposition| disposition.signal_id == first);
        dispositions.extend(uncommitted.cloned());
        Ok(Emitted { signal, deduplicated: true, dispositions })
    }
}

/// Whom only the engine can name, since it knows them by their credential or by itself.
fn check_actor(actor: Option<&Party>) -> Result<(), Refusal> {
    const KNOWN_BY_US: [&str; 5] = ["engine", "key", "operator", "run", "schedule"];
    match actor.filter(|actor| KNOWN_BY_US.contains(&actor.kind.as_str())) {
        Some(actor) => {
            let message =
                format!("actor: the type `{}` is the engine's; leave `actor` out to be named by your key", actor.kind);
            Err(Refusal::invalid("actor_reserved", message))
        }
        None => Ok(()),
    }
}

pub(crate) fn refused(invalid: InvalidSignal) -> Refusal {
    let code = match invalid {
        InvalidSignal::ReservedName(_) => "name_reserved",
        InvalidSignal::Text { .. } => "text_invalid",
        InvalidSignal::ReservedSource(_) => "source_reserved",
        InvalidSignal::SourceMissing => "source_missing",
        InvalidSignal::PayloadTooLarge { .. } => "payload_too_large",
    };
    Refusal::invalid(code, invalid.to_string())
}
