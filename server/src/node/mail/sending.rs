//! What leaves this node for others: everything that waits at a moment goes in one go.

use std::sync::Arc;

use fleetprompt_store::postgres::{Answer, Request as Letter};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use super::{LOOK_EVERY, Mail};

/// Sent in one go.
const BATCH_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 8 << 20;
const TRIES_MAX: u32 = 5;

pub enum Outgoing {
    Request(Letter, Room),
    Answer(Answer, OwnedSemaphorePermit),
    /// Everything before it is to be on its way.
    Flush(oneshot::Sender<()>),
}

/// In memory, until it is sent and nobody waits for it any more.
pub type Room = Option<Arc<OwnedSemaphorePermit>>;

/// Everything that waits to be sent, in one go after the other.
pub async fn send(mail: Arc<Mail>, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(first) = outgoing.recv().await {
        let (mut requests, mut answers, mut flushed, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let (mut rooms, mut held) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Outgoing::Request(letter, room) => {
                    bytes += letter.message.len();
                    requests.push(letter);
                    rooms.push(room);
                }
                Outgoing::Answer(answer, room) => {
                    bytes += answer.message.len();
                    answers.push(answer);
                    held.push(room);
                }
                Outgoing::Flush(sent) => flushed.push(sent),
            }
            let is_full = requests.len() + answers.len() >= BATCH_MAX || bytes >= BATCH_BYTES_MAX;
            next = if is_full { None } else { outgoing.try_recv().ok() };
        }
        mail.send_requests(&requests).await;
        mail.send_answers(&answers).await;
        for sent in flushed {
            // Whoever asked may have left.
            let _ = oneshot::Sender::send(sent, ());
        }
    }
}

impl Mail {
    /// Once: one that was taken up although nobody said that it is there would be taken up twice.
    async fn send_requests(&self, requests: &[Letter]) {
        if requests.is_empty() {
            return;
        }
        let mut tell: Vec<Uuid> = requests.iter().flat_map(|letter| self.to_tell(letter.partition)).collect();
        tell.sort_unstable();
        tell.dedup();
        if let Err(error) = self.database.send_requests(requests, &tell).await {
            tracing::debug!(target: "nodes", %error, "requests for other nodes could not be sent");
            let mut waiting = self.waiting.lock();
            // Who waits for these hears that nobody answers.
            requests.iter().for_each(|letter| drop(waiting.remove(&letter.id)));
        }
    }

    /// Until they are there: each part has its number, and is there once.
    async fn send_answers(&self, answers: &[Answer]) {
        if answers.is_empty() {
            return;
        }
        let mut tell: Vec<Uuid> = answers.iter().map(|answer| answer.asker).collect();
        tell.sort_unstable();
        tell.dedup();
        for tries in 1.. {
            match self.database.send_answers(answers, &tell).await {
                Ok(()) => return,
                Err(_) if tries < TRIES_MAX => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => {
                    return tracing::warn!(target: "nodes", %error, "answers for other nodes could not be sent");
                }
            }
        }
    }
}
