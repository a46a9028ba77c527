//! What `backup`, `restore` and `migrate` have in common: everything of every tenant from one store into another, then
//! both are read from end to end and compared, and a terminal shows how far it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use fleetprompt_core::tenant::Tenant;
use fleetprompt_store::copy::{Progress, copy, digest};
use fleetprompt_store::postgres::Database;
use fleetprompt_store::sqlite::SqliteStore;
use fleetprompt_store::{Directory, Store};
use indicatif::{ProgressBar, ProgressStyle};

use crate::place::Opened;

/// Into a place where there is nothing yet.
pub fn into_place(source: &dyn Store, to: &Opened) -> anyhow::Result<Progress> {
    match to {
        Opened::Folder(folder) => into_file(source, &folder.store),
        Opened::Database(database) => into_database(source, database),
    }
}

pub fn into_file(source: &dyn Store, target: &SqliteStore) -> anyhow::Result<Progress> {
    let (directory, shown) = begin(source, target)?;
    for tenant in &directory.tenants {
        shown.copy(source, target, &directory, tenant)?;
    }
    compare(source, target, &directory, &shown)
}

fn into_database(source: &dyn Store, database: &Arc<Database>) -> anyhow::Result<Progress> {
    let target = database.whole();
    let (directory, shown) = begin(source, &target)?;
    let mut parts: BTreeMap<u16, Vec<&Tenant>> = BTreeMap::new();
    for tenant in &directory.tenants {
        parts.entry(database.partition_of(&tenant.slug)).or_default().push(tenant);
    }
    for (partition, tenants) in parts {
        let part = database.alone(partition)?;
        for tenant in tenants {
            shown.copy(source, &part, &directory, tenant)?;
        }
    }
    compare(source, &target, &directory, &shown)
}

/// From end to end, whether it can be.
pub fn read(store: &dyn Store) -> anyhow::Result<Progress> {
    let directory = store.directory()?;
    let shown = Shown::new(directory.tenants.len());
    let mut all = Progress::default();
    for tenant in &directory.tenants {
        add(&mut all, shown.read("read", store, &directory, tenant)?.1);
    }
    Ok(all)
}

pub fn told(all: Progress) -> String {
    let Progress { tenants, signals, directives, runs } = all;
    format!("{signals} signals, {runs} runs, {directives} directives of {tenants} tenants")
}

fn begin(source: &dyn Store, target: &dyn Store) -> anyhow::Result<(Directory, Shown)> {
    let directory = source.directory()?;
    ensure!(target.directory()?.tenants.is_empty(), "the target has tenants already; it must be new, or empty");
    let shown = Shown::new(directory.tenants.len());
    Ok((directory, shown))
}

fn compare(source: &dyn Store, target: &dyn Store, directory: &Directory, shown: &Shown) -> anyhow::Result<Progress> {
    let copied = target.directory()?;
    let mut all = Progress::default();
    for tenant in &directory.tenants {
        let (one, of_tenant) = shown.read("read", source, directory, tenant)?;
        let (other, _) = shown.read("compared", target, &copied, tenant)?;
        ensure!(
            one == other,
            "the tenant `{}` is not the same in both: its digests are {one} and {other}",
            tenant.slug
        );
        add(&mut all, of_tenant);
    }
    Ok(all)
}

fn add(all: &mut Progress, of_tenant: Progress) {
    all.tenants += of_tenant.tenants;
    all.signals += of_tenant.signals;
    all.directives += of_tenant.directives;
    all.runs += of_tenant.runs;
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

    fn copy(&self, from: &dyn Store, to: &dyn Store, directory: &Directory, tenant: &Tenant) -> anyhow::Result<()> {
        copy(from, to, directory, tenant, &mut |so_far| self.tell("copied", tenant, so_far))
            .with_context(|| format!("the tenant `{}` could not be copied", tenant.slug))
    }

    /// Its digest, and how much it was.
    fn read(
        &self,
        done: &str,
        store: &dyn Store,
        directory: &Directory,
        tenant: &Tenant,
    ) -> anyhow::Result<(String, Progress)> {
        let mut all = Progress { tenants: 1, ..Progress::default() };
        let digest = digest(store, directory, tenant, &mut |so_far| {
            all = so_far;
            self.tell(done, tenant, so_far);
        });
        let digest = digest.with_context(|| format!("the tenant `{}` could not be read", tenant.slug))?;
        Ok((digest, all))
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
