//! Where records stand in traces, as W3C Trace Context names places. It follows from what is on record, so whoever looks,
//! on any node and after any restart, finds the same.

use std::fmt;

use crate::run::Place;
use crate::{RecordId, RunId, TenantId};

/// The trace that records with one correlation id belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    pub id: [u8; 16],
    /// The span of the caller's under which the first of them stands.
    pub caller: Option<SpanId>,
    pub is_sampled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl Trace {
    /// The caller's own, where the correlation id is a `traceparent`.
    pub fn of(tenant: TenantId, correlation_id: &str) -> Self {
        Self::from_traceparent(correlation_id).unwrap_or_else(|| Self {
            id: first(&[tenant.0.as_bytes(), correlation_id.as_bytes()]),
            caller: None,
            is_sampled: true,
        })
    }

    /// None: it is no `traceparent` that we know how to read.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else { return None };
        let (version, [flags]) = (bytes::<1>(version)?, bytes::<1>(flags)?);
        let (id, caller) = (bytes::<16>(trace)?, bytes::<8>(span)?);
        let is_valid = version == [0] && id != [0; 16] && caller != [0; 8];
        is_valid.then_some(Self { id, caller: Some(SpanId(caller)), is_sampled: flags & 1 == 1 })
    }

    /// What somebody outside is told who does something for this span.
    pub fn parent(&self, span: SpanId) -> String {
        format!("00-{}-{span}-0{}", Hex(&self.id), u8::from(self.is_sampled))
    }
}

impl SpanId {
    pub fn of(record: impl Into<RecordId>) -> Self {
        let record = record.into();
        Self(first(&[record.to_string().as_bytes()]))
    }

    pub fn of_step(run: RunId, place: Place) -> Self {
        Self(first(&[run.0.as_bytes(), &place.step.to_be_bytes(), &place.part().to_be_bytes()]))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Of digits in lower case, as the standard wants.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_plain = text.len() == N * 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate().filter(|_| is_plain) {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    is_plain.then_some(bytes)
}

fn first<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut bytes = [0; N];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const CALLERS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[test]
    fn a_traceparent_is_taken_over_and_any_other_text_is_a_trace_of_its_tenant() {
        let trace = Trace::of(tenant(1), CALLERS);
        let span = trace.caller.expect("the caller's span");
        assert_eq!(trace.parent(span), CALLERS);
        let (own, other) = (Trace::of(tenant(1), "order-7"), Trace::of(tenant(2), "order-7"));
        assert_eq!(own, Trace::of(tenant(1), "order-7"));
        assert!(own.id != other.id && own.caller.is_none() && own.is_sampled);
        let unsampled = Trace::of(tenant(1), &CALLERS.replace("-01", "-00"));
        assert!(!unsampled.is_sampled && unsampled.id == trace.id);
    }

    #[test]
    fn what_is_no_traceparent_is_not_read_as_one() {
        let zeros = [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ];
        let wrong = ["", "----", "00-é", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "order-1-2-3"];
        let upper = CALLERS.to_uppercase();
        let longer = format!("{CALLERS}-01");
        for text in zeros.into_iter().chain(wrong).chain([&*upper, &*longer]) {
            assert_eq!(Trace::from_traceparent(text), None, "{text}");
        }
    }

    #[test]
    fn each_part_of_a_run_has_a_span_of_its_own() {
        let run = RunId(Uuid::from_u128(7));
        let step = Place::step(1);
        let parts = [step, step.undo(), step.item(0), step.item(1), Place::step(2)];
        let spans = parts.into_iter().map(|place| SpanId::of_step(run, place)).chain([SpanId::of(run)]);
        let different: std::collections::HashSet<_> = spans.collect();
        assert_eq!(different.len(), 6);
    }
}
