//! `fleetprompt module`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire;

use super::connect::Connect;
use super::exit;
use super::given;
use super::pages;
use super::screen::Screen;
use super::table::{Cell, Column, Table};
use super::when;

#[derive(Debug, Args)]
pub struct Module {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const ADD_EXAMPLES: &str = "\
It exports its memory, `alloc` and `call`, and imports nothing; docs/modules.md has an example. A function whose
handler is {\"type\": \"wasm\", \"module\": DIGEST} is called in it.

Examples:
  fleetprompt module add score.wasm";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a module of WebAssembly, and print its digest
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The .wasm file; - for stdin
        file: String,
    },
    /// List the modules that functions may be called in
    #[command(after_help = "Examples:\n  fleetprompt module list")]
    List,
    /// Remove a module that no function names any more
    #[command(after_help = "Examples:\n  fleetprompt module remove sha256:9f86d0…")]
    Remove {
        /// Like sha256:9f86d0…, all of it
        digest: String,
    },
}

impl Module {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        match self.verb {
            Verb::Add { file } => {
                let module = client.module_add(given::read_bytes(&file)?).await?;
                output.show(&module, |_| format!("{}\n", module.digest));
            }
            Verb::List => {
                let modules = pages::all(async |page| client.module_list(&page).await).await?;
                output.list(&modules, "There are no modules.", |screen| table(screen, &modules));
            }
            Verb::Remove { digest } => {
                let module = client.module_remove(&digest).await?;
                output.show(&module, |_| format!("{} is removed.\n", module.digest));
            }
        }
        exit::ok()
    }
}

fn table(screen: &Screen, modules: &[wire::Module]) -> Table {
    let mut table = Table::new([Column::id("MODULE"), Column::number("BYTES"), Column::id("ADDED")]);
    for module in modules {
        table.row([
            Cell::plain(&module.digest),
            Cell::plain(module.size),
            Cell::dim(when::ago(module.created_at, screen.now)),
        ]);
    }
    table
}
