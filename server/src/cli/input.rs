//! `fleetprompt input`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::InputQuery;
use fleetprompt_client::wire::{AnswerStep, InputRequest};
use fleetprompt_core::RunId;

use super::connect::Connect;
use super::pages::Limit;
use super::run_operate::shown;
use super::screen::{Screen, Tone, plain};
use super::step::Place;
use super::table::{Cell, Column, Table};
use super::{exit, given, when};

#[derive(Debug, Args)]
pub struct Input {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const LIST_EXAMPLES: &str = "\
Examples:
  fleetprompt input list
  fleetprompt input list --run-id run_01h455vb4pex5vsknk084sn02q
  fleetprompt input list --all -o json | jq '.[] | select(.may_answer) | .schema'";

const ANSWER_EXAMPLES: &str = "\
Examples:
  fleetprompt input answer run_01h455vb4pex5vsknk084sn02q approve --value '{\"approved\": true}'
  fleetprompt input answer run_01h455vb4pex5vsknk084sn02q review --item 3 --value @review.json";

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what waits for somebody's answer, what waits longest first
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Of this run
        #[arg(long, value_name = "RUN")]
        run_id: Option<RunId>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Answer
    #[command(after_help = ANSWER_EXAMPLES)]
    Answer {
        #[command(flatten)]
        place: Place,
        /// The answer: JSON, @FILE or - for stdin
        #[arg(long, value_name = "JSON")]
        value: String,
    },
}

impl Input {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let output = &self.connect.output;
        match self.verb {
            Verb::List { run_id, limit } => {
                let fetch = async |page| client.input_list(&InputQuery { run_id, page }).await;
                let inputs = limit.take(fetch).await?;
                output.list(&inputs, "Nothing waits for an answer.", |screen| table(screen, &inputs));
            }
            Verb::Answer { place, value } => {
                let answer = AnswerStep { value: given::json("--value", &value)?, item: place.item };
                let operated = client.step_answer(place.run, &place.step, &answer, &place.key()).await?;
                output.show(&operated, |screen| shown(screen, &operated));
            }
        }
        exit::ok()
    }
}

fn table(screen: &Screen, inputs: &[InputRequest]) -> Table {
    let mut table = Table::new([
        Column::id("RUN"),
        Column::text("STEP", 12),
        Column::id("ROLE"),
        Column::id("SINCE"),
        Column::id("UNTIL").leave_out(1),
        Column::text("ASKED", 20),
        Column::text("WORKFLOW", 16).leave_out(2),
    ]);
    for input in inputs {
        let item = input.item.map(|item| format!("[{item}]")).unwrap_or_default();
        let tone = if input.may_answer { Tone::Good } else { Tone::Dim };
        table.row([
            Cell::plain(input.run_id),
            Cell::new(Tone::Strong, format!("{}{item}", input.step)),
            Cell::new(tone, input.role.as_str()),
            Cell::dim(when::ago(input.since, screen.now)),
            Cell::maybe(input.timeout_at.map(|at| when::ago(at, screen.now))),
            Cell::plain(input.prompt.as_deref().map(plain).unwrap_or_default()),
            Cell::dim(format!("{} {}", input.workflow, input.version)),
        ]);
    }
    table
}
