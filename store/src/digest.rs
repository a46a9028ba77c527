//! Digests of records that never change, stored with them, so that `verify` notices what was changed in the database.
//!
//! A digest covers what is decided once: all fields of a signal, and of a directive what was requested. What changes later
//! follows from signals. XXH3 finds damage and edits; it does not stop a person who computes it anew. The order and the
//! encoding of the fields never change, since digests are stored: a new field needs a digest of its own.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::{Lineage, Party, RecordId, Signal};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3Default;

use crate::rows::Policy;

/// As both databases store it: the bits of the hash as a signed number.
pub fn of_signal(signal: &Signal) -> i64 {
    let mut fields = Fields::new();
    fields.id(Some(signal.tenant.0));
    fields.id(Some(signal.id.0));
    fields.text(Some(signal.name.as_str()));
    fields.id(signal.run_id.map(|id| id.0));
    fields.id(signal.directive_id.map(|id| id.0));
    fields.lineage(&signal.lineage);
    fields.party(signal.subject.as_ref());
    fields.party(signal.actor.as_ref());
    fields.text(signal.source.as_deref());
    fields.text(signal.source_event_id.as_deref());
    fields.text(signal.dedupe_key.as_deref());
    fields.number(signal.recorded_at.0);
    fields.number(signal.occurred_at.0);
    fields.text(Some(signal.payload.text()));
    fields.digest()
}

/// Of what was requested.
pub fn of_directive(directive: &Directive) -> i64 {
    let mut fields = Fields::new();
    fields.id(Some(directive.tenant.0));
    fields.id(Some(directive.id.0));
    fields.text(Some(directive.name.as_str()));
    fields.text(Some(directive.handler.as_str()));
    fields.number(directive.requested_at.0);
    fields.id(directive.origin.map(|origin| origin.run_id.0));
    fields.number(directive.origin.map_or(0, |origin| i64::from(origin.place.step)));
    fields.number(directive.origin.map_or(0, |origin| origin.place.part()));
    fields.lineage(&directive.lineage);
    fields.party(Some(&directive.actor));
    fields.text(Some(&directive.idempotency_key));
    fields.text(Policy::text_of(&directive.retry, directive.timeout, directive.heartbeat).as_deref());
    fields.text(Some(directive.payload.text()));
    fields.digest()
}

/// A hash over fields, each with its length, so that no two records have the same bytes.
struct Fields(Xxh3Default);

impl Fields {
    fn new() -> Self {
        Self(Xxh3Default::new())
    }

    fn number(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }

    fn id(&mut self, id: Option<Uuid>) {
        self.0.update(id.unwrap_or_default().as_bytes());
    }

    /// `None` differs from a text without characters.
    fn text(&mut self, text: Option<&str>) {
        self.number(text.map_or(-1, |text| text.len() as i64));
        self.0.update(text.unwrap_or_default().as_bytes());
    }

    fn party(&mut self, party: Option<&Party>) {
        self.text(party.map(|party| party.kind.as_str()));
        self.text(party.map(|party| party.id.as_str()));
    }

    fn lineage(&mut self, lineage: &Lineage) {
        self.text(Some(&lineage.correlation_id));
        self.number(match lineage.causation_id {
            None => 0,
            Some(RecordId::Signal(_)) => 1,
            Some(RecordId::Directive(_)) => 2,
            Some(RecordId::Run(_)) => 3,
        });
        self.id(lineage.causation_id.map(|id| id.uuid()));
        self.number(i64::from(lineage.depth));
    }

    fn digest(self) -> i64 {
        self.0.digest() as i64
    }
}
