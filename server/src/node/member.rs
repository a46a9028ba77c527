//! One of the nodes that share a database: it says that it lives, takes its share of the partitions, gives away what is
//! above it, and opens the door for those that it has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetprompt_engine::{Engine, Resources};
use fleetprompt_store::Store;
use fleetprompt_store::postgres::{Cluster, Database, Notices, PostgresStore};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::balance::{self, Plan};
use super::door::{Door, Room};
use super::mail::Mail;
use crate::api::{self, Among, ApiConfig};

pub struct Member {
    database: Arc<Database>,
    resources: Resources,
    api: ApiConfig,
    door: Arc<Door>,
    mail: Arc<Mail>,
    cluster: watch::Sender<Cluster>,
    notices: Arc<Notices>,
    lease: Duration,
    /// Partitions whose door is closed, and that are not free yet.
    closing: Mutex<BTreeSet<u16>>,
    /// It says that it is not ready any more.
    leaving: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
}

/// How long requests that are being answered may hold up a partition that is handed over.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Looked at by itself, in case nobody says that there is something.
const LOOK_CALMLY: Duration = Duration::from_secs(5);
const LOOK_OFTEN: Duration = Duration::from_millis(250);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// What nodes asked each other and nobody took is gone after this.
const KEPT: Duration = Duration::from_secs(300);

/// What goes on for as long as the node does.
pub struct Running {
    pub member: Arc<Member>,
    tasks: Vec<JoinHandle<()>>,
    /// Until the very end.
    beating: JoinHandle<()>,
}

impl Member {
    /// Has its share of what is free when it returns.
    pub async fn start(
        database: Arc<Database>,
        resources: Resources,
        api: ApiConfig,
        lease: Duration,
    ) -> anyhow::Result<Running> {
        let (cluster, seen) = watch::channel(Cluster::default());
        let mail = Mail::new(database.clone(), resources.memory().clone(), seen, lease);
        let (leaving, left) = watch::channel(false);
        let door = door(&database, &resources, &api, left, &mail)?;
        let (stopping, _) = watch::channel(false);
        let notices = Arc::new(Notices::default());
        let member = Arc::new(Self {
            database,
            resources,
            api,
            door,
            mail,
            cluster,
            notices,
            lease,
            closing: Mutex::default(),
            leaving,
            stopping,
        });
        member.database.join().await?;
        member.look().await?;
        let tasks = vec![
            tokio::spawn(member.clone().listen()),
            tokio::spawn(member.clone().take_part()),
            tokio::spawn(member.clone().take_mail()),
        ];
        let beating = tokio::spawn(member.clone().beat());
        Ok(Running { member, tasks, beating })
    }

    pub fn door(&self) -> &Arc<Door> {
        &self.door
    }

    pub fn database(&self) -> &Arc<Database> {
        &self.database
    }

    async fn listen(self: Arc<Self>) {
        let mut stopped = self.stopping.subscribe();
        tokio::select! {
            () = self.database.listen(&self.notices) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Whatever else takes its time. Says so when the lease is not renewed, before it ends.
    async fn beat(self: Arc<Self>) {
        let (mut renewed, mut said) = (Instant::now(), Lateness::InTime);
        loop {
            // One that failed is tried again soon: another two fit into the lease.
            tokio::time::sleep(self.database.beat_pause(said != Lateness::InTime)).await;
            let begun = Instant::now();
            let beaten = self.database.beat().await;
            if beaten.is_ok() {
                renewed = begun;
            }
            let left = self.lease.checked_sub(renewed.elapsed());
            let lateness = match (&beaten, left) {
                (Ok(()), _) => Lateness::InTime,
                (Err(_), Some(_)) => Lateness::Late,
                (Err(_), None) => Lateness::Over,
            };
            if lateness != said {
                lateness.log(beaten.err(), left);
            }
            said = lateness;
        }
    }

    /// Looks now and then, and whenever something may have changed.
    async fn take_part(self: Arc<Self>) {
        let mut stopped = self.stopping.subscribe();
        let (mut swept, mut is_away) = (Instant::now(), false);
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.lease / 3) => {}
                () = self.notices.nodes.notified() => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            self.door.look_at_keys();
            let looked = self.look().await;
            match &looked {
                Err(error) if !is_away => tracing::warn!(target: "store", %error, "the database does not answer"),
                Ok(()) if is_away => tracing::info!(target: "store", "the database answers again"),
                _ => {}
            }
            is_away = looked.is_err();
            self.database.retry_read().await;
            if swept.elapsed() > SWEEP_EVERY {
                swept = Instant::now();
                // The next minute tries again.
                let _ = self.database.sweep(KEPT).await;
            }
        }
    }

