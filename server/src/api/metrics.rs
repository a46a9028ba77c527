//! Signs of life in the text format of OpenMetrics: the engine's, and what passed through the API.
//! No tenant, run or name is ever a label.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fleetprompt_engine::memory;

use super::{Api, Counted};
use crate::listen::GuardedBody;

/// Answers by the first digit of their status.
#[derive(Debug, Default)]
pub struct Traffic {
    answers: [AtomicU64; 5],
}

impl Traffic {
    fn count(&self, status: u16) {
        if let Some(class) = self.answers.get(usize::from(status / 100).wrapping_sub(1)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn render(&self, streams: usize, into: &mut String) {
        into.push_str("# HELP fleetprompt_http_answers Answers of the API, by class of status.\n");
        into.push_str("# TYPE fleetprompt_http_answers counter\n");
        for (class, count) in (1..).zip(&self.answers) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(into, "fleetprompt_http_answers_total{{status=\"{class}xx\"}} {count}");
        }
        into.push_str("# HELP fleetprompt_http_streams Streams that are open.\n");
        into.push_str("# TYPE fleetprompt_http_streams gauge\n");
        let _ = writeln!(into, "fleetprompt_http_streams {streams}");
    }
}

/// Counts the response, which holds the memory of its request until it is written.
pub(super) async fn count(State(counted): State<Arc<Counted>>, request: Request, next: Next) -> Response {
    let (response, held) = memory::of_one_request(next.run(request)).await;
    counted.traffic.count(response.status().as_u16());
    match held {
        Some(held) if held.bytes() > HELD_BYTES => response.map(|body| Body::new(GuardedBody::new(body, held))),
        Some(_) | None => response,
    }
}

/// Requests that take less need not wait for their response to be written.
const HELD_BYTES: usize = 64 << 10;

/// Read the metrics
///
/// In the text format of OpenMetrics, which Prometheus reads.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", security(()),
    responses(
        (status = 200, description = "All metrics.", body = String, content_type = "application/openmetrics-text"),
    ),
)]
pub async fn metrics(State(api): State<Api>) -> Response {
    const END: &str = "# EOF\n";
    let mut text = api.engine().metrics().render();
    if text.ends_with(END) {
        text.truncate(text.len() - END.len());
    }
    let counted = &api.config().counted;
    counted.traffic.render(counted.streams.running(), &mut text);
    counted.refused_keys.render(&mut text);
    counted.connections.render(&mut text);
    if let Some(among) = api.among() {
        text.push_str("# HELP fleetprompt_partitions Partitions that this node writes for.\n");
        text.push_str("# TYPE fleetprompt_partitions gauge\n");
        let _ = writeln!(text, "fleetprompt_partitions {}", among.engines.borrow().len());
        text.push_str("# HELP fleetprompt_partitions_all Partitions that all nodes together are to write for.\n");
        text.push_str("# TYPE fleetprompt_partitions_all gauge\n");
        let _ = writeln!(text, "fleetprompt_partitions_all {}", among.database.partitions());
    }
    text.push_str(END);
    let mut response = text.into_response();
    let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, format);
    response
}
