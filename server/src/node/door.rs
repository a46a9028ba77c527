//! Where requests come in, when tenants are parted among nodes: each goes to the router of the partition that its key
//! is of, here or on another node. What needs no key is answered by the lobby, an engine without tenants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fleetprompt_core::TenantId;
use fleetprompt_core::tenant::{Key, KeyHash};
use fleetprompt_engine::memory::{self, RequestMemory, Reservation};
use fleetprompt_engine::workers::AttemptId;
use fleetprompt_engine::{Engine, Metrics};
use fleetprompt_store::postgres::Database;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::keys::{KeyLookups, KeyPartition};
use super::mail::{Mail, Passed, Recipient};
use crate::api::{Elsewhere, PassedOn, Problem, body, until_expiry};

/// Callbacks that wait at once to be known to another node: each is put into the database once for every node, before
/// anybody knows who sent it.
const CALLBACKS_ELSEWHERE_MAX: usize = 32;
const CALLBACKS: &str = "/v1/callbacks/";
const TAKE: &str = "/v1/attempts/take";
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub struct Door {
    mail: Arc<Mail>,
    memory: Arc<RequestMemory>,
    lobby: Router,
    rooms: RwLock<BTreeMap<u16, Arc<Room>>>,
    /// Those of the rooms.
    engines: watch::Sender<Vec<Engine>>,
    keys: Arc<KeyLookups>,
    /// Of workers for all tenants, whose keys are looked at each time: secrets of nobody do not keep these waiting.
    performers: Arc<KeyLookups>,
    callbacks: Semaphore,
    looks: watch::Sender<u64>,
}

/// One partition that this node decides for.
pub struct Room {
    pub engine: Engine,
    router: Router,
    /// Ends streams, and whoever waits for work.
    leaving: watch::Sender<bool>,
    answering: AtomicUsize,
    is_handed_over: AtomicBool,
}

impl Room {
    pub fn new(engine: Engine, router: Router, leaving: watch::Sender<bool>) -> Self {
        Self { engine, router, leaving, answering: AtomicUsize::new(0), is_handed_over: AtomicBool::new(false) }
    }

    /// Told once: somebody is to hand it over.
    pub fn begin_to_hand_over(&self) -> bool {
        !self.is_handed_over.swap(true, Ordering::AcqRel)
    }

