//! Server processes: started as children, ended by their own id, whatever happens.
//!
//! A process group of their own keeps Ctrl-C for us, so that it is we who end them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::sleep;

use crate::http;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(5);

pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `folder/NAME.log`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `GET path` answers 200, and tells how long that took.
    pub async fn ready(&mut self, address: SocketAddr, path: &str) -> anyhow::Result<Duration> {
        self.ready_when(async || {
            let answer = http::call(address, "GET", path, None, &serde_json::Value::Null).await;
            Ok(matches!(answer, Ok((200, _))))
        })
        .await
    }

    pub async fn ready_when(&mut self, is_ready: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<Duration> {
        let started = Instant::now();
        while started.elapsed() < READY_TIMEOUT {
            if is_ready().await? {
                return Ok(started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it was ready ({status}):\n{}", self.name, self.last_words());
            }
            sleep(READY_POLL).await;
        }
        bail!("{} was not ready after {} s:\n{}", self.name, READY_TIMEOUT.as_secs(), self.last_words())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Failing means that it has ended already; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address that was free a moment ago.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}

/// Runs a command to its end and gives its standard output.
pub fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} {}: {}", program.display(), output.status, said.trim());
    }
    String::from_utf8(output.stdout).context("output is not UTF-8")
}

/// The same command under `strace`, which writes a line for each sync to `trace`. The tracer stands
/// beside the process, not above it, so the process keeps its id; only the traced calls are slowed.
pub fn traced(command: &Command, trace: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-D", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o"]);
    traced.arg(trace).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    traced
}

pub fn is_strace_installed() -> bool {
    Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}
