//! A few connections that read beside the writer. They are made when they are first needed.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::connection::ReadOnly;
use super::fault::Result;
use super::files::OpenFiles;

const READERS_MAX: usize = 4;

pub struct Readers {
    path: PathBuf,
    way: ReadOnly,
    files: Arc<OpenFiles>,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Idle or lent.
    made: usize,
}

/// A connection on loan. It goes back when dropped, also by a panic.
pub struct Loan<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Readers {
    pub fn new(path: &Path, way: ReadOnly, files: Arc<OpenFiles>) -> Self {
        Self { path: path.to_owned(), way, files, state: Mutex::default(), returned: Condvar::new() }
    }

    /// Waits when all are lent: reads are short.
    pub fn take(&self) -> Result<Loan<'_>> {
        let mut state = self.state.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(Loan { readers: self, connection: Some(connection) });
            }
            if state.made < READERS_MAX {
                // Another file may be at the path by now.
                self.files.check()?;
                let connection = self.way.open(&self.path)?;
                state.made += 1;
                return Ok(Loan { readers: self, connection: Some(connection) });
            }
            self.returned.wait(&mut state);
        }
    }

    pub fn close(&mut self) {
        self.state.get_mut().idle.clear();
    }
}

impl Deref for Loan<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("held until dropped")
    }
}

impl DerefMut for Loan<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("held until dropped")
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.readers.state.lock().idle.extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}
