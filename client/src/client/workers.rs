//! Endpoints that workers use, and those about them.

use reqwest::Method;

use super::call::{JSON, Repeat};
use super::{Client, Error, PageQuery};
use crate::wire::{
    Function, KeepAttempts, KeptAttempts, Module, Page, ReportAttempts, ReportedAttempts, TakeAttempts, TakenAttempts,
    Worker,
};

impl Client {
    /// Not sent twice: what a lost answer had handed out goes to somebody when its lease has ended.
    pub async fn attempt_take(&self, take: &TakeAttempts) -> Result<TakenAttempts, Error> {
        self.post(self.endpoint(&["v1", "attempts", "take"]), take, Repeat::Never).await
    }

    pub async fn attempt_heartbeat(&self, keep: &KeepAttempts) -> Result<KeptAttempts, Error> {
        self.post(self.endpoint(&["v1", "attempts", "heartbeat"]), keep, Repeat::Safe).await
    }

    /// What is reported twice is recorded once.
    pub async fn attempt_report(&self, report: &ReportAttempts) -> Result<ReportedAttempts, Error> {
        self.post(self.endpoint(&["v1", "attempts", "report"]), report, Repeat::Safe).await
    }

    pub async fn worker_list(&self, page: &PageQuery) -> Result<Page<Worker>, Error> {
        let mut url = self.endpoint(&["v1", "workers"]);
        page.write(&mut url);
        self.get(url).await
    }

    /// The document as JSON, `{"function": {…}}`.
    pub async fn function_apply(&self, document: &str) -> Result<Function, Error> {
        let url = self.endpoint(&["v1", "functions"]);
        self.post_bytes(url, document.into(), JSON, Repeat::Safe).await
    }

    /// Keeps a module of WebAssembly, which functions with the handler `wasm` name by its digest.
    pub async fn module_add(&self, module: Vec<u8>) -> Result<Module, Error> {
        self.post_bytes(self.endpoint(&["v1", "modules"]), module, "application/wasm", Repeat::Safe).await
    }

    pub async fn module_list(&self, page: &PageQuery) -> Result<Page<Module>, Error> {
        let mut url = self.endpoint(&["v1", "modules"]);
        page.write(&mut url);
        self.get(url).await
    }

    pub async fn module_remove(&self, digest: &str) -> Result<Module, Error> {
        let url = self.endpoint(&["v1", "modules", digest]);
        self.answer(self.request(Method::DELETE, url), Repeat::Safe).await
    }
}
