//! A workflow as the command line names it: a file, or what a server has under a slug.

use anyhow::Context;
use fleetprompt_client::Client;
use fleetprompt_core::Slug;
use fleetprompt_core::diagnostic::render;
use fleetprompt_core::document::Format;
use fleetprompt_core::workflow::{self, Catalog, Workflow};

use super::super::exit::Usage;
use super::super::given;
use super::super::screen::{Screen, plain};

/// What is no slug is a file, and so is what is there as one. `./name` is always a file.
pub fn is_file(named: &str) -> bool {
    named == "-" || named.parse::<Slug>().is_err() || std::path::Path::new(named).is_file()
}

/// The problems of a definition, shown where they are.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not a workflow that can be read")]
pub struct Unreadable {
    name: String,
}

pub fn of_file(path: &str) -> anyhow::Result<Workflow> {
    let text = given::read(path)?;
    let name = if path == "-" { "stdin" } else { path };
    read(&text, given::format_of(path, &text), name)
}

/// The active version unless another is named.
pub async fn of_server(client: &Client, slug: &Slug, version: Option<&str>) -> anyhow::Result<Workflow> {
    let version = match version {
        Some(version) => version.to_owned(),
        None => active(client, slug).await?,
    };
    let stored = client.workflow_version_get(slug, &version).await?;
    let document = stored.document.with_context(|| format!("the server gave no document of {slug} {version}"))?;
    read(document.text(), Format::Json, &format!("{slug} {version}"))
}

async fn active(client: &Client, slug: &Slug) -> anyhow::Result<String> {
    let none = || Usage(format!("no version of `{slug}` is active\nname one: `fleetprompt workflow versions {slug}`"));
    Ok(client.workflow_get(slug).await?.active_version.ok_or_else(none)?)
}

pub fn slug(text: &str) -> anyhow::Result<Slug> {
    text.parse().map_err(|error| Usage(format!("{error}")).into())
}

/// Names of agents and directives, which only a server knows, are not looked up.
fn read(text: &str, format: Format, name: &str) -> anyhow::Result<Workflow> {
    workflow::read(text, format, &Catalog::default()).map(|(workflow, _)| workflow).map_err(|problems| {
        anstream::eprintln!("{}\n", render(&problems, text, &plain(name), Screen::of_stderr().colour));
        Unreadable { name: plain(name) }.into()
    })
}
