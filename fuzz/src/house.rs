//! A server in this process, with a tenant, what it asks workers and an endpoint for, and that endpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request};
use fleetprompt::api::{ApiConfig, router};
use fleetprompt_core::Party;
use fleetprompt_core::tenant::Role;
use fleetprompt_engine::{Config, Engine, verify};
use fleetprompt_store::Store;
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc, watch};
use tower::ServiceExt;

pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub struct House {
    pub runtime: Runtime,
    store: Arc<dyn Store>,
    engine: Engine,
    router: Router,
    _running: watch::Sender<bool>,
    pub key: String,
    pub worker_key: String,
    pub endpoint: Endpoint,
}

impl House {
    /// It stays until the process ends; `close` empties it.
    pub fn build() -> &'static Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let config = Config { allow_private_endpoints: true, grace: Duration::ZERO, ..Config::default() };
        let engine = Engine::start(store.clone(), config, runtime.handle().clone()).unwrap();
        let (running, stopping) = watch::channel(false);
        let (key, router, endpoint) = runtime.block_on(async {
            let created =
                engine.tenant_create(Party::new("user", "ada"), "acme".parse().unwrap(), "Acme".into(), Role::Owner);
            let (_, key) = created.await.unwrap();
            (key.secret, router(engine.clone(), ApiConfig::new(stopping)), Endpoint::open().await)
        });
        let mut house =
            Self { runtime, store, engine, router, _running: running, key, worker_key: String::new(), endpoint };
        house.worker_key = house.runtime.block_on(house.furnish());
        Box::leak(Box::new(house))
    }

    /// Directives of a worker and of an endpoint, a function, and a workflow of each. Gives a worker's key.
    async fn furnish(&self) -> String {
        let http = json!({"type": "http", "url": self.endpoint.url, "secret": SECRET});
        self.must("/v1/functions", json!({"function": {"name": "lead.score", "handler": {"type": "worker"}}})).await;
        for (name, handler) in [("mail.send", json!({"type": "worker"})), ("film.render", http)] {
            let of_type = json!({"name": name, "handler": handler, "retry": {"max_attempts": 1}, "timeout": "500ms",
                "callback_timeout": "500ms"});
            self.must("/v1/directive-types", json!({"directive_type": of_type})).await;
        }
        for (name, step) in [
            ("mail.send", json!({"type": "directive", "directive": "mail.send", "payload": {}})),
            ("film.render", json!({"type": "directive", "directive": "film.render", "payload": {}})),
            ("lead.score", json!({"type": "function", "function": "lead.score", "input": {"company": "Acme"}})),
        ] {
            let step =
                json!({"id": "it"}).as_object().unwrap().clone().into_iter().chain(step.as_object().unwrap().clone());
            let workflow = json!({"name": name, "slug": name.replace('.', "-"), "version": "1.0.0",
                "trigger": {"signal": format!("{name}.wanted")}, "steps": [Value::Object(step.collect())]});
            self.must("/v1/workflows?activate=true", json!({"workflow": workflow})).await;
        }
        let made = self.must("/v1/keys", json!({"name": "worker", "performs": {"names": ["*"]}})).await;
        made["secret"].as_str().unwrap().to_owned()
    }

    async fn must(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, &self.key, body.to_string().into_bytes()).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Starts a run, and gives its id.
    pub async fn want(&self, name: &str) -> String {
        let told = self.must("/v1/signals", json!({"name": format!("{name}.wanted"), "payload": {}})).await;
        told["dispositions"][0]["run_id"].as_str().unwrap().to_owned()
    }

    pub async fn run(&self, id: &str) -> Value {
        let request = self.request(Method::GET, &format!("/v1/runs/{id}"), &self.key).body(Body::empty()).unwrap();
        self.answer(request).await.1["run"].take()
    }

    pub async fn until_ended(&self, id: &str) {
        let ended = async {
            while !["completed", "failed"].iter().any(|status| self.run_is(id, status)) {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(10), ended).await;
        assert!(within.is_ok(), "a run does not end: {id}");
    }

    fn run_is(&self, id: &str, status: &str) -> bool {
        let tenant = self.engine.directory().tenants().next().unwrap().tenant.id;
        let run = self.store.run(tenant, id.parse().unwrap()).unwrap();
        run.is_some_and(|run| run.status.as_str() == status)
    }

    pub async fn post(&self, path: &str, key: &str, body: Vec<u8>) -> (u16, Value) {
        let media = if path == "/v1/modules" { "application/wasm" } else { "application/json" };
        let request = self.request(Method::POST, path, key).header("content-type", media);
        self.answer(request.body(body.into()).unwrap()).await
    }

    /// Without a key, and with these headers as far as they can be sent.
    pub async fn send(&self, path: &str, headers: &[(Vec<u8>, Vec<u8>)], body: Vec<u8>) -> (u16, Value) {
        let mut request = Request::builder().method(Method::POST).uri(path).body(body.into()).unwrap();
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                request.headers_mut().append(name, value);
            }
        }
        self.answer(request).await
    }

    pub async fn delete(&self, path: &str) -> u16 {
        self.answer(self.request(Method::DELETE, path, &self.key).body(Body::empty()).unwrap()).await.0
    }

    fn request(&self, method: Method, path: &str, key: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"))
    }

    async fn answer(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Its records must hold.
    pub fn close(&self) {
        self.runtime.block_on(self.engine.stop());
        let report = verify(self.store.as_ref()).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
    }
}

type Answer = std::sync::Mutex<Vec<u8>>;

/// Answers each delivery with what it was last told to, byte by byte.
pub struct Endpoint {
    pub url: String,
    answer: Arc<Answer>,
    deliveries: Mutex<mpsc::UnboundedReceiver<Value>>,
}

impl Endpoint {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::<Answer>::default();
        let (told, deliveries) = mpsc::unbounded_channel();
        let answers = answer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), told.clone()));
            }
        });
        Self { url, answer, deliveries: Mutex::new(deliveries) }
    }

    pub fn answers_with(&self, bytes: &[u8]) {
        *self.answer.lock().unwrap() = bytes.to_vec();
    }

    /// The body of the next one.
    pub async fn delivery(&self) -> Value {
        let mut deliveries = self.deliveries.lock().await;
        let came = tokio::time::timeout(Duration::from_secs(10), deliveries.recv()).await;
        came.expect("it is delivered").unwrap()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Answer>, told: mpsc::UnboundedSender<Value>) {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 8192];
        let Ok(size @ 1..) = stream.read(&mut piece).await else { return };
        request.extend_from_slice(&piece[..size]);
        let Some(head) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        if let Ok(delivery) = serde_json::from_slice(&request[head + 4..]) {
            drop(told.send(delivery));
            break;
        }
    }
    let answer = answer.lock().unwrap().clone();
    // A sender that is gone is one more thing that happens.
    drop(stream.write_all(&answer).await);
    drop(stream.shutdown().await);
}
