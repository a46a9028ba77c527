//! Endpoints of schedules.

use fleetprompt_core::document::Format;
use fleetprompt_core::{Slug, Timestamp};
use reqwest::Url;

use super::call::Repeat;
use super::query::add;
use super::workflows::content_type;
use super::{Client, Error, PageQuery};
use crate::wire::{AppliedSchedule, BackfillSchedule, FiredSchedule, OrderSchedule, Page, Schedule, ScheduleFire};

impl Client {
    pub async fn schedule_apply(&self, document: &str, format: Format) -> Result<AppliedSchedule, Error> {
        let url = self.endpoint(&["v1", "schedules"]);
        self.post_bytes(url, document.into(), content_type(format), Repeat::Safe).await
    }

    pub async fn schedule_list(&self, page: &PageQuery) -> Result<Page<Schedule>, Error> {
        let mut url = self.endpoint(&["v1", "schedules"]);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn schedule_get(&self, slug: &Slug) -> Result<Schedule, Error> {
        self.get(self.endpoint(&["v1", "schedules", slug.as_str()])).await
    }

    /// What comes after a moment, or else after now.
    pub async fn schedule_fires(
        &self,
        slug: &Slug,
        after: Option<Timestamp>,
        limit: Option<u32>,
    ) -> Result<Page<ScheduleFire>, Error> {
        let mut url = self.schedule(slug, "fires");
        add(&mut url, "after", &after);
        add(&mut url, "limit", &limit);
        self.get(url).await
    }

    pub async fn schedule_pause(&self, slug: &Slug, order: &OrderSchedule) -> Result<Schedule, Error> {
        self.post(self.schedule(slug, "pause"), order, Repeat::Never).await
    }

    pub async fn schedule_resume(&self, slug: &Slug, order: &OrderSchedule) -> Result<Schedule, Error> {
        self.post(self.schedule(slug, "resume"), order, Repeat::Never).await
    }

    pub async fn schedule_archive(&self, slug: &Slug, order: &OrderSchedule) -> Result<Schedule, Error> {
        self.post(self.schedule(slug, "archive"), order, Repeat::Never).await
    }

    /// Each of these fires once more.
    pub async fn schedule_trigger(&self, slug: &Slug, order: &OrderSchedule) -> Result<FiredSchedule, Error> {
        self.post(self.schedule(slug, "trigger"), order, Repeat::Never).await
    }

    /// What has fired does not fire again.
    pub async fn schedule_backfill(&self, slug: &Slug, backfill: &BackfillSchedule) -> Result<FiredSchedule, Error> {
        self.post(self.schedule(slug, "backfill"), backfill, Repeat::Safe).await
    }

    fn schedule(&self, slug: &Slug, verb: &str) -> Url {
        self.endpoint(&["v1", "schedules", slug.as_str(), verb])
    }
}
