//! `fleetprompt agent`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire;
use fleetprompt_core::Slug;

use super::connect::Connect;
use super::definition::{self, Applied, Kind};
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, pages, when};

#[derive(Debug, Args)]
pub struct Agent {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check definitions without any server, and show everything that is wrong
    #[command(after_help = "Examples:\n  fleetprompt agent validate agents/*.yaml")]
    Validate {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Make definitions the ones in force
    #[command(after_help = "Examples:\n  fleetprompt agent apply agents/forum_summary_agent.json")]
    Apply {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// List the agents
    #[command(after_help = "Examples:\n  fleetprompt agent list")]
    List,
    /// Show an agent and its definition
    #[command(after_help = "Examples:\n  fleetprompt agent show forum_summary_agent")]
    Show {
        /// Like forum_summary_agent
        slug: Slug,
    },
}

impl Agent {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let output = &self.connect.output;
        match &self.verb {
            Verb::Validate { files } => definition::validate(output, Kind::Agent, files),
            Verb::Apply { files } => self.apply(files).await,
            Verb::List => {
                let client = self.connect.client()?;
                let agents = pages::all(async |page| client.agent_list(&page).await).await?;
                let empty = "No agents yet. Apply one with `fleetprompt agent apply FILE`.";
                output.list(&agents, empty, |screen| table(screen, &agents));
                exit::ok()
            }
            Verb::Show { slug } => {
                let agent = self.connect.client()?.agent_get(slug).await?;
                output.show(&agent, |screen| shown(screen, &agent));
                exit::ok()
            }
        }
    }

    async fn apply(&self, files: &[String]) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let screen = Screen::of_stdout();
        let (mut done, mut invalid) = (Vec::new(), false);
        for file in files {
            let send = async |text: &str, format| client.agent_apply(text, format).await;
            match definition::apply(file, send, |applied| &applied.diagnostics).await? {
                Applied::Invalid => invalid = true,
                Applied::Done(applied) => {
                    let what = if applied.changed { "applied" } else { "unchanged" };
                    if self.connect.output.is_table() {
                        let mark = screen.paint(Tone::Good, screen.pick("✓", "ok"));
                        screen.line(&format!("{mark} {}  {}", applied.slug, screen.paint(Tone::Dim, what)));
                    }
                    done.push(applied);
                }
            }
        }
        if !self.connect.output.is_table() {
            self.connect.output.show(&done, |_| String::new());
        }
        exit::failed_if(invalid)
    }
}

fn table(screen: &Screen, agents: &[wire::Agent]) -> Table {
    let mut table = Table::new([
        Column::id("AGENT"),
        Column::text("NAME", 10),
        Column::text("MODEL", 10),
        Column::id("UPDATED").leave_out(1),
    ]);
    for agent in agents {
        table.row([
            Cell::new(Tone::Strong, agent.slug.as_str()),
            Cell::plain(&agent.name),
            Cell::plain(&agent.model),
            Cell::dim(when::ago(agent.updated_at, screen.now)),
        ]);
    }
    table
}

fn shown(screen: &Screen, agent: &wire::Agent) -> String {
    let mut fields = Fields::default();
    fields.toned("agent", Tone::Strong, &agent.slug);
    fields.line("name", &agent.name);
    fields.line("model", &agent.model);
    fields.line("digest", &agent.digest);
    fields.line("updated", when::ago(agent.updated_at, screen.now));
    fields.json("definition", Some(&agent.document));
    fields.render(screen)
}