    /// Sees how things stand, and does what is to be done about it.
    async fn look(self: &Arc<Self>) -> Result<(), fleetprompt_store::Error> {
        let own = self.door.partitions();
        let me = self.database.node();
        let mut cluster = self.database.cluster().await?;
        if !cluster.node(me).is_some_and(|node| node.is_alive) {
            // The database was away, or its clock has jumped: others may have taken what was ours, and nothing is ours
            // to give away before we are back.
            self.database.beat().await?;
            cluster = self.database.cluster().await?;
        }
        for partition in own {
            let is_ours = cluster.partitions.get(usize::from(partition)).copied().flatten() == Some(me);
            let has_ended = self.door.room(partition).is_some_and(|room| !room.engine.is_running());
            if !is_ours || has_ended {
                tracing::warn!(target: "nodes", partition, "this node decides for it no more");
                self.drop_room(partition);
            }
        }
        self.mail.forget_the_gone(&cluster);
        let closing: Vec<u16> = self.closing.lock().iter().copied().collect();
        let Plan { take, give, let_go } = balance::plan(&cluster, me, &self.door.partitions(), &closing);
        self.cluster.send_replace(cluster);
        for partition in &let_go {
            self.database.let_go(*partition).await?;
        }
        if !let_go.is_empty() {
            self.database.notify_nodes().await?;
        }
        let mut taking = JoinSet::new();
        for partition in take {
            let member = self.clone();
            taking.spawn(async move { member.take(partition).await });
        }
        let mut has_taken = false;
        while let Some(taken) = taking.join_next().await {
            match taken {
                Ok(Ok(taken)) => has_taken |= taken,
                Ok(Err(error)) => {
                    tracing::error!(target: "nodes", error = format!("{error:#}"), "a partition was not taken")
                }
                Err(error) => tracing::error!(target: "nodes", %error, "a partition was not taken"),
            }
        }
        if has_taken {
            self.cluster.send_replace(self.database.cluster().await?);
            self.database.notify_nodes().await?;
            self.notices.mail.notify_one();
        }
        for partition in give {
            let member = self.clone();
            tokio::spawn(async move { member.hand_over(partition).await });
        }
        Ok(())
    }

    /// False: another was faster.
    async fn take(self: &Arc<Self>, partition: u16) -> anyhow::Result<bool> {
        let (database, resources) = (self.database.clone(), self.resources.clone());
        let runtime = tokio::runtime::Handle::current();
        let started = tokio::task::spawn_blocking(move || {
            let Some(store) = database.take(partition)? else { return Ok(None) };
            Engine::start_among(Arc::new(store), &resources, runtime).map(Some)
        });
        let Some(engine) = started.await?? else { return Ok(false) };
        let (leaving, left) = watch::channel(false);
        let among = Among { database: self.database.clone(), partition, engines: self.door.engines() };
        let router = api::router(engine.clone(), self.api.among(left, among));
        self.door.open(partition, Room::new(engine, router, leaving));
        Ok(true)
    }

    /// Nobody notices but by a moment's wait: effects that have begun come to their end first, and what comes in the
    /// meantime is for the next.
    async fn hand_over(&self, partition: u16) {
        let Some(room) = self.door.room(partition).filter(|room| room.begin_to_hand_over()) else { return };
        room.engine.hand_over().await;
        let Some(room) = self.close(partition) else { return };
        self.end_room(partition, room).await;
        if let Err(error) = self.database.notify_nodes().await {
            tracing::debug!(target: "nodes", %error, "the others find out by themselves");
        }
    }

    /// Another decides for it already.
    fn drop_room(self: &Arc<Self>, partition: u16) {
        if let Some(room) = self.close(partition) {
            let member = self.clone();
            tokio::spawn(async move { member.end_room(partition, room).await });
        }
    }

    /// Until `end_room` it is not taken again.
    fn close(&self, partition: u16) -> Option<Arc<Room>> {
        self.closing.lock().insert(partition);
        let room = self.door.close(partition);
        if room.is_none() {
            self.closing.lock().remove(&partition);
        }
        room
    }

