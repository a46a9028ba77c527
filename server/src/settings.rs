//! What an operator may set: by flag, else by environment variable, else in the TOML file, else as
//! it comes. All three spell the same names; unknown ones are refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use fleetprompt_core::run::Descendants;
use fleetprompt_engine::DescentLimits;
use fleetprompt_store::postgres::Options;

use crate::place::Place;

/// What was set in one place.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// Where to listen for HTTP [default: 127.0.0.1:7070]
    #[arg(long, env = "FLEETPROMPT_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The folder that holds the database [default: ./fleetprompt-data]
    #[arg(long, env = "FLEETPROMPT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A PostgreSQL database instead of the folder, like postgres://user:password@host/name
    #[arg(long, env = "FLEETPROMPT_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// How long a node may be silent before others take over what it decides for [default: 10]
    #[arg(long, env = "FLEETPROMPT_NODE_LEASE_S", value_name = "SECONDS")]
    pub node_lease_s: Option<u64>,
    /// What people know the node by [default: the host and the process]
    #[arg(long, env = "FLEETPROMPT_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Parts that the tenants of a new PostgreSQL database are spread over; never changed later [default: 16]
    #[arg(long, env = "FLEETPROMPT_PARTITIONS", value_name = "N")]
    pub partitions: Option<u16>,
    /// Requests that may wait to be decided before callers are told to come back [default: 16384]
    #[arg(long, env = "FLEETPROMPT_QUEUE_MAX", value_name = "N")]
    pub queue_max: Option<usize>,
    /// Connections that may be open at once, below the limit of open files [default: 16384]
    #[arg(long, env = "FLEETPROMPT_CONNECTIONS_MAX", value_name = "N")]
    pub connections_max: Option<usize>,
    /// The same of one address; behind a reverse proxy all clients have the proxy's [default: 2048]
    #[arg(long, env = "FLEETPROMPT_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub connections_per_address: Option<usize>,
    /// Memory that requests in flight may take, in MiB [default: 128, or a quarter of what the process may have]
    #[arg(long, env = "FLEETPROMPT_REQUEST_MEMORY_MIB", value_name = "MIB")]
    pub request_memory_mib: Option<usize>,
    /// Effects performed at once: model calls and deliveries to endpoints [default: 256]
    #[arg(long, env = "FLEETPROMPT_EFFECTS_MAX", value_name = "N")]
    pub effects_max: Option<usize>,
    /// How long a stop lets effects that have begun come to their end [default: 10]
    #[arg(long, env = "FLEETPROMPT_GRACE_S", value_name = "SECONDS")]
    pub grace_s: Option<u64>,
    /// How long a worker may be silent about an attempt before another gets it [default: 15]
    #[arg(long, env = "FLEETPROMPT_LEASE_S", value_name = "SECONDS")]
    pub lease_s: Option<u64>,
    /// Runs that may be open at once below one signal or directive that started others [default: 25000]
    #[arg(long, env = "FLEETPROMPT_DESCENDANTS_OPEN_MAX", value_name = "N")]
    pub descendants_open_max: Option<u64>,
    /// Runs that one signal or directive may lead to within ten minutes [default: 50000]
    #[arg(long, env = "FLEETPROMPT_DESCENDANTS_RUNS_MAX", value_name = "N")]
    pub descendants_runs_max: Option<u64>,
    /// Signals that the runs below one signal or directive may record within ten minutes [default: 500000]
    #[arg(long, env = "FLEETPROMPT_DESCENDANTS_SIGNALS_MAX", value_name = "N")]
    pub descendants_signals_max: Option<u64>,
    /// Payloads that the runs below one signal or directive may record within ten minutes, in MiB [default: 512]
    #[arg(long, env = "FLEETPROMPT_DESCENDANTS_MIB_MAX", value_name = "MIB")]
    pub descendants_mib_max: Option<u64>,
    /// Let endpoints of directives stand at loopback and private addresses: only for development
    #[arg(long, env = "FLEETPROMPT_ALLOW_PRIVATE_ENDPOINTS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub allow_private_endpoints: Option<bool>,
    /// Where traces are sent by OTLP over HTTP, like http://127.0.0.1:4318 [default: nowhere]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// How much of all traces is sent, from 0 to 1 [default: 1]
    #[arg(long, env = "FLEETPROMPT_OTLP_RATIO", value_name = "RATIO")]
    pub otlp_ratio: Option<f64>,
    /// How far the clock is wrong, in tests
    #[arg(long, env = "FLEETPROMPT_CLOCK_AHEAD_MS", hide = true, allow_negative_numbers = true)]
    #[serde(skip)]
    pub clock_ahead_ms: Option<i64>,
    /// What to log, like `info` or `fleetprompt=debug` [default: info]
    #[arg(long, env = "FLEETPROMPT_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Log each request: method, path, status, time and key, never a body [default: false]
    #[arg(long, env = "FLEETPROMPT_REQUEST_LOG", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub request_log: Option<bool>,
    /// How to log [default: text]
    #[arg(long, env = "FLEETPROMPT_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// What counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    pub listen: SocketAddr,
    pub data: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    pub node_lease_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    pub partitions: u16,
    pub queue_max: usize,
    pub connections_max: usize,
    pub connections_per_address: usize,
    pub request_memory_mib: usize,
    pub effects_max: usize,
    pub grace_s: u64,
    pub lease_s: u64,
    pub descendants_open_max: u64,
    pub descendants_runs_max: u64,
    pub descendants_signals_max: u64,
    pub descendants_mib_max: u64,
    pub allow_private_endpoints: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    pub otlp_ratio: f64,
    #[serde(skip)]
    pub clock_ahead_ms: i64,
    pub request_log: bool,
    pub log: String,
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        let descent = DescentLimits::default();
        Self {
            listen: (Ipv4Addr::LOCALHOST, 7070).into(),
            data: "fleetprompt-data".into(),
            database: None,
            node_lease_s: 10,
            node_name: None,
            partitions: Options::PARTITIONS,
            queue_max: 16_384,
            connections_max: 16_384,
            connections_per_address: 2_048,
            request_memory_mib: 128,
            effects_max: 256,
            grace_s: 10,
            lease_s: 15,
            descendants_open_max: descent.open_max,
            descendants_runs_max: descent.window_max.runs,
            descendants_signals_max: descent.window_max.signals,
            descendants_mib_max: descent.window_max.bytes >> 20,
            allow_private_endpoints: false,
            otlp_endpoint: None,
            otlp_ratio: 1.0,
            clock_ahead_ms: 0,
            request_log: false,
            log: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Flags and environment stand in `given`; the file comes after them.
    pub fn resolve(given: Partial, file: Option<&Path>) -> anyhow::Result<Self> {
        let file = file.map(read).transpose()?.unwrap_or_default();
        let default = Self::default();
        Ok(Self {
            listen: given.listen.or(file.listen).unwrap_or(default.listen),
            data: given.data.or(file.data).unwrap_or(default.data),
            database: given.database.or(file.database).filter(|url| !url.is_empty()),
            node_lease_s: given.node_lease_s.or(file.node_lease_s).unwrap_or(default.node_lease_s).clamp(1, 3_600),
            node_name: given.node_name.or(file.node_name),
            partitions: given
                .partitions
                .or(file.partitions)
                .unwrap_or(default.partitions)
                .clamp(1, Options::PARTITIONS_MAX),
            queue_max: given.queue_max.or(file.queue_max).unwrap_or(default.queue_max).max(1),
            connections_max: given.connections_max.or(file.connections_max).unwrap_or(default.connections_max).max(1),
            connections_per_address: given
                .connections_per_address
                .or(file.connections_per_address)
                .unwrap_or(default.connections_per_address)
                .max(1),
            request_memory_mib: given
                .request_memory_mib
                .or(file.request_memory_mib)
                .unwrap_or_else(|| default.request_memory_mib.min(memory_limit_mib() / 4))
                .max(1),
            effects_max: given.effects_max.or(file.effects_max).unwrap_or(default.effects_max).max(1),
            grace_s: given.grace_s.or(file.grace_s).unwrap_or(default.grace_s),
            lease_s: given.lease_s.or(file.lease_s).unwrap_or(default.lease_s).clamp(1, 3_600),
            descendants_open_max: given
                .descendants_open_max
                .or(file.descendants_open_max)
                .unwrap_or(default.descendants_open_max),
            descendants_runs_max: given
                .descendants_runs_max
                .or(file.descendants_runs_max)
                .unwrap_or(default.descendants_runs_max),
            descendants_signals_max: given
                .descendants_signals_max
                .or(file.descendants_signals_max)
                .unwrap_or(default.descendants_signals_max),
            descendants_mib_max: given
                .descendants_mib_max
                .or(file.descendants_mib_max)
                .unwrap_or(default.descendants_mib_max),
            allow_private_endpoints: given
                .allow_private_endpoints
                .or(file.allow_private_endpoints)
                .unwrap_or(default.allow_private_endpoints),
            otlp_endpoint: given.otlp_endpoint.or(file.otlp_endpoint).filter(|url| !url.is_empty()),
            otlp_ratio: given.otlp_ratio.or(file.otlp_ratio).unwrap_or(default.otlp_ratio).clamp(0.0, 1.0),
            clock_ahead_ms: given.clock_ahead_ms.unwrap_or_default(),
            request_log: given.request_log.or(file.request_log).unwrap_or(default.request_log),
            log: given.log.or(file.log).unwrap_or(default.log),
            log_format: given.log_format.or(file.log_format).unwrap_or(default.log_format),
        })
    }

    /// Those of a process that does not serve, for a place that may be new.
    pub fn with_partitions(partitions: Option<u16>) -> Self {
        let default = Self::default();
        let partitions = partitions.unwrap_or(default.partitions).clamp(1, Options::PARTITIONS_MAX);
        Self { partitions, ..default }
    }

    /// Where it keeps everything.
    pub fn place(&self) -> Place {
        match &self.database {
            Some(url) => Place::Database(url.clone()),
            None => Place::Folder(self.data.clone()),
        }
    }

    pub fn descent(&self) -> DescentLimits {
        let default = DescentLimits::default();
        let window_max = Descendants {
            runs: self.descendants_runs_max,
            signals: self.descendants_signals_max,
            bytes: self.descendants_mib_max.saturating_mul(1 << 20),
        };
        DescentLimits { open_max: self.descendants_open_max, window_max, ..default }
    }

    /// As a file that `--config` takes, with `***` in the place of passwords.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        let hidden = |url: &Option<String>| url.as_deref().map(without_password);
        let (database, otlp_endpoint) = (hidden(&self.database), hidden(&self.otlp_endpoint));
        let is_whole = database == self.database && otlp_endpoint == self.otlp_endpoint;
        let note = if is_whole { "" } else { "# *** stands for what is secret.\n" };
        Ok(format!("{note}{}", toml::to_string(&Self { database, otlp_endpoint, ..self.clone() })?))
    }
}

