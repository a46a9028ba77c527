//! Requests for tenants that another node decides for, carried there and back through the database. A request is read
//! here and answered there, by the same router that would have answered it there at first; what is answered comes in
//! parts, so that streams pass as well. Nothing of it is durable, and nothing needs to be: whoever gets no answer is told 503
//! and asks again, as after any crash.

mod message;
mod sending;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use fleetprompt_core::TenantId;
use fleetprompt_engine::memory::{Exhausted, RequestMemory, Reservation};
use fleetprompt_store::postgres::{Answer, Cluster, Database, Request as Letter};
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use self::message::{Ask, Head, Said, headers_of, read, write, written};
use self::sending::{Outgoing, Room, send};
use crate::api::{PassedOn, Problem};
use crate::listen::GuardedBody;

/// Bytes of all requests that wait for another node, and of all responses that wait to be sent to one: beyond it callers
/// are told to come back.
const BYTES_MAX: usize = 32 << 20;
const WAITING_MAX: usize = 8_192;
/// Bytes of a response that wait for its client here. A client that lets more than these wait is too slow, and its
/// response ends: it asks again, and a stream goes on behind what it has read.
const QUEUED_BYTES_MAX: usize = 1 << 20;
/// Bytes that a part takes besides its own.
const PART_BYTES: usize = 256;
/// The longest that anybody waits for the beginning of an answer: workers wait for a minute.
const ANSWER_MAX: Duration = Duration::from_secs(75);
/// How long the answer of a node that is gone may take to be read.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Heartbeats of streams come every 15 s.
const SILENT_MAX: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Nodes that are silent for so long do not wait for anything any more.
const GONE_AFTER: Duration = Duration::from_secs(60);

pub struct Mail {
    database: Arc<Database>,
    memory: Arc<RequestMemory>,
    out: mpsc::UnboundedSender<Outgoing>,
    /// Whoever waits here for an answer from elsewhere.
    waiting: Mutex<HashMap<Uuid, Waiter>>,
    /// What is being answered here for others.
    answering: Mutex<HashMap<Uuid, (Uuid, AbortHandle)>>,
    room: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    cluster: watch::Receiver<Cluster>,
    lease: Duration,
}

/// One part of a response from another node, in memory until its client has taken it.
struct Part {
    /// From 0.
    number: u32,
    said: Said,
    bytes: Bytes,
    reserved: Option<Reservation>,
}

/// The parts of one response on their way to its client, limited by their bytes.
struct PartSender {
    parts: mpsc::UnboundedSender<Result<Part, Exhausted>>,
    queued: Arc<AtomicUsize>,
    memory: Arc<RequestMemory>,
    recipient: Recipient,
}

/// A response that is waited for here, and the partition whose node gives it.
struct Waiter {
    parts: PartSender,
    partition: u16,
}

/// Who waits for a response from another node.
#[derive(Clone, Copy)]
pub struct Recipient {
    /// `None` for callers without a key, whose responses are short.
    pub tenant: Option<TenantId>,
    /// A read can be repeated, so its response may be refused. Any other response says what happened.
    pub is_read: bool,
}

struct PartReceiver {
    parts: mpsc::UnboundedReceiver<Result<Part, Exhausted>>,
    queued: Arc<AtomicUsize>,
}

fn part_queue(memory: Arc<RequestMemory>, recipient: Recipient) -> (PartSender, PartReceiver) {
    let ((sender, receiver), queued) = (mpsc::unbounded_channel(), Arc::<AtomicUsize>::default());
    (PartSender { parts: sender, queued: queued.clone(), memory, recipient }, PartReceiver { parts: receiver, queued })
}

impl PartSender {
    /// Returns `false` if nobody reads, or not fast enough, or if there is no memory for it. Beyond the parts that wait one
    /// is always taken, if there is memory.
    fn send(&self, number: u32, said: Said, bytes: Bytes) -> bool {
        let size = PART_BYTES + bytes.len();
        if self.queued.fetch_add(size, Ordering::Relaxed) > QUEUED_BYTES_MAX {
            return false;
        }
        match self.reserve(size) {
            Ok(reserved) => self.parts.send(Ok(Part { number, said, bytes, reserved })).is_ok(),
            Err(exhausted) => {
                let _ = self.parts.send(Err(exhausted));
                false
            }
        }
    }