    /// Whoever is here has an answer; nobody else may come.
    pub async fn until_empty(&self, within: Duration) {
        self.leaving.send_replace(true);
        let end = Instant::now() + within;
        while self.answering.load(Ordering::Acquire) > 0 && Instant::now() < end {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Somebody has come in, and is waited for.
struct Visit(Arc<Room>);

impl Visit {
    async fn answer(self, request: Request) -> Response {
        self.0.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Door {
    pub fn new(
        database: &Arc<Database>,
        metrics: &Arc<Metrics>,
        mail: Arc<Mail>,
        memory: Arc<RequestMemory>,
        lobby: Router,
        engines: watch::Sender<Vec<Engine>>,
    ) -> Self {
        Self {
            mail,
            memory,
            lobby,
            rooms: RwLock::default(),
            engines,
            keys: KeyLookups::new(database.clone(), metrics.clone()),
            performers: KeyLookups::new(database.clone(), metrics.clone()),
            callbacks: Semaphore::new(CALLBACKS_ELSEWHERE_MAX),
            looks: watch::Sender::default(),
        }
    }

    pub fn open(&self, partition: u16, room: Room) {
        let mut rooms = self.rooms.write();
        rooms.insert(partition, Arc::new(room));
        self.tell(&rooms);
    }

    /// From now on its requests go to whoever decides for it next.
    pub fn close(&self, partition: u16) -> Option<Arc<Room>> {
        let mut rooms = self.rooms.write();
        let closed = rooms.remove(&partition);
        self.tell(&rooms);
        closed
    }

    fn tell(&self, rooms: &BTreeMap<u16, Arc<Room>>) {
        self.engines.send_replace(rooms.values().map(|room| room.engine.clone()).collect());
    }

    pub fn room(&self, partition: u16) -> Option<Arc<Room>> {
        self.rooms.read().get(&partition).cloned()
    }

    /// Counted before the door can be closed, so that nobody comes in unnoticed.
    fn visit(&self, partition: u16) -> Option<Visit> {
        let rooms = self.rooms.read();
        let room = rooms.get(&partition)?.clone();
        room.answering.fetch_add(1, Ordering::AcqRel);
        Some(Visit(room))
    }

    pub fn partitions(&self) -> Vec<u16> {
        self.rooms.read().keys().copied().collect()
    }

    /// Of the partitions that this node decides for, now and later.
    pub fn engines(&self) -> watch::Receiver<Vec<Engine>> {
        self.engines.subscribe()
    }

    /// Everything that comes by HTTP.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(move |request: Request| {
            let door = self.clone();
            async move { door.enter(request).await }
        })
    }

    async fn enter(&self, request: Request) -> Response {
        let path = request.uri().path();
        // What is asked of this very process.
        if !path.starts_with("/v1/") {
            return self.in_the_lobby(request).await;
        }
        if path.starts_with(CALLBACKS) {
            return self.call_back(request).await;
        }
        let is_performed = path.starts_with("/v1/attempts/");
        let Some((by, hash)) = PassedOn::by(request.headers()) else { return self.in_the_lobby(request).await };
        match self.keys.partition_of(hash, || self.partition_here(hash)).await {
            Ok(Some(home)) if home.is_of_all && is_performed => {
                self.perform(request, hash).await.unwrap_or_else(IntoResponse::into_response)
            }
            Ok(Some(home)) => self.ask(home, request, by).await,
            Ok(None) => self.in_the_lobby(request).await,
            Err(problem) => problem.into_response(),
        }
    }

    async fn in_the_lobby(&self, request: Request) -> Response {
        self.lobby.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }

    /// Among the tenants that this node decides for.
    fn partition_here(&self, hash: KeyHash) -> Option<KeyPartition> {
        let find = |(partition, room): (&u16, &Arc<Room>)| {
            let directory = room.engine.directory();
            Some(KeyPartition::of(directory.key(&hash, crate::api::now())?, *partition))
        };
        self.rooms.read().iter().find_map(find)
    }

    /// A worker of all tenants takes from the node that it asks, whoever decides for its own tenant; so its key is looked at
    /// here, each time, and watched while it waits for work.
    async fn perform(&self, request: Request, hash: KeyHash) -> Result<Response, Problem> {
        let mut looks = self.looks.subscribe();
        let Some(key) = self.performer(hash).await? else {
            // It is refused, and counted, as every key that may not be used.
            return Ok(self.in_the_lobby(request).await);
        };
        // What is reported is decided, however the key fares meanwhile.
        let is_waiting = request.uri().path() == TAKE;
        let answering = self.in_the_lobby(passed(request, PassedOn::vouched(&key)));
        if !is_waiting {
            return Ok(answering.await);
        }
        tokio::select! {
            biased;
            // What is handed out in this moment goes back.
            () = self.until_performer_ends(key, &mut looks) => Err(Problem::key_unknown()),
            response = answering => Ok(response),
        }
    }

    /// The key as the database has it now, if it may be used.
    async fn performer(&self, hash: KeyHash) -> Result<Option<Key>, Problem> {
        let found = self.performers.find(hash).await?;
        Ok(found.map(|(key, _)| key).filter(|key| key.is_live(crate::api::now())))
    }

    async fn until_performer_ends(&self, key: Key, looks: &mut watch::Receiver<u64>) {
        loop {
            tokio::select! {
                () = until_expiry(key.expires_at) => return,
                looked = looks.changed() => if looked.is_err() { std::future::pending().await },
            }
            // While the database does not answer, nothing can be revoked.
            if matches!(self.performer(key.hash).await, Ok(None)) {
                return;
            }
        }
    }

    /// Has the keys of requests that wait here looked at again, all of them together: one may have been revoked on another
    /// node.
    pub fn look_at_keys(&self) {
        self.looks.send_modify(|looks| *looks += 1);
    }

    async fn ask(&self, home: KeyPartition, request: Request, by: PassedOn) -> Response {
        // Owners may name another tenant, and then the request is made twice: there is little of it.
        let may_be_elsewhere = ["/v1/keys", "/v1/tenants"].iter().any(|path| request.uri().path().starts_with(path));
        match self.visit(home.partition).filter(|_| !may_be_elsewhere) {
            Some(visit) => visit.answer(request).await,
            None => self.ask_with(home, request, by).await.unwrap_or_else(IntoResponse::into_response),
        }
    }

    async fn ask_with(&self, home: KeyPartition, request: Request, by: PassedOn) -> Result<Response, Problem> {
        let (parts, body) = request.into_parts();
        let (bytes, _reserved) = self.read(Some(home.tenant), &parts, body, body::MANY_BYTES_MAX).await?;
        let recipient = Recipient { tenant: Some(home.tenant), is_read: parts.method.is_safe() };
        let response = self.ask_for(home.partition, &parts, bytes.clone(), by, recipient).await;
        match response.extensions().get::<Elsewhere>().cloned() {
            Some(Elsewhere { partition, by }) => Ok(self.ask_for(partition, &parts, bytes, by, recipient).await),
            None => Ok(response),
        }
    }

    /// Memory is set aside for it: for a tenant whose key is known, or else for all callers without one.
    async fn read(
        &self,
        tenant: Option<TenantId>,
        parts: &request::Parts,
        body: Body,
        bytes_max: usize,
    ) -> Result<(Bytes, Reservation), Problem> {
        body::read_reserved(&self.memory, tenant, &parts.headers, body, bytes_max).await
    }

    async fn ask_for(
        &self,
        partition: u16,
        parts: &request::Parts,
        body: Bytes,
        by: PassedOn,
        recipient: Recipient,
    ) -> Response {
        match self.visit(partition) {
            Some(visit) => visit.answer(again(parts, body, Some(by))).await,
            None => self.mail.ask(partition, parts, &body, Some(by), recipient).await,
        }
    }

    /// Whoever calls back has no key, and its tenant is known to whoever waits for it: each node is asked.
    async fn call_back(&self, request: Request) -> Response {
        let id = attempt_called_back(&request);
        let is_signed = request.headers().contains_key("webhook-signature");
        let Some(id) = id.filter(|_| request.method() == Method::POST && is_signed) else {
            return self.in_the_lobby(request).await;
        };
        let (parts, body) = request.into_parts();
        let (bytes, _reserved) = match self.read(self.tenant_of(&id), &parts, body, body::ONE_BYTES_MAX).await {
            Ok(read) => read,
            Err(problem) => return problem.into_response(),
        };
        if let Some(response) = self.called_back_here(&parts, &bytes).await {
            return response;
        }
        let Ok(_permit) = self.callbacks.try_acquire() else {
            return Problem::busy("too many callbacks wait for other nodes already", Duration::from_secs(1))
                .into_response();
        };
        // Of each node one partition stands for all that it has.
        let elsewhere = self.mail.one_of_each_other_node();
        let recipient = Recipient { tenant: None, is_read: false };
        let ask = |partition| self.mail.ask(partition, &parts, &bytes, None, recipient);
        let mut asked: FuturesUnordered<_> = elsewhere.into_iter().map(ask).collect();
        let mut is_unavailable = None;
        while let Some(response) = asked.next().await {
            match response.status() {
                StatusCode::UNAUTHORIZED => {}
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => is_unavailable = Some(response),
                _ => return response,
            }
        }
        match is_unavailable {
            Some(response) => response,
            None => self.in_the_lobby(again(&parts, bytes.clone(), None)).await,
        }
    }

    /// The tenant of an attempt that waits here for a callback. Nothing that other callers send holds such a callback up.
    fn tenant_of(&self, id: &AttemptId) -> Option<TenantId> {
        let rooms = self.rooms.read();
        rooms.values().find_map(|room| Some(room.engine.workers().held(id)?.tenant))
    }

    /// None: nobody here waits for it.
    async fn called_back_here(&self, parts: &request::Parts, body: &Bytes) -> Option<Response> {
        for partition in self.partitions() {
            let Some(visit) = self.visit(partition) else { continue };
            let response = visit.answer(again(parts, body.clone(), None)).await;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Some(response);
            }
        }
        None
    }

    /// What another node was asked, and this one decides.
    pub fn answer(self: &Arc<Self>, passed: Passed) {
        let Some(visit) = self.visit(passed.partition) else { return self.mail.pass_on(passed) };
        let (id, asker) = (passed.id, passed.asker());
        let (door, request) = (self.clone(), passed.request);
        let answering = async move {
            let Some(id) = attempt_called_back(&request) else { return visit.answer(request).await };
            let (parts, body) = request.into_parts();
            let (bytes, _reserved) = match door.read(door.tenant_of(&id), &parts, body, body::ONE_BYTES_MAX).await {
                Ok(read) => read,
                Err(problem) => return problem.into_response(),
            };
            match door.called_back_here(&parts, &bytes).await {
                Some(response) => response,
                None => visit.answer(again(&parts, bytes, None)).await,
            }
        };
        // What it holds, its inputs hold as well; the response has room of its own.
        self.mail.answer(id, asker, async move { memory::of_one_request(answering).await.0 });
    }
}

/// The attempt that a callback is about.
fn attempt_called_back(request: &Request) -> Option<AttemptId> {
    request.uri().path().strip_prefix(CALLBACKS)?.parse().ok()
}

fn passed(mut request: Request, by: PassedOn) -> Request {
    request.extensions_mut().insert(by);
    request
}

fn again(parts: &request::Parts, body: Bytes, by: Option<PassedOn>) -> Request {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    if let Some(by) = by {
        request.extensions_mut().insert(by);
    }
    request
}
