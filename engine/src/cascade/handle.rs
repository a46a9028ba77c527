//! Handle: directive → its handler's effect → succeeded or failed.

use std::sync::Arc;

use fleetprompt_core::directive::{self, Decision, Directive, DirectiveType, HandlerKind, Illegal, Origin};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{self, Start};
use fleetprompt_core::signal::is_plain_text;
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Meter, Name, Party, Scope, Signal, SignalId, Span, TenantId,
};

use super::{Cascade, Work};
use crate::directives::{self, Unable, signal_offer};
use crate::{Error, NewDirective, Refusal, Requested};

/// An intent on its way to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub id: DirectiveId,
    pub tenant: TenantId,
    pub name: Name,
    pub payload: Json,
    pub idempotency_key: String,
    /// The key of the same place in the run that this one does again.
    pub source_key: Option<String>,
    /// There may be a directive under this key already.
    pub again: bool,
    pub retry: Option<RetryPolicy>,
    pub timeout: Option<Span>,
    pub heartbeat: Option<Span>,
    pub origin: Option<Origin>,
    pub actor: Party,
    pub lineage: Lineage,
}

/// A run that a handler of `workflow.run.start` has found everything for.
pub(crate) struct StartRun {
    pub workflow: Arc<Workflow>,
    pub tenant: Arc<Tenant>,
    pub signal: Option<Arc<Signal>>,
    pub start: Start,
}

/// How a directive is to be carried out.
struct Terms {
    handler: HandlerKind,
    retry: RetryPolicy,
    timeout: Option<Span>,
}

