//! A copy of a file that somebody may be writing to: one commit whole, compact, and in its place only when it is on disk.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection;
use super::fault::{Fault, Result as FaultResult};
use crate::{Error, Result};

/// What SQLite puts beside a file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Writes a copy of the file at `from` to `to`, where there must be none.
pub fn backup(from: &Path, to: &Path) -> Result<()> {
    create(to, |partial| copy(from, partial).map_err(|fault| fault.while_("make a copy")))
}

/// A file that has its name only when it is whole and on disk; `fill` writes it under another one. There must be none.
pub fn create<T, E: From<Error>>(
    to: &Path,
    fill: impl FnOnce(&Path) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let unavailable = |cause: String| E::from(Error::Unavailable { doing: "make a copy", cause });
    // The log of a file that is gone would be taken for the log of this one.
    let all = [to.to_owned(), beside(to, "-wal"), beside(to, "-journal")];
    if let Some(there) = all.iter().find(|path| path.exists()) {
        return Err(unavailable(format!("{} is there already; choose another place", there.display())));
    }
    let partial = beside(to, ".partial");
    // Of a copy that broke off.
    remove(&partial);
    // For its owner alone from the beginning: it holds payloads and signing secrets. SQLite takes an empty file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    made.map_err(|error| unavailable(format!("{}: {error}", partial.display())))?;
    let kept = fill(&partial).and_then(|filled| {
        settle(&partial).map_err(|fault| fault.while_("make a copy"))?;
        keep(&partial, to).map_err(|error| unavailable(error.to_string()))?;
        Ok(filled)
    });
    if kept.is_err() {
        remove(&partial);
    }
    kept
}

pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

fn copy(from: &Path, partial: &Path) -> FaultResult<()> {
    let reader = connection::reader(from)?;
    let path = partial.to_str().ok_or_else(|| Fault::damaged("the name of the copy", "it is not Unicode"))?;
    reader.execute("VACUUM INTO ?1", [path])?;
    Ok(())
}

/// Takes the log into the file, which can then be read also where nothing can be written.
fn settle(partial: &Path) -> FaultResult<()> {
    let mode: String = Connection::open(partial)?.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode == "delete" { Ok(()) } else { Err(Fault::damaged("the copy", format!("its journal stays `{mode}`"))) }
}

fn keep(partial: &Path, to: &Path) -> std::io::Result<()> {
    File::open(partial)?.sync_all()?;
    std::fs::rename(partial, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn remove(partial: &Path) {
    let _ = std::fs::remove_file(partial);
    for ending in BESIDE {
        let _ = std::fs::remove_file(beside(partial, ending));
    }
}
