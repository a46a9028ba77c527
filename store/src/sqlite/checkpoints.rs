//! Takes the write-ahead log into the file. Most of it goes there beside the writer, on a connection and a thread of their
//! own; the writer takes the little that came meanwhile, so that the log can begin anew. Otherwise each commit that finds
//! the log full would have all who come meanwhile wait for tens of megabytes.

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

/// When it is time to begin.
const PAGES: i32 = 8_000;
/// When the writer does not wait for the other any more.
const PAGES_MAX: i32 = PAGES * 8;
/// So few are taken in no time.
const FEW: i32 = 200;

pub struct Checkpoints {
    log: Arc<Log>,
    /// How much of the log stood in the file when somebody last looked.
    taken: i32,
    begin: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    pages: AtomicI32,
    is_under_way: AtomicBool,
    /// The rest is for the writer, however much it is: where the disk is slower than it, it has to wait.
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
        Ok(Self { log, taken: 0, begin: Some(begin), thread: Some(thread) })
    }

    pub fn after_commit(&mut self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < self.taken {
            self.taken = 0;
        }
        let left = pages - self.taken;
        // Somebody may have read in an old part of it, and then it is asked again before long.
        let is_time = left >= if pages >= PAGES * 4 { FEW } else { PAGES };
        if self.log.is_writers_turn.swap(false, Ordering::Acquire) || left >= PAGES_MAX {
            self.taken = take(writer).unwrap_or(self.taken);
        } else if is_time && !self.log.is_under_way.swap(true, Ordering::AcqRel) {
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
        if let Some(connection) = &connection {
            // What comes while the first part is taken is less than that, and so on.
            let few_are_left = |taken: i32| log.pages.load(Ordering::Relaxed) - taken < FEW;
            let _ = (0..4).find(|_| take(connection).is_none_or(few_are_left));
            log.is_writers_turn.store(true, Ordering::Release);
        }
        log.is_under_way.store(false, Ordering::Release);
    }
}

/// As much as nobody needs to read from it. Says how many pages of it stand in the file now.
fn take(connection: &Connection) -> Option<i32> {
    match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)) {
        // Below zero: somebody else is at it.
        Ok(taken) => Some(taken).filter(|taken| *taken >= 0),
        Err(error) => {
            tracing::warn!(%error, "the write-ahead log was not taken into the file");
            None
        }
    }
}
