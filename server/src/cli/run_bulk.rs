//! The same for many runs: what it would be, a question, and then piece by piece, so that it can be seen
//! how far it is.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use fleetprompt_client::Client;
use fleetprompt_client::wire::{Bulk, BulkAction, BulkAnswer, BulkCounts, BulkFilter, BulkRun};
use fleetprompt_core::RunId;
use fleetprompt_core::run::Status;
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::output::Output;
use super::run_operate::Operation;
use super::screen::{Screen, Tone, plain};
use super::table::{Cell, Column, Table};
use super::{exit, given, timeline};

pub struct Many {
    pub filter: BulkFilter,
    pub limit: Option<u32>,
    pub yes: bool,
    pub key: String,
}

/// What one request finds, and what one does.
const FIND: usize = 1_000;
const DO: usize = 100;
const SHOWN: usize = 10;

pub async fn run(client: &Client, output: &Output, operation: &Operation, many: Many) -> anyhow::Result<ExitCode> {
    let screen = Screen::of_stdout();
    let found = ask(client, &request(operation, &many, true), &many, FIND, |_| {}).await?;
    let Some(newest) = found.runs.first().map(|run| run.run_id) else {
        output.show(&found, |_| "No runs like that.\n".to_owned());
        return exit::ok();
    };
    if output.is_table() {
        screen.print(&previewed(&screen, operation.action, &found));
    }
    if !many.yes && !confirmed(output)? {
        if !output.is_table() {
            output.show(&found, |_| String::new());
        }
        anstream::eprintln!("Nothing was done; --yes does it.");
        return exit::ok();
    }
    let bar =
        ProgressBar::new(found.runs.len() as u64).with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len}")?);
    // What was asked for since the preview is not among them.
    let request = Bulk { cursor: Some(just_before(newest).to_string()), ..request(operation, &many, false) };
    let many = Many { limit: Some(u32::try_from(found.runs.len()).unwrap_or(u32::MAX)), ..many };
    let done = ask(client, &request, &many, DO, |count| bar.inc(count as u64)).await?;
    bar.finish_and_clear();
    output.show(&done, |screen| summary(screen, operation.action, &done));
    exit::failed_if(done.counts.refused > 0)
}

fn request(operation: &Operation, many: &Many, preview: bool) -> Bulk {
    Bulk {
        action: operation.action,
        filter: many.filter.clone(),
        preview,
        reason: operation.reason.clone(),
        limit: None,
        cursor: None,
        compensate: operation.compensate,
        reissue: operation.reissue,
        from: operation.from.clone(),
        version: operation.version.clone(),
    }
}

/// Lists go from the newest down, so what comes next in one is the run of this id.
fn just_before(run: RunId) -> RunId {
    RunId(Uuid::from_u128(run.0.as_u128().saturating_add(1)))
}

/// All answers as one.
async fn ask(
    client: &Client,
    request: &Bulk,
    many: &Many,
    at_once: usize,
    told: impl Fn(usize),
) -> anyhow::Result<BulkAnswer> {
    let most = many.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut whole = BulkAnswer {
        preview: request.preview,
        runs: Vec::new(),
        counts: BulkCounts::default(),
        next_cursor: request.cursor.clone(),
    };
    loop {
        let limit = Some(at_once.min(most - whole.runs.len()));
        let part =
            client.run_bulk(&Bulk { limit, cursor: whole.next_cursor.take(), ..request.clone() }, &many.key).await?;
        told(part.runs.len());
        whole.counts.found += part.counts.found;
        whole.counts.fit += part.counts.fit;
        whole.counts.refused += part.counts.refused;
        for (status, count) in part.counts.by_status {
            *whole.counts.by_status.entry(status).or_insert(0) += count;
        }
        whole.runs.extend(part.runs);
        whole.next_cursor = part.next_cursor;
        if whole.next_cursor.is_none() || whole.runs.len() >= most {
            return Ok(whole);
        }
    }
}

fn previewed(screen: &Screen, action: BulkAction, found: &BulkAnswer) -> String {
    let counts = &found.counts;
    let by_status: Vec<String> = counts.by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let title = format!("{} found: {}", runs(counts.found), by_status.join(", "));
    let mut table = Table::new([
        Column::id("ID"),
        Column::text("WORKFLOW", 24),
        Column::id("VERSION").leave_out(1),
        Column::id("STATUS"),
        Column::text("WHAT WOULD HAPPEN", 16),
    ]);
    for run in found.runs.iter().take(SHOWN) {
        let (symbol, tone) = timeline::status_mark(screen, run.status);
        let would = if run.fits { would(action) } else { "nothing, its status does not allow it" };
        table.row([
            Cell::plain(run.run_id),
            Cell::new(Tone::Strong, run.workflow.as_str()),
            Cell::dim(&run.version),
            Cell::new(tone, format!("{symbol} {}", run.status)),
            if run.fits { Cell::plain(would) } else { Cell::dim(would) },
        ]);
    }
    let more = counts.found.saturating_sub(SHOWN);
    let more = if more > 0 { format!("… {more} more\n") } else { String::new() };
    let sum = match counts.refused {
        0 => format!("This would {} {}.\n", action.as_str(), runs(counts.fit)),
        refused => format!("This would {} {} and leave {refused} as they are.\n", action.as_str(), runs(counts.fit)),
    };
    format!("{}\n\n{}{more}\n{sum}", screen.paint(Tone::Strong, &title), table.render(screen))
}

