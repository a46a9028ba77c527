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
use fleetprompt_store::postgres::{Answer, Cluster, Database, Request as Letter};
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use self::message::{Ask, Head, Said, headers_of, read, write, written};
use self::sending::{Outgoing, Room, send};
use crate::api::{PassedOn, Problem};

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
    out: mpsc::UnboundedSender<Outgoing>,
    /// Whoever waits here for an answer from elsewhere.
    waiting: Mutex<HashMap<Uuid, PartSender>>,
    /// What is being answered here for others.
    answering: Mutex<HashMap<Uuid, (Uuid, AbortHandle)>>,
    room: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    cluster: watch::Receiver<Cluster>,
    lease: Duration,
}

/// Which one it is, from 0.
type Part = (u32, Said, Bytes);

/// The parts of one response on their way to its client, limited by their bytes.
struct PartSender {
    parts: mpsc::UnboundedSender<Part>,
    queued: Arc<AtomicUsize>,
}

struct PartReceiver {
    parts: mpsc::UnboundedReceiver<Part>,
    queued: Arc<AtomicUsize>,
}

fn part_queue() -> (PartSender, PartReceiver) {
    let ((sender, receiver), queued) = (mpsc::unbounded_channel(), Arc::<AtomicUsize>::default());
    (PartSender { parts: sender, queued: queued.clone() }, PartReceiver { parts: receiver, queued })
}

impl PartSender {
    /// Returns `false` if nobody reads, or not fast enough. One part is always taken, whatever its size.
    fn send(&self, part: Part) -> bool {
        let bytes = PART_BYTES + part.2.len();
        let before = self.queued.fetch_add(bytes, Ordering::Relaxed);
        before <= QUEUED_BYTES_MAX && self.parts.send(part).is_ok()
    }
}

impl PartReceiver {
    async fn recv(&mut self) -> Option<Part> {
        let part = self.parts.recv().await?;
        self.queued.fetch_sub(PART_BYTES + part.2.len(), Ordering::Relaxed);
        Some(part)
    }
}

/// A request that came from another node.
pub struct Passed {
    pub id: Uuid,
    pub partition: u16,
    pub request: Request<Body>,
    letter: Letter,
}

impl Mail {
    pub fn new(database: Arc<Database>, cluster: watch::Receiver<Cluster>, lease: Duration) -> Arc<Self> {
        let (out, outgoing) = mpsc::unbounded_channel();
        let mail = Arc::new(Self {
            database,
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
        let (tell, parts) = part_queue();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= WAITING_MAX {
                return crowded().into_response();
            }
            waiting.insert(letter.id, tell);
        }
        let here = Here { mail: self.clone(), id: letter.id, partition, is_answered: false, room };
        self.wait(letter, here, parts).await.unwrap_or_else(IntoResponse::into_response)
    }

    async fn wait(&self, letter: Letter, mut here: Here, mut parts: PartReceiver) -> Result<Response, Problem> {
        let begun = Instant::now();
        let mut sent_to = self.owner(letter.partition);
        // Nodes that may be at it, and until when the answer of one that is gone may be on its way.
        let (mut at_it, mut end) = (Vec::from_iter(sent_to), begun + ANSWER_MAX);
        let _ = self.out.send(Outgoing::Request(letter.clone(), here.room.clone()));
        let first = loop {
            match tokio::time::timeout(LOOK_EVERY, parts.recv()).await {
                Ok(Some(first)) => break first,
                Ok(None) => {
                    here.is_answered = true;
                    return Err(Problem::unavailable("the database does not answer: ask again, with the same key"));
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
                return Err(Problem::unavailable(match here.is_answered {
                    true => "no node decides for this tenant now; nothing was accepted",
                    false => "the node that decides for this tenant did not answer: ask again, with the same key",
                }));
            } else if owner != sent_to {
                // Whoever has taken it up answers, or passes it on.
                at_it.extend(owner);
            }
            sent_to = owner;
        };
        here.is_answered = first.1.is_last;
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
        let mut waiting = self.waiting.lock();
        let Some(tell) = waiting.get(&answer.request) else { return };
        let Some((said, body)) = read::<Said>(answer.message) else { return };
        let is_last = said.is_last;
        // Whoever has left, or is too slow for the stream, hears no more.
        let is_told = tell.send((answer.part, said, body));
        if is_last || !is_told {
            waiting.remove(&answer.request);
        }
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
        self.mail.waiting.lock().remove(&self.id);
        if !self.is_answered {
            let message = write(&Ask::Leave(self.id.as_u128()), &[]);
            let (asker, partition) = (self.mail.database.node(), self.partition);
            let leave = Letter { id: Uuid::now_v7(), partition, asker, message };
            let _ = self.mail.out.send(Outgoing::Request(leave, None));
        }
    }
}

fn response((_, said, bytes): Part, parts: PartReceiver, here: Here) -> Response {
    let nothing = Head { status: StatusCode::BAD_GATEWAY.as_u16(), headers: Vec::new(), elsewhere: None };
    let Head { status, headers, elsewhere } = said.head.unwrap_or(nothing);
    let body = if said.is_last {
        Body::from(bytes)
    } else {
        let first = futures_util::stream::once(std::future::ready(bytes));
        let rest = futures_util::stream::unfold((1, parts, Some(here)), |(next, mut parts, here)| async move {
            let mut here = here?;
            // Streams say that they live: one that does not, or left something out, is asked for again by its client.
            let (part, said, bytes) = tokio::time::timeout(SILENT_MAX, parts.recv()).await.ok()??;
            if part != next {
                return None;
            }
            here.is_answered = said.is_last;
            let stays = (!said.is_last).then_some(here);
            Some((bytes, (next + 1, parts, stays)))
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

    fn part(bytes: usize) -> Part {
        (0, Said { head: None, is_last: false }, Bytes::from(vec![0; bytes]))
    }

    #[tokio::test]
    async fn a_reader_that_lets_too_many_bytes_wait_is_cut_off_however_few_parts_they_are() {
        let (sender, _receiver) = part_queue();
        assert!(sender.send(part(4 << 20)), "one is taken, whatever its size");
        assert!(!sender.send(part(1)), "it has not been read");
        let (sender, _receiver) = part_queue();
        let small = (0..).take_while(|_| sender.send(part(1))).count();
        assert!((1_000..5_000).contains(&small), "{small}");
        let (sender, mut receiver) = part_queue();
        for _ in 0..100 {
            assert!(sender.send(part(1 << 20)), "one that is read goes on");
            receiver.recv().await.expect("a part");
        }
    }
}
