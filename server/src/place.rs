//! Where a node keeps everything: a folder with an SQLite database, or a PostgreSQL database.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use fleetprompt_store::Store;
use fleetprompt_store::postgres::{Database, Options, PostgresStore};
use fleetprompt_store::sqlite::SqliteStore;

use crate::cli::exit::Usage;
use crate::settings::Settings;

/// Of a data folder.
const FILE: &str = "fleetprompt.db";

#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    Folder(PathBuf),
    /// Its address, which may hold a password.
    Database(String),
}

/// One of both, for commands that work without a server.
#[derive(Debug, Clone, clap::Args)]
pub struct Given {
    /// Work on this data folder instead of asking a server
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Work on this PostgreSQL database instead of asking a server
    #[arg(long, value_name = "URL", conflicts_with_all = ["url", "data"])]
    database: Option<String>,
}

/// One of both, for commands that are about nothing else.
#[derive(Debug, Clone, clap::Args)]
pub struct Named {
    /// The data folder [env: FLEETPROMPT_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The PostgreSQL database, like postgres://user:password@host/name [env: FLEETPROMPT_DATABASE]
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    database: Option<String>,
}

/// A place that is open.
pub enum Opened {
    Folder(OpenFolder),
    Database(Arc<Database>),
}

/// A place that is only read.
pub struct OpenToRead {
    pub store: Box<dyn Store>,
    _lock: Option<File>,
}

/// A data folder that no other process uses while this is held.
pub struct OpenFolder {
    pub store: Arc<SqliteStore>,
    _folder: DataFolder,
}

impl Given {
    pub fn place(&self) -> Option<Place> {
        let database = self.database.clone().map(Place::Database);
        database.or_else(|| self.data.clone().map(Place::Folder))
    }
}

impl Named {
    /// What stands on the command line; else in the environment, where a database counts more, as for `serve`.
    pub fn place(&self) -> anyhow::Result<Place> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(url) = &self.database {
            return Ok(Place::Database(url.clone()));
        }
        if let Some(folder) = &self.data {
            return Ok(Place::Folder(folder.clone()));
        }
        if let Some(url) = set("FLEETPROMPT_DATABASE") {
            return Ok(Place::Database(url.into_string().map_err(|_| anyhow!("FLEETPROMPT_DATABASE is not Unicode"))?));
        }
        match set("FLEETPROMPT_DATA") {
            Some(folder) => Ok(Place::Folder(folder.into())),
            None => Err(Usage("say where: --data DIR or --database URL".to_owned()).into()),
        }
    }
}

impl Place {
    pub fn open(&self, settings: &Settings) -> anyhow::Result<Opened> {
        match self {
            Self::Folder(path) => Ok(Opened::Folder(OpenFolder::open(path)?)),
            Self::Database(url) => {
                let lease = Duration::from_secs(settings.node_lease_s);
                let node = settings.node_name.clone().unwrap_or_else(node);
                let options = Options { node, lease, partitions: settings.partitions };
                Ok(Opened::Database(Database::open(url, options)?))
            }
        }
    }
}

impl Place {
    /// Everything, to be read: nothing is written, no migration either, and a server may use it meanwhile. A folder may be a
    /// copy that cannot be written; instead of it the file may be named.
    pub fn open_to_read(&self) -> anyhow::Result<OpenToRead> {
        match self {
            Self::Folder(path) if path.is_file() => OpenToRead::file(path, None),
            Self::Folder(folder) => {
                let file = folder.join(FILE);
                ensure!(file.exists(), "there is no database in {}", folder.display());
                // Where no server holds the lock, none may start now.
                let lock = File::open(folder.join("lock")).ok().filter(|lock| lock.try_lock_shared().is_ok());
                OpenToRead::file(&file, lock)
            }
            Self::Database(url) => Ok(OpenToRead { store: Box::new(PostgresStore::open_to_read(url)?), _lock: None }),
        }
    }
}

impl OpenToRead {
    fn file(path: &Path, lock: Option<File>) -> anyhow::Result<Self> {
        Ok(Self { store: Box::new(SqliteStore::open_to_read(path)?), _lock: lock })
    }
}

impl Opened {
    /// All tenants, to be read.
    pub fn whole(&self) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder) => folder.store.clone(),
            Self::Database(database) => Arc::new(Database::whole(database)),
        }
    }

    /// A folder is locked; a database says who is at work.
    pub fn must_be_unused(&self) -> anyhow::Result<()> {
        if let Self::Database(database) = self
            && let Some(node) = database.node_at_work()?
        {
            bail!("the node `{node}` is at work on the database; stop it first");
        }
        Ok(())
    }
}

impl OpenFolder {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let folder = DataFolder::open(path)?;
        let store = Arc::new(SqliteStore::open(&folder.database())?);
        Ok(Self { store, _folder: folder })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            // A password may stand before the `@`, and in a setting after the `?`.
            Self::Database(url) => {
                let address = url.split('?').next().unwrap_or_default();
                f.write_str(match address.rsplit_once('@') {
                    Some((_, address)) => address,
                    None if address.starts_with("postgres") && !url.contains('@') => address,
                    None => "the database",
                })
            }
        }
    }
}

/// What people know this process by.
pub fn node() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "node".to_owned());
    format!("{}:{}", host.trim(), std::process::id())
}

/// A data folder that no other process uses while this is held.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // It holds payloads and signing secrets: what is made here is for its owner alone.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("the data folder {} cannot be made", path.display()))?;
        let lock = path.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = file.with_context(|| format!("{} cannot be opened", lock.display()))?;
        file.try_lock().map_err(|_| {
            anyhow::anyhow!(
                "the data folder {} is in use by another fleetprompt; stop it, or reach it with --url and --key",
                path.display()
            )
        })?;
        Ok(Self { path: path.to_owned(), _lock: file })
    }

    /// One that was made in vain; for whoever holds it.
    pub fn remove_empty(path: &Path) {
        let _ = std::fs::remove_file(path.join("lock"));
        let _ = std::fs::remove_dir(path);
    }

    pub fn database(&self) -> PathBuf {
        self.path.join(FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_any_part_of_a_password() {
        for (url, shown) in [
            ("postgres://ada:secret@db:5432/acme?sslmode=require", "db:5432/acme"),
            ("postgres://ada:se@cret@db/acme", "db/acme"),
            ("postgres://ada@db/acme?password=se@cret", "db/acme"),
            ("postgres://db/acme?sslmode=require", "postgres://db/acme"),
            // What of these is the password, one cannot tell.
            ("postgres://db/acme?password=se@cret", "the database"),
            ("postgres://ada:se?cret@db/acme", "the database"),
            ("host=db user=ada password=secret", "the database"),
        ] {
            assert_eq!(Place::Database(url.to_owned()).to_string(), shown, "{url}");
        }
    }
}
