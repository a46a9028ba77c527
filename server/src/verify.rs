//! `fleetprompt verify`: whether the database is whole and stores what the log says.

use std::process::ExitCode;

use fleetprompt_engine::Report;

use crate::place::Named;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs the checks of the database itself, compares the digest of every record, and derives every row
again from the log. It writes nothing and brings no schema up to date. A server may use the data
meanwhile; a copy may be in a folder that cannot be written, and DIR may name the file of a backup.
Status 1 means that something is damaged or is not as the log says.

Examples:
  fleetprompt verify --data /var/lib/fleetprompt
  fleetprompt verify --data /backup/2026-01-31.db
  fleetprompt verify --database postgres://fleetprompt:secret@db/fleetprompt")]
pub struct Args {
    #[command(flatten)]
    place: Named,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let place = args.place.place()?;
    // Reads block, and may have a runtime of their own.
    let verifying = tokio::task::spawn_blocking(move || {
        let opened = place.open_to_read()?;
        anyhow::Ok(fleetprompt_engine::verify(&*opened.store)?)
    });
    let report = verifying.await??;
    print!("{}", shown(&report));
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(report: &Report) -> String {
    let found = match report.problems.len() {
        0 => "all as the log says".to_owned(),
        count => format!("{count} problems"),
    };
    let mut text = format!(
        "{} signals, {} runs ({} open), {} directives, {} schedules of {} tenants: {found}\n",
        report.signals, report.runs, report.runs_open, report.directives, report.schedules, report.tenants
    );
    for problem in report.problems.iter().take(50) {
        text.push_str(&format!("  {problem}\n"));
    }
    if report.without_digest > 0 {
        let count = report.without_digest;
        text.push_str(&format!("  note: {count} records are older than digests: a change of them is not noticed\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text
}
