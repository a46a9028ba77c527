//! Descent: the root of a run's chain of causes, and the run's position among the descendants of that root.
//!
//! A root is a record without a cause: a signal from outside, a directive of a caller, a fire of a schedule. A
//! descendant is a run that another run led to, by a signal, by a step or by its end. The engine limits how many
//! descendants one root may have, because two workflows that start each other would otherwise never stop.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{RecordId, Slug};

/// Position of a run among the descendants of its root. It is stored with the run, so the counters of a root follow
/// from the rows of its newest runs and need no row of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descent {
    pub root: RecordId,
    /// Everything that the root had led to when this run was started.
    #[serde(flatten)]
    pub before: Descendants,
    /// Workflows of the runs between the root and this run, each once.
    pub workflows: Vec<Slug>,
}

/// Number of runs that descend from a root, and of the signals that these runs recorded with their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Descendants {
    pub runs: u64,
    pub signals: u64,
    pub bytes: u64,
}

/// What a run leads to inherits this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestry {
    pub root: RecordId,
    pub workflows: Vec<Slug>,
}

impl Descent {
    /// Maximum number of different workflows on the path from a root to one of its descendants.
    pub const WORKFLOWS_MAX: usize = 100;
}

impl std::ops::Add for Descendants {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { runs: self.runs + other.runs, signals: self.signals + other.signals, bytes: self.bytes + other.bytes }
    }
}

impl std::ops::AddAssign for Descendants {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::Sub for Descendants {
    type Output = Self;

    /// Saturates at zero.
    fn sub(self, other: Self) -> Self {
        Self {
            runs: self.runs.saturating_sub(other.runs),
            signals: self.signals.saturating_sub(other.signals),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl Run {
    /// The ancestry of every run that this run leads to.
    pub fn ancestry(&self) -> Ancestry {
        let cause = self.signal_id.map_or(self.directive_id.into(), RecordId::from);
        let (root, mut workflows) = match self.descent.as_deref() {
            Some(descent) => (descent.root, descent.workflows.clone()),
            None => (cause, Vec::new()),
        };
        if !workflows.contains(&self.workflow) {
            workflows.push(self.workflow.clone());
        }
        Ancestry { root, workflows }
    }

    /// The root that counts this run as a descendant. `None` if the run was started by a root itself.
    pub fn counted_root(&self) -> Option<RecordId> {
        self.descent.as_deref().map(|descent| descent.root)
    }
}
