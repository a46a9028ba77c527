//! Signals: immutable facts. Once recorded, a signal is never changed and never removed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{DirectiveId, Json, Lineage, Name, Party, RecordId, RunId, SignalId, Slug, TenantId, Timestamp, schedule};

#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub id: SignalId,
    pub tenant: TenantId,
    pub name: Name,
    /// None on the engine's own signals: they are about their run, or else their directive.
    pub subject: Option<Party>,
    /// None on the engine's own signals: the engine acted by rule.
    pub actor: Option<Party>,
    pub source: Option<String>,
    pub source_event_id: Option<String>,
    pub dedupe_key: Option<String>,
    pub lineage: Lineage,
    /// The run whose record this is.
    pub run_id: Option<RunId>,
    /// The directive whose record this is.
    pub directive_id: Option<DirectiveId>,
    /// When it happened, as the caller says.
    pub occurred_at: Timestamp,
    /// When it was committed here.
    pub recorded_at: Timestamp,
    pub payload: Json,
}

impl Signal {
    pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

    /// The keys that it was emitted with.
    pub fn dedupe_keys(&self) -> Vec<DedupeKey> {
        let event = self.source.as_deref().zip(self.source_event_id.as_deref());
        DedupeKey::all(&self.name, self.dedupe_key.as_deref(), event)
    }

    pub fn subject(&self) -> Option<Party> {
        self.subject
            .clone()
            .or_else(|| self.run_id.map(|id| Party::new("run", id)))
            .or_else(|| self.directive_id.map(|id| Party::new("directive", id)))
    }

    pub fn actor(&self) -> Party {
        self.actor.clone().unwrap_or_else(Party::engine)
    }

    /// What expressions see as `signal`.
    pub fn view(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "name": self.name.as_str(),
            "subject": self.subject(),
            "actor": self.actor(),
            "source": self.source,
            "source_event_id": self.source_event_id,
            "correlation_id": &*self.lineage.correlation_id,
            "causation_id": self.lineage.causation_id,
            "occurred_at": self.occurred_at,
            "payload": self.payload.value(),
        })
    }
}

/// A fact as somebody tells it, before it is ours.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSignal {
    pub name: Name,
    pub subject: Option<Party>,
    pub actor: Option<Party>,
    pub source: Option<String>,
    pub source_event_id: Option<String>,
    pub dedupe_key: Option<String>,
    pub correlation_id: Option<String>,
    pub causation_id: Option<RecordId>,
    pub occurred_at: Option<Timestamp>,
    pub payload: Json,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignal {
    #[error("`{0}` is reserved: only the engine emits names that begin with it")]
    ReservedName(Name),
    #[error("`{field}` must have 1 to {max} characters and no control characters")]
    Text { field: &'static str, max: usize },
    #[error("the source `{0}` is reserved: by it the engine's own fires are told apart")]
    ReservedSource(String),
    #[error("`source_event_id` needs `source`: two systems may give the same id to different events")]
    SourceMissing,
    #[error("`occurred_at` must be in the years 0 to 9999, which are those of RFC 3339")]
    OccurredAt,
    #[error("the payload has {bytes} bytes; at most {max} are allowed")]
    PayloadTooLarge { bytes: usize, max: usize },
}

impl NewSignal {
    pub const TEXT_BYTES_MAX: usize = 255;

    pub fn check(&self) -> Result<(), InvalidSignal> {
        if self.name.is_reserved() {
            return Err(InvalidSignal::ReservedName(self.name.clone()));
        }
        let texts = [
            ("source", &self.source),
            ("source_event_id", &self.source_event_id),
            ("dedupe_key", &self.dedupe_key),
            ("correlation_id", &self.correlation_id),
        ];
        for (field, text) in texts {
            if text.as_ref().is_some_and(|text| !is_plain_text(text)) {
                return Err(InvalidSignal::Text { field, max: Self::TEXT_BYTES_MAX });
            }
        }
        for (field, party) in [("subject", &self.subject), ("actor", &self.actor)] {
            if party.as_ref().is_some_and(|party| !party.is_valid()) {
                return Err(InvalidSignal::Text { field, max: Party::BYTES_MAX });
            }
        }
        if let Some(source) = self.source.as_ref().filter(|source| *source == schedule::SOURCE) {
            return Err(InvalidSignal::ReservedSource(source.clone()));
        }
        if self.source_event_id.is_some() && self.source.is_none() {
            return Err(InvalidSignal::SourceMissing);
        }
        if self.occurred_at.is_some_and(|at| !at.is_rfc_3339()) {
            return Err(InvalidSignal::OccurredAt);
        }
        let bytes = self.payload.text().len();
        if bytes > Signal::PAYLOAD_BYTES_MAX {
            return Err(InvalidSignal::PayloadTooLarge { bytes, max: Signal::PAYLOAD_BYTES_MAX });
        }
        Ok(())
    }

    /// The keys that no other signal of the same name may have: its own dedupe key, and the id that its source gave it.
    pub fn dedupe_keys(&self) -> Vec<DedupeKey> {
        let event = self.source.as_deref().zip(self.source_event_id.as_deref());
        DedupeKey::all(&self.name, self.dedupe_key.as_deref(), event)
    }
}

/// Unique within a tenant, forever. The name of the signal is a part of it: one key may stand for `ticket.opened` and for
/// `ticket.closed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupeKey(pub String);

impl DedupeKey {
    fn all(name: &Name, own: Option<&str>, event: Option<(&str, &str)>) -> Vec<Self> {
        // A name has no colon.
        let own = own.map(|key| Self(format!("{name}:key:{key}")));
        own.into_iter().chain(event.map(|(source, id)| Self::of_event(name, source, id))).collect()
    }

    /// The key of an event by the id that its source gave it.
    pub fn of_event(name: &Name, source: &str, id: &str) -> Self {
        Self(format!("{name}:event:{}:{source}:{id}", source.len()))
    }
}

pub fn is_plain_text(text: &str) -> bool {
    (1..=NewSignal::TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

/// What became of one signal for one subscription. Every pair has one: nothing is dropped in silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    pub tenant: TenantId,
    pub signal_id: SignalId,
    pub workflow: Slug,
    pub kind: DispositionKind,
    pub run_id: Option<RunId>,
    pub reason: Option<String>,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DispositionKind {
    Started,
    /// A run had waited for it.
    Advanced,
    /// The trigger's `when` did not hold.
    Filtered,
    /// The run that this signal starts exists already.
    Deduplicated,
    /// The workflow is paused, the input does not fit, or the chain of causes is too deep.
    Refused,
    /// The workflow's flow control does not let a run begin for it.
    Throttled,
}

impl DispositionKind {
    pub const ALL: [Self; 6] =
        [Self::Started, Self::Advanced, Self::Filtered, Self::Deduplicated, Self::Refused, Self::Throttled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Advanced => "advanced",
            Self::Filtered => "filtered",
            Self::Deduplicated => "deduplicated",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
        }
    }
}
