//! `fleetprompt whoami`.

use std::process::ExitCode;

use clap::Args;
use fleetprompt_core::Timestamp;

use super::connect::Connect;
use super::exit;
use super::fields::Fields;
use super::when;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  fleetprompt whoami\n  fleetprompt whoami --url https://fleet.example.com")]
pub struct Whoami {
    #[command(flatten)]
    connect: Connect,
}

impl Whoami {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let who = client.whoami().await?;
        self.connect.output.show(&who, |screen| {
            let mut fields = Fields::default();
            fields.line("server", client.url());
            fields.line("tenant", format!("{} ({})", who.tenant.slug, who.tenant.name));
            fields.line("tenant id", who.tenant.id);
            fields.line("key", format!("{} {}", who.key.id, who.key.name));
            fields.line("role", who.key.role.as_str());
            fields.maybe("expires", who.key.expires_at.map(|at: Timestamp| when::ago(at, screen.now)));
            fields.render(screen)
        });
        exit::ok()
    }
}
