//! How clients learn that a run has completed when its signal's answer cannot tell: from the tenant's
//! tail, of which there is one for all of them, or by asking for the run, which disturbs only when
//! there are many to ask.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;

use serde::Deserialize;
use tokio::sync::oneshot;

use crate::http::{Connection, Fault, write_get};

const COMPLETED_TAIL: &str = "/v1/signals/tail?name=workflow.run.completed";

pub struct Ends {
    address: SocketAddr,
    key: String,
    how: How,
}

enum How {
    Asked,
    Tailed(RefCell<HashMap<String, Seen>>),
}

/// Which of both comes first is not known: the end, or the client that waits for it.
enum Seen {
    Completed,
    Awaited(oneshot::Sender<()>),
}

impl Ends {
    /// A tail brings what it has seen every few milliseconds: too coarse for one client's latency.
    pub fn of(address: SocketAddr, key: String, clients: usize) -> Self {
        let how = if clients == 1 { How::Asked } else { How::Tailed(RefCell::default()) };
        Self { address, key, how }
    }

    /// Follows the tail for as long as it lasts; `opened` is told once nothing can be missed.
    pub async fn follow(&self, opened: oneshot::Sender<()>) -> Result<(), Fault> {
        let How::Tailed(seen) = &self.how else {
            _ = opened.send(());
            return std::future::pending().await;
        };
        let mut request = Vec::new();
        write_get(&mut request, COMPLETED_TAIL, &self.key);
        let mut connection = Connection::open(self.address).await?;
        let mut stream = connection.stream(&request).await?;
        _ = opened.send(());
        while let Some(event) = stream.next().await? {
            if let Some(run) = run_of(event)? {
                completed(&mut seen.borrow_mut(), run);
            }
        }
        Err(Fault::Closed)
    }

    /// Returns when the run has completed.
    pub async fn completed(&self, run: String) -> Result<(), Fault> {
        match &self.how {
            How::Asked => self.ask(&run).await,
            How::Tailed(seen) => {
                let end = awaited(&mut seen.borrow_mut(), run);
                match end {
                    Some(end) => end.await.map_err(|_| Fault::Closed),
                    None => Ok(()),
                }
            }
        }
    }

    async fn ask(&self, run: &str) -> Result<(), Fault> {
        let mut connection = Connection::open(self.address).await?;
        let mut request = Vec::new();
        write_get(&mut request, &format!("/v1/runs/{run}"), &self.key);
        loop {
            let answer = connection.exchange(&request).await?;
            answer.expect(200)?;
            let detail: Detail = serde_json::from_slice(answer.body).map_err(|_| Fault::Answer("not a run"))?;
            match detail.run.status.as_str() {
                "completed" => return Ok(()),
                "running" | "waiting" => {}
                _ => return Err(Fault::Answer("the run did not complete")),
            }
        }
    }
}

fn completed(seen: &mut HashMap<String, Seen>, run: String) {
    match seen.remove(&run) {
        // A client that waits no longer has given up with the load.
        Some(Seen::Awaited(client)) => _ = client.send(()),
        _ => _ = seen.insert(run, Seen::Completed),
    }
}

fn awaited(seen: &mut HashMap<String, Seen>, run: String) -> Option<oneshot::Receiver<()>> {
    if let Some(Seen::Completed) = seen.remove(&run) {
        return None;
    }
    let (client, end) = oneshot::channel();
    seen.insert(run, Seen::Awaited(client));
    Some(end)
}

#[derive(Deserialize)]
struct Detail {
    run: Run,
}

#[derive(Deserialize)]
struct Run {
    status: String,
}

#[derive(Deserialize)]
struct Completed {
    run_id: String,
}

/// Of an event of the tail; a heartbeat has none.
fn run_of(event: &[u8]) -> Result<Option<String>, Fault> {
    let Some(data) = event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:")) else {
        return Ok(None);
    };
    let completed: Completed = serde_json::from_slice(data).map_err(|_| Fault::Answer("not a signal of a run"))?;
    Ok(Some(completed.run_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_seen_whether_it_is_awaited_before_or_after() {
        let mut seen = HashMap::new();
        completed(&mut seen, "run_1".to_owned());
        assert!(awaited(&mut seen, "run_1".to_owned()).is_none());
        let mut end = awaited(&mut seen, "run_2".to_owned()).unwrap();
        assert!(end.try_recv().is_err());
        completed(&mut seen, "run_2".to_owned());
        assert_eq!(end.try_recv(), Ok(()));
        assert!(seen.is_empty());
    }

    #[test]
    fn an_event_names_its_run_and_a_heartbeat_none() {
        let event = b"id: sig_1\nevent: signal\ndata: {\"id\":\"sig_1\",\"run_id\":\"run_1\"}\n\n";
        assert_eq!(run_of(event), Ok(Some("run_1".to_owned())));
        assert_eq!(run_of(b":\n\n"), Ok(None));
        assert!(run_of(b"data: {}\n\n").is_err());
    }
}
