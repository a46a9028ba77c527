//! The demo's outside world: a small forum that keeps threads and posts.
//!
//! It knows nothing of workflows. It is a plain HTTP service that does what a good receiver of
//! effects does: it checks the Standard Webhooks signature, honours `Idempotency-Key`, and writes an
//! effect down before it answers. It counts every delivery, so that a test can ask whether each
//! effect happened once. With a ledger it survives being killed: what it answered, it still knows.

mod board;
mod ledger;
mod signature;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use board::{Board, NewPost, NewThread};
use signature::Secret;

pub use board::{Effect, Post, Thread};

use crate::listen::{self, Limits};

/// A running forum. Dropping it ends it too, only less politely than `stop`.
pub struct Forum {
    address: SocketAddr,
    board: Arc<Mutex<Board>>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

/// Where a forum listens, what it remembers over a restart, and whose deliveries it believes.
pub struct ForumSettings {
    pub listen: SocketAddr,
    /// A file with one JSON line an effect, each on disk before it is answered.
    pub ledger: Option<PathBuf>,
    /// `whsec_…`; without it, deliveries are taken unsigned.
    pub secret: Option<String>,
}

impl Default for ForumSettings {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), ledger: None, secret: None }
    }
}

impl Forum {
    const BODY_BYTES_MAX: usize = 256 * 1024;
    const STOP_WITHIN: Duration = Duration::from_secs(5);

    /// On a free loopback port, with nothing kept when it ends.
    pub async fn start(secret: Option<String>) -> anyhow::Result<Self> {
        Self::open(ForumSettings { secret, ..ForumSettings::default() }).await
    }

    pub async fn open(settings: ForumSettings) -> anyhow::Result<Self> {
        let secret = settings.secret.as_deref().map(Secret::parse).transpose()?;
        let board = Arc::new(Mutex::new(Board::open(settings.ledger.as_deref())?));
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("the forum cannot listen on {}", settings.listen))?;
        let address = listener.local_addr().context("the forum has no address")?;
        let router = router(Site { board: board.clone(), secret: secret.map(Arc::new), url: url_of(address).into() });
        // Dropping the sender stops the server as well.
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(listen::serve(listener, router, Arc::default(), Limits::NONE, stopped));
        Ok(Self { address, board, stop, served })
    }

    pub fn url(&self) -> String {
        url_of(self.address)
    }

    /// In the order in which they were opened.
    pub fn threads(&self) -> Vec<Thread> {
        self.board.lock().threads().to_vec()
    }

    /// In the order in which they were written.
    pub fn posts(&self) -> Vec<Post> {
        self.board.lock().posts().to_vec()
    }

    /// Each effect that a directive had here, with how often it was delivered.
    pub fn effects(&self) -> Vec<Effect> {
        self.board.lock().effects().to_vec()
    }

    /// Answers what was already asked, then closes.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { stop, mut served, .. } = self;
        stop.send_replace(true);
        match tokio::time::timeout(Self::STOP_WITHIN, &mut served).await {
            Ok(ended) => ended.context("the forum's task failed"),
            Err(_) => {
                served.abort();
                Ok(())
            }
        }
    }
}

/// A forum that stands alone, until Ctrl-C.
pub async fn serve(listen: SocketAddr, ledger: Option<PathBuf>, secret: Option<String>) -> anyhow::Result<()> {
    let forum = Forum::open(ForumSettings { listen, ledger, secret }).await?;
    anstream::println!("{}", forum.url());
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    forum.stop().await
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[derive(Clone)]
struct Site {
    board: Arc<Mutex<Board>>,
    secret: Option<Arc<Secret>>,
    url: Arc<str>,
}

fn router(site: Site) -> Router {
    Router::new()
        .route("/threads", get(threads_list).post(thread_open))
        .route("/threads/{id}", get(thread_show))
        .route("/threads/{id}/posts", get(posts_list))
        .route("/posts", post(post_create))
        .route("/directives/forum.post.create", post(directive_post_create))
        .route("/deliveries", get(deliveries_list))
        .layer(DefaultBodyLimit::max(Forum::BODY_BYTES_MAX))
        .with_state(site)
}

async fn threads_list(State(site): State<Site>) -> Json<Value> {
    Json(json!({ "threads": site.board.lock().threads() }))
}

async fn thread_open(State(site): State<Site>, body: Bytes) -> Result<Response, Refusal> {
    let new: NewThread = parse(&body)?;
    let (thread, fresh) = site.write(move |board| board.open_thread(new)).await?;
    Ok((created_if(fresh), Json(thread)).into_response())
}

async fn thread_show(State(site): State<Site>, Path(id): Path<String>) -> Result<Json<Thread>, Refusal> {
    Ok(Json(site.board.lock().thread(&id)?.clone()))
}

async fn posts_list(State(site): State<Site>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let board = site.board.lock();
    board.thread(&id)?;
    Ok(Json(json!({ "posts": board.posts_of(&id).collect::<Vec<_>>() })))
}

/// What a member does in the browser: each call is one more post.
async fn post_create(State(site): State<Site>, body: Bytes) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        thread_id: String,
        author: String,
        content: String,
    }
    let Written { thread_id, author, content } = parse(&body)?;
    let post = site.write(move |board| board.write_post(&author, NewPost { thread_id, content })).await?;
    Ok((StatusCode::CREATED, Json(post)).into_response())
}

