//! A real server for tests: the binary in a process of its own, reached over HTTP.
#![allow(dead_code, clippy::unwrap_used)]

pub mod ledger;

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub const BINARY: &str = env!("CARGO_BIN_EXE_fleetprompt");

pub struct Server {
    child: Child,
    reach: Reach,
}

/// A server, as whoever has a key reaches it.
#[derive(Clone)]
pub struct Reach {
    pub url: String,
    pub key: String,
    http: reqwest::Client,
}

impl std::ops::Deref for Server {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.reach
    }
}

/// A loopback port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn http() -> reqwest::Client {
    fleetprompt_engine::models::http_client().unwrap()
}

/// The repository's own file.
pub fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What tells a command where everything is kept: a folder, or the address of a database.
pub fn place(data: &Path) -> [&OsStr; 2] {
    let flag = if data.starts_with("postgres:") { "--database" } else { "--data" };
    [flag.as_ref(), data.as_os_str()]
}

/// Makes a tenant in a data folder that no server uses, and returns its first key.
pub fn create_tenant(data: &Path, name: &str) -> String {
    let output =
        Command::new(BINARY).args(["tenant", "create", name, "--output", "json"]).args(place(data)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let created: Value = serde_json::from_slice(&output.stdout).unwrap();
    created["key"]["secret"].as_str().unwrap().to_owned()
}

impl Server {
    /// A fresh folder, a tenant, a server.
    pub async fn fresh(data: &Path) -> Self {
        let key = create_tenant(data, "acme");
        Self::start(data, free_port(), key).await
    }

    pub async fn start(data: &Path, port: u16, key: String) -> Self {
        Self::start_with(data, port, key, &[]).await
    }

    pub async fn start_with(data: &Path, port: u16, key: String, more: &[&str]) -> Self {
        let mut serve = Command::new(BINARY);
        serve.arg("serve").args(more);
        Self::launch(serve, &format!("127.0.0.1:{port}"), data, key).await
    }

    /// By a command that goes on with what it listens on.
    pub async fn launch(mut serve: Command, listen: &str, data: &Path, key: String) -> Self {
        serve.args(["--allow-private-endpoints", "--log", "warn", "--listen", listen]).args(place(data));
        let child = serve.stdout(Stdio::null()).spawn().unwrap();
        let reach = Reach { url: format!("http://{listen}"), key, http: http() };
        let server = Self { child, reach };
        server.until_ready().await;
        server
    }

    async fn until_ready(&self) {
        let begun = Instant::now();
        loop {
            let ready = self.http.get(format!("{}/readyz", self.url)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the server did not become ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the end that follows.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGTERM, and how it ended.
    pub fn end(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.child.wait().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A signal of the system's, like `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Reach {
    /// The same server with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    /// Status and JSON of an answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(self.request(reqwest::Method::GET, path)).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.send(self.request(reqwest::Method::POST, path).json(body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    pub async fn post_text(&self, path: &str, content_type: &str, body: String) -> Value {
        let request = self.request(reqwest::Method::POST, path).header("content-type", content_type).body(body);
        let (status, answer) = self.send(request).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    /// All items of a list, page by page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            let cursor_part = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = self.get(&format!("{path}{join}limit=1000{cursor_part}")).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Until no run is open.
    pub async fn until_quiet(&self) {
        let begun = Instant::now();
        loop {
            let open = self.get("/v1/runs?status=running&limit=5").await;
            if open["items"].as_array().unwrap().is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "these runs did not end: {open:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The forum example: its agent, the directive that posts at `forum`, and the blueprint's workflow.
    pub async fn register_forum_triage(&self, forum: &str, secret: &str) {
        let mut of_type: Value =
            serde_json::from_str(&file("examples/forum-triage/directives/forum.post.create.json")).unwrap();
        of_type["directive_type"]["handler"]["url"] = json!(format!("{forum}/directives/forum.post.create"));
        of_type["directive_type"]["handler"]["secret"] = json!(secret);
        self.post("/v1/directive-types", &of_type).await;
        let agent = file("examples/forum-triage/agents/forum_summary_agent.json");
        self.post_text("/v1/agents", "application/json", agent).await;
        let workflow = file("examples/forum-triage/workflow.json");
        self.post_text("/v1/workflows?activate=true", "application/json", workflow).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The forum in a process of its own, which outlives the servers that are killed.
pub struct ForumProcess {
    child: Child,
    pub url: String,
}

pub const FORUM_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

impl ForumProcess {
    pub async fn start(data: PathBuf) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, data).await
    }

    pub async fn start_at(address: Ipv4Addr, data: PathBuf) -> Self {
        std::fs::create_dir_all(&data).unwrap();
        let listen = format!("{address}:{}", free_port());
        let child = Command::new(BINARY)
            .args(["demo", "--forum-secret", FORUM_SECRET, "--forum-only"])
            .arg(&listen)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let forum = Self { child, url: format!("http://{listen}") };
        let begun = Instant::now();
        while http().get(format!("{}/threads", forum.url)).send().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the forum did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        forum
    }

    pub async fn open_thread(&self, id: &str) {
        let thread = json!({
            "id": id, "title": format!("Thread {id}"), "author": "ada", "category": "question",
            "body": "It does not start any more. What can I do?",
        });
        let answer = http().post(format!("{}/threads", self.url)).json(&thread).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    pub async fn get(&self, path: &str) -> Value {
        http().get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for ForumProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread as the forum's signal tells it.
pub fn thread_created(thread: &str, dedupe_key: &str) -> Value {
    json!({
        "name": "forum.thread.created",
        "subject": {"type": "thread", "id": thread},
        "actor": {"type": "member", "id": "ada"},
        "dedupe_key": dedupe_key,
        "payload": {
            "title": "It does not start", "author": "ada", "category": "question",
            "body": "It does not start any more. What can I do?",
        },
    })
}

/// `fleetprompt verify` over a folder that no server uses.
pub fn verify(data: &Path) {
    let output = Command::new(BINARY).arg("verify").args(place(data)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
