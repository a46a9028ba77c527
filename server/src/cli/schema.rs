//! `fleetprompt schema workflow`: what editors need to complete and check definitions.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use fleetprompt_core::schemas::SCHEMAS;

use super::exit;
use super::screen::Screen;

const EXAMPLES: &str = "\
Examples:
  fleetprompt schema workflow > workflow.schema.json
  fleetprompt schema agent

In VS Code, name the file in `json.schemas` or `yaml.schemas` of the settings; in YAML a first line
`# yaml-language-server: $schema=workflow.schema.json` does as well, and in JSON a field `$schema`.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Schema {
    /// Which definitions
    #[arg(value_parser = PossibleValuesParser::new(SCHEMAS.map(|(kind, _)| kind)))]
    kind: String,
}

impl Schema {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let found = SCHEMAS.iter().find(|(kind, _)| *kind == self.kind);
        let (_, schema) = found.expect("clap lets only the kinds through");
        Screen::of_stdout().print(schema);
        exit::ok()
    }
}
