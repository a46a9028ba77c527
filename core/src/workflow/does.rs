//! What a step does, in a few words for people.

use super::{Finish, Step, StepKind, Wait};

impl Step {
    /// Like `agent forum_summary_agent` or `wait for payment.received`.
    pub fn does(&self) -> String {
        match &self.kind {
            StepKind::Agent { agent, .. } => format!("agent {agent}"),
            StepKind::Function { function, .. } => format!("function {function}"),
            StepKind::Directive { directive, .. } => format!("directive {directive}"),
            StepKind::Wait(wait) => waits(wait),
            StepKind::Workflow { workflow, waits: true, .. } => format!("workflow {workflow}"),
            StepKind::Workflow { workflow, waits: false, .. } => format!("start of workflow {workflow}"),
            StepKind::Finish(Finish::Completed { .. }) => "ends the run: completed".to_owned(),
            StepKind::Finish(Finish::Failed { code, .. }) => format!("ends the run: {code}"),
        }
    }
}

fn waits(wait: &Wait) -> String {
    match wait {
        Wait::For(_) => "wait for a while".to_owned(),
        Wait::Until(_) => "wait until a time".to_owned(),
        Wait::Signal { events, .. } => match &events[..] {
            [event] => format!("wait for {}", event.name),
            [event, others @ ..] => format!("wait for {} or {} more", event.name, others.len()),
            [] => "wait for a signal".to_owned(),
        },
        Wait::Input { role, .. } => format!("wait for an answer, role {}", role.as_str()),
        Wait::Callback { .. } => "wait for a report".to_owned(),
    }
}
