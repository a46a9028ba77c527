//! `fleetprompt signal`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, Disposition, EmitSignal};
use fleetprompt_client::{Client, SignalQuery};
use fleetprompt_core::signal::DispositionKind;
use fleetprompt_core::{Name, Party, RecordId, RunId, SignalId, Timestamp};
use futures_util::StreamExt;

use super::connect::Connect;
use super::exit::Usage;
use super::fields::{Fields, party, who};
use super::pages::Limit;
use super::screen::{Screen, Tone, pad, plain};
use super::table::{Cell, Column, Table};
use super::{emit_file, exit, given, when, why};

#[derive(Debug, Args)]
pub struct Signal {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const EMIT_EXAMPLES: &str = "\
A signal without --dedupe-key or --source-event-id is always new; with one, a fact is recorded once,
however often it is told.

Examples:
  fleetprompt signal emit forum.thread.created --subject thread:42 --payload '{\"title\": \"Hi\"}'
  fleetprompt signal emit order.paid --payload @order.json --dedupe-key order-7-paid
  fleetprompt signal emit --file signals.ndjson          one signal a line
  zcat events.ndjson.gz | fleetprompt signal emit --file -";

const TAIL_EXAMPLES: &str = "\
Goes on until Ctrl-C, over restarts of the server, without missing any.

Examples:
  fleetprompt signal tail
  fleetprompt signal tail --name forum.thread.created -o json | jq .payload";

const REPLAY_EXAMPLES: &str = "\
Runs that it led to already are the same runs; workflows that are new since then get theirs.

Examples:
  fleetprompt signal replay sig_01h455vb4pex5vsknk084sn02q";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Record a fact, or a file of them
    #[command(after_help = EMIT_EXAMPLES)]
    Emit(Box<Emit>),
    /// List signals, newest first
    #[command(after_help = "Examples:\n  fleetprompt signal list --limit 50\n  \
                            fleetprompt signal list --name forum.thread.created --all -o json")]
    List {
        /// Of this name
        #[arg(long)]
        name: Option<Name>,
        /// Of this group of related work
        #[arg(long, value_name = "TEXT")]
        correlation_id: Option<String>,
        /// On the record of this run
        #[arg(long, value_name = "RUN")]
        run_id: Option<RunId>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a signal and what became of it
    #[command(after_help = "Examples:\n  fleetprompt signal show sig_01h455vb4pex5vsknk084sn02q")]
    Show {
        /// Like sig_01h455vb4pex5vsknk084sn02q
        id: SignalId,
    },
    /// Follow signals as they are recorded
    #[command(after_help = TAIL_EXAMPLES)]
    Tail {
        /// Of this name
        #[arg(long)]
        name: Option<Name>,
        /// Begin behind this signal instead of now
        #[arg(long, value_name = "SIGNAL")]
        after: Option<SignalId>,
    },
    /// Offer a signal to the workflows again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay {
        /// Like sig_01h455vb4pex5vsknk084sn02q
        id: SignalId,
    },
    /// Show why it was recorded, up to the root fact
    #[command(after_help = "Examples:\n  fleetprompt signal why sig_01h455vb4pex5vsknk084sn02q")]
    Why {
        /// Like sig_01h455vb4pex5vsknk084sn02q
        id: SignalId,
    },
}

#[derive(Debug, Args)]
struct Emit {
    /// Like forum.thread.created
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<Name>,
    /// JSON, @FILE or - for stdin [default: {}]
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    payload: Option<String>,
    /// What it is about, like thread:42
    #[arg(long, value_name = "TYPE:ID", value_parser = given::party, conflicts_with = "file")]
    subject: Option<Party>,
    /// Who caused it [default: your key]
    #[arg(long, value_name = "TYPE:ID", value_parser = given::party, conflicts_with = "file")]
    actor: Option<Party>,
    /// The system it comes from, like github
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    source: Option<String>,
    /// That system's id of the event; the same id is the same fact
    #[arg(long, value_name = "TEXT", requires = "source", conflicts_with = "file")]
    source_event_id: Option<String>,
    /// The same key is the same fact
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    dedupe_key: Option<String>,
    /// Groups related work
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    correlation_id: Option<String>,
    /// The signal, directive or run that caused it
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    causation_id: Option<RecordId>,
    /// When it happened, like 2026-11-22T09:30:00Z [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    occurred_at: Option<Timestamp>,
    /// Emit every line of an NDJSON file; - for stdin
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
}

