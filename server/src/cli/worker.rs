//! `fleetprompt worker`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire;

use super::connect::Connect;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, pages, when};

#[derive(Debug, Args)]
pub struct Worker {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the workers that were heard of within a minute
    #[command(after_help = "Examples:\n  fleetprompt worker list\n  fleetprompt worker list --output json")]
    List,
}

impl Worker {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        match &self.verb {
            Verb::List => {
                let workers = pages::all(async |page| client.worker_list(&page).await).await?;
                let empty = "No worker was heard of within a minute. docs/workers.md says how to write one.";
                self.connect.output.list(&workers, empty, |screen| table(screen, &workers));
            }
        }
        exit::ok()
    }
}

fn table(screen: &Screen, workers: &[wire::Worker]) -> Table {
    let mut table = Table::new([
        Column::id("WORKER"),
        Column::id("VERSION").leave_out(2),
        Column::text("PERFORMS", 16),
        Column::id("BUSY"),
        Column::id("SEEN"),
        Column::text("LABELS", 10).leave_out(1),
    ]);
    for worker in workers {
        let performs: Vec<String> = worker.performs.iter().map(ToString::to_string).collect();
        let labels: Vec<String> = worker.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let whose = if worker.all_tenants { " (all tenants)" } else { "" };
        table.row([
            Cell::new(Tone::Strong, &worker.name),
            Cell::maybe(worker.version.as_ref()),
            Cell::plain(format!("{}{whose}", performs.join(", "))),
            Cell::plain(format!("{} of {}", worker.taken, worker.slots)),
            Cell::dim(if worker.is_waiting { "now".to_owned() } else { when::ago(worker.last_seen, screen.now) }),
            Cell::dim(labels.join(", ")),
        ]);
    }
    table
}
