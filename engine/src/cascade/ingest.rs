//! Ingest: validate, deduplicate, append the fact.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::scope::InvalidActor;
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
        if let Some(first) = self.find_duplicated(scope.tenant, &new, known)? {
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
        self.meter.charge_bytes(new.payload.text().len());
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

    /// The signal that was recorded first under one of the keys; another payload under a used key is refused.
    pub(crate) fn find_duplicated(
        &mut self,
        tenant: TenantId,
        new: &NewSignal,
        known: &KnownKeys,
    ) -> Result<Option<Arc<Signal>>, Error> {
        let mut first: Option<Arc<Signal>> = None;
        for key in new.dedupe_keys() {
            let key = (tenant, key);
            let staged = self.stage.dedupe_keys.get(&key).or_else(|| self.before.dedupe_keys.get(&key));
            let Some(id) = staged.or_else(|| known.get(&key)).copied() else { continue };
            if first.as_ref().is_some_and(|first| first.id == id) {
                continue;
            }
            let signal = self.find_signal(tenant, id)?.ok_or_else(|| Refusal::not_found("signal", id))?;
            self.meter.charge_bytes(signal.payload.text().len() + new.payload.text().len());
            if signal.payload != new.payload {
                return Err(key_reused(&signal).into());
            }
            first.get_or_insert(signal);
        }
        Ok(first)
    }

    fn deduplicated(&mut self, tenant: TenantId, signal: Arc<Signal>) -> Result<Emitted, Error> {
        let mut dispositions = self.store.dispositions(tenant, signal.id, usize::MAX)?;
        let uncommitted = self.before.dispositions.iter().filter(|disposition| disposition.signal_id == signal.id);
        dispositions.extend(uncommitted.cloned());
        Ok(Emitted { signal, deduplicated: true, dispositions })
    }
}

fn key_reused(first: &Signal) -> Refusal {
    let message = format!(
        "the dedupe key, or the id of the event at its source, belongs to {} ({}), which was emitted with another \
         payload; a new event needs a new key",
        first.id, first.name
    );
    Refusal::invalid("dedupe_key_reused", message)
}

fn check_actor(actor: Option<&Party>) -> Result<(), Refusal> {
    let Some(Err(invalid)) = actor.map(Party::check_claimed_actor) else { return Ok(()) };
    let code = match invalid {
        InvalidActor::Reserved(_) => "actor_reserved",
        InvalidActor::Text => "actor_invalid",
    };
    Err(Refusal::invalid(code, invalid.to_string()))
}

pub(crate) fn refused(invalid: InvalidSignal) -> Refusal {
    let code = match invalid {
        InvalidSignal::ReservedName(_) => "name_reserved",
        InvalidSignal::Text { .. } => "text_invalid",
        InvalidSignal::ReservedSource(_) => "source_reserved",
        InvalidSignal::SourceMissing => "source_missing",
        InvalidSignal::OccurredAt => "time_invalid",
        InvalidSignal::PayloadTooLarge { .. } => "payload_too_large",
    };
    Refusal::invalid(code, invalid.to_string())
}