/// The envelope of a directive, as far as the forum reads it.
#[derive(Deserialize)]
struct DirectiveDelivery {
    id: String,
    directive: String,
    payload: NewPost,
    #[serde(default = "first_attempt")]
    attempt: u32,
    idempotency_key: Option<String>,
    run_id: Option<String>,
}

fn first_attempt() -> u32 {
    1
}

/// What a directive does: one post for each idempotency key, however often it is delivered.
async fn directive_post_create(State(site): State<Site>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    if let Some(secret) = &site.secret {
        secret.verify(&headers, &body, jiff::Timestamp::now()).map_err(Refusal::unsigned)?;
    }
    let delivery: DirectiveDelivery = parse(&body)?;
    let key = delivery.key(&headers)?;
    let url = site.url.clone();
    let (effect, fresh) = site
        .write(move |board| {
            board.perform(board::Delivery {
                idempotency_key: key,
                directive_id: delivery.id,
                run_id: delivery.run_id,
                attempt: delivery.attempt,
                payload: delivery.payload,
                forum_url: &url,
            })
        })
        .await?;
    let repeated = if fresh { "false" } else { "true" };
    let answer = Json(json!({ "post_id": effect.post_id, "url": effect.url }));
    // A repetition gets the answer that the first delivery got, status included.
    Ok((StatusCode::CREATED, [("idempotent-replayed", repeated)], answer).into_response())
}

impl DirectiveDelivery {
    /// The header decides; a body that says something else was put together wrongly.
    fn key(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        if self.directive != "forum.post.create" {
            let detail = format!("`{}` is not what this endpoint does; it does `forum.post.create`", self.directive);
            return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
        }
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::trim).unwrap_or_default();
        if !(1..=Board::KEY_BYTES_MAX).contains(&key.len()) {
            let detail = format!("the header Idempotency-Key is needed, with 1 to {} bytes", Board::KEY_BYTES_MAX);
            return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
        }
        if self.idempotency_key.as_deref().is_some_and(|said| said != key) {
            let detail = "the header Idempotency-Key and the body's `idempotency_key` differ".to_owned();
            return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
        }
        Ok(key.to_owned())
    }
}

async fn deliveries_list(State(site): State<Site>) -> Json<Value> {
    let board = site.board.lock();
    Json(json!({ "effects": board.effects(), "repeated": board.repeated(), "refused": board.refused() }))
}

impl Site {
    /// Writing may wait for the disk, which is nothing to do on a thread that serves others.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Board) -> Result<T, board::Refused> + Send + 'static,
    ) -> Result<T, Refusal> {
        let board = self.board.clone();
        let changed = tokio::task::spawn_blocking(move || change(&mut board.lock())).await;
        changed
            .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the forum failed".to_owned()))?
            .map_err(Into::into)
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
}

fn created_if(fresh: bool) -> StatusCode {
    if fresh { StatusCode::CREATED } else { StatusCode::OK }
}

/// Why a request was turned down, in the shape that web APIs use for it (RFC 9457).
struct Refusal {
    status: StatusCode,
    detail: String,
}

impl Refusal {
    fn new(status: StatusCode, detail: String) -> Self {
        Self { status, detail }
    }

    fn unsigned(error: signature::Unsigned) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl From<board::Refused> for Refusal {
    fn from(refused: board::Refused) -> Self {
        use board::Refused as R;
        let status = match refused {
            R::UnknownThread(_) => StatusCode::NOT_FOUND,
            R::ThreadExists(_) => StatusCode::CONFLICT,
            R::KeyReused { .. } | R::Text { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            R::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refused.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let problem = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests;
