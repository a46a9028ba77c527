//! Completion scripts.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::screen::Screen;
use super::{Cli, exit};

const EXAMPLES: &str = "\
Examples:
  bash  fleetprompt completions bash > ~/.local/share/bash-completion/completions/fleetprompt
  zsh   fleetprompt completions zsh > \"${fpath[1]}/_fleetprompt\"
  fish  fleetprompt completions fish > ~/.config/fish/completions/fleetprompt.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "fleetprompt", &mut script);
        Screen::of_stdout().print(&String::from_utf8_lossy(&script));
        exit::ok()
    }
}
