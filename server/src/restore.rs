//! `fleetprompt restore`: a backup becomes a data folder or a database. The backup itself is only read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fleetprompt_store::copy::Progress;
use fleetprompt_store::sqlite::{self, SqliteStore};

use crate::begun::{self, Begun};
use crate::copy;
use crate::place::{DataFolder, Named, Place};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder must have no database yet, or the database be empty, and no server may use it. What is
put there is read from end to end and compared with FILE, which stays as it is. A backup of an
older version is brought up to date. For a database, FILE is first copied into the folder for
temporary files, TMPDIR; if it breaks off, empty the database and begin anew.

Examples:
  fleetprompt restore /backup/2026-01-31.db --data /var/lib/fleetprompt
  fleetprompt restore /backup/2026-01-31.db --database postgres://fleetprompt:secret@db/fleetprompt")]
pub struct Args {
    /// What `fleetprompt backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    to: Named,
    /// Parts that the tenants of a new PostgreSQL database are spread over; never changed later
    #[arg(long, env = "FLEETPROMPT_PARTITIONS", value_name = "N")]
    partitions: Option<u16>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (file, to, settings) = (args.file.clone(), args.to.place()?, Settings::with_partitions(args.partitions));
    let shown = to.to_string();
    let restored = begun::do_or_undo(move |begun| match &to {
        Place::Folder(folder) => into_folder(&file, folder, begun),
        Place::Database(_) => into_database(&file, &to, &settings, begun),
    });
    let restored = copy::told(restored.await?);
    println!("{restored}: {} and {shown} say the same", args.file.display());
    Ok(ExitCode::SUCCESS)
}

fn into_folder(file: &Path, path: &Path, begun: &Begun) -> anyhow::Result<Progress> {
    let was_there = path.exists();
    // Until it is ours, another's lock may stand in it.
    let folder = DataFolder::open(path)?;
    if !was_there {
        let path = path.to_owned();
        begun.undo_by(move || DataFolder::remove_empty(&path));
    }
    let restored = sqlite::create(&folder.database(), |partial| {
        begun.partial(partial);
        sqlite::restore(file, partial)?;
        copy::read(&SqliteStore::open(partial)?)
    });
    if restored.is_err() && !was_there {
        DataFolder::remove_empty(path);
    }
    restored
}

fn into_database(file: &Path, to: &Place, settings: &Settings, begun: &Begun) -> anyhow::Result<Progress> {
    let folder = tempfile::Builder::new().prefix("fleetprompt-").tempdir()?;
    let path = folder.path().to_owned();
    begun.undo_by(move || drop(std::fs::remove_dir_all(path)));
    let working = folder.path().join("fleetprompt.db");
    sqlite::restore(file, &working)?;
    let (source, target) = (SqliteStore::open(&working)?, to.open(settings)?);
    target.must_be_unused()?;
    copy::into_place(&source, &target)
}
