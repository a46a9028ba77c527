//! Attempts of directives that this engine has begun and that wait for a slot: nothing of them has left the process, so
//! one that is canceled ends at once. Its entry stays in the queue of the slots and is passed over when its turn comes,
//! also if the directive was reopened in the meantime and waits again.

use std::collections::HashMap;

use fleetprompt_core::DirectiveId;

use crate::perform::Sent;

#[derive(Default)]
pub(crate) struct UnsentAttempts(HashMap<DirectiveId, Unsent>);

struct Unsent {
    /// The attempt that waits. `None` if only canceled ones are left in the queue.
    attempt: Option<u32>,
    /// Number of canceled attempts in the queue.
    canceled: u32,
}

impl UnsentAttempts {
    /// Notes an attempt that begins. One that waited before it was canceled, or there would be no other.
    pub fn begin(&mut self, id: DirectiveId, attempt: u32, sent: Sent) {
        let before = self.0.remove(&id);
        let canceled = before.map_or(0, |before| before.canceled + u32::from(before.attempt.is_some()));
        let attempt = (sent == Sent::Later).then_some(attempt);
        if attempt.is_some() || canceled > 0 {
            self.0.insert(id, Unsent { attempt, canceled });
        }
    }

    /// The attempt of a directive that waits.
    pub fn attempt(&self, id: DirectiveId) -> Option<u32> {
        self.0.get(&id)?.attempt
    }

    /// Returns `true` if the slot that is there for a directive is that of a canceled attempt, and forgets this one.
    pub fn skip_canceled(&mut self, id: DirectiveId) -> bool {
        let Some(unsent) = self.0.get_mut(&id).filter(|unsent| unsent.canceled > 0) else { return false };
        unsent.canceled -= 1;
        if unsent.canceled == 0 && unsent.attempt.is_none() {
            self.0.remove(&id);
        }
        true
    }

    /// The attempt of a directive that waited is sent, or over.
    pub fn remove(&mut self, id: DirectiveId) {
        self.0.remove(&id);
    }
}
