//! `fleetprompt backup`: a copy of a data folder's database, also while a server uses it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use fleetprompt_store::sqlite;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
To restore it, put it into an empty folder as fleetprompt.db, and serve that. A PostgreSQL database is copied by
pg_dump, or by whoever runs it.

Examples:
  fleetprompt backup --data /var/lib/fleetprompt /backup/2026-01-31.db")]
pub struct Args {
    /// The data folder, of a server that may be running
    #[arg(long, env = "FLEETPROMPT_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Where the copy is written; there must be no file yet
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let database = args.data.join("fleetprompt.db");
    ensure!(database.exists(), "there is no database in {}", args.data.display());
    let to = args.to.clone();
    tokio::task::spawn_blocking(move || sqlite::backup(&database, &to)).await??;
    let bytes = std::fs::metadata(&args.to)?.len();
    println!("{}: {:.1} MiB", args.to.display(), bytes as f64 / f64::from(1 << 20));
    Ok(ExitCode::SUCCESS)
}
