//! Takes the write-ahead log into the file, beside the writer, on a connection and a thread of their own, and a little at a
//! time: what it syncs, a commit that comes meanwhile waits for as well. The log can only begin anew once all of it is in
//! the file, so under a load that never pauses the writer takes the last of it, each time that it has become long.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::connection;
use super::fault::Fault;
use crate::{Error, Result};

/// As much as is taken at once.
const LITTLE: i32 = 256;
/// No more than is kept of a log that began anew, and soon read after a crash.
const LONG: i32 = 24_000;

pub struct Checkpoints {
    log: Arc<Log>,
    /// How long the log was when it was last begun to take it.
    begun_at: i32,
    begin: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    pages: AtomicI32,
    is_under_way: AtomicBool,
    /// What is left is not much, or the disk is slower than the writer, which then has to wait.
    is_writers_turn: AtomicBool,
}

impl Checkpoints {
    pub fn of(writer: &mut Connection, path: &Path) -> Result<Self> {
        let log = Arc::<Log>::default();
        let (begin, begun) = bounded(1);
        let (ours, path) = (log.clone(), path.to_owned());
        let beside = move || beside(&path, &ours, &begun);
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn(beside);
        let thread =
            thread.map_err(|error| Error::Unavailable { doing: "start a thread", cause: error.to_string() })?;
        let counted = log.clone();
        // In place of SQLite's own, which would do all of it at once in a commit.
        let hook = move |_: &mut Wal, pages| {
            counted.pages.store(pages, Ordering::Relaxed);
            Ok(())
        };
        writer.wal_hook(Some(hook)).map_err(|error| Fault::from(error).while_("prepare the file"))?;
        Ok(Self { log, begun_at: 0, begin: Some(begin), thread: Some(thread) })
    }

    pub fn after_commit(&mut self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < self.begun_at {
            self.begun_at = 0;
        }
        let since = pages - self.begun_at;
        let is_writers_turn = self.log.is_writers_turn.swap(false, Ordering::Acquire);
        if is_writers_turn && pages >= LONG || since >= LONG {
            self.begun_at = pages;
            take(writer);
        } else if since >= LITTLE && !self.log.is_under_way.swap(true, Ordering::AcqRel) {
            self.begun_at = pages;
            self.begin.as_ref().map(|begin| begin.try_send(()));
        }
    }

    pub fn close(&mut self) {
        self.begin = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::warn!("taking the write-ahead log into the file broke off");
        }
    }
}

fn beside(path: &Path, log: &Log, begin: &Receiver<()>) {
    let mut connection = None;
    while begin.recv().is_ok() {
        connection = connection.or_else(|| match connection::beside(path) {
            Ok(connection) => Some(connection),
            Err(fault) => {
                tracing::warn!(error = %fault.while_("open the file once more"), "the writer takes the log into the file");
                None
            }
        });
        connection.as_ref().inspect(|connection| take(connection));
        log.is_writers_turn.store(true, Ordering::Release);
        log.is_under_way.store(false, Ordering::Release);
    }
}

/// As much as nobody needs to read from it.
fn take(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log was not taken into the file");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Place {
        _folder: tempfile::TempDir,
        writer: Connection,
        checkpoints: Checkpoints,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("log.db");
            let mut writer = connection::writer(&path).expect("a file");
            writer.execute_batch("CREATE TABLE much (no INTEGER PRIMARY KEY, bytes BLOB)").expect("a table");
            let checkpoints = Checkpoints::of(&mut writer, &path).expect("a thread");
            Self { _folder: folder, writer, checkpoints }
        }

        /// Gives the pages of the log after it.
        fn commit(&mut self, pages: i32) -> i32 {
            let bytes = pages * 4_096;
            self.writer.execute("REPLACE INTO much VALUES (1, zeroblob(?1))", [bytes]).expect("a commit");
            self.checkpoints.after_commit(&self.writer);
            self.checkpoints.log.pages.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_log_begins_anew_though_the_writer_never_pauses() {
        let mut place = Place::new();
        let pages: Vec<i32> = (0..150).map(|_| place.commit(1_000)).collect();
        assert!(pages.iter().all(|pages| *pages < LONG * 4), "{pages:?}");
        assert!(pages.windows(2).any(|two| two[1] < two[0]), "{pages:?}");
        place.checkpoints.close();
    }

    #[test]
    fn a_log_begins_anew_in_a_pause() {
        let mut place = Place::new();
        assert!(place.commit(LITTLE * 2) > LITTLE * 2);
        let is_taken = |place: &Place| !place.checkpoints.log.is_under_way.load(Ordering::Acquire);
        while !is_taken(&place) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(place.commit(1) < 10);
        place.checkpoints.close();
    }
}
