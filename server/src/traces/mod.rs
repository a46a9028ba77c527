//! Traces by OTLP: what was committed, as spans, to whoever collects them. They are derived from the records themselves
//! (see `fleetprompt_core::trace`), so nothing is kept for them, and a run that began on another node or before a restart
//! ends in the same trace.
//!
//! Nobody waits for them: what the collector does not take in time is dropped and counted.

mod spans;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use axum::http::{Request, Response};
use fleetprompt_engine::{Directory, Metrics, Observer};
use fleetprompt_store::Batch;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::spans::Sampling;

/// Commits whose spans may wait to be sent.
const WAITING_MAX: usize = 1_024;
/// Spans in one request, about.
const REQUEST_MAX: usize = 2_048;
const EVERY: Duration = Duration::from_secs(1);
/// A collector that takes longer loses what it was sent.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub struct Traces {
    sampling: Sampling,
    spans: mpsc::Sender<Vec<SpanData>>,
    metrics: Arc<Metrics>,
}

/// Sends until it is told to stop, and then what still waits.
pub struct Sending {
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sending {
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        if tokio::time::timeout(ANSWER_MAX, self.task).await.is_err() {
            tracing::warn!(target: "traces", "the last spans were not taken in time");
        }
    }
}

/// To a collector at `endpoint`, so much of all traces as `ratio` says.
pub fn start(endpoint: &str, ratio: f64, metrics: Arc<Metrics>) -> anyhow::Result<(Traces, Sending)> {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).build().context("an HTTP client for traces")?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client(client))
        .with_endpoint(&url)
        .with_timeout(ANSWER_MAX)
        .build()
        .with_context(|| format!("traces cannot be sent to {url}"))?;
    let resource = Resource::builder().with_service_name(service_name()).build();
    exporter.set_resource(&resource);
    let (spans, waiting) = mpsc::channel(WAITING_MAX);
    let (stopping, stopped) = watch::channel(false);
    let task = tokio::spawn(send(exporter, waiting, stopped, metrics.clone()));
    Ok((Traces { sampling: Sampling::new(ratio), spans, metrics }, Sending { stopping, task }))
}

/// As OpenTelemetry's own variable says, if it does.
fn service_name() -> String {
    std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "fleetprompt".to_owned())
}

impl Observer for Traces {
    fn committed(&self, batch: &Batch, directory: &Directory) {
        let spans = spans::of_batch(batch, directory, self.sampling);
        let count = spans.len() as u64;
        if count > 0 && self.spans.try_send(spans).is_err() {
            self.metrics.spans_dropped(count);
        }
    }
}

async fn send(
    exporter: SpanExporter,
    mut waiting: mpsc::Receiver<Vec<SpanData>>,
    mut stopped: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
) {
    let mut is_stopping = false;
    let mut is_failing = false;
    loop {
        let mut spans = Vec::new();
        if !is_stopping {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stopped.wait_for(|stopped| *stopped) => is_stopping = true,
            }
        }
        while spans.len() < REQUEST_MAX
            && let Ok(more) = waiting.try_recv()
        {
            spans.extend(more);
        }
        if spans.is_empty() {
            if is_stopping {
                return;
            }
            continue;
        }
        let count = spans.len() as u64;
        match exporter.export(spans).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                metrics.spans_dropped(count);
                // Once, and not each second until it is back.
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(target: "traces", %error, "the collector did not take spans; they are dropped");
                }
            }
        }
    }
}

#[derive(Debug)]
struct Client(reqwest::Client);

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<opentelemetry_http::Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.0.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.extend(answer.headers().clone());
        }
        Ok(response.body(answer.bytes().await?)?)
    }
}
