//! Operate: what people do to a run, by directives. It is decided before the directive settles, so that
//! one that may not be says so, and is recorded after it.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{self, Illegal, Place};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Failure, Party, RunId};

use super::{Cascade, Decided};
use crate::directives::Unable;

impl Cascade<'_> {
    /// What a run would come to, for the directive that asks for it.
    pub(crate) fn operate(
        &mut self,
        directive: &Directive,
        id: RunId,
        input: run::Input,
    ) -> Result<Box<Decided>, Unable> {
        match self.decide_run(directive.tenant, id, input, Some(directive.id.into()))? {
            Some(Ok(decided)) => Ok(Box::new(decided)),
            Some(Err(illegal)) => Err(failure_of(illegal).into()),
            None => Err(no_run(id).into()),
        }
    }

    /// The place of a step in a run, by the names that people use.
    pub(crate) fn place_of(
        &mut self,
        directive: &Directive,
        id: RunId,
        step: &str,
        item: Option<u32>,
    ) -> Result<Place, Unable> {
        let open = self.find_run(directive.tenant, id)?.ok_or_else(|| no_run(id))?;
        let index = open.workflow.index.get(step).copied();
        let missing = || Failure::fatal("not_found", format!("the run has no step `{step}`"));
        let place = Place::step(index.ok_or_else(missing)?);
        Ok(Place { item, ..place })
    }

    /// What the one who asks may do. Runs act for those who applied their workflow.
    pub(crate) fn role_of(&self, directive: &Directive) -> Role {
        let actor: &Party = &directive.actor;
        match actor.kind.as_str() {
            "key" => {
                let key = actor.id.parse().ok().and_then(|id| self.directory.key_by_id(directive.tenant, id));
                key.map_or(Role::Viewer, |key| key.role)
            }
            "operator" => Role::Owner,
            _ => Role::Member,
        }
    }

    pub(crate) fn want_role(&self, directive: &Directive, wanted: Role) -> Result<(), Failure> {
        if self.role_of(directive) >= wanted {
            return Ok(());
        }
        Err(Failure::fatal("role_missing", format!("`{}` wants the role {}", directive.name, wanted.as_str())))
    }
}

pub(crate) fn no_run(id: RunId) -> Failure {
    Failure::fatal("not_found", format!("there is no run `{id}`"))
}

fn failure_of(illegal: Illegal) -> Failure {
    let code = match illegal {
        Illegal::Ended(_) => "run_ended",
        Illegal::Status(..) | Illegal::Finished { .. } | Illegal::Undone(_) => "run_status",
        Illegal::StepStatus(..) => "step_status",
        Illegal::NoSuchPlace => "not_found",
        Illegal::Unfit(_) => "input_invalid",
        Illegal::Role(_) => "role_missing",
        Illegal::Stale(_) | Illegal::NotDue | Illegal::NoMatch => "conflict",
    };
    Failure::fatal(code, illegal.to_string())
}
