//! `fleetprompt step`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{AnswerStep, CompleteStep, SkipStep};
use fleetprompt_client::{Callback, ItemQuery};
use fleetprompt_core::RunId;
use fleetprompt_core::run::StepStatus;

use super::connect::Connect;
use super::pages::Limit;
use super::run_operate::shown;
use super::run_shown::steps;
use super::screen::{Screen, Tone, plain};
use super::{exit, given};

#[derive(Debug, Args)]
pub struct Step {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const REPORT_EXAMPLES: &str = "\
For steps that wait for a callback; `fleetprompt run show` shows the key.

Examples:
  fleetprompt step report run_01h455vb4pex5vsknk084sn02q:scan --output-json '{\"clean\": true}'
  fleetprompt step report run_01h455vb4pex5vsknk084sn02q:scan --code scanner_down --message 'no answer'
  fleetprompt step report run_01h455vb4pex5vsknk084sn02q:scan --heartbeat";

/// Which step of which run, and on whose account.
#[derive(Debug, Args)]
pub struct Place {
    /// Like run_01h455vb4pex5vsknk084sn02q
    pub run: RunId,
    /// The step's id
    pub step: String,
    /// One item of a step that goes over a list, from 0
    #[arg(long, value_name = "N")]
    pub item: Option<u32>,
    /// The same key is the same intent [default: a fresh one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Place {
    pub fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(given::fresh_key)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the items of a step that goes over a list
    #[command(after_help = "Examples:\n  fleetprompt step items run_01h455vb4pex5vsknk084sn02q notify --status failed")]
    Items {
        /// Like run_01h455vb4pex5vsknk084sn02q
        run: RunId,
        /// The step's id
        step: String,
        /// Only these
        #[arg(long, value_parser = given::step_status())]
        status: Option<StepStatus>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Let the run go on without a step
    #[command(after_help = "Examples:\n  fleetprompt step skip run_01h455vb4pex5vsknk084sn02q notify \
                            --reason 'told by phone'")]
    Skip {
        #[command(flatten)]
        place: Place,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say what a step came to, and let the run go on with that
    #[command(after_help = "Examples:\n  fleetprompt step complete run_01h455vb4pex5vsknk084sn02q invoice \
                            --output-json '{\"invoice\": \"R-7\"}' --reason 'made by hand'")]
    Complete {
        #[command(flatten)]
        place: Place,
        /// What came of it: JSON, @FILE or - for stdin
        #[arg(long, value_name = "JSON")]
        output_json: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Answer a step that waits for somebody
    #[command(after_help = "Examples:\n  fleetprompt step answer run_01h455vb4pex5vsknk084sn02q approve \
                            --value '{\"approved\": true}'")]
    Answer {
        #[command(flatten)]
        place: Place,
        /// The answer: JSON, @FILE or - for stdin
        #[arg(long, value_name = "JSON")]
        value: String,
    },
    /// Report to a step that waits for somebody outside
    #[command(after_help = REPORT_EXAMPLES)]
    Report {
        /// The key that it waits under, like run_01h455vb4pex5vsknk084sn02q:scan
        #[arg(value_name = "KEY")]
        callback: String,
        /// It was done, and this came of it: JSON, @FILE or - for stdin
        #[arg(long, value_name = "JSON", conflicts_with_all = ["message", "heartbeat"])]
        output_json: Option<String>,
        /// It failed: stable and lower case, like scanner_down
        #[arg(long, default_value = "failed")]
        code: String,
        /// It failed: for people
        #[arg(long, required_unless_present_any = ["output_json", "heartbeat"], conflicts_with = "heartbeat")]
        message: Option<String>,
        /// It is still being worked on
        #[arg(long)]
        heartbeat: bool,
        /// The same key is the same intent [default: a fresh one]
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
}

impl Step {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        let operated = match self.verb {
            Verb::Items { run, step, status, limit } => {
                let fetch = async |page| client.item_list(run, &step, &ItemQuery { status, page }).await;
                let items = limit.take(fetch).await?;
                output.list(&items, "No items like that.", |screen| steps(screen, &items));
                return exit::ok();
            }
            Verb::Skip { place, reason } => {
                let skip = SkipStep { reason, item: place.item };
                client.step_skip(place.run, &place.step, &skip, &place.key()).await?
            }
            Verb::Complete { place, output_json, reason } => {
                let output = given::json("--output-json", &output_json)?;
                let complete = CompleteStep { reason, output, item: place.item };
                client.step_complete(place.run, &place.step, &complete, &place.key()).await?
            }
            Verb::Answer { place, value } => {
                let answer = AnswerStep { value: given::json("--value", &value)?, item: place.item };
                client.step_answer(place.run, &place.step, &answer, &place.key()).await?
            }
            Verb::Report { callback, output_json, code, message, heartbeat, idempotency_key } => {
                let said = match (output_json, heartbeat) {
                    (Some(output), _) => Callback::Output(given::json("--output-json", &output)?),
                    (None, true) => Callback::Heartbeat,
                    (None, false) => Callback::Error { code, message: message.unwrap_or_default() },
                };
                let idempotency_key = idempotency_key.unwrap_or_else(given::fresh_key);
                let requested = client.step_report(&callback, said, &idempotency_key).await?;
                output.show(&requested, |screen| reported(screen, &requested.directive));
                return exit::failed_if(requested.directive.error.is_some());
            }
        };
        output.show(&operated, |screen| shown(screen, &operated));
        exit::ok()
    }
}

fn reported(screen: &Screen, directive: &fleetprompt_client::wire::Directive) -> String {
    let (symbol, tone, said) = match &directive.error {
        Some(error) => (screen.pick("✗", "x"), Tone::Bad, plain(&error.to_string())),
        None => (screen.pick("✓", "ok"), Tone::Good, "reported".to_owned()),
    };
    let on_record = screen.paint(Tone::Dim, &format!("  {} {}", directive.name, directive.id));
    format!("{} {said}\n{on_record}\n", screen.paint(tone, symbol))
}
