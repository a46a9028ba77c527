//! How the server is. None of these needs a key, and none is asked twice: the answer is about now.

use reqwest::Method;

use super::call::Repeat;
use super::{Client, Error};
use crate::wire::Health;

impl Client {
    /// Whether the process lives.
    pub async fn healthz(&self) -> Result<Health, Error> {
        self.answer(self.request(Method::GET, self.endpoint(&["healthz"])), Repeat::Never).await
    }

    /// Whether it takes work. One that does not right now is a refusal with the status 503.
    pub async fn readyz(&self) -> Result<Health, Error> {
        self.answer(self.request(Method::GET, self.endpoint(&["readyz"])), Repeat::Never).await
    }

    /// In the text format of OpenMetrics, which Prometheus reads.
    pub async fn metrics(&self) -> Result<String, Error> {
        self.answer_text(self.request(Method::GET, self.endpoint(&["metrics"])), Repeat::Never).await
    }
}
