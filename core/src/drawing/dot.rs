//! A graph for Graphviz. Identifiers are ours, and all text is in quotes.

use std::fmt::Write;

use super::escape::dot as escaped;
use super::{Arrow, Line, Node, NodeKind, Picture};

const HEAD: &str = r##"    rankdir=TB; bgcolor="transparent"; nodesep=0.35; ranksep=0.5;
    node [fontname="Helvetica,Arial,sans-serif", fontsize=12, style=filled, fontcolor="#1f2328", margin="0.2,0.1"];
    edge [fontname="Helvetica,Arial,sans-serif", fontsize=10, color="#6e7781", fontcolor="#6e7781", arrowsize=0.7];
"##;

pub fn write(picture: &Picture) -> String {
    let mut out = format!("digraph \"{}\" {{\n{HEAD}", escaped(&picture.title));
    for (at, node) in picture.nodes.iter().enumerate() {
        writeln!(out, "    n{at} [{}];", attributes(node)).expect(ROOM);
    }
    for arrow in &picture.arrows {
        writeln!(out, "    n{} -> n{}{};", arrow.from, arrow.to, line(arrow)).expect(ROOM);
    }
    out.push_str("}\n");
    out
}

const ROOM: &str = "a string takes everything";

fn attributes(node: &Node) -> String {
    let shape = match node.kind {
        NodeKind::Start => "shape=oval",
        NodeKind::Completed | NodeKind::Failed => "shape=oval, peripheries=2",
        NodeKind::Agent => "shape=box, style=\"filled,rounded\"",
        NodeKind::Function => "shape=box",
        NodeKind::Directive => "shape=parallelogram",
        NodeKind::Wait => "shape=hexagon",
        NodeKind::Workflow => "shape=box, peripheries=2",
    };
    let lines = [&node.title, &node.detail].into_iter().chain(&node.badges);
    let lines: Vec<_> = lines.map(|line| escaped(line)).collect();
    let (fill, stroke) = node.kind.colours();
    let hint = escaped(node.hint.as_deref().unwrap_or(&node.title));
    format!("{shape}, label=\"{}\", fillcolor=\"{fill}\", color=\"{stroke}\", tooltip=\"{hint}\"", lines.join("\\n"))
}

fn line(arrow: &Arrow) -> String {
    let style = match arrow.line {
        Line::Needs | Line::Completed | Line::Settled => None,
        Line::Order => Some("style=dotted".to_owned()),
        Line::Failed => Some("style=dashed, color=\"#cf222e\", fontcolor=\"#cf222e\"".to_owned()),
    };
    let label = arrow.label.as_deref().map(|label| format!("label=\" {}\"", escaped(label)));
    let attributes: Vec<_> = style.into_iter().chain(label).collect();
    if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) }
}
