//! Endpoints of what a tenant registers: workflows, agents; and of the functions there are.

use fleetprompt_core::Slug;
use fleetprompt_core::document::Format;

use super::call::{JSON, Repeat};
use super::query::add;
use super::{Client, Error, PageQuery};
use crate::wire::{
    Activate, Agent, AppliedAgent, AppliedWorkflow, Function, Page, Validated, Workflow, WorkflowVersion,
};

impl Client {
    pub async fn workflow_validate(&self, document: &str, format: Format) -> Result<Validated, Error> {
        let url = self.endpoint(&["v1", "workflows", "validate"]);
        self.post_bytes(url, document.into(), content_type(format), Repeat::Safe).await
    }

    /// Adds a version; with `activate`, signals start it from now on.
    pub async fn workflow_apply(
        &self,
        document: &str,
        format: Format,
        activate: bool,
    ) -> Result<AppliedWorkflow, Error> {
        let mut url = self.endpoint(&["v1", "workflows"]);
        add(&mut url, "activate", &Some(activate));
        self.post_bytes(url, document.into(), content_type(format), Repeat::Safe).await
    }

    pub async fn workflow_list(&self, page: &PageQuery) -> Result<Page<Workflow>, Error> {
        let mut url = self.endpoint(&["v1", "workflows"]);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn workflow_get(&self, slug: &Slug) -> Result<Workflow, Error> {
        self.get(self.endpoint(&["v1", "workflows", slug.as_str()])).await
    }

    /// Without their documents.
    pub async fn workflow_version_list(&self, slug: &Slug, page: &PageQuery) -> Result<Page<WorkflowVersion>, Error> {
        let mut url = self.endpoint(&["v1", "workflows", slug.as_str(), "versions"]);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn workflow_version_get(&self, slug: &Slug, version: &str) -> Result<WorkflowVersion, Error> {
        self.get(self.endpoint(&["v1", "workflows", slug.as_str(), "versions", version])).await
    }

    pub async fn workflow_activate(&self, slug: &Slug, activate: &Activate) -> Result<Workflow, Error> {
        self.post(self.endpoint(&["v1", "workflows", slug.as_str(), "activate"]), activate, Repeat::Safe).await
    }

    pub async fn workflow_pause(&self, slug: &Slug) -> Result<Workflow, Error> {
        let url = self.endpoint(&["v1", "workflows", slug.as_str(), "pause"]);
        self.post_bytes(url, Vec::new(), JSON, Repeat::Safe).await
    }

    pub async fn workflow_archive(&self, slug: &Slug) -> Result<Workflow, Error> {
        let url = self.endpoint(&["v1", "workflows", slug.as_str(), "archive"]);
        self.post_bytes(url, Vec::new(), JSON, Repeat::Safe).await
    }

    pub async fn agent_apply(&self, document: &str, format: Format) -> Result<AppliedAgent, Error> {
        let url = self.endpoint(&["v1", "agents"]);
        self.post_bytes(url, document.into(), content_type(format), Repeat::Safe).await
    }

    pub async fn agent_list(&self, page: &PageQuery) -> Result<Page<Agent>, Error> {
        let mut url = self.endpoint(&["v1", "agents"]);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn agent_get(&self, slug: &Slug) -> Result<Agent, Error> {
        self.get(self.endpoint(&["v1", "agents", slug.as_str()])).await
    }

    pub async fn function_list(&self, page: &PageQuery) -> Result<Page<Function>, Error> {
        let mut url = self.endpoint(&["v1", "functions"]);
        page.write(&mut url);
        self.get(url).await
    }
}

pub(super) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => JSON,
        Format::Yaml => "application/yaml",
    }
}
