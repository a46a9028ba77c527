//! `fleetprompt schedule`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use fleetprompt_client::wire::{self, BackfillSchedule, OrderSchedule};
use fleetprompt_core::schedule::Status;
use fleetprompt_core::{Slug, Timestamp, schedule};

use super::connect::Connect;
use super::definition::{self, Applied, Kind};
use super::fields::Fields;
use super::screen::{Screen, Tone};
use super::table::{Cell, Column, Table};
use super::{exit, given, pages, when};

#[derive(Debug, Args)]
pub struct Schedule {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connect: Connect,
}

const APPLY_EXAMPLES: &str = "\
Applying the same document again changes nothing. As long as a new one is due at the same times, the
schedule goes on where it was. A paused schedule stays paused; an archived one is active again.

Examples:
  fleetprompt schedule apply schedules/*.yaml";

const NEXT_EXAMPLES: &str = "\
With --file no server is asked. What `every` counts from is then now, unless there is a `starts_at`.

Examples:
  fleetprompt schedule next nightly-digest
  fleetprompt schedule next nightly-digest --count 5 --after 2027-03-27T00:00:00Z
  fleetprompt schedule next --file schedules/nightly-digest.yaml";

const RESUME_EXAMPLES: &str = "\
What was due meanwhile is caught up with as its `catch_up` says: the last one, none, or all.

Examples:
  fleetprompt schedule resume nightly-digest --reason 'back to work'";

const TRIGGER_EXAMPLES: &str = "\
Its due times stay what they are. When runs of the last fire are open, `overlap: skip` and `queue` refuse
this, and `cancel` cancels them.

Examples:
  fleetprompt schedule trigger nightly-digest --reason 'a demo'";

const BACKFILL_EXAMPLES: &str = "\
At most 1,000 at once, whatever `overlap` says. What has fired does not fire again.

Examples:
  fleetprompt schedule backfill nightly-digest --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check definitions without any server, and show everything that is wrong
    #[command(after_help = "Examples:\n  fleetprompt schedule validate schedules/*.yaml")]
    Validate {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Make definitions the ones in force
    #[command(after_help = APPLY_EXAMPLES)]
    Apply {
        /// JSON or YAML; - for stdin
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// List the schedules
    #[command(after_help = "Examples:\n  fleetprompt schedule list")]
    List,
    /// Show a schedule and its definition
    #[command(visible_alias = "get", after_help = "Examples:\n  fleetprompt schedule show nightly-digest")]
    Show {
        /// Like nightly-digest
        slug: Slug,
    },
    /// Preview the next fires, on its own clocks and in UTC
    #[command(after_help = NEXT_EXAMPLES)]
    Next(Next),
    /// Let nothing fire by itself for now
    #[command(after_help = "Examples:\n  fleetprompt schedule pause nightly-digest --reason holidays")]
    Pause(Order),
    /// Let it fire again
    #[command(after_help = RESUME_EXAMPLES)]
    Resume(Order),
    /// Fire now, whatever is due
    #[command(after_help = TRIGGER_EXAMPLES)]
    Trigger(Order),
    /// Fire what was due in a range of the past
    #[command(after_help = BACKFILL_EXAMPLES)]
    Backfill {
        #[command(flatten)]
        order: Order,
        /// What was due then is included, like 2026-11-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        from: Timestamp,
        /// What was due then is included
        #[arg(long, value_name = "TIME")]
        to: Timestamp,
    },
    /// Let it do nothing any more; its record stays
    #[command(after_help = "Examples:\n  fleetprompt schedule archive nightly-digest")]
    Archive(Order),
}

#[derive(Debug, Args)]
struct Order {
    /// Like nightly-digest
    slug: Slug,
    /// Why; it is put on record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
struct Next {
    /// Like nightly-digest
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    slug: Option<Slug>,
    /// A definition that need not be applied, JSON or YAML; - for stdin
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// After this time [default: now]
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
    /// How many
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
}

impl Schedule {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let output = &self.connect.output;
        match &self.verb {
            Verb::Validate { files } => definition::validate(output, Kind::Schedule, files),
            Verb::Apply { files } => self.apply(files).await,
            Verb::List => self.list().await,
            Verb::Show { slug } => self.changed(self.connect.client()?.schedule_get(slug).await?),
            Verb::Next(next) => self.next(next).await,
            Verb::Pause(order) => {
                self.changed(self.connect.client()?.schedule_pause(&order.slug, &order.body()).await?)
            }
            Verb::Resume(order) => {
                self.changed(self.connect.client()?.schedule_resume(&order.slug, &order.body()).await?)
            }
            Verb::Archive(order) => {
                self.changed(self.connect.client()?.schedule_archive(&order.slug, &order.body()).await?)
            }
            Verb::Trigger(order) => {
                self.fired(self.connect.client()?.schedule_trigger(&order.slug, &order.body()).await?)
            }
            Verb::Backfill { order, from, to } => {
                let backfill = BackfillSchedule { from: *from, to: *to, reason: order.reason.clone() };
                self.fired(self.connect.client()?.schedule_backfill(&order.slug, &backfill).await?)
            }
        }
    }

    async fn apply(&self, files: &[String]) -> anyhow::Result<ExitCode> {
        let client = self.connect.client()?;
        let screen = Screen::of_stdout();
        let (mut done, mut invalid) = (Vec::new(), false);
        for file in files {
            let send = async |text: &str, format| client.schedule_apply(text, format).await;
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
        let schedules = pages::all(async |page| client.schedule_list(&page).await).await?;
        let empty = "No schedules yet. Apply one with `fleetprompt schedule apply FILE`.";
        self.connect.output.list(&schedules, empty, |screen| table(screen, &schedules));
        exit::ok()
    }

    async fn next(&self, next: &Next) -> anyhow::Result<ExitCode> {
        let fires = match (&next.file, &next.slug) {
            (Some(file), _) => match fires_of_file(file, next)? {
                Some(fires) => fires,
                None => return exit::failed_if(true),
            },
            (None, Some(slug)) => {
                let client = self.connect.client()?;
                client.schedule_fires(slug, next.after, Some(next.count)).await?.items
            }
            (None, None) => unreachable!("clap asks for one of them"),
        };
        self.connect.output.list(&fires, "Nothing is due any more.", |screen| fires_table(screen, &fires));
        exit::ok()
    }

    fn changed(&self, schedule: wire::Schedule) -> anyhow::Result<ExitCode> {
        self.connect.output.show(&schedule, |screen| shown(screen, &schedule));
        exit::ok()
    }

    fn fired(&self, fired: wire::FiredSchedule) -> anyhow::Result<ExitCode> {
        self.connect.output.show(&fired, |screen| match fired.fires.as_slice() {
            [] => "Nothing was due.\n".to_owned(),
            fires => fired_table(fires).render(screen),
        });
        exit::ok()
    }
}

impl Order {
    fn body(&self) -> OrderSchedule {
        OrderSchedule { reason: self.reason.clone() }
    }
}

/// None: the definition has problems, and they have been shown.
fn fires_of_file(file: &str, next: &Next) -> anyhow::Result<Option<Vec<wire::ScheduleFire>>> {
    let text = given::read(file)?;
    let schedule = match schedule::read(&text, given::format_of(file, &text)) {
        Ok((schedule, _)) => schedule,
        Err(problems) => {
            definition::show_problems(&problems, &text, file);
            return Ok(None);
        }
    };
    let now = Screen::of_stdout().now;
    let fire = |due_at| wire::ScheduleFire {
        due_at,
        fires_at: Some(due_at).filter(|_| schedule.jitter.is_none()),
        local: schedule.local(due_at),
    };
    let dues = schedule.dues_after(now, next.after.unwrap_or(now));
    Ok(Some(dues.take(next.count as usize).map(fire).collect()))
}

fn tone(status: Status) -> Tone {
    match status {
        Status::Active => Tone::Good,
        Status::Paused => Tone::Warn,
        Status::Archived => Tone::Dim,
    }
}

fn said(screen: &Screen, applied: &wire::AppliedSchedule) -> String {
    let mark = screen.paint(Tone::Good, screen.pick("✓", "ok"));
    let status = screen.paint(tone(applied.status), applied.status.as_str());
    let next = applied.next_at.map_or(String::new(), |next| format!(", next {}", when::full(next)));
    let changed = if applied.changed { "" } else { ", unchanged" };
    format!("{mark} {}  {status}{}", applied.slug, screen.paint(Tone::Dim, &format!("{next}{changed}")))
}

fn table(screen: &Screen, schedules: &[wire::Schedule]) -> Table {
    let mut table = Table::new([
        Column::id("SCHEDULE"),
        Column::id("STATUS"),
        Column::text("TIMES", 12),
        Column::text("SIGNAL", 12).leave_out(1),
        Column::id("NEXT"),
        Column::id("LAST").leave_out(2),
    ]);
    for schedule in schedules {
        let next = schedule.next_at.filter(|_| schedule.status == Status::Active);
        table.row([
            Cell::new(Tone::Strong, schedule.slug.as_str()),
            Cell::new(tone(schedule.status), schedule.status.as_str()),
            Cell::plain(&schedule.timing),
            Cell::plain(&schedule.signal),
            Cell::maybe(next.map(|next| when::ago(next, screen.now))),
            Cell::maybe(schedule.last_at.map(|last| when::ago(last, screen.now))),
        ]);
    }
    table
}

fn shown(screen: &Screen, schedule: &wire::Schedule) -> String {
    let mut fields = Fields::default();
    fields.toned("schedule", Tone::Strong, &schedule.slug);
    fields.line("name", &schedule.name);
    fields.toned("status", tone(schedule.status), schedule.status.as_str());
    fields.maybe("reason", schedule.reason.as_ref());
    fields.line("times", &schedule.timing);
    fields.line("signal", &schedule.signal);
    fields.maybe("next", schedule.next_at.map(when::full));
    fields.maybe("last", schedule.last_at.map(when::full));
    fields.maybe("last signal", schedule.last_signal_id);
    fields.maybe("queued", schedule.queued_at.map(when::full));
    fields.line("updated", when::ago(schedule.updated_at, screen.now));
    fields.json("definition", Some(&schedule.document));
    fields.render(screen)
}

fn fires_table(screen: &Screen, fires: &[wire::ScheduleFire]) -> Table {
    let mut table = Table::new([Column::id("LOCAL"), Column::id("UTC"), Column::id("").leave_out(1)]);
    for fire in fires {
        let at = fire.fires_at.unwrap_or(fire.due_at);
        table.row([
            Cell::new(Tone::Strong, &fire.local),
            Cell::plain(when::full(at)),
            Cell::dim(when::ago(at, screen.now)),
        ]);
    }
    table
}

fn fired_table(fires: &[wire::ScheduleFired]) -> Table {
    let mut table = Table::new([Column::id("DUE"), Column::id("SIGNAL"), Column::id("")]);
    for fire in fires {
        let what = if fire.deduplicated { "had fired before" } else { "fired" };
        table.row([Cell::plain(when::full(fire.due_at)), Cell::plain(fire.signal_id), Cell::dim(what)]);
    }
    table
}