    fn reserve(&self, bytes: usize) -> Result<Option<Reservation>, Exhausted> {
        let Recipient { tenant: Some(tenant), is_read } = self.recipient else { return Ok(None) };
        let mut reserved = self.memory.for_responses(tenant);
        if is_read {
            reserved.grow(bytes)?;
        } else {
            reserved.grow_always(bytes);
        }
        Ok(Some(reserved))
    }
}

impl PartReceiver {
    async fn recv(&mut self) -> Option<Result<Part, Exhausted>> {
        let part = self.parts.recv().await?;
        if let Ok(part) = &part {
            self.queued.fetch_sub(PART_BYTES + part.bytes.len(), Ordering::Relaxed);
        }
        Some(part)
    }
}

/// Another node may have carried out the request, unless it only reads.
fn unanswered(is_read: bool, detail: &str) -> Problem {
    if is_read { Problem::unavailable(detail) } else { Problem::outcome_unknown(detail) }
}

/// A request that came from another node.
pub struct Passed {
    pub id: Uuid,
    pub partition: u16,
    pub request: Request<Body>,
    letter: Letter,
}

impl Mail {
    pub fn new(
        database: Arc<Database>,
        memory: Arc<RequestMemory>,
        cluster: watch::Receiver<Cluster>,
        lease: Duration,
    ) -> Arc<Self> {
        let (out, outgoing) = mpsc::unbounded_channel();
        let mail = Arc::new(Self {
            database,
            memory,
            out,
            waiting: Mutex::default(),
            answering: Mutex::default(),
            room: Arc::new(Semaphore::new(BYTES_MAX)),
            answers: Arc::new(Semaphore::new(BYTES_MAX)),
            cluster,
            lease,
        });
        tokio::spawn(send(mail.clone(), outgoing));
        mail
    }

