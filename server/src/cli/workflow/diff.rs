//! `fleetprompt workflow diff`: what differs between two versions, the permissions first.

use std::process::ExitCode;

use clap::Args;
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::workflow::diff::{Because, Change, Diff, EdgeChange, Grant, StepChange, diff};
use serde_json::Value;

use super::super::connect::Connect;
use super::super::exit::{self, Usage};
use super::super::screen::{Screen, Tone, pad, plain, width_of};
use super::source;

pub const EXAMPLES: &str = "\
Spelling, the order of fields and defaults written out are no difference. Exits with 0; with
--exit-code, 1 says that there is a difference.

Examples:
  fleetprompt workflow diff forum-new-thread-triage 1.0.0 1.1.0
  fleetprompt workflow diff forum-new-thread-triage 1.0.0     this one against the active one
  fleetprompt workflow diff old.yaml new.yaml
  fleetprompt workflow diff workflow.yaml                     the active one against this file";

#[derive(Debug, Args)]
pub struct Differ {
    /// SLUG VERSION [VERSION], or FILE [FILE]
    #[arg(required = true, num_args = 1..=3, value_name = "WHAT")]
    named: Vec<String>,
    /// Exit with 1 when there is a difference
    #[arg(long)]
    exit_code: bool,
}

impl Differ {
    pub async fn run(&self, connect: &Connect) -> anyhow::Result<ExitCode> {
        let (from, to) = self.sides(connect).await?;
        let diff = diff(&from, &to);
        connect.output.show(&diff, |screen| shown(screen, &diff));
        exit::failed_if(self.exit_code && !diff.is_empty())
    }

    async fn sides(&self, connect: &Connect) -> anyhow::Result<(Workflow, Workflow)> {
        match self.named.as_slice() {
            [file] if source::is_file(file) => {
                let to = source::of_file(file)?;
                Ok((source::of_server(&connect.client()?, &to.slug, None).await?, to))
            }
            [from, to] if source::is_file(from) => Ok((source::of_file(from)?, source::of_file(to)?)),
            [slug, from, to @ ..] => {
                let (client, slug) = (connect.client()?, source::slug(slug)?);
                let to = to.first().map(String::as_str);
                let from = source::of_server(&client, &slug, Some(from)).await?;
                Ok((from, source::of_server(&client, &slug, to).await?))
            }
            _ => Err(Usage("give two versions after the slug, or files".to_owned()).into()),
        }
    }
}

fn shown(screen: &Screen, diff: &Diff) -> String {
    let (from, to, arrow) = (&diff.from, &diff.to, screen.pick("→", "->"));
    let slug = if from.slug == to.slug { String::new() } else { format!("{} ", to.slug) };
    let heading = format!("{} {} {arrow} {slug}{}", from.slug, from.version, to.version);
    let mut text = format!("{}\n", screen.paint(Tone::Strong, &plain(&heading)));
    if diff.is_empty() {
        text.push_str("No difference.\n");
        return text;
    }
    permissions(screen, diff, &mut text);
    section(screen, "workflow", fields(screen, &diff.workflow, 2), &mut text);
    section(screen, "steps", steps(screen, &diff.steps), &mut text);
    section(screen, "edges", edges(screen, &diff.edges), &mut text);
    section(screen, "runs in flight", runs(screen, diff), &mut text);
    text
}

fn section(screen: &Screen, name: &str, lines: Vec<String>, text: &mut String) {
    if !lines.is_empty() {
        text.push_str(&format!("\n{}\n{}\n", screen.paint(Tone::Dim, name), lines.join("\n")));
    }
}

fn permissions(screen: &Screen, diff: &Diff, text: &mut String) {
    let mut lines = Vec::new();
    if let Some(grant) = &diff.permissions.widened {
        lines.push(screen.paint(Tone::Bad, &format!("  ! may request more: {}", granted(grant))));
    }
    if let Some(grant) = &diff.permissions.narrowed {
        lines.push(screen.paint(Tone::Good, &format!("    may request less: {}", granted(grant))));
    }
    section(screen, "permissions", lines, text);
}

