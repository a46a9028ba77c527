//! What nodes say to each other, through the database: requests for whoever writes for a partition, and what is
//! answered. It stands in tables that are not logged, since nothing depends on it: a request that is lost was never
//! accepted, and one whose answer is lost is asked again. A notification says that there is something to be read.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::columns;
use super::database::{CONNECT_MAX, Database, bounded_by, partition};
use super::fault::{Fault, Result as FaultResult};
use crate::Result;

#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub id: Uuid,
    pub partition: u16,
    pub asker: Uuid,
    pub message: Vec<u8>,
}

/// One part of what is answered to a request, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub request: Uuid,
    pub asker: Uuid,
    pub part: u32,
    pub message: Vec<u8>,
}

/// Where somebody waits to hear that there is something to look at.
#[derive(Debug, Default)]
pub struct Notices {
    /// Nodes came or went, or partitions changed hands.
    pub nodes: Notify,
    /// There are requests or answers for us.
    pub mail: Notify,
    is_listening: AtomicBool,
}

impl Notices {
    /// False: there may be something, and nobody says so.
    pub fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    fn listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::Relaxed);
        // What came before was missed.
        self.nodes.notify_one();
        self.mail.notify_one();
    }
}

const CHANNEL: &str = "fleetprompt";
const NODES: &str = "nodes";
const LISTEN_AGAIN: Duration = Duration::from_millis(500);
/// How often the connection that listens is asked whether it still answers.
const LISTENS_EVERY: Duration = Duration::from_secs(15);

