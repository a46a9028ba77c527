//! The files of a database as they were opened. A folder that was removed or moved leaves them open, and whoever writes to
//! them would write to files that no later start finds.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::backup::beside;
use super::fault::{Fault, Result};

/// They are closed after the connections of SQLite, never before: its locks belong to the process, and the system drops all
/// of a file with the first descriptor that is closed.
pub struct OpenFiles {
    files: Vec<OpenFile>,
    /// What reading them ended with, and when.
    read: Mutex<Option<(Instant, Option<String>)>>,
}

struct OpenFile {
    path: PathBuf,
    file: File,
    /// Device and inode.
    id: (u64, u64),
}

const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 1 << 20;

impl OpenFiles {
    /// The database at this path and its write-ahead log, both just opened.
    pub fn at(path: &Path) -> Self {
        let opened = [path.to_owned(), beside(path, "-wal")].into_iter().filter_map(OpenFile::at);
        Self { files: opened.collect(), read: Mutex::default() }
    }

    /// Fails if one of them is not at its path any more. It may come back.
    pub fn check(&self) -> Result<()> {
        for OpenFile { path, id, .. } in &self.files {
            let why = match path.metadata() {
                Ok(found) if id_of(&found) == *id => continue,
                Ok(_) => "another file is there".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(Fault::Detached(format!(
                "{} was removed, moved or replaced while it was open ({why}); put it back, or stop this process and start \
                 it with the right folder",
                path.display()
            )));
        }
        Ok(())
    }

    /// SQLite takes a disk that fails to read (EIO) for a damaged file. Reads all of it to tell them apart, seldom.
    pub fn explain(&self, fault: Fault) -> Fault {
        if !fault.is_corrupt() {
            return fault;
        }
        let mut read = self.read.lock();
        let known = read.take().filter(|(at, _)| at.elapsed() < READ_AGAIN_AFTER);
        let (at, error) = known.unwrap_or_else(|| (Instant::now(), self.files.iter().find_map(OpenFile::read_error)));
        *read = Some((at, error.clone()));
        error.map_or(fault, Fault::Unreadable)
    }
}

impl OpenFile {
    fn at(path: PathBuf) -> Option<Self> {
        let file = File::open(&path).ok()?;
        let id = id_of(&file.metadata().ok()?);
        Some(Self { path, file, id })
    }

    fn read_error(&self) -> Option<String> {
        let (mut bytes, mut at) = (vec![0; READ_BYTES], 0);
        loop {
            match self.file.read_at(&mut bytes, at) {
                Ok(0) => return None,
                Ok(read) => at += read as u64,
                Err(error) => return Some(format!("{} cannot be read: {error}", self.path.display())),
            }
        }
    }
}

fn id_of(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
