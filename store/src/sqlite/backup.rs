//! A copy of a file that somebody may be writing to: one commit whole, compact, and in its place only when it is on disk.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::connection::{self, ReadOnly};
use super::fault::{Fault, Result as FaultResult};
use super::restore::check;
use crate::{Error, Result};

const DOING: &str = "make a copy";
/// What SQLite puts beside a file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file that has its name only when it is whole and on disk; `fill` writes it under another one. There must be none.
pub fn create<T, E: From<Error>>(
    to: &Path,
    fill: impl FnOnce(&Path) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    must_be_free(to)?;
    let partial = Partial::beside(to)?;
    let filled = fill(&partial.0)?;
    settle(&partial.0).map_err(|fault| fault.while_(DOING))?;
    partial.keep(to)?;
    Ok(filled)
}

/// Writes a copy of the file at `from` into the empty one at `to`. What is not ours, is empty or damaged is refused.
pub fn backup(from: &Path, to: &Path) -> Result<()> {
    copy(from, to).map_err(|fault| fault.while_(DOING))?;
    check(from, to)
}

/// Removes what `create` has begun, for whoever ends the process before it is done.
pub fn remove(partial: &Path) {
    let _ = fs::remove_file(partial);
    for ending in BESIDE {
        let _ = fs::remove_file(beside(partial, ending));
    }
}

pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

fn must_be_free(to: &Path) -> Result<()> {
    // The log of a file that is gone would be taken for the log of this one.
    let all = [to.to_owned(), beside(to, "-wal"), beside(to, "-journal")];
    // Also a link that leads nowhere is there.
    match all.iter().find(|path| fs::symlink_metadata(path).is_ok()) {
        Some(there) => Err(is_there(there)),
        None => Ok(()),
    }
}

/// A file of our own that is not whole yet, and goes when this is dropped.
struct Partial(PathBuf);

impl Partial {
    /// Under a name that nobody else has: another may be making a copy for the same place.
    fn beside(to: &Path) -> Result<Self> {
        let partial = beside(to, &format!(".{}.partial", Uuid::now_v7().simple()));
        // For its owner alone from the beginning: it holds payloads and signing secrets. SQLite takes an empty file.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        made.map_err(|error| unavailable(to, error))?;
        Ok(Self(partial))
    }

    fn keep(self, to: &Path) -> Result<()> {
        let kept = || -> io::Result<()> {
            File::open(&self.0)?.sync_all()?;
            name(&self.0, to)?;
            let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()
        };
        kept().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => is_there(to),
            _ => unavailable(to, error),
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn copy(from: &Path, to: &Path) -> FaultResult<()> {
    let reader = ReadOnly::Shared.open(from)?;
    let path = connection::named(to);
    let path = path.to_str().ok_or_else(|| Fault::from(rusqlite::Error::InvalidPath(to.to_owned())))?;
    reader.execute("VACUUM INTO ?1", [path])?;
    Ok(())
}

/// Takes the log into the file, which can then be read also where nothing can be written.
fn settle(partial: &Path) -> FaultResult<()> {
    let partial = connection::existing(partial)?;
    let mode: String = partial.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode == "delete" { Ok(()) } else { Err(Fault::damaged("the copy", format!("its journal stays `{mode}`"))) }
}

/// Gives the file its name, unless another has got it meanwhile: a plain rename would replace that one.
fn name(partial: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(partial, to) {
        Ok(()) => {
            remove(partial);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system has hard links. Then the name is taken by an empty file, which only we replace.
        Err(_) => {
            File::create_new(to)?;
            fs::rename(partial, to).inspect_err(|_| drop(fs::remove_file(to)))
        }
    }
}

fn is_there(path: &Path) -> Error {
    unavailable(path, "it is there already; choose another place")
}

fn unavailable(path: &Path, cause: impl Display) -> Error {
    Error::Unavailable { doing: DOING, cause: format!("{}: {cause}", path.display()) }
}
