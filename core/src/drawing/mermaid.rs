//! A flowchart of Mermaid. Identifiers are ours, and all text is in quotes.

use std::fmt::Write;

use super::escape::mermaid as escaped;
use super::{Arrow, Line, Node, NodeKind, Picture};

/// Mermaid draws no more unless it is configured to.
const ARROWS_MAX: usize = 500;

pub fn write(picture: &Picture) -> String {
    let mut out = format!("%% {}\n", picture.title);
    if picture.arrows.len() > ARROWS_MAX {
        let count = picture.arrows.len();
        out.push_str(&format!("%% {count} arrows: set maxEdges in Mermaid's configuration, or draw it as SVG\n"));
    }
    out.push_str("flowchart TD\n");
    for (at, node) in picture.nodes.iter().enumerate() {
        writeln!(out, "    {}", shape(at, node)).expect(ROOM);
    }
    for arrow in &picture.arrows {
        writeln!(out, "    {}", line(arrow)).expect(ROOM);
    }
    write_styles(&mut out, picture);
    out
}

const ROOM: &str = "a string takes everything";

fn shape(at: usize, node: &Node) -> String {
    let (open, close) = match node.kind {
        NodeKind::Start | NodeKind::Completed | NodeKind::Failed => ("([", "])"),
        NodeKind::Agent => ("(", ")"),
        NodeKind::Function => ("[", "]"),
        NodeKind::Directive => ("[/", "/]"),
        NodeKind::Wait => ("{{", "}}"),
        NodeKind::Workflow => ("[[", "]]"),
    };
    let mut text = format!("<b>{}</b><br/>{}", escaped(&node.title), escaped(&node.detail));
    for badge in &node.badges {
        write!(text, "<br/><i>{}</i>", escaped(badge)).expect(ROOM);
    }
    format!("n{at}{open}\"{text}\"{close}:::{}", node.kind.class())
}

fn line(arrow: &Arrow) -> String {
    let stroke = match arrow.line {
        Line::Needs | Line::Completed | Line::Settled => "-->",
        Line::Order | Line::Failed => "-.->",
    };
    let label = arrow.label.as_deref().map_or(String::new(), |label| format!("|\"{}\"|", escaped(label)));
    format!("n{} {stroke}{label} n{}", arrow.from, arrow.to)
}

fn write_styles(out: &mut String, picture: &Picture) {
    for kind in NodeKind::ALL {
        if picture.nodes.iter().any(|node| node.kind == kind) {
            let (fill, stroke) = kind.colours();
            writeln!(out, "    classDef {} fill:{fill},stroke:{stroke},color:#1f2328", kind.class()).expect(ROOM);
        }
    }
    let of = |line: Line| {
        let found = picture.arrows.iter().enumerate().filter(move |(_, arrow)| arrow.line == line);
        found.map(|(at, _)| at.to_string()).collect::<Vec<_>>().join(",")
    };
    for (line, style) in [(Line::Failed, "stroke:#cf222e,stroke-dasharray:5 4"), (Line::Order, "stroke:#8c959f")] {
        let arrows = of(line);
        if !arrows.is_empty() {
            writeln!(out, "    linkStyle {arrows} {style}").expect(ROOM);
        }
    }
}