impl Signal {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        match self.verb {
            Verb::Emit(emit) => match &emit.file {
                Some(file) => return emit_file::emit(&client, output, file).await,
                None => {
                    let emitted = client.signal_emit(&signal_of(*emit)?).await?;
                    output.show(&emitted, |screen| shown_emitted(screen, &emitted));
                }
            },
            Verb::List { name, correlation_id, run_id, limit } => {
                let query = SignalQuery { name, correlation_id, run_id, ..SignalQuery::default() };
                let fetch = async |page| client.signal_list(&SignalQuery { page, ..query.clone() }).await;
                let signals = limit.take(fetch).await?;
                let empty = "No signals yet. Emit one with `fleetprompt signal emit NAME`.";
                output.list(&signals, empty, |screen| table(screen, &signals));
            }
            Verb::Show { id } => {
                let detail = client.signal_get(id).await?;
                output.show(&detail, |screen| {
                    shown(screen, &detail.signal) + &shown_dispositions(screen, &detail.dispositions)
                });
            }
            Verb::Tail { name, after } => return follow(&client, &self.connect, name, after).await,
            Verb::Replay { id } => {
                let replayed = client.signal_replay(id).await?;
                output.show(&replayed, |screen| shown_dispositions(screen, &replayed.dispositions));
            }
            Verb::Why { id } => return why::show(output, &client.signal_why(id).await?),
        }
        exit::ok()
    }
}

fn signal_of(emit: Emit) -> anyhow::Result<EmitSignal> {
    Ok(EmitSignal {
        name: emit.name.ok_or_else(|| Usage("the signal needs a name".to_owned()))?,
        subject: emit.subject,
        actor: emit.actor,
        source: emit.source,
        source_event_id: emit.source_event_id,
        dedupe_key: emit.dedupe_key,
        correlation_id: emit.correlation_id,
        causation_id: emit.causation_id,
        occurred_at: emit.occurred_at,
        payload: emit.payload.map(|payload| given::json("--payload", &payload)).transpose()?,
    })
}

async fn follow(
    client: &Client,
    connect: &Connect,
    name: Option<Name>,
    after: Option<SignalId>,
) -> anyhow::Result<ExitCode> {
    if connect.output.is_table() && after.is_none() {
        let screen = Screen::of_stderr();
        let said = "Following signals as they are recorded; Ctrl-C ends it.";
        anstream::eprintln!("{}", screen.paint(Tone::Dim, said));
    }
    let tail = client.signal_tail(name.as_ref(), after);
    futures_util::pin_mut!(tail);
    while let Some(signal) = tail.next().await {
        let signal = signal?;
        connect.output.item(&Screen::of_stdout(), &signal, |screen| line(screen, &signal));
    }
    exit::ok()
}

fn shown_emitted(screen: &Screen, emitted: &wire::Emitted) -> String {
    let (symbol, said) = match emitted.deduplicated {
        false => (screen.paint(Tone::Good, screen.pick("✓", "ok")), "recorded"),
        true => (screen.paint(Tone::Warn, screen.pick("=", "=")), "known already: this is the one recorded first"),
    };
    let title = format!("{symbol} {}  {}\n", emitted.signal.id, screen.paint(Tone::Dim, said));
    title + &shown_dispositions(screen, &emitted.dispositions)
}

