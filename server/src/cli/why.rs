//! Why something is on record: the chain of its causes, from itself to the root fact.

use std::process::ExitCode;

use fleetprompt_client::wire::{Cause, Why};
use fleetprompt_core::RecordId;

use super::exit;
use super::fields::who;
use super::output::Output;
use super::screen::{Screen, Tone, plain, width_of, wrap};
use super::when;

pub fn show(output: &Output, why: &Why) -> anyhow::Result<ExitCode> {
    output.show(why, |screen| render(screen, why));
    exit::ok()
}

pub fn render(screen: &Screen, why: &Why) -> String {
    let last = why.chain.len().saturating_sub(1);
    why.chain.iter().enumerate().map(|(hop, cause)| draw(screen, hop, cause, hop == last)).collect()
}

/// Each cause stands a little to the right of what it caused, until there is no room left.
fn draw(screen: &Screen, hop: usize, cause: &Cause, is_root: bool) -> String {
    const STEP: usize = 3;
    let indent = " ".repeat(((hop.saturating_sub(1)) * STEP).min(screen.page() / 3));
    let arrow = screen.pick("└▶ because ", "`-> because ");
    let (lead, below) = match hop {
        0 => (String::new(), "   ".to_owned()),
        _ => (screen.paint(Tone::Dim, &format!(" {indent}{arrow}")), format!("{indent}      ")),
    };
    let name = screen.paint(Tone::Strong, &plain(&cause.name));
    let root = if is_root { screen.paint(Tone::Good, "  root") } else { String::new() };
    let mut text = format!("{lead}{} {name}{root}\n", kind(cause.id));
    for line in beneath(screen, cause, below.len()) {
        text.push_str(&format!("{below}{line}\n"));
    }
    text
}

fn beneath(screen: &Screen, cause: &Cause, indent: usize) -> Vec<String> {
    let dot = screen.pick("·", "-");
    let width = screen.page().saturating_sub(indent);
    let when = format!("{} {dot} {}", when::full(cause.at), when::ago(cause.at, screen.now));
    let id_and_when = format!("{} {dot} {when}", cause.id);
    let dim = if width_of(&id_and_when) <= width { vec![id_and_when] } else { vec![cause.id.to_string(), when] };
    let by = match (cause.id, cause.actor.kind.as_str()) {
        // Where the summary does not say it.
        (RecordId::Signal(_), kind) if kind != "engine" => Some(format!("by {}", who(&cause.actor))),
        _ => None,
    };
    let mut lines = wrap(&plain(&cause.summary), width);
    lines.extend(dim.iter().chain(&by).map(|line| screen.paint(Tone::Dim, line)));
    lines
}

fn kind(id: RecordId) -> &'static str {
    match id {
        RecordId::Signal(_) => "signal",
        RecordId::Directive(_) => "directive",
        RecordId::Run(_) => "run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_goes_from_the_run_to_the_root_fact() {
        let text = include_str!("fixtures/why.json");
        let why: Why = serde_json::from_str(text).expect("a chain");
        for width in [80, 120] {
            insta::assert_snapshot!(format!("why_{width}"), render(&Screen::still(width), &why));
        }
    }
}
