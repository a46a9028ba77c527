//! A working copy of a backup, which itself is only read: it may lie where nothing can be written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::backup::beside;
use super::{connection, migrations};
use crate::{Error, Result};

/// Copies `from` to `to`, where there is nothing yet, or an empty file. What is no backup, is damaged or was written by
/// a newer version is refused; an older one is brought up to date when it is opened.
pub fn restore(from: &Path, to: &Path) -> Result<()> {
    copy(from, to)?;
    // Of a file that was copied after a crash.
    let log = beside(from, "-wal");
    if log.exists() {
        copy(&log, &beside(to, "-wal"))?;
    }
    check(from, to)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = || -> io::Result<()> {
        let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
        io::copy(&mut File::open(from)?, &mut written)?;
        if hash(from)? == hash(to)? { Ok(()) } else { Err(io::Error::other("it changes while it is read")) }
    };
    let cause = |error| Error::Unavailable { doing: "copy the backup", cause: format!("{}: {error}", from.display()) };
    copied().map_err(cause)
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    Ok(blake3::Hasher::new().update_reader(File::open(path)?)?.finalize())
}

/// Looks at the copy, and speaks of what it is a copy of.
fn check(from: &Path, copy: &Path) -> Result<()> {
    let damaged = |why: String| Error::Damaged(format!("{}: {why}", from.display()));
    let copy = Connection::open(copy).map_err(|error| damaged(error.to_string()))?;
    connection::check_ours(&copy, from)?;
    if migrations::known(&copy, from)? == 0 {
        return Err(damaged("it is empty, and so no backup".to_owned()));
    }
    let found = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match found.unwrap_or_else(|error| error.to_string()) {
        found if found == "ok" => Ok(()),
        found => Err(damaged(found)),
    }
}
