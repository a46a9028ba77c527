//! Schedules: the newest document counts; what operators order is decided like what is due, and
//! recorded with who ordered it and why.

use std::sync::Arc;

use fleetprompt_core::schedule::{Input, Schedule, Status};
use fleetprompt_core::{Scope, Slug};

use super::Change;
use crate::batch::Decider;
use crate::compile::Compiled;
use crate::input::{AppliedSchedule, OrderedSchedule, ScheduleOrder};
use crate::{Error, Refusal};

const SCHEDULES_MAX: usize = 10_000;
const REASON_CHARS_MAX: usize = 1_000;

impl Decider {
    pub(super) fn schedule_apply(
        &mut self,
        scope: &Scope,
        Compiled { value: schedule, warnings }: Compiled<Schedule>,
    ) -> Result<Change<AppliedSchedule>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let known = tenant.schedules.get(&schedule.slug).map(|known| known.entry());
        let same = |digest: &str, status| digest == schedule.digest && status != Status::Archived;
        if let Some(entry) = known.as_ref().filter(|known| same(&known.digest, known.state.status)) {
            let answer = AppliedSchedule { entry: entry.clone(), changed: false, warnings };
            return Ok(Change { open, directory, answer });
        }
        if known.is_none() && tenant.schedules.len() >= SCHEDULES_MAX {
            let message = format!("this tenant has {SCHEDULES_MAX} schedules, and more are not kept in memory");
            return Err(Refusal::conflict("schedules_too_many", message).into());
        }
        let (slug, by) = (schedule.slug.clone(), scope.actor.clone());
        self.attempt(&mut open, |cascade| cascade.schedule_apply(scope.tenant, Arc::new(schedule), by))?;
        let row = open.stage.schedule(scope.tenant, &slug).ok_or_else(|| Refusal::not_found("schedule", &slug))?;
        tenant.put_schedule(row.clone());
        let answer = AppliedSchedule { entry: row.entry.clone(), changed: true, warnings };
        Ok(Change { open, directory, answer })
    }

    pub(super) fn schedule_order(
        &mut self,
        scope: &Scope,
        slug: &Slug,
        order: ScheduleOrder,
        reason: Option<String>,
    ) -> Result<Change<OrderedSchedule>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        check_reason(reason.as_deref())?;
        let by = scope.actor.clone();
        let input = match order {
            ScheduleOrder::Pause => Input::Pause { by, reason },
            ScheduleOrder::Resume => Input::Resume { by, reason },
            ScheduleOrder::Trigger => Input::Trigger { by, reason },
            ScheduleOrder::Backfill { from, to } => Input::Backfill { by, reason, from, to },
            ScheduleOrder::Archive => Input::Archive { by, reason },
        };
        let fires = self.attempt(&mut open, |cascade| cascade.schedule_order(scope.tenant, slug, input))?;
        let row = open.stage.schedule(scope.tenant, slug).ok_or_else(|| Refusal::not_found("schedule", slug))?;
        tenant.put_schedule(row.clone());
        let answer = OrderedSchedule { entry: row.entry.clone(), fires };
        Ok(Change { open, directory, answer })
    }
}

fn check_reason(reason: Option<&str>) -> Result<(), Refusal> {
    if reason.is_none_or(|reason| reason.chars().nth(REASON_CHARS_MAX).is_none()) {
        return Ok(());
    }
    Err(Refusal::invalid("reason_too_long", format!("`reason` has at most {REASON_CHARS_MAX} characters")))
}
