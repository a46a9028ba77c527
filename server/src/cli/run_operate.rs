//! `fleetprompt run pause|resume|cancel|retry|rerun`: what people do to one run, or with `--where` to many.

use std::process::ExitCode;

use clap::Args;
use fleetprompt_client::Client;
use fleetprompt_client::wire::{BulkAction, CancelRun, Operated, Reason, RerunRun, RetryRun};
use fleetprompt_core::{Json, RunId};

use super::exit::{self, Usage};
use super::output::Output;
use super::run_bulk::{self, Many};
use super::screen::{Screen, Tone, plain};
use super::{given, timeline};

/// One run, or all that fit.
#[derive(Debug, Args)]
pub struct Which {
    /// Like run_01h455vb4pex5vsknk084sn02q
    #[arg(required_unless_present = "filter", conflicts_with = "filter")]
    id: Option<RunId>,
    /// All runs that fit, like status=failed,workflow=import,version=1.0.0,since=2h
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,
    /// With --where: so many at most, the newest of them
    #[arg(long, value_name = "N", requires = "filter", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// With --where: do not ask
    #[arg(long, short, requires = "filter")]
    yes: bool,
    /// The same key is the same intent [default: a fresh one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", required_unless_present = "id")]
    reason: Option<String>,
    /// Undo first what its steps did
    #[arg(long)]
    compensate: bool,
}

#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Begin with these steps [default: those that failed]
    #[arg(long, value_name = "STEP", num_args = 1.., value_delimiter = ',')]
    from: Vec<String>,
    /// Do also what has succeeded a second time
    #[arg(long)]
    reissue: bool,
}

#[derive(Debug, Args)]
pub struct Rerun {
    #[command(flatten)]
    which: Which,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Another version of the same workflow
    #[arg(long)]
    version: Option<String>,
    /// A corrected input: JSON, @FILE or - for stdin
    #[arg(long, value_name = "JSON", conflicts_with = "filter")]
    input: Option<String>,
    /// Begin with this step; what does not lie behind it keeps its output
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Do also what has succeeded a second time
    #[arg(long)]
    reissue: bool,
}

/// Any of them.
pub struct Operation {
    which: Which,
    pub action: BulkAction,
    pub reason: Option<String>,
    pub compensate: bool,
    pub reissue: bool,
    pub from: Vec<String>,
    pub version: Option<String>,
    input: Option<Json>,
}

impl Operation {
    fn new(which: Which, action: BulkAction, reason: Option<String>) -> Self {
        Self { which, action, reason, compensate: false, reissue: false, from: Vec::new(), version: None, input: None }
    }

    pub async fn run(self, client: &Client, output: &Output) -> anyhow::Result<ExitCode> {
        let key = self.which.idempotency_key.clone().unwrap_or_else(given::fresh_key);
        match (self.which.id, &self.which.filter) {
            (Some(id), _) => {
                let operated = self.one(client, id, &key).await?;
                output.show(&operated, |screen| shown(screen, &operated));
                exit::ok()
            }
            (None, Some(filter)) => {
                let filter = run_bulk::filter(filter).map_err(Usage)?;
                let many = Many { filter, limit: self.which.limit, yes: self.which.yes, key };
                run_bulk::run(client, output, &self, many).await
            }
            (None, None) => Err(Usage("name a run, or many with --where".into()).into()),
        }
    }

    async fn one(&self, client: &Client, id: RunId, key: &str) -> Result<Operated, fleetprompt_client::Error> {
        let reason = self.reason.clone().unwrap_or_default();
        match self.action {
            BulkAction::Pause => client.run_pause(id, &Reason { reason }, key).await,
            BulkAction::Resume => client.run_resume(id, &Reason { reason }, key).await,
            BulkAction::Cancel => {
                let cancel = CancelRun { reason: self.reason.clone(), compensate: self.compensate };
                client.run_cancel(id, &cancel, key).await
            }
            BulkAction::Retry => {
                let retry = RetryRun { reason, from: self.from.clone(), reissue: self.reissue };
                client.run_retry(id, &retry, key).await
            }
            BulkAction::Rerun => {
                let rerun = RerunRun {
                    reason,
                    version: self.version.clone(),
                    input: self.input.clone(),
                    from: self.from.first().cloned(),
                    reissue: self.reissue,
                };
                client.run_rerun(id, &rerun, key).await
            }
        }
    }
}

impl From<Pause> for Operation {
    fn from(Pause { which, reason }: Pause) -> Self {
        Self::new(which, BulkAction::Pause, Some(reason))
    }
}

impl From<Resume> for Operation {
    fn from(Resume { which, reason }: Resume) -> Self {
        Self::new(which, BulkAction::Resume, Some(reason))
    }
}

impl From<Cancel> for Operation {
    fn from(Cancel { which, reason, compensate }: Cancel) -> Self {
        Self { compensate, ..Self::new(which, BulkAction::Cancel, reason) }
    }
}

impl From<Retry> for Operation {
    fn from(Retry { which, reason, from, reissue }: Retry) -> Self {
        Self { from, reissue, ..Self::new(which, BulkAction::Retry, Some(reason)) }
    }
}

impl TryFrom<Rerun> for Operation {
    type Error = anyhow::Error;

    fn try_from(Rerun { which, reason, version, input, from, reissue }: Rerun) -> anyhow::Result<Self> {
        let input = input.map(|input| given::json("--input", &input)).transpose()?;
        let from = from.into_iter().collect();
        Ok(Self { version, input, from, reissue, ..Self::new(which, BulkAction::Rerun, Some(reason)) })
    }
}

/// What became of the run, and the directive that keeps it on record.
pub fn shown(screen: &Screen, operated: &Operated) -> String {
    let run = &operated.run;
    let (symbol, tone) = timeline::status_mark(screen, run.status);
    let known = if operated.replayed { ", known already: nothing was done again" } else { "" };
    let mut text =
        format!("{} {}  {}{known}\n", screen.paint(tone, symbol), run.id, screen.paint(tone, run.status.as_str()));
    if let Some(waiting_for) = &run.waiting_for {
        text.push_str(&format!("  {}\n", screen.paint(Tone::Dim, &plain(waiting_for))));
    }
    let directive = format!("  {} {}", operated.directive.name, operated.directive.id);
    text + &screen.paint(Tone::Dim, &directive) + "\n"
}
