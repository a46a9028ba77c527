//! Agents: the newest document counts; the log keeps when it changed and by whom.

use std::sync::Arc;

use fleetprompt_core::diagnostic::locate;
use fleetprompt_core::document::Format;
use fleetprompt_core::registration::AgentEntry;
use fleetprompt_core::{Party, Scope, agent};
use serde_json::json;

use super::{Change, check_stored, count};
use crate::batch::Decider;
use crate::{AppliedAgent, Error, Refusal};

impl Decider {
    pub(super) fn agent_apply(
        &mut self,
        scope: &Scope,
        text: &str,
        format: Format,
    ) -> Result<Change<AppliedAgent>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let (agent, warnings) = agent::read(text, format).map_err(|diagnostics| {
            let message = format!("the agent has {}; nothing was applied", count(diagnostics.len(), "problem"));
            Refusal::invalid("agent_invalid", message).with_diagnostics(locate(&diagnostics, text))
        })?;
        check_stored(&agent.document)?;
        let warnings = locate(&warnings, text);
        if let Some((entry, _)) = tenant.agents.get(&agent.slug).filter(|(entry, _)| entry.digest == agent.digest) {
            let answer = AppliedAgent { entry: entry.clone(), changed: false, warnings };
            return Ok(Change { open, directory, answer });
        }
        let entry = AgentEntry {
            tenant: scope.tenant,
            slug: agent.slug.clone(),
            document: agent.document.clone(),
            digest: agent.digest.clone(),
            updated_at: self.moment.now(),
        };
        open.stage.registered.agents.push(entry.clone());
        let payload = json!({"agent": entry.slug, "digest": entry.digest, "document": entry.document});
        let subject = Party::new("agent", &entry.slug);
        self.audit(&mut open, scope.tenant, &scope.actor, "agent.applied", subject, payload)?;
        tenant.agents.insert(entry.slug.clone(), (entry.clone(), Arc::new(agent)));
        Ok(Change { open, directory, answer: AppliedAgent { entry, changed: true, warnings } })
    }
}
