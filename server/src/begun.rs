//! Work of which nothing half done stays behind. A call that blocks cannot be broken off: on a signal its traces are removed
//! beside it, and the process ends. Only `kill -9` leaves them.

use std::path::Path;
use std::sync::Arc;

use fleetprompt_store::sqlite;
use parking_lot::Mutex;

use crate::cli::exit::SIGNALLED;
use crate::node::end_signal;

type Undo = Box<dyn FnOnce() + Send>;

/// How to remove what stands on the disk already.
#[derive(Clone, Default)]
pub struct Begun(Arc<Mutex<Vec<Undo>>>);

impl Begun {
    pub fn undo_by(&self, undo: impl FnOnce() + Send + 'static) {
        self.0.lock().push(Box::new(undo));
    }

    pub fn partial(&self, partial: &Path) {
        let partial = partial.to_owned();
        self.undo_by(move || sqlite::remove(&partial));
    }
}

/// Does it to its end, unless Ctrl-C or SIGTERM ends the process.
pub async fn do_or_undo<T: Send + 'static>(
    work: impl FnOnce(&Begun) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let begun = Begun::default();
    let noted = begun.clone();
    tokio::select! {
        // Signals are heard before anything is begun.
        biased;
        signal = end_signal() => {
            // Held to the end: what would be begun meanwhile waits.
            let mut begun = begun.0.lock();
            begun.drain(..).rev().for_each(|undo| undo());
            std::process::exit(SIGNALLED + signal)
        }
        done = async move { tokio::task::spawn_blocking(move || work(&noted)).await } => done?,
    }
}
