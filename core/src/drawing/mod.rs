//! Pictures of workflows: what there is to see, and three ways to write it down.
//!
//! `picture` takes it from a compiled workflow; `mermaid`, `dot` and `svg` only write. Names and
//! expressions are a stranger's text: each of the three has an escaping of its own, and no text can
//! become anything but a label.

mod dot;
mod escape;
mod implied;
mod layout;
mod mermaid;
mod picture;
mod svg;

use crate::workflow::Workflow;

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For Markdown: many sites draw it in place.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A drawing of our own, readable on light and dark.
    Svg,
}

/// The same workflow always gives the same text.
pub fn draw(workflow: &Workflow, format: Format) -> String {
    let picture = picture::of(workflow);
    match format {
        Format::Mermaid => mermaid::write(&picture),
        Format::Dot => dot::write(&picture),
        Format::Svg => svg::write(&picture),
    }
}

/// What there is to see of a workflow. All text in it is short and one line.
#[derive(Debug)]
struct Picture {
    /// `forum-new-thread-triage 1.0.0`.
    title: String,
    nodes: Vec<Node>,
    /// Without circles.
    arrows: Vec<Arrow>,
}

#[derive(Debug)]
struct Node {
    kind: NodeKind,
    title: String,
    /// What it does, like `agent forum_summary_agent`.
    detail: String,
    badges: Vec<String>,
    /// Said when somebody points at it.
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeKind {
    /// What starts a run.
    Start,
    Agent,
    Function,
    Directive,
    Wait,
    Workflow,
    Completed,
    Failed,
}

impl NodeKind {
    const ALL: [Self; 8] = [
        Self::Start,
        Self::Agent,
        Self::Function,
        Self::Directive,
        Self::Wait,
        Self::Workflow,
        Self::Completed,
        Self::Failed,
    ];

    /// The word for it in styles.
    fn class(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Agent => "agent",
            Self::Function => "function",
            Self::Directive => "directive",
            Self::Wait => "wait",
            Self::Workflow => "workflow",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Fill and line on light paper; text on it is dark.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Start => ("#eaeef2", "#57606a"),
            Self::Agent => ("#f3ecff", "#8250df"),
            Self::Function => ("#f6f8fa", "#8c959f"),
            Self::Directive => ("#fff4e5", "#bc6c00"),
            Self::Wait => ("#e6f6f4", "#0b7d74"),
            Self::Workflow => ("#e8f1ff", "#0969da"),
            Self::Completed => ("#e6f6ea", "#1a7f37"),
            Self::Failed => ("#ffebe9", "#cf222e"),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Arrow {
    from: usize,
    to: usize,
    line: Line,
    label: Option<String>,
}

/// What an arrow means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Runs only if the other completed.
    Needs,
    /// Only waits for the other.
    Order,
    /// Transitions.
    Completed,
    Failed,
    Settled,
}

#[cfg(test)]
mod tests;
