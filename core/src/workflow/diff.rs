//! What differs between two versions of a workflow: not in their text, but in what they mean.
//!
//! Documents are compared in the one form of each thing that `meaning` gives them, and edges as they
//! were compiled, so that another spelling, another order of fields or a default written out is no
//! difference. What a version may do to the world comes first: it is what a reviewer looks for.

mod fields;
mod meaning;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{EdgeKind, On, Step, Workflow};
use crate::{Name, Slug};

pub use fields::Change;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    pub from: Version,
    pub to: Version,
    pub permissions: Permissions,
    /// Fields of the workflow as a whole, like `trigger.when` or `concurrency.limit`.
    pub workflow: Vec<Change>,
    pub steps: Vec<StepChange>,
    pub edges: Vec<EdgeChange>,
    pub runs: Runs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    pub slug: Slug,
    pub version: String,
    pub digest: String,
}

/// Which directives may be requested that might not before, and the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Permissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widened: Option<Grant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub narrowed: Option<Grant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// All that are not listed in the other version.
    Any,
    These(Vec<Name>),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum StepChange {
    Added { step: String, does: String },
    Removed { step: String, does: String },
    Changed { step: String, does: String, fields: Vec<Change> },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EdgeChange {
    pub from: String,
    pub to: String,
    /// `needs`, `order`, or what a transition is taken on.
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    pub added: bool,
}

/// Whether a run that has begun on the one version could go on by the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// It could not where one of these has begun.
    pub unless_begun: Vec<Blocker>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    pub step: String,
    pub because: Because,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Nothing is there that its output could belong to.
    Removed,
    /// Its output is another thing.
    Type,
    /// Its output becomes a list, or is one no more.
    ForEach,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.permissions == Permissions::default()
            && self.workflow.is_empty()
            && self.steps.is_empty()
            && self.edges.is_empty()
    }
}

pub fn diff(from: &Workflow, to: &Workflow) -> Diff {
    let (old, new) = (meaning::of(from), meaning::of(to));
    Diff {
        from: version(from),
        to: version(to),
        permissions: permissions(from, to),
        workflow: fields::changes(&old.whole, &new.whole),
        steps: steps(from, to, &old.steps, &new.steps),
        edges: edges(from, to),
        runs: runs(from, to),
    }
}

fn version(workflow: &Workflow) -> Version {
    Version { slug: workflow.slug.clone(), version: workflow.version.clone(), digest: workflow.digest.clone() }
}

fn permissions(from: &Workflow, to: &Workflow) -> Permissions {
    let beyond = |allowed: Option<&Vec<Name>>, others: Option<&Vec<Name>>| match (allowed, others) {
        (_, None) => None,
        (None, Some(_)) => Some(Grant::Any),
        (Some(allowed), Some(others)) => {
            let others: BTreeSet<_> = others.iter().collect();
            let more: BTreeSet<_> = allowed.iter().filter(|name| !others.contains(name)).collect();
            (!more.is_empty()).then(|| Grant::These(more.into_iter().cloned().collect()))
        }
    };
    let (old, new) = (from.may_request_directives.as_ref(), to.may_request_directives.as_ref());
    Permissions { widened: beyond(new, old), narrowed: beyond(old, new) }
}

/// In the order of the new version, and then what is gone.
fn steps(
    from: &Workflow,
    to: &Workflow,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
) -> Vec<StepChange> {
    let changed = |step: &Step| {
        let does = step.does();
        let Some(before) = old.get(&step.id) else {
            return Some(StepChange::Added { step: step.id.clone(), does });
        };
        let fields = fields::changes(before, new.get(&step.id).unwrap_or(&Value::Null));
        (!fields.is_empty()).then(|| StepChange::Changed { step: step.id.clone(), does, fields })
    };
    let gone = from.steps.iter().filter(|step| !to.index.contains_key(&step.id));
    let gone = gone.map(|step| StepChange::Removed { step: step.id.clone(), does: step.does() });
    to.steps.iter().filter_map(changed).chain(gone).collect()
}

fn edges(from: &Workflow, to: &Workflow) -> Vec<EdgeChange> {
    let (old, new) = (edges_of(from), edges_of(to));
    let removed = old.difference(&new).map(|edge| EdgeChange { added: false, ..edge.clone() });
    let mut changes: Vec<_> = removed.chain(new.difference(&old).cloned()).collect();
    changes.sort();
    changes
}

fn edges_of(workflow: &Workflow) -> BTreeSet<EdgeChange> {
    let id = |at: usize| workflow.steps[at].id.clone();
    let edges = workflow.steps.iter().flat_map(|step| step.after.iter().map(move |edge| (step, edge)));
    let of = |(step, edge): (&Step, &super::Edge)| {
        let (kind, when) = match &edge.kind {
            EdgeKind::Needs => ("needs", None),
            EdgeKind::Order => ("order", None),
            EdgeKind::Transition { on, when } => {
                let on = match on {
                    On::Completed => "completed",
                    On::Failed => "failed",
                    On::Settled => "settled",
                };
                (on, when.as_ref().map(|when| when.source().to_owned()))
            }
        };
        EdgeChange { from: id(edge.from), to: step.id.clone(), kind, when, added: true }
    };
    edges.map(of).collect()
}

/// Runs move by the ids of their steps: what has begun must be there, and must mean the same.
fn runs(from: &Workflow, to: &Workflow) -> Runs {
    let because = |old: &Step| {
        let Some(&at) = to.index.get(&old.id) else { return Some(Because::Removed) };
        let new = &to.steps[at];
        if old.kind.name() != new.kind.name() {
            Some(Because::Type)
        } else if old.for_each.is_some() != new.for_each.is_some() {
            Some(Because::ForEach)
        } else {
            None
        }
    };
    let blocker = |step: &Step| because(step).map(|because| Blocker { step: step.id.clone(), because });
    Runs { unless_begun: from.steps.iter().filter_map(blocker).collect() }
}

#[cfg(test)]
mod tests;
