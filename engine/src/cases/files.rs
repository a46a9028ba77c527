//! The definitions that a test file names, and stand-ins for those that it does not: a workflow can be
//! tried without the agents, directive types and workflows that it asks, since the test answers for
//! them. What is given is checked as it would be in production.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetprompt_core::agent::{self, Agent};
use fleetprompt_core::diagnostic::{Diagnostic, codes};
use fleetprompt_core::directive::{DirectiveType, Handler};
use fleetprompt_core::document::{self, Format};
use fleetprompt_core::workflow::{self, Catalog, StepKind, Workflow};
use fleetprompt_core::{Json, Name, Slug};
use serde_json::json;

use super::read::Unreadable;
use crate::directives;

/// Reads a file by the name that a test gives it, or says why not.
pub type Load<'a> = &'a dyn Fn(&str) -> Result<String, String>;

#[derive(Debug)]
pub struct Definitions {
    /// The one that is tried.
    pub(super) workflow: Arc<Workflow>,
    /// Those that it starts and that are really run.
    pub(super) workflows: Vec<Arc<Workflow>>,
    pub(super) agents: Vec<Arc<Agent>>,
    pub(super) directive_types: Vec<DirectiveType>,
}

/// A file and what stands in it.
pub(super) struct Named {
    pub file: String,
    pub text: String,
}

impl Named {
    fn format(&self) -> Format {
        Format::of(self.file.as_ref(), &self.text)
    }

    fn unreadable(self, diagnostics: Vec<Diagnostic>) -> Unreadable {
        Unreadable { file: Some(self.file), text: self.text, diagnostics }
    }
}

pub(super) fn workflow(named: Named) -> Result<Workflow, Unreadable> {
    let functions = crate::functions::all().iter().map(|function| function.name.to_owned());
    let catalog = Catalog { functions: Some(functions.collect()), ..Catalog::default() };
    match workflow::read(&named.text, named.format(), &catalog) {
        Ok((workflow, _)) => Ok(workflow),
        Err(diagnostics) => Err(named.unreadable(diagnostics)),
    }
}

pub(super) fn agent(named: Named) -> Result<Agent, Unreadable> {
    match agent::read(&named.text, named.format()) {
        Ok((agent, _)) => Ok(agent),
        Err(diagnostics) => Err(named.unreadable(diagnostics)),
    }
}

pub(super) fn directive_type(named: Named) -> Result<DirectiveType, Unreadable> {
    let read = document::parse(&named.text, named.format()).and_then(|node| {
        let wrong = |error: fleetprompt_core::directive::InvalidType| {
            vec![Diagnostic::error(codes::WRONG_VALUE, error.to_string())]
        };
        DirectiveType::read(&node.to_value().into()).map_err(wrong)
    });
    read.map_err(|diagnostics| named.unreadable(diagnostics))
}

impl Definitions {
    fn all_workflows(&self) -> impl Iterator<Item = &Workflow> {
        std::iter::once(&self.workflow).chain(&self.workflows).map(AsRef::as_ref)
    }

    fn steps(&self) -> impl Iterator<Item = &workflow::Step> {
        self.all_workflows().flat_map(|workflow| &workflow.steps)
    }

    /// Every agent that some step asks.
    pub(super) fn agents_asked(&self) -> BTreeSet<&Slug> {
        let asked = self.steps().filter_map(|step| match &step.kind {
            StepKind::Agent { agent, .. } => Some(agent),
            _ => None,
        });
        asked.collect()
    }

    /// Every function that workers perform.
    pub(super) fn functions_asked(&self) -> BTreeSet<&str> {
        let asked = self.steps().filter_map(|step| match &step.kind {
            StepKind::Function { function, .. } => Some(function.as_str()),
            _ => None,
        });
        asked.filter(|name| is_workers(name)).collect()
    }

    /// Every directive that is carried out outside.
    pub(super) fn directives_asked(&self) -> BTreeSet<&Name> {
        let asked = self.steps().flat_map(|step| {
            let own = match &step.kind {
                StepKind::Directive { directive, .. } => Some(directive),
                _ => None,
            };
            own.into_iter().chain(step.compensate.as_ref().map(|undo| &undo.directive))
        });
        asked.filter(|name| directives::find(name).is_none()).collect()
    }

    /// Every workflow that is started and not there, with the versions that are wanted of it.
    pub(super) fn workflows_asked(&self) -> BTreeSet<(&Slug, &str)> {
        let asked = self.steps().filter_map(|step| match &step.kind {
            StepKind::Workflow { workflow, version, .. } => Some((workflow, version.as_deref().unwrap_or("1.0.0"))),
            _ => None,
        });
        asked.filter(|(slug, _)| self.all_workflows().all(|there| there.slug != **slug)).collect()
    }

    pub(super) fn agent(&self, slug: &Slug) -> Option<&Arc<Agent>> {
        self.agents.iter().find(|agent| agent.slug == *slug)
    }

    pub(super) fn has_manual_directives(&self) -> bool {
        self.directive_types.iter().any(|of_type| matches!(of_type.handler, Handler::Manual {}))
    }
}

/// Whatever the engine does not do itself is for workers.
pub(super) fn is_workers(function: &str) -> bool {
    crate::functions::find(function).is_none()
}

pub(super) fn function_stand_in(name: &str) -> Json {
    json!({"function": {"name": name, "handler": {"type": "worker"}}}).into()
}

/// Stands in for an agent that is not given; its script is never read.
pub(super) fn agent_stand_in(slug: &Slug) -> Json {
    let agent = json!({
        "slug": slug, "name": slug, "model": {"provider": "scripted"}, "instructions": "The test answers.",
        "script": [{"output": null}],
    });
    json!({"agent": agent}).into()
}

pub(super) fn directive_type_stand_in(name: &Name) -> Json {
    let handler = json!({"type": "http", "url": "https://stand-in.invalid/"});
    json!({"directive_type": {"name": name, "handler": handler}}).into()
}

/// The step that waits in the stand-in for a workflow.
pub(super) const STAND_IN_STEP: &str = "scripted";

/// A workflow that comes to whatever is reported to it.
pub(super) fn workflow_stand_in(slug: &Slug, version: &str) -> Json {
    let workflow = json!({
        "name": slug, "slug": slug, "version": version,
        "steps": [{"id": STAND_IN_STEP, "type": "wait", "callback": true}],
        "output": format!("${{steps.{STAND_IN_STEP}.output}}"),
    });
    json!({"workflow": workflow}).into()
}
