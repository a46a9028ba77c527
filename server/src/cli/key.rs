//! `fleetprompt key`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, CreateKey};
use fleetprompt_core::performs::{Pattern, Performs};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{KeyId, Slug, Timestamp};
use fleetprompt_engine::NewKey;

use super::connect::Connect;
use super::exit::{self, Usage};
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{given, pages, when};
use crate::place::{Given, Place};

#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const CREATE_EXAMPLES: &str = "\
The answer shows the key's secret, this once. A key never has more rights than the one that makes it.

Roles, each with what those before it may:
  viewer    read everything of its tenant
  member    emit signals, request directives, apply workflows; pause, resume and cancel runs
  operator  step in where a run does not go as it should: retry, rerun, skip, complete
  admin     make and revoke its tenant's keys
  owner     make tenants, and keys of every tenant

A key made with --performs is for workers: it takes and reports those functions and directives, and may do
nothing else.

Examples:
  fleetprompt key create 'forum webhook' --role member
  fleetprompt key create mailer --performs 'mail.*' --performs lead.score
  fleetprompt key create oncall --role viewer --tenant acme
  fleetprompt key create first --tenant acme --role owner --data /var/lib/fleetprompt";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// What it is for
        name: String,
        /// What it may do [default: member]
        #[arg(long, value_parser = given::role(), conflicts_with = "performs")]
        role: Option<Role>,
        /// For workers: a function or directive that it takes and reports, like mail.send or mail.*; repeat it
        #[arg(long, value_name = "PATTERN")]
        performs: Vec<Pattern>,
        /// For workers: the work of every tenant
        #[arg(long, requires = "performs")]
        all_tenants: bool,
        /// The tenant it speaks for [default: your own]
        #[arg(long, value_name = "TENANT")]
        tenant: Option<Slug>,
        /// When it stops to work, like 2027-01-01T00:00:00Z
        #[arg(long, value_name = "TIME", conflicts_with_all = ["data", "database"])]
        expires_at: Option<Timestamp>,
        #[command(flatten)]
        given: Given,
    },
    /// List the keys, without their secrets
    #[command(after_help = "Examples:\n  fleetprompt key list\n  fleetprompt key list --tenant acme")]
    List {
        /// Of this tenant [default: your own]
        #[arg(long, value_name = "TENANT")]
        tenant: Option<Slug>,
    },
    /// Make a key stop to work, for good
    #[command(after_help = "Examples:\n  fleetprompt key revoke key_01h455vb4pex5vsknk084sn02q")]
    Revoke {
        /// Like key_01h455vb4pex5vsknk084sn02q
        id: KeyId,
    },
}

impl Key {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match &self.verb {
            Verb::Create { name, role, performs, all_tenants, tenant, expires_at, given: at } => {
                let performs = Performs { names: performs.clone(), all_tenants: *all_tenants };
                let create = CreateKey {
                    name: name.clone(),
                    role: *role,
                    performs: Some(performs).filter(|performs| !performs.names.is_empty()),
                    tenant: tenant.clone(),
                    expires_at: *expires_at,
                };
                self.create(create, at.place()).await
            }
            Verb::List { tenant } => self.list(tenant.as_ref()).await,
            Verb::Revoke { id } => {
                let key = self.connect.client()?.key_revoke(*id).await?;
                self.connect.output.show(&key, |screen| shown(screen, &key));
                exit::ok()
            }
        }
    }

    async fn create(&self, create: CreateKey, place: Option<Place>) -> anyhow::Result<ExitCode> {
        let key = match (&place, &create.tenant) {
            (Some(place), Some(tenant)) => {
                let role = create.role.unwrap_or(if create.performs.is_some() { Role::Viewer } else { Role::Member });
                let performs = create.performs.clone();
                let new = NewKey { performs, ..NewKey::of_role(create.name.clone(), role) };
                crate::offline::key_create(place, tenant, new).await?
            }
            (Some(_), None) => {
                return Err(Usage("--data and --database need --tenant: they may hold many".to_owned()).into());
            }
            (None, _) => self.connect.client()?.key_create(&create).await?,
        };
        self.connect.output.show(&key, |screen| shown(screen, &key));
        exit::ok()
    }

    async fn list(&self, tenant: Option<&Slug>) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let keys = pages::all(async |page| client.key_list(tenant, &page).await).await?;
        let empty = "No keys. Make one with `fleetprompt key create NAME`.";
        self.connect.output.list(&keys, empty, |screen| table(screen, &keys));
        exit::ok()
    }
}

pub fn shown(screen: &Screen, key: &wire::Key) -> String {
    let mut fields = Fields::default();
    fields.line("key", format!("{} {}", key.id, key.name));
    fields.line(if key.performs.is_some() { "for" } else { "role" }, format!("{} of {}", may(key), key.tenant));
    fields.maybe("expires", key.expires_at.map(when::full));
    fields.maybe("revoked", key.revoked_at.map(when::full));
    if let Some(secret) = &key.secret {
        fields.toned("secret", Tone::Good, secret);
    }
    let note = screen.paint(Tone::Dim, "Keep the secret now: it is not shown again.");
    let note = key.secret.as_ref().map_or(String::new(), |_| format!("\n{note}\n"));
    fields.render(screen) + &note
}

/// Its role; or, where it was made for workers, what they perform with it.
fn may(key: &wire::Key) -> String {
    let Some(performs) = &key.performs else { return key.role.as_str().to_owned() };
    let names: Vec<String> = performs.names.iter().take(5).map(Pattern::to_string).collect();
    let more = if performs.names.len() > 5 { ", …" } else { "" };
    let whose = if performs.all_tenants { " of all tenants" } else { "" };
    format!("workers: {}{more}{whose}", names.join(", "))
}

fn table(screen: &Screen, keys: &[wire::Key]) -> Table {
    let mut table = Table::new([
        Column::id("ID"),
        Column::text("NAME", 8),
        Column::id("ROLE"),
        Column::id("STATUS"),
        Column::id("CREATED").leave_out(1),
    ]);
    for key in keys {
        let (status, tone) = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => (format!("revoked {}", when::ago(at, screen.now)), Tone::Bad),
            (None, Some(end)) if end <= screen.now => ("expired".to_owned(), Tone::Warn),
            (None, Some(end)) => (format!("expires {}", when::ago(end, screen.now)), Tone::Good),
            (None, None) => ("live".to_owned(), Tone::Good),
        };
        table.row([
            Cell::plain(key.id),
            Cell::plain(&key.name),
            Cell::plain(may(key)),
            Cell::new(tone, status),
            Cell::dim(when::ago(key.created_at, screen.now)),
        ]);
    }
    table
}
