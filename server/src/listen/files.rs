//! The limit of open files of this process: connections use most of them, and the database needs its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are left to the database, the log, effects and outgoing connections.
const RESERVED: u64 = 512;

/// Raises the soft limit to the hard limit, and returns how many connections may be open at once below it.
pub fn raise_open_files_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // `None` is no limit at all.
    files.map_or(usize::MAX, |files| {
        usize::try_from(files.saturating_sub(RESERVED).max(files / 2)).unwrap_or(usize::MAX)
    })
}
