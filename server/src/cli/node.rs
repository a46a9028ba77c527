//! `fleetprompt node`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, NodeStatus};

use super::connect::Connect;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, pages, when};

#[derive(Debug, Args)]
pub struct Node {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the nodes that share the database (needs an owner's key)
    #[command(after_help = "Examples:\n  fleetprompt node list\n  fleetprompt node list --output json")]
    List,
    /// Have a node hand over what it decides for, and take nothing more
    #[command(
        after_help = "It still answers. Stopping a node hands over as well.\n\nExamples:\n  fleetprompt node drain db-2:4711"
    )]
    Drain {
        /// Its name or id
        node: String,
    },
    /// Have a node take its share again
    #[command(after_help = "Examples:\n  fleetprompt node undrain db-2:4711")]
    Undrain {
        /// Its name or id
        node: String,
    },
}

impl Node {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let changed = match &self.verb {
            Verb::List => {
                let nodes = pages::all(async |page| client.node_list(&page).await).await?;
                self.connect.output.list(&nodes, "No nodes.", |screen| table(screen, &nodes));
                return exit::ok();
            }
            Verb::Drain { node } => client.node_drain(node).await?,
            Verb::Undrain { node } => client.node_undrain(node).await?,
        };
        self.connect
            .output
            .list(std::slice::from_ref(&changed), "", |screen| table(screen, std::slice::from_ref(&changed)));
        exit::ok()
    }
}

fn table(screen: &Screen, nodes: &[wire::Node]) -> Table {
    let mut table = Table::new([
        Column::id("NODE"),
        Column::id("STATUS"),
        Column::text("PARTITIONS", 16),
        Column::id("WAITING").leave_out(1),
        Column::id("LAG").leave_out(1),
        Column::id("VERSION").leave_out(3),
        Column::id("STARTED").leave_out(2),
        Column::id("SEEN"),
    ]);
    for node in nodes {
        let (tone, status) = match node.status {
            NodeStatus::Up => (Tone::Good, "up"),
            NodeStatus::Draining => (Tone::Plain, "draining"),
            NodeStatus::Gone => (Tone::Bad, "gone"),
        };
        table.row([
            Cell::new(Tone::Strong, &node.name),
            Cell::new(tone, status),
            Cell::plain(ranges(&node.partitions)),
            Cell::plain(node.requests_waiting.to_string()),
            Cell::plain(format!("{} ms", node.lag_ms)),
            Cell::dim(&node.version),
            Cell::dim(when::ago(node.started_at, screen.now)),
            Cell::dim(when::ago(node.last_seen, screen.now)),
        ]);
    }
    table
}

/// `0-3, 5, 8-9`, and how many that are.
fn ranges(numbers: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *number => *end = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let shown = |(begin, end): &(u16, u16)| if begin == end { begin.to_string() } else { format!("{begin}-{end}") };
    match numbers.len() {
        0 => "none".to_owned(),
        count => format!("{count}: {}", ranges.iter().map(shown).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn neighbours_are_shown_as_ranges() {
        assert_eq!(super::ranges(&[]), "none");
        assert_eq!(super::ranges(&[0, 1, 2, 5, 8, 9]), "6: 0-2, 5, 8-9");
    }
}
