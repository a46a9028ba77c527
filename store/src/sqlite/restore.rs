//! A working copy of a backup, which itself is only read: it may lie where nothing can be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::backup::beside;
use super::connection::APPLICATION_ID;
use super::{connection, migrations};
use crate::{Error, Result};

// The header of an SQLite file: how it begins, and where it says whose it is.
const HEADER_BYTES: u64 = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
const APPLICATION_ID_AT: Range<usize> = 68..72;

/// Copies `from` to `to`, where there is nothing yet, or an empty file. What is no backup, is damaged or was written by
/// a newer version is refused; an older one is brought up to date when it is opened.
pub fn restore(from: &Path, to: &Path) -> Result<()> {
    check_header(from)?;
    // Of a file that was copied after a crash.
    let (log, log_to) = (beside(from, "-wal"), beside(to, "-wal"));
    let has_log = log.exists();
    copy(from, to)?;
    if has_log {
        copy(&log, &log_to)?;
    }
    // Only when all is copied: what goes from the log into the file in between would be in neither copy.
    must_be_same(from, to)?;
    if has_log {
        must_be_same(&log, &log_to)?;
    }
    if log.exists() != has_log {
        return Err(changes(&log));
    }
    check(from, to)
}

/// Looks at the copy, and speaks of what it is a copy of.
pub fn check(from: &Path, copy: &Path) -> Result<()> {
    let damaged = |why: String| Error::Damaged(format!("{}: {why}", from.display()));
    let copy = connection::existing(copy).map_err(|error| damaged(error.to_string()))?;
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

/// Refuses what is no backup by its first bytes, before anything is copied: it may be huge, or a device without an end.
fn check_header(from: &Path) -> Result<()> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        if !fs::metadata(from)?.is_file() {
            return Ok(None);
        }
        let mut header = Vec::new();
        File::open(from)?.take(HEADER_BYTES).read_to_end(&mut header)?;
        Ok(Some(header))
    };
    let damaged = |why: &str| Error::Damaged(format!("{}{why}", from.display()));
    let header = read().map_err(|error| unavailable(from, error))?;
    let header = header.ok_or_else(|| damaged(" is not a file, and so no backup: name the file that was written"))?;
    if header.is_empty() {
        return Err(damaged(": it is empty, and so no backup"));
    }
    if !header.starts_with(MAGIC) {
        return Err(damaged(" is not a whole SQLite file, and so no backup"));
    }
    match header.get(APPLICATION_ID_AT) {
        Some(id) if id == (APPLICATION_ID as u32).to_be_bytes() => Ok(()),
        Some(_) => Err(damaged(" is another program's SQLite file, and so no backup")),
        None => Err(damaged(": it is damaged: it ends within its header")),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = || -> io::Result<u64> {
        let mut written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
        io::copy(&mut File::open(from)?, &mut written)
    };
    copied().map_err(|error| unavailable(from, error))?;
    Ok(())
}

fn must_be_same(from: &Path, to: &Path) -> Result<()> {
    let hash = |path| hash(path).map_err(|error| unavailable(from, error));
    if hash(from)? == hash(to)? { Ok(()) } else { Err(changes(from)) }
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    Ok(blake3::Hasher::new().update_reader(File::open(path)?)?.finalize())
}

fn changes(path: &Path) -> Error {
    unavailable(path, "it changes while it is read")
}

fn unavailable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Unavailable { doing: "copy the backup", cause: format!("{}: {cause}", path.display()) }
}
