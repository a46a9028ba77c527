//! `fleetprompt backup`: everything in one file, also while servers are at work.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use fleetprompt_store::copy::Progress;
use fleetprompt_store::postgres::PostgresStore;
use fleetprompt_store::sqlite::{self, SqliteStore};

use crate::copy;
use crate::place::{Named, Place};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file holds one moment, and has its name only when it is whole and on disk. It is an SQLite
database, whatever it was made from. A PostgreSQL database is read in one transaction that writes
nothing, and then compared with the file. `fleetprompt restore` puts it back, into either.

Examples:
  fleetprompt backup --data /var/lib/fleetprompt /backup/2026-01-31.db
  fleetprompt backup --database postgres://fleetprompt:secret@db/fleetprompt /backup/2026-01-31.db")]
pub struct Args {
    #[command(flatten)]
    from: Named,
    /// Where the copy is written; there must be no file yet
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (from, to) = (args.from.place()?, args.to.clone());
    let held = tokio::task::spawn_blocking(move || match &from {
        Place::Folder(folder) => of_folder(folder, &to).map(|()| None),
        Place::Database(url) => of_database(url, &to).map(Some),
    });
    let held = held.await??.map(|all| format!(", {}", copy::told(all))).unwrap_or_default();
    let bytes = std::fs::metadata(&args.to)?.len();
    println!("{}: {:.1} MiB{held}", args.to.display(), bytes as f64 / f64::from(1 << 20));
    Ok(ExitCode::SUCCESS)
}

fn of_folder(folder: &Path, to: &Path) -> anyhow::Result<()> {
    let database = folder.join("fleetprompt.db");
    ensure!(database.exists(), "there is no database in {}", folder.display());
    Ok(sqlite::backup(&database, to)?)
}

fn of_database(url: &str, to: &Path) -> anyhow::Result<Progress> {
    sqlite::create(to, |partial| copy::into_file(&PostgresStore::snapshot(url)?, &SqliteStore::open(partial)?))
}
