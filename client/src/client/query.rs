//! What lists can be narrowed to. Every field is optional; each is sent under its own name.

use fleetprompt_core::{Name, RunId, SignalId, Slug, Timestamp, directive, run};
use reqwest::Url;

#[derive(Debug, Clone, Default, PartialEq)]
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

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunQuery {
    pub workflow: Option<Slug>,
    pub version: Option<String>,
    /// Any of these; all, where none is given.
    pub status: Vec<run::Status>,
    /// Only those that have not ended.
    pub open: bool,
    pub signal_id: Option<SignalId>,
    pub correlation_id: Option<String>,
    /// The run whose step started it.
    pub parent: Option<RunId>,
    /// The run that it does again.
    pub source: Option<RunId>,
    /// Asked for at that time or later.
    pub since: Option<Timestamp>,
    /// Asked for before that time.
    pub until: Option<Timestamp>,
    pub page: PageQuery,
}

#[derive(Debug, Clone, Default)]
pub struct ItemQuery {
    pub status: Option<run::StepStatus>,
    pub page: PageQuery,
}

#[derive(Debug, Clone, Default)]
pub struct InputQuery {
    pub run_id: Option<RunId>,
    pub page: PageQuery,
}

impl PageQuery {
    pub const LIMIT_MAX: u32 = 1_000;

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
        add(url, "version", &self.version);
        let statuses: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        add(url, "status", &(!statuses.is_empty()).then(|| statuses.join(",")));
        add(url, "open", &self.open.then_some(true));
        add(url, "signal_id", &self.signal_id);
        add(url, "correlation_id", &self.correlation_id);
        add(url, "parent", &self.parent);
        add(url, "source", &self.source);
        add(url, "since", &self.since);
        add(url, "until", &self.until);
        self.page.write(url);
    }
}

impl ItemQuery {
    pub(super) fn write(&self, url: &mut Url) {
        add(url, "status", &self.status.map(run::StepStatus::as_str));
        self.page.write(url);
    }
}

impl InputQuery {
    pub(super) fn write(&self, url: &mut Url) {
        add(url, "run_id", &self.run_id);
        self.page.write(url);
    }
}

pub(super) fn add(url: &mut Url, name: &str, value: &Option<impl ToString>) {
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, &value.to_string());
    }
}
