//! Endpoints of directives and their types.

use std::time::{SystemTime, UNIX_EPOCH};

use fleetprompt_core::{DirectiveId, Name, signature};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::call::{JSON, Repeat, unexpected};
use super::{Client, DirectiveQuery, Error, PageQuery};
use crate::wire::{
    Callback, CalledBack, Cancel, Directive, DirectiveType, Page, Report, RequestDirective, Requested, Why,
};

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

    /// From an endpoint that answered a delivery by 202: how the directive ended, or that it is still working.
    /// `callback` is the one of the delivery, `secret` the one of the directive's type.
    pub async fn callback(&self, callback: &str, said: &Callback, secret: &str) -> Result<CalledBack, Error> {
        let body = serde_json::to_vec(said).expect("what travels has string keys and finite numbers");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // It names the callback that it is about, and is another one for each message.
        let (id, seconds) = (format!("{callback}:{}", now.as_nanos()), now.as_secs().to_string());
        let signature = signature::sign(secret, &id, &seconds, &body)
            .ok_or_else(|| unexpected("sign the callback", "the secret is not `whsec_` and base64".to_owned()))?;
        let request = self.request(Method::POST, self.endpoint(&["v1", "callbacks", callback]));
        let request = request.header(CONTENT_TYPE, JSON).header("webhook-id", id);
        let request = request.header("webhook-timestamp", seconds).header("webhook-signature", signature);
        self.answer(request.body(body), Repeat::Safe).await
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
