//! `fleetprompt directive-type`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire;
use fleetprompt_core::Name;

use super::connect::Connect;
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, given, pages, when};

#[derive(Debug, Args)]
pub struct DirectiveType {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const APPLY_EXAMPLES: &str = "\
A type says who carries a directive out: an HTTP endpoint that gets signed requests, or an outside
system that reports how it ended (`manual`). The signing secret is shown once, when it is made.

Examples:
  fleetprompt directive-type apply directives/forum.post.create.json";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register directive types, or change them
    #[command(after_help = APPLY_EXAMPLES)]
    Apply {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// List the directive types, built-in ones included
    #[command(after_help = "Examples:\n  fleetprompt directive-type list")]
    List,
    /// Show a directive type
    #[command(after_help = "Examples:\n  fleetprompt directive-type show workflow.run.start")]
    Show {
        /// Like forum.post.create
        name: Name,
    },
}

impl DirectiveType {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        match &self.verb {
            Verb::Apply { files } => {
                let mut applied = Vec::new();
                for file in files {
                    let registered = client.directive_type_apply(given::document(file)?.text()).await?;
                    applied.push(registered);
                }
                output.show(&applied, |screen| {
                    applied.iter().map(|one| shown(screen, one)).collect::<Vec<_>>().join("\n")
                });
            }
            Verb::List => {
                let types = pages::all(async |page| client.directive_type_list(&page).await).await?;
                let empty = "No directive types yet. Register one with `fleetprompt directive-type apply FILE`.";
                output.list(&types, empty, |_| table(&types));
            }
            Verb::Show { name } => {
                let one = client.directive_type_get(name).await?;
                output.show(&one, |screen| shown(screen, &one));
            }
        }
        exit::ok()
    }
}

fn table(types: &[wire::DirectiveType]) -> Table {
    let mut table = Table::new([
        Column::id("DIRECTIVE"),
        Column::id("HANDLER"),
        Column::text("WHAT IT DOES", 16),
        Column::text("URL", 16).leave_out(1),
    ]);
    for one in types {
        table.row([
            Cell::new(Tone::Strong, one.name.as_str()),
            Cell::plain(one.handler.as_str()),
            Cell::plain(&one.description),
            Cell::maybe(one.url.as_ref()),
        ]);
    }
    table
}

fn shown(screen: &Screen, one: &wire::DirectiveType) -> String {
    let mut fields = Fields::default();
    fields.toned("directive", Tone::Strong, &one.name);
    fields.line("handler", one.handler.as_str());
    fields.maybe("url", one.url.as_ref());
    if !one.description.is_empty() {
        fields.line("does", &one.description);
    }
    fields.maybe("updated", one.updated_at.map(|at| when::ago(at, screen.now)));
    fields.json("payload", one.payload_schema.as_ref());
    if let Some(secret) = &one.secret {
        fields.toned("secret", Tone::Good, secret);
    }
    let note = screen.paint(Tone::Dim, "Give the secret to the endpoint now: it is not shown again.");
    let note = one.secret.as_ref().map_or(String::new(), |_| format!("\n{note}\n"));
    fields.render(screen) + &note
}
