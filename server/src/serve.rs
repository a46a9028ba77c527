//! `fleetprompt serve`: the production form.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::node::{Node, asked_to_end};
use crate::place::Place;
use crate::settings::{Partial, Settings, log_to_stderr};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub settings: Partial,
    /// A TOML file with the same names as the flags, in snake_case
    #[arg(long, env = "FLEETPROMPT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the settings that count, as a TOML file, and end
    #[arg(long)]
    pub print_config: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings::resolve(args.settings, args.config.as_deref())?;
    if args.print_config {
        print!("{}", settings.to_toml()?);
        return Ok(ExitCode::SUCCESS);
    }
    log_to_stderr(&settings.log, settings.log_format)?;
    let node = Node::start(&settings).await?;
    tracing::info!(url = node.url(), kept_in = %settings.place(), "ready");
    if !node.has_tenants().await? {
        let place = match settings.place() {
            Place::Folder(data) => format!("--data {}", data.display()),
            Place::Database(_) => "--database URL".to_owned(),
        };
        tracing::warn!(
            "there is no tenant yet: stop, make one with `fleetprompt tenant create NAME {place}`, and start again"
        );
    }
    let is_asked = tokio::select! {
        () = asked_to_end() => true,
        () = node.ended() => false,
    };
    tracing::info!("stopping");
    // Whoever has asked is answered before the process ends, however it comes to that.
    node.stop().await?;
    anyhow::ensure!(is_asked, "the engine has ended, as the log says; start it again");
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