    /// Has whoever decides for the partition answer.
    pub async fn ask(
        self: &Arc<Self>,
        partition: u16,
        parts: &axum::http::request::Parts,
        body: &[u8],
        by: Option<PassedOn>,
        recipient: Recipient,
    ) -> Response {
        let ask = Ask::Request {
            method: parts.method.to_string(),
            uri: parts.uri.to_string(),
            headers: written(&parts.headers),
            by,
        };
        let message = write(&ask, body);
        let crowded = || Problem::busy("too much waits for other nodes already", Duration::from_secs(1));
        let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(size) else { return crowded().into_response() };
        let room = Some(Arc::new(room));
        let letter = Letter { id: Uuid::now_v7(), partition, asker: self.database.node(), message };
        let is_read = recipient.is_read;
        let (tell, parts) = part_queue(self.memory.clone(), recipient);
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= WAITING_MAX {
                return crowded().into_response();
            }
            waiting.insert(letter.id, Waiter { parts: tell, partition });
        }
        let here = Here { mail: self.clone(), id: letter.id, partition, is_answered: false, room };
        self.wait(letter, here, parts, is_read).await.unwrap_or_else(IntoResponse::into_response)
    }

    async fn wait(
        &self,
        letter: Letter,
        mut here: Here,
        mut parts: PartReceiver,
        is_read: bool,
    ) -> Result<Response, Problem> {
        let begun = Instant::now();
        let mut sent_to = self.owner(letter.partition);
        // Nodes that may be at it, and until when the answer of one that is gone may be on its way.
        let (mut at_it, mut end) = (Vec::from_iter(sent_to), begun + ANSWER_MAX);
        let _ = self.out.send(Outgoing::Request(letter.clone(), here.room.clone()));
        let first = loop {
            match tokio::time::timeout(LOOK_EVERY, parts.recv()).await {
                // Refused if there is no memory for it.
                Ok(Some(first)) => break first?,
                Ok(None) => {
                    here.is_answered = true;
                    return Err(unanswered(is_read, "the database does not answer: ask again, with the same key"));
                }
                Err(_) => {}
            }
            let owner = self.owner(letter.partition);
            if at_it.iter().any(|node| !self.is_alive(*node)) {
                end = end.min(Instant::now() + ON_ITS_WAY);
                at_it.retain(|node| self.is_alive(*node));
            }
            let is_lost = owner.is_none() && begun.elapsed() > self.lease * 2 + Duration::from_secs(5);
            if owner != sent_to && !is_lost && self.database.withdraw(letter.id).await.unwrap_or(false) {
                // Nobody has taken it up, and the next one has not heard of it.
                (at_it, end) = (Vec::from_iter(owner), begun + ANSWER_MAX);
                let _ = self.out.send(Outgoing::Request(letter.clone(), here.room.clone()));
            } else if is_lost || Instant::now() > end {
                here.is_answered = self.database.withdraw(letter.id).await.unwrap_or(false);
                let late = "the node that decides for this tenant did not answer: ask again, with the same key";
                return Err(match here.is_answered {
                    true => Problem::unavailable("no node decides for this tenant now; nothing was accepted"),
                    false => unanswered(is_read, late),
                });
            } else if owner != sent_to {
                // Whoever has taken it up answers, or passes it on.
                at_it.extend(owner);
            }
            sent_to = owner;
        };
        here.is_answered = first.said.is_last;
        Ok(response(first, parts, here))
    }

    fn is_alive(&self, node: Uuid) -> bool {
        self.cluster.borrow().node(node).is_some_and(|node| node.is_alive)
    }

    /// Who decides for it, as far as is known.
    fn owner(&self, partition: u16) -> Option<Uuid> {
        let cluster = self.cluster.borrow();
        let owner = cluster.partitions.get(usize::from(partition)).copied().flatten();
        owner.filter(|owner| cluster.node(*owner).is_some_and(|node| node.is_alive))
    }

    /// Whoever decides for it. When that is changing, all hear of it: who is too early leaves it there.
    fn to_tell(&self, partition: u16) -> Vec<Uuid> {
        match self.owner(partition).filter(|owner| *owner != self.database.node()) {
            Some(owner) => vec![owner],
            None => {
                let cluster = self.cluster.borrow();
                cluster.nodes.iter().filter(|node| node.is_alive).map(|node| node.id).collect()
            }
        }
    }

    /// One partition of each other node that lives and has any.
    pub fn one_of_each_other_node(&self) -> Vec<u16> {
        let own = self.database.node();
        let count = u16::try_from(self.cluster.borrow().partitions.len()).unwrap_or(u16::MAX);
        let owned = (0..count).filter_map(|partition| Some((self.owner(partition)?, partition)));
        let of_others: HashMap<Uuid, u16> = owned.filter(|(owner, _)| *owner != own).collect();
        of_others.into_values().collect()
    }

    /// Takes what came for these partitions, and hands on what was answered.
    pub async fn receive(&self, partitions: &[u16]) -> Result<Vec<Passed>, fleetprompt_store::Error> {
        let (letters, answers) = self.database.receive(partitions).await?;
        for answer in answers {
            self.hand_on(answer);
        }
        Ok(letters.into_iter().filter_map(|letter| self.passed(letter)).collect())
    }

    fn hand_on(&self, answer: Answer) {
        let Some((said, body)) = read::<Said>(answer.message) else { return };
        let is_last = said.is_last;
        let cut = {
            let mut waiting = self.waiting.lock();
            let Some(waiter) = waiting.get(&answer.request) else { return };
            let is_told = waiter.parts.send(answer.part, said, body);
            let ended = if is_last || !is_told { waiting.remove(&answer.request) } else { None };
            ended.filter(|_| !is_last)
        };
        // Its client has left, or is too slow: the other node would go on, and nobody would hear of it.
        if let Some(waiter) = cut {
            self.leave(answer.request, waiter.partition);
        }
    }

    /// Has whoever answers the request stop.
    fn leave(&self, request: Uuid, partition: u16) {
        let message = write(&Ask::Leave(request.as_u128()), &[]);
        let leave = Letter { id: Uuid::now_v7(), partition, asker: self.database.node(), message };
        let _ = self.out.send(Outgoing::Request(leave, None));
    }

    fn passed(&self, letter: Letter) -> Option<Passed> {
        let (ask, body) = read::<Ask>(letter.message.clone())?;
        match ask {
            Ask::Leave(id) => {
                if let Some((_, answering)) = self.answering.lock().remove(&Uuid::from_u128(id)) {
                    answering.abort();
                }
                None
            }
            Ask::Request { method, uri, headers, by } => {
                let mut request = Request::new(Body::from(body));
                *request.method_mut() = Method::try_from(method.as_str()).ok()?;
                *request.uri_mut() = Uri::try_from(uri.as_str()).ok()?;
                *request.headers_mut() = headers_of(headers);
                if let Some(by) = by {
                    request.extensions_mut().insert(by);
                }
                Some(Passed { id: letter.id, partition: letter.partition, request, letter })
            }
        }
    }

    /// For whoever decides for the partition by now: it is not us any more.
    pub fn pass_on(&self, passed: Passed) {
        let _ = self.out.send(Outgoing::Request(passed.letter, None));
    }

    /// Answers in a task of its own, which ends when nobody waits for it any more.
    pub fn answer(self: &Arc<Self>, id: Uuid, asker: Uuid, answering: impl Future<Output = Response> + Send + 'static) {
        let mail = self.clone();
        let (begin, begun) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            // It must be known before it can end.
            let _ = begun.await;
            let response = answering.await;
            mail.say(id, asker, response).await;
            mail.answering.lock().remove(&id);
        });
        self.answering.lock().insert(id, (asker, task.abort_handle()));
        let _ = begin.send(());
    }

    async fn say(&self, request: Uuid, asker: Uuid, response: Response) {
        let (parts, body) = response.into_parts();
        let mut head = Some(Head {
            status: parts.status.as_u16(),
            headers: written(&parts.headers),
            elsewhere: parts.extensions.get().cloned(),
        });
        let mut stream = body.into_data_stream();
        let mut part = 0;
        let mut next = stream.next().await;
        loop {
            let (bytes, is_over) = match next {
                Some(Ok(bytes)) => (bytes, false),
                // What broke off here ends there as well.
                Some(Err(_)) | None => (Bytes::new(), true),
            };
            // A body that is whole says so with its only part; a stream comes as it comes.
            let following = if is_over { Some(None) } else { stream.next().now_or_never() };
            let is_last = matches!(following, Some(None));
            let said = Said { head: head.take(), is_last };
            let message = write(&said, &bytes);
            let size = u32::try_from(message.len().min(BYTES_MAX)).unwrap_or(u32::MAX);
            // It is never closed, so there is always room to wait for.
            let Ok(room) = self.answers.clone().acquire_many_owned(size).await else { return };
            let _ = self.out.send(Outgoing::Answer(Answer { request, asker, part, message }, room));
            if is_last {
                return;
            }
            part += 1;
            next = match following {
                Some(following) => following,
                None => stream.next().await,
            };
        }
    }

    /// Nobody waits any more for what nodes asked that are gone. One that was only late comes back soon.
    pub fn forget_the_gone(&self, cluster: &Cluster) {
        let is_there = |asker: Uuid| cluster.node(asker).is_some_and(|node| node.silent_for < GONE_AFTER);
        self.answering.lock().retain(|_, (asker, answering)| {
            let stays = is_there(*asker);
            if !stays {
                answering.abort();
            }
            stays
        });
    }

    /// What others asked is answered, and everything is sent.
    pub async fn until_quiet(&self, within: Duration) {
        let quiet = async {
            while !self.answering.lock().is_empty() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            let (sent, is_sent) = oneshot::channel();
            let _ = self.out.send(Outgoing::Flush(sent));
            let _ = is_sent.await;
        };
        // What does not end in time is asked again.
        let _ = tokio::time::timeout(within, quiet).await;
    }

    /// Whether something may come that nobody says.
    pub fn expects(&self) -> bool {
        !self.waiting.lock().is_empty()
    }
}

