//! `fleetprompt backup`: everything in one file, also while servers are at work.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use fleetprompt_store::copy::Progress;
use fleetprompt_store::postgres::PostgresStore;
use fleetprompt_store::sqlite::{self, SqliteStore};

use crate::begun::{self, Begun};
use crate::cli::exit::Usage;
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
    if to.to_str().is_none() {
        return Err(Usage(format!("FILE is not Unicode: {}; choose another name", to.display())).into());
    }
    let held = begun::do_or_undo(move |begun| match &from {
        Place::Folder(folder) => of_folder(folder, &to, begun).map(|()| None),
        Place::Database(url) => of_database(url, &to, begun).map(Some),
    });
    let held = held.await?.map(|all| format!(", {}", copy::told(all))).unwrap_or_default();
    let bytes = std::fs::metadata(&args.to)?.len();
    println!("{}: {:.1} MiB{held}", args.to.display(), bytes as f64 / f64::from(1 << 20));
    Ok(ExitCode::SUCCESS)
}

fn of_folder(folder: &Path, to: &Path, begun: &Begun) -> anyhow::Result<()> {
    let database = folder.join("fleetprompt.db");
    ensure!(database.exists(), "there is no database in {}", folder.display());
    sqlite::create(to, |partial| {
        begun.partial(partial);
        Ok(sqlite::backup(&database, partial)?)
    })
}

fn of_database(url: &str, to: &Path, begun: &Begun) -> anyhow::Result<Progress> {
    sqlite::create(to, |partial| {
        begun.partial(partial);
        copy::into_file(&PostgresStore::snapshot(url)?, &SqliteStore::open(partial)?)
    })
}
