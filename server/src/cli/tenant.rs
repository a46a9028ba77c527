//! `fleetprompt tenant`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, CreateTenant, CreatedTenant};
use fleetprompt_core::Slug;

use super::connect::Connect;
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, key, pages, when};
use crate::place::{Given, Place};

#[derive(Debug, Args)]
pub struct Tenant {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const CREATE_EXAMPLES: &str = "\
The answer shows the tenant's first key, this once. Where no server runs yet, --data or --database makes the
tenant in the data folder or database itself; the first one gets a key that may do everything.

Examples:
  fleetprompt tenant create acme --data /var/lib/fleetprompt
  fleetprompt tenant create acme --name 'Acme, Inc.'";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a tenant and its first key
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// How it is addressed, like acme
        slug: Slug,
        /// What it is called [default: the slug]
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        given: Given,
    },
    /// List the tenants (needs an owner's key)
    #[command(after_help = "Examples:\n  fleetprompt tenant list")]
    List,
}

impl Tenant {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match &self.verb {
            Verb::Create { slug, name, given } => self.create(slug, name.as_deref(), given.place()).await,
            Verb::List => self.list().await,
        }
    }

    async fn create(&self, slug: &Slug, name: Option<&str>, place: Option<Place>) -> anyhow::Result<ExitCode> {
        let created = match place {
            Some(place) => {
                let name = name.unwrap_or(slug.as_str()).to_owned();
                crate::offline::tenant_create(&place, slug.clone(), name).await?
            }
            None => {
                let create = CreateTenant { slug: slug.clone(), name: name.map(str::to_owned) };
                self.connect.client()?.tenant_create(&create).await?
            }
        };
        self.connect.output.show(&created, |screen| shown(screen, &created));
        exit::ok()
    }

    async fn list(&self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let tenants = pages::all(async |page| client.tenant_list(&page).await).await?;
        let empty = "No tenants yet. Make one with `fleetprompt tenant create NAME`.";
        self.connect.output.list(&tenants, empty, |screen| table(screen, &tenants));
        exit::ok()
    }
}

fn shown(screen: &Screen, created: &CreatedTenant) -> String {
    let mut fields = Fields::default();
    fields.toned("tenant", Tone::Strong, &created.tenant.slug);
    fields.line("name", &created.tenant.name);
    fields.line("id", created.tenant.id);
    fields.render(screen) + &key::shown(screen, &created.key)
}

fn table(screen: &Screen, tenants: &[wire::Tenant]) -> Table {
    let mut table = Table::new([
        Column::id("TENANT"),
        Column::text("NAME", 8),
        Column::id("ID").leave_out(1),
        Column::id("CREATED").leave_out(2),
    ]);
    for tenant in tenants {
        table.row([
            Cell::new(Tone::Strong, tenant.slug.as_str()),
            Cell::plain(&tenant.name),
            Cell::dim(tenant.id),
            Cell::dim(when::ago(tenant.created_at, screen.now)),
        ]);
    }
    table
}