impl Passed {
    pub fn asker(&self) -> Uuid {
        self.letter.asker
    }
}

/// Somebody waits here, for the beginning or the rest of an answer.
struct Here {
    mail: Arc<Mail>,
    id: Uuid,
    partition: u16,
    is_answered: bool,
    room: Room,
}

impl Drop for Here {
    fn drop(&mut self) {
        // Without a waiter the response has ended, or was cut off.
        let waiter = self.mail.waiting.lock().remove(&self.id);
        if waiter.is_some() && !self.is_answered {
            self.mail.leave(self.id, self.partition);
        }
    }
}

fn response(first: Part, parts: PartReceiver, here: Here) -> Response {
    let nothing = Head { status: StatusCode::BAD_GATEWAY.as_u16(), headers: Vec::new(), elsewhere: None };
    let Head { status, headers, elsewhere } = first.said.head.unwrap_or(nothing);
    let body = if first.said.is_last {
        Body::new(GuardedBody::new(Body::from(first.bytes), first.reserved))
    } else {
        // Each part is in memory until the next one is asked for.
        let begin = Some((here, parts, first.number, first.reserved));
        let first = futures_util::stream::once(std::future::ready(first.bytes));
        let rest = futures_util::stream::unfold(begin, |state| async move {
            let (mut here, mut parts, last, taken) = state?;
            drop(taken);
            // Streams say that they live: one that does not, or left something out, is asked for again by its client.
            let part = tokio::time::timeout(SILENT_MAX, parts.recv()).await.ok()??.ok()?;
            if part.number != last + 1 {
                return None;
            }
            here.is_answered = part.said.is_last;
            let state = (!part.said.is_last).then_some((here, parts, part.number, part.reserved));
            Some((part.bytes, state))
        });
        Body::from_stream(first.chain(rest).map(Ok::<_, std::convert::Infallible>))
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = headers_of(headers);
    if let Some(elsewhere) = elsewhere {
        response.extensions_mut().insert(elsewhere);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn queue(memory: &Arc<RequestMemory>, is_read: bool) -> (PartSender, PartReceiver) {
        part_queue(memory.clone(), Recipient { tenant: Some(TenantId(Uuid::from_u128(1))), is_read })
    }

    fn send(sender: &PartSender, bytes: usize) -> bool {
        sender.send(0, Said { head: None, is_last: false }, Bytes::from(vec![0; bytes]))
    }

    async fn received(receiver: &mut PartReceiver) -> Result<Part, Exhausted> {
        receiver.recv().await.expect("a part, or why there is none")
    }

    #[tokio::test]
    async fn a_reader_that_lets_too_many_bytes_wait_is_cut_off_however_few_parts_they_are() {
        let memory = Arc::new(RequestMemory::new(128 * MIB, Arc::default()));
        let (sender, _receiver) = queue(&memory, true);
        assert!(send(&sender, 4 * MIB), "one is taken, whatever its size");
        assert!(!send(&sender, 1), "it has not been read");
        let (sender, _receiver) = queue(&memory, true);
        let small = (0..).take_while(|_| send(&sender, 1)).count();
        assert!((1_000..5_000).contains(&small), "{small}");
        let (sender, mut receiver) = queue(&memory, true);
        for _ in 0..100 {
            assert!(send(&sender, MIB), "one that is read goes on");
            received(&mut receiver).await.expect("a part");
        }
    }

    #[tokio::test]
    async fn parts_take_memory_of_their_tenant_until_they_are_taken() {
        let memory = Arc::new(RequestMemory::new(64 * MIB, Arc::default()));
        let (slow, mut of_slow) = queue(&memory, true);
        assert!(send(&slow, 5 * MIB));
        let held = received(&mut of_slow).await.expect("there is room");
        assert_eq!(memory.used(), 5 * MIB + PART_BYTES);
        let (late, mut of_late) = queue(&memory, true);
        assert!(!send(&late, 4 * MIB), "its tenant has a share of 8 MiB");
        assert_eq!(received(&mut of_late).await.err(), Some(Exhausted::Responses { share_mib: 8 }));
        let (emit, mut of_emit) = queue(&memory, false);
        assert!(send(&emit, 4 * MIB), "something has happened, and its response says what");
        drop((held, received(&mut of_emit).await));
        assert_eq!(memory.used(), 0);
    }
}
