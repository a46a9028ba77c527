//! `fleetprompt function`.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::{Client, wire};
use serde_json::Value;

use super::connect::Connect;
use super::exit::{self, Usage};
use super::fields::pretty;
use super::given;
use super::pages;
use super::screen::{Screen, Tone, plain};
use super::table::{Cell, Column, Table};

#[derive(Debug, Args)]
pub struct Function {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const APPLY_EXAMPLES: &str = "\
Steps call it by its name, as they do the engine's own. A worker performs it, or it is called in a module of
WebAssembly: where `handler.module` names a file, that is added first. docs/workers.md and docs/modules.md have both.

Examples:
  fleetprompt function apply functions/lead.score.json";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register functions that workers perform or modules are called for, or change them
    #[command(after_help = APPLY_EXAMPLES)]
    Apply {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
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
        let client = self.connect.client()?;
        if let Verb::Apply { files } = &self.verb {
            let mut applied = Vec::new();
            for file in files {
                let document = with_module(&client, file, given::document(file)?.value().clone()).await?;
                applied.push(client.function_apply(&document.to_string()).await?);
            }
            let all = |screen: &Screen| applied.iter().map(|one| shown(screen, one)).collect::<Vec<_>>().join("\n");
            self.connect.output.show(&applied, all);
            return exit::ok();
        }
        let functions = pages::all(async |page| client.function_list(&page).await).await?;
        match &self.verb {
            Verb::Apply { .. } => {}
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

/// Adds the module that a document names as a file beside it, and puts its digest there instead.
async fn with_module(client: &Client, file: &str, mut document: Value) -> anyhow::Result<Value> {
    if let Some(path) = given::module_beside(Path::new(file), &document) {
        let added = client.module_add(given::read_bytes(&path.to_string_lossy())?).await?;
        document["function"]["handler"]["module"] = added.digest.into();
    }
    Ok(document)
}

fn table(functions: &[wire::Function]) -> Table {
    let mut table = Table::new([Column::id("FUNCTION"), Column::id("BY"), Column::text("WHAT IT DOES", 20)]);
    for function in functions {
        table.row([
            Cell::new(Tone::Strong, &function.name),
            Cell::dim(&function.handler),
            Cell::plain(&function.summary),
        ]);
    }
    table
}

fn shown(screen: &Screen, function: &wire::Function) -> String {
    let name = screen.paint(Tone::Strong, &plain(&function.name));
    let by = match function.handler.as_str() {
        "worker" => screen.paint(Tone::Dim, " performed by workers"),
        "wasm" => screen.paint(Tone::Dim, " called in a module"),
        _ => String::new(),
    };
    let mut text = format!("{name}{by}\n{}\n", plain(&function.summary));
    if let Some(module) = &function.module {
        text.push_str(&format!("\n{}\n{}\n", screen.paint(Tone::Dim, "Module"), plain(module)));
    }
    if !function.input.is_empty() {
        let mut table = Table::new([Column::id("INPUT"), Column::id("TYPE"), Column::text("WHAT IT IS", 20)]);
        for field in &function.input {
            table.row([Cell::plain(&field.name), Cell::dim(&field.kind), Cell::plain(&field.summary)]);
        }
        text.push_str(&format!("\n{}", table.render(screen)));
    }
    let parts = [
        ("Input schema", &function.input_schema),
        ("Example input", &function.example_input),
        ("Its output", &function.example_output),
    ];
    for (title, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("\n{}\n{}\n", screen.paint(Tone::Dim, title), pretty(part)));
        }
    }
    text
}
