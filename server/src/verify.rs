//! `fleetprompt verify`: whether what is stored is what the log says.

use std::process::ExitCode;

use anyhow::ensure;

use crate::place::{Named, Place};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
No server may use it. Status 1 means that something is not as the log says.

Examples:
  fleetprompt verify --data /var/lib/fleetprompt
  fleetprompt verify --database postgres://fleetprompt:secret@db/fleetprompt")]
pub struct Args {
    #[command(flatten)]
    place: Named,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let place = args.place.place()?;
    if let Place::Folder(folder) = &place {
        ensure!(folder.join("fleetprompt.db").exists(), "there is no database in {}", folder.display());
    }
    let opened = place.open(&Settings::default())?;
    opened.must_be_unused()?;
    let report = fleetprompt_engine::verify(&*opened.whole())?;
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
