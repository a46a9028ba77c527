//! Revisions of the language. A version that was stored keeps the meaning that the language had when it was applied; its
//! row says which revision that was.

use super::{StepKind, Wait, Workflow};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LanguageRevision(pub u16);

impl LanguageRevision {
    /// Every wait of a run takes a signal that fits, whether another took it or not.
    pub const FIRST: Self = Self(1);
    /// A signal is consumed by one wait of a run, unless it says `consume: false`.
    pub const CONSUMING_WAITS: Self = Self(2);
    /// What is applied now.
    pub const CURRENT: Self = Self::CONSUMING_WAITS;
}

impl Workflow {
    /// The workflow as it was meant when it was applied. A field that the language did not have then is in no document
    /// of that time.
    pub fn in_revision(mut self, revision: LanguageRevision) -> Self {
        if revision < LanguageRevision::CONSUMING_WAITS {
            for step in &mut self.steps {
                if let StepKind::Wait(Wait::Signal { consumes, .. }) = &mut step.kind {
                    *consumes = false;
                }
            }
        }
        self
    }
}
