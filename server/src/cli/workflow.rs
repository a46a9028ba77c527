//! `fleetprompt workflow`.

mod diff;
mod graph;
mod source;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, Activate};
use fleetprompt_core::Slug;
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::run::Status;

use super::connect::Connect;
use super::definition::{self, Applied, Kind};
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, pages, when, workflow_test};

#[derive(Debug, Args)]
pub struct Workflow {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const VALIDATE_EXAMPLES: &str = "\
Every problem of every file is shown at once, at its place, with what would be right. No server is
asked. Exits with 1 when a definition has errors; warnings alone are fine.

Examples:
  fleetprompt workflow validate workflows/*.yaml
  fleetprompt workflow validate - < workflow.json
  fleetprompt workflow validate workflow.json --output json      for editors and CI";

const APPLY_EXAMPLES: &str = "\
Applying the same document again changes nothing. A version never changes once it was active: give a
changed document a new `version`.

Examples:
  fleetprompt workflow apply workflows/*.json
  fleetprompt workflow apply triage.yaml --draft     keep the version that is active now";

const ACTIVATE_EXAMPLES: &str = "\
Runs keep the version they started on.

Examples:
  fleetprompt workflow activate forum-new-thread-triage          the newest version
  fleetprompt workflow activate forum-new-thread-triage 1.0.0    back to this one";

const PAUSE_EXAMPLES: &str = "\
Signals for it are refused, on record, until it is activated again. Runs that have begun go on.

Examples:
  fleetprompt workflow pause forum-new-thread-triage";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check definitions without any server, and show everything that is wrong
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Try the cases of test files, without any server
    #[command(after_help = workflow_test::EXAMPLES)]
    Test(workflow_test::Test),
    /// Draw a definition
    #[command(after_help = graph::EXAMPLES)]
    Graph(graph::Graph),
    /// Show what differs between two versions
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::Differ),
    /// Add definitions as versions and activate them
    #[command(after_help = APPLY_EXAMPLES)]
    Apply {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
        /// Do not activate them
        #[arg(long)]
        draft: bool,
    },
    /// List the workflows
    #[command(after_help = "Examples:\n  fleetprompt workflow list")]
    List,
    /// Show a workflow and the definition in force
    #[command(after_help = "Examples:\n  fleetprompt workflow show forum-new-thread-triage\n  \
                            fleetprompt workflow show forum-new-thread-triage --version 1.0.0")]
    Show {
        /// Like forum-new-thread-triage
        slug: Slug,
        /// The definition of this version [default: the active one]
        #[arg(long)]
        version: Option<String>,
    },
    /// List the versions of a workflow
    #[command(after_help = "Examples:\n  fleetprompt workflow versions forum-new-thread-triage")]
    Versions {
        /// Like forum-new-thread-triage
        slug: Slug,
    },
    /// Let signals start it
    #[command(after_help = ACTIVATE_EXAMPLES)]
    Activate {
        /// Like forum-new-thread-triage
        slug: Slug,
        /// The version that new runs take [default: the newest]
        version: Option<String>,
    },
    /// Refuse signals for it for now
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause {
        /// Like forum-new-thread-triage
        slug: Slug,
    },
    /// Let it subscribe to nothing; its record stays
    #[command(after_help = "Examples:\n  fleetprompt workflow archive forum-new-thread-triage")]
    Archive {
        /// Like forum-new-thread-triage
        slug: Slug,
    },
}

impl Workflow {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match &self.verb {
            Verb::Validate { files } => definition::validate(&self.connect.output, Kind::Workflow, files),
            Verb::Test(test) => test.run(&self.connect.output),
            Verb::Graph(graph) => graph.run(&self.connect).await,
            Verb::Diff(differ) => differ.run(&self.connect).await,
            Verb::Apply { files, draft } => self.apply(files, *draft).await,
            Verb::List => self.list().await,
            Verb::Show { slug, version } => self.show(slug, version.as_deref()).await,
            Verb::Versions { slug } => self.versions(slug).await,
            Verb::Activate { slug, version } => {
                let activate = Activate { version: version.clone() };
                self.changed(self.connect.client()?.workflow_activate(slug, &activate).await?)
            }
            Verb::Pause { slug } => self.changed(self.connect.client()?.workflow_pause(slug).await?),
            Verb::Archive { slug } => self.changed(self.connect.client()?.workflow_archive(slug).await?),
        }
    }

    async fn apply(&self, files: &[String], draft: bool) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let screen = Screen::of_stdout();
        let (mut done, mut invalid) = (Vec::new(), false);
        for file in files {
            let send = async |text: &str, format| client.workflow_apply(text, format, !draft).await;
            match definition::apply(file, send, |applied| &applied.diagnostics).await? {
                Applied::Invalid => invalid = true,
                Applied::Done(applied) => {
                    if self.connect.output.is_table() {
                        screen.line(&said(&screen, &applied));
                    }
                    done.push(applied);
                }
            }
        }
        if !self.connect.output.is_table() {
            self.connect.output.show(&done, |_| String::new());
        }
        exit::failed_if(invalid)
    }

    async fn list(&self) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let workflows = pages::all(async |page| client.workflow_list(&page).await).await?;
        let empty = "No workflows yet. Apply one with `fleetprompt workflow apply FILE`.";
        self.connect.output.list(&workflows, empty, |screen| table(screen, &workflows));
        exit::ok()
    }

    async fn show(&self, slug: &Slug, version: Option<&str>) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        if let Some(version) = version {
            let version = client.workflow_version_get(slug, version).await?;
            self.connect.output.show(&version, |screen| shown_version(screen, &version));
            return exit::ok();
        }
        let workflow = client.workflow_get(slug).await?;
        let active = match &workflow.active_version {
            Some(version) if self.connect.output.is_table() => Some(client.workflow_version_get(slug, version).await?),
            _ => None,
        };
        self.connect.output.show(&workflow, |screen| shown(screen, &workflow, active.as_ref()));
        exit::ok()
    }

    async fn versions(&self, slug: &Slug) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let versions = pages::all(async |page| client.workflow_version_list(slug, &page).await).await?;
        self.connect.output.list(&versions, "No versions.", |screen| versions_table(screen, &versions));
        exit::ok()
    }

    fn changed(&self, workflow: wire::Workflow) -> anyhow::Result<ExitCode> {
        self.connect.output.show(&workflow, |screen| shown(screen, &workflow, None));
        exit::ok()
    }
}

fn tone(status: WorkflowStatus) -> Tone {
    match status {
        WorkflowStatus::Active => Tone::Good,
        WorkflowStatus::Paused => Tone::Warn,
        WorkflowStatus::Draft | WorkflowStatus::Archived => Tone::Dim,
    }
}

fn said(screen: &Screen, applied: &wire::AppliedWorkflow) -> String {
    let mark = screen.paint(Tone::Good, screen.pick("✓", "ok"));
    let status = screen.paint(tone(applied.status), applied.status.as_str());
    let changed = if applied.changed { "" } else { ", unchanged" };
    format!("{mark} {} {}  {status}{}", applied.slug, applied.version, screen.paint(Tone::Dim, changed))
}

fn table(screen: &Screen, workflows: &[wire::Workflow]) -> Table {
    let mut table = Table::new([
        Column::id("WORKFLOW"),
        Column::id("STATUS"),
        Column::text("VERSION", 7),
        Column::text("STARTS ON", 12).leave_out(1),
        Column::id("UPDATED").leave_out(2),
    ]);
    for workflow in workflows {
        table.row([
            Cell::new(Tone::Strong, workflow.slug.as_str()),
            Cell::new(tone(workflow.status), workflow.status.as_str()),
            Cell::maybe(workflow.active_version.as_ref()),
            Cell::plain(signals(workflow)),
            Cell::dim(when::ago(workflow.updated_at, screen.now)),
        ]);
    }
    table
}

fn signals(workflow: &wire::Workflow) -> String {
    match workflow.signals.as_slice() {
        [] => "directive only".to_owned(),
        names => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn shown(screen: &Screen, workflow: &wire::Workflow, active: Option<&wire::WorkflowVersion>) -> String {
    let mut fields = Fields::default();
    fields.toned("workflow", Tone::Strong, &workflow.slug);
    fields.line("name", &workflow.name);
    fields.toned("status", tone(workflow.status), workflow.status.as_str());
    fields.maybe("version", workflow.active_version.as_ref());
    fields.line("starts on", signals(workflow));
    fields.line("updated", when::ago(workflow.updated_at, screen.now));
    for version in &workflow.in_flight {
        fields.line("in flight", format!("{}: {}", version.version, counted(&version.by_status)));
    }
    for refusal in &workflow.refusals {
        let ago = when::ago(refusal.at, screen.now);
        fields.line("refused", format!("{} {ago}: {}", refusal.signal_id, refusal.reason));
    }
    fields.json("definition", active.and_then(|version| version.document.as_ref()));
    fields.render(screen)
}

/// `12 running, 3 queued`.
fn counted(by_status: &BTreeMap<Status, u64>) -> String {
    by_status.iter().map(|(status, count)| format!("{count} {status}")).collect::<Vec<_>>().join(", ")
}

fn shown_version(screen: &Screen, version: &wire::WorkflowVersion) -> String {
    let mut fields = Fields::default();
    let active = if version.active { " (active)" } else { "" };
    fields.toned("workflow", Tone::Strong, format!("{} {}{active}", version.slug, version.version));
    fields.line("digest", &version.digest);
    fields.line("created", when::full(version.created_at));
    fields.json("definition", version.document.as_ref());
    fields.render(screen)
}

fn versions_table(screen: &Screen, versions: &[wire::WorkflowVersion]) -> Table {
    let mut table = Table::new([
        Column::id("VERSION"),
        Column::id("STATUS"),
        Column::text("IN FLIGHT", 12),
        Column::id("CREATED"),
        Column::text("DIGEST", 12).leave_out(1),
    ]);
    for version in versions {
        table.row([
            Cell::new(Tone::Strong, &version.version),
            if version.active { Cell::new(Tone::Good, "active") } else { Cell::dim("-") },
            Cell::plain(counted(&version.in_flight)),
            Cell::dim(when::ago(version.created_at, screen.now)),
            Cell::dim(&version.digest),
        ]);
    }
    table
}
