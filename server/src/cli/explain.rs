//! `fleetprompt explain FP0103`: what a code means and what would be right.

use std::process::ExitCode;

use clap::Args;
use fleetprompt_core::diagnostic::{CODES, explain};

use super::exit::{self, Usage};
use super::screen::{Screen, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fleetprompt explain FP0103\n  fleetprompt explain            list all codes")]
pub struct Explain {
    /// The code, as diagnostics show it; all of them are listed without one
    code: Option<String>,
}

impl Explain {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let screen = Screen::of_stdout();
        match &self.code {
            Some(code) => screen.print(&explained(&screen, code)?),
            None => screen.print(&listed(&screen)),
        }
        exit::ok()
    }
}

fn explained(screen: &Screen, code: &str) -> anyhow::Result<String> {
    let Some((title, text)) = explain(code) else {
        let known = CODES.first().zip(CODES.last()).map(|((first, ..), (last, ..))| format!("{first} to {last}"));
        let known = known.unwrap_or_default();
        let message = format!("there is no code `{code}`; codes go from {known}\nlist them with `fleetprompt explain`");
        return Err(Usage(message).into());
    };
    let heading = format!("{}: {title}", code.to_ascii_uppercase());
    Ok(format!("{}\n\n{text}\n", screen.paint(Tone::Strong, &heading)))
}

fn listed(screen: &Screen) -> String {
    let line = |(code, title, _): &(&str, &str, &str)| format!("{}  {title}\n", screen.paint(Tone::Strong, code));
    CODES.iter().map(line).collect()
}
