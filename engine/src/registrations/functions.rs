//! What a tenant's steps may call besides the engine's own functions: those that workers perform, and those that
//! its modules are called for.

use std::sync::Arc;

use fleetprompt_core::function::Function;
use fleetprompt_core::registration::FunctionEntry;
use fleetprompt_core::{Json, Party, Scope};
use serde_json::json;

use super::Change;
use crate::batch::Decider;
use crate::{AppliedFunction, Error, Refusal, functions};

impl Decider {
    pub(super) fn function_apply(&mut self, scope: &Scope, document: &Json) -> Result<Change<AppliedFunction>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let function = Function::read_new(document)
            .map_err(|error| Refusal::invalid("function_invalid", format!("the function cannot be used: {error}")))?;
        if let Some(module) = function.module().filter(|module| !tenant.modules.contains_key(module)) {
            let message = format!("handler.module: there is no module {module}; upload it first");
            return Err(Refusal::invalid("module_unknown", message).into());
        }
        let known = tenant.functions.get(&function.name);
        if let Some((entry, _)) = known.filter(|(entry, _)| entry.document.value() == function.document.value()) {
            let answer = AppliedFunction { entry: entry.clone(), changed: false };
            return Ok(Change { open, directory, answer });
        }
        // One that was there before the engine had its own of that name goes on.
        if known.is_none() && functions::is_of_engine(function.name.as_str()) {
            let family = function.name.as_str().split('.').next().unwrap_or_default();
            let message = format!("functions that begin with `{family}.` are the engine's; choose another name");
            return Err(Refusal::invalid("function_reserved", message).into());
        }
        let entry = FunctionEntry {
            tenant: scope.tenant,
            name: function.name.clone(),
            document: function.document.clone(),
            updated_at: self.moment.now(),
        };
        open.stage.registered.functions.push(entry.clone());
        let payload = json!({"function": entry.name, "handler": function.handler.as_str()});
        let subject = Party::new("function", &entry.name);
        self.audit(&mut open, scope.tenant, &scope.actor, "function.applied", subject, payload)?;
        tenant.functions.insert(entry.name.clone(), (entry.clone(), Arc::new(function)));
        Ok(Change { open, directory, answer: AppliedFunction { entry, changed: true } })
    }
}
