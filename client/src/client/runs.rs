//! Endpoints of runs.

use fleetprompt_core::RunId;
use futures_util::Stream;

use super::query::PageQuery;
use super::tail::tail;
use super::{Client, Error, InputQuery, ItemQuery, RunQuery};
use crate::wire::{InputRequest, Page, Run, RunDetail, Signal, Step, Timeline, Why};

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

    /// The items of a step that goes over a list, in their order.
    pub async fn item_list(&self, id: RunId, step: &str, query: &ItemQuery) -> Result<Page<Step>, Error> {
        let mut url = self.endpoint(&["v1", "runs", &id.to_string(), "steps", step, "items"]);
        query.write(&mut url);
        self.get(url).await
    }

    /// What waits for somebody's answer, what waits longest first.
    pub async fn input_list(&self, query: &InputQuery) -> Result<Page<InputRequest>, Error> {
        let mut url = self.endpoint(&["v1", "inputs"]);
        query.write(&mut url);
        self.get(url).await
    }

    /// The run's signals from its beginning, as they come; ends when the run has ended.
    pub fn run_live(&self, id: RunId) -> impl Stream<Item = Result<Signal, Error>> + use<> {
        tail(self.clone(), self.endpoint(&["v1", "runs", &id.to_string(), "live"]), None)
    }
}
