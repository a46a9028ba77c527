//! `fleetprompt run`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::RunQuery;
use fleetprompt_client::wire::{self, RequestDirective};
use fleetprompt_core::run::Status;
use fleetprompt_core::{Json, Name, RunId, SignalId, Slug, Timestamp};
use serde_json::json;

use super::connect::Connect;
use super::pages::Limit;
use super::run_operate::{Cancel, Operation, Pause, Rerun, Resume, Retry};
use super::run_shown::{shown, table};
use super::screen::{Screen, Tone};
use super::{exit, given, timeline, watch, why};

#[derive(Debug, Args)]
pub struct Run {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const START_EXAMPLES: &str = "\
Requests the directive `workflow.run.start`. Signals start runs by themselves; this is for workflows
without a trigger, and for trying one out.

Examples:
  fleetprompt run start nightly-report --input '{\"day\": \"2026-11-22\"}'
  fleetprompt run start nightly-report --idempotency-key report-2026-11-22    one run, however often";

const LIST_EXAMPLES: &str = "\
Examples:
  fleetprompt run list --status failed,parked --since 2h
  fleetprompt run list --open                                     what has not ended, and why
  fleetprompt run list --parent run_01h455vb4pex5vsknk084sn02q    what its steps started
  fleetprompt run list --workflow forum-new-thread-triage --limit 100
  fleetprompt run list --all -o json | jq -r '.[] | select(.status == \"running\") | .id'";

const TIMELINE_EXAMPLES: &str = "\
Everything on record about the run: the fact that led to it, then each step and directive under what
caused it, with the time since the fact, attempts, and bars that show when in the run it was.

Examples:
  fleetprompt run timeline run_01h455vb4pex5vsknk084sn02q
  fleetprompt run timeline run_01h455vb4pex5vsknk084sn02q --full | less -R";

const WATCH_EXAMPLES: &str = "\
Ends with the run: with 0 when it completed, else with 1.

Examples:
  fleetprompt run watch run_01h455vb4pex5vsknk084sn02q
  fleetprompt run watch run_01h455vb4pex5vsknk084sn02q -o json      each signal, one a line";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Ask for a run of a workflow
    #[command(after_help = START_EXAMPLES)]
    Start {
        /// Its slug
        workflow: Slug,
        /// JSON, @FILE or - for stdin
        #[arg(long, value_name = "JSON")]
        input: Option<String>,
        /// The version to run [default: the active one]
        #[arg(long)]
        version: Option<String>,
        /// The same key is the same run [default: a fresh one]
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Groups related work
        #[arg(long, value_name = "TEXT")]
        correlation_id: Option<String>,
        /// Watch it until it ends
        #[arg(long)]
        watch: bool,
    },
    /// List runs, newest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Of this workflow
        #[arg(long, value_name = "SLUG")]
        workflow: Option<Slug>,
        /// Of this version
        #[arg(long)]
        version: Option<String>,
        /// Any of these
        #[arg(long, value_parser = given::run_status(), value_delimiter = ',')]
        status: Vec<Status>,
        /// Only what has not ended
        #[arg(long)]
        open: bool,
        /// Started by this signal
        #[arg(long, value_name = "SIGNAL")]
        signal_id: Option<SignalId>,
        /// Of this group of related work
        #[arg(long, value_name = "TEXT")]
        correlation_id: Option<String>,
        /// Started by the steps of this run
        #[arg(long, value_name = "RUN")]
        parent: Option<RunId>,
        /// Which do this run again
        #[arg(long, value_name = "RUN")]
        source: Option<RunId>,
        /// Asked for since then: a time, or how long ago, like 2h
        #[arg(long, value_name = "TIME", value_parser = given::time)]
        since: Option<Timestamp>,
        /// Asked for before then
        #[arg(long, value_name = "TIME", value_parser = given::time)]
        until: Option<Timestamp>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a run and its steps
    #[command(after_help = "Examples:\n  fleetprompt run show run_01h455vb4pex5vsknk084sn02q")]
    Show {
        /// Like run_01h455vb4pex5vsknk084sn02q
        id: RunId,
    },
    /// Show everything that happened, in order, under what caused it
    #[command(after_help = TIMELINE_EXAMPLES)]
    Timeline {
        /// Like run_01h455vb4pex5vsknk084sn02q
        id: RunId,
        /// Every signal, and all of every output
        #[arg(long)]
        full: bool,
    },
    /// Follow a run until it ends
    #[command(after_help = WATCH_EXAMPLES)]
    Watch {
        /// Like run_01h455vb4pex5vsknk084sn02q
        id: RunId,
    },
    /// Show why there is this run, up to the root fact
    #[command(after_help = "Examples:\n  fleetprompt run why run_01h455vb4pex5vsknk084sn02q")]
    Why {
        /// Like run_01h455vb4pex5vsknk084sn02q
        id: RunId,
    },
    /// Stop a run, or many, for a while: what is under way ends, and nothing else begins
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(Pause),
    /// Let a paused run, or many, go on
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Resume),
    /// End a run, or many; what is under way is withdrawn
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel(Cancel),
    /// Do what failed in a run, or in many, again
    #[command(after_help = RETRY_EXAMPLES)]
    Retry(Retry),
    /// Do a run that has ended, or many, again as a new one
    #[command(after_help = RERUN_EXAMPLES)]
    Rerun(Rerun),
}

const PAUSE_EXAMPLES: &str = "\
Examples:
  fleetprompt run pause run_01h455vb4pex5vsknk084sn02q --reason 'the shop is being moved'
  fleetprompt run pause --where 'workflow=order-fulfilment,status=running' --reason 'the shop is being moved'";

const RESUME_EXAMPLES: &str = "\
The time that a run stood does not count for its timeout.

