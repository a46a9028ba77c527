//! What the contract means, told once and run over every backend; and both backends against each
//! other, by chance.

mod commits;
mod differential;
mod lists;
mod registered;
mod samples;
mod sqlite_file;
mod work;

use fleetprompt_store::Store;
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::sqlite::SqliteStore;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy)]
enum Backend {
    Memory,
    Sqlite,
}

/// A store, and the folder that goes with it.
struct Opened {
    store: Box<dyn Store>,
    _folder: Option<TempDir>,
}

impl Backend {
    fn open(self) -> Opened {
        match self {
            Self::Memory => Opened { store: Box::new(MemoryStore::default()), _folder: None },
            Self::Sqlite => {
                let folder = TempDir::new().expect("a temporary folder");
                let store = SqliteStore::open(&folder.path().join("store.db")).expect("a new file");
                Opened { store: Box::new(store), _folder: Some(folder) }
            }
        }
    }
}

impl std::ops::Deref for Opened {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}
