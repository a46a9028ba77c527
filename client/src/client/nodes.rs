//! Endpoints of nodes. They take an owner's key.

use reqwest::Method;

use super::call::Repeat;
use super::{Client, Error, PageQuery};
use crate::wire::{Node, Page};

impl Client {
    pub async fn node_list(&self, page: &PageQuery) -> Result<Page<Node>, Error> {
        let mut url = self.endpoint(&["v1", "nodes"]);
        page.write(&mut url);
        self.get(url).await
    }

    /// By name or id.
    pub async fn node_drain(&self, node: &str) -> Result<Node, Error> {
        self.answer(self.request(Method::POST, self.endpoint(&["v1", "nodes", node, "drain"])), Repeat::Safe).await
    }

    pub async fn node_undrain(&self, node: &str) -> Result<Node, Error> {
        self.answer(self.request(Method::POST, self.endpoint(&["v1", "nodes", node, "undrain"])), Repeat::Safe).await
    }
}