    async fn end_room(&self, partition: u16, room: Arc<Room>) {
        room.until_empty(ANSWERED_WITHIN).await;
        room.engine.stop_within(Duration::ZERO).await;
        self.closing.lock().remove(&partition);
    }

    /// What other nodes ask, and what they answer.
    async fn take_mail(self: Arc<Self>) {
        let mut stopped = self.stopping.subscribe();
        loop {
            let is_calm = self.notices.is_listening() || (!self.mail.expects() && self.door.partitions().is_empty());
            let pause = if is_calm { LOOK_CALMLY } else { LOOK_OFTEN };
            tokio::select! {
                () = self.notices.mail.notified() => {}
                () = tokio::time::sleep(pause) => {}
                // What was taken is answered or passed on before.
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            match self.mail.receive(&self.door.partitions()).await {
                Ok(passed) => passed.into_iter().for_each(|passed| self.door.answer(passed)),
                Err(error) => {
                    tracing::debug!(target: "nodes", %error, "what other nodes sent could not be read");
                    tokio::time::sleep(LOOK_OFTEN).await;
                }
            }
        }
    }

    fn has_others(&self) -> bool {
        let me = self.database.node();
        self.cluster.borrow().nodes.iter().any(|node| node.id != me && node.is_alive && !node.is_draining)
    }
}

impl Running {
    /// Where there are others, they have everything before we stop to answer.
    pub async fn hand_all_over(&self, within: Duration) {
        let member = &self.member;
        member.leaving.send_replace(true);
        if !member.has_others() {
            return;
        }
        if let Err(error) = member.database.drain(member.database.node(), true).await {
            tracing::warn!(target: "nodes", %error, "the other nodes wait until the lease of this one ends");
            return;
        }
        let end = Instant::now() + within + ANSWERED_WITHIN;
        while !member.door.partitions().is_empty() && Instant::now() < end {
            tokio::time::sleep(LOOK_OFTEN / 10).await;
        }
    }

    pub async fn end(self) {
        self.member.stopping.send_replace(true);
        for task in self.tasks {
            // Each comes to an end by itself, and then nothing is taken any more.
            let _ = tokio::time::timeout(ANSWERED_WITHIN, task).await;
        }
        let partitions = self.member.door.partitions();
        let stopping = partitions.into_iter().filter_map(|partition| self.member.door.close(partition));
        futures_util::future::join_all(stopping.map(|room| async move { room.engine.stop().await })).await;
        self.member.mail.until_quiet(ANSWERED_WITHIN).await;
        self.beating.abort();
        let left = tokio::time::timeout(ANSWERED_WITHIN, self.member.database.leave()).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::warn!(target: "nodes", "nobody heard that this node ends; the others wait until its lease does");
        }
    }
}

/// How it stands with the lease of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lateness {
    InTime,
    /// The last heartbeat failed.
    Late,
    /// Other nodes may take the partitions.
    Over,
}

impl Lateness {
    fn log(self, error: Option<fleetprompt_store::Error>, left: Option<Duration>) {
        let error = error.map(|error| error.to_string());
        let left_s = left.map(|left| left.as_secs_f64());
        match self {
            Self::InTime => tracing::info!(target: "nodes", "the lease of this node is renewed again"),
            Self::Late => tracing::warn!(
                target: "nodes", error, left_s,
                "the lease of this node could not be renewed; it is tried again until the lease ends"
            ),
            Self::Over => tracing::error!(
                target: "nodes", error,
                "the lease of this node has ended: other nodes take its partitions, and its commits are refused then"
            ),
        }
    }
}

/// The door, and behind it at first only what belongs to no tenant.
fn door(
    database: &Arc<Database>,
    resources: &Resources,
    api: &ApiConfig,
    left: watch::Receiver<bool>,
    mail: &Arc<Mail>,
) -> anyhow::Result<Arc<Door>> {
    let store: Arc<dyn Store> = Arc::new(database.nothing());
    let engine = Engine::start_among(store, resources, tokio::runtime::Handle::current())?;
    let (told, engines) = watch::channel(Vec::new());
    let among = Among { database: database.clone(), partition: PostgresStore::NOBODYS, engines };
    let router = api::router(engine, api.among(left, among));
    Ok(Arc::new(Door::new(database, resources.metrics(), mail.clone(), resources.memory().clone(), router, told)))
}
