//! Work that takes longer than the threads that serve and decide may wait. It runs on threads of a lower priority for the
//! processor, so that where processors are few a request that needs little of them comes first.

use std::cell::Cell;

use tokio::task::{JoinError, spawn_blocking};

const NICE: i32 = 10;

/// Runs `work` on a thread for blocking work.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    spawn_blocking(move || {
        lower_priority();
        work()
    })
    .await
}

/// Lowers the priority of this thread, once.
pub(crate) fn lower_priority() {
    thread_local!(static IS_LOWERED: Cell<bool> = const { Cell::new(false) });
    if !IS_LOWERED.replace(true) {
        // On Linux a thread has a priority of its own. Elsewhere it would be that of the whole process.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(NICE);
    }
}
