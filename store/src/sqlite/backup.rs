//! A copy of a file that somebody may be writing to: one commit whole, compact, and in its place only when it is on disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::connection;
use super::fault::Fault;
use crate::{Error, Result};

/// Writes a copy of the file at `from` to `to`, where there must be none.
pub fn backup(from: &Path, to: &Path) -> Result<()> {
    let unavailable = |cause: String| Error::Unavailable { doing: "make a copy", cause };
    if to.exists() {
        return Err(unavailable(format!("{} is there already; choose another name", to.display())));
    }
    let partial = to.with_added_extension("partial");
    // Of a copy that broke off.
    let _ = std::fs::remove_file(&partial);
    // For its owner alone from the beginning: it holds payloads and signing secrets. SQLite takes an empty file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    made.map_err(|error| unavailable(format!("{}: {error}", partial.display())))?;
    let copied = copy(from, &partial).map_err(|fault| fault.while_("make a copy"));
    let kept = copied.and_then(|()| keep(&partial, to).map_err(|error| unavailable(error.to_string())));
    if kept.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    kept
}

fn copy(from: &Path, partial: &Path) -> std::result::Result<(), Fault> {
    let reader = connection::reader(from)?;
    let path = partial.to_str().ok_or_else(|| Fault::damaged("the name of the copy", "it is not Unicode"))?;
    reader.execute("VACUUM INTO ?1", [path])?;
    Ok(())
}

fn keep(partial: &Path, to: &Path) -> std::io::Result<()> {
    File::open(partial)?.sync_all()?;
    std::fs::rename(partial, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
