//! `fleetprompt directive`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::DirectiveQuery;
use fleetprompt_client::wire::{self, Cancel, Report, ReportedFailure, RequestDirective};
use fleetprompt_core::directive::Status;
use fleetprompt_core::{DirectiveId, Name, RecordId, RunId};

use super::connect::Connect;
use super::fields::{Fields, who};
use super::pages::Limit;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, given, when, why};

#[derive(Debug, Args)]
pub struct Directive {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const REQUEST_EXAMPLES: &str = "\
The key makes it one intent: asking again with the same key and payload gives the same directive.

Examples:
  fleetprompt directive request forum.post.create --idempotency-key thread-42-welcome \\
      --payload '{\"thread_id\": \"42\", \"content\": \"Welcome!\"}'
  fleetprompt directive request forum.post.create --payload @post.json";

const REPORT_EXAMPLES: &str = "\
Only directives whose type has the handler `manual` wait for a report.

Examples:
  fleetprompt directive report dir_01h455vb4pex5vsknk084sn02q succeeded --output-json '{\"ticket\": 7}'
  fleetprompt directive report dir_01h455vb4pex5vsknk084sn02q failed --code rejected --message 'over budget'";

const CANCEL_EXAMPLES: &str = "\
An effect that is under way may still happen; how it ended is recorded then.

Examples:
  fleetprompt directive cancel dir_01h455vb4pex5vsknk084sn02q --reason 'posted by hand'";

#[derive(Debug, Subcommand)]
enum Verb {
    /// List directives, newest first
    #[command(after_help = "Examples:\n  fleetprompt directive list --status running\n  \
                            fleetprompt directive list --name forum.post.create --all -o json")]
    List {
        /// Of this name
        #[arg(long)]
        name: Option<Name>,
        /// Only these
        #[arg(long, value_parser = given::directive_status())]
        status: Option<Status>,
        /// Asked for by this run
        #[arg(long, value_name = "RUN")]
        run_id: Option<RunId>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a directive
    #[command(after_help = "Examples:\n  fleetprompt directive show dir_01h455vb4pex5vsknk084sn02q")]
    Show {
        /// Like dir_01h455vb4pex5vsknk084sn02q
        id: DirectiveId,
    },
    /// Ask for something to be done
    #[command(after_help = REQUEST_EXAMPLES)]
    Request {
        /// Like forum.post.create
        name: Name,
        /// JSON, @FILE or - for stdin [default: {}]
        #[arg(long, value_name = "JSON")]
        payload: Option<String>,
        /// The idempotency key [default: a fresh one]
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Groups related work
        #[arg(long, value_name = "TEXT")]
        correlation_id: Option<String>,
        /// The signal, directive or run that caused it
        #[arg(long, value_name = "ID")]
        causation_id: Option<RecordId>,
    },
    /// Ask for it not to be done
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        /// Like dir_01h455vb4pex5vsknk084sn02q
        id: DirectiveId,
        /// For the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Say how a manual directive ended
    #[command(after_help = REPORT_EXAMPLES)]
    Report {
        /// Like dir_01h455vb4pex5vsknk084sn02q
        id: DirectiveId,
        #[command(subcommand)]
        end: End,
    },
    /// Say that a manual directive is still being worked on
    #[command(after_help = "Examples:\n  fleetprompt directive heartbeat dir_01h455vb4pex5vsknk084sn02q")]
    Heartbeat {
        /// Like dir_01h455vb4pex5vsknk084sn02q
        id: DirectiveId,
    },
    /// Show why it was requested, up to the root fact
    #[command(after_help = "Examples:\n  fleetprompt directive why dir_01h455vb4pex5vsknk084sn02q")]
    Why {
        /// Like dir_01h455vb4pex5vsknk084sn02q
        id: DirectiveId,
    },
}

#[derive(Debug, Subcommand)]
enum End {
    /// It was done
    Succeeded {
        /// What came of it: JSON, @FILE or - for stdin
        #[arg(long, value_name = "JSON")]
        output_json: Option<String>,
    },
    /// It cannot be done
    Failed {
        /// Stable and lower case, like rejected
        #[arg(long, default_value = "failed")]
        code: String,
        /// For people
        #[arg(long)]
        message: String,
    },
}

impl Directive {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        match self.verb {
            Verb::List { name, status, run_id, limit } => {
                let query = DirectiveQuery { name, status, run_id, ..DirectiveQuery::default() };
                let fetch = async |page| client.directive_list(&DirectiveQuery { page, ..query.clone() }).await;
                let directives = limit.take(fetch).await?;
                let empty = "No directives. Workflows request them; so does `fleetprompt directive request NAME`.";
                output.list(&directives, empty, |screen| table(screen, &directives));
            }
            Verb::Show { id } => {
                let directive = client.directive_get(id).await?;
                output.show(&directive, |screen| shown(screen, &directive));
            }
            Verb::Request { name, payload, idempotency_key, correlation_id, causation_id } => {
                let payload = payload.map(|payload| given::json("--payload", &payload)).transpose()?;
                let idempotency_key = Some(idempotency_key.unwrap_or_else(given::fresh_key));
                let request = RequestDirective { name, payload, idempotency_key, correlation_id, causation_id };
                let requested = client.directive_request(&request).await?;
                output.show(&requested, |screen| shown_requested(screen, &requested));
            }
            Verb::Cancel { id, reason } => {
                let directive = client.directive_cancel(id, &Cancel { reason }).await?;
                output.show(&directive, |screen| shown(screen, &directive));
            }
            Verb::Report { id, end } => {
                let directive = client.directive_report(id, &report(end)?).await?;
                output.show(&directive, |screen| shown(screen, &directive));
            }
            Verb::Heartbeat { id } => {
                let directive = client.directive_heartbeat(id).await?;
                output.show(&directive, |screen| shown(screen, &directive));
            }
            Verb::Why { id } => return why::show(output, &client.directive_why(id).await?),
        }
        exit::ok()
    }
}

fn report(end: End) -> anyhow::Result<Report> {
    Ok(match end {
        End::Succeeded { output_json } => {
            let output = output_json.map(|output| given::json("--output-json", &output)).transpose()?;
            Report::Succeeded { output }
        }
        End::Failed { code, message } => Report::Failed { error: ReportedFailure { code, message } },
    })
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Requested | Status::Running => Tone::Busy,
        Status::Succeeded => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Canceled => Tone::Warn,
    }
}