fn shown_dispositions(screen: &Screen, dispositions: &[Disposition]) -> String {
    if dispositions.is_empty() {
        return screen.paint(Tone::Dim, "  no workflow waits for this signal") + "\n";
    }
    let width = dispositions.iter().map(|one| one.workflow.as_str().len()).max().unwrap_or(0);
    dispositions.iter().map(|one| shown_disposition(screen, one, width)).collect()
}

fn shown_disposition(screen: &Screen, one: &Disposition, width: usize) -> String {
    let tone = match one.disposition {
        DispositionKind::Started | DispositionKind::Advanced => Tone::Good,
        DispositionKind::Throttled => Tone::Warn,
        DispositionKind::Filtered | DispositionKind::Deduplicated => Tone::Dim,
        DispositionKind::Refused => Tone::Bad,
    };
    let kind = screen.paint(tone, &pad(one.disposition.as_str(), 12));
    let run = one.run_id.map(|id| id.to_string()).unwrap_or_default();
    let reason = screen.paint(Tone::Dim, &one.reason.as_deref().map(plain).unwrap_or_default());
    let arrow = screen.pick("→", "->");
    format!("  {arrow} {}  {kind}  {run}{reason}", pad(one.workflow.as_str(), width)).trim_end().to_owned() + "\n"
}

fn table(screen: &Screen, signals: &[wire::Signal]) -> Table {
    let mut table = Table::new([
        Column::id("ID"),
        Column::text("SIGNAL", 24),
        Column::text("SUBJECT", 10).leave_out(1),
        Column::id("RECORDED"),
        Column::text("ACTOR", 10).leave_out(2),
        Column::text("CORRELATION", 12).leave_out(3),
    ]);
    for signal in signals {
        table.row([
            Cell::plain(signal.id),
            Cell::new(Tone::Strong, signal.name.as_str()),
            Cell::maybe(signal.subject.as_ref().map(who)),
            Cell::dim(when::ago(signal.recorded_at, screen.now)),
            Cell::dim(who(&signal.actor)),
            Cell::dim(&signal.correlation_id),
        ]);
    }
    table
}

fn shown(screen: &Screen, signal: &wire::Signal) -> String {
    let mut fields = Fields::default();
    fields.toned("signal", Tone::Strong, &signal.name);
    fields.line("id", signal.id);
    fields.maybe("subject", signal.subject.as_ref().map(party));
    fields.line("actor", who(&signal.actor));
    fields.maybe("source", signal.source.as_ref());
    fields.maybe("source event", signal.source_event_id.as_ref());
    fields.maybe("dedupe key", signal.dedupe_key.as_ref());
    fields.line("occurred", when::full(signal.occurred_at));
    fields.line(
        "recorded",
        format!("{} ({})", when::full(signal.recorded_at), when::ago(signal.recorded_at, screen.now)),
    );
    fields.line("correlation", &signal.correlation_id);
    fields.maybe("caused by", signal.causation_id);
    fields.maybe("run", signal.run_id);
    fields.maybe("directive", signal.directive_id);
    fields.json("payload", Some(&signal.payload));
    fields.render(screen)
}

/// One signal on one line, while signals are followed.
fn line(screen: &Screen, signal: &wire::Signal) -> String {
    let time = when::full(signal.recorded_at);
    let time = time.get(11..23).unwrap_or(&time).to_owned();
    let name = pad(signal.name.as_str(), 26);
    let about = signal.subject.as_ref().map(who).unwrap_or_default();
    let payload = signal.payload.text();
    let payload = if payload == "{}" { String::new() } else { plain(&payload.chars().take(400).collect::<String>()) };
    let before = time.len() + 2 + name.len() + 2 + super::screen::width_of(&about) + 2;
    let payload = screen.fit(&payload, screen.page().saturating_sub(before));
    let (time, name, payload) =
        (screen.paint(Tone::Dim, &time), screen.paint(Tone::Strong, &name), screen.paint(Tone::Dim, &payload));
    format!("{time}  {name}  {about}  {payload}").trim_end().to_owned() + "\n"
}
