//! `fleetprompt serve`: the production form.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::node::{Node, asked_to_end};
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
    tracing::info!(url = node.url(), data = %settings.data.display(), "ready");
    if node.engine().directory().tenants().next().is_none() {
        let data = settings.data.display();
        tracing::warn!(
            "there is no tenant yet: stop, make one with `fleetprompt tenant create NAME --data {data}`, and start again"
        );
    }
    asked_to_end().await;
    tracing::info!("stopping");
    node.stop().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
