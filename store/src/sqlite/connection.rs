//! How the file is opened: durable, calm, and only if it is ours.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::backup;
use super::fault::{Fault, Result as FaultResult};
use crate::{Error, Result};

/// "Flee", so that `file` and `sqlite3` can tell whose file it is.
pub const APPLICATION_ID: i64 = 0x466c_6565;

/// Where nobody else takes the log into the file, as while it is made.
const CHECKPOINT_PAGES: i64 = 16_000;
const LOG_BYTES_KEPT: i64 = 128 << 20;
const PAGE_BYTES: i64 = 4_096;
const WRITER_CACHE_KIB: i64 = 16 << 10;
const READER_CACHE_KIB: i64 = 4 << 10;
/// More than the statements there are.
const STATEMENTS_CACHED: usize = 128;

/// The connection that writes, with a file that is new or ours.
pub fn writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let writer = open(path, flags).map_err(|error| Fault::from(error).while_("open the file"))?;
    // Nothing may be changed in a file that turns out to be another program's.
    check_ours(&writer, path)?;
    prepare_writer(&writer).map_err(|fault| fault.while_("prepare the file"))?;
    Ok(writer)
}

/// How a connection that can only read, and so never checkpoints, is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOnly {
    /// Another process, or another connection of this one, may write.
    Shared,
    /// The file has no log, so no process has it open to write.
    Immutable,
}

impl ReadOnly {
    /// A file that nobody writes to is read without the files that SQLite otherwise makes beside it, so it may be in a folder
    /// that cannot be written.
    pub fn of(path: &Path) -> Self {
        let is_writable = || rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        match backup::beside(path, "-wal").metadata() {
            Ok(log) if log.len() > 0 || is_writable() => Self::Shared,
            _ => Self::Immutable,
        }
    }

    pub fn open(self, path: &Path) -> FaultResult<Connection> {
        let reader = match self {
            Self::Shared => open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            Self::Immutable => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
            }
        };
        prepare_any(&reader, READER_CACHE_KIB)?;
        Ok(reader)
    }
}

/// The address of a file that does not change, with each byte that may mean something else written as its number.
fn immutable(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let bytes = named(path).as_os_str().as_encoded_bytes().to_owned();
    let path = bytes.into_iter().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    });
    format!("file:{}?immutable=1", path.collect::<String>())
}

/// A connection that takes the log into the file while the writer goes on.
pub fn beside(path: &Path) -> FaultResult<Connection> {
    let connection = existing(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    prepare_any(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

/// A connection to a file that is there, as it comes.
pub fn existing(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// A path that SQLite takes for nothing else: `file:a` would be a URI to it, whatever the flags, and `:memory:` no file.
pub fn named(path: &Path) -> PathBuf {
    Path::new(".").join(path)
}

fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(named(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Takes the log into the file and cuts it to nothing.
pub fn checkpoint(writer: &Connection) -> rusqlite::Result<()> {
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

pub fn check_ours(writer: &Connection, path: &Path) -> Result<()> {
    let read = || -> rusqlite::Result<(i64, i64)> {
        let application = writer.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let objects = writer.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((application, objects))
    };
    let path = path.display();
    let (application, objects) = match read() {
        Ok(found) => found,
        Err(error) => match Fault::from(error).while_("read the file") {
            Error::Damaged(why) => return Err(Error::Damaged(format!("{path} is not a whole SQLite file: {why}"))),
            other => return Err(other),
        },
    };
    let is_new = application == 0 && objects == 0;
    if is_new || application == APPLICATION_ID {
        return Ok(());
    }
    Err(Error::Damaged(format!("{path} is another program's SQLite file: choose another path, nothing was changed")))
}

fn prepare_writer(writer: &Connection) -> FaultResult<()> {
    writer.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::damaged("the journal", format!("its mode is `{mode}`; this place cannot hold a WAL file")));
    }
    writer.pragma_update(None, "synchronous", "FULL")?;
    let level: i64 = writer.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if level != 2 {
        return Err(Fault::damaged("durability", "SQLite did not accept `synchronous = FULL`"));
    }
    writer.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    writer.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    prepare_any(writer, WRITER_CACHE_KIB)
}

fn prepare_any(connection: &Connection, cache_kib: i64) -> FaultResult<()> {
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(())
}
