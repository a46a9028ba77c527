//! `fleetprompt verify`: whether what is stored is what the log says.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use fleetprompt_store::sqlite::SqliteStore;

use crate::node::DataFolder;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data folder of a server that is not running
    #[arg(long, env = "FLEETPROMPT_DATA", value_name = "DIR")]
    pub data: PathBuf,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let database = args.data.join("fleetprompt.db");
    ensure!(database.exists(), "there is no database in {}", args.data.display());
    let folder = DataFolder::open(&args.data)?;
    let store = SqliteStore::open(&folder.database())?;
    let report = fleetprompt_engine::verify(&store)?;
    println!(
        "{} signals, {} runs ({} open), {} directives, {} schedules of {} tenants: {}",
        report.signals,
        report.runs,
        report.runs_open,
        report.directives,
        report.schedules,
        report.tenants,
        if report.problems.is_empty() {
            "all as the log says".into()
        } else {
            format!("{} problems", report.problems.len())
        }
    );
    for problem in report.problems.iter().take(50) {
        println!("  {problem}");
    }
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
