//! The clients of the attacking tenant: a closed loop that keeps no answer, and connections that are only held open.
//!
//! All clients are tasks of one thread of low priority. The attack ends at a given moment, whether or not the server
//! answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::flood::FLOOD_NICE;
use crate::http::{Connection, Fault};

/// Pause after a refusal or a fault, so that a server that refuses at once is not flooded with retries.
const PAUSE: Duration = Duration::from_millis(10);
/// The attacker has another address than the quiet tenant, because the server may limit connections by address.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Appends the request with this number, counted for each client.
pub type WriteRequest = dyn Fn(u64, &mut Vec<u8>) + Send + Sync;

#[derive(Clone)]
pub enum Client {
    /// Sends a request, discards the answer, and sends the next.
    Loop(Arc<WriteRequest>),
    /// Sends these bytes and never reads.
    Hold(Arc<[u8]>),
}

/// Results of the attacker's requests.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Tally {
    /// Answers with a status of 2xx.
    #[serde(rename = "attack_accepted")]
    pub accepted: u64,
    /// Answers that refuse the load: 408, 413, 429 and 503.
    #[serde(rename = "attack_refused")]
    pub refused: u64,
    /// Connections that the server did not accept, or closed without an answer.
    #[serde(rename = "attack_disconnected")]
    pub disconnected: u64,
    /// Requests without an answer at the end of the attack, and held connections that are still open.
    #[serde(rename = "attack_unanswered")]
    pub unanswered: u64,
    /// Any other answers, by their kind: with these in it, the attack is not what it should be.
    #[serde(rename = "attack_unexpected")]
    pub unexpected: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts an answer; returns `false` if it was not a success.
    fn count(&mut self, answer: Result<u16, Fault>) -> bool {
        match &answer {
            Ok(200..=299) => self.accepted += 1,
            Ok(408 | 413 | 429 | 503) => self.refused += 1,
            Err(Fault::Connect(_) | Fault::Broken(_) | Fault::Closed) => self.disconnected += 1,
            Ok(status) => *self.unexpected.entry(format!("status {status}")).or_default() += 1,
            Err(fault) => *self.unexpected.entry(fault.to_string()).or_default() += 1,
        }
        matches!(answer, Ok(200..=299))
    }
}

#[tokio::main(flavor = "current_thread")]
pub async fn attack(address: SocketAddr, clients: Vec<Client>, duration: Duration) -> anyhow::Result<Tally> {
    rustix::process::nice(FLOOD_NICE).context("lower the priority of the attack")?;
    let end = Instant::now() + duration;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let local = LocalSet::new();
    let mut running = JoinSet::new();
    for client in clients {
        let tally = Rc::clone(&tally);
        match client {
            Client::Loop(write) => running.spawn_local_on(run_loop(address, write, end, tally), &local),
            Client::Hold(bytes) => running.spawn_local_on(hold(address, bytes, end, tally), &local),
        };
    }
    local
        .run_until(async {
            while running.join_next().await.transpose()?.is_some() {}
            anyhow::Ok(())
        })
        .await?;
    Ok(tally.take())
}

async fn run_loop(address: SocketAddr, write: Arc<WriteRequest>, end: Instant, tally: Rc<RefCell<Tally>>) {
    let (mut kept, mut request) = (None, Vec::new());
    for number in 0.. {
        if Instant::now() >= end {
            return;
        }
        request.clear();
        write(number, &mut request);
        let Ok(answer) = timeout_at(end, exchange(address, &mut kept, &request)).await else {
            tally.borrow_mut().unanswered += 1;
            return;
        };
        if answer.is_err() {
            kept = None;
        }
        if !tally.borrow_mut().count(answer) {
            sleep(PAUSE).await;
        }
    }
}

async fn exchange(address: SocketAddr, kept: &mut Option<Connection>, request: &[u8]) -> Result<u16, Fault> {
    if kept.as_ref().is_none_or(Connection::is_closing) {
        *kept = Some(Connection::open_from(ADDRESS, address).await?);
    }
    kept.as_mut().expect("opened above").exchange_discarding(request).await
}

async fn hold(address: SocketAddr, bytes: Arc<[u8]>, end: Instant, tally: Rc<RefCell<Tally>>) {
    let answer = match timeout_at(end, Connection::open_from(ADDRESS, address)).await {
        Ok(Ok(mut connection)) => connection.hold_until(&bytes, end).await,
        Ok(Err(fault)) => Some(Err(fault)),
        Err(_) => None,
    };
    match answer {
        Some(answer) => _ = tally.borrow_mut().count(answer),
        None => tally.borrow_mut().unanswered += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_of_load_count_as_refused() {
        let mut tally = Tally::default();
        let answers = [Ok(201), Ok(429), Ok(503), Ok(413), Ok(422), Err(Fault::Closed), Err(Fault::Malformed("head"))];
        let successes = answers.into_iter().filter(|answer| tally.count(answer.clone())).count();
        assert_eq!((successes, tally.accepted, tally.refused, tally.disconnected), (1, 1, 3, 1));
        assert_eq!(tally.unexpected.keys().collect::<Vec<_>>(), ["not an HTTP/1.1 answer: head", "status 422"]);
    }
}
