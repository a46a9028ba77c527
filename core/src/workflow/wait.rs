//! What a step of type `wait` waits for.

pub(super) mod read;

use crate::expression::{Expression, Template};
use crate::schema::Schema;
use crate::tenant::Role;
use crate::{Name, Span};

#[derive(Debug)]
pub enum Wait {
    /// Gives a duration like `15m`.
    For(Template),
    /// Gives a time like `2026-11-22T09:30:00Z`. One that has passed ends the wait at once.
    Until(Template),
    /// The first signal that fits one of these.
    Signal {
        events: Vec<EventMatch>,
        /// Which signals from before the wait began count as well.
        lookback: Option<Lookback>,
        /// A signal that ends this wait ends no other wait of the run that consumes. `false`: the wait takes a copy,
        /// whoever else takes the signal.
        consumes: bool,
    },
    /// Somebody with the role answers.
    Input {
        prompt: Option<Template>,
        role: Role,
        schema: Option<Schema>,
        /// By rising `after`.
        escalations: Vec<Escalation>,
    },
    /// Somebody outside reports under the step's key.
    Callback { schema: Option<Schema> },
}

impl Wait {
    pub const EVENTS_MAX: usize = 16;
    pub const MATCHES_MAX: usize = 8;
    pub const ESCALATIONS_MAX: usize = 8;
}

#[derive(Debug)]
pub struct EventMatch {
    pub name: Name,
    /// What must stand where in the signal: a path like `payload.order_id`, and what gives the value
    /// when the wait begins.
    pub matches: Vec<(Vec<String>, Template)>,
    /// Asked of each signal that fits so far, as `event`.
    pub when: Option<Expression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookback {
    /// Since the run began.
    Run,
    /// So long before the wait began.
    For(Span),
}

/// When nobody answered `after` the wait began, those with `role` may as well, and a signal
/// `workflow.step.escalated` says so.
#[derive(Debug)]
pub struct Escalation {
    pub after: Span,
    pub role: Role,
}
