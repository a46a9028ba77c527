//! The process that Restate calls: the same work as the `bench` workflow, in Restate's terms.
//!
//! `order` performs three steps that do nothing, each result persisted before the next begins, and
//! answers when the invocation has completed. `accept` does nothing: it is what a one-way call needs
//! at its other end, and it is not even due while the load lasts. Payloads travel as JSON of unknown shape, as signals do.

use std::net::SocketAddr;

use restate_sdk::prelude::*;
use serde_json::{Value, json};

struct Bench;

#[service]
impl Bench {
    #[handler]
    async fn order(&self, context: Context<'_>, order: Json<Value>) -> HandlerResult<Json<Value>> {
        let order = order.into_inner();
        let total = order["total"].clone();
        let Json(priced) = context.run(|| async move { Ok(Json(json!({ "total": total }))) }).name("price").await?;
        let Json(checked) = context.run(|| async move { Ok(Json(json!({ "ok": true }))) }).name("check").await?;
        let Json(closed) = context
            .run(|| async move { Ok(Json(json!({ "priced": priced, "checked": checked }))) })
            .name("close")
            .await?;
        Ok(Json(closed))
    }

    #[handler]
    async fn accept(&self, _context: Context<'_>, _order: Json<Value>) -> HandlerResult<()> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9080".into());
    let listen: SocketAddr = listen.parse().expect("usage: fleetprompt-bench-restate IP:PORT");
    HttpServer::new(Endpoint::builder().bind(Bench).build()).listen_and_serve(listen).await;
}