Examples:
  fleetprompt run resume run_01h455vb4pex5vsknk084sn02q --reason 'the shop has moved'
  fleetprompt run resume --where 'workflow=order-fulfilment,status=paused' --reason 'the shop has moved' --yes";

const CANCEL_EXAMPLES: &str = "\
Examples:
  fleetprompt run cancel run_01h455vb4pex5vsknk084sn02q --reason 'wrong input'
  fleetprompt run cancel run_01h455vb4pex5vsknk084sn02q --reason 'returned' --compensate
  fleetprompt run cancel --where 'workflow=import,status=queued,since=2h' --reason 'sent twice'";

const RETRY_EXAMPLES: &str = "\
A run that is parked or has ended does its failed steps again, or those of --from, and all behind them.
What has succeeded does not happen twice, unless --reissue says so.

Examples:
  fleetprompt run retry run_01h455vb4pex5vsknk084sn02q --reason 'the warehouse is back'
  fleetprompt run retry run_01h455vb4pex5vsknk084sn02q --from charge --reissue --reason 'charged a test card'
  fleetprompt run retry --where 'status=failed,workflow=order-fulfilment,version=1.0.0,since=2h' \\
      --reason 'the warehouse is back' --limit 50";

const RERUN_EXAMPLES: &str = "\
What directives of the first run came to is taken over, unless --reissue says otherwise.

Examples:
  fleetprompt run rerun run_01h455vb4pex5vsknk084sn02q --reason 'fixed in 1.0.1' --version 1.0.1
  fleetprompt run rerun run_01h455vb4pex5vsknk084sn02q --reason 'wrong address' --input @order.json --from ship
  fleetprompt run rerun --where 'status=failed,workflow=import' --reason 'fixed in 1.0.1' --version 1.0.1 --yes";

impl Run {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        match self.verb {
            Verb::Start { workflow, input, version, idempotency_key, correlation_id, watch } => {
                let payload = start_payload(&workflow, input.as_deref(), version.as_deref())?;
                let request = RequestDirective {
                    name: Name::known("workflow.run.start"),
                    payload: Some(payload),
                    idempotency_key: Some(idempotency_key.unwrap_or_else(given::fresh_key)),
                    correlation_id,
                    causation_id: None,
                };
                let requested = client.directive_request(&request).await?;
                let run = started_run(&requested.directive);
                if let (Some(run), true) = (run, watch) {
                    return watch::watch(&client, output, run).await;
                }
                output.show(&requested, |screen| shown_started(screen, &requested));
                return exit::failed_if(run.is_none());
            }
            Verb::List {
                workflow,
                version,
                status,
                open,
                signal_id,
                correlation_id,
                parent,
                source,
                since,
                until,
                limit,
            } => {
                let page = fleetprompt_client::PageQuery::default();
                let query = RunQuery {
                    workflow,
                    version,
                    status,
                    open,
                    signal_id,
                    correlation_id,
                    parent,
                    source,
                    since,
                    until,
                    page,
                };
                let is_narrowed = query != RunQuery::default();
                let fetch = async |page| client.run_list(&RunQuery { page, ..query.clone() }).await;
                let runs = limit.take(fetch).await?;
                output.list(&runs, empty(is_narrowed), |screen| table(screen, &runs));
            }
            Verb::Show { id } => {
                let detail = client.run_get(id).await?;
                output.show(&detail, |screen| shown(screen, &detail.run));
            }
            Verb::Timeline { id, full } => {
                let whole = client.run_timeline(id).await?;
                output.show(&whole, |screen| timeline::render(screen, &whole, full));
            }
            Verb::Watch { id } => return watch::watch(&client, output, id).await,
            Verb::Why { id } => return why::show(output, &client.run_why(id).await?),
            Verb::Pause(verb) => return Operation::from(verb).run(&client, output).await,
            Verb::Resume(verb) => return Operation::from(verb).run(&client, output).await,
            Verb::Cancel(verb) => return Operation::from(verb).run(&client, output).await,
            Verb::Retry(verb) => return Operation::from(verb).run(&client, output).await,
            Verb::Rerun(verb) => return Operation::try_from(verb)?.run(&client, output).await,
        }
        exit::ok()
    }
}

fn start_payload(workflow: &Slug, input: Option<&str>, version: Option<&str>) -> anyhow::Result<Json> {
    let mut payload = json!({"workflow": workflow});
    if let Some(version) = version {
        payload["version"] = version.into();
    }
    if let Some(input) = input {
        payload["input"] = given::json("--input", input)?.value().clone();
    }
    Ok(payload.into())
}

/// The directive's output names the run.
fn started_run(directive: &wire::Directive) -> Option<RunId> {
    directive.output.as_ref()?.value().get("run_id")?.as_str()?.parse().ok()
}

fn shown_started(screen: &Screen, requested: &wire::Requested) -> String {
    let directive = &requested.directive;
    match (started_run(directive), &directive.error) {
        (Some(run), _) => {
            let mark = screen.paint(Tone::Good, screen.pick("✓", "ok"));
            let said = if requested.replayed { "is the run of this key already" } else { "started" };
            let next = format!("  fleetprompt run watch {run}");
            format!("{mark} {run}  {said}\n{}\n", screen.paint(Tone::Dim, &next))
        }
        (None, Some(error)) => {
            format!("{} {error}\n", screen.paint(Tone::Bad, screen.pick("✗", "failed")))
        }
        (None, None) => format!("{} {}\n", directive.id, directive.status.as_str()),
    }
}

fn empty(is_narrowed: bool) -> &'static str {
    if is_narrowed {
        "No runs like that."
    } else {
        "No runs yet. Start one with `fleetprompt run start WORKFLOW`, or emit a signal that a workflow waits for."
    }
}
