//! One attempt that a worker is to make, with all that it needs to know but its input, and the name by which it is taken,
//! kept alive and reported.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::performs::Labels;
use fleetprompt_core::run::Place;
use fleetprompt_core::tenant::Weight;
use fleetprompt_core::trace::{SpanId, Trace};
use fleetprompt_core::workflow::Priority;
use fleetprompt_core::{DirectiveId, Json, RecordId, RunId, SignalId, Slug, TenantId};

/// Which attempt it is: the engine's own name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttemptOf {
    Directive {
        id: DirectiveId,
        attempt: u32,
    },
    /// Of a step that calls a function. A step that is done again begins with its first attempt anew, so
    /// the signal that began it tells them apart.
    Step {
        run: RunId,
        place: Place,
        attempt: u32,
        begun: SignalId,
    },
}

impl AttemptOf {
    pub fn number(&self) -> u32 {
        match self {
            Self::Directive { attempt, .. } | Self::Step { attempt, .. } => *attempt,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directive,
    Function,
}

/// An attempt without its input, which may be large: see `AttemptInput`.
#[derive(Debug)]
pub struct Attempt {
    pub of: AttemptOf,
    pub tenant: TenantId,
    pub tenant_slug: Slug,
    /// Of the tenant, among others.
    pub weight: Weight,
    /// Of the workflow, among others of the tenant.
    pub priority: Priority,
    pub kind: Kind,
    /// Of the function or the directive.
    pub name: Arc<str>,
    /// What whoever takes it must have.
    pub labels: Arc<Labels>,
    pub idempotency_key: String,
    pub run_id: Option<RunId>,
    pub workflow: Option<Slug>,
    pub step: Option<String>,
    pub item: Option<u32>,
    pub correlation_id: Arc<str>,
    pub causation_id: Option<RecordId>,
    /// From when it was taken.
    pub timeout: Option<Duration>,
    /// The longest that whoever took it may be silent; none: as long as a lease.
    pub heartbeat: Option<Duration>,
}

/// An attempt as a commit asked for it.
#[derive(Debug)]
pub struct Offer {
    pub attempt: Attempt,
    pub input: Json,
}

impl Attempt {
    /// Of W3C Trace Context: the span of the step or the directive, under which whoever makes the attempt puts its own.
    pub fn traceparent(&self) -> String {
        let span = match self.of {
            AttemptOf::Directive { id, .. } => SpanId::of(id),
            AttemptOf::Step { run, place, .. } => SpanId::of_step(run, place),
        };
        Trace::of(self.tenant, &self.correlation_id).parent(span)
    }

    /// The place in its run that a directive's key names.
    pub fn place_of(directive: &Directive) -> (Option<String>, Option<u32>) {
        let Some(origin) = directive.origin else { return (None, None) };
        let own = directive.idempotency_key.strip_prefix(&format!("{}:", origin.run_id));
        let step = own.and_then(|key| key.split(':').next()).map(str::to_owned);
        (step, origin.place.item)
    }
}

/// An attempt as one worker has taken it: nobody else knows this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    pub of: AttemptOf,
    pub lease: u64,
}

impl AttemptId {
    pub fn fresh(of: AttemptOf) -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        Self { of, lease: u64::from_le_bytes(bytes) }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            AttemptOf::Directive { id, attempt } => write!(f, "{id}.{attempt}.{:016x}", self.lease),
            AttemptOf::Step { run, place, attempt, begun } => {
                let part = place.part();
                write!(f, "{run}.{}.{part}.{begun}.{attempt}.{:016x}", place.step, self.lease)
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no id of an attempt; use the one with which it was taken")]
pub struct InvalidAttemptId;

impl FromStr for AttemptId {
    type Err = InvalidAttemptId;

    fn from_str(text: &str) -> Result<Self, InvalidAttemptId> {
        fn read<T: FromStr>(text: &str) -> Result<T, InvalidAttemptId> {
            text.parse().map_err(|_| InvalidAttemptId)
        }
        let parts: Vec<&str> = text.splitn(7, '.').collect();
        let (of, lease) = match parts.as_slice() {
            [id, attempt, lease] => (AttemptOf::Directive { id: read(id)?, attempt: read(attempt)? }, lease),
            [run, step, part, begun, attempt, lease] => {
                let place = Place::from_part(read(step)?, read(part)?);
                (AttemptOf::Step { run: read(run)?, place, attempt: read(attempt)?, begun: read(begun)? }, lease)
            }
            _ => return Err(InvalidAttemptId),
        };
        let lease = u64::from_str_radix(lease, 16).map_err(|_| InvalidAttemptId)?;
        Ok(Self { of, lease })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let (run, begun) = (RunId(Uuid::from_u128(7)), SignalId(Uuid::from_u128(8)));
        let places = [Place::step(3), Place::step(3).item(9_999)];
        let steps = places.map(|place| AttemptOf::Step { run, place, attempt: 2, begun });
        let directive = AttemptOf::Directive { id: DirectiveId(Uuid::from_u128(9)), attempt: 1 };
        for of in steps.into_iter().chain([directive]) {
            let id = AttemptId { of, lease: u64::MAX - 5 };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let long = "1.".repeat(100_000);
        for text in ["", ".", "...", "dir_1.1.1", "a.b.c.d.e.f", "run_1.0.0.sig_1.1.zz", &long] {
            assert_eq!(text.parse::<AttemptId>(), Err(InvalidAttemptId), "{text:.20}");
        }
    }
}
