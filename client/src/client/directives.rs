//! Endpoints of directives and their types.

use fleetprompt_core::{DirectiveId, Name};

use super::call::{JSON, Repeat};
use super::{Client, DirectiveQuery, Error, PageQuery};
use crate::wire::{Cancel, Directive, DirectiveType, Page, Report, RequestDirective, Requested, Why};

impl Client {
    /// Needs an `idempotency_key`; the same key is the same intent, however often it is sent.
    pub async fn directive_request(&self, request: &RequestDirective) -> Result<Requested, Error> {
        let repeat = if request.idempotency_key.is_some() { Repeat::Safe } else { Repeat::Never };
        self.post(self.endpoint(&["v1", "directives"]), request, repeat).await
    }

    pub async fn directive_list(&self, query: &DirectiveQuery) -> Result<Page<Directive>, Error> {
        let mut url = self.endpoint(&["v1", "directives"]);
        query.write(&mut url);
        self.get(url).await
    }

    pub async fn directive_get(&self, id: DirectiveId) -> Result<Directive, Error> {
        self.get(self.endpoint(&["v1", "directives", &id.to_string()])).await
    }

    pub async fn directive_cancel(&self, id: DirectiveId, cancel: &Cancel) -> Result<Directive, Error> {
        self.post(self.endpoint(&["v1", "directives", &id.to_string(), "cancel"]), cancel, Repeat::Never).await
    }

    /// How a `manual` directive ended.
    pub async fn directive_report(&self, id: DirectiveId, report: &Report) -> Result<Directive, Error> {
        self.post(self.endpoint(&["v1", "directives", &id.to_string(), "report"]), report, Repeat::Never).await
    }

    /// Whoever carries it out is still at it.
    pub async fn directive_heartbeat(&self, id: DirectiveId) -> Result<Directive, Error> {
        let url = self.endpoint(&["v1", "directives", &id.to_string(), "heartbeat"]);
        self.post_bytes(url, Vec::new(), JSON, Repeat::Safe).await
    }

    pub async fn directive_why(&self, id: DirectiveId) -> Result<Why, Error> {
        self.get(self.endpoint(&["v1", "directives", &id.to_string(), "why"])).await
    }

    /// The document as JSON, `{"directive_type": {…}}`. Not sent twice: the first answer may hold a
    /// new secret.
    pub async fn directive_type_apply(&self, document: &str) -> Result<DirectiveType, Error> {
        let url = self.endpoint(&["v1", "directive-types"]);
        self.post_bytes(url, document.into(), JSON, Repeat::Never).await
    }

    /// Built-in ones included.
    pub async fn directive_type_list(&self, page: &PageQuery) -> Result<Page<DirectiveType>, Error> {
        let mut url = self.endpoint(&["v1", "directive-types"]);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn directive_type_get(&self, name: &Name) -> Result<DirectiveType, Error> {
        self.get(self.endpoint(&["v1", "directive-types", name.as_str()])).await
    }
}
