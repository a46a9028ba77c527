//! What the contract means, told once and run over every backend; and the backends against each
//! other, by chance.

mod bulk;
mod commits;
mod differential;
mod lists;
mod postgres_database;
mod registered;
mod samples;
mod sqlite_file;
mod work;

use std::time::Duration;

use fleetprompt_store::Store;
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::postgres::{Options, PostgresStore};
use fleetprompt_store::sqlite::SqliteStore;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy)]
enum Backend {
    Memory,
    Sqlite,
    Postgres,
}

/// A store, and what goes with it.
struct Opened {
    store: Box<dyn Store>,
    _beside: Box<dyn std::any::Any>,
}

impl Backend {
    fn open(self) -> Opened {
        match self {
            Self::Memory => Opened { store: Box::new(MemoryStore::default()), _beside: Box::new(()) },
            Self::Sqlite => {
                let folder = TempDir::new().expect("a temporary folder");
                let store = SqliteStore::open(&folder.path().join("store.db")).expect("a new file");
                Opened { store: Box::new(store), _beside: Box::new(folder) }
            }
            Self::Postgres => {
                let server = fleetprompt_testing::Postgres::start();
                let store = PostgresStore::open(&server.database(), options("a")).expect("a new database");
                Opened { store: Box::new(store), _beside: Box::new(server) }
            }
        }
    }
}

/// Of a node that refuses while another is at work.
fn options(node: &str) -> Options {
    Options { node: node.to_owned(), lease: Duration::from_secs(10), partitions: 1 }
}

impl std::ops::Deref for Opened {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}
