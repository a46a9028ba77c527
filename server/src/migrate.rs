//! `fleetprompt migrate`: from one place into another, so that a laptop's folder can become a database that nodes share.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;

use crate::copy;
use crate::place::Place;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
No server may use either. Everything of every tenant is copied, ids, times and keys among it; then both are read
from end to end, and compared. What is copied from stays as it is. If it breaks off, empty the target and begin anew.

Examples:
  fleetprompt migrate --from sqlite:///var/lib/fleetprompt --to postgres://fleetprompt:secret@db/fleetprompt
  fleetprompt migrate --from postgres://db/fleetprompt --to sqlite://./laptop")]
pub struct Args {
    /// What is copied: sqlite://DATA_FOLDER or postgres://…
    #[arg(long, value_name = "URL", value_parser = place)]
    from: Place,
    /// Where to, a new folder or an empty database: sqlite://DATA_FOLDER or postgres://…
    #[arg(long, value_name = "URL", value_parser = place)]
    to: Place,
    /// Parts that the tenants of a new PostgreSQL database are spread over; never changed later
    #[arg(long, env = "FLEETPROMPT_PARTITIONS", value_name = "N")]
    partitions: Option<u16>,
}

fn place(url: &str) -> Result<Place, String> {
    match url.strip_prefix("sqlite://") {
        Some("") | None if !url.starts_with("postgres") => {
            Err("expected sqlite://DATA_FOLDER, like sqlite:///var/lib/fleetprompt, or postgres://…".to_owned())
        }
        Some(folder) => Ok(Place::Folder(PathBuf::from(folder))),
        None => Ok(Place::Database(url.to_owned())),
    }
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(args.from != args.to, "--from and --to are the same");
    if let Place::Folder(folder) = &args.from {
        ensure!(folder.join("fleetprompt.db").exists(), "there is no database in {}", folder.display());
    }
    let settings = Settings::with_partitions(args.partitions);
    let (from, to) = (args.from.open(&settings)?, args.to.open(&settings)?);
    let moved = tokio::task::spawn_blocking(move || {
        from.must_be_unused()?;
        to.must_be_unused()?;
        copy::into_place(&*from.whole(), &to)
    });
    let moved = copy::told(moved.await??);
    println!("{moved}: {} and {} say the same", args.from, args.to);
    Ok(ExitCode::SUCCESS)
}
