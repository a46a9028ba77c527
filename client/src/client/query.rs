//! What lists can be narrowed to. Every field is optional; each is sent under its own name.

use fleetprompt_core::{Name, RunId, SignalId, Slug, directive, run};
use reqwest::Url;

#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct SignalQuery {
    pub name: Option<Name>,
    pub correlation_id: Option<String>,
    pub run_id: Option<RunId>,
    pub page: PageQuery,
}

#[derive(Debug, Clone, Default)]
pub struct DirectiveQuery {
    pub name: Option<Name>,
    pub status: Option<directive::Status>,
    pub run_id: Option<RunId>,
    pub page: PageQuery,
}

#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    pub workflow: Option<Slug>,
    pub status: Option<run::Status>,
    pub signal_id: Option<SignalId>,
    pub correlation_id: Option<String>,
    pub page: PageQuery,
}

impl PageQuery {
    pub(super) fn write(&self, url: &mut Url) {
        add(url, "limit", &self.limit);
        add(url, "cursor", &self.cursor);
    }
}

impl SignalQuery {
    pub(super) fn write(&self, url: &mut Url) {
        add(url, "name", &self.name);
        add(url, "correlation_id", &self.correlation_id);
        add(url, "run_id", &self.run_id);
        self.page.write(url);
    }
}

impl DirectiveQuery {
    pub(super) fn write(&self, url: &mut Url) {
        add(url, "name", &self.name);
        add(url, "status", &self.status.map(directive::Status::as_str));
        add(url, "run_id", &self.run_id);
        self.page.write(url);
    }
}

impl RunQuery {
    pub(super) fn write(&self, url: &mut Url) {
        add(url, "workflow", &self.workflow);
        add(url, "status", &self.status.map(run::Status::as_str));
        add(url, "signal_id", &self.signal_id);
        add(url, "correlation_id", &self.correlation_id);
        self.page.write(url);
    }
}

pub(super) fn add(url: &mut Url, name: &str, value: &Option<impl ToString>) {
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, &value.to_string());
    }
}