fn table(screen: &Screen, directives: &[wire::Directive]) -> Table {
    let mut table = Table::new([
        Column::id("ID"),
        Column::text("DIRECTIVE", 16),
        Column::id("STATUS"),
        Column::number("TRY").leave_out(3),
        Column::id("REQUESTED").leave_out(1),
        Column::id("RUN").leave_out(2),
    ]);
    for directive in directives {
        table.row([
            Cell::plain(directive.id),
            Cell::new(Tone::Strong, directive.name.as_str()),
            Cell::new(tone(directive.status), directive.status.as_str()),
            Cell::maybe(Some(directive.attempt).filter(|attempt| *attempt > 0)),
            Cell::dim(when::ago(directive.requested_at, screen.now)),
            Cell::maybe(directive.run_id),
        ]);
    }
    table
}

fn shown_requested(screen: &Screen, requested: &wire::Requested) -> String {
    let note = "This intent was known already: nothing was done again.";
    let note = if requested.replayed { format!("{}\n\n", screen.paint(Tone::Warn, note)) } else { String::new() };
    note + &shown(screen, &requested.directive)
}

fn shown(screen: &Screen, directive: &wire::Directive) -> String {
    let ago = |at| when::ago(at, screen.now);
    let canceling = if directive.cancel_requested && !directive.status.is_settled() { ", to be canceled" } else { "" };
    let mut fields = Fields::default();
    fields.toned("directive", Tone::Strong, &directive.name);
    fields.line("id", directive.id);
    fields.toned("status", tone(directive.status), format!("{}{canceling}", directive.status.as_str()));
    fields.line("handler", directive.handler.as_str());
    fields.maybe("attempt", Some(directive.attempt).filter(|attempt| *attempt > 0));
    fields.line("requested", format!("{} by {}", ago(directive.requested_at), who(&directive.actor)));
    fields.maybe("settled", directive.settled_at.map(ago));
    fields.maybe("due", directive.due_at.map(ago));
    fields.line("key", &directive.idempotency_key);
    if let Some(run) = directive.run_id {
        let item = directive.item.map(|item| format!("[{item}]")).unwrap_or_default();
        let what = if directive.compensates { "undoes" } else { "step" };
        let step = directive.step.as_ref().map(|step| format!(" {what} {step}{item}")).unwrap_or_default();
        fields.line("run", format!("{run}{step}"));
    }
    fields.line("correlation", &directive.correlation_id);
    fields.maybe("caused by", directive.causation_id);
    if let Some(error) = &directive.error {
        fields.toned("error", Tone::Bad, error);
    }
    fields.json("payload", Some(&directive.payload));
    fields.json("output", directive.output.as_ref());
    fields.render(screen)
}
