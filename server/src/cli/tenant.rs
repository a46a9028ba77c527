//! `fleetprompt tenant`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, CreateTenant, CreatedTenant, UpdateTenant};
use fleetprompt_core::Slug;
use fleetprompt_core::tenant::Weight;

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
    /// Change a tenant (needs an owner's key)
    #[command(after_help = "\
The weight says how much it gets beside others, when all of them want more than there is: with 200 twice as much as
with 100, which is usual.

Examples:
  fleetprompt tenant update acme --weight 200
  fleetprompt tenant update acme --name 'Acme, Inc.'")]
    Update {
        /// Its slug
        slug: Slug,
        #[command(flatten)]
        change: Change,
    },
    /// List the tenants (needs an owner's key)
    #[command(after_help = "Examples:\n  fleetprompt tenant list")]
    List,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// What it is called
    #[arg(long)]
    name: Option<String>,
    /// From 1 to 10000
    #[arg(long)]
    weight: Option<Weight>,
}

impl Tenant {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match &self.verb {
            Verb::Create { slug, name, given } => self.create(slug, name.as_deref(), given.place()).await,
            Verb::Update { slug, change } => {
                let change = UpdateTenant { name: change.name.clone(), weight: change.weight };
                let tenant = self.connect.client()?.tenant_update(slug, &change).await?;
                self.connect.output.show(&tenant, |screen| fields(&tenant).render(screen));
                exit::ok()
            }
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
    fields(&created.tenant).render(screen) + &key::shown(screen, &created.key)
}

fn fields(tenant: &wire::Tenant) -> Fields {
    let mut fields = Fields::default();
    fields.toned("tenant", Tone::Strong, &tenant.slug);
    fields.line("name", &tenant.name);
    fields.line("id", tenant.id);
    fields.line("weight", tenant.weight.get());
    fields
}

fn table(screen: &Screen, tenants: &[wire::Tenant]) -> Table {
    let mut table = Table::new([
        Column::id("TENANT"),
        Column::text("NAME", 8),
        Column::number("WEIGHT"),
        Column::id("ID").leave_out(1),
        Column::id("CREATED").leave_out(2),
    ]);
    for tenant in tenants {
        table.row([
            Cell::new(Tone::Strong, tenant.slug.as_str()),
            Cell::plain(&tenant.name),
            Cell::plain(tenant.weight.get()),
            Cell::dim(tenant.id),
            Cell::dim(when::ago(tenant.created_at, screen.now)),
        ]);
    }
    table
}