/// An address as it may be shown. What is no URL, like `host=db password=…`, is hidden whole.
fn without_password(address: &str) -> String {
    const HIDDEN: &str = "***";
    let is_secret = |name: &str| ["password", "token", "key"].iter().any(|word| name.contains(word));
    let Ok(mut url) = url::Url::parse(address) else { return HIDDEN.to_owned() };
    let in_query = url.query_pairs().any(|(name, _)| is_secret(&name));
    if url.password().is_none() && !in_query {
        return address.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    if in_query {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let shown = pairs.iter().map(|(name, value)| (name, if is_secret(name) { HIDDEN } else { value.as_str() }));
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.to_string()
}

fn read(path: &Path) -> anyhow::Result<Partial> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the configuration {} is not right", path.display()))
}

/// Memory that the control groups of this process allow, in MiB; as good as everything where there is none.
fn memory_limit_mib() -> usize {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    // Version 2, and version 1.
    let hierarchies =
        [("0::", "/sys/fs/cgroup", "memory.max"), (":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes")];
    let limits = hierarchies.into_iter().flat_map(|(marker, root, file)| {
        let group = groups.lines().find_map(|line| line.split_once(marker)).map_or("/", |(_, group)| group);
        // The limit of any group above counts as well; in a container its own group is at the root.
        let own = PathBuf::from(format!("{root}{group}"));
        let groups: Vec<PathBuf> =
            own.ancestors().take_while(|path| path.starts_with(root)).map(Path::to_owned).collect();
        groups.into_iter().filter_map(move |group| std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok())
    });
    limits.min().map_or(usize::MAX, |bytes: usize| bytes >> 20)
}

/// Logs to standard error; asked for once in a process.
pub fn log_to_stderr(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    use std::io::IsTerminal;
    // The pool says of each connection what the store says once.
    let quiet = format!("deadpool=error,{filter}");
    let filter = tracing_subscriber::EnvFilter::try_new(quiet).context("--log is not a filter like `info`")?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => subscriber.json().try_init(),
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_count_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fleetprompt.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\neffects_max = 3\n").expect("a file");
        let given = Partial { listen: Some("127.0.0.1:2".parse().expect("an address")), ..Partial::default() };
        let settings = Settings::resolve(given, Some(&path)).expect("settings");
        assert_eq!((settings.listen.port(), settings.effects_max, settings.grace_s), (2, 3, 10));
    }

    #[test]
    fn a_database_that_is_set_to_nothing_is_none() {
        let given = Partial { database: Some(String::new()), ..Partial::default() };
        assert_eq!(Settings::resolve(given, None).expect("settings"), Settings::default());
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fleetprompt.toml");
        let settings = Settings { queue_max: 7, ..Settings::default() };
        std::fs::write(&path, settings.to_toml().expect("TOML")).expect("a file");
        assert_eq!(Settings::resolve(Partial::default(), Some(&path)).expect("settings"), settings);
    }

    #[test]
    fn what_is_printed_has_no_password() {
        let printed = |address: &str| {
            let settings = Settings { database: Some(address.to_owned()), ..Settings::default() };
            settings.to_toml().expect("TOML")
        };
        for address in [
            "postgres://user:hunter2@db:5432/fleet?sslmode=require",
            "postgres://user@db/fleet?password=hunter2&sslmode=require",
            "postgres://db/fleet?sslpassword=hunter2",
            "host=db user=user password=hunter2",
            "postgres://user:hunter2@one:1,two:2/fleet",
            "postgres://user:hun%ter2hunter2@db/fleet",
        ] {
            let printed = printed(address);
            assert!(!printed.contains("hunter2") && printed.contains("***"), "{printed}");
        }
        assert!(
            printed("postgres://user:hunter2@db:5432/fleet?sslmode=require").contains("@db:5432/fleet?sslmode=require")
        );
        assert!(printed("postgres://user@db/fleet").contains("database = \"postgres://user@db/fleet\""));
        let otlp_endpoint = Some("http://me:hunter2@traces:4318".to_owned());
        let text = Settings { otlp_endpoint, ..Settings::default() }.to_toml().expect("TOML");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_unknown_name_in_the_file_is_refused_with_the_known_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fleetprompt.toml");
        std::fs::write(&path, "listn = \"127.0.0.1:1\"\n").expect("a file");
        let error = format!("{:#}", Settings::resolve(Partial::default(), Some(&path)).expect_err("refused"));
        assert!(error.contains("listn") && error.contains("listen"), "{error}");
    }
}
