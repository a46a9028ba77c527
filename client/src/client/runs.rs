//! Endpoints of runs.

use fleetprompt_core::RunId;
use futures_util::Stream;

use super::call::Repeat;
use super::query::PageQuery;
use super::tail::tail;
use super::{Client, Error, RunQuery};
use crate::wire::{Cancel, Page, Run, RunDetail, Signal, Timeline, Why};

impl Client {
    /// Newest first, without their steps.
    pub async fn run_list(&self, query: &RunQuery) -> Result<Page<Run>, Error> {
        let mut url = self.endpoint(&["v1", "runs"]);
        query.write(&mut url);
        self.get(url).await
    }

    pub async fn run_get(&self, id: RunId) -> Result<RunDetail, Error> {
        self.get(self.endpoint(&["v1", "runs", &id.to_string()])).await
    }

    /// One page of the run's signals; the rest is the same on every page.
    pub async fn run_timeline_page(&self, id: RunId, page: &PageQuery) -> Result<Timeline, Error> {
        let mut url = self.endpoint(&["v1", "runs", &id.to_string(), "timeline"]);
        page.write(&mut url);
        self.get(url).await
    }

    /// Everything on record about the run: the signals of all pages.
    pub async fn run_timeline(&self, id: RunId) -> Result<Timeline, Error> {
        let mut whole = self.run_timeline_page(id, &PageQuery::default()).await?;
        while let Some(cursor) = whole.next_cursor.take() {
            let next = self.run_timeline_page(id, &PageQuery { limit: None, cursor: Some(cursor) }).await?;
            whole.signals.extend(next.signals);
            whole.run = next.run;
            whole.next_cursor = next.next_cursor;
        }
        Ok(whole)
    }

    pub async fn run_why(&self, id: RunId) -> Result<Why, Error> {
        self.get(self.endpoint(&["v1", "runs", &id.to_string(), "why"])).await
    }

    pub async fn run_cancel(&self, id: RunId, cancel: &Cancel) -> Result<RunDetail, Error> {
        self.post(self.endpoint(&["v1", "runs", &id.to_string(), "cancel"]), cancel, Repeat::Never).await
    }

    /// The run's signals from its beginning, as they come; ends when the run has ended.
    pub fn run_live(&self, id: RunId) -> impl Stream<Item = Result<Signal, Error>> + use<> {
        tail(self.clone(), self.endpoint(&["v1", "runs", &id.to_string(), "live"]), None)
    }
}
