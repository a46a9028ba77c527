//! The log of refused signals: one line for each workflow and minute, however many signals it refuses.

use std::collections::HashMap;

use fleetprompt_core::{Slug, TenantId, Timestamp};

use crate::cascade::Stage;

const MINUTE_US: i64 = 60_000_000;

#[derive(Default)]
pub(super) struct RefusalLog {
    minute: i64,
    /// Signals refused in this minute.
    refused: HashMap<(TenantId, Slug), u64>,
    /// Signals refused in the minute before.
    before: HashMap<(TenantId, Slug), u64>,
}

impl RefusalLog {
    pub fn note(&mut self, stage: &Stage, now: Timestamp) {
        if stage.refusals.is_empty() {
            return;
        }
        let minute = now.0.div_euclid(MINUTE_US);
        if minute != self.minute {
            let ended = std::mem::take(&mut self.refused);
            self.before = if minute == self.minute + 1 { ended } else { HashMap::new() };
            self.minute = minute;
        }
        for (tenant, workflow, reason) in &stage.refusals {
            let key = (*tenant, workflow.clone());
            let refused = self.refused.entry(key).or_default();
            *refused += 1;
            if *refused == 1 {
                let before = self.before.get(&(*tenant, workflow.clone())).copied().unwrap_or_default();
                tracing::warn!(
                    target: "route", %tenant, %workflow, reason = reason.as_str(), refused_in_minute_before = before,
                    "a workflow refused a signal that it subscribes to; `fleetprompt workflow show` says why"
                );
            }
        }
    }
}
