//! What the demo prints: each record as it is committed, one timeline in full, and the verdict.

use std::collections::HashMap;
use std::path::Path;

use anstream::println;
use anstyle::{AnsiColor, Style};
use fleetprompt_core::{RunId, Signal};
use fleetprompt_store::{Page, SignalFilter};
use serde_json::Value;
use uuid::Uuid;

use super::forum::Post;
use super::{Thread, World};

pub(crate) struct Story {
    begun: std::time::Instant,
    /// Where in the log we are; what an earlier visit left is not told again.
    cursor: Option<Uuid>,
    /// The thread that a group of records is about.
    threads: HashMap<String, String>,
    runs: Vec<RunId>,
    ended: usize,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

impl Story {
    pub fn begin(world: &World, data: Option<&Path>, threads: &[Thread]) -> Self {
        let directory = world.engine.directory();
        let agent = directory.tenant(world.tenant).and_then(|tenant| tenant.agents.values().next().cloned());
        let model = agent.map(|(_, agent)| world.engine.models().describe(&agent)).unwrap_or_default();
        let kept = data.map_or("a temporary folder".into(), |data| data.display().to_string());
        println!(
            "{BOLD}FleetPrompt demo{BOLD:#}: {} threads are opened in a forum; each gets one summary.\n",
            threads.len()
        );
        println!("  server  {}  {DIM}({kept}){DIM:#}", world.node.url());
        println!("  forum   {}", world.forum.url());
        println!("  agent   {model}");
        if model.starts_with("scripted") {
            println!(
                "          {DIM}Set OPENAI_API_KEY or ANTHROPIC_API_KEY to have a real model write the summaries.{DIM:#}"
            );
        }
        println!();
        let newest = world.engine.store().signals(world.tenant, &SignalFilter::default(), Page::newest(1));
        let cursor = newest.ok().and_then(|signals| signals.first().map(|signal| signal.id.0));
        Self { begun: std::time::Instant::now(), cursor, threads: HashMap::new(), runs: Vec::new(), ended: 0 }
    }

    /// Tells what is committed until every one of `expected` threads has its run ended.
    pub async fn follow(&mut self, world: &World, expected: usize) -> anyhow::Result<()> {
        let mut commits = world.engine.commits();
        while self.ended < expected {
            let page = Page::after(self.cursor, 500);
            let signals = world.engine.store().signals(world.tenant, &SignalFilter::default(), page)?;
            for signal in &signals {
                self.cursor = Some(signal.id.0);
                self.tell(signal);
            }
            if signals.is_empty() && self.ended < expected {
                // Threads of an earlier visit are known already: nothing new is recorded for them.
                let quiet = tokio::time::timeout(std::time::Duration::from_secs(3), commits.changed()).await;
                if quiet.is_err() && self.threads.is_empty() {
                    println!("  Every thread was known already; nothing happened twice.\n");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, signal: &Signal) {
        let correlation = signal.lineage.correlation_id.to_string();
        if signal.name.as_str() == "forum.thread.created" {
            let thread = signal.subject.as_ref().map(|subject| subject.id.clone()).unwrap_or_default();
            self.threads.insert(correlation.clone(), thread);
        }
        let Some(thread) = self.threads.get(&correlation).cloned() else { return };
        let payload = signal.payload.value();
        let text = |field: &str| payload[field].as_str().unwrap_or_default().to_owned();
        let (mark, style, what) = match signal.name.as_str() {
            "forum.thread.created" => ("●", BOLD, format!("“{}” by {}", shortened(&text("title"), 52), text("author"))),
            "directive.requested" => ("→", CYAN, text("directive")),
            "directive.succeeded" if text("directive") == "forum.post.create" => {
                ("✓", GREEN, format!("forum.post.create → {}", payload["output"]["post_id"].as_str().unwrap_or("?")))
            }
            "directive.succeeded" => ("✓", GREEN, text("directive")),
            "workflow.run.started" => {
                self.runs.extend(signal.run_id);
                ("▶", BOLD, format!("{} {}", text("workflow"), text("version")))
            }
            "workflow.step.started" => ("·", DIM, format!("{} ({})", text("step"), text("type"))),
            "workflow.step.completed" => ("✓", GREEN, format!("{}{}", text("step"), said(payload))),
            "workflow.run.completed" => {
                self.ended += 1;
                ("■", GREEN, text("workflow"))
            }
            "workflow.run.failed" | "workflow.run.canceled" => {
                self.ended += 1;
                ("✗", RED, payload["error"]["message"].as_str().unwrap_or_default().to_owned())
            }
            "workflow.step.retrying" | "directive.retrying" => {
                ("↻", RED, payload["error"]["message"].as_str().unwrap_or_default().to_owned())
            }
            "directive.started" => ("·", DIM, text("directive")),
            _ => ("·", DIM, String::new()),
        };
        let at = self.begun.elapsed().as_secs_f64();
        println!("  {DIM}{at:>6.2}s{DIM:#}  {thread:<5} {style}{mark}{style:#} {:<24} {what}", signal.name.as_str());
    }

    /// One run in full, as `fleetprompt run timeline` shows it.
    pub async fn timeline(&self, world: &World) -> anyhow::Result<()> {
        let Some(run) = self.runs.first() else { return Ok(()) };
        println!("\n{BOLD}One of them in full{BOLD:#}  {DIM}fleetprompt run timeline {run}{DIM:#}\n");
        let timeline = world.client.run_timeline(*run).await?;
        crate::cli::timeline::print(&timeline, false);
        Ok(())
    }

    /// Whether every thread has exactly one post, said plainly.
    pub fn verdict(&self, posts: &[Post], threads: &[Thread]) -> bool {
        let of = |thread: &Thread| posts.iter().filter(|post| post.thread_id == thread.id).collect::<Vec<_>>();
        println!("\n{BOLD}The forum afterwards{BOLD:#}\n");
        for thread in threads {
            let posts = of(thread);
            let first = posts.first().map(|post| post.content.as_str()).unwrap_or("no post");
            println!("  {:<5} {DIM}{:>2} post{DIM:#}  {}", thread.id, posts.len(), shortened(first, 96));
        }
        let once = threads.iter().filter(|thread| of(thread).len() == 1).count();
        let (style, mark) = if once == threads.len() { (GREEN, "✓") } else { (RED, "✗") };
        println!("\n  {style}{mark} {once} of {} threads have exactly one summary{style:#}", threads.len());
        once == threads.len()
    }

    pub fn look_around(&self, world: &World) {
        let run = self.runs.first().map(ToString::to_string).unwrap_or_else(|| "RUN".into());
        println!("\n{BOLD}Look around{BOLD:#} in another terminal, and end this with Ctrl-C:\n");
        println!("  export FLEETPROMPT_URL={} FLEETPROMPT_KEY={}", world.node.url(), world.key);
        println!("  fleetprompt run list");
        println!("  fleetprompt run why {run}");
        println!("  fleetprompt signal tail");
        println!("  {DIM}API and its documentation: {}/docs{DIM:#}\n", world.node.url());
    }
}

/// An agent's summary in passing.
fn said(payload: &Value) -> String {
    match payload["output"]["summary"].as_str() {
        Some(summary) => format!(": {}", shortened(summary, 56)),
        None => String::new(),
    }
}

fn shortened(text: &str, width: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}
