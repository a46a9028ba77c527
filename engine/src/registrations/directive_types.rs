//! Directive types: what a tenant's directives are called, and who carries them out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleetprompt_core::directive::{DirectiveType, Handler, InvalidType};
use fleetprompt_core::registration::DirectiveTypeEntry;
use fleetprompt_core::{Json, Party, Scope};
use serde_json::{Value, json};

use super::Change;
use crate::batch::Decider;
use crate::{AppliedDirectiveType, Error, Refusal};

impl Decider {
    /// Without a secret in the document, the one there is stays, or a new one is made and told once.
    pub(super) fn directive_type_apply(
        &mut self,
        scope: &Scope,
        document: &Json,
    ) -> Result<Change<AppliedDirectiveType>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let mut of_type = read(document)?;
        let known = tenant.directive_types.get(&of_type.name);
        // One that was there before its name was reserved goes on.
        if known.is_none() && of_type.name.is_reserved() {
            return Err(invalid(InvalidType::Reserved(of_type.name)).into());
        }
        let mut made = None;
        if let Handler::Http { secret: None, .. } = &of_type.handler {
            let kept = known.and_then(|(_, known)| secret(&known.handler));
            let secret = kept.unwrap_or_else(|| made.insert(new_secret()).clone());
            of_type = read(&with_secret(document, secret))?;
        }
        if let Some((entry, _)) = known.filter(|(entry, _)| entry.document.value() == of_type.document.value()) {
            let answer = AppliedDirectiveType { entry: entry.clone(), changed: false, secret: None };
            return Ok(Change { open, directory, answer });
        }
        let entry = DirectiveTypeEntry {
            tenant: scope.tenant,
            name: of_type.name.clone(),
            document: of_type.document.clone(),
            updated_at: self.moment.now(),
        };
        open.stage.registered.directive_types.push(entry.clone());
        let payload = json!({"directive_type": entry.name, "handler": of_type.kind()});
        let subject = Party::new("directive_type", &entry.name);
        self.audit(&mut open, scope.tenant, &scope.actor, "directive_type.applied", subject, payload)?;
        tenant.directive_types.insert(entry.name.clone(), (entry.clone(), Arc::new(of_type)));
        Ok(Change { open, directory, answer: AppliedDirectiveType { entry, changed: true, secret: made } })
    }
}

fn read(document: &Json) -> Result<DirectiveType, Refusal> {
    DirectiveType::read_new(document).map_err(invalid)
}

fn invalid(error: InvalidType) -> Refusal {
    Refusal::invalid("directive_type_invalid", error.to_string())
}

fn secret(handler: &Handler) -> Option<String> {
    match handler {
        Handler::Http { secret, .. } => secret.clone(),
        Handler::Manual {} | Handler::Worker { .. } => None,
    }
}

fn with_secret(document: &Json, secret: String) -> Json {
    let mut document = document.value().clone();
    document["directive_type"]["handler"]["secret"] = Value::from(secret);
    document.into()
}

fn new_secret() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    format!("whsec_{}", STANDARD.encode(bytes))
}
