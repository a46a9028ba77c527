//! `fleetprompt run`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::RunQuery;
use fleetprompt_client::wire::{self, Cancel, RequestDirective};
use fleetprompt_core::run::Status;
use fleetprompt_core::{Json, Name, RunId, SignalId, Slug};
use serde_json::json;

use super::connect::Connect;
use super::fields::Fields;
use super::pages::Limit;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, given, timeline, watch, when, why};

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
  fleetprompt run list --status failed
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
        /// Only these
        #[arg(long, value_parser = given::run_status())]
        status: Option<Status>,
        /// Started by this signal
        #[arg(long, value_name = "SIGNAL")]
        signal_id: Option<SignalId>,
        /// Of this group of related work
        #[arg(long, value_name = "TEXT")]
        correlation_id: Option<String>,
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
    /// End a run now
    #[command(after_help = "Examples:\n  fleetprompt run cancel run_01h455vb4pex5vsknk084sn02q --reason 'wrong input'")]
    Cancel {
        /// Like run_01h455vb4pex5vsknk084sn02q
        id: RunId,
        /// For the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

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
            Verb::List { workflow, status, signal_id, correlation_id, limit } => {
                let query = RunQuery { workflow, status, signal_id, correlation_id, ..RunQuery::default() };
                let is_narrowed = query_is_narrowed(&query);
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
            Verb::Cancel { id, reason } => {
                let detail = client.run_cancel(id, &Cancel { reason }).await?;
                output.show(&detail, |screen| shown(screen, &detail.run));
            }
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

fn query_is_narrowed(query: &RunQuery) -> bool {
    query.workflow.is_some() || query.status.is_some() || query.signal_id.is_some() || query.correlation_id.is_some()
}

fn empty(is_narrowed: bool) -> &'static str {
    if is_narrowed {
        "No runs like that."
    } else {
        "No runs yet. Start one with `fleetprompt run start WORKFLOW`, or emit a signal that a workflow waits for."
    }
}

fn table(screen: &Screen, runs: &[wire::Run]) -> Table {
    let mut table = Table::new([
        Column::id("ID"),
        Column::text("WORKFLOW", 24),
        Column::id("STATUS"),
        Column::id("STARTED"),
        Column::number("TOOK").leave_out(3),
        Column::id("VERSION").leave_out(4),
        Column::text("WHY", 16).leave_out(5),
    ]);
    for run in runs {
        let (symbol, tone) = timeline::status_mark(screen, run.status);
        let why = run.error.as_ref().map(ToString::to_string).or_else(|| run.waiting_for.clone());
        table.row([
            Cell::plain(run.id),
            Cell::new(Tone::Strong, run.workflow.as_str()),
            Cell::new(tone, format!("{symbol} {}", run.status.as_str())),
            Cell::dim(when::ago(run.started_at, screen.now)),
            Cell::maybe(run.ended_at.map(|end| when::took(end - run.started_at))),
            Cell::dim(&run.version),
            Cell::dim(why.unwrap_or_default()),
        ]);
    }
    table
}

fn shown(screen: &Screen, run: &wire::Run) -> String {
    let (symbol, tone) = timeline::status_mark(screen, run.status);
    let mut fields = Fields::default();
    fields.toned("workflow", Tone::Strong, format!("{} {}", run.workflow, run.version));
    fields.line("run", run.id);
    fields.toned("status", tone, format!("{symbol} {}", run.status.as_str()));
    fields.maybe("waiting for", run.waiting_for.as_ref());
    let started = format!("{} ({})", when::full(run.started_at), when::ago(run.started_at, screen.now));
    fields.line("started", started);
    fields.maybe("took", run.ended_at.map(|end| when::took(end - run.started_at)));
    fields.maybe("deadline", run.deadline.map(|at| when::ago(at, screen.now)));
    fields.maybe("signal", run.signal_id);
    fields.line("directive", run.directive_id);
    fields.line("correlation", &run.correlation_id);
    if let Some(error) = &run.error {
        fields.toned("error", Tone::Bad, error);
    }
    fields.json("input", run.input.as_ref());
    fields.json("output", run.output.as_ref());
    let steps = if run.steps.is_empty() { String::new() } else { format!("\n{}", steps(run).render(screen)) };
    fields.render(screen) + &steps
}

fn steps(run: &wire::Run) -> Table {
    let mut table = Table::new([
        Column::text("STEP", 12),
        Column::id("TYPE"),
        Column::id("STATUS"),
        Column::number("TRY").leave_out(1),
        Column::number("TOOK"),
        Column::text("OUTPUT OR ERROR", 15).leave_out(2),
    ]);
    for step in &run.steps {
        let (_, tone) = watch::step_mark(&Screen::of_stdout(), step.status);
        let took = step.started_at.zip(step.ended_at).map(|(start, end)| when::took(end - start));
        let told = step.error.as_ref().map(ToString::to_string);
        let told = told.or_else(|| step.output.as_ref().map(|output| output.text().chars().take(200).collect()));
        table.row([
            Cell::new(Tone::Strong, &step.id),
            Cell::dim(&step.kind),
            Cell::new(tone, step.status.as_str()),
            Cell::maybe(Some(step.attempt).filter(|attempt| *attempt > 0)),
            Cell::maybe(took),
            Cell::dim(told.unwrap_or_default()),
        ]);
    }
    table
}
