//! `fleetprompt migrate`: from one place into another, so that a laptop's folder can become a database that nodes share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fleetprompt_core::tenant::Tenant;
use fleetprompt_store::copy::{Progress, copy, digest};
use fleetprompt_store::postgres::Database;
use fleetprompt_store::{Directory, Store};
use indicatif::{ProgressBar, ProgressStyle};

use crate::place::{Opened, Place};
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
No server may use either. Everything of every tenant is copied, ids, times and keys among it; then both are read
from end to end, and compared. What is copied from stays as it is. If it breaks off, empty the target and begin anew.

Examples:
  fleetprompt migrate --from sqlite:///var/lib/fleetprompt --to postgres://fleetprompt:secret@db/fleetprompt
  fleetprompt migrate --from postgres://db/fleetprompt --to sqlite://./laptop")]
pub struct Args {
    /// What is copied: sqlite://DATA_FOLDER or postgres://…
    #[arg(long, value_name = "URL", value_parser = place)]
    from: Place,
    /// Where to, a new folder or an empty database: sqlite://DATA_FOLDER or postgres://…
    #[arg(long, value_name = "URL", value_parser = place)]
    to: Place,
    /// Parts that the tenants of a new PostgreSQL database are spread over; never changed later
    #[arg(long, env = "FLEETPROMPT_PARTITIONS", value_name = "N")]
    partitions: Option<u16>,
}

fn place(url: &str) -> Result<Place, String> {
    match url.strip_prefix("sqlite://") {
        Some("") | None if !url.starts_with("postgres") => {
            Err("expected sqlite://DATA_FOLDER, like sqlite:///var/lib/fleetprompt, or postgres://…".to_owned())
        }
        Some(folder) => Ok(Place::Folder(PathBuf::from(folder))),
        None => Ok(Place::Database(url.to_owned())),
    }
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    ensure!(args.from != args.to, "--from and --to are the same");
    if let Place::Folder(folder) = &args.from {
        ensure!(folder.join("fleetprompt.db").exists(), "there is no database in {}", folder.display());
    }
    let mut settings = Settings::default();
    settings.partitions = args.partitions.unwrap_or(settings.partitions);
    let (from, to) = (args.from.open(&settings)?, args.to.open(&settings)?);
    let (from_shown, to_shown) = (args.from.to_string(), args.to.to_string());
    let moved = tokio::task::spawn_blocking(move || migrate(&from, &to)).await??;
    println!(
        "{} signals, {} runs, {} directives of {} tenants: {from_shown} and {to_shown} say the same",
        moved.signals, moved.runs, moved.directives, moved.tenants
    );
    Ok(ExitCode::SUCCESS)
}

fn migrate(from: &Opened, to: &Opened) -> anyhow::Result<Progress> {
    must_be_unused(from)?;
    must_be_unused(to)?;
    let (source, target) = (whole(from), whole(to));
    let directory = source.directory()?;
    ensure!(target.directory()?.tenants.is_empty(), "the target has tenants already; it must be new, or empty");
    let mut parts: BTreeMap<Option<u16>, Vec<&Tenant>> = BTreeMap::new();
    for tenant in &directory.tenants {
        let partition = match to {
            Opened::Folder(_) => None,
            Opened::Database(database) => Some(database.partition_of(&tenant.slug)),
        };
        parts.entry(partition).or_default().push(tenant);
    }
    let shown = Shown::new(directory.tenants.len());
    for (partition, tenants) in parts {
        let writes: Arc<dyn Store> = match (to, partition) {
            (Opened::Database(database), Some(partition)) => Arc::new(database.alone(partition)?),
            _ => target.clone(),
        };
        for tenant in tenants {
            copy(&*source, &*writes, &directory, tenant, &mut |so_far| shown.tell("copied", tenant, so_far))
                .with_context(|| format!("the tenant `{}` could not be copied", tenant.slug))?;
        }
    }
    compare(&*source, &*target, &directory, &shown)
}

/// Reads both from end to end.
fn compare(source: &dyn Store, target: &dyn Store, directory: &Directory, shown: &Shown) -> anyhow::Result<Progress> {
    let copied = target.directory()?;
    let mut moved = Progress::default();
    for tenant in &directory.tenants {
        let mut of_tenant = Progress::default();
        let one = digest(source, directory, tenant, &mut |so_far| {
            of_tenant = so_far;
            shown.tell("read", tenant, so_far);
        })?;
        let other = digest(target, &copied, tenant, &mut |so_far| shown.tell("compared", tenant, so_far))?;
        ensure!(
            one == other,
            "the tenant `{}` is not the same in both: its digests are {one} and {other}",
            tenant.slug
        );
        moved.tenants += 1;
        moved.signals += of_tenant.signals;
        moved.runs += of_tenant.runs;
        moved.directives += of_tenant.directives;
    }
    Ok(moved)
}

fn whole(opened: &Opened) -> Arc<dyn Store> {
    match opened {
        Opened::Folder(folder) => folder.store.clone(),
        Opened::Database(database) => Arc::new(Database::whole(database)),
    }
}

/// A folder is locked; a database says who is at work.
fn must_be_unused(opened: &Opened) -> anyhow::Result<()> {
    if let Opened::Database(database) = opened
        && let Some(node) = database.node_at_work()?
    {
        bail!("the node `{node}` is at work on the database; stop it first");
    }
    Ok(())
}

/// How far it is, on a terminal.
struct Shown {
    bar: ProgressBar,
    tenants: usize,
}

impl Shown {
    fn new(tenants: usize) -> Self {
        // It is hidden where there is no terminal.
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}").expect("the template is right"),
        );
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, tenants }
    }

    fn tell(&self, done: &str, tenant: &Tenant, so_far: Progress) {
        let Progress { signals, directives, runs, .. } = so_far;
        let of = self.tenants;
        self.bar.set_message(format!(
            "{done} {signals} signals, {directives} directives, {runs} runs of `{}`, one of {of} tenants",
            tenant.slug
        ));
    }
}