impl Cascade<'_> {
    /// A caller's intent: the same key is the same intent, and another intent under it is refused.
    pub fn request(&mut self, scope: &Scope, new: NewDirective) -> Result<Requested, Error> {
        check(&new)?;
        if let Some(known) = self.directive_by_key(scope.tenant, &new.idempotency_key)? {
            return same_intent(known, &new);
        }
        let terms = self.terms(scope.tenant, &new.name, &new.payload)?;
        let id = DirectiveId(self.moment.uuid());
        let lineage = self.lineage(scope.tenant, id, new.correlation_id, new.causation_id)?;
        let intent = Intent {
            id,
            tenant: scope.tenant,
            name: new.name,
            payload: new.payload,
            idempotency_key: new.idempotency_key,
            source_key: None,
            again: false,
            retry: None,
            timeout: None,
            heartbeat: None,
            origin: None,
            actor: scope.actor.clone(),
            lineage,
        };
        self.open(intent, terms)?;
        self.settle()?;
        let directive = self.find_directive(scope.tenant, id)?.ok_or_else(|| Refusal::not_found("directive", id))?;
        Ok(Requested { directive, replayed: false })
    }

    pub fn cancel(&mut self, scope: &Scope, id: DirectiveId, reason: String) -> Result<Arc<Directive>, Error> {
        let is_unsent = self.is_unsent(scope.tenant, id)?;
        self.tell(scope, id, directive::Input::Cancel { by: scope.actor.clone(), reason, is_unsent })
    }

    pub fn report(
        &mut self,
        scope: &Scope,
        id: DirectiveId,
        result: Result<Json, Failure>,
    ) -> Result<Arc<Directive>, Error> {
        self.tell(scope, id, directive::Input::Report { by: scope.actor.clone(), result })
    }

    pub fn heartbeat(&mut self, scope: &Scope, id: DirectiveId) -> Result<Arc<Directive>, Error> {
        self.tell(scope, id, directive::Input::Heartbeat)
    }

    fn tell(&mut self, scope: &Scope, id: DirectiveId, input: directive::Input) -> Result<Arc<Directive>, Error> {
        let found = self.find_directive(scope.tenant, id)?;
        let directive = found.ok_or_else(|| Refusal::not_found("directive", id))?;
        if directives::is_internal(&directive) && !directive.status.is_settled() {
            let message = format!("{id} ({}) is the engine's own and settles by itself", directive.name);
            return Err(Refusal::conflict("directive_reserved", message).into());
        }
        let decision = directive::decide(directive.as_ref().clone(), input, self.moment).map_err(illegal)?;
        self.take_directive(decision)?;
        self.settle()?;
        Ok(self.find_directive(scope.tenant, id)?.unwrap_or(directive))
    }

    /// A step's intent. What was done for it before is not done again; if it may not be, the step learns
    /// why.
    pub(super) fn request_for_step(&mut self, mut intent: Intent) -> Result<(), Error> {
        if let Some(origin) = intent.origin.filter(|origin| origin.place.undo)
            && !self.share_compensation(&mut intent, origin)?
        {
            return Ok(());
        }
        if self.reuse(&intent)? {
            return Ok(());
        }
        match self.terms(intent.tenant, &intent.name, &intent.payload) {
            Ok(terms) => self.open(intent, terms)?,
            Err(Error::Refused(refusal)) => {
                let Some(origin) = intent.origin else { return Ok(()) };
                let failure = Failure::fatal(refusal.code, refusal.message);
                let input = settled(origin, intent.id, None, Err(failure), None);
                self.work.push_back(Work::Advance(intent.tenant, origin.run_id, input));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// How a directive of this name is carried out here; refused if it is not registered, or only for the engine.
    fn terms(&self, tenant: TenantId, name: &Name, payload: &Json) -> Result<Terms, Error> {
        if let Some(built_in) = directives::find(name) {
            if directives::find_requestable(name).is_none() {
                let message =
                    format!("`{name}` is requested by the engine only; `signal.replay` offers a signal again");
                return Err(Refusal::invalid("directive_reserved", message).into());
            }
            built_in.check(payload).map_err(|message| Refusal::invalid("payload_invalid", message))?;
            let handler = HandlerKind::BuiltIn;
            return Ok(Terms { handler, retry: RetryPolicy::default(), timeout: None });
        }
        let registered = &self.tenant(tenant)?.directive_types;
        let Some((_, known)) = registered.get(name) else {
            return Err(directives::unknown(name, registered.keys()).into());
        };
        if let Some(Err(message)) = known.payload_schema.as_ref().map(|schema| schema.validate(payload.value())) {
            return Err(Refusal::invalid("payload_invalid", format!("the payload of `{name}`: {message}")).into());
        }
        let timeout = match known.kind() {
            HandlerKind::Http => Some(known.timeout.unwrap_or(DirectiveType::TIMEOUT_DEFAULT)),
            HandlerKind::Manual | HandlerKind::BuiltIn | HandlerKind::Worker => known.timeout,
        };
        Ok(Terms { handler: known.kind(), retry: known.retry.clone(), timeout })
    }

    fn open(&mut self, intent: Intent, terms: Terms) -> Result<(), Error> {
        let request = directive::Request {
            id: intent.id,
            tenant: intent.tenant,
            name: intent.name,
            payload: intent.payload,
            idempotency_key: intent.idempotency_key,
            handler: terms.handler,
            retry: intent.retry.unwrap_or(terms.retry),
            timeout: intent.timeout.or(terms.timeout),
            heartbeat: intent.heartbeat,
            origin: intent.origin,
            actor: intent.actor,
            lineage: intent.lineage,
        };
        let (tenant, id) = (request.tenant, request.id);
        let decision = directive::request(request, self.moment);
        self.take_directive(decision)?;
        self.begins.push_back((tenant, id));
        Ok(())
    }

    pub(super) fn begin(&mut self, tenant: TenantId, id: DirectiveId) -> Result<(), Error> {
        let Some(directive) = self.find_directive(tenant, id)? else { return Ok(()) };
        if directive.handler != HandlerKind::BuiltIn {
            self.directive(tenant, id, directive::Input::Begin)?;
            return Ok(());
        }
        if directive.status.is_settled() {
            return Ok(());
        }
        let handled = match directives::find(&directive.name) {
            Some(built_in) => built_in.handle(self, &directive),
            None => Err(Failure::fatal("directive_unknown", "this version does not know the directive").into()),
        };
        match handled {
            Ok(handled) => {
                self.settle_built_in(directive.as_ref().clone(), Ok(handled.output))?;
                if let Some(start) = handled.start {
                    self.start_run(start)?;
                }
                if let Some(decided) = handled.decided {
                    self.take_run(*decided);
                }
            }
            Err(Unable::Failed(failure)) => self.settle_built_in(directive.as_ref().clone(), Err(failure))?,
            Err(Unable::Error(error)) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn settle_built_in(&mut self, directive: Directive, result: Result<Json, Failure>) -> Result<(), Error> {
        let attempt = directive.attempt;
        let input = directive::Input::Outcome { attempt, result, execution: None, logs: Vec::new() };
        match directive::decide(directive, input, self.moment) {
            Ok(decision) => drop(self.take_directive(decision)?),
            Err(illegal) => tracing::error!(target: "handle", %illegal, "a built-in directive did not settle"),
        }
        Ok(())
    }

    pub(super) fn withdraw(&mut self, tenant: TenantId, id: DirectiveId, reason: String) -> Result<(), Error> {
        let is_unsent = self.is_unsent(tenant, id)?;
        self.directive(tenant, id, directive::Input::Cancel { by: Party::engine(), reason, is_unsent })?;
        Ok(())
    }

    /// Returns `true` if the current attempt was begun by this engine and has not been sent: it waits for a slot, or for
    /// the commit of this very batch.
    fn is_unsent(&mut self, tenant: TenantId, id: DirectiveId) -> Result<bool, Error> {
        let staged = self.stage.attempts.get(&id).or_else(|| self.before.attempts.get(&id));
        let unsent = staged.map(|staged| staged.attempt).or_else(|| self.unsent.attempt(id));
        let Some(unsent) = unsent else { return Ok(false) };
        Ok(self.find_directive(tenant, id)?.is_some_and(|directive| directive.attempt == unsent))
    }

    pub(super) fn directive(
        &mut self,
        tenant: TenantId,
        id: DirectiveId,
        input: directive::Input,
    ) -> Result<bool, Error> {
        let Some(directive) = self.find_directive(tenant, id)? else { return Ok(false) };
        match directive::decide(directive.as_ref().clone(), input, self.moment) {
            Ok(decision) => {
                self.take_directive(decision)?;
                Ok(true)
            }
            Err(illegal) => {
                tracing::debug!(target: "handle", directive = %id, %illegal, "nothing follows");
                Ok(false)
            }
        }
    }

    /// Stages what was decided; when it settled, the step that asked for it goes on.
    pub(super) fn take_directive(&mut self, decision: Decision) -> Result<Arc<Directive>, Error> {
        let directive = Arc::new(decision.directive);
        self.count_directive(&directive, &decision.signals)?;
        // One that was requested in this cascade has settled at once, and was never deferred.
        if directive.status.is_settled() && self.stage.directive(directive.id).is_none() {
            self.settle_deferred_start(&directive)?;
        }
        let is_offer = directive.name.as_str() == signal_offer::NAME;
        for signal in decision.signals {
            self.meter.charge(Meter::SIGNAL_UNITS);
            match is_offer {
                true => self.stage.put_signal(Arc::new(signal)),
                false => drop(self.record(signal)),
            }
        }
        if decision.perform {
            self.stage.attempts.insert(directive.id, directive.clone());
        }
        self.stage.put_directive(directive.clone());
        if let Some(origin) = directive.origin.filter(|_| directive.status.is_settled()) {
            let input = settled(origin, directive.id, directive.settled_by, outcome_of(&directive), None);
            self.work.push_back(Work::Advance(directive.tenant, origin.run_id, input));
        }
        Ok(directive)
    }

    pub(crate) fn directive_by_key(&mut self, tenant: TenantId, key: &str) -> Result<Option<Arc<Directive>>, Error> {
        if let Some(staged) = self.staged_directive_by_key(tenant, key) {
            return Ok(Some(staged.clone()));
        }
        let known = self.store.directives_by_key(&[(tenant, key.to_owned())])?.into_iter().next().flatten();
        // The same batch may have moved it on since it was stored.
        let later = |known: &Directive| self.stage.directive(known.id).or_else(|| self.before.directive(known.id));
        Ok(known.map(|known| later(&known).cloned().unwrap_or_else(|| Arc::new(known))))
    }
}

pub(super) fn settled(
    origin: Origin,
    directive: DirectiveId,
    by: Option<SignalId>,
    result: Result<Json, Failure>,
    reused: Option<DirectiveId>,
) -> run::Input {
    run::Input::Settled { place: origin.place, directive, by, result, reused }
}

pub(super) fn outcome_of(directive: &Directive) -> Result<Json, Failure> {
    match directive.status {
        directive::Status::Succeeded => Ok(directive.output.clone().unwrap_or_else(Json::null)),
        directive::Status::Canceled => Err(Failure::fatal("canceled", "the directive was canceled")),
        directive::Status::Failed | directive::Status::Requested | directive::Status::Running => {
            let unknown = || Failure::fatal("failed", "the directive failed");
            Err(directive.error.clone().unwrap_or_else(unknown))
        }
    }
}

fn check(new: &NewDirective) -> Result<(), Refusal> {
    if !is_plain_text(&new.idempotency_key) {
        let message = "the idempotency key must have 1 to 255 characters and no control characters";
        return Err(Refusal::invalid("idempotency_key_invalid", message));
    }
    if Directive::is_reserved_key(&new.idempotency_key) {
        let message = "keys that name a run or a signal are made by the engine; choose another idempotency key";
        return Err(Refusal::invalid("idempotency_key_reserved", message));
    }
    if new.correlation_id.as_ref().is_some_and(|id| !is_plain_text(id)) {
        let message = "`correlation_id` must have 1 to 255 characters and no control characters";
        return Err(Refusal::invalid("text_invalid", message));
    }
    let bytes = new.payload.text().len();
    if bytes > Directive::PAYLOAD_BYTES_MAX {
        let message = format!("the payload has {bytes} bytes; at most {} are allowed", Directive::PAYLOAD_BYTES_MAX);
        return Err(Refusal::invalid("payload_too_large", message));
    }
    Ok(())
}

fn same_intent(known: Arc<Directive>, new: &NewDirective) -> Result<Requested, Error> {
    if known.is_same_intent(&new.name, &new.payload) {
        return Ok(Requested { directive: known, replayed: true });
    }
    let message = format!(
        "the idempotency key `{}` belongs to {} ({}), which was requested with another name or payload; \
         a new intent needs a new key",
        new.idempotency_key, known.id, known.name
    );
    Err(Refusal::invalid("idempotency_key_reused", message).into())
}

fn illegal(illegal: Illegal) -> Refusal {
    let code = match illegal {
        Illegal::Settled(_) => "directive_settled",
        Illegal::NotManual(_) => "directive_not_manual",
        Illegal::Stale { .. } | Illegal::NotDue | Illegal::Begun(_) | Illegal::NotReopened(_) => "conflict",
    };
    Refusal::conflict(code, illegal.to_string())
}
