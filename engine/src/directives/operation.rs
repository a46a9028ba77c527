//! What the directives that do something to a run have in common: who may ask, which run is meant, and
//! what it is told.

use std::marker::PhantomData;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Failure, Json, RunId, run};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{BuiltIn, Handled, Unable, read};
use crate::cascade::Cascade;

/// The payload of such a directive.
pub(super) trait OnRun: DeserializeOwned + Send + Sync {
    const NAME: &'static str;
    const SUMMARY: &'static str;
    /// The least role of those who may ask for it.
    const ROLE: Role;

    /// What is wrong with it that its shape does not say.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn run_id(&self) -> RunId;

    /// What the run is told.
    fn input(self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<run::Input, Unable>;
}

pub(super) struct Operation<P>(PhantomData<fn() -> P>);

impl<P> Operation<P> {
    pub const NEW: Self = Self(PhantomData);
}

impl<P: OnRun> BuiltIn for Operation<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn summary(&self) -> &'static str {
        P::SUMMARY
    }

    fn check(&self, payload: &Json) -> Result<(), String> {
        let wrong = |message| format!("the payload of `{}`: {message}", P::NAME);
        read::<P>(P::NAME, payload)?.check().map_err(wrong)
    }

    fn handle(&self, cascade: &mut Cascade<'_>, directive: &Directive) -> Result<Handled, Unable> {
        let invalid = |message| Failure::fatal("payload_invalid", message);
        let payload: P = read(P::NAME, &directive.payload).map_err(invalid)?;
        cascade.want_role(directive, P::ROLE)?;
        let run_id = payload.run_id();
        let input = payload.input(cascade, directive)?;
        let decided = Some(cascade.operate(directive, run_id, input)?);
        Ok(Handled { decided, ..Handled::with(json!({"run_id": run_id}).into()) })
    }
}

/// Why somebody steps in: on record for ever, so it is asked for.
pub(super) fn check_reason(reason: &str) -> Result<(), String> {
    const CHARS_MAX: usize = 1_000;
    match reason.trim().is_empty() || reason.chars().count() > CHARS_MAX {
        true => Err(format!("`reason` says why, in 1 to {CHARS_MAX} characters")),
        false => Ok(()),
    }
}