fn granted(grant: &Grant) -> String {
    match grant {
        Grant::Any => "any directive that is not listed in the other version".to_owned(),
        Grant::These(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn steps(screen: &Screen, changes: &[StepChange]) -> Vec<String> {
    let line = |mark: &str, tone, step: &str, does: &str| {
        let step = screen.paint(tone, &format!("{mark} {}", plain(step)));
        format!("  {step}  {}", screen.paint(Tone::Dim, &plain(does)))
    };
    let lines = |change: &StepChange| match change {
        StepChange::Added { step, does } => vec![line("+", Tone::Good, step, does)],
        StepChange::Removed { step, does } => vec![line("-", Tone::Bad, step, does)],
        StepChange::Changed { step, does, fields: changes } => {
            let mut lines = vec![line("~", Tone::Warn, step, does)];
            lines.extend(fields(screen, changes, 6));
            lines
        }
    };
    changes.iter().flat_map(lines).collect()
}

fn fields(screen: &Screen, changes: &[Change], indent: usize) -> Vec<String> {
    let width = changes.iter().map(|change| width_of(&plain(&change.path))).max().unwrap_or(0);
    let line = |change: &Change| {
        let path = pad(&plain(&change.path), width);
        format!("{}{path}  {}", " ".repeat(indent), values(screen, change))
    };
    changes.iter().map(line).collect()
}

fn values(screen: &Screen, change: &Change) -> String {
    const WIDTH_MAX: usize = 60;
    let value = |value: &Value| screen.fit(&plain(&value.to_string()), WIDTH_MAX);
    let old = |old: &Value| screen.paint(Tone::Bad, &value(old));
    let new = |new: &Value| screen.paint(Tone::Good, &value(new));
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{} {} {}", old(from), screen.pick("→", "->"), new(to)),
        (Some(from), None) => format!("- {}", old(from)),
        (None, Some(to)) => format!("+ {}", new(to)),
        (None, None) => String::new(),
    }
}

fn edges(screen: &Screen, edges: &[EdgeChange]) -> Vec<String> {
    let line = |edge: &EdgeChange| {
        let (mark, tone) = if edge.added { ("+", Tone::Good) } else { ("-", Tone::Bad) };
        let way = format!("{mark} {} {} {}", edge.from, screen.pick("→", "->"), edge.to);
        let when = edge.when.as_ref().map_or(String::new(), |when| format!(", when {when}"));
        let what = screen.paint(Tone::Dim, &plain(&format!("{}{when}", edge.kind)));
        format!("  {}  {what}", screen.paint(tone, &plain(&way)))
    };
    edges.iter().map(line).collect()
}

fn runs(screen: &Screen, diff: &Diff) -> Vec<String> {
    if diff.runs.unless_begun.is_empty() {
        return vec!["  could go on by the new version: what has begun is there, and means the same".to_owned()];
    }
    let mut lines = vec!["  could go on by the new version, unless one of these has begun:".to_owned()];
    lines.extend(diff.runs.unless_begun.iter().map(|blocker| {
        let because = match blocker.because {
            Because::Removed => "it is gone",
            Because::Type => "it is of another type",
            Because::ForEach => "its output becomes a list, or is one no more",
        };
        format!("    {}  {}", screen.paint(Tone::Warn, &plain(&blocker.step)), screen.paint(Tone::Dim, because))
    }));
    lines
}

#[cfg(test)]
mod tests {
    use fleetprompt_core::document::Format;
    use fleetprompt_core::workflow::{Catalog, read};

    use super::*;

    const OLD: &str = r#"{"workflow": {"name": "Orders", "version": "1.0.0", "trigger": {"signal": "order.placed"},
        "may_request_directives": ["payment.charge"], "steps": [
        {"id": "score", "type": "agent", "agent_ref": {"slug": "risk"}},
        {"id": "charge", "type": "directive", "directive": "payment.charge", "timeout": "60s"}]}}"#;
    const NEW: &str = r#"{"workflow": {"name": "Orders", "version": "2.0.0", "trigger": {"signal": "order.paid"},
        "may_request_directives": ["payment.charge", "mail.send"], "steps": [
        {"id": "charge", "type": "directive", "directive": "payment.charge", "timeout": "2m"},
        {"id": "thank", "type": "directive", "directive": "mail.send"}]}}"#;

    #[test]
    fn a_difference_tells_the_permissions_first_and_the_runs_last() {
        let workflow = |text| read(text, Format::Json, &Catalog::default()).expect("a workflow").0;
        let (old, new) = (workflow(OLD), workflow(NEW));
        insta::assert_snapshot!("diff", shown(&Screen::still(80), &diff(&old, &new)));
        let same = shown(&Screen::still(80), &diff(&old, &old));
        assert!(same.ends_with("No difference.\n"), "{same}");
    }
}
