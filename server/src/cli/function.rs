//! `fleetprompt function`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire;

use super::connect::Connect;
use super::exit::{self, Usage};
use super::fields::pretty;
use super::screen::{Screen, Tone, plain};
use super::table::{Cell, Column, Table};

#[derive(Debug, Args)]
pub struct Function {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the functions that steps may call
    #[command(after_help = "Examples:\n  fleetprompt function list")]
    List,
    /// Show a function's input, with an example
    #[command(after_help = "Examples:\n  fleetprompt function show text.truncate")]
    Show {
        /// Like text.truncate
        name: String,
    },
}

impl Function {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let functions = self.connect.client()?.function_list().await?.items;
        match &self.verb {
            Verb::List => {
                let output = &self.connect.output;
                output.list(&functions, "This server has no functions.", |_| table(&functions));
            }
            Verb::Show { name } => {
                let function = functions.iter().find(|function| function.name == *name).ok_or_else(|| {
                    Usage(format!("there is no function `{name}`; list them with `fleetprompt function list`"))
                })?;
                self.connect.output.show(function, |screen| shown(screen, function));
            }
        }
        exit::ok()
    }
}

fn table(functions: &[wire::Function]) -> Table {
    let mut table = Table::new([Column::id("FUNCTION"), Column::text("WHAT IT DOES", 20)]);
    for function in functions {
        table.row([Cell::new(Tone::Strong, &function.name), Cell::plain(&function.summary)]);
    }
    table
}

fn shown(screen: &Screen, function: &wire::Function) -> String {
    let name = screen.paint(Tone::Strong, &plain(&function.name));
    let mut text = format!("{name}\n{}\n\n", plain(&function.summary));
    let mut table = Table::new([Column::id("INPUT"), Column::id("TYPE"), Column::text("WHAT IT IS", 20)]);
    for field in &function.input {
        table.row([Cell::plain(&field.name), Cell::dim(&field.kind), Cell::plain(&field.summary)]);
    }
    text.push_str(&table.render(screen));
    for (title, example) in [("Example input", &function.example_input), ("Its output", &function.example_output)] {
        text.push_str(&format!("\n{}\n{}\n", screen.paint(Tone::Dim, title), pretty(example)));
    }
    text
}