fn would(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Cancel => "it ends",
        BulkAction::Pause => "it is paused",
        BulkAction::Resume => "it goes on",
        BulkAction::Retry => "what failed is done again",
        BulkAction::Rerun => "it is done again as a new run",
    }
}

fn runs(count: usize) -> String {
    format!("{count} run{}", if count == 1 { "" } else { "s" })
}

/// Only somebody at a terminal can be asked.
fn confirmed(output: &Output) -> anyhow::Result<bool> {
    if !output.is_table() || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(false);
    }
    anstream::eprint!("Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn summary(screen: &Screen, action: BulkAction, done: &BulkAnswer) -> String {
    let counts = &done.counts;
    let mark = screen.paint(Tone::Good, screen.pick("✓", "ok"));
    let mut text = format!("{mark} {} of {}: {}\n", counts.fit, runs(counts.found), action.as_str());
    for (code, refused) in grouped(&done.runs) {
        let (count, detail, example) = refused;
        let mark = screen.paint(Tone::Bad, screen.pick("✗", "x"));
        text.push_str(&format!("{mark} {count} refused, {}: {}\n", plain(code), plain(detail)));
        text.push_str(&screen.paint(Tone::Dim, &format!("  like {example}")));
        text.push('\n');
    }
    text
}

/// By code: how many, what the first of them was told, and which that was.
fn grouped(runs: &[BulkRun]) -> BTreeMap<&str, (usize, &str, RunId)> {
    let mut groups = BTreeMap::new();
    for run in runs {
        if let Some(error) = &run.error {
            groups.entry(error.code.as_str()).or_insert((0, error.detail.as_str(), run.run_id)).0 += 1;
        }
    }
    groups
}

/// `status=failed,status=parked,workflow=x,version=1.0.0,since=2h`.
pub fn filter(text: &str) -> Result<BulkFilter, String> {
    let mut filter = BulkFilter::default();
    for part in text.split(',').map(str::trim) {
        let (name, value) =
            part.split_once('=').ok_or_else(|| format!("--where: `{part}` is not like status=failed"))?;
        let wrong = |error: String| format!("--where: {name}: {error}");
        let run = |value: &str| value.parse().map_err(|error| wrong(format!("{error}")));
        match name {
            "status" => filter.status.push(status(value).map_err(wrong)?),
            "workflow" => filter.workflow = Some(value.parse().map_err(|error| wrong(format!("{error}")))?),
            "version" => filter.version = Some(value.to_owned()),
            "parent" => filter.parent = Some(run(value)?),
            "source" => filter.source = Some(run(value)?),
            "correlation_id" => filter.correlation_id = Some(value.to_owned()),
            "since" => filter.since = Some(given::time(value).map_err(wrong)?),
            "until" => filter.until = Some(given::time(value).map_err(wrong)?),
            name => {
                let known = "status, workflow, version, parent, source, correlation_id, since, until";
                return Err(format!("--where: there is no `{name}`, only {known}"));
            }
        }
    }
    Ok(filter)
}

fn status(value: &str) -> Result<Status, String> {
    let known = Status::ALL.into_iter().find(|status| status.as_str() == value);
    known.ok_or_else(|| format!("there is no `{value}`, only {}", Status::ALL.map(Status::as_str).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_part_by_part_and_what_is_wrong_is_named() {
        let read = filter("status=failed, status=parked,workflow=import,version=1.0.0,since=2h").expect("a filter");
        assert_eq!(read.status, [Status::Failed, Status::Parked]);
        assert_eq!((read.workflow.expect("a workflow").as_str(), read.version.as_deref()), ("import", Some("1.0.0")));
        assert!(read.since.is_some());
        for (text, says) in
            [("", "not like"), ("status=done", "no `done`"), ("colour=red", "no `colour`"), ("since=x", "2h")]
        {
            let said = filter(text).expect_err(text);
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn the_run_just_before_one_is_the_next_id_up() {
        let run: RunId = "run_01h455vb4pex5vsknk084sn02q".parse().expect("an id");
        assert!(just_before(run).0 > run.0);
        assert_eq!(just_before(run).0.as_u128() - 1, run.0.as_u128());
    }
}
