//! Traces by OTLP: what was committed, as spans, to whoever collects them. They are derived from the records themselves
//! (see `fleetprompt_core::trace`), so nothing is kept for them, and a run that began on another node or before a restart
//! ends in the same trace.
//!
//! Nobody waits for them: what the collector does not take in time is dropped and counted.

mod spans;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Spans that may wait to be sent.
const WAITING_MAX: usize = 65_536;
/// Spans in one request.
const REQUEST_MAX: usize = 2_048;
const EVERY: Duration = Duration::from_secs(1);
/// A collector that takes longer loses what it was sent.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub struct Traces {
    sampling: Sampling,
    spans: mpsc::UnboundedSender<Vec<SpanData>>,
    waiting: Arc<AtomicUsize>,
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
    let (spans, committed) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    let (stopping, stopped) = watch::channel(false);
    let sender = Sender { exporter, committed, waiting: waiting.clone(), metrics: metrics.clone() };
    let task = tokio::spawn(sender.send(stopped));
    Ok((Traces { sampling: Sampling::new(ratio), spans, waiting, metrics }, Sending { stopping, task }))
}

/// As OpenTelemetry's own variable says, if it does.
fn service_name() -> String {
    std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "fleetprompt".to_owned())
}

impl Observer for Traces {
    fn committed(&self, batch: &Batch, directory: &Directory) {
        let spans = spans::of_batch(batch, directory, self.sampling);
        let count = spans.len();
        if count == 0 {
            return;
        }
        if self.waiting.load(Ordering::Relaxed) + count > WAITING_MAX {
            self.metrics.spans_dropped(count as u64);
            return;
        }
        self.waiting.fetch_add(count, Ordering::Relaxed);
        // Whoever takes them lives as long as the node.
        let _ = self.spans.send(spans);
    }
}

struct Sender {
    exporter: SpanExporter,
    committed: mpsc::UnboundedReceiver<Vec<SpanData>>,
    waiting: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Sender {
    async fn send(mut self, mut stopped: watch::Receiver<bool>) {
        let (mut is_stopping, mut is_failing, mut was_full) = (false, false, false);
        let mut spans = VecDeque::new();
        loop {
            // Behind a full request comes the next at once.
            if !is_stopping && !was_full {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    _ = stopped.wait_for(|stopped| *stopped) => is_stopping = true,
                }
            }
            while spans.len() < REQUEST_MAX
                && let Ok(more) = self.committed.try_recv()
            {
                spans.extend(more);
            }
            if spans.is_empty() && is_stopping {
                return;
            }
            let request: Vec<SpanData> = spans.drain(..spans.len().min(REQUEST_MAX)).collect();
            was_full = request.len() == REQUEST_MAX;
            if !request.is_empty() {
                self.export(request, &mut is_failing).await;
            }
        }
    }

    async fn export(&self, spans: Vec<SpanData>, is_failing: &mut bool) {
        let count = spans.len();
        let exported = self.exporter.export(spans).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let Err(error) = exported else {
            *is_failing = false;
            return;
        };
        self.metrics.spans_dropped(count as u64);
        // Once, and not each second until it is back.
        if !std::mem::replace(is_failing, true) {
            tracing::warn!(target: "traces", %error, "the collector did not take spans; they are dropped");
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
