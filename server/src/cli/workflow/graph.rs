//! `fleetprompt workflow graph`: a picture of a workflow, as text for Mermaid or Graphviz, or drawn.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use fleetprompt_core::drawing;

use super::super::connect::Connect;
use super::super::exit;
use super::super::screen::Screen;
use super::source;

pub const EXAMPLES: &str = "\
Markdown shows Mermaid in place on many sites; SVG is drawn here, and follows light and dark.

Examples:
  fleetprompt workflow graph workflow.yaml
  fleetprompt workflow graph workflow.yaml --format svg --output-file workflow.svg
  fleetprompt workflow graph forum-new-thread-triage --version 1.0.0 --format dot | dot -Tpng > triage.png";

#[derive(Debug, Args)]
pub struct Graph {
    /// A file, - for stdin, or the slug of a workflow of the server
    workflow: String,
    /// Of the workflow that the slug names [default: the active one]
    #[arg(long)]
    version: Option<String>,
    /// How the picture is written
    #[arg(long, short, value_enum, default_value = "mermaid")]
    format: Format,
    /// Write to this file, and not to stdout
    #[arg(long, value_name = "FILE")]
    output_file: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
    Svg,
}

impl Graph {
    pub async fn run(&self, connect: &Connect) -> anyhow::Result<ExitCode> {
        let workflow = if self.version.is_none() && source::is_file(&self.workflow) {
            source::of_file(&self.workflow)?
        } else {
            let slug = source::slug(&self.workflow)?;
            source::of_server(&connect.client()?, &slug, self.version.as_deref()).await?
        };
        let picture = drawing::draw(&workflow, self.format.into());
        match &self.output_file {
            Some(file) => std::fs::write(file, picture).with_context(|| format!("cannot write {file}"))?,
            None => Screen::of_stdout().print(&picture),
        }
        exit::ok()
    }
}

impl From<Format> for drawing::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Mermaid => Self::Mermaid,
            Format::Dot => Self::Dot,
            Format::Svg => Self::Svg,
        }
    }
}
