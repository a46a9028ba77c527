//! `signal.emit`: a workflow states a fact of its own, which may start others.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::signal::NewSignal;
use fleetprompt_core::{Failure, Json, Name, Party, RecordId};
use serde::Deserialize;
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::{Cascade, KnownKeys, refused};

pub(crate) struct SignalEmit;

const NAME: &str = "signal.emit";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    name: Name,
    #[serde(default)]
    subject: Option<Party>,
    #[serde(default)]
    dedupe_key: Option<String>,
    /// A null is a payload, and not the same as none.
    #[serde(default, deserialize_with = "fleetprompt_core::json::present")]
    payload: Option<Json>,
}

impl Payload {
    fn signal(self, directive: Option<&Directive>) -> NewSignal {
        NewSignal {
            name: self.name,
            subject: self.subject,
            actor: directive.map(|directive| directive.actor.clone()),
            source: None,
            source_event_id: None,
            dedupe_key: self.dedupe_key,
            correlation_id: None,
            causation_id: directive.map(|directive| RecordId::from(directive.id)),
            occurred_at: None,
            payload: self.payload.unwrap_or_else(|| json!({}).into()),
        }
    }
}

impl BuiltIn for SignalEmit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Emits a signal: {\"name\", \"subject\"?, \"dedupe_key\"?, \"payload\"?}"
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        let signal = read::<Payload>(NAME, payload)?.signal(None);
        signal.check().map_err(|invalid| format!("the payload of `{NAME}`: {invalid}"))
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        let invalid = |message| Failure::fatal("payload_invalid", message);
        let payload: Payload = read(NAME, &directive.payload).map_err(invalid)?;
        let signal = payload.signal(Some(directive));
        signal.check().map_err(|error| crate::Error::from(refused(error)))?;
        let known = cascade.known_keys(directive.tenant, &signal)?;
        let (id, deduplicated) = match cascade.find_duplicated(directive.tenant, &signal, &known)? {
            Some(first) => (first.id, true),
            None => {
                let signal = cascade.ingest(directive.tenant, &directive.actor, signal)?;
                cascade.count_directive(directive, std::slice::from_ref(&signal))?;
                (signal.id, false)
            }
        };
        Ok(Handled::with(json!({"signal_id": id, "deduplicated": deduplicated}).into()))
    }
}

impl Cascade<'_> {
    fn known_keys(&self, tenant: fleetprompt_core::TenantId, signal: &NewSignal) -> Result<KnownKeys, crate::Error> {
        let keys: Vec<_> = signal.dedupe_keys().into_iter().map(|key| (tenant, key)).collect();
        let found = self.store.deduplicate(&keys)?;
        Ok(keys.into_iter().zip(found).filter_map(|(key, id)| Some((key, id?))).collect())
    }
}
