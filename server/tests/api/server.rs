//! A server without a network: requests go straight into the router.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use fleetprompt::api::{ApiConfig, router};
use fleetprompt_core::Party;
use fleetprompt_core::tenant::Role;
use fleetprompt_engine::{Config, Engine};
use fleetprompt_store::Store;
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

pub struct Server {
    pub router: Router,
    pub engine: Engine,
    pub stopping: watch::Sender<bool>,
}

/// One tenant's key, and the server that it is for.
pub struct Tenant<'s> {
    pub server: &'s Server,
    pub secret: String,
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Server {
    pub fn start() -> Self {
        Self::start_over(Arc::new(MemoryStore::default()))
    }

    pub fn start_over(store: Arc<dyn Store>) -> Self {
        Self::start_with(store, Config::default())
    }

    pub fn start_with(store: Arc<dyn Store>, config: Config) -> Self {
        let engine = Engine::start(store, config, tokio::runtime::Handle::current()).expect("it starts");
        let (stopping, stopped) = watch::channel(false);
        let api = ApiConfig::new(stopped);
        let router = api.counting(router(engine.clone(), api.clone()));
        Self { router, engine, stopping }
    }

    /// A new tenant, spoken for by a key of this role.
    pub async fn tenant(&self, slug: &str, role: Role) -> Tenant<'_> {
        let slug = slug.parse().expect("a slug");
        let created = self.engine.tenant_create(Party::engine(), slug, "Somebody".into(), role).await;
        let (_, key) = created.expect("it is created");
        Tenant { server: self, secret: key.secret }
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.expect("a body");
        Reply { status: parts.status, headers: parts.headers, bytes }
    }

    pub async fn get_open(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }
}

impl Tenant<'_> {
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, "", Body::empty()).await
    }

    /// Waits until a run, without its steps, is as it should be: a large one is decided in several batches.
    pub async fn until_run(&self, id: &str, holds: impl Fn(&Value) -> bool) {
        let mut commits = self.server.engine.commits();
        loop {
            commits.borrow_and_update();
            if holds(&self.get(&format!("/v1/runs/{id}?steps=false")).await.ok()["run"]) {
                return;
            }
            commits.changed().await.expect("the engine runs");
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, "application/json", Body::from(body.to_string())).await
    }

    pub async fn post_nothing(&self, path: &str) -> Reply {
        self.send(Method::POST, path, "", Body::empty()).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, "", Body::empty()).await
    }

    pub async fn send(&self, method: Method, path: &str, media: &str, body: Body) -> Reply {
        self.send_with(method, path, media, body, &[]).await
    }

    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Body,
        headers: &[(&str, &str)],
    ) -> Reply {
        self.server.send(self.request(method, path, media, body, headers)).await
    }

    pub fn request(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Body,
        headers: &[(&str, &str)],
    ) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.secret));
        if !media.is_empty() {
            request = request.header(header::CONTENT_TYPE, media);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).expect("a request")
    }

    /// How many signals the tenant has on record, up to a page's worth.
    pub async fn count_signals(&self) -> usize {
        self.get("/v1/signals?limit=1000").await.ok()["items"].as_array().expect("items").len()
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("text")
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        self.is(200)
    }

    /// A problem, whole and of this status and code.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("https://fleetprompt.dev/problems/{code}"), "{problem}");
        assert!(!problem["detail"].as_str().expect("a detail").is_empty(), "{problem}");
        assert!(!problem["title"].as_str().expect("a title").is_empty(), "{problem}");
        problem
    }
}

#[track_caller]
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let found = value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value}"));
    found.as_str().unwrap_or_else(|| panic!("{pointer} is not text in {value}"))
}

/// A workflow of one pure step, so that it ends in the commit that starts it.
pub fn pure_workflow(version: &str) -> Value {
    json!({"workflow": {
        "name": "Shout", "slug": "shout", "version": version,
        "trigger": {"signal": "forum.thread.created"},
        "steps": [{
            "id": "loud", "type": "function", "function": "text.upper",
            "input": {"text": "${signal.payload.title}"}
        }],
        "output": {"loud": "${steps.loud.output}"}
    }})
}

/// A workflow that waits for somebody's report.
pub fn waiting_workflow() -> Value {
    json!({"workflow": {
        "name": "Review", "slug": "review", "version": "1.0.0",
        "trigger": {"signal": "forum.thread.created"},
        "steps": [{
            "id": "ask", "type": "directive", "directive": "forum.review.ask",
            "payload": {"thread": "${signal.subject.id}"}
        }]
    }})
}

pub fn manual_type() -> Value {
    json!({"directive_type": {
        "name": "forum.review.ask", "description": "Somebody looks at it", "handler": {"type": "manual"}
    }})
}

pub fn thread(id: &str) -> Value {
    json!({
        "name": "forum.thread.created", "subject": {"type": "thread", "id": id},
        "dedupe_key": format!("thread-{id}"), "payload": {"title": "How do I rotate a key?"}
    })
}
