//! Endpoints of runs.

use fleetprompt_core::RunId;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

use super::query::{PageQuery, add};
use super::tail::tail;
use super::{Client, Error, InputQuery, ItemQuery, RunQuery};
use crate::wire::{Directive, InputRequest, Page, Run, RunDetail, Signal, Step, Timeline, Why};

/// A run and everything on record about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHistory {
    pub run: Run,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Signal>,
    pub directive: Directive,
    pub signals: Vec<Signal>,
}

impl RunHistory {
    /// Of a run and the first page of its timeline, with the signals of the others.
    pub fn of(run: Run, timeline: Timeline) -> Result<Self, Error> {
        let Timeline { trigger, directive, signals, .. } = timeline;
        let missing = || Error::Unexpected {
            doing: "read the timeline".to_owned(),
            why: "its first page lacks the directive that started the run".to_owned(),
        };
        let directive = directive.ok_or_else(missing)?;
        Ok(Self { run, trigger, directive, signals })
    }
}

impl Client {
    /// Newest first, without their steps.
    pub async fn run_list(&self, query: &RunQuery) -> Result<Page<Run>, Error> {
        let mut url = self.endpoint(&["v1", "runs"]);
        query.write(&mut url);
        self.get(url).await
    }

    /// With all of its steps, which may be on several pages.
    pub async fn run_get(&self, id: RunId) -> Result<RunDetail, Error> {
        let mut detail: RunDetail = self.get(self.endpoint(&["v1", "runs", &id.to_string()])).await?;
        while let Some(cursor) = detail.next_cursor.take() {
            let page = PageQuery { limit: Some(PageQuery::LIMIT_MAX), cursor: Some(cursor) };
            let next = self.step_list(id, &page).await?;
            detail.run.steps.extend(next.items);
            detail.next_cursor = next.next_cursor;
        }
        Ok(detail)
    }

    /// Without its steps.
    pub async fn run_head(&self, id: RunId) -> Result<RunDetail, Error> {
        let mut url = self.endpoint(&["v1", "runs", &id.to_string()]);
        add(&mut url, "steps", &Some(false));
        self.get(url).await
    }

    /// The steps of a run, in the order of its workflow.
    pub async fn step_list(&self, id: RunId, page: &PageQuery) -> Result<Page<Step>, Error> {
        let mut url = self.endpoint(&["v1", "runs", &id.to_string(), "steps"]);
        page.write(&mut url);
        self.get(url).await
    }

    /// One page of the run's signals; the first one has what triggered and started it.
    pub async fn run_timeline_page(&self, id: RunId, page: &PageQuery) -> Result<Timeline, Error> {
        let mut url = self.endpoint(&["v1", "runs", &id.to_string(), "timeline"]);
        page.write(&mut url);
        self.get(url).await
    }

    /// Everything on record about the run: the signals of all pages.
    pub async fn run_timeline(&self, id: RunId) -> Result<RunHistory, Error> {
        let page = |cursor| PageQuery { limit: Some(PageQuery::LIMIT_MAX), cursor };
        let mut timeline = self.run_timeline_page(id, &page(None)).await?;
        while let Some(cursor) = timeline.next_cursor.take() {
            let next = self.run_timeline_page(id, &page(Some(cursor))).await?;
            timeline.signals.extend(next.signals);
            timeline.next_cursor = next.next_cursor;
        }
        // Read last, so that it is not older than what is told of it.
        RunHistory::of(self.run_get(id).await?.run, timeline)
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