impl Database {
    /// Puts requests there at once, and tells those nodes.
    pub async fn send_requests(&self, requests: &[Request], tell: &[Uuid]) -> Result<()> {
        let sql = "INSERT INTO requests (id, partition, asker, message)
            SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::bytea[]) ON CONFLICT DO NOTHING";
        let ids: Vec<Uuid> = requests.iter().map(|request| request.id).collect();
        let partitions: Vec<i32> = requests.iter().map(|request| i32::from(request.partition)).collect();
        let askers: Vec<Uuid> = requests.iter().map(|request| request.asker).collect();
        let messages: Vec<&[u8]> = requests.iter().map(|request| &*request.message).collect();
        self.put(sql, &[&ids, &partitions, &askers, &messages], tell).await
    }

    /// The same with answers. What is there already is not put there twice.
    pub async fn send_answers(&self, answers: &[Answer], tell: &[Uuid]) -> Result<()> {
        let sql = "INSERT INTO answers (asker, request, part, message)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bytea[]) ON CONFLICT DO NOTHING";
        let askers: Vec<Uuid> = answers.iter().map(|answer| answer.asker).collect();
        let requests: Vec<Uuid> = answers.iter().map(|answer| answer.request).collect();
        let parts: Vec<i32> = answers.iter().map(|answer| i32::try_from(answer.part).unwrap_or(i32::MAX)).collect();
        let messages: Vec<&[u8]> = answers.iter().map(|answer| &*answer.message).collect();
        self.put(sql, &[&askers, &requests, &parts, &messages], tell).await
    }

    async fn put(&self, sql: &str, values: &[&(dyn ToSql + Sync)], tell: &[Uuid]) -> Result<()> {
        let tell: Vec<String> = tell.iter().map(Uuid::to_string).collect();
        let put = self.ask(async |client| {
            let put = client.prepare_cached(sql).await?;
            let notify = client.prepare_cached("SELECT pg_notify($1, name) FROM unnest($2::text[]) name").await?;
            // One after the other on one connection: whoever is told finds it there.
            let told: [&(dyn ToSql + Sync); 2] = [&CHANNEL, &tell];
            tokio::try_join!(client.execute(&put, values), client.execute(&notify, &told))?;
            Ok(())
        });
        put.await.map_err(|fault| fault.while_("send to another node"))
    }

    /// Takes what is there for these partitions, and what was answered to this node: each once.
    pub async fn receive(&self, partitions: &[u16]) -> Result<(Vec<Request>, Vec<Answer>)> {
        let numbers: Vec<i32> = partitions.iter().map(|number| i32::from(*number)).collect();
        let received = self.ask(async |client| {
            let asked = client
                .prepare_cached(
                    "DELETE FROM requests WHERE partition = ANY ($1) RETURNING id, partition, asker, message",
                )
                .await?;
            let said = client
                .prepare_cached("DELETE FROM answers WHERE asker = $1 RETURNING request, asker, part, message")
                .await?;
            let (of_ours, to_us): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) = ([&numbers], [&self.node]);
            let (asked, said) = tokio::try_join!(client.query(&asked, &of_ours), client.query(&said, &to_us))?;
            let mut requests = asked.iter().map(request).collect::<FaultResult<Vec<_>>>()?;
            let mut answers = said.iter().map(answer).collect::<FaultResult<Vec<_>>>()?;
            requests.sort_unstable_by_key(|request| request.id);
            answers.sort_unstable_by_key(|answer| (answer.request, answer.part));
            Ok((requests, answers))
        });
        received.await.map_err(|fault| fault.while_("read what other nodes sent"))
    }

    /// Takes a request back. False: somebody has taken it up.
    pub async fn withdraw(&self, request: Uuid) -> Result<bool> {
        let sql = "DELETE FROM requests WHERE id = $1";
        let taken = self.ask(async |client| Ok(client.execute(sql, &[&request]).await? > 0)).await;
        taken.map_err(|fault| fault.while_("take a request back"))
    }

    /// Drops what is there for nobody: requests that nobody waits for any more, answers to nodes that are gone, and
    /// the nodes themselves after an hour.
    pub async fn sweep(&self, older_than: Duration) -> Result<()> {
        let swept = self.ask(async |client| {
            let gone = "DELETE FROM nodes WHERE expires_at < clock_timestamp() - interval '1 hour'";
            client.execute(gone, &[]).await?;
            for table in ["requests", "answers"] {
                let sql = format!("DELETE FROM {table} WHERE sent_at < clock_timestamp() - make_interval(secs => $1)");
                client.execute(&sql, &[&older_than.as_secs_f64()]).await?;
            }
            Ok(())
        });
        swept.await.map_err(|fault| fault.while_("clear what nobody waits for"))
    }

    /// That nodes came or went, or partitions changed hands.
    pub async fn notify_nodes(&self) -> Result<()> {
        let notified = self.ask(async |client| {
            client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &NODES]).await?;
            Ok(())
        });
        notified.await.map_err(|fault| fault.while_("tell the other nodes"))
    }

    /// Listens for ever.
    pub async fn listen(&self, notices: &Notices) {
        loop {
            if let Err(fault) = self.listen_once(notices).await {
                let error = fault.while_("listen for notifications");
                tracing::debug!(target: "store", %error, "this node looks for messages by itself for now");
            }
            notices.listening(false);
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    async fn listen_once(&self, notices: &Notices) -> FaultResult<()> {
        let own = self.node.to_string();
        let (config, tls) = self.way_there();
        let (client, mut connection) = bounded_by(CONNECT_MAX * 2, async { Ok(config.connect(tls).await?) }).await?;
        let mut listening = pin!(keep_listening(&client, notices));
        loop {
            let next = poll_fn(|context| match listening.as_mut().poll(context) {
                Poll::Ready(fault) => Poll::Ready(Some(Err(fault))),
                Poll::Pending => connection.poll_message(context).map(|next| Some(next?.map_err(Fault::from))),
            });
            match next.await {
                Some(Ok(AsyncMessage::Notification(told))) if told.payload() == NODES => notices.nodes.notify_one(),
                Some(Ok(AsyncMessage::Notification(told))) if told.payload() == own => notices.mail.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(fault),
                None => return Err(Fault::Away("the connection was closed".to_owned())),
            }
        }
    }
}

/// Until the connection does not answer any more, which one that is dead without a word does not say by itself.
async fn keep_listening(client: &tokio_postgres::Client, notices: &Notices) -> Fault {
    let listen = format!("LISTEN {CHANNEL}");
    loop {
        if let Err(fault) = bounded_by(CONNECT_MAX * 2, async { Ok(client.batch_execute(&listen).await?) }).await {
            return fault;
        }
        if !notices.is_listening() {
            notices.listening(true);
        }
        tokio::time::sleep(LISTENS_EVERY).await;
    }
}

fn request(row: &tokio_postgres::Row) -> FaultResult<Request> {
    Ok(Request {
        id: columns::id(row, 0)?,
        partition: partition(row, 1)?,
        asker: columns::id(row, 2)?,
        message: columns::get(row, 3)?,
    })
}

fn answer(row: &tokio_postgres::Row) -> FaultResult<Answer> {
    let part: i32 = columns::get(row, 2)?;
    Ok(Answer {
        request: columns::id(row, 0)?,
        asker: columns::id(row, 1)?,
        part: part.unsigned_abs(),
        message: columns::get(row, 3)?,
    })
}
