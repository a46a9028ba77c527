//! `signal.offer`: the rest of an earlier cascade whose budget was spent. Signals that have not been offered to all that
//! wait for them or subscribe to them are offered to the others, a wait that looks back goes on where it stopped, and
//! so does granting a lock.
//!
//! Only the engine requests it, and nothing else may settle it: what it names would be lost. It is a directive so that a
//! crash loses nothing: one that is requested and not begun is begun after a restart. Its own signals are offered to
//! nothing, or offering them would never end.

use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Place;
use fleetprompt_core::{Failure, Json, Name, RunId, SignalId, Slug, Timestamp};
use serde::{Deserialize, Serialize};

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::Cascade;
use crate::standing::LockWaiter;

pub(crate) struct SignalOffer;

pub(crate) const NAME: &str = "signal.offer";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Rest {
    Signals {
        signal_ids: Vec<SignalId>,
        /// Where the first of them goes on; the others have not been offered at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Candidate>,
    },
    Lookback(Lookback),
    /// A lock that is free is granted to those that wait for it.
    Lock {
        name: Arc<str>,
        /// The last one that was passed over, because its run does not run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<LockWaiter>,
    },
}

impl Rest {
    pub fn of(directive: &Directive) -> Result<Self, Failure> {
        read(NAME, &directive.payload).map_err(|message| Failure::fatal("payload_invalid", message))
    }
}

/// Something that a signal is offered to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Candidate {
    Wait { run_id: RunId, place: Place },
    Workflow(Slug),
}

/// A wait that is offered signals from before it began.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lookback {
    pub run_id: RunId,
    pub place: Place,
    pub names: Vec<Name>,
    pub since: Timestamp,
    /// The last signal that it was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SignalId>,
    /// How many it was offered.
    #[serde(default)]
    pub offered: usize,
}

impl BuiltIn for SignalOffer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Continues to offer signals where a commit was full; the engine requests it"
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        read::<Rest>(NAME, payload).map(drop)
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        cascade.offer_rest(directive, Rest::of(directive)?)?;
        Ok(Handled::with(Json::null()))
    }
}
