//! Effects that waited for a slot and have one now: their run or directive is read again, and they begin. What has ended
//! in the meantime, or is another attempt by now, gives its slot back.

use std::sync::Arc;

use fleetprompt_core::SignalId;
use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::Effect;

use super::{AGAIN_AFTER, Decider};
use crate::cache::OpenRun;
use crate::perform::{EffectId, Ready, offered};

/// Effects that begin together; then whatever else waits has its turn.
const READY_MAX: usize = 64;

enum Found {
    Directive(Arc<Directive>),
    Step(Box<(OpenRun, Effect)>, SignalId),
    /// It is not in flight any more.
    Nothing,
}

impl Decider {
    pub(super) fn begin_ready(&mut self, first: Option<Ready>) {
        let now = self.monotonic.now();
        let again = self.ready_again.extract_if(.., |(at, _)| *at <= now).map(|(_, ready)| ready);
        let ready: Vec<Ready> = first.into_iter().chain(again).chain(self.ready.try_iter().take(READY_MAX)).collect();
        for ready in ready {
            if let EffectId::Directive { id, .. } = ready.effect
                && self.unsent.skip_canceled(id)
            {
                continue;
            }
            let found = self.find_ready(&ready);
            if let (Ok(_), EffectId::Directive { id, .. }) = (&found, ready.effect) {
                self.unsent.remove(id);
            }
            match found {
                Ok(Found::Directive(directive)) => self.performer.directive_in(directive, ready.slot),
                Ok(Found::Step(step, begun)) => self.performer.step_in(&step.0, step.1, begun, ready.slot),
                Ok(Found::Nothing) => {}
                Err(error) => {
                    tracing::warn!(target: "store", %error, effect = ?ready.effect, "cannot read an effect; it begins later");
                    self.ready_again.push((now + AGAIN_AFTER, ready));
                }
            }
        }
    }

    fn find_ready(&mut self, ready: &Ready) -> Result<Found, fleetprompt_store::Error> {
        let tenant = ready.slot.tenant;
        match ready.effect {
            EffectId::Directive { id, attempt } => {
                let directive = self.cache.directive(tenant, id)?;
                let is_it = |directive: &Arc<Directive>| directive.is_in_flight() && directive.attempt == attempt;
                Ok(directive.filter(is_it).map_or(Found::Nothing, Found::Directive))
            }
            EffectId::Step { run, place, attempt, begun } => {
                let Some(open) = self.cache.run(tenant, run)? else { return Ok(Found::Nothing) };
                let effect = offered::effect(&self.directory.load(), &open, place, attempt, begun);
                Ok(effect.map_or(Found::Nothing, |effect| Found::Step(Box::new((open, effect)), begun)))
            }
        }
    }
}
