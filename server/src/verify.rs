//! `fleetprompt verify`: whether what is stored is what the log says.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};

use crate::place::{Opened, Place};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data folder of a server that is not running
    #[arg(long, env = "FLEETPROMPT_DATA", value_name = "DIR", required_unless_present = "database")]
    pub data: Option<PathBuf>,
    /// The PostgreSQL database of servers that are not running
    #[arg(long, env = "FLEETPROMPT_DATABASE", value_name = "URL", hide_env_values = true, conflicts_with = "data")]
    pub database: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let place = match (args.data, args.database) {
        (Some(data), _) => {
            ensure!(data.join("fleetprompt.db").exists(), "there is no database in {}", data.display());
            Place::Folder(data)
        }
        (None, url) => Place::Database(url.context("--data or --database")?),
    };
    let opened = place.open(&Settings::default())?;
    let report = match &opened {
        Opened::Folder(folder) => fleetprompt_engine::verify(folder.store.as_ref())?,
        Opened::Database(database) => {
            if let Some(node) = database.node_at_work()? {
                bail!("the node `{node}` is at work on the database; stop it first");
            }
            fleetprompt_engine::verify(&database.whole())?
        }
    };
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
