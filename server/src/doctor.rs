//! `fleetprompt doctor`: whether a server would run well with these settings on this machine, and what to do if not.
//! It changes nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fleetprompt_store::postgres::{Examination, examine};
use serde::Serialize;

use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::screen::{Screen, Tone, plain};
use crate::place::Place;
use crate::settings::{Partial, Settings};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Takes the settings of `fleetprompt serve`, and looks at what they name: the address to listen on, the data folder
and its disk, or the database, and the clocks. Status 1 means that something would keep a server from running well.

Examples:
  fleetprompt doctor
  fleetprompt doctor --database postgres://fleetprompt:secret@db/fleetprompt --output json")]
pub struct Args {
    #[command(flatten)]
    settings: Partial,
    /// A TOML file with the same names as the flags, in snake_case
    #[arg(long, env = "FLEETPROMPT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Well,
    Warning,
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    found: Found,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl Check {
    fn well(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, found: Found::Well, detail: detail.into(), advice: None }
    }

    fn warning(what: &'static str, detail: impl Into<String>, advice: &'static str) -> Self {
        Self { what, found: Found::Warning, detail: detail.into(), advice: Some(advice) }
    }

    fn problem(what: &'static str, detail: impl Into<String>, advice: &'static str) -> Self {
        Self { what, found: Found::Problem, detail: detail.into(), advice: Some(advice) }
    }
}

const DISK_FREE_MIN: u64 = 1 << 30;
const SYNC_SLOW: Duration = Duration::from_millis(20);
const ROUND_TRIP_SLOW: Duration = Duration::from_millis(10);
const CLOCKS_APART: i64 = 1_000_000;
/// The oldest PostgreSQL that the tests of its kind of SQL were made for.
const POSTGRES_MIN: i32 = 150_000;
/// Of a node, beside one for each partition.
const CONNECTIONS_BESIDE: i32 = 13;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let checks = match Settings::resolve(args.settings, args.config.as_deref()) {
        Err(error) => {
            let advice = "correct the file, or print the settings that count with `fleetprompt serve --print-config`";
            vec![Check::problem("configuration", format!("{error:#}"), advice)]
        }
        Ok(settings) => tokio::task::spawn_blocking(move || examined(&settings)).await?,
    };
    args.output.show(&checks, |screen| checks.iter().map(|check| shown(screen, check)).collect());
    exit::failed_if(checks.iter().any(|check| check.found == Found::Problem))
}

fn examined(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![Check::well("configuration", format!("everything is kept in {}", settings.place()))];
    checks.push(match std::net::TcpListener::bind(settings.listen) {
        Ok(_) => Check::well("address", format!("{} is free", settings.listen)),
        Err(error) => {
            let advice = "choose another with --listen, or stop what uses it: it may be a server that runs already";
            Check::problem("address", format!("{}: {error}", settings.listen), advice)
        }
    });
    if !settings.listen.ip().is_loopback() {
        let advice = "put a reverse proxy before it that speaks TLS: keys and payloads pass in clear";
        checks.push(Check::warning("address", "it listens to the network without TLS", advice));
    }
    if settings.allow_private_endpoints {
        let advice = "leave --allow-private-endpoints out, unless this is for development";
        checks.push(Check::warning("endpoints", "tenants may have this machine and its network called", advice));
    }
    match settings.place() {
        Place::Folder(folder) => checks.extend(folder_checks(&folder)),
        Place::Database(url) => checks.extend(database_checks(&url)),
    }
    checks
}

fn folder_checks(folder: &Path) -> Vec<Check> {
    let database = folder.join("fleetprompt.db");
    // What is not there yet is made in the folder above.
    let there = folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let mut checks = vec![match std::fs::metadata(&database) {
        Ok(file) => Check::well("data", format!("{} has {}", database.display(), size(file.len()))),
        Err(_) => Check::well("data", format!("{} will be made", database.display())),
    }];
    if let Ok(lock) = std::fs::File::open(folder.join("lock"))
        && lock.try_lock_shared().is_err()
    {
        let advice = "stop it before you start another, or reach it with --url and --key";
        checks.push(Check::warning("data", "a server uses the folder now", advice));
    }
    checks.push(synced(there));
    if let Ok(disk) = rustix::fs::statvfs(there) {
        let free = disk.f_bavail * disk.f_frsize;
        checks.push(match free >= DISK_FREE_MIN {
            true => Check::well("disk", format!("{} free", size(free))),
            false => {
                let advice = "make room: when it is full, nothing is accepted any more";
                Check::problem("disk", format!("only {} free", size(free)), advice)
            }
        });
    }
    checks
}

/// How long a commit has to wait for the disk.
fn synced(folder: &Path) -> Check {
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        let begun = Instant::now();
        for _ in 0..5 {
            file.write_all(&[0; 4096])?;
            file.as_file().sync_data()?;
        }
        Ok(begun.elapsed() / 5)
    });
    match written {
        Ok(took) if took < SYNC_SLOW => Check::well("disk", format!("a commit reaches it in {}", millis(took))),
        Ok(took) => {
            let advice = "use a local disk: each commit waits for this, though many requests share one";
            Check::warning("disk", format!("a commit takes {} to reach it", millis(took)), advice)
        }
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            let advice = "make room on this disk: while it is full, nothing is accepted";
            Check::problem("disk", format!("{} cannot be written: {error}", folder.display()), advice)
        }
        Err(error) => {
            let advice = "give the folder to the user that runs the server, or name another with --data";
            Check::problem("disk", format!("{} cannot be written: {error}", folder.display()), advice)
        }
    }
}

fn database_checks(url: &str) -> Vec<Check> {
    match examine(url) {
        Ok(found) => database_found(&found),
        Err(error) => {
            let advice = "see that it runs, that the address is right, and that this machine and user may connect";
            vec![Check::problem("database", error.to_string(), advice)]
        }
    }
}

fn database_found(found: &Examination) -> Vec<Check> {
    let version = format!("PostgreSQL {}.{}", found.version / 10_000, found.version % 10_000);
    let mut checks = vec![match found.version >= POSTGRES_MIN {
        true => Check::well("database", version),
        false => Check::problem("database", version, "use PostgreSQL 15 or newer"),
    }];
    checks.push(match (found.schema, found.schema_known) {
        (None, _) => Check::well("schema", "it is empty; the first start makes the tables"),
        (Some(there), known) if there > known => {
            let advice = "use the newer fleetprompt that wrote it";
            Check::problem("schema", format!("it is version {there}, and this program knows {known}"), advice)
        }
        (Some(there), known) if there < known => {
            Check::well("schema", format!("version {there}; the next start brings it to {known}"))
        }
        (Some(there), _) => Check::well("schema", format!("version {there}")),
    });
    if found.schema.is_none_or(|there| there < found.schema_known) && !found.may_create {
        let advice =
            "grant it CREATE on the schema, or make it the owner of the database: the next start creates tables";
        checks.push(Check::problem("schema", "the role may not create tables in it", advice));
    }
    if let Some(why) = &found.lacks_rights {
        let advice = "grant the role what it lacks, or make it the owner of the tables";
        checks.push(Check::problem("schema", why, advice));
    }
    if found.encoding != "UTF8" {
        let advice = "create the database with ENCODING 'UTF8'";
        checks.push(Check::problem("database", format!("its encoding is {}", found.encoding), advice));
    }
    if found.is_superuser {
        let advice =
            "connect as a role of its own that owns the database: a superuser sees past the wall between tenants";
        checks.push(Check::warning("database", "it is reached as a superuser", advice));
    }
    if !found.syncs {
        let advice = "set fsync = on: what was answered would be lost with the power";
        checks.push(Check::problem("database", "fsync is off", advice));
    }
    let partitions = i32::from(found.partitions.unwrap_or(fleetprompt_store::postgres::Options::PARTITIONS));
    let needed = partitions + CONNECTIONS_BESIDE * 3;
    checks.push(match found.connections_max >= needed {
        true => {
            Check::well("connections", format!("{} allowed; three nodes take up to {needed}", found.connections_max))
        }
        false => {
            let detail = format!("{} allowed, and three nodes take up to {needed}", found.connections_max);
            Check::warning("connections", detail, "raise max_connections, or make the database with fewer --partitions")
        }
    });
    checks.push(match found.round_trip < ROUND_TRIP_SLOW {
        true => Check::well("network", format!("it answers in {}", millis(found.round_trip))),
        false => {
            let advice = "put the nodes close to the database: each commit waits for it";
            Check::warning("network", format!("it takes {} to answer", millis(found.round_trip)), advice)
        }
    });
    let apart = found.clocks.0.0 - found.clocks.1.0;
    checks.push(match apart.abs() < CLOCKS_APART {
        true => Check::well("clock", "this machine's is that of the database"),
        false => {
            let detail = format!("this machine's is {} s off from that of the database", -apart / 1_000_000);
            Check::warning("clock", detail, "synchronize both: times of waits and schedules go by the nodes' clocks")
        }
    });
    checks.push(match found.nodes.len() {
        0 => Check::well("nodes", "none is at work"),
        count => Check::well("nodes", format!("{count} at work: {}", found.nodes.join(", "))),
    });
    checks
}

fn shown(screen: &Screen, check: &Check) -> String {
    let (tone, mark) = match (check.found, screen.unicode) {
        (Found::Well, true) => (Tone::Good, "✓"),
        (Found::Well, false) => (Tone::Good, "ok"),
        (Found::Warning, _) => (Tone::Warn, "!"),
        (Found::Problem, true) => (Tone::Bad, "✗"),
        (Found::Problem, false) => (Tone::Bad, "x"),
    };
    let mut text = format!("{} {:<14} {}\n", screen.paint(tone, mark), check.what, plain(&check.detail));
    if let Some(advice) = check.advice {
        text.push_str(&format!("  {:<14} {}\n", "", screen.paint(Tone::Dim, advice)));
    }
    text
}

fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1_000.0)
}

fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1_024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1_024.0) }
}
